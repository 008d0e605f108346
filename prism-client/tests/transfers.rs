//! Files that are sent and read tell how far they are.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::sync::{Arc, Mutex};

use futures::stream;
use prism_client::{
    Backoff, Client, Error, RetryPolicy,
    resources::{FileBody, Files, Progress},
};
use serde_json::json;
use std::time::Duration;
use support::{
    KEY, deployment_id,
    faulty::{Server, Step, status},
};
use wiremock::{Mock, MockServer, ResponseTemplate, matchers::method};

/// What was told.
type Told = Arc<Mutex<Vec<Progress>>>;

fn listener() -> (Told, impl Fn(Progress) + Send + Sync + 'static) {
    let told = Told::default();
    let tell = Arc::clone(&told);
    (told, move |progress| tell.lock().unwrap().push(progress))
}

fn files(server: &MockServer) -> Files {
    let at_once =
        RetryPolicy::new().backoff(Backoff::new(Duration::from_millis(1), Duration::from_millis(1)));
    let builder = Client::builder().base_url(server.uri()).api_key(KEY).retries(at_once);
    builder.build().unwrap().deployment(&deployment_id()).files()
}

fn written(size: usize) -> ResponseTemplate {
    let file = json!({
        "path": "film.mp4", "size": size, "modified_at": "2026-06-11T20:55:03Z", "created": true,
    });
    ResponseTemplate::new(200).set_body_json(file)
}

#[tokio::test]
async fn bytes_are_counted_in_pieces_for_each_attempt() {
    let server = MockServer::start().await;
    let busy = ResponseTemplate::new(503).set_body_json(support::error("unavailable"));
    Mock::given(method("PUT")).respond_with(busy).up_to_n_times(1).mount(&server).await;
    Mock::given(method("PUT")).respond_with(written(200_000)).mount(&server).await;
    let (told, listen) = listener();
    let content: Vec<u8> = (0..200_000_u32).map(|number| number as u8).collect();
    files(&server).write("film.mp4", content.clone()).on_progress(listen).await.unwrap();

    for request in server.received_requests().await.unwrap() {
        assert_eq!(request.body, content);
        assert_eq!(request.headers["content-length"], "200000", "the server knows the size beforehand");
    }
    let told = told.lock().unwrap();
    let of =
        |attempt| -> Vec<u64> { told.iter().filter(|at| at.attempt == attempt).map(|at| at.bytes).collect() };
    assert_eq!(of(1), [65_536, 131_072, 196_608, 200_000]);
    assert_eq!(of(2), of(1));
    assert!(told.iter().all(|at| at.total == Some(200_000)));
}

#[tokio::test]
async fn streams_are_counted_with_or_without_a_size() {
    let server = MockServer::start().await;
    Mock::given(method("PUT")).respond_with(written(6)).mount(&server).await;
    let pieces = || stream::iter(["abc", "de", "f"].map(Ok::<_, std::io::Error>));
    for (body, total) in [(FileBody::stream(pieces()), None), (FileBody::sized_stream(pieces(), 6), Some(6))]
    {
        let (told, listen) = listener();
        files(&server).write("film.mp4", body).on_progress(listen).await.unwrap();
        let told: Vec<_> = told.lock().unwrap().iter().map(|at| (at.bytes, at.total, at.attempt)).collect();
        assert_eq!(told, [(3, total, 1), (5, total, 1), (6, total, 1)]);
    }
    let requests = server.received_requests().await.unwrap();
    assert!(requests[0].headers.get("content-length").is_none());
    assert_eq!(requests[1].headers["content-length"], "6");
    assert!(requests.iter().all(|request| request.body == b"abcdef"));
}

#[tokio::test]
async fn what_is_read_is_counted() {
    let server = MockServer::start().await;
    let content = vec![7_u8; 300_000];
    let answer = ResponseTemplate::new(200).set_body_bytes(content.clone());
    Mock::given(method("GET")).respond_with(answer).mount(&server).await;
    let (told, listen) = listener();
    let read = files(&server).read("film.mp4").on_progress(listen).await.unwrap().bytes().await.unwrap();
    assert_eq!(read, content);
    let told = told.lock().unwrap();
    assert!(told.windows(2).all(|pair| pair[0].bytes < pair[1].bytes));
    let last = told.last().unwrap();
    assert_eq!((last.bytes, last.total), (300_000, Some(300_000)));
}

#[tokio::test]
async fn nothing_is_told_of_an_empty_file() {
    let server = MockServer::start().await;
    Mock::given(method("PUT")).respond_with(written(0)).mount(&server).await;
    let (told, listen) = listener();
    files(&server).write("empty", Vec::new()).on_progress(listen).await.unwrap();
    assert!(told.lock().unwrap().is_empty());
    assert_eq!(server.received_requests().await.unwrap()[0].headers["content-length"], "0");
}

/// A part of `0123456789`, of which the connection gives only so many bytes.
fn part(status: &str, from: usize, sent: usize, etag: &str) -> Vec<Step> {
    let head = format!(
        "HTTP/1.1 {status}\r\netag: {etag}\r\ncontent-length: {}\r\ncontent-range: bytes {from}-9/10\r\n\r\n",
        10 - from
    );
    vec![Step::Send(format!("{head}{}", &"0123456789"[from..from + sent]).into_bytes())]
}

async fn read(connections: Vec<Vec<Step>>) -> (Result<String, Error>, Server) {
    let server = Server::start(connections).await;
    let at_once =
        RetryPolicy::new().backoff(Backoff::new(Duration::from_millis(1), Duration::from_millis(1)));
    let client = Client::builder().base_url(&server.url).api_key(KEY).retries(at_once).build().unwrap();
    let content = client.deployment(&deployment_id()).files().read("film.mp4").await.unwrap();
    (content.text().await, server)
}

#[tokio::test]
async fn a_connection_that_breaks_in_the_middle_is_gone_on_with() {
    let etag = "\"v1\"";
    let partial = |from, sent| part("206 Partial Content", from, sent, etag);
    let (text, mut server) = read(vec![part("200 OK", 0, 4, etag), partial(4, 3), partial(7, 3)]).await;
    assert_eq!(text.unwrap(), "0123456789");
    assert!(!server.request().await.contains("range: "));
    for range in ["range: bytes=4-\r\n", "range: bytes=7-\r\n"] {
        let request = server.request().await;
        assert!(request.contains(range) && request.contains("if-match: \"v1\"\r\n"), "{request}");
    }
}

#[tokio::test]
async fn a_file_that_was_changed_meanwhile_is_not_put_together() {
    let changed = status("412 Precondition Failed", "");
    let (text, _) = read(vec![part("200 OK", 0, 4, "\"v1\""), changed]).await;
    assert!(text.unwrap_err().is_precondition_failed());
    // A proxy that knows no ranges would begin anew.
    let (text, _) = read(vec![part("200 OK", 0, 4, "\"v1\""), part("200 OK", 0, 10, "\"v1\"")]).await;
    assert!(text.unwrap_err().is_decode());
    // A weak tag, or none, says nothing about the bytes.
    for etag in ["W/\"v1\"", ""] {
        let (text, _) = read(vec![part("200 OK", 0, 4, etag), part("206 Partial Content", 4, 6, etag)]).await;
        let error = text.unwrap_err();
        assert!(error.is_disconnected() && error.status() == Some(200), "{error:?}");
    }
}

#[tokio::test]
async fn connections_that_bring_nothing_are_given_up() {
    let partial = || part("206 Partial Content", 4, 0, "\"v1\"");
    let (text, _) =
        read(vec![part("200 OK", 0, 4, "\"v1\""), partial(), partial(), partial(), partial()]).await;
    assert!(text.unwrap_err().is_disconnected());
}
