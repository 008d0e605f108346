//! The API of agent deployments: what is sent for each of its operations, and what becomes of the answers.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod bundles;
mod errors;
mod logs;
mod operations;
mod retries;
#[path = "../support/mod.rs"]
mod support;
mod uploads;
mod waits;

use prism_client::nullspace::{AgentDeploymentHandle, Nullspace};
use serde_json::{Value, json};
use support::script::Script;

const AT: &str = "2026-06-11T20:55:03.000Z";

fn nullspace(script: &Script) -> Nullspace {
    script.client().nullspace()
}

fn deployment_of(script: &Script) -> AgentDeploymentHandle {
    nullspace(script).deployment(&"adpl_1".parse().unwrap())
}

fn deployment() -> Value {
    json!({
        "id": "adpl_1", "name": "demo", "description": null, "mode": "job", "status": "active",
        "active_version_id": null, "metadata": { "a": 1 }, "created_at": AT, "updated_at": AT, "deleted_at": null,
    })
}

fn version(status: &str) -> Value {
    json!({
        "id": "adpv_1", "deployment_id": "adpl_1", "version_number": 3, "bundle_digest": "c0ffee",
        "bundle_manifest": { "file_count": 1 }, "config": { "name": "demo" }, "template": "base",
        "workdir": "/workspace/project", "install_command": null, "entrypoint_command": "python main.py",
        "service_port": null, "readiness_config": null, "env_spec": { "required": ["KEY"], "optional": [] },
        "resource_config": {}, "debug_config": {}, "status": status, "cache_policy": "auto",
        "cache_summary": {
            "enabled": true, "policy": "auto", "status": "cache_miss", "artifact_ready": false, "reason": null,
            "build_id": "adpb_1", "cache_key_digest": null, "artifact_id": null, "updated_at": AT,
        },
        "build_summary": null, "failure_reason": null, "created_at": AT, "ready_at": null,
    })
}

fn run(status: &str) -> Value {
    json!({
        "id": "adrun_1", "deployment_id": "adpl_1", "version_id": "adpv_1", "mode": "job", "status": status,
        "input": { "q": 1 }, "retain_on_failure": true, "retention_seconds": 60, "sandbox_id": "sb_1",
        "process_id": 17, "exit_code": null, "failure_reason": null, "output_manifest": null, "started_at": AT,
        "completed_at": null, "created_at": AT, "updated_at": AT, "idempotency_key": "k",
    })
}

fn service(status: &str) -> Value {
    json!({
        "id": "adsvc_1234abcd", "deployment_id": "adpl_1", "version_id": "adpv_1", "status": status, "port": 32768,
        "created_at": AT, "updated_at": AT, "sandbox_id": null, "process_id": null, "public_url": null,
        "failure_reason": null, "started_at": null, "stopped_at": null, "idempotency_key": "k",
    })
}

fn line(number: u32) -> Value {
    json!({
        "id": format!("00000000-0000-4000-8000-{number:012}"), "deployment_id": "adpl_1", "version_id": "adpv_1",
        "run_id": "adrun_1", "service_instance_id": null, "sandbox_id": null, "process_id": null,
        "source": "stdout", "level": "info", "event_type": "stdout", "message": format!("line {number}"),
        "metadata": { "source": "stdout" }, "created_at": AT,
    })
}

fn log(
    lines: impl IntoIterator<Item = u32>,
    offset: u64,
    has_more: bool,
    next_cursor: Option<&str>,
) -> Value {
    let events: Vec<_> = lines.into_iter().map(line).collect();
    json!({
        "events": events, "offset": offset, "limit": 100, "has_more": has_more, "next_cursor": next_cursor,
    })
}
