//! Requests: create, update and list deployments.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{DeploymentStatus, Features, FeaturesUpdate, McpServer, Runtime, Sandbox, SandboxUpdate};
use crate::{ApprovalPolicy, Cursor, Patch, SecretRef, Skill, SnapshotId, macros::setters};

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
    /// Which tools need the approval of a human. Default: only what the agent finds dangerous itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "ApprovalPolicy"))]
    pub approvals: Option<ApprovalPolicy>,
    /// The snapshot that the workspace begins with, of an earlier deployment of this customer. Default: an empty workspace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "SnapshotId"))]
    pub snapshot_id: Option<SnapshotId>,
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
            approvals: None,
            snapshot_id: None,
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
    /// Sets which tools need the approval of a human.
    approvals?: ApprovalPolicy,
    /// Sets the snapshot that the workspace begins with.
    snapshot_id?: SnapshotId,
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
    /// Replaces which tools need the approval of a human, as a whole; `null` goes back to the default.
    #[serde(skip_serializing_if = "Patch::is_keep")]
    pub approvals: Patch<ApprovalPolicy>,
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

    /// Sets which tools need the approval of a human; [`Patch::Clear`] goes back to the default.
    #[must_use]
    pub fn approvals(mut self, policy: impl Into<Patch<ApprovalPolicy>>) -> Self {
        self.approvals = policy.into();
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
    use crate::SandboxType;

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
