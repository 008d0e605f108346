//! What the end-to-end tests share: a control plane on a real database and a real socket, and the real
//! `prism` binary as a process.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test kit fails by panicking")]

mod binary;
pub mod contract;
mod http;
mod on_disk;
mod proxy;
mod server;

pub use binary::PrismServe;
pub use http::{Answer, Http, answer};
pub use proxy::CuttingProxy;
pub use server::{Account, ServerOptions, TestServer, serve, serve_directory};

/// The request body of the published API reference, byte for byte.
pub const ACME_AGENT: &str = include_str!("../../examples/acme-agent.json");

/// A system prompt with this script.
pub fn scripted(script: &str) -> String {
    format!("You are a test agent.\n\n```script\n{script}\n```\n")
}

/// A body for `POST /v1/deployments` whose agent does what the script says.
pub fn scripted_body(script: &str) -> serde_json::Value {
    serde_json::json!({
        "customer_id": "cus_1",
        "name": "Test agent",
        "runtime": "scripted",
        "system_prompt": scripted(script),
    })
}
