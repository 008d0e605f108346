//! The gate: what stands before every endpoint of every dialect.
//!
//! It lets a request in whose caller is known, has the scope, is not too fast, and asks for nothing that the endpoint does
//! not know. A request with an idempotency key waits for those before it with the same key, and is answered with what the
//! first was answered.

use std::{sync::Arc, time::Instant};

use axum::{
    extract::{FromRequest, Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header::CONTENT_LENGTH};
use prism_types::Problem;

use super::{
    Authenticator,
    body::read_bytes,
    change::{Admission, Change},
    endpoints::Tell,
    idempotency,
    query::Query,
    rate_limit::RateLimit,
    request_id,
};
use crate::{
    core::Core,
    domain::{
        limits,
        tenant::{Principal, Scope},
    },
    error::{Error, ErrorKind, Result},
    service::author::{Author, claim},
    telemetry,
};

/// What an endpoint asks of its requests.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rule {
    /// Its name, for logs, metrics and the audit log.
    pub(crate) id: &'static str,
    /// Whether it changes something: everything but `GET` does.
    pub(crate) changes: bool,
    /// The scope that a caller needs.
    pub(crate) scope: Scope,
    /// Whether it has parameters in its query.
    pub(crate) takes_query: bool,
    /// What an idempotency key is to it.
    pub(crate) key: Key,
    /// The longest body of JSON that it takes, in bytes.
    pub(crate) largest_body: usize,
}

/// What an idempotency key is to an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key {
    /// The endpoint is idempotent by itself (RFC 9110, section 9.2.2).
    Ignored,
    /// As [`Key::Ignored`], and yet its API wants one.
    Demanded,
    /// The request is carried out once, when it has one.
    Optional,
    /// It must have one.
    Required,
}

/// The gate of an endpoint.
#[derive(Clone)]
pub(crate) struct Gate {
    pub(crate) authenticator: Arc<dyn Authenticator>,
    pub(crate) rate_limit: Option<Arc<RateLimit>>,
    pub(crate) core: Arc<Core>,
    pub(crate) rule: Rule,
    /// How the dialect tells errors.
    pub(crate) tell: Tell,
}

/// Lets a request in, or tells why not.
pub(crate) async fn enter(State(gate): State<Gate>, request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let (parts, body) = request.into_parts();
    let mut left = None;
    let principal = async {
        let principal = gate.authenticator.authenticate(&parts).await?;
        if let Some(limit) = &gate.rate_limit {
            left = Some(0);
            left = Some(limit.check(&principal.caller)?);
        }
        let scope = gate.rule.scope;
        if !principal.scopes.contains(scope) {
            let message = format!("The API key lacks the scope {}.", scope.as_str());
            return Err(Error::new(ErrorKind::Forbidden, message));
        }
        if !gate.rule.takes_query {
            Query::parse(parts.uri.query()).finish()?;
        }
        Ok(principal)
    };
    let answer = match principal.await {
        Ok(principal) => pass(&gate, principal, Request::from_parts(parts, body), next).await,
        Err(error) => Err(error),
    };
    let mut response = answer.unwrap_or_else(gate.tell);
    if let (Some(limit), Some(left)) = (&gate.rate_limit, left) {
        limit.tell(left, response.headers_mut());
    }
    let status = response.status().as_u16();
    telemetry::answered(gate.rule.id, status, begun);
    tracing::debug!(operation = gate.rule.id, status, took = ?begun.elapsed(), "answered");
    response
}

async fn pass(gate: &Gate, principal: Principal, mut request: Request, next: Next) -> Result<Response> {
    if !gate.rule.changes {
        request.extensions_mut().insert(principal);
        return Ok(next.run(request).await);
    }
    let request_id = request.headers().get(request_id::HEADER);
    let request_id = request_id.and_then(|id| id.to_str().ok()).unwrap_or_default().to_owned();
    let key = match gate.rule.key {
        Key::Ignored => None,
        Key::Optional => idempotency::key(request.headers())?,
        Key::Required => Some(required_key(&request)?),
        Key::Demanded => required_key(&request).map(|_| None)?,
    };
    let _large = match gate.rule.largest_body > limits::BODY && !is_small(&request) {
        true => Some(gate.core.large_bodies.acquire().await.map_err(Error::internal)?),
        false => None,
    };
    let (mut claimed, mut turn) = (None, None);
    if let Some(key) = key {
        let (parts, body) = request.into_parts();
        let body = read_bytes(body, gate.rule.largest_body).await?;
        turn = Some(gate.core.turns.take(&principal.tenant_id, &key).await);
        let fingerprint = idempotency::fingerprint(&parts, &body);
        match claim(&gate.core, &principal.tenant_id, key, fingerprint).await? {
            Ok(reply) => {
                let mut response = reply.into_response();
                response.headers_mut().insert(idempotency::REPLAYED, HeaderValue::from_static("true"));
                return Ok(response);
            }
            Err(claim) => claimed = Some(claim),
        }
        request = Request::from_parts(parts, body.into());
    }
    let author = Author::new(principal, gate.rule.id, request_id, claimed);
    request.extensions_mut().insert(Admission::new(author, turn, gate.rule.largest_body));
    Ok(next.run(request).await)
}

/// Whether a request says that its body is no longer than any may be.
fn is_small(request: &Request) -> bool {
    let declared =
        request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    declared.is_some_and(|length: usize| length <= limits::BODY)
}

fn required_key(request: &Request) -> Result<crate::domain::idempotency::IdempotencyKey> {
    idempotency::key(request.headers())?.ok_or_else(|| {
        let rule = "is required: send a new one, such as a UUID, with each request, and the same with its repetitions";
        Error::invalid(vec![Problem::new("header.idempotency-key", rule)])
    })
}

/// A request that reads, as the handlers see it.
pub(crate) struct Call {
    pub(crate) principal: Principal,
    pub(crate) request: Request,
}

impl<S: Sync> FromRequest<S> for Call {
    type Rejection = PastTheGate;

    async fn from_request(mut request: Request, _: &S) -> Result<Self, PastTheGate> {
        let principal = request.extensions_mut().remove::<Principal>().ok_or(PastTheGate)?;
        Ok(Self { principal, request })
    }
}

impl<S: Sync> FromRequest<S> for Change {
    type Rejection = PastTheGate;

    async fn from_request(request: Request, _: &S) -> Result<Self, PastTheGate> {
        Self::of(request).ok_or(PastTheGate)
    }
}

/// An endpoint was reached past its gate, which no router allows.
pub(crate) struct PastTheGate;

impl IntoResponse for PastTheGate {
    fn into_response(self) -> Response {
        tracing::error!("an endpoint was reached past its gate");
        StatusCode::INTERNAL_SERVER_ERROR.into_response()
    }
}

/// Reads an id of a path; something else than an id names nothing, so it is not found.
pub(crate) fn path_id<Id: std::str::FromStr>(text: &str, noun: &'static str) -> Result<Id> {
    text.parse().map_err(|_| Error::not_found(noun))
}
