//! An MCP server whose tools answer what a test says, over streamable HTTP.
//!
//! It keeps sessions as a real one does: a request must carry the id that `initialize` was answered with. It
//! sends nothing of its own accord, so `GET` is refused, as the protocol allows.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use bytes::Bytes;
use serde_json::{Value, json};

use super::local_server::{LocalServer, RecordedRequest};

const SESSION: &str = "mcp-session-id";
/// The version of the protocol for clients that ask for none.
const VERSION: &str = "2025-06-18";

/// The server: see the [module](self). It ends when this is dropped.
#[derive(Debug)]
pub struct ScriptedMcp {
    server: LocalServer,
}

/// A tool of the server. It takes any arguments.
#[derive(Debug, Clone)]
pub struct McpTool {
    name: String,
    answer: ToolAnswer,
}

/// In which of the two forms of the protocol a server answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "the protocol has these two")]
pub enum McpForm {
    /// A body of JSON.
    Json,
    /// A stream of one server-sent event.
    EventStream,
}

#[derive(Debug, Clone)]
enum ToolAnswer {
    Text(String),
    Error(String),
    Arguments,
    Header(String),
}

impl McpTool {
    /// A tool that always answers with this text.
    pub fn text(name: &str, text: &str) -> Self {
        Self { name: name.to_owned(), answer: ToolAnswer::Text(text.to_owned()) }
    }

    /// A tool that always fails with this text.
    pub fn failing(name: &str, text: &str) -> Self {
        Self { name: name.to_owned(), answer: ToolAnswer::Error(text.to_owned()) }
    }

    /// A tool that answers with its arguments, as JSON.
    pub fn echo(name: &str) -> Self {
        Self { name: name.to_owned(), answer: ToolAnswer::Arguments }
    }

    /// A tool that answers with a header of the request, as an indiscreet server could.
    pub fn echo_header(name: &str, header: &str) -> Self {
        Self { name: name.to_owned(), answer: ToolAnswer::Header(header.to_owned()) }
    }
}

impl ScriptedMcp {
    /// Serves the tools on a free port of the loopback interface.
    ///
    /// # Errors
    /// When there is no port.
    pub async fn start(form: McpForm, tools: impl IntoIterator<Item = McpTool>) -> io::Result<Self> {
        let tools = tools.into_iter().collect();
        let state = Arc::new(Server { form, tools, sessions: AtomicU64::new(0) });
        let router = Router::new()
            .route("/mcp", post(answer).delete(async || StatusCode::NO_CONTENT))
            // The server has a limit already.
            .layer(DefaultBodyLimit::disable())
            .with_state(state);
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Ok(Self { server: LocalServer::start(listen, router).await? })
    }

    /// The URL for clients, such as `http://127.0.0.1:18081/mcp`.
    pub fn url(&self) -> String {
        format!("http://{}/mcp", self.server.address())
    }

    /// The requests so far, oldest first: the last 2,000 of them, within 128 MiB.
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.server.requests()
    }

    /// The calls of a tool so far, oldest first.
    pub fn calls(&self, tool: &str) -> Vec<RecordedRequest> {
        let mut requests = self.requests();
        requests.retain(|request| {
            let body = request.json();
            body["method"] == "tools/call" && body["params"]["name"] == tool
        });
        requests
    }
}

struct Server {
    form: McpForm,
    tools: Vec<McpTool>,
    /// How many sessions were begun; their ids count them.
    sessions: AtomicU64,
}

async fn answer(State(server): State<Arc<Server>>, headers: HeaderMap, body: Bytes) -> Response {
    let message: Value = match serde_json::from_slice(&body) {
        Ok(message) => message,
        Err(error) => return failure(&Value::Null, -32700, &error.to_string()),
    };
    let (id, method) = (&message["id"], message["method"].as_str().unwrap_or_default());
    if method == "initialize" {
        let session = server.sessions.fetch_add(1, Ordering::Relaxed) + 1;
        let result = initialized(&message["params"]);
        return ([(SESSION, format!("session-{session}"))], server.success(id, result)).into_response();
    }
    match headers.get(SESSION).map(|session| session.to_str().unwrap_or_default()) {
        None => return (StatusCode::BAD_REQUEST, "a session id is missing").into_response(),
        Some(session) if server.has_session(session) => {}
        Some(_) => return (StatusCode::NOT_FOUND, "there is no such session").into_response(),
    }
    if id.is_null() {
        return StatusCode::ACCEPTED.into_response();
    }
    match method {
        "ping" => server.success(id, json!({})),
        "tools/list" => {
            server.success(id, json!({"tools": server.tools.iter().map(described).collect::<Value>()}))
        }
        "tools/call" => match server.call(&message["params"], &headers) {
            Some(result) => server.success(id, result),
            None => failure(id, -32602, "there is no such tool"),
        },
        _ => failure(id, -32601, "there is no such method"),
    }
}

impl Server {
    fn has_session(&self, session: &str) -> bool {
        let number = session.strip_prefix("session-").and_then(|number| number.parse().ok());
        number.is_some_and(|number| (1..=self.sessions.load(Ordering::Relaxed)).contains(&number))
    }

    fn call(&self, params: &Value, headers: &HeaderMap) -> Option<Value> {
        let tool = self.tools.iter().find(|tool| params["name"] == tool.name.as_str())?;
        let (text, is_error) = match &tool.answer {
            ToolAnswer::Text(text) => (text.clone(), false),
            ToolAnswer::Error(text) => (text.clone(), true),
            ToolAnswer::Arguments => (params["arguments"].to_string(), false),
            ToolAnswer::Header(name) => {
                let value = headers.get(name).and_then(|value| value.to_str().ok());
                (format!("{name}: {}", value.unwrap_or_default()), false)
            }
        };
        Some(json!({"content": [{"type": "text", "text": text}], "isError": is_error}))
    }

    fn success(&self, id: &Value, result: Value) -> Response {
        let message = json!({"jsonrpc": "2.0", "id": id, "result": result});
        match self.form {
            McpForm::Json => Json(message).into_response(),
            McpForm::EventStream => {
                let event = format!("event: message\ndata: {message}\n\n");
                ([(header::CONTENT_TYPE, "text/event-stream")], event).into_response()
            }
        }
    }
}

fn initialized(params: &Value) -> Value {
    json!({
        "protocolVersion": params["protocolVersion"].as_str().unwrap_or(VERSION),
        "capabilities": {"tools": {"listChanged": false}},
        "serverInfo": {"name": "scripted", "version": "1"},
    })
}

fn described(tool: &McpTool) -> Value {
    json!({
        "name": tool.name,
        "description": format!("The tool {} of a test.", tool.name),
        "inputSchema": {"type": "object", "properties": {}, "additionalProperties": true},
    })
}

fn failure(id: &Value, code: i32, message: &str) -> Response {
    Json(json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message}})).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn server(form: McpForm) -> ScriptedMcp {
        let tools = [
            McpTool::text("fixed", "always"),
            McpTool::failing("broken", "no"),
            McpTool::echo("echo"),
            McpTool::echo_header("header", "x-customer"),
        ];
        ScriptedMcp::start(form, tools).await.unwrap()
    }

    async fn send(server: &ScriptedMcp, session: Option<&str>, message: Value) -> reqwest::Response {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let mut request = client.post(server.url()).header("x-customer", "cus_1");
        if let Some(session) = session {
            request = request.header(SESSION, session);
        }
        request.body(message.to_string()).send().await.unwrap()
    }

    async fn result(server: &ScriptedMcp, method: &str, params: Value) -> Value {
        let message = json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params});
        let text = send(server, Some("session-1"), message).await.text().await.unwrap();
        let json = text.strip_prefix("event: message\ndata: ").unwrap_or(&text);
        let answer: Value = serde_json::from_str(json).unwrap();
        assert_eq!((&answer["id"], &answer["jsonrpc"]), (&json!(7), &json!("2.0")));
        answer
    }

    #[tokio::test]
    async fn tools_are_listed_and_called_in_both_forms() {
        for form in [McpForm::Json, McpForm::EventStream] {
            let server = server(form).await;
            let hello = json!({"id": 1, "method": "initialize", "params": {"protocolVersion": "2025-03-26"}});
            let answer = send(&server, None, hello).await;
            assert_eq!(answer.headers()[SESSION], "session-1");
            assert!(answer.text().await.unwrap().contains("2025-03-26"));
            let notification = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
            assert_eq!(send(&server, Some("session-1"), notification).await.status(), 202);
            assert_eq!(result(&server, "ping", json!({})).await["result"], json!({}));
            let tools = result(&server, "tools/list", json!({})).await["result"]["tools"].clone();
            let names: Vec<_> = tools.as_array().unwrap().iter().map(|tool| tool["name"].clone()).collect();
            assert_eq!(names, ["fixed", "broken", "echo", "header"]);
            for (tool, text, is_error) in [
                ("fixed", "always", false),
                ("broken", "no", true),
                ("echo", r#"{"a":1}"#, false),
                ("header", "x-customer: cus_1", false),
            ] {
                let params = json!({"name": tool, "arguments": {"a": 1}});
                let answer = result(&server, "tools/call", params).await["result"].clone();
                assert_eq!(answer["content"][0]["text"], text);
                assert_eq!(answer["isError"], is_error);
            }
            assert_eq!(server.calls("echo").len(), 1);
            assert_eq!(server.calls("echo")[0].header("x-customer"), "cus_1");
        }
    }

    #[tokio::test]
    async fn what_is_not_there_is_refused() {
        let server = server(McpForm::Json).await;
        let ping = json!({"id": 1, "method": "ping"});
        assert_eq!(send(&server, None, ping.clone()).await.status(), 400);
        assert_eq!(send(&server, Some("session-1"), ping).await.status(), 404);
        send(&server, None, json!({"id": 1, "method": "initialize"})).await;
        let code = async |method, params| result(&server, method, params).await["error"]["code"].clone();
        assert_eq!(code("tools/call", json!({"name": "nothing"})).await, -32602);
        assert_eq!(code("resources/list", json!({})).await, -32601);
        let get = reqwest::get(server.url()).await.unwrap();
        assert_eq!(get.status(), StatusCode::METHOD_NOT_ALLOWED);
    }
}
