//! Programs, in memory.

use prism_types::{DeploymentId, InstanceId, RunId, TenantId, Timestamp, VersionId};

use super::{
    EventPage, MemoryStore, page,
    state::{Change, State, current, existed},
};
use crate::{
    adapters::store::storable,
    domain::{
        event::LoggedEvent,
        program::{
            ProgramDeployment, ProgramState,
            hosted::Hosted,
            job::{Job, JobState},
            service::{Service, ServiceState},
            version::{Version, VersionState},
        },
    },
    ports::{
        BoxFuture, HostedFilter, ListQuery, LogPlace, ProgramFilter, ProgramStore, StoreError, StoreResult,
    },
};

impl ProgramStore for MemoryStore {
    fn program<'a>(&'a self, id: &'a DeploymentId) -> BoxFuture<'a, StoreResult<Option<ProgramDeployment>>> {
        self.read(|state| state.programs.get(id).cloned())
    }

    fn programs<'a>(
        &'a self,
        tenant: &'a TenantId,
        filter: ProgramFilter,
        query: ListQuery<DeploymentId>,
    ) -> BoxFuture<'a, StoreResult<Vec<ProgramDeployment>>> {
        self.read(|state| {
            let programs = state.programs.values().filter(|program| {
                program.tenant_id == *tenant
                    && program.state != ProgramState::Deleted
                    && filter.mode.is_none_or(|mode| program.mode == mode)
                    && filter.state.is_none_or(|state| program.state == state)
            });
            page(programs, |program| &program.id, &query)
        })
    }

    fn deleted_programs<'a>(
        &'a self,
        after: Option<&'a DeploymentId>,
        limit: u32,
    ) -> BoxFuture<'a, StoreResult<Vec<ProgramDeployment>>> {
        self.read(|state| {
            let deleted = state.programs.values().filter(|program| program.state == ProgramState::Deleted);
            let later = deleted.filter(|program| after.is_none_or(|after| program.id > *after));
            later.take(limit as usize).cloned().collect()
        })
    }

    fn program_named<'a>(
        &'a self,
        tenant: &'a TenantId,
        name: &'a str,
    ) -> BoxFuture<'a, StoreResult<Option<ProgramDeployment>>> {
        self.read(|state| {
            let mut living = state.programs.values().filter(|program| program.state != ProgramState::Deleted);
            living.find(|program| program.tenant_id == *tenant && program.name == name).cloned()
        })
    }

    fn manifest<'a>(&'a self, id: &'a VersionId) -> BoxFuture<'a, StoreResult<Option<String>>> {
        self.read(|state| state.manifests.get(id).map(|manifest| manifest.1.clone()))
    }

    fn version<'a>(&'a self, id: &'a VersionId) -> BoxFuture<'a, StoreResult<Option<Version>>> {
        self.read(|state| state.versions.get(id).cloned())
    }

    fn versions<'a>(
        &'a self,
        deployment: &'a DeploymentId,
        state: Option<VersionState>,
        query: ListQuery<VersionId>,
    ) -> BoxFuture<'a, StoreResult<Vec<Version>>> {
        self.read(|tables| {
            let versions = tables.versions.values().filter(|version| {
                version.deployment_id == *deployment && state.is_none_or(|state| version.state == state)
            });
            page(versions, |version| &version.id, &query)
        })
    }

    fn building_versions<'a>(
        &'a self,
        after: Option<&'a VersionId>,
        limit: u32,
    ) -> BoxFuture<'a, StoreResult<Vec<Version>>> {
        self.read(|state| {
            let building = state
                .versions
                .values()
                .filter(|version| version.build.as_ref().is_some_and(|build| !build.state.is_terminal()));
            let later = building.filter(|version| after.is_none_or(|after| version.id > *after));
            later.take(limit as usize).cloned().collect()
        })
    }

    fn service<'a>(&'a self, id: &'a InstanceId) -> BoxFuture<'a, StoreResult<Option<Service>>> {
        self.read(|state| state.services.get(id).cloned())
    }

    fn services<'a>(
        &'a self,
        deployment: &'a DeploymentId,
        filter: HostedFilter<ServiceState>,
        query: ListQuery<InstanceId>,
    ) -> BoxFuture<'a, StoreResult<Vec<Service>>> {
        self.read(|state| {
            let services = state.services.values().filter(|service| {
                is_listed(&service.hosted, deployment, filter.version.as_ref())
                    && filter.state.is_none_or(|state| service.state == state)
            });
            page(services, Service::id, &query)
        })
    }

    fn services_to_mind<'a>(
        &'a self,
        now: Timestamp,
        after: Option<&'a InstanceId>,
        limit: u32,
    ) -> BoxFuture<'a, StoreResult<Vec<Service>>> {
        self.read(|state| {
            let to_mind = state
                .services
                .values()
                .filter(|service| !service.state.is_terminal() || service.hosted.is_to_be_removed(now));
            let later = to_mind.filter(|service| after.is_none_or(|after| service.id() > after));
            later.take(limit as usize).cloned().collect()
        })
    }

    fn job<'a>(&'a self, id: &'a RunId) -> BoxFuture<'a, StoreResult<Option<Job>>> {
        self.read(|state| state.jobs.get(id).cloned())
    }

    fn jobs<'a>(
        &'a self,
        deployment: &'a DeploymentId,
        filter: HostedFilter<JobState>,
        query: ListQuery<RunId>,
    ) -> BoxFuture<'a, StoreResult<Vec<Job>>> {
        self.read(|state| {
            let jobs = state.jobs.values().filter(|job| {
                is_listed(&job.hosted, deployment, filter.version.as_ref())
                    && filter.state.is_none_or(|state| job.state == state)
            });
            page(jobs, |job| &job.id, &query)
        })
    }

    fn jobs_to_mind<'a>(
        &'a self,
        now: Timestamp,
        after: Option<&'a RunId>,
        limit: u32,
    ) -> BoxFuture<'a, StoreResult<Vec<Job>>> {
        self.read(|state| {
            let jobs = state.jobs.values();
            let to_mind = jobs.filter(|job| !job.state.is_terminal() || job.hosted.is_to_be_removed(now));
            let later = to_mind.filter(|job| after.is_none_or(|after| job.id > *after));
            later.take(limit as usize).cloned().collect()
        })
    }

    fn job_in<'a>(&'a self, instance: &'a InstanceId) -> BoxFuture<'a, StoreResult<Option<Job>>> {
        self.read(|state| state.jobs.values().find(|job| job.hosted.instance_id == *instance).cloned())
    }

    fn instance_events<'a>(
        &'a self,
        instance: &'a InstanceId,
        place: LogPlace,
        limit: u32,
    ) -> BoxFuture<'a, StoreResult<Vec<LoggedEvent>>> {
        self.read(|state| {
            let of_instance = |logged: &&LoggedEvent| logged.event.instance_id.as_ref() == Some(instance);
            let events: Vec<_> = state.events.values().filter(of_instance).collect();
            let before = match place {
                LogPlace::After(sequence) => {
                    events.iter().filter(|logged| logged.sequence <= sequence).count()
                }
                LogPlace::Offset(count) => usize::try_from(count).unwrap_or(usize::MAX),
                LogPlace::Tail(count) => events.len().saturating_sub(count as usize),
            };
            EventPage::of(events.into_iter().skip(before).take(limit as usize))
        })
    }

    fn instance_event_bytes<'a>(&'a self, instance: &'a InstanceId) -> BoxFuture<'a, StoreResult<u64>> {
        self.read(|state| {
            let of_instance = |logged: &&LoggedEvent| logged.event.instance_id.as_ref() == Some(instance);
            let events = state.events.values().filter(of_instance);
            events.map(|logged| logged.event.data.len() as u64).sum()
        })
    }
}

/// Whether a job or a service is one of a deployment and, perhaps, of a version.
fn is_listed(hosted: &Hosted, deployment: &DeploymentId, version: Option<&VersionId>) -> bool {
    hosted.deployment_id == *deployment && version.is_none_or(|version| hosted.version_id == *version)
}

impl State {
    /// Who owns a deployment, of an agent or a program.
    pub(super) fn owner(&self, id: &DeploymentId) -> Option<&TenantId> {
        let of_program = || self.programs.get(id).map(|program| &program.tenant_id);
        self.deployments.get(id).map(|deployment| &deployment.tenant_id).or_else(of_program)
    }
}

impl Change<'_> {
    pub(super) fn trim_instance_events(&mut self, instance: &InstanceId, bytes: u64) {
        let of_instance = |logged: &&LoggedEvent| logged.event.instance_id.as_ref() == Some(instance);
        let mut found = 0;
        let oldest = self.state.events.values().filter(of_instance).take_while(|logged| {
            let goes = found < bytes;
            found += logged.event.data.len() as u64;
            goes
        });
        let keys: Vec<_> =
            oldest.map(|logged| (logged.event.deployment_id.clone(), logged.sequence)).collect();
        for key in &keys {
            self.remove(|state| &mut state.events, key);
        }
    }

    pub(super) fn insert_program(&mut self, program: ProgramDeployment) -> StoreResult<()> {
        storable(program.revision, "programs.revision")?;
        self.need_free_name(&program)?;
        let id = program.id.clone();
        self.insert("deployment", |state| &mut state.programs, id.clone(), program)?;
        self.insert("deployment", |state| &mut state.last_sequences, id, 0)
    }

    pub(super) fn update_program(&mut self, program: ProgramDeployment) -> StoreResult<()> {
        storable(program.revision, "programs.revision")?;
        let before = self.state.programs.get(&program.id);
        let before = current("deployment", before, program.revision, |p| p.revision)?;
        let program = ProgramDeployment {
            tenant_id: before.tenant_id.clone(),
            created_at: before.created_at,
            revision: program.revision + 1,
            ..program
        };
        self.need_free_name(&program)?;
        self.put(|state| &mut state.programs, program.id.clone(), program);
        Ok(())
    }

    pub(super) fn insert_version(&mut self, version: Version) -> StoreResult<()> {
        storable(version.revision, "program_versions.revision")?;
        self.need_program(&version.deployment_id)?;
        let same =
            |other: &Version| other.deployment_id == version.deployment_id && other.number == version.number;
        if self.state.versions.values().any(same) {
            return Err(StoreError::Conflict("version"));
        }
        self.insert("version", |state| &mut state.versions, version.id.clone(), version)
    }

    pub(super) fn update_version(&mut self, version: Version) -> StoreResult<()> {
        storable(version.revision, "program_versions.revision")?;
        let before = self.state.versions.get(&version.id);
        let before = current("version", before, version.revision, |v| v.revision)?;
        let version = Version {
            deployment_id: before.deployment_id.clone(),
            number: before.number,
            created_at: before.created_at,
            revision: version.revision + 1,
            ..version
        };
        self.put(|state| &mut state.versions, version.id.clone(), version);
        Ok(())
    }

    pub(super) fn insert_service(&mut self, service: Service, most: u32) -> StoreResult<()> {
        storable(service.revision, "services.revision")?;
        let deployment = &service.hosted.deployment_id;
        self.need_program(deployment)?;
        let live = self.state.services.values().filter(|other| !other.state.is_terminal());
        if live.filter(|other| other.hosted.deployment_id == *deployment).count() >= most as usize {
            return Err(StoreError::Full("services"));
        }
        self.insert("service", |state| &mut state.services, service.id().clone(), service)
    }

    pub(super) fn update_service(&mut self, service: Service) -> StoreResult<()> {
        storable(service.revision, "services.revision")?;
        let before = self.state.services.get(service.id());
        let before = current("service", before, service.revision, |s| s.revision)?;
        let service = Service {
            hosted: Hosted { deployment_id: before.hosted.deployment_id.clone(), ..service.hosted },
            created_at: before.created_at,
            revision: service.revision + 1,
            ..service
        };
        self.put(|state| &mut state.services, service.id().clone(), service);
        Ok(())
    }

    pub(super) fn insert_job(&mut self, job: Job, most: u32) -> StoreResult<()> {
        storable(job.revision, "jobs.revision")?;
        let deployment = &job.hosted.deployment_id;
        self.need_program(deployment)?;
        let live = self.state.jobs.values().filter(|other| !other.state.is_terminal());
        if live.filter(|other| other.hosted.deployment_id == *deployment).count() >= most as usize {
            return Err(StoreError::Full("runs"));
        }
        if self.state.jobs.values().any(|other| other.hosted.instance_id == job.hosted.instance_id) {
            return Err(StoreError::Conflict("run"));
        }
        self.insert("run", |state| &mut state.jobs, job.id.clone(), job)
    }

    pub(super) fn update_job(&mut self, job: Job) -> StoreResult<()> {
        storable(job.revision, "jobs.revision")?;
        let before = current("run", self.state.jobs.get(&job.id), job.revision, |j| j.revision)?;
        let Hosted { instance_id, deployment_id, .. } = before.hosted.clone();
        let job = Job {
            hosted: Hosted { instance_id, deployment_id, ..job.hosted },
            created_at: before.created_at,
            revision: job.revision + 1,
            ..job
        };
        self.put(|state| &mut state.jobs, job.id.clone(), job);
        Ok(())
    }

    /// Removes what a deployment of a program has.
    pub(super) fn purge_program(&mut self, id: &DeploymentId) {
        self.remove_where(|state| &mut state.manifests, |_, manifest| manifest.0 == *id);
        self.remove_where(|state| &mut state.versions, |_, version| version.deployment_id == *id);
        self.remove_where(|state| &mut state.services, |_, service| service.hosted.deployment_id == *id);
        self.remove_where(|state| &mut state.jobs, |_, job| job.hosted.deployment_id == *id);
        self.remove(|state| &mut state.programs, id);
    }

    fn need_program(&self, id: &DeploymentId) -> StoreResult<()> {
        existed("deployment", self.state.programs.contains_key(id))
    }

    fn need_free_name(&self, program: &ProgramDeployment) -> StoreResult<()> {
        let takes_it = |other: &ProgramDeployment| {
            other.id != program.id
                && other.tenant_id == program.tenant_id
                && other.name == program.name
                && other.state != ProgramState::Deleted
        };
        let is_taken = program.state != ProgramState::Deleted && self.state.programs.values().any(takes_it);
        if is_taken { Err(StoreError::Conflict("deployment")) } else { Ok(()) }
    }
}
