//! The route of MCP servers: streamable HTTP, of the revision 2025-06-18 and 2025-03-26.
//!
//! A message passes when the tool that it calls is allowed, and a call that needs the approval of a human has one; the
//! server is told which customer it is for, and gets the headers that the deployment has for it. What it answers passes
//! without secrets and without tools that are not allowed.

mod allowed;
mod answer;
mod listing;
mod message;

use std::sync::Arc;

use axum::{
    Json,
    body::Body,
    extract::{Path, State},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures::{StreamExt, stream};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
    header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER},
};
use prism_types::McpServer;
use serde_json::{json, value::RawValue};
use tokio::sync::OwnedSemaphorePermit;
use url::Url;

pub(crate) use self::listing::{ListedServer, ListedTool};
pub(super) use self::{allowed::AllowedCalls, listing::list};
use self::{
    allowed::{Allowed, Called},
    message::Message,
};
use super::{
    Agent,
    memory::{Full, Held, Unread},
    sse,
    sse::Events,
};
use crate::{
    domain::{
        limits,
        tool::ToolName,
        variables::{self, Part},
    },
    ports::{EgressBody, EgressRequest, Reach, ToolCall},
    telemetry,
};

const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
/// Headers of a request that are passed on.
const REQUEST_HEADERS: [HeaderName; 4] = [
    ACCEPT,
    SESSION,
    HeaderName::from_static("mcp-protocol-version"),
    HeaderName::from_static("last-event-id"),
];
/// Which customer the agent serves, percent-encoded where it is not visible ASCII.
const CUSTOMER: HeaderName = HeaderName::from_static("x-prism-customer-id");

/// What is said when the memory of the deployment is full.
const TOO_MUCH: &str = "the agent has too many large requests open";

/// Errors of JSON-RPC.
const PARSE_ERROR: i32 = -32700;
const INVALID_REQUEST: i32 = -32600;
const INVALID_PARAMS: i32 = -32602;
const INTERNAL_ERROR: i32 = -32603;

/// Why a message has no answer of the server, as the agent is told. With an id it is the answer to that request,
/// which clients read only with status 200.
#[derive(Debug)]
pub(super) struct Refused {
    status: StatusCode,
    id: Option<Box<RawValue>>,
    code: i32,
    message: String,
}

/// `POST /mcp/{name}`.
pub(super) async fn post(
    State(agent): State<Arc<Agent>>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refused> {
    let server = agent.server(&name)?;
    let permit = agent.mcp_call()?;
    let (body, _held) = agent.shared.memory.read(body, limits::MCP_REQUEST).await?;
    let message = Message::read(&body)?;
    let id = message.id();
    let passed = message.passed(&Allowed::of(&agent.spec, server), &agent.customer_id);
    let (passed, called) = passed.map_err(|refused| refused.answering(id.clone()))?;
    let approved = agent.approved(server, called).map_err(|refused| refused.answering(id.clone()))?;
    let answered = agent.clone().ask(server, Method::POST, &headers, passed.into(), permit).await;
    let answered = answered.map_err(|refused| refused.answering(id))?;
    if let Some(call) = approved
        && !answered.status().is_success()
    {
        // The server did not take it, such as for a session that it has forgotten: it may be sent once more.
        agent.shared.allowed_calls.allow(call);
    }
    Ok(answered)
}

/// `GET /mcp/{name}`: the stream of what the server says by itself.
pub(super) async fn get(
    State(agent): State<Arc<Agent>>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let permit = agent.mcp_call()?;
    agent.clone().ask(agent.server(&name)?, Method::GET, &headers, Bytes::new(), permit).await
}

/// `DELETE /mcp/{name}`: the end of a session.
pub(super) async fn delete(
    State(agent): State<Arc<Agent>>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let permit = agent.mcp_call()?;
    agent.clone().ask(agent.server(&name)?, Method::DELETE, &headers, Bytes::new(), permit).await
}

impl Agent {
    fn server(&self, name: &str) -> Result<&McpServer, Refused> {
        let server = self.spec.mcp_servers.iter().find(|server| server.name == name);
        server.ok_or_else(|| {
            let message = "the agent has no MCP server of this name".to_owned();
            Refused::new(StatusCode::NOT_FOUND, INVALID_REQUEST, message)
        })
    }

    /// The call, if it needs the approval of a human and has it; `None`: it needs none.
    fn approved(&self, server: &McpServer, called: Option<Called>) -> Result<Option<ToolCall>, Refused> {
        let Some(Called { tool, arguments }) = called else { return Ok(None) };
        let tool = ToolName::of_server(&server.name, tool);
        if !tool.needs_approval(&self.spec.approvals) {
            return Ok(None);
        }
        let refused = |message: String| Refused::new(StatusCode::FORBIDDEN, INVALID_REQUEST, message);
        let arguments = arguments.as_deref().map_or("{}", RawValue::get);
        let arguments = serde_json::from_str(arguments)
            .map_err(|_| refused("params.arguments must be JSON".to_owned()))?;
        let call = ToolCall { tool, arguments };
        if self.shared.allowed_calls.take(&call) {
            return Ok(Some(call));
        }
        Err(refused(format!(
            "a human has to approve each call of {}, and has not approved this one",
            call.tool
        )))
    }

    fn mcp_call(&self) -> Result<OwnedSemaphorePermit, Refused> {
        self.shared.mcp_calls.clone().try_acquire_owned().map_err(|_| {
            let message = format!(
                "the agent has {} requests to MCP servers open, which is the most",
                limits::MCP_CALLS
            );
            Refused::new(StatusCode::TOO_MANY_REQUESTS, INTERNAL_ERROR, message)
        })
    }

    /// Asks a server and passes its answer on.
    async fn ask(
        self: Arc<Self>,
        server: &McpServer,
        method: Method,
        headers: &HeaderMap,
        body: Bytes,
        permit: OwnedSemaphorePermit,
    ) -> Result<Response, Refused> {
        let name = &server.name;
        let headers = self.headers(server, headers, &method).await?;
        let url = Url::parse(&server.url).map_err(|_| unanswered(name, "its URL is not valid"))?;
        let request = EgressRequest { reach: Reach::Public, method, url, headers, body };
        let sent = self.gateway.egress.send(request).await;
        telemetry::mcp_called(sent.as_ref().ok().map(|answer| answer.status().as_u16()));
        let sent = sent.map_err(|error| unanswered(name, error))?;
        let (head, answer) = sent.into_parts();
        if head.headers.get(CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
            return Err(unanswered(name, "its answer was compressed"));
        }
        if head.status.is_redirection() || head.status.is_informational() {
            return Err(unanswered(name, format!("it answered with status {}", head.status.as_u16())));
        }
        let scrubber = self.shared.secrets.scrubber();
        let kind = head.headers.get(CONTENT_TYPE).map(|kind| kind.as_bytes().to_ascii_lowercase());
        let is = |name: &[u8]| kind.as_ref().is_some_and(|kind| kind.starts_with(name));
        let tools = Allowed::of(&self.spec, server);
        let body = if head.status.is_success() && is(b"text/event-stream") {
            let events = Events::new(limits::MCP_ANSWER);
            let held = self.shared.memory.hold_nothing();
            Passing { agent: self.clone(), answer, events, held, tools, _permit: permit }.into_body()
        } else if head.status.is_success() && is(b"application/json") {
            let mut held = self.shared.memory.hold_nothing();
            let whole = whole(answer, limits::MCP_ANSWER, &mut held)
                .await
                .map_err(|reason| unanswered(name, reason))?;
            let allowed = answer::with_allowed_tools(&whole, &tools);
            scrubber.bytes(&allowed).into_owned().into()
        } else {
            let read = beginning(answer, limits::OUTBOUND_ERROR).await;
            let mut scrubbed = scrubber.bytes(&read).into_owned();
            scrubbed.truncate(limits::OUTBOUND_ERROR);
            scrubbed.into()
        };
        let mut response = Response::new(body);
        *response.status_mut() = head.status;
        for name in [CONTENT_TYPE, SESSION] {
            let value = head.headers.get(&name);
            if let Some(value) = value.filter(|value| scrubber.bytes(value.as_bytes()) == value.as_bytes()) {
                response.headers_mut().insert(name, value.clone());
            }
        }
        Ok(response)
    }

    /// What the server gets: headers of the protocol, the deployment's own, and the customer.
    async fn headers(
        &self,
        server: &McpServer,
        headers: &HeaderMap,
        method: &Method,
    ) -> Result<HeaderMap, Refused> {
        let name = &server.name;
        // Read for each request, so that a new value counts at once, and is scrubbed at once.
        let secrets = self.secrets().await.map_err(|error| {
            tracing::error!(tenant = %self.tenant_id, %error, "the secrets of a deployment cannot be read");
            unanswered(name, "its secrets could not be read")
        })?;
        let mut passed = HeaderMap::new();
        for (header, text) in &server.headers {
            let mut value = String::new();
            for part in variables::parts(text)
                .map_err(|rule| unanswered(name, format!("its header `{header}` {rule}")))?
            {
                match part {
                    Part::Literal(literal) => value.push_str(literal),
                    Part::Variable(variable) => {
                        let secret = secrets.get(variable).ok_or_else(|| {
                            unanswered(name, format!("its header `{header}` needs `{variable}`, which is not set in the deployment's secrets"))
                        })?;
                        value.push_str(secret.expose().trim());
                    }
                }
            }
            let header_name = HeaderName::try_from(header.as_str());
            let (Ok(header_name), Ok(mut value)) = (header_name, HeaderValue::try_from(value)) else {
                return Err(unanswered(
                    name,
                    format!("its header `{header}` has a value that no header can have"),
                ));
            };
            value.set_sensitive(true);
            passed.insert(header_name, value);
        }
        for name in REQUEST_HEADERS {
            if let Some(value) = headers.get(&name) {
                passed.insert(name, value.clone());
            }
        }
        if method == Method::POST {
            passed.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        // Secrets are not found in what is compressed.
        passed.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let customer = HeaderValue::try_from(percent_encoded(&self.customer_id));
        passed.insert(CUSTOMER, customer.map_err(|_| unanswered(name, "the customer's id fits no header"))?);
        Ok(passed)
    }
}

/// A stream of events that passes event by event.
struct Passing {
    agent: Arc<Agent>,
    answer: EgressBody,
    events: Events,
    /// The memory of the event under way.
    held: Held,
    tools: Allowed,
    /// Held for as long as the stream lasts.
    _permit: OwnedSemaphorePermit,
}

impl Passing {
    fn into_body(self) -> Body {
        Body::from_stream(stream::unfold(Some(self), |passing| async {
            let mut passing = passing?;
            let next = passing.next().await?;
            let passing = next.is_ok().then_some(passing);
            Some((next, passing))
        }))
    }

    async fn next(&mut self) -> Option<std::io::Result<Bytes>> {
        loop {
            let piece = match self.answer.next().await? {
                Ok(piece) => piece,
                Err(error) => return Some(Err(std::io::Error::other(error))),
            };
            let Ok(events) = self.events.push(&piece) else {
                let message = format!("an event is longer than {} bytes", limits::MCP_ANSWER);
                return Some(Err(std::io::Error::other(message)));
            };
            if self.held.hold(self.events.kept()).is_err() {
                return Some(Err(std::io::Error::other(TOO_MUCH)));
            }
            // Taken anew for each piece: a secret may have been replaced while the stream was open.
            let scrubber = self.agent.shared.secrets.scrubber();
            let mut told = Vec::new();
            for event in events {
                let allowed = sse::data(&event).map(|data| {
                    let allowed = answer::with_allowed_tools(&data, &self.tools);
                    if *allowed == *data { event.clone() } else { sse::with_data(&event, &allowed) }
                });
                told.extend_from_slice(&scrubber.bytes(allowed.as_ref().unwrap_or(&event)));
                told.push(b'\n');
            }
            if !told.is_empty() {
                return Some(Ok(told.into()));
            }
        }
    }
}

/// A whole answer, if it is not too long.
async fn whole(mut answer: EgressBody, limit: usize, held: &mut Held) -> Result<Vec<u8>, String> {
    let mut whole = Vec::new();
    while let Some(piece) = answer.next().await {
        let piece = piece.map_err(|error| error.to_string())?;
        if whole.len() + piece.len() > limit {
            return Err(format!("its answer is longer than {limit} bytes"));
        }
        held.hold(whole.len() + piece.len()).map_err(|Full| TOO_MUCH.to_owned())?;
        whole.extend_from_slice(&piece);
    }
    Ok(whole)
}

/// The beginning of an answer, and at most one piece more than the limit.
async fn beginning(mut answer: EgressBody, limit: usize) -> Vec<u8> {
    let mut read = Vec::new();
    while let Some(Ok(piece)) = answer.next().await {
        read.extend_from_slice(&piece);
        if read.len() > limit {
            break;
        }
    }
    read
}

fn unanswered(server: &str, reason: impl std::fmt::Display) -> Refused {
    let message = format!("the MCP server `{server}` did not answer: {reason}");
    Refused::new(StatusCode::BAD_GATEWAY, INTERNAL_ERROR, message)
}

fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_graphic() && byte != b'%' {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

impl Refused {
    fn new(status: StatusCode, code: i32, message: String) -> Self {
        Self { status, id: None, code, message }
    }

    fn answering(self, id: Option<Box<RawValue>>) -> Self {
        Self { id, ..self }
    }
}

impl From<Unread> for Refused {
    fn from(unread: Unread) -> Self {
        let (status, message) = match unread {
            Unread::TooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                format!("the message is longer than {} bytes, which is the most", limits::MCP_REQUEST),
            ),
            Unread::TooSlow => (StatusCode::REQUEST_TIMEOUT, "the message did not arrive in time".to_owned()),
            Unread::Full => (StatusCode::TOO_MANY_REQUESTS, TOO_MUCH.to_owned()),
            Unread::BrokenOff => (StatusCode::BAD_REQUEST, "the message was broken off".to_owned()),
        };
        Self::new(status, INVALID_REQUEST, message)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let Self { status, id, code, message } = self;
        let status = if id.is_some() { StatusCode::OK } else { status };
        let error = json!({"code": code, "message": message});
        let mut response =
            (status, Json(json!({"jsonrpc": "2.0", "id": id, "error": error}))).into_response();
        if status == StatusCode::TOO_MANY_REQUESTS {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
