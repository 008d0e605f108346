//! How records of jobs and services are changed while others change them, too.

use prism_types::{InstanceId, RunId};

use super::Programs;
use crate::{
    domain::{
        event::NewEvent,
        instance::InstanceCommand,
        program::{
            config::ProgramConfig,
            hosted::{Hosted, Stage},
            job::Job,
            log::Line,
            service::Service,
            version::Version,
        },
    },
    engine::agents,
    error::{Error, Result},
    ports::{Commit, StoreError, Write},
    service::programs::services::config,
};

impl Programs {
    /// Changes a service as `decide` says, which tells what the log says of it; `None`: the change is not wanted any more.
    /// It is asked again while others are faster. Answers whether it was changed.
    pub(super) async fn change_service(
        &self,
        id: &InstanceId,
        decide: impl Fn(&mut Service) -> Option<Vec<Line>>,
    ) -> Result<bool> {
        loop {
            let Some(mut service) = self.core.store.service(id).await? else { return Ok(false) };
            let before = service.hosted.stage;
            let Some(lines) = decide(&mut service) else { return Ok(false) };
            let gone = InstanceCommand::Lost;
            let mut commit = self.staged(&service.hosted, before, gone).await?;
            commit = commit.with_all(self.events(&service.hosted, None, lines).map(Write::Append));
            match self.core.store.commit(commit.with(Write::UpdateService(service))).await {
                Ok(()) => return Ok(true),
                Err(StoreError::Conflict(_)) => {}
                Err(StoreError::Missing(_)) => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// As [`Programs::change_service`], of a job.
    pub(super) async fn change_job(
        &self,
        id: &RunId,
        decide: impl Fn(&mut Job) -> Option<Vec<Line>>,
    ) -> Result<bool> {
        loop {
            let Some(mut job) = self.core.store.job(id).await? else { return Ok(false) };
            let before = job.hosted.stage;
            let Some(lines) = decide(&mut job) else { return Ok(false) };
            let mut commit = self.staged(&job.hosted, before, InstanceCommand::Stopped).await?;
            commit = commit.with_all(self.events(&job.hosted, Some(&job.id), lines).map(Write::Append));
            match self.core.store.commit(commit.with(Write::UpdateJob(job))).await {
                Ok(()) => return Ok(true),
                Err(StoreError::Conflict(_)) => {}
                Err(StoreError::Missing(_)) => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// What becomes of the instance when the sandbox was made or removed.
    async fn staged(&self, hosted: &Hosted, before: Stage, gone: InstanceCommand) -> Result<Commit> {
        let happened = match (before == Stage::Empty, hosted.stage == Stage::Empty) {
            (true, false) => InstanceCommand::Started,
            (false, true) => gone,
            _ => return Ok(Commit::new()),
        };
        let Some(instance) = self.core.store.instance(&hosted.instance_id).await? else {
            return Ok(Commit::new());
        };
        let instance = agents::after(instance, &[happened]);
        Ok(Commit::new().with_all(instance.map(Write::UpdateInstance)))
    }

    fn events<'a>(
        &'a self,
        hosted: &'a Hosted,
        run: Option<&'a RunId>,
        lines: Vec<Line>,
    ) -> impl Iterator<Item = NewEvent> + 'a {
        let now = self.core.clock.now();
        lines.into_iter().map(move |line| line.event(hosted, run, now))
    }

    /// The version that a job or a service runs, and how.
    pub(super) async fn version(&self, hosted: &Hosted) -> Result<(Version, ProgramConfig)> {
        let version = self.core.store.version(&hosted.version_id).await?;
        let version = version.ok_or_else(|| Error::internal("a job or a service has no version"))?;
        let config = config(&version)?;
        Ok((version, config))
    }
}
