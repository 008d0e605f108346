//! Files that are sent and read tell how far they are.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::sync::{Arc, Mutex};

use futures::stream;
use prism_client::{
    Backoff, Client, RetryPolicy,
    resources::{FileBody, Files, Progress},
};
use serde_json::json;
use std::time::Duration;
use support::{KEY, deployment_id};
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
