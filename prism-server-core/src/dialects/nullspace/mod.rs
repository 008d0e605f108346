//! The dialect of agent deployments: deployments of programs, their versions, runs and services, and sandboxes.
//!
//! [`OPERATIONS`] lists every endpoint with its scope, and the router is made from that list. What the API calls a
//! deployment, a run and a service instance are the [programs](crate::domain::program), jobs and services of the core;
//! `convert` says how the names and ids of one are those of the other.

mod bodies;
mod convert;
mod deployments;
mod error;
mod logs;
#[cfg(feature = "schema")]
mod openapi;
mod operations;
mod runs;
mod sandbox_batches;
mod sandbox_bodies;
mod sandbox_files;
mod sandbox_live;
mod sandbox_messages;
mod sandbox_ports;
mod sandbox_uploads;
mod sandboxes;
mod services;
mod versions;

use std::sync::Arc;

use axum::{
    Router,
    extract::{Request, State},
    middleware,
    response::{IntoResponse, Response},
    routing::MethodRouter,
};
use http::Uri;
use tower::ServiceExt as _;

use crate::{
    core::Core,
    error::Error,
    http::{Authenticator, endpoints, request_id},
};

use error::Answer;
#[cfg(feature = "schema")]
pub use openapi::document as openapi;
use operations::UNSUPPORTED;
pub use operations::{OPERATIONS, Operation};

/// The paths below which everything is.
const ROOTS: [&str; 3] = ["/v1/agent-deployments", "/v1/sandboxes", "/nullspace/v1/snapshots"];

/// What those paths can have before them that do not begin with it, so that a client finds all below one address: without
/// it, the paths of snapshots are the native API's.
const PREFIX: &str = "/nullspace";

/// A router that gives requests to whom their paths belong.
pub(crate) fn beside(inner: Router, deployments: Router, services: Router) -> Router {
    let choose = move |mut request: Request| {
        if let Some(uri) = without_prefix(request.uri()) {
            *request.uri_mut() = uri;
        }
        let path = request.uri().path();
        let router = match path {
            _ if owns(path) => &deployments,
            _ if path.starts_with("/edge/") => &services,
            _ => &inner,
        };
        router.clone().oneshot(request)
    };
    Router::new().fallback(choose)
}

/// Whether a path is one of this dialect's.
fn owns(path: &str) -> bool {
    let is_below = |rest: &str| rest.is_empty() || rest.starts_with('/');
    ROOTS.iter().any(|root| path.strip_prefix(root).is_some_and(is_below))
}

/// The address of a request without the prefix, if it has that.
fn without_prefix(uri: &Uri) -> Option<Uri> {
    if owns(uri.path()) {
        return None;
    }
    let whole = uri.path_and_query()?.as_str();
    let rest = whole.strip_prefix(PREFIX).filter(|rest| rest.starts_with('/'))?;
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(rest.parse().ok()?);
    Uri::from_parts(parts).ok()
}

/// What handlers work with.
type Shared = State<Arc<Core>>;

/// The dialect as a router.
pub(crate) fn router(core: Arc<Core>, authenticator: &Arc<dyn Authenticator>) -> Router {
    let endpoints = OPERATIONS.iter().chain(UNSUPPORTED);
    let endpoints = endpoints.map(|operation| (operation.path, operation.rule(), handler(operation)));
    endpoints::router(core, authenticator, endpoints, tell)
        .layer(middleware::from_fn(error::name_request))
        .layer(middleware::from_fn(request_id::layer))
}

/// The handler of an operation; a unit test makes sure that every one has its own.
fn handler(operation: &Operation) -> MethodRouter<Arc<Core>> {
    use axum::routing::{delete, get, patch, post, put};
    match operation.id {
        "create_agent_deployment" => post(deployments::create),
        "list_agent_deployments" => get(deployments::list),
        "get_agent_deployment" => get(deployments::get),
        "update_agent_deployment" => patch(deployments::update),
        "delete_agent_deployment" => delete(deployments::delete),
        "create_agent_version" => post(versions::create),
        "list_agent_versions" => get(versions::list),
        "get_agent_version" => get(versions::get),
        "upload_agent_bundle" => put(versions::upload),
        "create_agent_run" => post(runs::create),
        "list_agent_runs" => get(runs::list),
        "get_agent_run" => get(runs::get),
        "cancel_agent_run" => post(runs::cancel),
        "list_agent_run_logs" => get(runs::logs),
        "list_agent_run_outputs" => get(runs::outputs),
        "create_agent_service" => post(services::create),
        "list_agent_services" => get(services::list),
        "get_agent_service" => get(services::get),
        "stop_agent_service" => post(services::stop),
        "restart_agent_service" => post(services::restart),
        "list_agent_service_logs" => get(services::logs),
        "get_agent_service_url" => get(services::url),
        "create_sandbox" => post(sandboxes::create),
        "list_sandboxes" => get(sandboxes::list),
        "get_sandbox" => get(sandboxes::get),
        "destroy_sandbox" => delete(sandboxes::destroy),
        "set_sandbox_timeout" => post(sandboxes::set_timeout),
        "fork_sandbox" => post(sandboxes::fork),
        "create_sandbox_snapshot" => post(sandboxes::create_snapshot),
        "list_sandbox_snapshots" => get(sandboxes::list_snapshots),
        "get_sandbox_snapshot" => get(sandboxes::get_snapshot),
        "delete_sandbox_snapshot" => delete(sandboxes::delete_snapshot),
        "execute_in_sandbox" => post(sandboxes::execute),
        "open_sandbox_channel" => get(sandbox_live::open),
        "list_sandbox_processes" => get(sandboxes::processes),
        "kill_sandbox_process" => post(sandboxes::kill),
        "write_sandbox_process" => post(sandboxes::write_process),
        "get_sandbox_process_logs" => get(sandboxes::process_logs),
        "get_sandbox_port_url" => post(sandbox_ports::url),
        "get_sandbox_preview_url" => get(sandbox_ports::preview),
        "sign_sandbox_preview_url" => post(sandbox_ports::signed_preview),
        "probe_sandbox_port" => post(sandbox_ports::readiness),
        "read_sandbox_file" => get(sandbox_files::download),
        "write_sandbox_file" => put(sandbox_files::upload),
        "list_sandbox_files" => get(sandbox_files::list),
        "read_sandbox_text" => post(sandbox_files::read),
        "write_sandbox_text" => post(sandbox_files::write),
        "get_sandbox_file_info" => post(sandbox_files::info),
        "has_sandbox_file" => post(sandbox_files::exists),
        "remove_sandbox_file" => post(sandbox_files::remove),
        "rename_sandbox_file" => post(sandbox_files::rename),
        "make_sandbox_directory" => post(sandbox_files::make_directory),
        "set_sandbox_permissions" => post(sandbox_files::set_permissions),
        "write_sandbox_files" => post(sandbox_batches::write),
        "create_sandbox_upload" => post(sandbox_uploads::create),
        "get_sandbox_upload" => get(sandbox_uploads::get),
        "abort_sandbox_upload" => delete(sandbox_uploads::abort),
        "put_sandbox_upload_part" => put(sandbox_uploads::put_part),
        "complete_sandbox_upload" => post(sandbox_uploads::complete),
        "hibernate_sandbox" | "resume_sandbox" => post(sandboxes::unsupported),
        _ => MethodRouter::new(),
    }
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
        for operation in OPERATIONS.iter().chain(UNSUPPORTED) {
            let handler = format!("{:?}", handler(operation));
            let method = operation.method.to_lowercase();
            assert!(handler.contains(&format!("{method}: BoxedHandler")), "{}: {handler}", operation.id);
            assert!(owns(operation.path), "{}", operation.path);
        }
    }

    #[test]
    fn a_prefix_is_taken_off_whole_or_not_at_all() {
        let without = |uri: &str| without_prefix(&uri.parse().unwrap()).map(|uri| uri.to_string());
        assert_eq!(without("/nullspace/v1/sandboxes?a=%2F").as_deref(), Some("/v1/sandboxes?a=%2F"));
        assert_eq!(without("http://a/nullspace/v1").as_deref(), Some("http://a/v1"));
        for uri in [
            "/v1/snapshots",
            "/nullspace/v1/snapshots/snap_1",
            "/nullspacev1",
            "/nullspace",
            "/v1/nullspace/x",
        ] {
            assert_eq!(without(uri), None, "{uri}");
        }
    }
}
