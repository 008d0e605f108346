//! What a store keeps of programs: see [`Store`](super::Store), whose rules hold here, too.

use prism_types::{DeploymentId, InstanceId, RunId, TenantId, Timestamp, VersionId};

use super::{BoxFuture, ListQuery, StoreResult};
use crate::domain::{
    event::LoggedEvent,
    program::{
        Mode, ProgramDeployment, ProgramState,
        job::{Job, JobState},
        service::{Service, ServiceState},
        version::{Version, VersionState},
    },
};

/// The reading side of programs.
pub trait ProgramStore: Send + Sync {
    /// A deployment of a program, deleted or not, whoever owns it.
    fn program<'a>(&'a self, id: &'a DeploymentId) -> BoxFuture<'a, StoreResult<Option<ProgramDeployment>>>;

    /// The deployments of programs of a tenant, without deleted ones, newest first.
    fn programs<'a>(
        &'a self,
        tenant: &'a TenantId,
        filter: ProgramFilter,
        query: ListQuery<DeploymentId>,
    ) -> BoxFuture<'a, StoreResult<Vec<ProgramDeployment>>>;

    /// Deleted deployments of programs of all tenants, oldest first, after `after`; for the engine.
    fn deleted_programs<'a>(
        &'a self,
        after: Option<&'a DeploymentId>,
        limit: u32,
    ) -> BoxFuture<'a, StoreResult<Vec<ProgramDeployment>>>;

    /// The deployment of a program of a tenant that has this name and is not deleted.
    fn program_named<'a>(
        &'a self,
        tenant: &'a TenantId,
        name: &'a str,
    ) -> BoxFuture<'a, StoreResult<Option<ProgramDeployment>>>;

    /// The whole manifest of a version, as JSON.
    fn manifest<'a>(&'a self, id: &'a VersionId) -> BoxFuture<'a, StoreResult<Option<String>>>;

    /// A version.
    fn version<'a>(&'a self, id: &'a VersionId) -> BoxFuture<'a, StoreResult<Option<Version>>>;

    /// The versions of a deployment, newest first.
    fn versions<'a>(
        &'a self,
        deployment: &'a DeploymentId,
        state: Option<VersionState>,
        query: ListQuery<VersionId>,
    ) -> BoxFuture<'a, StoreResult<Vec<Version>>>;

    /// Versions of all tenants whose builds are not over, oldest first, after `after`; for the engine.
    fn building_versions<'a>(
        &'a self,
        after: Option<&'a VersionId>,
        limit: u32,
    ) -> BoxFuture<'a, StoreResult<Vec<Version>>>;

    /// A service.
    fn service<'a>(&'a self, id: &'a InstanceId) -> BoxFuture<'a, StoreResult<Option<Service>>>;

    /// The services of a deployment, newest first.
    fn services<'a>(
        &'a self,
        deployment: &'a DeploymentId,
        filter: HostedFilter<ServiceState>,
        query: ListQuery<InstanceId>,
    ) -> BoxFuture<'a, StoreResult<Vec<Service>>>;

    /// Services of all tenants for which something is to be done: those that have not ended, and those that have a sandbox
    /// and keep it not at all or no longer than until `now`. Oldest first, after `after`; for the engine.
    fn services_to_mind<'a>(
        &'a self,
        now: Timestamp,
        after: Option<&'a InstanceId>,
        limit: u32,
    ) -> BoxFuture<'a, StoreResult<Vec<Service>>>;

    /// A job.
    fn job<'a>(&'a self, id: &'a RunId) -> BoxFuture<'a, StoreResult<Option<Job>>>;

    /// The jobs of a deployment, newest first.
    fn jobs<'a>(
        &'a self,
        deployment: &'a DeploymentId,
        filter: HostedFilter<JobState>,
        query: ListQuery<RunId>,
    ) -> BoxFuture<'a, StoreResult<Vec<Job>>>;

    /// Jobs of all tenants for which something is to be done, as [`ProgramStore::services_to_mind`].
    fn jobs_to_mind<'a>(
        &'a self,
        now: Timestamp,
        after: Option<&'a RunId>,
        limit: u32,
    ) -> BoxFuture<'a, StoreResult<Vec<Job>>>;

    /// The job whose sandbox this is.
    fn job_in<'a>(&'a self, instance: &'a InstanceId) -> BoxFuture<'a, StoreResult<Option<Job>>>;

    /// The events of one instance, in order, at most `limit`; ends early as [`Store::events`](super::Store::events). All events
    /// of an instance are in the log of one deployment, which whoever appends them sees to.
    fn instance_events<'a>(
        &'a self,
        instance: &'a InstanceId,
        place: LogPlace,
        limit: u32,
    ) -> BoxFuture<'a, StoreResult<Vec<LoggedEvent>>>;

    /// How many bytes the data of all events of an instance have together.
    fn instance_event_bytes<'a>(&'a self, instance: &'a InstanceId) -> BoxFuture<'a, StoreResult<u64>>;
}

/// Which deployments of programs to list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "a parameter of port methods: services build it")]
pub struct ProgramFilter {
    /// Only those of this mode.
    pub mode: Option<Mode>,
    /// Only those in this state.
    pub state: Option<ProgramState>,
}

/// Which jobs or services to list.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "a parameter of port methods: services build it")]
pub struct HostedFilter<State> {
    /// Only those in this state.
    pub state: Option<State>,
    /// Only those of this version.
    pub version: Option<VersionId>,
}

/// Where to begin to read the events of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "a parameter of port methods: stores match it")]
pub enum LogPlace {
    /// After this sequence number of its deployment's log.
    After(u64),
    /// After so many of its events, from the first that is there.
    Offset(u64),
    /// With the last so many of its events.
    Tail(u32),
}
