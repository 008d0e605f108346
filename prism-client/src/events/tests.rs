//! What a stream does when connections go wrong in every way, with scripted connections and paused time.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{
    FutureExt, StreamExt,
    stream::{self, FusedStream},
};
use prism_types::{EventId, EventPayload};
use tokio::time::{Instant, sleep};

use super::{
    connect::{Connect, Opened, Opening},
    signal::Signal,
    stream::{EventStream, Settings},
};
use crate::{Error, error::Kind, transport::Body};

/// What happens on a connection, one after another; then the body ends.
#[derive(Clone)]
enum Step {
    Bytes(Bytes),
    Quiet(Duration),
    Silence,
    Break,
}

enum Connection {
    Body(Vec<Step>),
    Nothing,
    Refused(Error),
}

#[derive(Default)]
struct Script {
    connections: Mutex<VecDeque<Connection>>,
    asked: Asked,
}

/// When each connection was asked for, and after which event.
type Asked = Arc<Mutex<Vec<(Instant, Option<String>)>>>;

impl Connect for Script {
    fn connect(&self, after: Option<&EventId>) -> Opening {
        self.asked.lock().unwrap().push((Instant::now(), after.map(ToString::to_string)));
        let connection = self.connections.lock().unwrap().pop_front();
        Box::pin(async move {
            match connection {
                None => Err(Error::new(Kind::Connect)),
                Some(Connection::Nothing) => Ok(Opened::Nothing),
                Some(Connection::Refused(error)) => Err(error),
                Some(Connection::Body(steps)) => Ok(Opened::Body(Body::from_stream(stream::unfold(
                    VecDeque::from(steps),
                    |mut steps| async move {
                        loop {
                            match steps.pop_front()? {
                                Step::Bytes(bytes) => return Some((Ok(bytes), steps)),
                                Step::Quiet(time) => sleep(time).await,
                                Step::Silence => std::future::pending().await,
                                Step::Break => return Some((Err(Error::new(Kind::Disconnected)), steps)),
                            }
                        }
                    },
                )))),
            }
        })
    }

    fn operation(&self) -> String {
        "GET /script".to_owned()
    }
}

fn body(steps: impl IntoIterator<Item = Step>) -> Connection {
    Connection::Body(steps.into_iter().collect())
}

fn text(text: &str) -> Step {
    Step::Bytes(Bytes::copy_from_slice(text.as_bytes()))
}

fn token(number: u64) -> Step {
    text(&token_text(number))
}

fn token_text(number: u64) -> String {
    format!("event: token\nid: evt_a_{number}\ndata: {{\"run_id\":\"run_1\",\"delta\":\"{number}\"}}\n\n")
}

fn refused(status: u16) -> Error {
    Error::new(Kind::Refused(None)).answered(status, None)
}

async fn open(
    connections: impl IntoIterator<Item = Connection>,
    settings: Settings,
    after: Option<&str>,
) -> (Result<EventStream, Error>, Asked) {
    let asked = Asked::default();
    let connections = Mutex::new(connections.into_iter().collect());
    let script = Script { connections, asked: Arc::clone(&asked) };
    let after = after.map(|id| id.parse().unwrap());
    let after: Option<EventId> = after;
    let stream = match script.connect(after.as_ref()).await {
        Ok(opened) => EventStream::open(Box::new(script), opened, settings, after).await,
        Err(error) => Err(error),
    };
    (stream, asked)
}

/// Opens a stream and reads it to its end: the numbers of the events, and the error at the end.
async fn read(
    connections: impl IntoIterator<Item = Connection>,
    settings: Settings,
) -> (Vec<u64>, Option<Error>, Asked) {
    let (stream, asked) = open(connections, settings, None).await;
    let mut stream = stream.unwrap();
    let mut numbers = Vec::new();
    while let Some(event) = stream.next().await {
        match event {
            Ok(event) => numbers.push(number(event.id.as_str())),
            Err(error) => {
                assert!(stream.next().await.is_none());
                return (numbers, Some(error), asked);
            }
        }
    }
    (numbers, None, asked)
}

fn number(id: &str) -> u64 {
    id.rsplit('_').next().unwrap().parse().unwrap()
}

fn after(asked: &Asked) -> Vec<Option<u64>> {
    asked.lock().unwrap().iter().map(|(_, id)| id.as_deref().map(number)).collect()
}

/// The times between connections.
fn pauses(asked: &Asked) -> Vec<Duration> {
    asked.lock().unwrap().windows(2).map(|pair| pair[1].0 - pair[0].0).collect()
}

#[tokio::test(start_paused = true)]
async fn a_stream_goes_on_after_what_it_yielded() {
    let (numbers, error, asked) = read(
        [
            body([token(1), token(2)]),
            body([token(3), Step::Break]),
            body([text(&token_text(4)[..30])]),
            body([token(4)]),
            Connection::Nothing,
        ],
        Settings::default(),
    )
    .await;
    assert!(error.is_none(), "{error:?}");
    assert_eq!(numbers, [1, 2, 3, 4]);
    assert_eq!(after(&asked), [None, Some(2), Some(3), Some(3), Some(4)]);
}

#[tokio::test(start_paused = true)]
async fn the_cuts_of_a_body_do_not_matter() {
    let whole: String = (1..4).map(token_text).collect();
    for cut in 0..=whole.len() {
        let (left, right) = whole.split_at(cut);
        let connections = [body([text(left), text(right)]), Connection::Nothing];
        assert_eq!(read(connections, Settings::default()).await.0, [1, 2, 3], "cut at {cut}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_breaks_anywhere_yields_each_event_once() {
    let whole: String = (1..4).map(token_text).collect();
    for cut in 0..=whole.len() {
        let rest: String = (number_of_whole_events(&whole[..cut]) + 1..4).map(token_text).collect();
        let connections =
            [body([text(&whole[..cut]), Step::Break]), body([text(&rest)]), Connection::Nothing];
        assert_eq!(read(connections, Settings::default()).await.0, [1, 2, 3], "broken at {cut}");
    }
}

fn number_of_whole_events(text: &str) -> u64 {
    text.matches("\n\n").count() as u64
}

#[tokio::test(start_paused = true)]
async fn the_head_that_the_server_names_is_where_the_stream_resumes() {
    let (stream, asked) =
        open([body([text("id: evt_a_41\n\n"), Step::Break]), body([token(42)])], Settings::default(), None)
            .await;
    let mut stream = stream.unwrap();
    assert_eq!(stream.last_event_id().unwrap(), &"evt_a_41");
    assert_eq!(stream.next().await.unwrap().unwrap().id, "evt_a_42");
    assert_eq!(after(&asked), [None, Some(41)]);
}

#[tokio::test(start_paused = true)]
async fn the_head_of_an_empty_log_is_a_place_too() {
    let (_, _, asked) = read(
        [body([text("id: evt_a_0\n\n"), Step::Break]), body([token(1)]), Connection::Nothing],
        Settings::default(),
    )
    .await;
    assert_eq!(after(&asked), [None, Some(0), Some(1)]);
}

#[tokio::test(start_paused = true)]
async fn opening_returns_only_when_the_stream_has_a_place() {
    let connections = [
        body([Step::Break]),
        Connection::Refused(refused(503)),
        body([Step::Quiet(Duration::from_millis(20)), text("id: evt_a_7\n\n"), Step::Silence]),
    ];
    let (stream, asked) = open(connections, Settings::default(), None).await;
    assert_eq!(stream.unwrap().last_event_id().unwrap(), &"evt_a_7");
    assert_eq!(asked.lock().unwrap().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn an_event_that_was_not_yielded_is_not_the_last_one() {
    let (stream, _) = open([body([token(1), Step::Silence])], Settings::default(), None).await;
    let mut stream = stream.unwrap();
    assert_eq!(stream.last_event_id(), None);
    let id = stream.next().await.unwrap().unwrap().id;
    assert_eq!(stream.last_event_id(), Some(&id));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_names_no_head_delays_opening_by_a_second() {
    let before = Instant::now();
    let (stream, _) = open([body([Step::Silence])], Settings::default(), None).await;
    assert!(stream.unwrap().last_event_id().is_none());
    assert_eq!(before.elapsed().as_secs(), 1);
}

#[tokio::test(start_paused = true)]
async fn opening_after_an_event_waits_for_nothing() {
    let before = Instant::now();
    let (stream, asked) = open([body([Step::Silence])], Settings::default(), Some("evt_a_5")).await;
    assert_eq!(stream.unwrap().last_event_id().unwrap(), &"evt_a_5");
    assert_eq!((before.elapsed(), after(&asked)), (Duration::ZERO, vec![Some(5)]));
}

#[tokio::test(start_paused = true)]
async fn opening_is_tried_once() {
    for status in [404, 429, 503] {
        let (stream, asked) = open([Connection::Refused(refused(status))], Settings::default(), None).await;
        assert_eq!(stream.unwrap_err().status(), Some(status));
        assert_eq!(asked.lock().unwrap().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_delivered_is_left_out() {
    let (numbers, _, _) = read(
        [
            body([token(1), token(2), token(2), token(1), token(3)]),
            body([token(1), token(2), token(3), token(4)]),
            Connection::Nothing,
        ],
        Settings::default(),
    )
    .await;
    assert_eq!(numbers, [1, 2, 3, 4]);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_breaks_while_events_are_repeated_does_not_set_the_place_back() {
    let (_, _, asked) = read(
        [body([token(1), token(2), token(3)]), body([token(1), Step::Break]), Connection::Nothing],
        Settings::default(),
    )
    .await;
    assert_eq!(after(&asked), [None, Some(3), Some(3)]);
}

#[tokio::test(start_paused = true)]
async fn silence_is_a_broken_connection_but_comments_are_not_silence() {
    let idle = Duration::from_secs(30);
    let heartbeats = (0..9).flat_map(|_| [Step::Quiet(Duration::from_secs(10)), text(": still here\n\n")]);
    let mut steps = vec![token(1)];
    steps.extend(heartbeats);
    steps.extend([token(2), Step::Silence]);
    let settings = Settings { idle_timeout: idle, ..Settings::default() };
    let (numbers, _, asked) = read([body(steps), body([token(3)]), Connection::Nothing], settings).await;
    assert_eq!(numbers, [1, 2, 3]);
    let pause = pauses(&asked)[0];
    let expected = Duration::from_secs(90) + idle;
    assert!(pause >= expected && pause <= expected + Duration::from_millis(110), "{pause:?}");
}

#[tokio::test(start_paused = true)]
async fn tries_without_progress_are_counted_and_their_pauses_are_bounded() {
    let settings = Settings { max_reconnects: 9, ..Settings::default() };
    let (numbers, error, asked) = read([body([token(1)])], settings).await;
    assert_eq!(numbers, [1]);
    assert!(error.unwrap().is_connect());
    let pauses = pauses(&asked);
    assert_eq!(pauses.len(), 9);
    for (attempt, pause) in pauses.into_iter().enumerate() {
        let cap = Duration::from_millis(100 << attempt).min(Duration::from_secs(10));
        assert!(pause <= cap + Duration::from_millis(1), "{attempt}: {pause:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn progress_resets_the_count() {
    let mut connections = Vec::new();
    for number in 1..20 {
        connections.push(body([token(number)]));
        connections.push(Connection::Refused(refused(500)));
    }
    connections.push(Connection::Nothing);
    let settings = Settings { max_reconnects: 2, ..Settings::default() };
    let (numbers, error, _) = read(connections, settings).await;
    assert!(error.is_none(), "{error:?}");
    assert_eq!(numbers, (1..20).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_quiet_connection_that_lived_is_progress_and_one_that_repeats_itself_is_not() {
    let lived = || body([Step::Quiet(Duration::from_secs(15)), text(":\n\n")]);
    let mut connections = vec![body([token(1)])];
    connections.extend((0..20).map(|_| lived()));
    connections.push(Connection::Nothing);
    let settings = Settings { max_reconnects: 2, ..Settings::default() };
    let (_, error, _) = read(connections, settings.clone()).await;
    assert!(error.is_none(), "{error:?}");

    let (_, error, asked) = read((0..20).map(|_| body([token(1)])), settings).await;
    assert!(error.unwrap().is_disconnected());
    assert_eq!(asked.lock().unwrap().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn what_the_server_asks_for_is_waited() {
    let hint = Duration::from_secs(7);
    let jitter = Duration::from_millis(201);
    let connections = [
        body([token(1)]),
        Connection::Refused(refused(429).hinted(Some(hint))),
        body([text("retry: 3000\n"), token(2)]),
        Connection::Nothing,
    ];
    let (_, _, asked) = read(connections, Settings::default()).await;
    let pauses = pauses(&asked);
    assert!(pauses[0] <= jitter, "{pauses:?}");
    assert!(pauses[1] >= hint && pauses[1] <= hint + jitter, "{pauses:?}");
    assert!(
        pauses[2] >= Duration::from_secs(3) && pauses[2] <= Duration::from_secs(3) + jitter,
        "{pauses:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_hint_of_hours_is_given_to_the_caller() {
    let hint = Duration::from_secs(7200);
    let connections = [body([token(1)]), Connection::Refused(refused(429).hinted(Some(hint)))];
    let (_, error, _) = read(connections, Settings::default()).await;
    assert_eq!(error.unwrap().retry_after(), Some(hint));
}

#[tokio::test(start_paused = true)]
async fn only_what_may_pass_is_tried_again() {
    for status in [408, 425, 429, 500, 502, 503, 504] {
        let connections = [body([token(1)]), Connection::Refused(refused(status)), Connection::Nothing];
        assert!(read(connections, Settings::default()).await.1.is_none(), "{status}");
    }
    for status in [301, 400, 401, 402, 403, 404, 409, 410, 422] {
        let connections = [body([token(1)]), Connection::Refused(refused(status)), Connection::Nothing];
        let error = read(connections, Settings::default()).await.1.unwrap();
        assert_eq!(error.status(), Some(status));
        assert!(error.to_string().starts_with("GET /script: "), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_stream_of_a_run_ends_with_the_run() {
    let status = |run: &str, number: u64, status: &str| {
        text(&format!(
            "event: run_status\nid: evt_a_{number}\ndata: {{\"run_id\":\"{run}\",\"status\":\"{status}\"}}\n\n"
        ))
    };
    for last in ["completed", "error"] {
        let connections = [
            body([status("run_1", 1, "running"), status("run_2", 2, "completed")]),
            body([status("run_1", 3, "waiting_on_human"), status("run_1", 4, last), token(5)]),
        ];
        let settings = Settings { run: Some("run_1".parse().unwrap()), ..Settings::default() };
        let (numbers, error, _) = read(connections, settings).await;
        assert!(error.is_none(), "{error:?}");
        assert_eq!(numbers, [1, 2, 3, 4]);
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_that_cannot_be_read_is_an_error_and_the_next_one_follows() {
    let steps = [
        text("event: token\nid: evt_a_1\ndata: {\"run_id\":\"run_1\",\"canary\":\"canary\"}\n\n"),
        text("id: canary\ndata: x\n\n"),
        text("event: dream\nid: evt_a_2\ndata: canary\n\n"),
    ];
    let (stream, _) = open([body(steps), Connection::Nothing], Settings::default(), None).await;
    let mut stream = stream.unwrap();
    let error = stream.next().await.unwrap().unwrap_err();
    assert!(error.is_decode());
    assert!(error.to_string().contains("the `token` event evt_a_1"), "{error}");
    assert!(error.to_string().contains("missing field `delta`"), "{error}");
    assert!(!format!("{error:?}").contains("canary"));
    let error = stream.next().await.unwrap().unwrap_err();
    assert!(error.is_decode() && !format!("{error} {error:?}").contains("canary"), "{error:?}");
    let event = stream.next().await.unwrap().unwrap();
    assert!(matches!(event.payload, EventPayload::Unknown(_)));
    assert!(stream.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn an_error_says_where_the_data_does_not_fit_and_quotes_nothing() {
    for (name, data, place) in [
        ("token", r#"{"run_id":"canary","delta":"x"}"#, Some("at $.run_id:")),
        ("token", r#"{"canary":{"canary":1},"run_id":"run_1","delta":{"canary":1}}"#, Some("at $.delta:")),
        ("token", r#"{"run_id":"run_1","delta":"canary","delta":"canary"}"#, Some("at $")),
        ("token", r#"["canary"]"#, Some("at $[0]:")),
        ("run_status", r#"{"run_id":"run_1","status":"error","error":{"code":1}}"#, Some("at $.error.code:")),
        ("token", r#"{"run_id":"run_1","canary":{"canary":1e999}}"#, Some("at $: missing field `delta`")),
        ("token", r#"{"run_id":"run_1","canary":{"canary":canary}}"#, None),
    ] {
        let body = body([text(&format!("event: {name}\nid: evt_a_1\ndata: {data}\n\n"))]);
        let (stream, _) = open([body, Connection::Nothing], Settings::default(), None).await;
        let error = stream.unwrap().next().await.unwrap().unwrap_err();
        let told = error.to_string();
        assert!(error.is_decode() && !format!("{error:?} {told}").contains("canary"), "{told}: {error:?}");
        assert_eq!(told.contains("at $"), place.is_some(), "{told}");
        assert!(told.contains(place.unwrap_or_default()), "{told}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_that_is_too_large_ends_the_stream() {
    let settings = Settings { max_event_size: 100, ..Settings::default() };
    let large = format!("id: evt_a_2\ndata: {}", "x".repeat(200));
    let (numbers, error, asked) = read([body([token(1), text(&large)])], settings).await;
    assert_eq!(numbers, [1]);
    assert!(error.unwrap().is_too_large());
    assert_eq!(asked.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn dropping_the_future_of_next_loses_nothing() {
    let steps = (1..50).flat_map(|number| [Step::Quiet(Duration::from_millis(10)), token(number)]);
    let (stream, _) = open([body(steps), Connection::Nothing], Settings::default(), Some("evt_a_0")).await;
    let mut stream = stream.unwrap();
    let mut numbers = Vec::new();
    loop {
        // Polled once and dropped.
        if stream.next().now_or_never().is_none() {
            sleep(Duration::from_millis(3)).await;
            continue;
        }
        break;
    }
    loop {
        match stream.next().now_or_never() {
            None => sleep(Duration::from_millis(3)).await,
            Some(None) => break,
            Some(Some(event)) => numbers.push(number(event.unwrap().id.as_str())),
        }
    }
    assert_eq!(numbers, (2..50).collect::<Vec<_>>());
}

/// Reads the signals to their end, in words.
async fn signals(
    connections: impl IntoIterator<Item = Connection>,
    settings: Settings,
    after: Option<&str>,
) -> Vec<String> {
    let (stream, _) = open(connections, settings, after).await;
    let mut signals = stream.unwrap().signals();
    let mut words = Vec::new();
    let word = |id: Option<EventId>| id.map_or("nowhere".to_owned(), |id| number(id.as_str()).to_string());
    while let Some(signal) = signals.next().await {
        words.push(match signal {
            Ok(Signal::Connected) => "connected".to_owned(),
            Ok(Signal::Interrupted { error, .. }) => format!("interrupted: {}", error.label()),
            Ok(Signal::Resumed { tries, after }) => format!("resumed by {tries} after {}", word(after)),
            Ok(Signal::Gap { after, before }) => format!("gap from {} to {}", word(after), word(before)),
            Ok(Signal::Event(event)) => {
                assert_eq!(signals.last_event_id(), Some(&event.id));
                number(event.id.as_str()).to_string()
            }
            Err(error) => error.label().to_owned(),
        });
    }
    words
}

#[tokio::test(start_paused = true)]
async fn what_happens_to_the_connection_is_told_in_its_place() {
    let connections = [
        body([token(1), Step::Break]),
        Connection::Refused(refused(503)),
        body([token(2), Step::Silence]),
        body([token(2), token(3)]),
        Connection::Nothing,
    ];
    let told = signals(connections, Settings::default(), None).await;
    let expected = [
        "connected",
        "1",
        "interrupted: disconnected",
        "interrupted: refused",
        "resumed by 2 after 1",
        "2",
        "interrupted: timeout",
        "resumed by 1 after 2",
        "3",
        "interrupted: disconnected",
    ];
    assert_eq!(told, expected);
}

#[tokio::test(start_paused = true)]
async fn events_that_are_missing_are_a_gap() {
    let connections = || [body([token(5), token(8), Step::Break]), body([token(10)]), Connection::Nothing];
    let told = signals(connections(), Settings::default(), Some("evt_a_2")).await;
    let gaps: Vec<_> = told.iter().filter(|word| word.starts_with("gap")).collect();
    assert_eq!(gaps, ["gap from 2 to 5", "gap from 5 to 8", "gap from 8 to 10"]);
    let place = told.iter().position(|word| word == "gap from 8 to 10").unwrap();
    assert_eq!(told[place + 1], "10", "it is told before the event");

    let filtered = Settings { is_filtered: true, ..Settings::default() };
    let told = signals(connections(), filtered, Some("evt_a_2")).await;
    assert!(!told.iter().any(|word| word.starts_with("gap")), "a filter leaves out numbers: {told:?}");
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_breaks_before_there_is_a_place_is_a_gap() {
    let connections =
        [body([Step::Quiet(Duration::from_secs(2)), Step::Break]), body([token(7)]), Connection::Nothing];
    let told = signals(connections, Settings::default(), None).await;
    assert_eq!(
        told[..5],
        [
            "connected",
            "interrupted: disconnected",
            "gap from nowhere to nowhere",
            "resumed by 1 after nowhere",
            "7"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn an_event_that_is_read_before_the_gap_is_told_is_not_the_last_one() {
    let (stream, _) = open([body([token(1), token(4), Step::Silence])], Settings::default(), None).await;
    let mut signals = stream.unwrap().signals();
    for _ in 0..2 {
        signals.next().await.unwrap().unwrap();
    }
    assert!(matches!(signals.next().await, Some(Ok(Signal::Gap { .. }))));
    assert_eq!(signals.last_event_id().unwrap(), &"evt_a_1", "whoever stops here must get event 4 again");
    assert_eq!(signals.into_events().next().await.unwrap().unwrap().id, "evt_a_4");
}

#[tokio::test(start_paused = true)]
async fn it_is_a_stream() {
    fn is_send<T: Send + Unpin>(value: T) -> T {
        value
    }
    let (stream, _) =
        open([body([token(1), token(2)]), Connection::Nothing], Settings::default(), None).await;
    let events: Vec<_> = StreamExt::collect::<Vec<_>>(is_send(stream.unwrap())).await;
    assert_eq!(events.len(), 2);
    let (stream, _) = open([Connection::Nothing], Settings::default(), None).await;
    assert!(stream.unwrap().is_terminated());
}
