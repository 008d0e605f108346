//! The native dialect: deployments, messages, events, threads, runs, files, approvals, webhooks.
//!
//! [`OPERATIONS`] lists every endpoint with its scope. The router is made from that list, so that none can be
//! reached without the check of its scope, and tests and documents can walk all of them.

mod approvals;
mod audit;
mod automations;
mod bodies;
mod deployments;
mod dreams;
mod encode;
mod error;
mod events;
mod files;
mod mcp_servers;
mod memories;
mod messages;
#[cfg(feature = "schema")]
mod openapi;
mod operations;
#[cfg(feature = "schema")]
mod raw_bodies;
mod runs;
mod skills;
mod snapshots;
mod threads;
mod tools;
mod webhooks;

use std::{sync::Arc, time::Instant};

use axum::{
    Router,
    extract::{Request, State},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::MethodRouter,
};
use http::HeaderValue;
use prism_types::DeploymentId;

use crate::{
    core::Core,
    domain::tenant::Principal,
    error::{Error, ErrorKind, Result},
    http::{
        Authenticator,
        body::read_bytes,
        change::{Admission, Change},
        idempotency,
        query::Query,
        rate_limit::RateLimit,
        request_id,
    },
    service::author::{Author, claim},
    telemetry,
};

use error::Answer;
#[cfg(feature = "schema")]
pub use openapi::document as openapi;
pub use operations::{OPERATIONS, Operation, Parameter};

/// What handlers work with.
type Shared = State<Arc<Core>>;

/// The dialect as a router.
pub(crate) fn router(core: Arc<Core>, authenticator: Arc<dyn Authenticator>) -> Router {
    let rate_limit = core.settings.requests_per_second.and_then(RateLimit::new).map(Arc::new);
    let mut router = Router::new();
    for operation in OPERATIONS {
        let gate = Gate {
            authenticator: authenticator.clone(),
            rate_limit: rate_limit.clone(),
            core: core.clone(),
            operation,
        };
        let handler: MethodRouter<Arc<Core>> = handler(operation);
        let handler = handler.route_layer(middleware::from_fn_with_state(gate, enter));
        router = router.route(operation.path, handler);
    }
    router
        .method_not_allowed_fallback(method_not_allowed)
        .fallback(unknown_path)
        .layer(middleware::from_fn(catch_panic))
        .layer(middleware::from_fn(request_id::layer))
        .with_state(core)
}

/// The handler of an operation; a unit test makes sure that every one has its own.
fn handler(operation: &Operation) -> MethodRouter<Arc<Core>> {
    use axum::routing::{delete, get, patch, post, put};
    match operation.id {
        "create_deployment" => post(deployments::create),
        "list_deployments" => get(deployments::list),
        "get_deployment" => get(deployments::get),
        "update_deployment" => patch(deployments::update),
        "delete_deployment" => delete(deployments::delete),
        "send_message" => post(messages::send),
        "stream_events" => get(events::stream),
        "list_files" => get(files::list),
        "read_file" => get(files::read),
        "write_file" => put(files::write),
        "delete_file" => delete(files::delete),
        "list_skills" => get(skills::list),
        "add_skill" => post(skills::add),
        "get_skill" => get(skills::get),
        "update_skill" => put(skills::update),
        "remove_skill" => delete(skills::remove),
        "list_tools" => get(tools::list),
        "update_tool" => patch(tools::update),
        "list_mcp_servers" => get(mcp_servers::list),
        "add_mcp_server" => post(mcp_servers::add),
        "get_mcp_server" => get(mcp_servers::get),
        "update_mcp_server" => patch(mcp_servers::update),
        "remove_mcp_server" => delete(mcp_servers::remove),
        "create_thread" => post(threads::create),
        "list_threads" => get(threads::list),
        "get_thread" => get(threads::get),
        "list_runs" => get(runs::list),
        "get_run" => get(runs::get),
        "cancel_run" => post(runs::cancel),
        "list_approvals" => get(approvals::list),
        "get_approval" => get(approvals::get),
        "answer_approval" => post(approvals::answer),
        "create_automation" => post(automations::create),
        "list_automations" => get(automations::list),
        "get_automation" => get(automations::get),
        "update_automation" => patch(automations::update),
        "delete_automation" => delete(automations::delete),
        "trigger_automation" => post(automations::trigger),
        "list_automation_runs" => get(automations::runs),
        "update_thread" => patch(threads::update),
        "delete_thread" => delete(threads::delete),
        "list_memories" => get(memories::list),
        "create_memory" => post(memories::create),
        "get_memory" => get(memories::get),
        "update_memory" => patch(memories::update),
        "delete_memory" => delete(memories::delete),
        "list_snapshots" => get(snapshots::list),
        "get_snapshot" => get(snapshots::get),
        "delete_snapshot" => delete(snapshots::delete),
        "list_dreams" => get(dreams::list),
        "start_dream" => post(dreams::start),
        "get_dream" => get(dreams::get),
        "revert_dream" => post(dreams::revert),
        "list_audit_entries" => get(audit::list),
        "create_webhook" => post(webhooks::create),
        "list_webhooks" => get(webhooks::list),
        "get_webhook" => get(webhooks::get),
        "update_webhook" => patch(webhooks::update),
        "delete_webhook" => delete(webhooks::delete),
        "rotate_webhook_secret" => post(webhooks::rotate_secret),
        "test_webhook" => post(webhooks::test),
        "list_webhook_deliveries" => get(webhooks::deliveries),
        "get_webhook_delivery" => get(webhooks::get_delivery),
        "redeliver_webhook_delivery" => post(webhooks::redeliver),
        "redeliver_webhook" => post(webhooks::redeliver_failed),
        _ => MethodRouter::new(),
    }
}

/// What stands before every endpoint.
#[derive(Clone)]
struct Gate {
    authenticator: Arc<dyn Authenticator>,
    rate_limit: Option<Arc<RateLimit>>,
    core: Arc<Core>,
    operation: &'static Operation,
}

/// Lets a request in whose caller is known, has the scope and is not too fast.
async fn enter(State(gate): State<Gate>, request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let (parts, body) = request.into_parts();
    let mut left = None;
    let principal = async {
        let principal = gate.authenticator.authenticate(&parts).await?;
        if let Some(limit) = &gate.rate_limit {
            left = Some(0);
            left = Some(limit.check(&principal.caller)?);
        }
        let scope = gate.operation.scope;
        if !principal.scopes.contains(scope) {
            let message = format!("The API key lacks the scope {}.", scope.as_str());
            return Err(Error::new(ErrorKind::Forbidden, message));
        }
        if !gate.operation.takes_query() {
            Query::parse(parts.uri.query()).finish()?;
        }
        Ok(principal)
    };
    let answer = match principal.await {
        Ok(principal) => pass(&gate, principal, Request::from_parts(parts, body), next).await,
        Err(error) => Err(error),
    };
    let mut response = answer.unwrap_or_else(|error| Answer(error).into_response());
    if let (Some(limit), Some(left)) = (&gate.rate_limit, left) {
        limit.tell(left, response.headers_mut());
    }
    let status = response.status().as_u16();
    telemetry::answered(gate.operation.id, status, begun);
    tracing::debug!(operation = gate.operation.id, status, took = ?begun.elapsed(), "answered");
    response
}

/// Lets a request in that may come in. A request with an idempotency key waits for those before it with the same key,
/// and is answered with what the first was answered.
async fn pass(gate: &Gate, principal: Principal, mut request: Request, next: Next) -> Result<Response> {
    let operation = gate.operation;
    if operation.method == "GET" {
        request.extensions_mut().insert(principal);
        return Ok(next.run(request).await);
    }
    let request_id = request.headers().get(request_id::HEADER);
    let request_id = request_id.and_then(|id| id.to_str().ok()).unwrap_or_default().to_owned();
    // Other methods are idempotent by themselves (RFC 9110, section 9.2.2).
    let key = if operation.method == "POST" { idempotency::key(request.headers())? } else { None };
    let (mut claimed, mut turn) = (None, None);
    if let Some(key) = key {
        let (parts, body) = request.into_parts();
        let body = read_bytes(body).await?;
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
    let author = Author::new(principal, operation.id, request_id, claimed);
    request.extensions_mut().insert(Admission::new(author, turn));
    Ok(next.run(request).await)
}

/// A request that reads, as the handlers see it.
struct Call {
    principal: Principal,
    request: Request,
}

impl<S: Sync> axum::extract::FromRequest<S> for Call {
    type Rejection = Answer;

    async fn from_request(mut request: Request, _: &S) -> Result<Self, Answer> {
        match request.extensions_mut().remove::<Principal>() {
            Some(principal) => Ok(Self { principal, request }),
            None => Err(Answer(Error::internal("an endpoint was reached past its gate"))),
        }
    }
}

impl<S: Sync> axum::extract::FromRequest<S> for Change {
    type Rejection = Answer;

    async fn from_request(request: Request, _: &S) -> Result<Self, Answer> {
        Ok(Self::of(request)?)
    }
}

/// Reads an id of a path; something else than an id names nothing, so it is not found.
fn path_id<Id: std::str::FromStr>(text: &str, noun: &str) -> Result<Id> {
    text.parse().map_err(|_| Error::not_found(noun))
}

fn deployment_id(text: &str) -> Result<DeploymentId> {
    path_id(text, "Deployment")
}

async fn unknown_path(request: Request) -> Answer {
    let message = format!("There is no {} here.", shown(request.uri().path()));
    Answer(Error::new(ErrorKind::NotFound, message))
}

async fn method_not_allowed(request: Request) -> Answer {
    let message = format!("{} cannot be used on {}.", request.method(), shown(request.uri().path()));
    Answer(Error::new(ErrorKind::MethodNotAllowed, message))
}

fn shown(path: &str) -> String {
    path.chars().take(200).collect()
}

/// Turns a panic of a handler into a 500.
async fn catch_panic(request: Request, next: Next) -> Response {
    use futures::FutureExt;
    match std::panic::AssertUnwindSafe(next.run(request)).catch_unwind().await {
        Ok(response) => response,
        Err(_) => Answer(Error::internal("a handler panicked")).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_has_a_handler_of_its_method() {
        for operation in OPERATIONS {
            let handler = format!("{:?}", handler(operation));
            let method = operation.method.to_lowercase();
            assert!(handler.contains(&format!("{method}: BoxedHandler")), "{}: {handler}", operation.id);
        }
    }
}
