//! Event streams against a server that breaks in every way a network can.

mod support;

use std::{sync::Arc, time::Duration};

use prism_client::{Error, EventStream, events::OpenEventStream};
use support::{
    client, deployment_id,
    faulty::{Server, Step, chunk, chunked_head, status, stream_head, token},
};
use tokio::{sync::Notify, time::timeout};

const PATIENCE: Duration = Duration::from_secs(20);

fn open(server: &Server) -> OpenEventStream {
    client(&server.url).deployment(&deployment_id()).events().stream()
}

fn send(text: impl Into<String>) -> Step {
    Step::Send(text.into().into_bytes())
}

/// Reads events until the stream ends.
async fn rest(stream: &mut EventStream) -> (Vec<String>, Option<Error>) {
    let mut ids = Vec::new();
    loop {
        match timeout(PATIENCE, stream.next()).await.expect("the stream goes on in time") {
            Some(Ok(event)) => ids.push(event.id.suffix().to_owned()),
            Some(Err(error)) => return (ids, Some(error)),
            None => return (ids, None),
        }
    }
}

fn last_event_id(request: &str) -> Option<&str> {
    request.lines().find_map(|line| line.strip_prefix("last-event-id: "))
}

#[tokio::test]
async fn the_request_is_as_documented() {
    let mut server = Server::start(vec![status("204 No Content", "")]).await;
    let mut stream = open(&server)
        .thread("thr_1".parse().unwrap())
        .run("run_1".parse().unwrap())
        .after("evt_7xK9s2_5".parse().unwrap())
        .open()
        .await
        .unwrap();
    let request = server.request().await;
    assert!(
        request
            .starts_with("get /v1/deployments/dep_7xk9s2/events?thread_id=thr_1&run_id=run_1 http/1.1\r\n"),
        "{request}"
    );
    assert!(request.contains("accept: text/event-stream\r\n"));
    assert!(request.contains("authorization: bearer prism_canary_7f3a\r\n"));
    assert!(request.contains(&format!("user-agent: prism-client/{}\r\n", env!("CARGO_PKG_VERSION"))));
    assert_eq!(last_event_id(&request), Some("evt_7xk9s2_5"));
    assert!(stream.next().await.is_none(), "204 is the end");
}

#[tokio::test]
async fn a_reset_in_the_middle_of_an_event_is_resumed() {
    let gate = Arc::new(Notify::new());
    let begun = "event: token\nid: evt_7xK9s2_2\ndata: {\"run";
    let mut server = Server::start(vec![
        vec![chunked_head(), chunk(&token(1)), chunk(begun), Step::Wait(Arc::clone(&gate)), Step::Reset],
        vec![chunked_head(), chunk(&token(2)), chunk(&token(3))],
        status("204 No Content", ""),
    ])
    .await;
    let mut stream = open(&server).open().await.unwrap();
    assert_eq!(stream.next().await.unwrap().unwrap().id, "evt_7xK9s2_1");
    gate.notify_one();
    let (ids, error) = rest(&mut stream).await;
    assert!(error.is_none(), "{error:?}");
    assert_eq!(ids, ["7xK9s2_2", "7xK9s2_3"]);
    server.request().await;
    assert_eq!(last_event_id(&server.request().await), Some("evt_7xk9s2_1"));
    assert_eq!(last_event_id(&server.request().await), Some("evt_7xk9s2_3"));
}

#[tokio::test]
async fn a_clean_end_before_the_end_of_the_run_is_resumed() {
    let end =
        "event: run_status\nid: evt_7xK9s2_3\ndata: {\"run_id\":\"run_1\",\"status\":\"completed\"}\n\n";
    let mut server = Server::start(vec![
        vec![chunked_head(), chunk(&token(1)), send("0\r\n\r\n")],
        vec![stream_head(), send(token(2) + end), Step::Hang],
    ])
    .await;
    let mut stream = open(&server).run("run_1".parse().unwrap()).open().await.unwrap();
    assert_eq!(rest(&mut stream).await.0, ["7xK9s2_1", "7xK9s2_2", "7xK9s2_3"]);
    server.request().await;
    assert_eq!(last_event_id(&server.request().await), Some("evt_7xk9s2_1"));
}

#[tokio::test]
async fn every_line_end_and_every_split_reads_alike() {
    let body = token(1) + ": heartbeat\n\n" + &token(2) + "id: evt_7xK9s2_9\n\n";
    let mixed = body.replacen('\n', "\r\n", 3).replacen(":\n\n", ":\r\r", 1);
    for body in [body.clone(), body.replace('\n', "\r"), body.replace('\n', "\r\n"), mixed] {
        let mut server = Server::start(vec![
            vec![stream_head(), Step::Trickle(body.clone().into_bytes())],
            status("204 No Content", ""),
        ])
        .await;
        let mut stream = open(&server).open().await.unwrap();
        assert_eq!(rest(&mut stream).await.0, ["7xK9s2_1", "7xK9s2_2"], "{body:?}");
        server.request().await;
        assert_eq!(last_event_id(&server.request().await), Some("evt_7xk9s2_9"));
    }
}

#[tokio::test]
async fn a_failing_server_is_asked_again() {
    let mut server = Server::start(vec![
        vec![stream_head(), send(token(1))],
        status("500 Internal Server Error", ""),
        status("408 Request Timeout", ""),
        vec![stream_head(), send(token(2))],
        status("204 No Content", ""),
    ])
    .await;
    let mut stream = open(&server).open().await.unwrap();
    assert_eq!(rest(&mut stream).await.0, ["7xK9s2_1", "7xK9s2_2"]);
    let mut resumed_after = Vec::new();
    for _ in 0..5 {
        resumed_after.push(last_event_id(&server.request().await).map(str::to_owned));
    }
    let expected =
        [None, Some("evt_7xk9s2_1"), Some("evt_7xk9s2_1"), Some("evt_7xk9s2_1"), Some("evt_7xk9s2_2")];
    assert_eq!(resumed_after, expected.map(|id| id.map(str::to_owned)));
}

#[tokio::test]
async fn a_rate_limit_is_waited_for() {
    let server = Server::start(vec![
        vec![stream_head(), send(token(1))],
        status("429 Too Many Requests", "retry-after-ms: 400\r\n"),
        status("204 No Content", ""),
    ])
    .await;
    let mut stream = open(&server).open().await.unwrap();
    let before = std::time::Instant::now();
    assert_eq!(rest(&mut stream).await.0, ["7xK9s2_1"]);
    assert!(before.elapsed() >= Duration::from_millis(400));
}

#[tokio::test]
async fn what_does_not_pass_ends_the_stream() {
    let body = r#"{"error":"not_found","message":"Deployment not found"}"#;
    let not_found = format!(
        "HTTP/1.1 404 Not Found\r\nx-request-id: req_9\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    let server =
        Server::start(vec![vec![stream_head(), send(token(1))], vec![send(not_found.clone())]]).await;
    let mut stream = open(&server).open().await.unwrap();
    let (ids, error) = rest(&mut stream).await;
    let error = error.unwrap();
    assert_eq!(ids, ["7xK9s2_1"]);
    assert!(error.is_not_found());
    assert_eq!(error.request_id(), Some("req_9"));
    assert_eq!(
        error.to_string(),
        "GET /v1/deployments/dep_7xK9s2/events: 404 not_found: Deployment not found (request req_9)"
    );
    assert!(stream.next().await.is_none());

    let server = Server::start(vec![vec![send(not_found)]]).await;
    assert!(open(&server).open().await.unwrap_err().is_not_found());
}

#[tokio::test]
async fn repeated_events_are_left_out() {
    let server = Server::start(vec![
        vec![stream_head(), send(token(1) + &token(2))],
        vec![stream_head(), send(token(1) + &token(2) + &token(3))],
        status("204 No Content", ""),
    ])
    .await;
    let mut stream = open(&server).open().await.unwrap();
    assert_eq!(rest(&mut stream).await.0, ["7xK9s2_1", "7xK9s2_2", "7xK9s2_3"]);
}

#[tokio::test]
async fn an_event_that_is_too_large_is_a_typed_error() {
    let server = Server::start(vec![vec![
        stream_head(),
        send(token(1)),
        send("id: evt_7xK9s2_2\ndata: "),
        send("x".repeat(100_000)),
        Step::Hang,
    ]])
    .await;
    let mut stream = open(&server).max_event_size(4096).open().await.unwrap();
    let (ids, error) = rest(&mut stream).await;
    assert_eq!(ids, ["7xK9s2_1"]);
    assert!(error.unwrap().is_too_large());
    assert_eq!(stream.last_event_id().unwrap(), &"evt_7xK9s2_1");
}

#[tokio::test]
async fn silence_is_resumed() {
    let mut server = Server::start(vec![
        vec![stream_head(), send(token(1)), Step::Hang],
        vec![stream_head(), send(token(2))],
        status("204 No Content", ""),
    ])
    .await;
    let mut stream = open(&server).idle_timeout(Duration::from_millis(300)).open().await.unwrap();
    assert_eq!(rest(&mut stream).await.0, ["7xK9s2_1", "7xK9s2_2"]);
    server.request().await;
    assert_eq!(last_event_id(&server.request().await), Some("evt_7xk9s2_1"));
}

#[tokio::test]
async fn silence_instead_of_an_answer_is_an_error_of_opening() {
    let server = Server::start(vec![vec![Step::Hang]]).await;
    let error = open(&server).idle_timeout(Duration::from_millis(200)).open().await.unwrap_err();
    assert!(error.is_timeout() && error.is_retryable(), "{error:?}");
}

#[tokio::test]
async fn the_head_of_the_log_is_where_a_stream_without_events_resumes() {
    let gate = Arc::new(Notify::new());
    let mut server = Server::start(vec![
        vec![chunked_head(), chunk("id: evt_7xK9s2_41\n\n"), Step::Wait(Arc::clone(&gate)), Step::Reset],
        vec![stream_head(), send(token(42))],
        status("204 No Content", ""),
    ])
    .await;
    let mut stream = open(&server).open().await.unwrap();
    gate.notify_one();
    assert_eq!(rest(&mut stream).await.0, ["7xK9s2_42"]);
    server.request().await;
    assert_eq!(last_event_id(&server.request().await), Some("evt_7xk9s2_41"));
}

#[tokio::test]
async fn a_head_and_a_clean_end_resume_after_the_head() {
    let mut server = Server::start(vec![
        vec![stream_head(), send("id: evt_7xK9s2_0\n\n")],
        vec![stream_head(), send(token(1))],
        status("204 No Content", ""),
    ])
    .await;
    let mut stream = open(&server).open().await.unwrap();
    assert_eq!(stream.last_event_id().unwrap(), &"evt_7xK9s2_0");
    assert_eq!(rest(&mut stream).await.0, ["7xK9s2_1"]);
    server.request().await;
    assert_eq!(last_event_id(&server.request().await), Some("evt_7xk9s2_0"));
}

#[tokio::test]
async fn another_content_type_is_not_a_stream() {
    let page = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 2\r\n\r\nHi";
    let server = Server::start(vec![vec![send(page)]]).await;
    let error = open(&server).open().await.unwrap_err();
    assert!(error.is_decode() && error.status() == Some(200), "{error:?}");
}

#[tokio::test]
async fn a_server_that_is_gone_ends_the_stream_after_the_allowed_tries() {
    let server = Server::start(vec![vec![stream_head(), send(token(1))]]).await;
    let mut stream = open(&server).max_reconnects(2).open().await.unwrap();
    let (ids, error) = rest(&mut stream).await;
    assert_eq!(ids, ["7xK9s2_1"]);
    assert!(error.unwrap().is_connect());
}
