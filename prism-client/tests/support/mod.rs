//! What the tests share: clients, answers of the server, and a server that can misbehave.

#![allow(dead_code, reason = "each test file uses a part")]

pub(crate) mod faulty;
pub(crate) mod script;

use prism_client::{Client, RetryPolicy, types::DeploymentId};
use serde_json::{Value, json};

/// What must never show.
pub(crate) const KEY: &str = "prism_canary_7f3a";

/// A client that tries nothing again.
pub(crate) fn client(url: &str) -> Client {
    let builder = Client::builder().base_url(url).api_key(KEY).retries(RetryPolicy::none());
    builder.build().expect("the settings are valid")
}

pub(crate) fn deployment_id() -> DeploymentId {
    "dep_7xK9s2".parse().expect("the id is valid")
}

pub(crate) fn deployment(status: &str) -> Value {
    json!({
        "deployment_id": "dep_7xK9s2", "customer_id": "cus_123", "name": "Acme", "runtime": "hermes",
        "status": status, "model": "anthropic/claude-sonnet-4.5", "thread_id": "thr_default_8a1",
        "filesystem": { "workspace_path": "/workspace", "persistent": true },
        "events": { "transport": "sse", "url": "https://x/v1/deployments/dep_7xK9s2/events" },
        "created_at": "2026-06-11T20:55:03Z",
    })
}

pub(crate) fn error(code: &str) -> Value {
    json!({ "error": code, "message": format!("about {code}") })
}
