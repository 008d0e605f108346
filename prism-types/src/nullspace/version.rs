//! Versions of agent deployments: a bundle and a configuration, and what was built of them.

use serde::{Deserialize, Serialize};

use super::{AgentConfig, AgentDeploymentId, AgentVersionId, BuildId, BundleManifest, JsonObject};
use crate::{Timestamp, UnknownFields, macros::setters, open_enum::open_enum, unknown_fields::answer};

open_enum! {
    /// Where a version is in its life.
    pub enum AgentVersionStatus {
        /// It waits for its bundle.
        Created = "created",
        /// Its dependencies are being installed.
        Building = "building",
        /// It can be run.
        Ready = "ready",
        /// It cannot be run; `failure_reason` says why.
        Failed = "failed",
        /// Another version took its place.
        Superseded = "superseded",
    }
}

open_enum! {
    /// Whether what `install` makes is built once and used again. Default: `auto`.
    pub enum CachePolicy {
        /// A ready build is used; without one, dependencies are installed by each run.
        Auto = "auto",
        /// Builds are bypassed.
        NoCache = "no_cache",
        /// A build is made when the bundle is uploaded.
        Rebuild = "rebuild",
    }
}

#[allow(clippy::derivable_impls, reason = "the enum is made by a macro that knows no default")]
impl Default for CachePolicy {
    fn default() -> Self {
        Self::Auto
    }
}

open_enum! {
    /// What became of looking for a build.
    pub enum CacheStatus {
        /// The server has no builds.
        Disabled = "disabled",
        /// The policy is `no_cache`.
        Bypassed = "bypassed",
        /// There was none.
        CacheMiss = "cache_miss",
        /// There was one.
        CacheHit = "cache_hit",
        /// One is being made.
        Building = "building",
        /// One was made.
        Ready = "ready",
        /// Making one failed.
        Failed = "failed",
    }
}

open_enum! {
    /// Where a build is in its life.
    pub enum BuildStatus {
        /// It waits for its turn.
        Queued = "queued",
        /// It is being made.
        Building = "building",
        /// It can be used.
        Ready = "ready",
        /// It could not be made; `failure_reason` says why.
        Failed = "failed",
        /// It was kept for its time, and is gone.
        Expired = "expired",
    }
}

answer! {
    /// A version of an agent deployment. What it is made of never changes.
    pub struct AgentDeploymentVersion {
        /// Its id.
        pub id: AgentVersionId,
        /// The deployment it belongs to.
        pub deployment_id: AgentDeploymentId,
        /// Its number among the versions of the deployment, from 1.
        pub version_number: u64,
        /// The digest of the bundle; see [`BundleManifest::bundle_digest`].
        pub bundle_digest: String,
        /// What is in the bundle: a [`BundleManifest`].
        pub bundle_manifest: JsonObject,
        /// How it is run: an [`AgentConfig`].
        pub config: JsonObject,
        /// The template of its sandboxes.
        pub template: String,
        /// The directory in which its commands are run.
        pub workdir: String,
        /// The command that installs its dependencies.
        #[serde(default)]
        pub install_command: Option<String>,
        /// The command that is the agent.
        pub entrypoint_command: String,
        /// The port on which a service listens.
        #[serde(default)]
        pub service_port: Option<u16>,
        /// When a service is ready.
        #[serde(default)]
        pub readiness_config: Option<JsonObject>,
        /// The environment variables that it takes.
        pub env_spec: EnvSpec,
        /// The resources of its sandboxes.
        pub resource_config: JsonObject,
        /// What is kept of runs that failed.
        pub debug_config: JsonObject,
        /// Where it is in its life.
        pub status: AgentVersionStatus,
        /// Whether what is installed is built once. Default: `auto`.
        #[serde(default)]
        pub cache_policy: CachePolicy,
        /// What became of looking for a build.
        #[serde(default)]
        pub cache_summary: Option<CacheSummary>,
        /// The build.
        #[serde(default)]
        pub build_summary: Option<BuildSummary>,
        /// Why the status is `failed`.
        #[serde(default)]
        pub failure_reason: Option<String>,
        /// When it was created.
        pub created_at: Timestamp,
        /// When it became `ready`; `null` until then.
        #[serde(default)]
        pub ready_at: Option<Timestamp>,
    }
}

impl AgentDeploymentVersion {
    /// A version that waits for its bundle. What is derived from the configuration is taken from `settings`; `config` is
    /// the text of the same, as it is to be answered.
    pub fn new(
        id: AgentVersionId,
        deployment_id: AgentDeploymentId,
        version_number: u64,
        (bundle_digest, bundle_manifest): (impl Into<String>, JsonObject),
        (config, settings): (JsonObject, &AgentConfig),
        created_at: Timestamp,
    ) -> Self {
        Self {
            id,
            deployment_id,
            version_number,
            bundle_digest: bundle_digest.into(),
            bundle_manifest,
            config,
            template: settings.template.clone(),
            workdir: settings.workdir.clone(),
            install_command: settings.install.clone(),
            entrypoint_command: settings.entrypoint.clone(),
            service_port: settings.service.port,
            readiness_config: settings.service.readiness.as_ref().map(JsonObject::of_ours),
            env_spec: settings.env.clone(),
            resource_config: JsonObject::of_ours(&settings.resources),
            debug_config: JsonObject::of_ours(&settings.debug),
            status: AgentVersionStatus::Created,
            cache_policy: CachePolicy::default(),
            cache_summary: None,
            build_summary: None,
            failure_reason: None,
            created_at,
            ready_at: None,
            unknown_fields: UnknownFields::default(),
        }
    }
}

setters!(AgentDeploymentVersion {
    /// Sets where it is in its life.
    status: AgentVersionStatus,
    /// Sets whether what is installed is built once.
    cache_policy: CachePolicy,
    /// Sets what became of looking for a build.
    cache_summary: Option<CacheSummary>,
    /// Sets the build.
    build_summary: Option<BuildSummary>,
    /// Sets why the status is `failed`.
    failure_reason: Option<String>,
    /// Sets when it became ready.
    ready_at: Option<Timestamp>,
});

answer! {
    /// The names of the environment variables that an agent takes. There is never a value in it.
    #[derive(Default)]
    pub struct EnvSpec {
        /// Those without which it is not started.
        #[serde(default)]
        pub required: Vec<String>,
        /// Those that it can do without.
        #[serde(default)]
        pub optional: Vec<String>,
    }
}

setters!(EnvSpec {
    /// Replaces the names of those without which it is not started.
    required[
        /// Adds the name of one without which it is not started.
        require
    ]: String,
    /// Replaces the names of those that it can do without.
    optional[
        /// Adds the name of one that it can do without.
        allow
    ]: String,
});

answer! {
    /// What became of looking for a build.
    pub struct CacheSummary {
        /// Whether the server has builds.
        pub enabled: bool,
        /// The policy of the version.
        pub policy: CachePolicy,
        /// What became of it.
        pub status: CacheStatus,
        /// Whether there is a build that can be used.
        pub artifact_ready: bool,
        /// Why the status is what it is.
        #[serde(default)]
        pub reason: Option<String>,
        /// The build.
        #[serde(default)]
        pub build_id: Option<BuildId>,
        /// By what the build is found.
        #[serde(default)]
        pub cache_key_digest: Option<String>,
        /// What was built.
        #[serde(default)]
        pub artifact_id: Option<String>,
        /// When this changed last.
        #[serde(default)]
        pub updated_at: Option<Timestamp>,
    }
}

impl CacheSummary {
    /// A summary without a build.
    pub fn new(enabled: bool, policy: CachePolicy, status: CacheStatus) -> Self {
        Self {
            enabled,
            policy,
            status,
            artifact_ready: false,
            reason: None,
            build_id: None,
            cache_key_digest: None,
            artifact_id: None,
            updated_at: None,
            unknown_fields: UnknownFields::default(),
        }
    }
}

setters!(CacheSummary {
    /// Sets whether there is a build that can be used.
    artifact_ready: bool,
    /// Sets why the status is what it is.
    reason: Option<String>,
    /// Sets the build.
    build_id: Option<BuildId>,
    /// Sets by what the build is found.
    cache_key_digest: Option<String>,
    /// Sets what was built.
    artifact_id: Option<String>,
    /// Sets when this changed last.
    updated_at: Option<Timestamp>,
});

answer! {
    /// A build of a version.
    pub struct BuildSummary {
        /// Its id.
        pub build_id: BuildId,
        /// Where it is in its life.
        pub status: BuildStatus,
        /// Whether it can be used.
        pub artifact_ready: bool,
        /// What was built.
        #[serde(default)]
        pub artifact_id: Option<String>,
        /// How large that is, in bytes.
        #[serde(default)]
        pub size_bytes: Option<u64>,
        /// Why the status is `failed`.
        #[serde(default)]
        pub failure_reason: Option<String>,
        /// When it was begun.
        #[serde(default)]
        pub started_at: Option<Timestamp>,
        /// When it ended.
        #[serde(default)]
        pub completed_at: Option<Timestamp>,
    }
}

impl BuildSummary {
    /// A build that cannot be used yet.
    pub fn new(build_id: BuildId, status: BuildStatus) -> Self {
        Self {
            build_id,
            status,
            artifact_ready: false,
            artifact_id: None,
            size_bytes: None,
            failure_reason: None,
            started_at: None,
            completed_at: None,
            unknown_fields: UnknownFields::default(),
        }
    }
}

setters!(BuildSummary {
    /// Sets whether it can be used.
    artifact_ready: bool,
    /// Sets what was built.
    artifact_id: Option<String>,
    /// Sets how large that is, in bytes.
    size_bytes: Option<u64>,
    /// Sets why the status is `failed`.
    failure_reason: Option<String>,
    /// Sets when it was begun.
    started_at: Option<Timestamp>,
    /// Sets when it ended.
    completed_at: Option<Timestamp>,
});

/// The body of `POST /v1/agent-deployments/{deployment_id}/versions`.
///
/// It says what a version is made of. The version can be run once its bundle was uploaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct CreateVersion {
    /// The digest of the bundle; see [`BundleManifest::bundle_digest`].
    pub bundle_digest: String,
    /// What is in the bundle: a [`BundleManifest`].
    pub bundle_manifest: JsonObject,
    /// How it is run: an [`AgentConfig`].
    pub config: JsonObject,
    /// Whether what is installed is built once. Default: `auto`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "CachePolicy"))]
    pub cache_policy: Option<CachePolicy>,
}

impl CreateVersion {
    /// A version of this bundle, with the digest of the manifest, and this configuration.
    pub fn new(manifest: &BundleManifest, config: &AgentConfig) -> Self {
        Self::of_json(
            manifest.bundle_digest.clone(),
            JsonObject::of_ours(manifest),
            JsonObject::of_ours(config),
        )
    }

    /// The same of JSON that was made elsewhere.
    pub fn of_json(
        bundle_digest: impl Into<String>,
        bundle_manifest: JsonObject,
        config: JsonObject,
    ) -> Self {
        Self { bundle_digest: bundle_digest.into(), bundle_manifest, config, cache_policy: None }
    }
}

setters!(CreateVersion {
    /// Sets whether what is installed is built once.
    cache_policy?: CachePolicy,
});
