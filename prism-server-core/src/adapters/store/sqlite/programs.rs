//! What is read of programs.

use prism_types::{DeploymentId, InstanceId, RunId, TenantId, Timestamp, VersionId};
use rusqlite::{Connection, params};

use super::{
    SqliteStore,
    errors::failed,
    lower, position, queries,
    rows::{self, Record},
    upper,
};
use crate::{
    domain::{
        event::LoggedEvent,
        program::{
            Mode, ProgramDeployment, ProgramState,
            job::{Job, JobState},
            service::{Service, ServiceState},
            version::{Version, VersionState},
        },
    },
    ports::{BoxFuture, HostedFilter, ListQuery, LogPlace, ProgramFilter, ProgramStore, StoreResult},
};

impl ProgramStore for SqliteStore {
    fn program<'a>(&'a self, id: &'a DeploymentId) -> BoxFuture<'a, StoreResult<Option<ProgramDeployment>>> {
        self.point(|connection| rows::one(connection, queries::PROGRAM, params![id.as_str()]))
    }

    fn programs<'a>(
        &'a self,
        tenant: &'a TenantId,
        filter: ProgramFilter,
        query: ListQuery<DeploymentId>,
    ) -> BoxFuture<'a, StoreResult<Vec<ProgramDeployment>>> {
        let tenant = tenant.clone();
        self.scan(move |connection| {
            let (tenant, before, limit) = (tenant.as_str(), upper(&query), query.limit);
            match (filter.mode.map(Mode::as_str), filter.state.map(ProgramState::as_str)) {
                (None, None) => rows::all(connection, queries::PROGRAMS, params![tenant, before, limit]),
                (Some(mode), None) => {
                    rows::all(connection, queries::PROGRAMS_OF_MODE, params![tenant, before, limit, mode])
                }
                (None, Some(state)) => {
                    rows::all(connection, queries::PROGRAMS_IN_STATE, params![tenant, before, limit, state])
                }
                (Some(mode), Some(state)) => rows::all(
                    connection,
                    queries::PROGRAMS_OF_MODE_IN_STATE,
                    params![tenant, before, limit, mode, state],
                ),
            }
        })
    }

    fn deleted_programs<'a>(
        &'a self,
        after: Option<&'a DeploymentId>,
        limit: u32,
    ) -> BoxFuture<'a, StoreResult<Vec<ProgramDeployment>>> {
        let after = lower(after);
        self.scan(move |connection| rows::all(connection, queries::DELETED_PROGRAMS, params![after, limit]))
    }

    fn program_named<'a>(
        &'a self,
        tenant: &'a TenantId,
        name: &'a str,
    ) -> BoxFuture<'a, StoreResult<Option<ProgramDeployment>>> {
        let key = params![tenant.as_str(), name];
        self.point(|connection| rows::one(connection, queries::PROGRAM_NAMED, key))
    }

    fn manifest<'a>(&'a self, id: &'a VersionId) -> BoxFuture<'a, StoreResult<Option<String>>> {
        self.point(|connection| {
            let manifest: Option<rows::Manifest> =
                rows::one(connection, queries::MANIFEST, params![id.as_str()])?;
            Ok(manifest.map(|manifest| manifest.0))
        })
    }

    fn version<'a>(&'a self, id: &'a VersionId) -> BoxFuture<'a, StoreResult<Option<Version>>> {
        self.point(|connection| rows::one(connection, queries::VERSION, params![id.as_str()]))
    }

    fn versions<'a>(
        &'a self,
        deployment: &'a DeploymentId,
        state: Option<VersionState>,
        query: ListQuery<VersionId>,
    ) -> BoxFuture<'a, StoreResult<Vec<Version>>> {
        let deployment = deployment.clone();
        self.scan(move |connection| {
            let (deployment, before, limit) = (deployment.as_str(), upper(&query), query.limit);
            match state.map(VersionState::as_str) {
                None => rows::all(connection, queries::VERSIONS, params![deployment, before, limit]),
                Some(state) => rows::all(
                    connection,
                    queries::VERSIONS_IN_STATE,
                    params![deployment, before, limit, state],
                ),
            }
        })
    }

    fn building_versions<'a>(
        &'a self,
        after: Option<&'a VersionId>,
        limit: u32,
    ) -> BoxFuture<'a, StoreResult<Vec<Version>>> {
        let after = lower(after);
        self.scan(move |connection| rows::all(connection, queries::BUILDING_VERSIONS, params![after, limit]))
    }

    fn service<'a>(&'a self, id: &'a InstanceId) -> BoxFuture<'a, StoreResult<Option<Service>>> {
        self.point(|connection| rows::one(connection, queries::SERVICE, params![id.as_str()]))
    }

    fn services<'a>(
        &'a self,
        deployment: &'a DeploymentId,
        filter: HostedFilter<ServiceState>,
        query: ListQuery<InstanceId>,
    ) -> BoxFuture<'a, StoreResult<Vec<Service>>> {
        let deployment = deployment.clone();
        self.scan(move |connection| {
            let state = filter.state.map(ServiceState::as_str);
            SERVICES.read(connection, &deployment, state, filter.version.as_ref(), &query)
        })
    }

    fn services_to_mind<'a>(
        &'a self,
        now: Timestamp,
        after: Option<&'a InstanceId>,
        limit: u32,
    ) -> BoxFuture<'a, StoreResult<Vec<Service>>> {
        let after = lower(after);
        self.scan(move |connection| {
            rows::all(connection, queries::SERVICES_TO_MIND, params![now.as_millis(), after, limit])
        })
    }

    fn job<'a>(&'a self, id: &'a RunId) -> BoxFuture<'a, StoreResult<Option<Job>>> {
        self.point(|connection| rows::one(connection, queries::JOB, params![id.as_str()]))
    }

    fn jobs<'a>(
        &'a self,
        deployment: &'a DeploymentId,
        filter: HostedFilter<JobState>,
        query: ListQuery<RunId>,
    ) -> BoxFuture<'a, StoreResult<Vec<Job>>> {
        let deployment = deployment.clone();
        self.scan(move |connection| {
            let state = filter.state.map(JobState::as_str);
            JOBS.read(connection, &deployment, state, filter.version.as_ref(), &query)
        })
    }

    fn jobs_to_mind<'a>(
        &'a self,
        now: Timestamp,
        after: Option<&'a RunId>,
        limit: u32,
    ) -> BoxFuture<'a, StoreResult<Vec<Job>>> {
        let after = lower(after);
        self.scan(move |connection| {
            rows::all(connection, queries::JOBS_TO_MIND, params![now.as_millis(), after, limit])
        })
    }

    fn job_in<'a>(&'a self, instance: &'a InstanceId) -> BoxFuture<'a, StoreResult<Option<Job>>> {
        self.point(|connection| rows::one(connection, queries::JOB_IN, params![instance.as_str()]))
    }

    fn instance_events<'a>(
        &'a self,
        instance: &'a InstanceId,
        place: LogPlace,
        limit: u32,
    ) -> BoxFuture<'a, StoreResult<Vec<LoggedEvent>>> {
        let instance = instance.clone();
        let (sql, place) = match place {
            LogPlace::After(sequence) => (queries::INSTANCE_EVENTS, position(sequence)),
            LogPlace::Offset(count) => (queries::INSTANCE_EVENTS_FROM, position(count)),
            // Behind the greatest number there is nothing.
            LogPlace::Tail(0) => (queries::INSTANCE_EVENTS, i64::MAX),
            LogPlace::Tail(count) => (queries::INSTANCE_EVENTS_TAIL, i64::from(count) - 1),
        };
        self.scan(move |connection| rows::events(connection, sql, params![instance.as_str(), place, limit]))
    }

    fn instance_event_bytes<'a>(&'a self, instance: &'a InstanceId) -> BoxFuture<'a, StoreResult<u64>> {
        let instance = instance.clone();
        // The lengths alone are read, found by the index of instances.
        let sql = "SELECT coalesce(sum(octet_length(data)), 0) FROM events WHERE instance_id = ?1";
        self.scan(move |connection| {
            let sum =
                || connection.prepare_cached(sql)?.query_row([instance.as_str()], |row| row.get::<_, i64>(0));
            sum().map(i64::cast_unsigned).map_err(|error| failed(&error))
        })
    }
}

/// The statements that list the jobs or services of a deployment.
struct Lists {
    all: &'static str,
    in_state: &'static str,
    of_version: &'static str,
    of_version_in_state: &'static str,
}

const SERVICES: Lists = Lists {
    all: queries::SERVICES,
    in_state: queries::SERVICES_IN_STATE,
    of_version: queries::SERVICES_OF_VERSION,
    of_version_in_state: queries::SERVICES_OF_VERSION_IN_STATE,
};

const JOBS: Lists = Lists {
    all: queries::JOBS,
    in_state: queries::JOBS_IN_STATE,
    of_version: queries::JOBS_OF_VERSION,
    of_version_in_state: queries::JOBS_OF_VERSION_IN_STATE,
};

impl Lists {
    fn read<T: Record, Id: AsRef<str>>(
        &self,
        connection: &Connection,
        deployment: &DeploymentId,
        state: Option<&str>,
        version: Option<&VersionId>,
        query: &ListQuery<Id>,
    ) -> StoreResult<Vec<T>> {
        let (deployment, before, limit) = (deployment.as_str(), upper(query), query.limit);
        match (version.map(VersionId::as_str), state) {
            (None, None) => rows::all(connection, self.all, params![deployment, before, limit]),
            (None, Some(state)) => {
                rows::all(connection, self.in_state, params![deployment, before, limit, state])
            }
            (Some(version), None) => {
                rows::all(connection, self.of_version, params![deployment, before, limit, version])
            }
            (Some(version), Some(state)) => rows::all(
                connection,
                self.of_version_in_state,
                params![deployment, before, limit, version, state],
            ),
        }
    }
}
