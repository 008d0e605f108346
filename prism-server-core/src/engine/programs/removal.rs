//! The removal of deployments that were deleted.
//!
//! Each job and each service is ended by its own worker, so that none of them can begin anything behind the back of the
//! removal. Once they have all let go of their sandboxes, the rest goes.

use std::sync::Arc;

use prism_types::DeploymentId;

use super::{Programs, Task};
use crate::{
    domain::program::{
        hosted::{Hosted, Stage},
        version::Build,
    },
    engine::SWEEP_PAGE,
    error::{Error, Result},
    ports::{Commit, HostedFilter, ListQuery, Write},
};

/// Events removed in one commit, so that other writers need not wait long.
const TRIM: u32 = 2000;

impl Programs {
    /// Removes a deployment, or begins to: it is called again when another of its jobs and services has ended.
    pub(super) async fn remove(self: &Arc<Self>, id: &DeploymentId) -> Result<()> {
        let store = &self.core.store;
        let services = self.release_services(id).await?;
        if !self.release_jobs(id).await? || !self.release_builds(id).await? || !services {
            return Ok(());
        }
        let mut before = None;
        loop {
            let query = ListQuery { before, limit: SWEEP_PAGE };
            let versions = store.versions(id, None, query).await?;
            let Some(last) = versions.last() else { break };
            before = Some(last.id.clone());
            for version in versions {
                let sandboxes = self.sandboxes(&version)?;
                let built = version.build.as_ref().map(|build| &build.instance_id);
                for instance in [Some(&version.instance_id), built].into_iter().flatten() {
                    sandboxes.remove(instance).await.map_err(Error::internal)?;
                }
            }
        }
        while !store.events(id, 0, 1).await?.is_empty() {
            store.commit(Commit::new().with(Write::TrimEvents(id.clone(), TRIM))).await?;
        }
        store.commit(Commit::new().with(Write::PurgeDeployment(id.clone()))).await?;
        Ok(())
    }

    /// Whether all services have let go of their sandboxes; those that have not are told to.
    async fn release_services(self: &Arc<Self>, id: &DeploymentId) -> Result<bool> {
        let (mut before, mut are_released) = (None, true);
        loop {
            let filter = HostedFilter { state: None, version: None };
            let query = ListQuery { before, limit: SWEEP_PAGE };
            let services = self.core.store.services(id, filter, query).await?;
            let Some(last) = services.last() else { return Ok(are_released) };
            before = Some(last.id().clone());
            for service in services {
                are_released &= self.is_released(&service.hosted, service.state.is_terminal());
            }
        }
    }

    async fn release_jobs(self: &Arc<Self>, id: &DeploymentId) -> Result<bool> {
        let (mut before, mut are_released) = (None, true);
        loop {
            let filter = HostedFilter { state: None, version: None };
            let query = ListQuery { before, limit: SWEEP_PAGE };
            let jobs = self.core.store.jobs(id, filter, query).await?;
            let Some(last) = jobs.last() else { return Ok(are_released) };
            before = Some(last.id.clone());
            for job in jobs {
                are_released &= self.is_released(&job.hosted, job.state.is_terminal());
            }
        }
    }

    async fn release_builds(self: &Arc<Self>, id: &DeploymentId) -> Result<bool> {
        let (mut before, mut are_released) = (None, true);
        loop {
            let query = ListQuery { before, limit: SWEEP_PAGE };
            let versions = self.core.store.versions(id, None, query).await?;
            let Some(last) = versions.last() else { return Ok(are_released) };
            before = Some(last.id.clone());
            let is_under_way = |build: &Build| !build.state.is_terminal();
            for version in versions.into_iter().filter(|found| found.build.as_ref().is_some_and(is_under_way))
            {
                are_released = false;
                self.begin(Task::Build(version.id));
            }
        }
    }

    fn is_released(self: &Arc<Self>, hosted: &Hosted, has_ended: bool) -> bool {
        let is_released = has_ended && hosted.stage == Stage::Empty;
        if !is_released {
            self.nudge(hosted.instance_id.clone());
        }
        is_released
    }
}
