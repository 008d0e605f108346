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

use std::sync::Arc;

use axum::{
    Router,
    extract::State,
    middleware,
    response::{IntoResponse, Response},
    routing::MethodRouter,
};
use prism_types::DeploymentId;

use crate::{
    core::Core,
    error::{Error, Result},
    http::{
        Authenticator, endpoints,
        gate::{Call, path_id},
        request_id,
    },
};

use error::Answer;
#[cfg(feature = "schema")]
pub use openapi::document as openapi;
pub use operations::{OPERATIONS, Operation, Parameter};

/// What handlers work with.
type Shared = State<Arc<Core>>;

/// The dialect as a router.
pub(crate) fn router(core: Arc<Core>, authenticator: &Arc<dyn Authenticator>) -> Router {
    let endpoints = OPERATIONS.iter().map(|operation| (operation.path, operation.rule(), handler(operation)));
    endpoints::router(core, authenticator, endpoints, tell).layer(middleware::from_fn(request_id::layer))
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

fn deployment_id(text: &str) -> Result<DeploymentId> {
    path_id(text, "Deployment")
}

/// How this dialect tells errors.
fn tell(error: Error) -> Response {
    Answer(error).into_response()
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
