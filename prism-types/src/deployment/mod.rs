//! Deployments: one agent for one customer, with its prompt, tools, skills, secrets and sandbox.

mod config;
mod request;

use crate::{
    DeploymentId, Failure, SnapshotId, ThreadId, Timestamp, UnknownFields, macros::setters,
    open_enum::open_enum, unknown_fields::answer,
};

pub use config::{Features, FeaturesUpdate, McpServer, Runtime, Sandbox, SandboxType, SandboxUpdate};
pub use request::{CreateDeployment, ListDeployments, UpdateDeployment};

open_enum! {
    /// Where a deployment is in its life.
    pub enum DeploymentStatus {
        /// The sandbox is being made; messages are refused with 409 `deployment_not_ready`.
        Provisioning = "provisioning",
        /// Messages are taken.
        Ready = "ready",
        /// The agent could not be started; `error` says why.
        Error = "error",
    }
}

open_enum! {
    /// How events are delivered: always `sse`, server-sent events.
    pub enum EventTransport {
        /// Server-sent events (`text/event-stream`).
        Sse = "sse",
    }
}

open_enum! {
    /// The status in the answer to a delete: always `deleted`.
    pub enum DeletedStatus {
        /// It is gone.
        Deleted = "deleted",
    }
}

answer! {
    /// A deployment, as create, get and update answer it.
    ///
    /// What was configured (prompt, skills, secrets, features) is never echoed.
    pub struct Deployment {
        /// The id to pass to other endpoints.
        pub deployment_id: DeploymentId,
        /// Your own id of the customer.
        pub customer_id: String,
        /// The label.
        pub name: String,
        /// The harness that runs.
        pub runtime: Runtime,
        /// Where the deployment is in its life.
        pub status: DeploymentStatus,
        /// The resolved model.
        pub model: String,
        /// The default thread, used when a message names none.
        pub thread_id: ThreadId,
        /// The agent's workspace.
        pub filesystem: Filesystem,
        /// Where the event stream is.
        pub events: EventsEndpoint,
        /// When the deployment was created.
        pub created_at: Timestamp,
        /// Why the status is `error`; absent otherwise.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub error: Option<Failure>,
    }
}

impl Deployment {
    /// A deployment that is being provisioned, with the defaults of its optional parts.
    pub fn new(
        deployment_id: DeploymentId,
        customer_id: impl Into<String>,
        name: impl Into<String>,
        model: impl Into<String>,
        thread_id: ThreadId,
        events_url: impl Into<String>,
        created_at: Timestamp,
    ) -> Self {
        Self {
            deployment_id,
            customer_id: customer_id.into(),
            name: name.into(),
            runtime: Runtime::default(),
            status: DeploymentStatus::Provisioning,
            model: model.into(),
            thread_id,
            filesystem: Filesystem::default(),
            events: EventsEndpoint {
                transport: EventTransport::Sse,
                url: events_url.into(),
                unknown_fields: UnknownFields::default(),
            },
            created_at,
            error: None,
            unknown_fields: UnknownFields::default(),
        }
    }
}

setters!(Deployment {
    /// Sets the harness.
    runtime: Runtime,
    /// Sets the status.
    status: DeploymentStatus,
    /// Sets the workspace.
    filesystem: Filesystem,
    /// Sets the reason of the status `error`.
    error: Option<Failure>,
});

answer! {
    /// The agent's workspace.
    pub struct Filesystem {
        /// Its path inside the sandbox, always `/workspace`.
        pub workspace_path: String,
        /// Whether it is kept across sessions.
        pub persistent: bool,
    }
}

impl Default for Filesystem {
    fn default() -> Self {
        Self {
            workspace_path: "/workspace".to_owned(),
            persistent: true,
            unknown_fields: UnknownFields::default(),
        }
    }
}

setters!(Filesystem {
    /// Sets whether the workspace is kept.
    persistent: bool,
});

answer! {
    /// Where a deployment's event stream is.
    pub struct EventsEndpoint {
        /// Always `sse`.
        pub transport: EventTransport,
        /// The URL of the stream.
        pub url: String,
    }
}

answer! {
    /// A deployment in a list.
    pub struct DeploymentSummary {
        /// The id to pass to other endpoints.
        pub deployment_id: DeploymentId,
        /// Your own id of the customer.
        pub customer_id: String,
        /// The label.
        pub name: String,
        /// The harness that runs.
        pub runtime: Runtime,
        /// Where the deployment is in its life.
        pub status: DeploymentStatus,
        /// The resolved model.
        pub model: String,
        /// When the deployment was created.
        pub created_at: Timestamp,
    }
}

impl DeploymentSummary {
    /// A row of a list.
    pub fn new(
        deployment_id: DeploymentId,
        customer_id: impl Into<String>,
        name: impl Into<String>,
        runtime: Runtime,
        status: DeploymentStatus,
        model: impl Into<String>,
        created_at: Timestamp,
    ) -> Self {
        Self {
            deployment_id,
            customer_id: customer_id.into(),
            name: name.into(),
            runtime,
            status,
            model: model.into(),
            created_at,
            unknown_fields: UnknownFields::default(),
        }
    }
}

answer! {
    /// The answer to `DELETE /v1/deployments/{deployment_id}`.
    pub struct DeletedDeployment {
        /// The deployment that is gone.
        pub deployment_id: DeploymentId,
        /// Always `deleted`.
        pub status: DeletedStatus,
        /// The snapshot that has its workspace; absent when that was not to be retained.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub snapshot_id: Option<SnapshotId>,
    }
}

impl DeletedDeployment {
    /// The answer for this deployment.
    pub fn new(deployment_id: DeploymentId) -> Self {
        Self {
            deployment_id,
            status: DeletedStatus::Deleted,
            snapshot_id: None,
            unknown_fields: UnknownFields::default(),
        }
    }
}

setters!(DeletedDeployment {
    /// Sets the snapshot that has its workspace.
    snapshot_id: Option<SnapshotId>,
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_published_answer_is_read() {
        let body = r#"{
            "deployment_id": "dep_7xK9s2", "customer_id": "cus_123", "name": "Acme", "runtime": "hermes",
            "status": "ready", "model": "anthropic/claude-sonnet-4.5", "thread_id": "thr_default_8a1",
            "filesystem": { "workspace_path": "/workspace", "persistent": true },
            "events": { "transport": "sse", "url": "https://x/v1/deployments/dep_7xK9s2/events" },
            "created_at": "2026-06-11T20:55:03Z", "a_field_of_tomorrow": 1
        }"#;
        let deployment: Deployment = serde_json::from_str(body).unwrap();
        assert_eq!(deployment.status, DeploymentStatus::Ready);
        assert_eq!(deployment.error, None);
    }
}
