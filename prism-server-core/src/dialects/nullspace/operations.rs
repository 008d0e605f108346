//! Every endpoint of agent deployments.

use crate::{
    domain::{limits, tenant::Scope},
    http::gate::{Key, Rule},
};

/// An endpoint.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Operation {
    /// Its name, such as `create_agent_run`.
    pub id: &'static str,
    /// The method.
    pub method: &'static str,
    /// The path; parameters stand in braces.
    pub path: &'static str,
    /// The scope that a caller needs.
    pub scope: Scope,
    /// Whether it has parameters in its query.
    pub takes_query: bool,
    /// Whether a request needs an idempotency key.
    pub needs_key: bool,
}

impl Operation {
    /// What it asks of its requests.
    pub(super) fn rule(&self) -> Rule {
        let key = match (self.needs_key, self.method) {
            (true, "POST") => Key::Required,
            (true, _) => Key::Demanded,
            (false, _) => Key::Ignored,
        };
        let Self { id, method, scope, takes_query, .. } = *self;
        let largest_body = match id {
            // A manifest tells of every file.
            "create_agent_version" => limits::VERSION_BODY,
            "write_sandbox_text" => limits::MACHINE_WRITE_BODY,
            _ => limits::BODY,
        };
        Rule { id, changes: method != "GET", scope, takes_query, key, largest_body }
    }
}

const fn read(id: &'static str, path: &'static str) -> Operation {
    let scope = Scope::DeploymentsRead;
    Operation { id, method: "GET", path, scope, takes_query: false, needs_key: false }
}

const fn list(id: &'static str, path: &'static str) -> Operation {
    Operation { takes_query: true, ..read(id, path) }
}

const fn change(id: &'static str, method: &'static str, path: &'static str) -> Operation {
    Operation { method, scope: Scope::DeploymentsWrite, ..read(id, path) }
}

/// What only reads, and is asked with a body.
const fn look(id: &'static str, path: &'static str) -> Operation {
    Operation { method: "POST", ..read(id, path) }
}

const fn create(id: &'static str, method: &'static str, path: &'static str) -> Operation {
    Operation { needs_key: true, ..change(id, method, path) }
}

/// Every endpoint of agent deployments and of sandboxes.
pub const OPERATIONS: &[Operation] = &[
    create("create_agent_deployment", "POST", "/v1/agent-deployments"),
    list("list_agent_deployments", "/v1/agent-deployments"),
    read("get_agent_deployment", "/v1/agent-deployments/{deployment_id}"),
    change("update_agent_deployment", "PATCH", "/v1/agent-deployments/{deployment_id}"),
    change("delete_agent_deployment", "DELETE", "/v1/agent-deployments/{deployment_id}"),
    create("create_agent_version", "POST", "/v1/agent-deployments/{deployment_id}/versions"),
    list("list_agent_versions", "/v1/agent-deployments/{deployment_id}/versions"),
    read("get_agent_version", "/v1/agent-deployments/{deployment_id}/versions/{version_id}"),
    create(
        "upload_agent_bundle",
        "PUT",
        "/v1/agent-deployments/{deployment_id}/versions/{version_id}/bundle",
    ),
    create("create_agent_run", "POST", "/v1/agent-deployments/{deployment_id}/runs"),
    list("list_agent_runs", "/v1/agent-deployments/{deployment_id}/runs"),
    read("get_agent_run", "/v1/agent-deployments/{deployment_id}/runs/{run_id}"),
    change("cancel_agent_run", "POST", "/v1/agent-deployments/{deployment_id}/runs/{run_id}/cancel"),
    list("list_agent_run_logs", "/v1/agent-deployments/{deployment_id}/runs/{run_id}/logs"),
    read("list_agent_run_outputs", "/v1/agent-deployments/{deployment_id}/runs/{run_id}/outputs"),
    create("create_agent_service", "POST", "/v1/agent-deployments/{deployment_id}/services"),
    list("list_agent_services", "/v1/agent-deployments/{deployment_id}/services"),
    read("get_agent_service", "/v1/agent-deployments/{deployment_id}/services/{service_id}"),
    change("stop_agent_service", "POST", "/v1/agent-deployments/{deployment_id}/services/{service_id}/stop"),
    change(
        "restart_agent_service",
        "POST",
        "/v1/agent-deployments/{deployment_id}/services/{service_id}/restart",
    ),
    list("list_agent_service_logs", "/v1/agent-deployments/{deployment_id}/services/{service_id}/logs"),
    read("get_agent_service_url", "/v1/agent-deployments/{deployment_id}/services/{service_id}/url"),
    create("create_sandbox", "POST", "/v1/sandboxes"),
    list("list_sandboxes", "/v1/sandboxes"),
    list("get_sandbox", "/v1/sandboxes/{sandbox_id}"),
    change("destroy_sandbox", "DELETE", "/v1/sandboxes/{sandbox_id}"),
    change("set_sandbox_timeout", "POST", "/v1/sandboxes/{sandbox_id}/timeout"),
    create("fork_sandbox", "POST", "/v1/sandboxes/{sandbox_id}/fork"),
    create("create_sandbox_snapshot", "POST", "/v1/sandboxes/{sandbox_id}/snapshots"),
    list("list_sandbox_snapshots", "/nullspace/v1/snapshots"),
    read("get_sandbox_snapshot", "/nullspace/v1/snapshots/{snapshot_id}"),
    change("delete_sandbox_snapshot", "DELETE", "/nullspace/v1/snapshots/{snapshot_id}"),
    change("execute_in_sandbox", "POST", "/v1/sandboxes/{sandbox_id}/exec"),
    Operation {
        scope: Scope::DeploymentsWrite,
        ..list("open_sandbox_channel", "/v1/sandboxes/{sandbox_id}/ws")
    },
    read("list_sandbox_processes", "/v1/sandboxes/{sandbox_id}/processes"),
    change("kill_sandbox_process", "POST", "/v1/sandboxes/{sandbox_id}/processes/{process_id}/kill"),
    change("write_sandbox_process", "POST", "/v1/sandboxes/{sandbox_id}/processes/{process_id}/stdin"),
    read("get_sandbox_process_logs", "/v1/sandboxes/{sandbox_id}/processes/{process_id}/logs"),
    look("get_sandbox_port_url", "/v1/sandboxes/{sandbox_id}/host"),
    read("get_sandbox_preview_url", "/v1/sandboxes/{sandbox_id}/ports/{port}/preview-url"),
    look("sign_sandbox_preview_url", "/v1/sandboxes/{sandbox_id}/ports/{port}/signed-preview-url"),
    look("probe_sandbox_port", "/v1/sandboxes/{sandbox_id}/ports/{port}/readiness"),
    list("read_sandbox_file", "/v1/sandboxes/{sandbox_id}/file"),
    Operation { takes_query: true, ..change("write_sandbox_file", "PUT", "/v1/sandboxes/{sandbox_id}/file") },
    list("list_sandbox_files", "/v1/sandboxes/{sandbox_id}/files"),
    look("read_sandbox_text", "/v1/sandboxes/{sandbox_id}/files/read"),
    change("write_sandbox_text", "POST", "/v1/sandboxes/{sandbox_id}/files/write"),
    look("get_sandbox_file_info", "/v1/sandboxes/{sandbox_id}/files/info"),
    look("has_sandbox_file", "/v1/sandboxes/{sandbox_id}/files/exists"),
    change("remove_sandbox_file", "POST", "/v1/sandboxes/{sandbox_id}/files/remove"),
    change("rename_sandbox_file", "POST", "/v1/sandboxes/{sandbox_id}/files/rename"),
    change("make_sandbox_directory", "POST", "/v1/sandboxes/{sandbox_id}/files/mkdir"),
    change("set_sandbox_permissions", "POST", "/v1/sandboxes/{sandbox_id}/files/permissions"),
    change("write_sandbox_files", "POST", "/v1/sandboxes/{sandbox_id}/files/batch-write"),
    create("create_sandbox_upload", "POST", "/v1/sandboxes/{sandbox_id}/uploads"),
    read("get_sandbox_upload", "/v1/sandboxes/{sandbox_id}/uploads/{upload_id}"),
    change("abort_sandbox_upload", "DELETE", "/v1/sandboxes/{sandbox_id}/uploads/{upload_id}"),
    change(
        "put_sandbox_upload_part",
        "PUT",
        "/v1/sandboxes/{sandbox_id}/uploads/{upload_id}/parts/{part_number}",
    ),
    create("complete_sandbox_upload", "POST", "/v1/sandboxes/{sandbox_id}/uploads/{upload_id}/complete"),
];

/// What the vendor's sandboxes can do and these cannot, so that whoever asks is told so.
pub(super) const UNSUPPORTED: &[Operation] = &[
    change("hibernate_sandbox", "POST", "/v1/sandboxes/{sandbox_id}/hibernate"),
    change("resume_sandbox", "POST", "/v1/sandboxes/{sandbox_id}/resume"),
];
