//! Lists as streams.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use futures::{StreamExt, TryStreamExt, stream::FusedStream};
use prism_client::types::{Cursor, Memory};
use serde_json::{Value, json};
use support::{client, deployment_id, error};
use wiremock::{
    Mock, MockServer, ResponseTemplate,
    matchers::{any, path, query_param, query_param_is_missing},
};

const MEMORIES: &str = "/v1/deployments/dep_7xK9s2/memories";

fn memory(number: u32) -> Value {
    json!({
        "memory_id": format!("mem_{number}"), "content": "x", "source": "api",
        "created_at": "2026-06-11T20:55:03Z", "updated_at": "2026-06-11T20:55:03Z",
    })
}

async fn page(server: &MockServer, at: Option<&str>, numbers: &[u32], next: Option<&str>) {
    let data: Vec<_> = numbers.iter().map(|number| memory(*number)).collect();
    let answer = ResponseTemplate::new(200).set_body_json(json!({"data": data, "next_cursor": next}));
    let mock = Mock::given(path(MEMORIES));
    let mock = match at {
        Some(cursor) => mock.and(query_param("cursor", cursor)),
        None => mock.and(query_param_is_missing("cursor")),
    };
    mock.respond_with(answer).mount(server).await;
}

/// Five memories on four pages, of which one is empty.
async fn server() -> MockServer {
    let server = MockServer::start().await;
    page(&server, None, &[1, 2], Some("a")).await;
    page(&server, Some("a"), &[], Some("b")).await;
    page(&server, Some("b"), &[3, 4], Some("c")).await;
    page(&server, Some("c"), &[5], None).await;
    server
}

fn number(memory: &Memory) -> u32 {
    memory.memory_id.suffix().parse().unwrap()
}

#[tokio::test]
async fn items_come_from_all_pages_in_their_order_and_keep_the_filters() {
    let server = server().await;
    let memories = client(&server.uri()).deployment(&deployment_id()).memories();
    let mut items = memories.list().limit(2).q("tea").items();
    let mut read = Vec::new();
    while let Some(memory) = items.next().await.transpose().unwrap() {
        read.push(number(&memory));
    }
    assert_eq!(read, [1, 2, 3, 4, 5]);
    assert!(items.next().await.is_none() && items.is_terminated());
    let sent = server.received_requests().await.unwrap();
    assert_eq!(sent.len(), 4);
    for (request, cursor) in sent.iter().zip(["", "&cursor=a", "&cursor=b", "&cursor=c"]) {
        assert_eq!(request.url.query(), Some(&*format!("limit=2&q=tea{cursor}")));
    }
    let all = memories.list().items().all().await.unwrap();
    assert_eq!(all.iter().map(number).collect::<Vec<_>>(), read);
    let streamed: Vec<_> =
        memories.list().items().map_ok(|memory| number(&memory)).try_collect().await.unwrap();
    assert_eq!(streamed, read);
}

#[tokio::test]
async fn a_page_is_asked_for_when_it_is_wanted() {
    let server = server().await;
    let mut items = client(&server.uri()).deployment(&deployment_id()).memories().list().items();
    let asked = async || server.received_requests().await.unwrap().len();
    assert_eq!(asked().await, 0);
    items.next().await.unwrap().unwrap();
    items.next().await.unwrap().unwrap();
    assert_eq!(asked().await, 1);
    // A future that is dropped loses nothing.
    assert!(futures::poll!(Box::pin(items.next())).is_pending());
    assert_eq!(number(&items.next().await.unwrap().unwrap()), 3);
}

#[tokio::test]
async fn another_process_goes_on_where_one_stopped() {
    let server = server().await;
    let memories = client(&server.uri()).deployment(&deployment_id()).memories();
    let mut pages = memories.list().pages();
    assert_eq!(pages.cursor(), None);
    pages.next().await.unwrap().unwrap();
    let stored = serde_json::to_string(&pages.cursor()).unwrap();
    let cursor: Cursor = serde_json::from_str(&stored).unwrap();
    let rest = memories.list().cursor(cursor.clone()).items();
    assert_eq!(rest.cursor(), Some(&cursor));
    assert_eq!(rest.all().await.unwrap().iter().map(number).collect::<Vec<_>>(), [3, 4, 5]);

    // In the middle of a page its items come again; at its end the next page does.
    let mut items = memories.list().items();
    for (read, place) in [(1, None), (2, Some("a")), (3, Some("b")), (4, Some("c")), (5, None)] {
        assert_eq!(number(&items.next().await.unwrap().unwrap()), read);
        assert_eq!(items.cursor().map(Cursor::as_str), place, "after {read}");
    }
}

#[tokio::test]
async fn an_error_ends_the_stream_and_keeps_the_place() {
    let server = MockServer::start().await;
    page(&server, None, &[1], Some("a")).await;
    let refused = ResponseTemplate::new(500).set_body_json(error("internal_error"));
    Mock::given(any()).and(query_param("cursor", "a")).respond_with(refused).mount(&server).await;
    let mut pages = client(&server.uri()).deployment(&deployment_id()).memories().list().pages();
    let first = pages.next().await.unwrap().unwrap();
    assert_eq!((first.status(), first.data.len()), (200, 1));
    assert_eq!(pages.next().await.unwrap().unwrap_err().status(), Some(500));
    assert_eq!(pages.cursor().map(Cursor::as_str), Some("a"));
    assert!(pages.next().await.is_none() && pages.is_terminated());
}

/// It would never end.
#[tokio::test]
async fn a_page_that_names_itself_is_an_error() {
    let server = MockServer::start().await;
    page(&server, None, &[1], Some("a")).await;
    page(&server, Some("a"), &[2], Some("a")).await;
    let items = client(&server.uri()).deployment(&deployment_id()).memories().list().items();
    let read: Vec<_> = items.collect().await;
    assert_eq!(read.len(), 2);
    let error = read[1].as_ref().unwrap_err();
    assert!(error.is_decode() && error.to_string().contains("`next_cursor`"), "{error}");
}

#[tokio::test]
async fn a_directory_is_a_list_too() {
    let server = MockServer::start().await;
    let answer = |names: &[&str], next: Option<&str>| {
        let entries: Vec<_> = names
            .iter()
            .map(|name| json!({"name": name, "type": "file", "size": 1, "modified_at": "2026-06-11T20:55:03Z"}))
            .collect();
        ResponseTemplate::new(200)
            .set_body_json(json!({"path": "d", "entries": entries, "next_cursor": next}))
    };
    let first = Mock::given(any()).and(query_param_is_missing("cursor"));
    first.respond_with(answer(&["a", "b"], Some("n"))).mount(&server).await;
    let second = Mock::given(any()).and(query_param("cursor", "n")).and(query_param("path", "d"));
    second.respond_with(answer(&["c"], None)).mount(&server).await;
    let entries = client(&server.uri()).deployment(&deployment_id()).files().list("d").items();
    let names: Vec<_> = entries.map_ok(|entry| entry.name).try_collect().await.unwrap();
    assert_eq!(names, ["a", "b", "c"]);
}
