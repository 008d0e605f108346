//! The records of the core in the words of this API.
//!
//! | here | in the core | id |
//! |---|---|---|
//! | agent deployment | deployment of a program | `adpl_x` is `dep_x` |
//! | version | version | `adpv_x` is `ver_x` |
//! | run | job | `adrun_x` is `run_x` |
//! | service instance | service | `adsvc_x` is `ins_x` |
//! | sandbox | machine, or instance of a job or a service | `sb_x` is `ins_x` |
//! | snapshot | snapshot of a machine | `snap_x` is the same |
//! | build | the sandbox of a build | `adpb_x` is `ins_x` |

use prism_types::{
    DeploymentId, InstanceId, RunId, SnapshotId, Timestamp, VersionId,
    nullspace::{
        AgentConfig, AgentDeployment, AgentDeploymentId, AgentDeploymentStatus, AgentDeploymentVersion,
        AgentMode, AgentRun, AgentRunId, AgentRunStatus, AgentVersionId, AgentVersionStatus, BuildId,
        BuildStatus, BuildSummary, CachePolicy, CacheStatus, CacheSummary, JsonObject, OutputAccess,
        OutputItem, OutputKind, OutputStatus, PublicUrl, RunOutputs, SandboxId, ServiceInstance,
        ServiceInstanceId, ServiceStatus,
    },
};
use serde::Serialize;

use crate::{
    domain::program::{
        Mode, ProgramDeployment,
        hosted::{Hosted, Stage},
        job::{Job, Output},
        service::{Readiness, Service},
        version::{self, BuildState, Version},
    },
    error::{Error, Result},
};

/// Ids that differ in nothing but what they start with.
macro_rules! same_suffix {
    ($($out:ident, $into:ident: $core:ident as $wire:ident, $noun:literal;)*) => { $(
        pub(super) fn $out(id: &$core) -> Result<$wire> {
            $wire::from_suffix(id.suffix()).map_err(Error::internal)
        }

        /// The id in a path or a body; something else than an id names nothing, so it is not found.
        pub(super) fn $into(text: &str) -> Result<$core> {
            let id = text.parse::<$wire>().ok().and_then(|id| $core::from_suffix(id.suffix()).ok());
            id.ok_or_else(|| Error::not_found($noun))
        }
    )* };
}

same_suffix! {
    agent_deployment_id, deployment_id: DeploymentId as AgentDeploymentId, "Deployment";
    agent_version_id, version_id: VersionId as AgentVersionId, "Version";
    agent_run_id, run_id: RunId as AgentRunId, "Run";
    service_instance_id, instance_id: InstanceId as ServiceInstanceId, "Service";
    machine_id, sandbox_instance: InstanceId as SandboxId, "Sandbox";
}

/// The id of a snapshot, which is the same here.
pub(super) fn snapshot_id(text: &str) -> Result<SnapshotId> {
    text.parse().map_err(|_| Error::not_found("Snapshot"))
}

fn build_id(id: &InstanceId) -> Result<BuildId> {
    BuildId::from_suffix(id.suffix()).map_err(Error::internal)
}

/// The id of a version in a query.
pub(super) fn version_of_query(text: &str) -> Result<VersionId, String> {
    version_id(text).map_err(|_| "must be the id of a version, such as `adpv_x`".to_owned())
}

/// The sandbox of a job or a service, while there is one.
pub(super) fn sandbox_id(hosted: &Hosted) -> Result<Option<SandboxId>> {
    let there = hosted.stage != Stage::Empty;
    there.then(|| SandboxId::from_suffix(hosted.instance_id.suffix()).map_err(Error::internal)).transpose()
}

/// JSON that was checked to be an object when it came.
pub(super) fn object(json: &str) -> Result<JsonObject> {
    JsonObject::parse(json).map_err(Error::internal)
}

fn object_of(value: &impl Serialize) -> Result<JsonObject> {
    JsonObject::of(value).map_err(Error::internal)
}

pub(super) fn deployment(record: &ProgramDeployment) -> Result<AgentDeployment> {
    let mode = match record.mode {
        Mode::Job => AgentMode::Job,
        Mode::Service => AgentMode::Service,
    };
    let id = agent_deployment_id(&record.id)?;
    Ok(AgentDeployment::new(id, record.name.clone(), mode, record.created_at)
        .description(record.description.clone())
        .status(AgentDeploymentStatus::from(record.state.as_str()))
        .active_version_id(record.active_version.as_ref().map(agent_version_id).transpose()?)
        .metadata(object(&record.metadata)?)
        .updated_at(record.updated_at)
        .deleted_at(record.deleted_at))
}

/// A version, with its whole manifest or without the entries.
pub(super) fn version(record: &Version, manifest: &str) -> Result<AgentDeploymentVersion> {
    let (manifest, config) = (object(manifest)?, object(&record.config)?);
    let settings: AgentConfig = config.decode().map_err(Error::internal)?;
    let build = record.build.as_ref();
    let about = build.map(build_summary).transpose()?;
    Ok(AgentDeploymentVersion::new(
        agent_version_id(&record.id)?,
        agent_deployment_id(&record.deployment_id)?,
        record.number.into(),
        (record.bundle_digest.clone(), manifest),
        (config, &settings),
        record.created_at,
    )
    .status(AgentVersionStatus::from(record.state.as_str()))
    .cache_policy(CachePolicy::from(record.cache.as_str()))
    .cache_summary(Some(cache_summary(record, settings.install.is_some())?))
    .build_summary(about)
    .failure_reason(record.failure.clone())
    .ready_at(record.ready_at))
}

fn cache_summary(record: &Version, installs: bool) -> Result<CacheSummary> {
    use version::CachePolicy as P;
    let state = record.build.as_ref().map(|build| build.state);
    let (status, reason) = match (record.cache, state) {
        _ if !installs => (CacheStatus::Disabled, Some("there is nothing to install")),
        (P::NoCache, _) => (CacheStatus::Bypassed, Some("the policy is no_cache")),
        (P::Rebuild, None) => (CacheStatus::CacheMiss, Some("the build begins when the bundle has come")),
        (P::Auto, None) => {
            (CacheStatus::CacheMiss, Some("no version of the same files was built: each sandbox installs"))
        }
        (P::Auto, Some(_)) => (CacheStatus::CacheHit, None),
        (P::Rebuild, Some(BuildState::Queued | BuildState::Building)) => (CacheStatus::Building, None),
        (P::Rebuild, Some(BuildState::Ready)) => (CacheStatus::Ready, None),
        (P::Rebuild, Some(BuildState::Failed)) => {
            (CacheStatus::Failed, Some("the build failed: each sandbox installs"))
        }
    };
    let enabled = installs && record.cache != P::NoCache;
    let build = record.build.as_ref();
    Ok(CacheSummary::new(enabled, CachePolicy::from(record.cache.as_str()), status)
        .artifact_ready(enabled && state == Some(BuildState::Ready))
        .reason(reason.map(str::to_owned))
        .build_id(build.map(|build| build_id(&build.instance_id)).transpose()?)
        // The digest is of the configuration, too, and so of what is installed.
        .cache_key_digest(enabled.then(|| record.bundle_digest.clone()))
        .updated_at(build.and_then(|build| build.ended_at.or(build.started_at))))
}

fn build_summary(build: &version::Build) -> Result<BuildSummary> {
    let id = build_id(&build.instance_id)?;
    Ok(BuildSummary::new(id, BuildStatus::from(build.state.as_str()))
        .artifact_ready(build.state == BuildState::Ready)
        .failure_reason(build.failure.clone())
        .started_at(build.started_at)
        .completed_at(build.ended_at))
}

pub(super) fn run(record: &Job) -> Result<AgentRun> {
    let hosted = &record.hosted;
    let manifest = if record.outputs.is_empty() { None } else { Some(output_manifest(record)?) };
    Ok(AgentRun::new(
        agent_run_id(&record.id)?,
        agent_deployment_id(&hosted.deployment_id)?,
        agent_version_id(&hosted.version_id)?,
        object(&record.input)?,
        record.created_at,
    )
    .status(AgentRunStatus::from(record.state.as_str()))
    .retain_on_failure(record.retain_on_failure)
    .retention_seconds(record.retention_seconds.map(u64::from))
    .sandbox_id(sandbox_id(hosted)?)
    .exit_code(record.exit_code)
    .failure_reason(hosted.failure.clone())
    .output_manifest(manifest)
    .started_at(record.started_at)
    .completed_at(record.ended_at)
    .updated_at(record.updated_at)
    .idempotency_key(key(&record.idempotency_key)))
}

fn key(key: &str) -> Option<String> {
    (!key.is_empty()).then(|| key.to_owned())
}

/// Where the outputs of a run are told in the run itself.
fn output_manifest(record: &Job) -> Result<JsonObject> {
    #[derive(Serialize)]
    struct Manifest<'a> {
        run_id: AgentRunId,
        sandbox_id: Option<SandboxId>,
        available_until: Option<Timestamp>,
        outputs: &'a [OutputItem],
    }
    object_of(&Manifest {
        run_id: agent_run_id(&record.id)?,
        sandbox_id: sandbox_id(&record.hosted)?,
        available_until: record.hosted.kept_until,
        outputs: &outputs(record)?,
    })
}

fn outputs(record: &Job) -> Result<Vec<OutputItem>> {
    let sandbox = sandbox_id(&record.hosted)?;
    record.outputs.iter().map(|output| Ok(output_item(output, sandbox.as_ref()))).collect()
}

fn output_item(output: &Output, sandbox: Option<&SandboxId>) -> OutputItem {
    let path = format!("/workspace/{}", output.path);
    let name = output.path.rsplit('/').next().map(str::to_owned);
    let (kind, status) = match (&output.found, sandbox) {
        (None, _) => (OutputKind::File, OutputStatus::from("missing")),
        (Some(found), sandbox) => {
            let kind = if found.is_directory { OutputKind::Dir } else { OutputKind::File };
            let status =
                if sandbox.is_some() { OutputStatus::Available } else { OutputStatus::from("expired") };
            (kind, status)
        }
    };
    let access = match (&output.found, sandbox) {
        (Some(_), Some(sandbox)) => Some(OutputAccess::sandbox_file(sandbox.clone(), path.clone())),
        _ => None,
    };
    OutputItem::new(output.configured_path.clone(), path, kind, status)
        .size_bytes(output.found.map(|found| found.size))
        .name(name)
        .access(access)
}

pub(super) fn run_outputs(record: &Job) -> Result<RunOutputs> {
    let manifest = if record.outputs.is_empty() { None } else { Some(output_manifest(record)?) };
    Ok(RunOutputs::new(agent_run_id(&record.id)?, outputs(record)?).output_manifest(manifest))
}

pub(super) fn service(record: &Service, url: Option<PublicUrl>) -> Result<ServiceInstance> {
    let hosted = &record.hosted;
    Ok(ServiceInstance::new(
        service_instance_id(&hosted.instance_id)?,
        agent_deployment_id(&hosted.deployment_id)?,
        agent_version_id(&hosted.version_id)?,
        record.port,
        record.created_at,
    )
    .status(ServiceStatus::from(record.state.as_str()))
    .updated_at(record.updated_at)
    .sandbox_id(sandbox_id(hosted)?)
    .public_url(url)
    .readiness_status(record.readiness.as_ref().map(readiness).transpose()?)
    .failure_reason(hosted.failure.clone())
    .started_at(record.started_at)
    .stopped_at(record.stopped_at)
    .idempotency_key(key(&record.idempotency_key)))
}

fn readiness(readiness: &Readiness) -> Result<JsonObject> {
    #[derive(Serialize)]
    struct Status<'a> {
        ready: bool,
        message: &'a str,
        since: Timestamp,
    }
    object_of(&Status { ready: readiness.is_ready, message: &readiness.message, since: readiness.since })
}
