//! The route of MCP servers.

use axum::{body::Body, response::IntoResponse};
use futures::stream;
use serde_json::{Value, json};

use super::*;

const PATH: &str = "/mcp/tools";

fn declared() -> McpServer {
    McpServer::new("tools", "https://mcp.example/mcp?a=b")
}

fn listed(id: u64) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "result": {"tools": [{"name": "search"}, {"name": "delete"}]}})
}

async fn ask(outside: &Outside, message: Value) -> reqwest::Response {
    let request = client().post(outside.url(PATH)).bearer_auth("the-agents-token").header("cookie", "a=b");
    let request =
        request.header("accept", "application/json, text/event-stream").header("mcp-session-id", "s1");
    request.body(message.to_string()).send().await.unwrap()
}

fn call(tool: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": tool, "arguments": {"a": 1}}})
}

/// A server that answers with what it was asked: its headers and the body.
async fn echo() -> Server {
    Server::answering(|_, headers, body| {
        let headers: Vec<_> =
            headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        let answer =
            json!({"jsonrpc": "2.0", "id": body["id"], "result": {"headers": headers, "body": body}});
        let response = if body["params"]["name"] == "stream" {
            let text = format!("event: message\r\nid: 5\r\ndata: {answer}\r\n\r\n");
            ([("content-type", "text/event-stream")], text).into_response()
        } else if body["params"]["name"] == "fail" {
            (http::StatusCode::FORBIDDEN, answer.to_string()).into_response()
        } else {
            ([("mcp-session-id", "s2"), ("set-cookie", "a=b")], axum::Json(answer)).into_response()
        };
        std::future::ready(response)
    })
    .await
}

#[tokio::test]
async fn only_allowed_tools_are_listed_in_json_and_in_events() {
    let server = Server::answering(|_, headers, _| {
        let events = format!(
            ": hello\n\ndata: {}\n\nid: 3\r\ndata: {}\r\n\r\nevent: x\ndata: y\n\n",
            listed(1),
            listed(2)
        );
        std::future::ready(match headers["accept"].to_str().unwrap() {
            "application/json" => axum::Json(listed(1)).into_response(),
            _ => {
                let pieces: Vec<_> = events
                    .into_bytes()
                    .chunks(5)
                    .map(|piece| Ok::<_, std::io::Error>(piece.to_vec()))
                    .collect();
                ([("content-type", "text/event-stream")], Body::from_stream(stream::iter(pieces)))
                    .into_response()
            }
        })
    })
    .await;
    let outside = Outside::new(None, &[], Some((declared().tools(["search"]), &server))).await;
    let expected = json!({"jsonrpc": "2.0", "id": 1, "result": {"tools": [{"name": "search"}]}});
    let list = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"});
    let request = client().post(outside.url(PATH)).body(list.to_string());
    let answer = request.header("accept", "application/json").send().await.unwrap();
    assert_eq!(answer.read_json().await, expected);
    for request in [client().post(outside.url(PATH)).body(list.to_string()), client().get(outside.url(PATH))]
    {
        let answer =
            request.header("accept", "text/event-stream").header("last-event-id", "2").send().await.unwrap();
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        let text = answer.text().await.unwrap();
        let first = expected.to_string();
        assert_eq!(
            text,
            format!(
                ": hello\n\ndata: {first}\n\nid: 3\ndata: {}\n\nevent: x\ndata: y\n\n",
                first.replace(":1,", ":2,")
            )
        );
        assert_eq!(server.asked().last().unwrap().0["last-event-id"], "2");
    }
}

#[tokio::test]
async fn a_call_of_another_tool_is_never_passed_on() {
    let server = echo().await;
    let outside = Outside::new(None, &[], Some((declared().tools(["search"]), &server))).await;
    let answer = ask(&outside, call("delete")).await;
    assert_eq!(answer.status(), 200);
    let answer = answer.read_json().await;
    assert_eq!((&answer["id"], &answer["error"]["code"]), (&json!(7), &json!(-32602)));
    assert_eq!(answer["error"]["message"], "tool not allowed");
    let batch = ask(&outside, json!([call("search"), call("delete")])).await;
    assert_eq!(batch.status(), 400);
    assert!(server.asked().is_empty());
    assert_eq!(ask(&outside, call("search")).await.read_json().await["id"], 7);
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn the_server_is_told_the_customer_and_gets_the_headers_of_the_deployment() {
    let server = echo().await;
    let with_headers = declared().header("Authorization", "Bearer ${TOKEN}").header("X-Team", "$5 a");
    let outside = Outside::new(None, &[], Some((with_headers, &server))).await;
    let answer = ask(&outside, call("search")).await;
    assert_eq!(answer.headers()["mcp-session-id"], "s2");
    assert!(!answer.headers().contains_key("set-cookie"));
    let (headers, _) = server.asked().remove(0);
    let mut names: Vec<_> = headers.keys().map(|name| name.as_str()).collect();
    names.sort_unstable();
    let expected = [
        "accept",
        "accept-encoding",
        "authorization",
        "content-length",
        "content-type",
        "host",
        "mcp-session-id",
        "user-agent",
        "x-prism-customer-id",
        "x-team",
    ];
    assert_eq!(names, expected);
    assert_eq!(headers["authorization"], format!("Bearer {SECRET}"));
    assert_eq!(
        (&headers["x-team"], &headers["mcp-session-id"]),
        (&"$5 a".parse().unwrap(), &"s1".parse().unwrap())
    );
    assert_eq!(headers["x-prism-customer-id"], "cus%20%C3%BC%25");
    let mut expected = call("search");
    expected["params"]["_meta"] = json!({"prism/customer_id": "cus ü%"});
    assert_eq!(server.last(), expected);
    let deleted = client().delete(outside.url(PATH)).send().await.unwrap();
    assert_eq!(deleted.status(), 200);
    assert_eq!(server.asked().len(), 2);
}

#[tokio::test]
async fn a_server_that_repeats_a_secret_is_scrubbed_and_a_new_value_counts_at_once() {
    let server = echo().await;
    let outside = Outside::new(None, &[], Some((declared().header("X-Key", "${TOKEN}"), &server))).await;
    for (round, value) in [SECRET, "rotated-secret", "rotated-again"].into_iter().enumerate() {
        set_secret(&outside.store, value).await;
        for (number, tool) in ["search", "stream", "fail"].into_iter().enumerate() {
            let answer = ask(&outside, call(tool)).await;
            assert_eq!(answer.status(), if tool == "fail" { 403 } else { 200 });
            let text = answer.text().await.unwrap();
            assert!(text.contains("x-key: [redacted]"), "{text}");
            assert_eq!(server.asked()[round * 3 + number].0["x-key"], value);
        }
        assert_eq!(outside.outbound.scrubber().text(value), "[redacted]");
    }
    assert_eq!(outside.outbound.scrubber().text("rotated-secret"), "[redacted]", "the former value");
}

#[tokio::test]
async fn a_secret_that_is_gone_is_named_and_nothing_is_asked() {
    let server = echo().await;
    let outside = Outside::new(None, &[], Some((declared().header("X-Key", "${TOKEN}"), &server))).await;
    let gone = Write::DeleteSecret(records::id("ten_", 1), records::id("sec_", 1));
    commit(outside.store.as_ref(), [gone]).await.unwrap();
    let answer = ask(&outside, call("search")).await.read_json().await;
    let message = answer["error"]["message"].as_str().unwrap();
    assert!(message.contains("`TOKEN`") && !message.contains("hunter2"), "{message}");
    assert_eq!(client().get(outside.url(PATH)).send().await.unwrap().status(), 502);
    set_secret(&outside.store, "line\nfeed").await;
    let answer = ask(&outside, call("search")).await.read_json().await;
    assert!(answer["error"]["message"].as_str().unwrap().contains("a value that no header can have"));
    assert!(server.asked().is_empty());
}

#[tokio::test]
async fn addresses_that_are_not_public_are_never_asked() {
    let server = echo().await;
    let port = server.origin.rsplit_once(':').unwrap().1.to_owned();
    for url in [
        format!("http://127.0.0.1:{port}/"),
        format!("http://localhost:{port}/"),
        "http://localhost:8080/".to_owned(),
        "http://169.254.169.254/latest/meta-data".to_owned(),
        "http://[::ffff:10.0.0.1]/".to_owned(),
    ] {
        let outside = Outside::new(None, &[], Some((McpServer::new("tools", url.clone()), &server))).await;
        let answer = ask(&outside, call("search")).await.read_json().await;
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(message.ends_with("the URL does not lead to a public address"), "{url}: {message}");
    }
    assert!(server.asked().is_empty());
}

#[tokio::test]
async fn requests_and_answers_have_their_limits() {
    let server = Server::answering(|_, _, body| {
        let asked: Value = serde_json::from_slice(&body).unwrap();
        let length = usize::try_from(asked["length"].as_u64().unwrap_or(9)).unwrap();
        std::future::ready(if asked["method"] == "stream" {
            let text = format!("data: ok\n\ndata: {}\n\n", "x".repeat(length - 6));
            ([("content-type", "text/event-stream")], text).into_response()
        } else {
            ([("content-type", "application/json")], format!("\"{}\"", "x".repeat(length - 2)))
                .into_response()
        })
    })
    .await;
    let outside = Outside::new(None, &[], Some((declared(), &server))).await;
    let asked = |method: &str, length: usize| json!({"id": 1, "method": method, "length": length});
    let fits = ask(&outside, asked("whole", limits::MCP_ANSWER)).await;
    assert_eq!(fits.bytes().await.unwrap().len(), limits::MCP_ANSWER);
    let too_long = ask(&outside, asked("whole", limits::MCP_ANSWER + 1)).await.read_json().await;
    assert!(too_long["error"]["message"].as_str().unwrap().contains("longer than"), "{too_long}");
    let fits = ask(&outside, asked("stream", limits::MCP_ANSWER)).await.text().await.unwrap();
    assert!(fits.len() > limits::MCP_ANSWER);
    let mut too_long = ask(&outside, asked("stream", limits::MCP_ANSWER + 1)).await;
    assert_eq!(too_long.chunk().await.unwrap().unwrap(), "data: ok\n\n");
    assert!(too_long.chunk().await.is_err(), "broken off");

    let before = server.asked().len();
    let sized = |length: usize| format!("{{\"a\":\"{}\"}}", "a".repeat(length - 8));
    let answer = client().post(outside.url(PATH)).body(sized(limits::MCP_REQUEST)).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let answer = client().post(outside.url(PATH)).body(sized(limits::MCP_REQUEST + 1)).send().await;
    assert!(answer.is_err() || answer.is_ok_and(|answer| answer.status() == 413));
    assert_eq!(server.asked().len(), before + 1);
}

#[tokio::test]
async fn redirects_compressed_answers_and_unknown_names_are_refused() {
    let server = Server::answering(|_, _, body| {
        let asked: Value = serde_json::from_slice(&body).unwrap();
        std::future::ready(match asked["method"].as_str().unwrap() {
            "redirect" => (http::StatusCode::FOUND, [("location", "http://127.0.0.1/")], "").into_response(),
            "compressed" => {
                ([("content-encoding", "gzip"), ("content-type", "application/json")], "{}").into_response()
            }
            "accepted" => http::StatusCode::ACCEPTED.into_response(),
            _ => http::StatusCode::NOT_FOUND.into_response(),
        })
    })
    .await;
    let outside = Outside::new(None, &[], Some((declared(), &server))).await;
    for method in ["redirect", "compressed"] {
        let answer = ask(&outside, json!({"id": 1, "method": method})).await;
        assert!(!answer.headers().contains_key("location"));
        assert_eq!(answer.read_json().await["error"]["code"], -32603);
        assert_eq!(
            ask(&outside, json!({"method": method})).await.status(),
            502,
            "a notification has no answer"
        );
    }
    assert_eq!(ask(&outside, json!({"method": "accepted"})).await.status(), 202);
    assert_eq!(
        ask(&outside, json!({"id": 1, "method": "session"})).await.status(),
        404,
        "a session that is over"
    );
    let unknown = client().post(outside.url("/mcp/other")).body("{}").send().await.unwrap();
    assert_eq!(unknown.status(), 404);
}
