//! Deployments: one agent for one customer, with its prompt, tools, skills, secrets and sandbox.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    Cursor, DeploymentId, Failure, Patch, SecretRef, Skill, ThreadId, Timestamp, macros::setters,
    open_enum::open_enum,
};

open_enum! {
    /// The agent harness that runs in a deployment. Default: `hermes`.
    pub enum Runtime {
        /// The Hermes agent.
        Hermes = "hermes",
        /// A deterministic script instead of an agent, for tests and demonstrations.
        Scripted = "scripted",
    }
}

open_enum! {
    /// What isolates an agent. Default: `docker`.
    pub enum SandboxType {
        /// A container of a Docker Engine.
        Docker = "docker",
        /// A child process in a directory of its own; for development and trusted use.
        Process = "process",
        /// Memory of the gateway; only for the runtime `scripted`, which executes nothing.
        Memory = "memory",
    }
}

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
        /// The deployment is gone.
        Deleted = "deleted",
    }
}

#[allow(clippy::derivable_impls, reason = "the enum is made by a macro that knows no default")]
impl Default for Runtime {
    fn default() -> Self {
        Self::Hermes
    }
}

#[allow(clippy::derivable_impls, reason = "the enum is made by a macro that knows no default")]
impl Default for SandboxType {
    fn default() -> Self {
        Self::Docker
    }
}

/// The body of `POST /v1/deployments`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct CreateDeployment {
    /// Your own id of the customer that this agent serves, 1 to 255 characters. One agent per customer is
    /// the recommended model; it is not enforced.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 255), regex(pattern = r"^[^\u0000]*$")))]
    pub customer_id: String,
    /// A label for people, 1 to 255 characters.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 255), regex(pattern = r"^[^\u0000]*$")))]
    pub name: String,
    /// The agent's system prompt, 1 to 131,072 bytes.
    #[cfg_attr(
        feature = "schema",
        schemars(length(min = 1, max = 131_072), regex(pattern = r"^[^\u0000]*$"))
    )]
    pub system_prompt: String,
    /// The harness to run. Default: `hermes`.
    #[serde(default)]
    pub runtime: Runtime,
    /// The model in `provider/model` form. Default: chosen by the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(max = 255), regex(pattern = r"^[!-.0-~]+/[!-~]+$")))]
    pub model: Option<String>,
    /// How the agent is isolated.
    #[serde(default)]
    pub sandbox: Sandbox,
    /// Your MCP servers, at most 20, with different names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schemars(length(max = 20)))]
    pub mcp_servers: Vec<McpServer>,
    /// Skills that teach the agent, at most 20, with different names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schemars(length(max = 20)))]
    pub skills: Vec<Skill>,
    /// Environment variable names and the stored secrets they stand for, at most 100.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[cfg_attr(feature = "schema", schemars(extend("maxProperties" = 100, "propertyNames" = { "pattern": "^[A-Za-z_][A-Za-z0-9_]{0,127}$" })))]
    pub secrets: BTreeMap<String, SecretRef>,
    /// Feature switches.
    #[serde(default)]
    pub features: Features,
}

impl CreateDeployment {
    /// A request with every optional field at its default.
    pub fn new(
        customer_id: impl Into<String>,
        name: impl Into<String>,
        system_prompt: impl Into<String>,
    ) -> Self {
        Self {
            customer_id: customer_id.into(),
            name: name.into(),
            system_prompt: system_prompt.into(),
            runtime: Runtime::default(),
            model: None,
            sandbox: Sandbox::default(),
            mcp_servers: Vec::new(),
            skills: Vec::new(),
            secrets: BTreeMap::new(),
            features: Features::default(),
        }
    }

    /// Lets the environment variable `name` stand for the stored secret `reference`.
    #[must_use]
    pub fn secret(mut self, name: impl Into<String>, reference: SecretRef) -> Self {
        self.secrets.insert(name.into(), reference);
        self
    }
}

setters!(CreateDeployment {
    /// Sets the harness.
    runtime: Runtime,
    /// Sets the model, in `provider/model` form.
    model?: String,
    /// Sets how the agent is isolated.
    sandbox: Sandbox,
    /// Replaces the MCP servers.
    mcp_servers[
        /// Adds an MCP server.
        mcp_server
    ]: McpServer,
    /// Replaces the skills.
    skills[
        /// Adds a skill.
        skill
    ]: Skill,
    /// Replaces the secrets.
    secrets: BTreeMap<String, SecretRef>,
    /// Sets the feature switches.
    features: Features,
});

/// How an agent is isolated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Sandbox {
    /// Run the agent in a sandbox at all. Default: true.
    pub enabled: bool,
    /// The kind of sandbox. Default: `docker`.
    #[serde(rename = "type")]
    pub kind: SandboxType,
    /// Keep the workspace across sessions. Default: true.
    pub persistent_filesystem: bool,
}

impl Default for Sandbox {
    fn default() -> Self {
        Self { enabled: true, kind: SandboxType::default(), persistent_filesystem: true }
    }
}

setters!(Sandbox {
    /// Switches the sandbox on or off.
    enabled: bool,
    /// Sets the kind of sandbox.
    kind: SandboxType,
    /// Sets whether the workspace is kept.
    persistent_filesystem: bool,
});

/// An MCP server whose tools the agent may use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct McpServer {
    /// A name, unique in the deployment, 1 to 64 characters of `A-Z a-z 0-9 _ -`.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = "^[A-Za-z0-9_-]{1,64}$")))]
    pub name: String,
    /// The server's `http` or `https` URL.
    #[cfg_attr(
        feature = "schema",
        schemars(length(max = 2048), regex(pattern = r"^https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[!-~]*)?$"))
    )]
    pub url: String,
    /// The tools that the agent may use, at most 200; omitted: all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "schema",
        schemars(length(max = 200), inner(length(min = 1, max = 255), regex(pattern = r"^[^\u0000]*$")))
    )]
    pub tools: Option<Vec<String>>,
}

impl McpServer {
    /// A server all of whose tools may be used.
    pub fn new(name: impl Into<String>, url: impl Into<String>) -> Self {
        Self { name: name.into(), url: url.into(), tools: None }
    }

    /// Allows only these tools.
    #[must_use]
    pub fn tools<T: Into<String>>(mut self, tools: impl IntoIterator<Item = T>) -> Self {
        self.tools = Some(tools.into_iter().map(Into::into).collect());
        self
    }
}

/// The feature switches of a deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Features {
    /// Observational memory across sessions. Default: true.
    pub memory: bool,
    /// Idle-time self-learning between sessions. Default: false.
    pub dreaming: bool,
    /// Scheduled and recurring runs. Default: true.
    pub automations: bool,
    /// Human-in-the-loop approvals in a run; without it a run never pauses. Default: true.
    pub steering: bool,
    /// `filesystem` events for changes of the workspace. Default: false.
    pub filesystem_webhooks: bool,
}

impl Default for Features {
    fn default() -> Self {
        Self { memory: true, dreaming: false, automations: true, steering: true, filesystem_webhooks: false }
    }
}

setters!(Features {
    /// Switches memory.
    memory: bool,
    /// Switches dreaming.
    dreaming: bool,
    /// Switches automations.
    automations: bool,
    /// Switches steering.
    steering: bool,
    /// Switches `filesystem` events.
    filesystem_webhooks: bool,
});

/// The body of `PATCH /v1/deployments/{deployment_id}`. Changes apply from the next run on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct UpdateDeployment {
    /// Replaces the label.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "schema",
        schemars(with = "String", length(min = 1, max = 255), regex(pattern = r"^[^\u0000]*$"))
    )]
    pub name: Option<String>,
    /// Replaces the system prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "schema",
        schemars(with = "String", length(min = 1, max = 131_072), regex(pattern = r"^[^\u0000]*$"))
    )]
    pub system_prompt: Option<String>,
    /// Replaces the model; `null` goes back to the server's default.
    #[serde(skip_serializing_if = "Patch::is_keep")]
    #[cfg_attr(feature = "schema", schemars(length(max = 255), regex(pattern = r"^[!-.0-~]+/[!-~]+$")))]
    pub model: Patch<String>,
    /// Changes the named switches of the sandbox and leaves the others.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "SandboxUpdate"))]
    pub sandbox: Option<SandboxUpdate>,
    /// Replaces the MCP servers as a whole; `[]` removes all.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Vec<McpServer>", length(max = 20)))]
    pub mcp_servers: Option<Vec<McpServer>>,
    /// Replaces the skills as a whole; `[]` removes all.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Vec<Skill>", length(max = 20)))]
    pub skills: Option<Vec<Skill>>,
    /// Merged key by key; `null` removes a key.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[cfg_attr(feature = "schema", schemars(extend("maxProperties" = 100, "propertyNames" = { "pattern": "^[A-Za-z_][A-Za-z0-9_]{0,127}$" })))]
    pub secrets: BTreeMap<String, Option<SecretRef>>,
    /// Changes the named features and leaves the others.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "FeaturesUpdate"))]
    pub features: Option<FeaturesUpdate>,
}

impl UpdateDeployment {
    /// A request that changes nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets the environment variable `name` stand for the stored secret `reference`.
    #[must_use]
    pub fn secret(mut self, name: impl Into<String>, reference: SecretRef) -> Self {
        self.secrets.insert(name.into(), Some(reference));
        self
    }

    /// Removes the environment variable `name`.
    #[must_use]
    pub fn remove_secret(mut self, name: impl Into<String>) -> Self {
        self.secrets.insert(name.into(), None);
        self
    }

    /// Replaces the MCP servers as a whole.
    #[must_use]
    pub fn mcp_servers(mut self, servers: impl IntoIterator<Item = McpServer>) -> Self {
        self.mcp_servers = Some(servers.into_iter().collect());
        self
    }

    /// Replaces the skills as a whole.
    #[must_use]
    pub fn skills(mut self, skills: impl IntoIterator<Item = Skill>) -> Self {
        self.skills = Some(skills.into_iter().collect());
        self
    }

    /// Sets the model; [`Patch::Clear`] goes back to the server's default.
    #[must_use]
    pub fn model(mut self, model: impl Into<Patch<String>>) -> Self {
        self.model = model.into();
        self
    }
}

setters!(UpdateDeployment {
    /// Replaces the label.
    name?: String,
    /// Replaces the system prompt.
    system_prompt?: String,
    /// Changes the sandbox.
    sandbox?: SandboxUpdate,
    /// Changes the features.
    features?: FeaturesUpdate,
});

/// The part of a sandbox to change.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct SandboxUpdate {
    /// See [`Sandbox::enabled`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// See [`Sandbox::kind`].
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<SandboxType>,
    /// See [`Sandbox::persistent_filesystem`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub persistent_filesystem: Option<bool>,
}

setters!(SandboxUpdate {
    /// Switches the sandbox on or off.
    enabled?: bool,
    /// Sets the kind of sandbox.
    kind?: SandboxType,
    /// Sets whether the workspace is kept.
    persistent_filesystem?: bool,
});

/// The features to change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct FeaturesUpdate {
    /// See [`Features::memory`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<bool>,
    /// See [`Features::dreaming`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dreaming: Option<bool>,
    /// See [`Features::automations`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub automations: Option<bool>,
    /// See [`Features::steering`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steering: Option<bool>,
    /// See [`Features::filesystem_webhooks`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filesystem_webhooks: Option<bool>,
}

setters!(FeaturesUpdate {
    /// Switches memory.
    memory?: bool,
    /// Switches dreaming.
    dreaming?: bool,
    /// Switches automations.
    automations?: bool,
    /// Switches steering.
    steering?: bool,
    /// Switches `filesystem` events.
    filesystem_webhooks?: bool,
});

/// A deployment, as create, get and update answer it.
///
/// What was configured (prompt, skills, secrets, features) is never echoed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
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
            events: EventsEndpoint { transport: EventTransport::Sse, url: events_url.into() },
            created_at,
            error: None,
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

/// The agent's workspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Filesystem {
    /// Its path inside the sandbox, always `/workspace`.
    pub workspace_path: String,
    /// Whether it is kept across sessions.
    pub persistent: bool,
}

impl Default for Filesystem {
    fn default() -> Self {
        Self { workspace_path: "/workspace".to_owned(), persistent: true }
    }
}

setters!(Filesystem {
    /// Sets whether the workspace is kept.
    persistent: bool,
});

/// Where a deployment's event stream is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct EventsEndpoint {
    /// Always `sse`.
    pub transport: EventTransport,
    /// The URL of the stream.
    pub url: String,
}

/// A deployment in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
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
        }
    }
}

/// The answer to `DELETE /v1/deployments/{deployment_id}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct DeletedDeployment {
    /// The deployment that is gone.
    pub deployment_id: DeploymentId,
    /// Always `deleted`.
    pub status: DeletedStatus,
}

impl DeletedDeployment {
    /// The answer for this deployment.
    pub fn new(deployment_id: DeploymentId) -> Self {
        Self { deployment_id, status: DeletedStatus::Deleted }
    }
}

/// The query of `GET /v1/deployments`. Deployments are listed newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ListDeployments {
    /// Only deployments of this customer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub customer_id: Option<String>,
    /// Only deployments in this status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<DeploymentStatus>,
    /// How many to answer at most, 1 to 100. Default: 20.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// Where to go on: `next_cursor` of the page before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<Cursor>,
}

setters!(ListDeployments {
    /// Only deployments of this customer.
    customer_id?: String,
    /// Only deployments in this status.
    status?: DeploymentStatus,
    /// How many to answer at most.
    limit?: u32,
    /// Where to go on.
    cursor?: Cursor,
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_body_gets_every_default() {
        let body = r#"{"customer_id":"cus_1","name":"Agent","system_prompt":"Help."}"#;
        let request: CreateDeployment = serde_json::from_str(body).unwrap();
        assert_eq!(request, CreateDeployment::new("cus_1", "Agent", "Help."));
        assert_eq!(request.runtime, Runtime::Hermes);
        assert_eq!(request.sandbox.kind, SandboxType::Docker);
        assert!(request.sandbox.enabled && request.sandbox.persistent_filesystem);
        let features = request.features;
        assert!(features.memory && features.automations && features.steering);
        assert!(!features.dreaming && !features.filesystem_webhooks);
    }

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

    #[test]
    fn an_update_tells_omitted_from_null() {
        let update: UpdateDeployment =
            serde_json::from_str(r#"{"model":null,"secrets":{"A":null},"skills":[]}"#).unwrap();
        assert_eq!(update.model, Patch::Clear);
        assert_eq!(update.secrets["A"], None);
        assert_eq!(update.skills, Some(Vec::new()));
        assert_eq!(update.name, None);
        let text = serde_json::to_string(&update).unwrap();
        assert_eq!(serde_json::from_str::<UpdateDeployment>(&text).unwrap(), update);
    }
}
