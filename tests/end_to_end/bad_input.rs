//! Bodies and queries that no well-behaved client sends: a clear error each, never a 500.

use prism_tests::{Answer, TestServer, scripted_body};
use proptest::prelude::*;
use serde_json::{Value, json};

fn refused(answer: &Answer, told: &str) {
    assert_eq!((answer.status, answer.code()), (400, "validation_error"), "{answer:?}");
    assert!(answer.message().contains(told), "{told:?} is not in {:?}", answer.message());
}

#[tokio::test]
async fn bodies_that_are_not_json() {
    let server = TestServer::start().await;
    let http = server.http();
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let cases: [(&[u8], &str); 9] = [
        (b"", "the body is empty"),
        (b"{", "EOF while parsing"),
        (b"{\"name\": }", "line 1 column 10"),
        (b"{} {}", "trailing characters"),
        (b"\xff\xfe", "not valid JSON"),
        (b"{\"name\": \"\xff\"}", "invalid unicode"),
        (b"\x00", "not valid JSON"),
        (b"[1]", "must be an object, but is an array"),
        (deep.as_bytes(), "recursion limit"),
    ];
    for path in ["/v1/deployments", &format!("/v1/deployments/{}/messages", server.deploy("").await)] {
        for (body, told) in cases {
            refused(&http.post_bytes(path, body).await, told);
        }
    }
}

#[tokio::test]
async fn bodies_of_another_type() {
    let server = TestServer::start().await;
    let request = server.http().request("POST", "/v1/deployments").body("customer_id=1");
    let request = request.header("content-type", "application/x-www-form-urlencoded");
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 400);
    assert!(response.text().await.unwrap().contains("Content-Type: application/json"));
}

#[tokio::test]
async fn unknown_fields_are_named_with_the_nearest_known_one() {
    let server = TestServer::start().await;
    let mut body = scripted_body("");
    body["sytem_promt"] = json!("x");
    let answer = server.http().post("/v1/deployments", &body).await;
    refused(&answer, "$.sytem_promt: is not a known field; did you mean `system_prompt`?");
    body = scripted_body("");
    body["features"] = json!({"memmory": true});
    refused(&server.http().post("/v1/deployments", &body).await, "$.features.memmory");
}

#[tokio::test]
async fn nul_and_wrong_types_are_named_by_path() {
    let server = TestServer::start().await;
    let mut body = scripted_body("");
    body["name"] = json!("a\u{0}b");
    body["skills"] = json!({"0": 1});
    body["features"] = json!({"memory": "yes"});
    let answer = server.http().post("/v1/deployments", &body).await;
    for told in ["$.name: must not contain NUL", "$.skills: must be an array", "$.features.memory"] {
        refused(&answer, told);
    }
}

#[tokio::test]
async fn a_body_of_ten_megabytes_is_413_on_every_endpoint_that_takes_one() {
    let server = TestServer::start().await;
    let id = server.deploy("").await;
    let body = format!("{{\"content\": \"{}\"}}", "x".repeat(10_000_000));
    for (method, path) in [
        ("POST", "/v1/deployments".to_owned()),
        ("PATCH", format!("/v1/deployments/{id}")),
        ("POST", format!("/v1/deployments/{id}/messages")),
        ("POST", format!("/v1/deployments/{id}/threads")),
    ] {
        let request = server.http().request(method, &path).body(body.clone());
        let response = request.header("content-type", "application/json").send().await.unwrap();
        assert_eq!(response.status(), 413, "{method} {path}");
    }
}

#[tokio::test]
async fn parameters_that_an_endpoint_does_not_have_are_refused() {
    let server = TestServer::start().await;
    let id = server.deploy("").await;
    for path in ["", "/skills", "/threads", "/runs", "/events"] {
        let answer = server.http().get(&format!("/v1/deployments/{id}{path}?colour=red")).await;
        refused(&answer, "query.colour: is not a parameter of this endpoint");
    }
    let unclear = server.http().delete(&format!("/v1/deployments/{id}?retain_filesystem=1")).await;
    refused(&unclear, "query.retain_filesystem: must be `true` or `false`");
    let deleted = server.http().delete(&format!("/v1/deployments/{id}?retain_filesystem=false")).await;
    assert_eq!(deleted.status, 200);
    assert_eq!(deleted.body, json!({"deployment_id": id, "status": "deleted"}));
}

#[tokio::test]
async fn event_ids_that_name_no_event_of_the_log() {
    let server = TestServer::start().await;
    let (id, other) = (server.deploy("").await, server.deploy("").await);
    let (own, foreign) = (id.suffix(), other.suffix());
    for bad in [
        format!("evt_{own}_999"),
        format!("evt_{foreign}_0"),
        format!("evt_{own}_-1"),
        "evt_x".to_owned(),
        "1".to_owned(),
        "\u{e9}".to_owned(),
    ] {
        let request = server.http().request("GET", &format!("/v1/deployments/{id}/events"));
        let response = request.header("last-event-id", bad.as_bytes()).send().await.unwrap();
        assert_eq!(response.status(), 400, "{bad}");
    }
}

#[tokio::test]
async fn a_hundred_unread_messages_are_the_most() {
    let server = TestServer::start().await;
    let id = server.deploy("delay 3600s").await;
    let path = format!("/v1/deployments/{id}/messages");
    let message = json!({"content": "Hi"});
    // The first starts the run, which takes it; the following ones wait.
    let mut refused = 0;
    for _ in 0..105 {
        let answer = server.http().post(&path, &message).await;
        match answer.status {
            200 => assert_eq!(refused, 0),
            429 => {
                assert!(answer.message().contains("100 messages"), "{answer:?}");
                refused += 1;
            }
            _ => panic!("{answer:?}"),
        }
    }
    assert!((4..=5).contains(&refused), "{refused}");
}

#[tokio::test]
async fn a_thread_of_large_messages_answers_its_newest_four_mebibytes() {
    let server = TestServer::start().await;
    let id = server.deploy("delay 3600s").await;
    let text = |number: usize| format!("{number:03}{}", "x".repeat(128 * 1024 - 3));
    let mut thread = Value::Null;
    for number in 1..=40 {
        let body = json!({"content": text(number)});
        let answer = server.http().post(&format!("/v1/deployments/{id}/messages"), &body).await;
        assert_eq!(answer.status, 200, "{number}");
        thread = answer.body["thread_id"].clone();
    }
    let path = format!("/v1/deployments/{id}/threads/{}", thread.as_str().unwrap());
    let told = server.http().get(&path).await;
    let messages = told.body["messages"].as_array().unwrap();
    let numbers: Vec<_> = messages.iter().map(|m| m["content"].as_str().unwrap()[..3].to_owned()).collect();
    assert_eq!(numbers, (9..=40).map(|number| format!("{number:03}")).collect::<Vec<_>>());
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        let names = prop_oneof!["[a-z_]{1,12}", "(name|source|url|tools|content|path|type)"];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(names, inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Random values in the place of every field: whatever comes, it is no 500.
#[test]
fn no_value_of_any_field_is_a_server_error() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let server = runtime.block_on(TestServer::start());
    let deployment = runtime.block_on(server.deploy(""));
    const FIELDS: &[&str] = &[
        "customer_id",
        "name",
        "system_prompt",
        "runtime",
        "model",
        "sandbox",
        "mcp_servers",
        "skills",
        "secrets",
        "features",
        "content",
        "thread_id",
        "attachments",
        "title",
    ];
    proptest!(ProptestConfig::with_cases(300), |(field in prop::sample::select(FIELDS), value in json_value())| {
        let mut body = scripted_body("");
        body[field] = value.clone();
        let http = server.http();
        runtime.block_on(async {
            for path in ["".to_owned(), format!("/{deployment}/messages"), format!("/{deployment}/threads")] {
                let answer = http.post(&format!("/v1/deployments{path}"), &body).await;
                assert!(answer.status < 500, "{body} {answer:?}");
            }
            let answer = http.patch(&format!("/v1/deployments/{deployment}"), &json!({field: value})).await;
            assert!(answer.status < 500, "{body} {answer:?}");
        });
    });
}
