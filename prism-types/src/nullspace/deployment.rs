//! Agent deployments: names under which versions of an agent's code are run.

use serde::{Deserialize, Serialize};

use super::{AgentDeploymentId, AgentMode, AgentVersionId, JsonObject};
use crate::{Patch, Timestamp, UnknownFields, macros::setters, open_enum::open_enum, unknown_fields::answer};

open_enum! {
    /// Where an agent deployment is in its life.
    pub enum AgentDeploymentStatus {
        /// Runs and services can be started.
        Active = "active",
        /// None can be started.
        Paused = "paused",
        /// It was deleted; `deleted_at` says when.
        Deleted = "deleted",
    }
}

answer! {
    /// An agent deployment.
    pub struct AgentDeployment {
        /// Its id.
        pub id: AgentDeploymentId,
        /// Its name, 1 to 128 characters, unique among the deployments of its owner.
        pub name: String,
        /// What it is for.
        #[serde(default)]
        pub description: Option<String>,
        /// Whether it is run as jobs or as services; it never changes.
        pub mode: AgentMode,
        /// Where it is in its life.
        pub status: AgentDeploymentStatus,
        /// The version that is run when a request names none; `null` until a bundle was uploaded.
        #[serde(default)]
        pub active_version_id: Option<AgentVersionId>,
        /// Fields of the owner's own.
        pub metadata: JsonObject,
        /// When it was created.
        pub created_at: Timestamp,
        /// When it was changed last.
        pub updated_at: Timestamp,
        /// When it was deleted; `null` until then.
        #[serde(default)]
        pub deleted_at: Option<Timestamp>,
    }
}

impl AgentDeployment {
    /// An active deployment without a version that was never changed.
    pub fn new(
        id: AgentDeploymentId,
        name: impl Into<String>,
        mode: AgentMode,
        created_at: Timestamp,
    ) -> Self {
        Self {
            id,
            name: name.into(),
            description: None,
            mode,
            status: AgentDeploymentStatus::Active,
            active_version_id: None,
            metadata: JsonObject::default(),
            created_at,
            updated_at: created_at,
            deleted_at: None,
            unknown_fields: UnknownFields::default(),
        }
    }
}

setters!(AgentDeployment {
    /// Sets what it is for.
    description: Option<String>,
    /// Sets where it is in its life.
    status: AgentDeploymentStatus,
    /// Sets the version that is run.
    active_version_id: Option<AgentVersionId>,
    /// Sets the owner's fields.
    metadata: JsonObject,
    /// Sets when it was changed last.
    updated_at: Timestamp,
    /// Sets when it was deleted.
    deleted_at: Option<Timestamp>,
});

/// The body of `POST /v1/agent-deployments`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct CreateAgentDeployment {
    /// Its name, 1 to 128 characters, unique among your deployments.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 128)))]
    pub name: String,
    /// Whether it is run as jobs or as services.
    pub mode: AgentMode,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub description: Option<String>,
    /// Fields of your own. Default: `{}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "JsonObject"))]
    pub metadata: Option<JsonObject>,
}

impl CreateAgentDeployment {
    /// A deployment that is run as jobs or as services.
    pub fn new(name: impl Into<String>, mode: AgentMode) -> Self {
        Self { name: name.into(), mode, description: None, metadata: None }
    }
}

setters!(CreateAgentDeployment {
    /// Sets what it is for.
    description?: String,
    /// Sets fields of your own.
    metadata?: JsonObject,
});

/// The body of `PATCH /v1/agent-deployments/{deployment_id}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct UpdateAgentDeployment {
    /// Replaces the name, 1 to 128 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "String", length(min = 1, max = 128)))]
    pub name: Option<String>,
    /// Replaces what it is for; `null` removes it.
    #[serde(skip_serializing_if = "Patch::is_keep")]
    pub description: Patch<String>,
    /// Pauses it or lets it go on.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "AgentDeploymentStatus"))]
    pub status: Option<AgentDeploymentStatus>,
    /// Replaces the version that is run when a request names none: one of this deployment that is `ready`.
    #[serde(skip_serializing_if = "Patch::is_keep")]
    pub active_version_id: Patch<AgentVersionId>,
    /// Replaces the fields of your own, all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "JsonObject"))]
    pub metadata: Option<JsonObject>,
}

impl UpdateAgentDeployment {
    /// A request that changes nothing.
    pub fn new() -> Self {
        Self::default()
    }
}

setters!(UpdateAgentDeployment {
    /// Replaces the name.
    name?: String,
    /// Replaces what it is for; [`Patch::Clear`] removes it.
    description: Patch<String>,
    /// Pauses it or lets it go on.
    status?: AgentDeploymentStatus,
    /// Replaces the version that is run; [`Patch::Clear`]: none is.
    active_version_id: Patch<AgentVersionId>,
    /// Replaces the fields of your own, all of them.
    metadata?: JsonObject,
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_update_tells_omitted_from_null() {
        assert_eq!(serde_json::to_string(&UpdateAgentDeployment::new()).unwrap(), "{}");
        let change = UpdateAgentDeployment::new().description(Patch::Clear).status("paused");
        let text = serde_json::to_string(&change).unwrap();
        assert_eq!(text, r#"{"description":null,"status":"paused"}"#);
        assert_eq!(serde_json::from_str::<UpdateAgentDeployment>(&text).unwrap(), change);
    }

    #[test]
    fn what_the_vendors_sdk_sends_is_read() {
        let text = r#"{"name":"demo","mode":"job","description":"x","metadata":{"a":1}}"#;
        let request: CreateAgentDeployment = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&request).unwrap(), text);
        assert_eq!(request.mode, AgentMode::Job);
    }
}
