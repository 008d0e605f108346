//! The route of the model: chat completions in the form of the OpenAI API.
//!
//! A request is the agent's but for three things: the model, the credential, and that a stream ends with its usage.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json,
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures::StreamExt;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
    header::{
        ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER,
    },
};
use prism_types::Failure;
use serde_json::{Map, Value, json, value::RawValue};

use super::{
    Agent, Provider,
    memory::Unread,
    metering::Meter,
    provider,
    relay::{Relay, Scrubbed},
    usage::UsageReader,
};
use crate::{
    domain::limits,
    error::failure,
    ports::{EgressBody, EgressRequest, Reach},
    telemetry,
};

/// Headers of a request that are passed on.
const REQUEST_HEADERS: [HeaderName; 3] =
    [ACCEPT, HeaderName::from_static("anthropic-beta"), HeaderName::from_static("openai-beta")];
/// Headers of an answer that are passed on.
const ANSWER_HEADERS: [HeaderName; 3] = [CONTENT_TYPE, RETRY_AFTER, HeaderName::from_static("x-request-id")];

/// Why a call is not made, or has no answer, as the agent is told.
#[derive(Debug)]
pub(super) struct Refused {
    status: StatusCode,
    kind: &'static str,
    code: String,
    message: String,
}

/// `GET /model/v1/models`.
pub(super) async fn models(State(agent): State<Arc<Agent>>) -> Response {
    let owner = agent.model.split_once('/').map_or("", |(prefix, _)| prefix);
    let model = json!({"id": agent.model, "object": "model", "created": 0, "owned_by": owner});
    Json(json!({"object": "list", "data": [model]})).into_response()
}

/// `POST /model/v1/chat/completions`.
pub(super) async fn chat_completions(
    State(agent): State<Arc<Agent>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refused> {
    let permit = agent.shared.model_calls.clone().try_acquire_owned().map_err(|_| too_many_calls())?;
    let (body, held) = agent.shared.memory.read(body, limits::MODEL_REQUEST).await?;
    let found = provider::of(&agent.gateway.providers, &agent.model);
    let (provider, name) = found.ok_or_else(|| agent.refuse(no_provider(&agent.model)))?;
    let body = rewritten(&body, name)?;
    agent.require_credits().await?;

    let meter = Meter::new(&agent, provider.cost(), body.len());
    let sent = agent.gateway.egress.send(request(provider, &headers, body)).await;
    drop(held);
    telemetry::model_called(sent.as_ref().ok().map(|answer| answer.status().as_u16()));
    let answer = match sent {
        Ok(answer) => answer,
        Err(error) => {
            meter.free();
            tracing::warn!(tenant = %agent.tenant_id, model = agent.model, %error, "a model cannot be reached");
            return Err(agent.refuse(failed(error)));
        }
    };
    let encoded = answer.headers().get(CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity");
    let (head, answer) = answer.into_parts();
    if encoded || head.status.is_informational() || head.status.is_redirection() {
        meter.free();
        let reason = if encoded {
            "was compressed".to_owned()
        } else {
            format!("had the status {}", head.status.as_u16())
        };
        return Err(agent.refuse(failed(format!("the provider's answer {reason}"))));
    }
    let mut response = if head.status.is_success() {
        agent.set_refusal(None);
        let is_stream = head
            .headers
            .get(CONTENT_TYPE)
            .is_some_and(|kind| kind.as_bytes().to_ascii_lowercase().starts_with(b"text/event-stream"));
        let mut meter = meter;
        meter.usage = UsageReader::new(is_stream);
        let scrubbed = Scrubbed::new(&agent.gateway.keys, &agent.shared.secrets.scrubber());
        let relay = Relay { agent: agent.clone(), answer, scrubbed, meter, _permit: permit };
        Response::new(relay.into_body())
    } else {
        meter.free();
        agent.error(head.status, answer).await?
    };
    *response.status_mut() = head.status;
    agent.pass_headers(&head.headers, response.headers_mut());
    Ok(response)
}

/// A model that has no answer, for this reason.
pub(super) fn failed(reason: impl std::fmt::Display) -> Failure {
    failure("model_failed", format!("The model did not answer: {reason}. Try again later."))
}

impl Agent {
    async fn require_credits(&self) -> Result<(), Refused> {
        let tenant = self.gateway.store.tenant(&self.tenant_id).await.map_err(|error| {
            tracing::error!(tenant = %self.tenant_id, %error, "the credits of a tenant cannot be read");
            let message = "The server is busy or stopping. Try again.";
            Refused::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message)
        })?;
        if tenant.is_some_and(|tenant| tenant.has_credits()) {
            return Ok(());
        }
        let message = "The account does not have enough credits. Add credits and try again.";
        Err(self.refuse(failure("insufficient_credits", message)))
    }

    /// Remembers why the model was refused, and tells the agent.
    fn refuse(&self, refusal: Failure) -> Refused {
        let status = match refusal.code.as_str() {
            "insufficient_credits" => StatusCode::PAYMENT_REQUIRED,
            "model_unavailable" => StatusCode::NOT_FOUND,
            _ => StatusCode::BAD_GATEWAY,
        };
        let refused = Refused::new(status, refusal.code.clone(), refusal.message.clone());
        self.set_refusal(Some(refusal));
        refused
    }

    /// The provider's own error, without secrets. That the provider does not know the operator's key is nothing
    /// for the agent, and some providers tell parts of the key.
    async fn error(&self, status: StatusCode, mut answer: EgressBody) -> Result<Response, Refused> {
        if let Some(refusal) = refusal(status, &self.model) {
            tracing::warn!(tenant = %self.tenant_id, model = self.model, status = status.as_u16(), "a model refused a call");
            self.set_refusal(Some(refusal.clone()));
            if status == StatusCode::UNAUTHORIZED {
                return Err(Refused::new(status, refusal.code, refusal.message));
            }
        }
        let mut error = Vec::new();
        while let Some(Ok(piece)) = answer.next().await {
            error.extend_from_slice(&piece);
            if error.len() > limits::OUTBOUND_ERROR {
                break;
            }
        }
        // Scrubbed with one piece more, so that a secret at the limit is not cut and missed.
        let mut scrubbed = self.scrubbed(&error);
        scrubbed.truncate(limits::OUTBOUND_ERROR);
        Ok(Response::new(scrubbed.into()))
    }

    /// What an answer has, without secrets and keys.
    fn scrubbed(&self, bytes: &[u8]) -> Vec<u8> {
        self.shared.secrets.scrubber().bytes(&self.gateway.keys.bytes(bytes)).into_owned()
    }

    fn pass_headers(&self, from: &HeaderMap, to: &mut HeaderMap) {
        for name in ANSWER_HEADERS {
            let value = from.get(&name);
            if let Some(value) = value.filter(|value| self.scrubbed(value.as_bytes()) == value.as_bytes()) {
                to.insert(name, value.clone());
            }
        }
        to.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform"));
    }
}

/// What an error of a provider says of the model; `None`: nothing, the call was at fault.
fn refusal(status: StatusCode, model: &str) -> Option<Failure> {
    let number = status.as_u16();
    Some(match number {
        401 | 403 => failure(
            "model_unavailable",
            format!(
                "The provider of the model `{model}` refused this server (status {number}). The operator has to look at its API key."
            ),
        ),
        404 => failure(
            "model_unavailable",
            format!("The provider has no model `{model}` (status 404). Choose another model."),
        ),
        402 | 408 | 429 | 500.. => failed(format!("the provider answered with status {number}")),
        _ => return None,
    })
}

fn no_provider(model: &str) -> Failure {
    let prefix = model.split_once('/').map_or(model, |(prefix, _)| prefix);
    let message = format!(
        "This server has no provider for the model `{model}`. The operator has to configure a provider for \
         `{prefix}`, or one for all models."
    );
    failure("model_unavailable", message)
}

fn request(provider: &Provider, headers: &HeaderMap, body: Bytes) -> EgressRequest {
    let mut passed = HeaderMap::new();
    for name in REQUEST_HEADERS {
        if let Some(value) = headers.get(&name) {
            passed.insert(name, value.clone());
        }
    }
    passed.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    // Secrets are not found in what is compressed.
    passed.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    if let Some(authorization) = provider.authorization() {
        passed.insert(AUTHORIZATION, authorization.clone());
    }
    let (reach, method, url) = (Reach::Anywhere, Method::POST, provider.chat_completions().clone());
    EgressRequest { reach, method, url, headers: passed, body }
}

/// The request with the model that the deployment has, and with usage at the end of a stream. All else is left as
/// it is, byte for byte.
fn rewritten(body: &[u8], model: &str) -> Result<Bytes, Refused> {
    let invalid = |message: String| Refused::new(StatusCode::BAD_REQUEST, "invalid_request", message);
    let mut fields: BTreeMap<String, &RawValue> = serde_json::from_slice(body)
        .map_err(|error| invalid(format!("The body must be a JSON object: {error}")))?;
    let raw =
        |value: Value| serde_json::value::to_raw_value(&value).map_err(|error| invalid(error.to_string()));
    let model = raw(model.into())?;
    fields.insert("model".to_owned(), &model);
    let options;
    if fields.get("stream").is_some_and(|stream| stream.get() == "true") {
        let asked = fields.get("stream_options").and_then(|options| serde_json::from_str(options.get()).ok());
        let mut asked: Map<String, Value> = asked.unwrap_or_default();
        asked.insert("include_usage".to_owned(), true.into());
        options = raw(asked.into())?;
        fields.insert("stream_options".to_owned(), &options);
    }
    serde_json::to_vec(&fields).map(Bytes::from).map_err(|error| invalid(error.to_string()))
}

fn too_many_calls() -> Refused {
    let message =
        format!("The agent has {} calls of its model open, which is the most.", limits::MODEL_CALLS);
    Refused::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", message)
}

impl Refused {
    fn new(status: StatusCode, code: impl Into<String>, message: impl Into<String>) -> Self {
        let kind = match status.as_u16() {
            402 => "insufficient_quota",
            429 => "rate_limit_error",
            500.. => "server_error",
            _ => "invalid_request_error",
        };
        Self { status, kind, code: code.into(), message: message.into() }
    }
}

impl From<Unread> for Refused {
    fn from(unread: Unread) -> Self {
        let (status, message) = match unread {
            Unread::TooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                format!("The request is longer than {} bytes, which is the most.", limits::MODEL_REQUEST),
            ),
            Unread::TooSlow => {
                (StatusCode::REQUEST_TIMEOUT, "The request did not arrive in time.".to_owned())
            }
            Unread::Full => {
                let message = format!(
                    "The agent's open requests have {} bytes together, which is the most.",
                    limits::OUTBOUND_MEMORY
                );
                return Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", message);
            }
            Unread::BrokenOff => (StatusCode::BAD_REQUEST, "The request was broken off.".to_owned()),
        };
        Self::new(status, "invalid_request", message)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let Self { status, kind, code, message } = self;
        let error = json!({"message": message, "type": kind, "param": null, "code": code});
        let mut response = (status, Json(json!({ "error": error }))).into_response();
        if status == StatusCode::TOO_MANY_REQUESTS {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
