//! Instances of deployments whose mode is `service`.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{AgentDeploymentId, AgentVersionId, Envs, JsonObject, SandboxId, ServiceInstanceId};
use crate::{
    Secret, Timestamp, UnknownFields, macros::setters, open_enum::open_enum, unknown_fields::answer,
};

open_enum! {
    /// Where a service instance is in its life.
    pub enum ServiceStatus {
        /// Its sandbox is being made, its dependencies are installed, or it is not ready yet.
        Starting = "starting",
        /// It is ready.
        Ready = "ready",
        /// It was ready, and does not look so any more.
        Unhealthy = "unhealthy",
        /// It is being stopped.
        Stopping = "stopping",
        /// It was stopped.
        Stopped = "stopped",
        /// It failed; `failure_reason` says why.
        Failed = "failed",
    }
}

impl ServiceStatus {
    /// Whether it does nothing any more unless it is restarted: `stopped` or `failed`.
    pub fn is_terminal(&self) -> bool {
        matches!(self, Self::Stopped | Self::Failed)
    }

    /// Whether it runs or is about to: `starting`, `ready` or `unhealthy`.
    pub fn is_active(&self) -> bool {
        matches!(self, Self::Starting | Self::Ready | Self::Unhealthy)
    }
}

answer! {
    /// An instance of a service. The environment variables that it was given are never answered.
    pub struct ServiceInstance {
        /// Its id; a restart keeps it.
        pub id: ServiceInstanceId,
        /// The deployment it belongs to.
        pub deployment_id: AgentDeploymentId,
        /// The version that is run.
        pub version_id: AgentVersionId,
        /// Where it is in its life.
        pub status: ServiceStatus,
        /// The port on which it listens, 1 to 65535, as the version says.
        pub port: u16,
        /// When it was created.
        pub created_at: Timestamp,
        /// When it was changed last.
        pub updated_at: Timestamp,
        /// The sandbox it works in; `null` until there is one.
        #[serde(default)]
        pub sandbox_id: Option<SandboxId>,
        /// The process of the agent in the sandbox.
        #[serde(default)]
        pub process_id: Option<u32>,
        /// Where it is reached; `null` unless it is `ready`, has a sandbox, and the permission `public_url`.
        #[serde(default)]
        pub public_url: Option<PublicUrl>,
        /// What is known of its being ready. Its fields differ by phase. Absent when nothing is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub readiness_status: Option<JsonObject>,
        /// Why the status is `failed`.
        #[serde(default)]
        pub failure_reason: Option<String>,
        /// When the agent was started.
        #[serde(default)]
        pub started_at: Option<Timestamp>,
        /// When it was stopped.
        #[serde(default)]
        pub stopped_at: Option<Timestamp>,
        /// The key of the request that created it.
        #[serde(default)]
        pub idempotency_key: Option<String>,
    }
}

impl ServiceInstance {
    /// An instance that is starting, without a sandbox.
    pub fn new(
        id: ServiceInstanceId,
        deployment_id: AgentDeploymentId,
        version_id: AgentVersionId,
        port: u16,
        created_at: Timestamp,
    ) -> Self {
        Self {
            id,
            deployment_id,
            version_id,
            status: ServiceStatus::Starting,
            port,
            created_at,
            updated_at: created_at,
            sandbox_id: None,
            process_id: None,
            public_url: None,
            readiness_status: None,
            failure_reason: None,
            started_at: None,
            stopped_at: None,
            idempotency_key: None,
            unknown_fields: UnknownFields::default(),
        }
    }
}

setters!(ServiceInstance {
    /// Sets where it is in its life.
    status: ServiceStatus,
    /// Sets when it was changed last.
    updated_at: Timestamp,
    /// Sets the sandbox it works in.
    sandbox_id: Option<SandboxId>,
    /// Sets the process of the agent.
    process_id: Option<u32>,
    /// Sets where it is reached.
    public_url: Option<PublicUrl>,
    /// Sets what is known of its being ready.
    readiness_status: Option<JsonObject>,
    /// Sets why the status is `failed`.
    failure_reason: Option<String>,
    /// Sets when the agent was started.
    started_at: Option<Timestamp>,
    /// Sets when it was stopped.
    stopped_at: Option<Timestamp>,
    /// Sets the key of the request that created it.
    idempotency_key: Option<String>,
});

answer! {
    /// The answer to `GET /v1/agent-deployments/{deployment_id}/services/{service_id}/url`.
    pub struct ServiceUrl {
        /// The service instance.
        pub service_id: ServiceInstanceId,
        /// Where it is in its life.
        pub status: ServiceStatus,
        /// Where it is reached; see [`ServiceInstance::public_url`].
        #[serde(default)]
        pub public_url: Option<PublicUrl>,
        /// The port on which it listens.
        #[serde(default)]
        pub port: Option<u16>,
    }
}

impl ServiceUrl {
    /// What an instance says of where it is reached.
    pub fn of(instance: &ServiceInstance) -> Self {
        Self {
            service_id: instance.id.clone(),
            status: instance.status.clone(),
            public_url: instance.public_url.clone(),
            port: Some(instance.port),
            unknown_fields: UnknownFields::default(),
        }
    }
}

/// A URL that lets in whoever has it: there is a token in its query that holds for a short time.
///
/// A server makes it anew for each answer. Do not log it, and do not store it. `Debug` leaves the query out, and there is
/// no `Display`.
///
/// ```
/// use prism_types::nullspace::PublicUrl;
///
/// let url = PublicUrl::new("https://8000-s-1.example.com/?edge_token=canary");
/// assert_eq!(format!("{url:?}"), r#"PublicUrl("https://8000-s-1.example.com/?[redacted]")"#);
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct PublicUrl(Secret);

impl PublicUrl {
    /// Wraps a URL.
    pub fn new(url: impl Into<String>) -> Self {
        Self(Secret::new(url))
    }

    /// The URL itself, with its token. Every call is a place to look at in a review.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }

    /// The URL without its query and so without its token: good for logs, and of no use to whoever finds it.
    pub fn without_token(&self) -> &str {
        let url = self.expose();
        let end = url.find(['?', '#']).unwrap_or(url.len());
        &url[..end]
    }
}

impl fmt::Debug for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicUrl(\"{}?[redacted]\")", self.without_token().escape_debug())
    }
}

impl Serialize for PublicUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.expose())
    }
}

impl<'de> Deserialize<'de> for PublicUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for PublicUrl {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "PublicUrl".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "format": "uri" })
    }
}

/// The body of `POST /v1/agent-deployments/{deployment_id}/services`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct CreateService {
    /// The version to run, one that is `ready`. Default: the active one of the deployment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version_id: Option<AgentVersionId>,
    /// Environment variables of its process; all that the version requires. Secret: they are in no answer.
    #[serde(skip_serializing_if = "Envs::is_empty")]
    pub envs: Envs,
}

impl CreateService {
    /// An instance of the active version.
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

setters!(CreateService {
    /// Sets the version to run.
    version_id?: AgentVersionId,
    /// Replaces the environment variables.
    envs: Envs,
});

/// The body of `POST /v1/agent-deployments/{deployment_id}/services/{service_id}/stop`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct StopService {
    /// Why, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub reason: Option<String>,
    /// Keep its sandbox, to look into it. Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "bool"))]
    pub retain_sandbox: Option<bool>,
}

impl StopService {
    /// Without a reason, and without a sandbox that is kept.
    pub fn new() -> Self {
        Self::default()
    }
}

setters!(StopService {
    /// Says why.
    reason?: String,
    /// Keeps its sandbox, or not.
    retain_sandbox?: bool,
});

/// The body of `POST /v1/agent-deployments/{deployment_id}/services/{service_id}/restart`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct RestartService {
    /// Why, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub reason: Option<String>,
    /// Environment variables of its process. Nobody kept those that it was created with: name all of them again.
    #[serde(skip_serializing_if = "Envs::is_empty")]
    pub envs: Envs,
}

impl RestartService {
    /// Without a reason, and without environment variables.
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

setters!(RestartService {
    /// Says why.
    reason?: String,
    /// Replaces the environment variables.
    envs: Envs,
});

#[cfg(test)]
mod tests {
    use super::*;

    fn instance() -> ServiceInstance {
        let [id, deployment, version] = ["adsvc_1", "adpl_1", "adpv_1"];
        let at = "2026-06-11T20:55:03Z".parse().unwrap();
        ServiceInstance::new(
            id.parse().unwrap(),
            deployment.parse().unwrap(),
            version.parse().unwrap(),
            8000,
            at,
        )
    }

    #[test]
    fn a_new_instance_has_nulls_where_the_published_schema_has_them() {
        let written = serde_json::to_string(&instance()).unwrap();
        let expected = concat!(
            r#"{"id":"adsvc_1","deployment_id":"adpl_1","version_id":"adpv_1","status":"starting","port":8000,"#,
            r#""created_at":"2026-06-11T20:55:03.000Z","updated_at":"2026-06-11T20:55:03.000Z","sandbox_id":null,"#,
            r#""process_id":null,"public_url":null,"failure_reason":null,"started_at":null,"stopped_at":null,"#,
            r#""idempotency_key":null}"#
        );
        assert_eq!(written, expected);
        assert_eq!(serde_json::from_str::<ServiceInstance>(&written).unwrap(), instance());
    }

    #[test]
    fn a_token_of_a_url_is_never_printed() {
        for url in ["https://x/?edge_token=canary", "https://x/#canary", "https://x/?a#canary"] {
            let told = instance().public_url(PublicUrl::new(url));
            assert!(!format!("{told:?} {:?}", ServiceUrl::of(&told)).contains("canary"));
            assert!(serde_json::to_string(&told).unwrap().contains("canary"));
        }
    }

    #[test]
    fn debug_shows_no_value_of_a_variable() {
        let create = CreateService::new().env("KEY", "canary");
        let restart = RestartService::new().env("KEY", "canary");
        let debug = format!("{create:?} {create:#?} {restart:?} {restart:#?}");
        assert!(debug.contains("KEY") && !debug.contains("canary"), "{debug}");
    }

    #[test]
    fn the_smallest_bodies_are_empty_objects() {
        assert_eq!(serde_json::to_string(&CreateService::new()).unwrap(), "{}");
        assert_eq!(serde_json::to_string(&StopService::new()).unwrap(), "{}");
        assert_eq!(serde_json::to_string(&RestartService::new()).unwrap(), "{}");
        let from_null: CreateService = serde_json::from_str(r#"{"version_id":null}"#).unwrap();
        assert_eq!(from_null, CreateService::new());
    }

    #[test]
    fn each_status_is_active_or_terminal_or_stopping() {
        for status in ServiceStatus::KNOWN.iter().map(|text| ServiceStatus::from(*text)) {
            let kinds = [status.is_active(), status.is_terminal(), status == ServiceStatus::Stopping];
            assert_eq!(kinds.iter().filter(|kind| **kind).count(), 1, "{status}");
        }
    }
}
