//! Tools that are switched off, calls that need an approval, and asking servers for their tools.

use axum::response::IntoResponse;
use prism_types::ApprovalPolicy;
use serde_json::{Value, json};

use super::*;
use crate::{
    domain::{limits, tool::ToolName},
    ports::ToolCall,
};

const PATH: &str = "/mcp/acme";

fn declared() -> McpServer {
    McpServer::new("acme", "https://mcp.example/mcp").header("X-Key", "${TOKEN}")
}

/// A server that lists tools a page at a time, and answers calls.
async fn lists(pages: usize, tools_of_a_page: usize) -> Server {
    Server::answering(move |_, _, body| {
        let message: Value = serde_json::from_slice(&body).unwrap_or_default();
        let result = match message["method"].as_str().unwrap_or_default() {
            "initialize" => json!({
                "protocolVersion": "2025-06-18", "capabilities": {"tools": {}},
                "serverInfo": {"name": "test", "version": "1"},
            }),
            "tools/list" => {
                let page: usize = message["params"]["cursor"].as_str().unwrap_or("0").parse().unwrap();
                let tool = |number| json!({"name": format!("tool-{page}-{number}"), "inputSchema": {"type": "object"}});
                let tools: Vec<_> = (0..tools_of_a_page).map(tool).collect();
                let next = (page + 1 < pages).then(|| (page + 1).to_string());
                json!({"tools": tools, "nextCursor": next})
            }
            _ => json!({"content": []}),
        };
        std::future::ready(if message["id"].is_null() {
            http::StatusCode::ACCEPTED.into_response()
        } else {
            axum::Json(json!({"jsonrpc": "2.0", "id": message["id"], "result": result})).into_response()
        })
    })
    .await
}

async fn listed(outside: &Outside) -> ListedServer {
    let servers = outside.outbounds.list_tools(&outside.deployment, (*outside.spec).clone()).await.unwrap();
    let [server] = &servers[..] else { panic!("{servers:?}") };
    server.clone()
}

#[tokio::test]
async fn all_pages_of_tools_are_read_up_to_the_limits() {
    for (pages, tools, count, told) in [
        (1, 0, 0, None),
        (limits::MCP_TOOL_PAGES, 50, limits::MCP_TOOLS_LISTED, None),
        (limits::MCP_TOOL_PAGES + 1, 1, limits::MCP_TOOL_PAGES, Some("more than 20 pages")),
        (1, limits::MCP_TOOLS_LISTED + 1, limits::MCP_TOOLS_LISTED, Some("more than 1000 tools")),
    ] {
        let server = lists(pages, tools).await;
        let outside = Outside::new(None, &[], Some((declared(), &server))).await;
        let listed = listed(&outside).await;
        assert_eq!(listed.tools.len(), count, "{:?}", listed.error);
        assert_eq!(listed.error.is_some(), told.is_some(), "{:?}", listed.error);
        assert!(listed.error.unwrap_or_default().contains(told.unwrap_or_default()));
        for (headers, _) in server.asked() {
            assert_eq!(headers["x-key"], SECRET);
            assert_eq!(headers["x-prism-customer-id"], "cus%20%C3%BC%25");
        }
    }
}

#[tokio::test]
async fn a_server_that_answers_something_else_is_told_with_the_reason_and_without_secrets() {
    let odd = |answer: &'static str, status: u16| {
        Server::answering(move |_, _, _| {
            let status = http::StatusCode::from_u16(status).unwrap();
            let json = [("content-type", "application/json")];
            std::future::ready((status, json, answer).into_response())
        })
    };
    let error =
        r#"{"jsonrpc": "2.0", "id": 0, "error": {"code": -32000, "message": "no: hunter2-\"secret\""}}"#;
    for (answer, status, told) in [
        ("nothing", 200, "no message of MCP"),
        ("", 500, "status 500"),
        ("", 401, "status 401"),
        (error, 200, "no: [redacted]"),
    ] {
        let server = odd(answer, status).await;
        let outside = Outside::new(None, &[], Some((declared(), &server))).await;
        let listed = listed(&outside).await;
        let error = listed.error.unwrap();
        assert!(error.contains(told), "{error}");
        assert!(listed.tools.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_is_waited_for_no_longer_than_the_limit() {
    let server = Server::answering(|_, _, _| std::future::pending::<Response>()).await;
    let outside = Outside::new(None, &[], Some((declared(), &server))).await;
    let listed = listed(&outside).await;
    assert_eq!(listed.error.as_deref(), Some("it did not list its tools within 10 seconds"));
}

#[tokio::test]
async fn only_so_many_lists_are_made_at_a_time() {
    let server = Server::answering(|_, _, _| std::future::pending::<Response>()).await;
    let outside = Outside::new(None, &[], Some((declared(), &server))).await;
    let list = || outside.outbounds.list_tools(&outside.deployment, (*outside.spec).clone());
    let mut open: Vec<_> = (0..limits::MCP_LISTINGS).map(|_| Box::pin(list())).collect();
    for listing in &mut open {
        assert!(futures::poll!(listing.as_mut()).is_pending());
    }
    assert!(list().await.is_none());
    drop(open);
    assert!(futures::poll!(Box::pin(list()).as_mut()).is_pending());
}

async fn call(outside: &Outside, tool: &str, arguments: Value) -> Value {
    let params = json!({"name": tool, "arguments": arguments});
    let message = json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params});
    let request = client().post(outside.url(PATH)).header("accept", "application/json, text/event-stream");
    request.body(message.to_string()).send().await.unwrap().read_json().await
}

#[tokio::test]
async fn a_tool_that_is_switched_off_is_not_listed_and_not_called() {
    let server = lists(1, 2).await;
    let off = ToolName::of_server("acme", "tool-0-1");
    let outside = Outside::with(None, &[], Some((declared(), &server)), |spec| {
        spec.disabled_tools.insert(off);
        spec.disabled_tools.insert(ToolName::of_server("other", "tool-0-0"));
    });
    let outside = outside.await;
    let list = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"});
    let answer = client().post(outside.url(PATH)).body(list.to_string()).send().await.unwrap();
    let tools = answer.read_json().await["result"]["tools"].clone();
    assert_eq!(tools.as_array().unwrap().len(), 1);
    assert_eq!(tools[0]["name"], "tool-0-0");
    assert_eq!(call(&outside, "tool-0-1", json!({})).await["error"]["message"], "tool not allowed");
    assert!(call(&outside, "tool-0-0", json!({})).await["error"].is_null());
    // For the API it is listed all the same.
    assert_eq!(listed(&outside).await.tools.len(), 2);
}

#[tokio::test]
async fn a_call_that_needs_approval_passes_once_when_a_human_allowed_exactly_that() {
    let server = lists(1, 0).await;
    let outside = Outside::with(None, &[], Some((declared(), &server)), |spec| {
        spec.approvals = ApprovalPolicy::new(["acme/publish_*"]);
    });
    let outside = outside.await;
    let passes = async |tool: &str, arguments: Value| {
        let answer = call(&outside, tool, arguments).await;
        let message = answer["error"]["message"].as_str().unwrap_or_default();
        assert!(message.is_empty() || message.contains("has not approved this one"), "{answer}");
        message.is_empty()
    };
    let post = json!({"title": "Hi", "tags": [1.5, null]});
    assert!(passes("search", json!({})).await, "it needs none");
    assert!(!passes("publish_post", post.clone()).await);
    let allow = |tool: &str, arguments: Value| {
        let tool = ToolName::of_server("acme", tool);
        outside.outbound.allow_call(ToolCall { tool, arguments });
    };
    allow("publish_post", post.clone());
    assert!(!passes("publish_post", json!({"title": "Other", "tags": [1.5, null]})).await);
    assert!(!passes("publish_page", post.clone()).await);
    assert!(passes("publish_post", post.clone()).await);
    assert!(!passes("publish_post", post.clone()).await, "once");
    allow("publish_post", post.clone());
    let call = ToolCall { tool: ToolName::of_server("acme", "publish_post"), arguments: post.clone() };
    outside.outbound.withdraw_call(&call);
    assert!(!passes("publish_post", post).await);
    assert_eq!(server.asked().len(), 2, "what is refused is not passed on");
}

/// A server may have forgotten its session, and the agent then begins another one and calls again.
#[tokio::test]
async fn a_call_that_the_server_did_not_take_may_be_sent_again() {
    let server = Server::answering(|number, _, _| {
        let status = if number == 0 { http::StatusCode::NOT_FOUND } else { http::StatusCode::OK };
        std::future::ready(
            (status, axum::Json(json!({"jsonrpc": "2.0", "id": 7, "result": {}}))).into_response(),
        )
    });
    let server = server.await;
    let outside = Outside::with(None, &[], Some((declared(), &server)), |spec| {
        spec.approvals = ApprovalPolicy::new(["*/*"]);
    });
    let outside = outside.await;
    let tool = ToolName::of_server("acme", "publish");
    outside.outbound.allow_call(ToolCall { tool, arguments: json!({}) });
    for _ in 0..2 {
        call(&outside, "publish", json!({})).await;
    }
    assert_eq!(server.asked().len(), 2);
    assert!(!call(&outside, "publish", json!({})).await["error"].is_null());
}
