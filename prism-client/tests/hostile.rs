//! Servers and networks that are broken or mean: each fault, and what comes of it as documented. Event streams have
//! `stream_faults.rs` as well, and retries `retries.rs`.
//!
//! All tests share one count of memory, so they run one after another.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/memory.rs"]
mod memory;
mod support;

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use prism_client::{Backoff, Client, Error, RetryPolicy};
use support::{
    KEY, client, deployment, deployment_id,
    faulty::{Server, Step, status, stream_head, token},
};
use wiremock::{Mock, MockServer, ResponseTemplate, matchers::any};

const MIB: usize = 1 << 20;
const GIB: usize = 1 << 30;

/// One test at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn run<T>(test: impl Future<Output = T>) -> T {
    let _alone = alone();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(60), test).await.unwrap() })
}

fn patient(url: &str) -> Client {
    let at_once =
        RetryPolicy::new().backoff(Backoff::new(Duration::from_millis(1), Duration::from_millis(2)));
    Client::builder().base_url(url).api_key(KEY).retries(at_once).build().unwrap()
}

fn send(text: impl Into<String>) -> Step {
    Step::Send(text.into().into_bytes())
}

/// The answer to a `GET` of a deployment, with this head and body.
async fn answer(head: &str, body: &str) -> Result<String, Error> {
    let server = Server::start(vec![vec![send(format!("{head}\r\n\r\n{body}"))]]).await;
    let answer = client(&server.url).deployment(&deployment_id()).get().await?;
    Ok(answer.name.clone())
}

#[test]
fn headers_that_never_end_run_into_the_time_limit() {
    run(async {
        let drip = |byte: &str| Step::Trickle(byte.repeat(200).into_bytes());
        let steps = vec![send("HTTP/1.1 200 OK\r\nx-slow: "), drip("a"), Step::Hang];
        let server = Server::start(vec![steps]).await;
        let get = client(&server.url).deployment(&deployment_id()).get();
        let error = get.timeout(Duration::from_millis(200)).await.unwrap_err();
        assert!(error.is_timeout(), "{error:?}");
    });
}

#[test]
fn headers_without_end_are_not_kept() {
    run(async {
        let server = Server::start(vec![vec![
            send("HTTP/1.1 200 OK\r\nx-long: "),
            Step::Repeat(vec![b'a'; MIB], GIB / MIB),
        ]])
        .await;
        let before = memory::begin();
        let error = client(&server.url).deployment(&deployment_id()).get().await.unwrap_err();
        assert!(error.is_disconnected(), "{error:?}");
        assert!(memory::peak_since(before) < 16 * MIB, "{}", memory::peak_since(before));
    });
}

#[test]
fn half_a_body_is_a_connection_that_broke_and_is_asked_for_again() {
    run(async {
        let whole = deployment("ready").to_string();
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", whole.len());
        let half = vec![send(format!("{head}{}", &whole[..whole.len() / 2]))];
        let server = Server::start(vec![half.clone()]).await;
        let error = client(&server.url).deployment(&deployment_id()).get().await.unwrap_err();
        assert!(error.is_disconnected() && error.status() == Some(200), "{error:?}");

        let server = Server::start(vec![half, vec![send(format!("{head}{whole}"))]]).await;
        let answer = patient(&server.url).deployment(&deployment_id()).get().await.unwrap();
        assert_eq!((answer.attempts(), answer.name.as_str()), (2, "Acme"));
    });
}

#[test]
fn a_body_without_an_end_is_given_up_at_the_limit() {
    run(async {
        for length in ["content-length: 1073741824\r\n", ""] {
            let head = format!("HTTP/1.1 200 OK\r\n{length}connection: close\r\n\r\n");
            let body = Step::Repeat(vec![b' '; MIB], GIB / MIB);
            let server = Server::start(vec![vec![send(head), body]]).await;
            let before = memory::begin();
            let error = client(&server.url).deployment(&deployment_id()).get().await.unwrap_err();
            assert!(error.is_too_large(), "{error:?}");
            let peak = memory::peak_since(before);
            // A buffer that grows has at most twice the room, and what it grew out of.
            let bound = if length.is_empty() { 256 * MIB } else { 16 * MIB };
            assert!(peak < bound, "{peak}");
        }
    });
}

#[test]
fn an_error_with_a_body_without_an_end_is_its_status() {
    run(async {
        let head = "HTTP/1.1 404 Not Found\r\nconnection: close\r\n\r\n";
        let server = Server::start(vec![vec![send(head), Step::Repeat(vec![b'x'; MIB], GIB / MIB)]]).await;
        let before = memory::begin();
        let error = client(&server.url).deployment(&deployment_id()).get().await.unwrap_err();
        assert!(error.is_not_found());
        assert!(memory::peak_since(before) < 16 * MIB);
    });
}

#[test]
fn an_event_of_a_gigabyte_is_given_up_at_the_limit() {
    run(async {
        for begin in ["data: ", ": ", "id: evt_7xK9s2_2\ndata: a\ndata: b\ndata: "] {
            let steps =
                vec![stream_head(), send(token(1)), send(begin), Step::Repeat(vec![b'x'; MIB], GIB / MIB)];
            let server = Server::start(vec![steps]).await;
            let before = memory::begin();
            let mut stream =
                client(&server.url).deployment(&deployment_id()).events().stream().open().await.unwrap();
            assert_eq!(stream.next().await.unwrap().unwrap().id, "evt_7xK9s2_1");
            let error = stream.next().await.unwrap().unwrap_err();
            assert!(error.is_too_large(), "{error:?}");
            assert!(stream.next().await.is_none(), "it is the end");
            assert_eq!(
                stream.last_event_id().unwrap(),
                &"evt_7xK9s2_1",
                "where to go on with a larger limit"
            );
            let peak = memory::peak_since(before);
            assert!(peak < 48 * MIB, "8 MiB are the limit, {peak} were used");
        }
    });
}

#[test]
fn a_stream_takes_the_memory_of_one_event_however_long_it_is() {
    run(async {
        let comments = format!(": {}\n\n", "x".repeat(1_020)).repeat(MIB / 1_024);
        let steps = vec![
            stream_head(),
            send(token(1)),
            Step::Repeat(comments.into_bytes(), 128),
            send(
                "id: evt_7xK9s2_2\nevent: run_status\ndata: {\"run_id\":\"run_1\",\"status\":\"completed\"}\n\n",
            ),
        ];
        let server = Server::start(vec![steps]).await;
        let events = client(&server.url).deployment(&deployment_id()).events();
        let mut stream = events.stream().run("run_1".parse().unwrap()).open().await.unwrap();
        let before = memory::begin();
        let mut count = 0;
        while stream.next().await.transpose().unwrap().is_some() {
            count += 1;
        }
        assert_eq!(count, 2);
        assert!(memory::peak_since(before) < 4 * MIB, "{}", memory::peak_since(before));
    });
}

#[test]
fn a_byte_order_mark_and_mixed_line_ends_change_nothing() {
    run(async {
        let body = format!("\u{feff}{}", token(1)).replace("\nid", "\r\nid").replace("\ndata", "\rdata");
        let server = Server::start(vec![
            vec![stream_head(), Step::Trickle(body.into_bytes()), send(token(2).replace('\n', "\r"))],
            status("204 No Content", ""),
        ])
        .await;
        let mut stream =
            client(&server.url).deployment(&deployment_id()).events().stream().open().await.unwrap();
        for id in ["evt_7xK9s2_1", "evt_7xK9s2_2"] {
            assert_eq!(stream.next().await.unwrap().unwrap().id, id);
        }
        assert!(stream.next().await.is_none());
    });
}

#[test]
fn an_answer_of_another_type_is_told_by_its_place_and_not_quoted() {
    run(async {
        let page = "<html>canary</html>";
        let head = format!("HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: {}", page.len());
        let error = answer(&head, page).await.unwrap_err();
        assert!(error.is_decode());
        assert!(!format!("{error} {error:?}").contains("canary"), "{error:?}");

        // What counts is the body, as long as it is the JSON that is wanted.
        let body = deployment("ready").to_string();
        let head = format!("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {}", body.len());
        assert_eq!(answer(&head, &body).await.unwrap(), "Acme");
    });
}

#[test]
fn what_is_not_http_is_a_connection_that_broke() {
    run(async {
        for answer in ["SSH-2.0-OpenSSH_9.2\r\n", "HTTP/1.1 banana\r\n\r\n", "\0\0\0\0"] {
            let server = Server::start(vec![vec![send(answer)]]).await;
            let error = client(&server.url).deployment(&deployment_id()).get().await.unwrap_err();
            assert!(error.is_disconnected(), "{answer:?}: {error:?}");
        }
    });
}

#[test]
fn redirects_without_end_are_not_followed() {
    run(async {
        let server = MockServer::start().await;
        let elsewhere =
            ResponseTemplate::new(307).insert_header("location", server.uri() + "/v1/deployments/dep_7xK9s2");
        Mock::given(any()).respond_with(elsewhere).mount(&server).await;
        let deployment = patient(&server.uri()).deployment(&deployment_id());
        assert_eq!(deployment.get().await.unwrap_err().status(), Some(307));
        assert_eq!(deployment.events().stream().open().await.unwrap_err().status(), Some(307));
        assert_eq!(server.received_requests().await.unwrap().len(), 2);
    });
}

#[test]
fn a_storm_of_refusals_is_not_answered_with_a_storm() {
    run(async {
        let server = MockServer::start().await;
        let busy = ResponseTemplate::new(429).insert_header("retry-after", "0");
        Mock::given(any()).respond_with(busy).mount(&server).await;
        let client = patient(&server.uri());
        for _ in 0..100 {
            assert!(client.deployment(&deployment_id()).get().await.unwrap_err().is_rate_limited());
        }
        let sent = server.received_requests().await.unwrap().len();
        assert!(sent <= 130, "{sent} requests for 100 calls: a fifth more, and ten");
    });
}

#[test]
fn a_clock_that_is_wrong_costs_no_wait() {
    run(async {
        let date = |shift: i64| {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() as i64;
            let at = jiff::Timestamp::from_second(now + shift).unwrap();
            jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&at).unwrap()
        };
        const YEARS: i64 = 10 * 365 * 24 * 3_600;
        // The server's date is over already: again at once.
        let server = Server::start(vec![
            status("503 Busy", &format!("retry-after: {}\r\n", date(-YEARS))),
            status("404 No", ""),
        ])
        .await;
        let begun = Instant::now();
        assert!(patient(&server.url).deployment(&deployment_id()).get().await.unwrap_err().is_not_found());
        assert!(begun.elapsed() < Duration::from_secs(10));
        // It is years away: not waited for, but told.
        let server =
            Server::start(vec![status("503 Busy", &format!("retry-after: {}\r\n", date(YEARS)))]).await;
        let error = patient(&server.url).deployment(&deployment_id()).get().await.unwrap_err();
        assert_eq!(error.attempts(), 1);
        assert!(error.retry_after().unwrap() > Duration::from_secs(9 * 365 * 24 * 3_600));
    });
}

#[test]
fn a_pause_of_ages_is_told_whatever_pause_is_allowed() {
    run(async {
        for ages in ["18446744073709551615", "1e19", "99999999999999999"] {
            let server = Server::start(vec![status("503 Busy", &format!("retry-after: {ages}\r\n"))]).await;
            let policy = RetryPolicy::new().max_retry_after(Duration::MAX);
            let client =
                Client::builder().base_url(&server.url).api_key(KEY).retries(policy).build().unwrap();
            let begun = Instant::now();
            let get = client.deployment(&deployment_id()).get().timeout(Duration::from_secs(5));
            assert_eq!(get.await.unwrap_err().status(), Some(503));
            assert!(begun.elapsed() < Duration::from_secs(4), "{ages}");
        }
    });
}
