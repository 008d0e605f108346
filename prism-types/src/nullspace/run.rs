//! Runs of deployments whose mode is `job`.

use serde::{Deserialize, Serialize};

use super::{AgentDeploymentId, AgentMode, AgentRunId, AgentVersionId, Envs, JsonObject, SandboxId};
use crate::{
    Secret, Timestamp, UnknownFields, macros::setters, open_enum::open_enum, unknown_fields::answer,
};

open_enum! {
    /// Where a run is in its life.
    pub enum AgentRunStatus {
        /// It waits for its turn.
        Queued = "queued",
        /// Its sandbox is being made.
        Starting = "starting",
        /// Its dependencies are being installed.
        Installing = "installing",
        /// The agent works.
        Running = "running",
        /// The agent ended with the exit code 0.
        Succeeded = "succeeded",
        /// It failed; `failure_reason` says why.
        Failed = "failed",
        /// It was cancelled.
        Cancelled = "cancelled",
        /// It took longer than it may.
        TimedOut = "timed_out",
    }
}

impl AgentRunStatus {
    /// Whether the run is over: `succeeded`, `failed`, `cancelled` or `timed_out`.
    pub fn is_terminal(&self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled | Self::TimedOut)
    }
}

answer! {
    /// A run of an agent deployment. The environment variables that it was given are never answered.
    pub struct AgentRun {
        /// Its id.
        pub id: AgentRunId,
        /// The deployment it belongs to.
        pub deployment_id: AgentDeploymentId,
        /// The version that is run.
        pub version_id: AgentVersionId,
        /// The mode of the deployment.
        pub mode: AgentMode,
        /// Where it is in its life.
        pub status: AgentRunStatus,
        /// What it works on.
        pub input: JsonObject,
        /// Whether its sandbox is kept when it failed.
        #[serde(default)]
        pub retain_on_failure: Option<bool>,
        /// For how long that is kept, in seconds.
        #[serde(default)]
        pub retention_seconds: Option<u64>,
        /// The sandbox it works in; `null` until there is one.
        #[serde(default)]
        pub sandbox_id: Option<SandboxId>,
        /// The process of the agent in the sandbox.
        #[serde(default)]
        pub process_id: Option<u32>,
        /// The exit code of that process.
        #[serde(default)]
        pub exit_code: Option<i32>,
        /// Why the status is `failed`.
        #[serde(default)]
        pub failure_reason: Option<String>,
        /// What it left behind; see [`RunOutputs`](super::RunOutputs).
        #[serde(default)]
        pub output_manifest: Option<JsonObject>,
        /// When the agent was started.
        #[serde(default)]
        pub started_at: Option<Timestamp>,
        /// When it ended; `null` until then.
        #[serde(default)]
        pub completed_at: Option<Timestamp>,
        /// When it was asked for.
        pub created_at: Timestamp,
        /// When it was changed last.
        pub updated_at: Timestamp,
        /// The key of the request that started it.
        #[serde(default)]
        pub idempotency_key: Option<String>,
    }
}

impl AgentRun {
    /// A run that waits for its turn.
    pub fn new(
        id: AgentRunId,
        deployment_id: AgentDeploymentId,
        version_id: AgentVersionId,
        input: JsonObject,
        created_at: Timestamp,
    ) -> Self {
        Self {
            id,
            deployment_id,
            version_id,
            mode: AgentMode::Job,
            status: AgentRunStatus::Queued,
            input,
            retain_on_failure: None,
            retention_seconds: None,
            sandbox_id: None,
            process_id: None,
            exit_code: None,
            failure_reason: None,
            output_manifest: None,
            started_at: None,
            completed_at: None,
            created_at,
            updated_at: created_at,
            idempotency_key: None,
            unknown_fields: UnknownFields::default(),
        }
    }
}

setters!(AgentRun {
    /// Sets where it is in its life.
    status: AgentRunStatus,
    /// Sets whether its sandbox is kept when it failed.
    retain_on_failure: Option<bool>,
    /// Sets for how long that is kept, in seconds.
    retention_seconds: Option<u64>,
    /// Sets the sandbox it works in.
    sandbox_id: Option<SandboxId>,
    /// Sets the process of the agent.
    process_id: Option<u32>,
    /// Sets the exit code of that process.
    exit_code: Option<i32>,
    /// Sets why the status is `failed`.
    failure_reason: Option<String>,
    /// Sets what it left behind.
    output_manifest: Option<JsonObject>,
    /// Sets when the agent was started.
    started_at: Option<Timestamp>,
    /// Sets when it ended.
    completed_at: Option<Timestamp>,
    /// Sets when it was changed last.
    updated_at: Timestamp,
    /// Sets the key of the request that started it.
    idempotency_key: Option<String>,
});

/// The body of `POST /v1/agent-deployments/{deployment_id}/runs`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct CreateRun {
    /// The version to run, one that is `ready`. Default: the active one of the deployment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version_id: Option<AgentVersionId>,
    /// What it works on. Default: `{}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "JsonObject"))]
    pub input: Option<JsonObject>,
    /// Environment variables of its process; all that the version requires. Secret: they are in no answer.
    #[serde(skip_serializing_if = "Envs::is_empty")]
    pub envs: Envs,
    /// Keep its sandbox when it failed. Default: as the configuration of the version says.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "bool"))]
    pub retain_on_failure: Option<bool>,
    /// For how long, in seconds. Default: as the configuration of the version says, or 3,600.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "u64"))]
    pub retention_seconds: Option<u64>,
}

impl CreateRun {
    /// A run of the active version.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<Secret>) -> Self {
        self.envs.insert(name, value);
        self
    }
}

setters!(CreateRun {
    /// Sets the version to run.
    version_id?: AgentVersionId,
    /// Sets what it works on.
    input?: JsonObject,
    /// Replaces the environment variables.
    envs: Envs,
    /// Keeps its sandbox when it failed, or not.
    retain_on_failure?: bool,
    /// Sets for how long, in seconds.
    retention_seconds?: u64,
});

/// The body of `POST /v1/agent-deployments/{deployment_id}/runs/{run_id}/cancel`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct CancelRun {
    /// Why, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub reason: Option<String>,
}

impl CancelRun {
    /// Without a reason.
    pub fn new() -> Self {
        Self::default()
    }
}

setters!(CancelRun {
    /// Says why.
    reason?: String,
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_bodies_are_empty_objects() {
        assert_eq!(serde_json::to_string(&CreateRun::new()).unwrap(), "{}");
        assert_eq!(serde_json::to_string(&CancelRun::new()).unwrap(), "{}");
        assert_eq!(serde_json::from_str::<CreateRun>("{}").unwrap(), CreateRun::new());
    }

    #[test]
    fn debug_shows_no_value_of_a_variable() {
        let request = CreateRun::new().env("KEY", "canary");
        let debug = format!("{request:?} {request:#?}");
        assert!(debug.contains("KEY") && !debug.contains("canary"), "{debug}");
        assert_eq!(serde_json::to_string(&request).unwrap(), r#"{"envs":{"KEY":"canary"}}"#);
    }

    #[test]
    fn a_status_that_is_not_known_is_not_terminal() {
        let terminal = AgentRunStatus::KNOWN.iter().filter(|text| AgentRunStatus::from(**text).is_terminal());
        assert_eq!(terminal.count(), 4);
        assert!(!AgentRunStatus::from("resting").is_terminal());
    }
}
