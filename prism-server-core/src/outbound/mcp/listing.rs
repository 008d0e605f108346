//! Asking MCP servers for their tools, for the API and not for an agent.
//!
//! The protocol is the official SDK's. What it sends goes the way of an agent's messages: the same addresses, headers,
//! customer, allowlist, limits and scrubbing. So what is listed is what an agent would see.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use axum::response::Response;
use bytes::Bytes;
use futures::{future::join_all, stream::BoxStream};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
    header::{ACCEPT, CONTENT_TYPE},
};
use http_body_util::BodyExt;
use prism_types::McpServer;
use rmcp::{
    model::{
        ClientCapabilities, ClientConfig, ClientJsonRpcMessage, Implementation, PaginatedRequestParams,
        ProtocolVersion, ServerJsonRpcMessage,
    },
    transport::streamable_http_client::{
        SseError, StreamableHttpClient, StreamableHttpClientTransport, StreamableHttpClientTransportConfig,
        StreamableHttpError, StreamableHttpPostResponse,
    },
};
use sse_stream::Sse;
use tokio::sync::Semaphore;

use super::{Agent, Refused, SESSION};
use crate::{
    domain::{checks, limits},
    outbound::sse::{self, Events},
};

/// Requests that one listing has open at a server at a time.
const REQUESTS: usize = 2;

/// What an MCP server said of its tools.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ListedServer {
    /// The server's name.
    pub(crate) server: String,
    /// Its tools, as far as they are known, in its order.
    pub(crate) tools: Vec<ListedTool>,
    /// Why they are not known, or not all of them.
    pub(crate) error: Option<String>,
}

/// A tool of an MCP server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ListedTool {
    pub(crate) name: String,
    pub(crate) description: Option<String>,
}

/// Asks all MCP servers of an agent at once.
pub(in crate::outbound) async fn list(agent: Arc<Agent>) -> Vec<ListedServer> {
    join_all(agent.spec.mcp_servers.iter().map(|server| list_one(agent.clone(), server))).await
}

async fn list_one(agent: Arc<Agent>, server: &McpServer) -> ListedServer {
    let client = Client {
        agent,
        server: server.name.clone(),
        permits: Arc::new(Semaphore::new(REQUESTS)),
        failure: Arc::default(),
    };
    let mut listed = ListedServer { server: server.name.clone(), tools: Vec::new(), error: None };
    let asked = tokio::time::timeout(limits::MCP_LISTING_TIME, ask(&client, &mut listed.tools)).await;
    listed.error = match asked {
        Ok(Ok(())) => None,
        // What went wrong below the SDK says more than what it makes of that.
        Ok(Err(reason)) => Some(client.failure().unwrap_or(reason)),
        Err(_) => {
            let seconds = limits::MCP_LISTING_TIME.as_secs();
            Some(format!("it did not list its tools within {seconds} seconds"))
        }
    };
    if let Some(error) = &mut listed.error {
        *error = client.agent.shared.secrets.scrubber().text(error).into_owned();
        error.truncate(error.floor_char_boundary(limits::TOOL_DESCRIPTION));
    }
    listed
}

/// Reads pages of tools until there are no more, or too many.
async fn ask(client: &Client, tools: &mut Vec<ListedTool>) -> Result<(), String> {
    let name = Implementation::new("prism", env!("CARGO_PKG_VERSION"));
    let capabilities = ClientCapabilities::default();
    let config = ClientConfig::new(capabilities, name).with_protocol_version(ProtocolVersion::V_2025_06_18);
    // The address is the agent's affair, see `Client`.
    let transport = StreamableHttpClientTransportConfig::with_uri(client.server.as_str());
    let transport = StreamableHttpClientTransport::with_client(client.clone(), transport);
    let session = rmcp::serve_client(config, transport).await.map_err(|error| error.to_string())?;
    let mut cursor = None;
    for _ in 0..limits::MCP_TOOL_PAGES {
        let page = PaginatedRequestParams::default().with_cursor(cursor);
        let page = session.list_tools(Some(page)).await.map_err(|error| error.to_string())?;
        for tool in page.tools {
            let name = checks::tool_name(&tool.name);
            let name = name.map_err(|rule| format!("the name of one of its tools {rule}"))?;
            if tools.len() >= limits::MCP_TOOLS_LISTED {
                return Err(format!("it has more than {} tools; the others are left out", tools.len()));
            }
            tools.push(ListedTool { name, description: tool.description.map(described) });
        }
        cursor = page.next_cursor;
        if cursor.is_none() {
            // Its session ends, if it has one, without anybody waiting for that.
            return Ok(());
        }
    }
    Err(format!("its tools have more than {} pages; the others are left out", limits::MCP_TOOL_PAGES))
}

fn described(text: impl AsRef<str>) -> String {
    let text = text.as_ref();
    text[..text.floor_char_boundary(limits::TOOL_DESCRIPTION)].to_owned()
}

/// What the SDK sends its messages by.
#[derive(Clone)]
struct Client {
    agent: Arc<Agent>,
    server: String,
    permits: Arc<Semaphore>,
    /// What went wrong last.
    failure: Arc<Mutex<Option<String>>>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Unanswered(String);

type Failed = StreamableHttpError<Unanswered>;

impl Client {
    fn failure(&self) -> Option<String> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn failed(&self, reason: impl Into<String>) -> Failed {
        let reason = reason.into();
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason.clone());
        StreamableHttpError::Client(Unanswered(reason))
    }

    async fn send(
        &self,
        method: Method,
        session: Option<Arc<str>>,
        headers: HashMap<HeaderName, HeaderValue>,
        body: Bytes,
    ) -> Result<Response, Failed> {
        let mut headers: HeaderMap = headers.into_iter().collect();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
        if let Some(session) = session {
            let session = HeaderValue::try_from(&*session);
            headers.insert(SESSION, session.map_err(|_| self.failed("its session's id fits no header"))?);
        }
        let permit = self.permits.clone().acquire_owned().await;
        let permit = permit.map_err(|_| self.failed("the server is stopping"))?;
        let server = self.agent.server(&self.server).map_err(|refused| self.failed(refused.message))?;
        let asked = self.agent.clone().ask(server, method, &headers, body, permit).await;
        asked.map_err(|Refused { message, .. }| self.failed(message))
    }

    /// The answer to a message, of a body of JSON or of the first event that has one.
    async fn answer(&self, mut response: Response) -> Result<ServerJsonRpcMessage, Failed> {
        let is_stream = response
            .headers()
            .get(CONTENT_TYPE)
            .is_some_and(|kind| kind.as_bytes().to_ascii_lowercase().starts_with(b"text/event-stream"));
        let broken_off = |_| self.failed("its answer was broken off");
        if !is_stream {
            let body = response.into_body().collect().await.map_err(broken_off)?.to_bytes();
            return serde_json::from_slice(&body).map_err(|_| self.failed("its answer is no message of MCP"));
        }
        let mut events = Events::new(limits::MCP_ANSWER);
        while let Some(frame) = response.body_mut().frame().await {
            let Ok(piece) = frame.map_err(broken_off)?.into_data() else { continue };
            let whole = events.push(&piece).map_err(|_| self.failed("an event of its answer is too long"))?;
            for data in whole.iter().filter_map(|event| sse::data(event)) {
                let message = serde_json::from_slice(&data);
                let message = message.map_err(|_| self.failed("its answer is no message of MCP"))?;
                if matches!(message, ServerJsonRpcMessage::Response(_) | ServerJsonRpcMessage::Error(_)) {
                    return Ok(message);
                }
            }
        }
        Err(self.failed("its answer was broken off"))
    }
}

impl StreamableHttpClient for Client {
    type Error = Unanswered;

    async fn post_message(
        &self,
        _uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session: Option<Arc<str>>,
        _authorization: Option<String>,
        headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<StreamableHttpPostResponse, Failed> {
        let body = serde_json::to_vec(&message)?;
        let response = self.send(Method::POST, session, headers, body.into()).await?;
        match response.status() {
            StatusCode::ACCEPTED | StatusCode::NO_CONTENT => Ok(StreamableHttpPostResponse::Accepted),
            status if status.is_success() => {
                let session = response.headers().get(SESSION).and_then(|id| id.to_str().ok());
                let session = session.map(str::to_owned);
                Ok(StreamableHttpPostResponse::Json(self.answer(response).await?, session))
            }
            status => Err(self.failed(format!("it answered with status {}", status.as_u16()))),
        }
    }

    async fn delete_session(
        &self,
        _uri: Arc<str>,
        session: Arc<str>,
        _authorization: Option<String>,
        headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<(), Failed> {
        self.send(Method::DELETE, Some(session), headers, Bytes::new()).await.map(drop)
    }

    /// What a server says by itself is not listened to.
    async fn get_stream(
        &self,
        _uri: Arc<str>,
        _session: Option<Arc<str>>,
        _last_event_id: Option<String>,
        _authorization: Option<String>,
        _headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<BoxStream<'static, Result<Sse, SseError>>, Failed> {
        Err(StreamableHttpError::ServerDoesNotSupportSse)
    }
}
