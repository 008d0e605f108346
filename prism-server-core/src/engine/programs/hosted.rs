//! The steps that jobs and services have in common.

use std::future::Future;

use tokio::sync::Notify;

use super::{
    GRACE, Programs,
    commands::{Ended, Writer, described, install_command},
};
use crate::{
    domain::program::{
        ProgramState,
        config::ProgramConfig,
        hosted::{Hosted, Stage},
        job::Job,
        log::Phase,
        service::Service,
        version::Version,
    },
    error::{Error, Result},
    ports::{Exit, SandboxError},
    service::programs::environments::Environment,
};

/// Why a job or a service fails.
#[derive(Debug, Clone)]
pub(super) struct Failed {
    pub(super) phase: Phase,
    pub(super) reason: String,
}

impl Failed {
    pub(super) fn new(phase: Phase, reason: impl Into<String>) -> Self {
        Self { phase, reason: reason.into() }
    }

    /// What the sandbox did not do. What it says of itself is for the operator.
    pub(super) fn of(phase: Phase, what: &str, error: &SandboxError) -> Self {
        tracing::warn!(%error, what, "a sandbox did not do it");
        match error {
            SandboxError::Limit(_) | SandboxError::NoRoom | SandboxError::Unavailable(_) => {
                Self::new(phase, format!("{what}: {error}"))
            }
            _ => Self::new(phase, format!("{what}; the server's log says why")),
        }
    }

    /// What was to have an environment that is lost.
    pub(super) fn environment() -> Self {
        let reason = "its environment was lost when the server was restarted, since it is kept nowhere: \
                      start it again with `envs`";
        Self::new(Phase::Entrypoint, reason)
    }
}

/// For whom something is done.
#[derive(Clone, Copy)]
pub(super) enum Wanted<'a> {
    /// A service, in the start that it was read in.
    Service(&'a Service),
    /// A job that has not ended.
    Job(&'a Job),
    /// A build, as long as there is its deployment.
    Build(&'a Hosted),
}

/// What came of a step.
pub(super) enum Step<T> {
    /// It was taken.
    Done(T),
    /// It failed, and so does the job or the service.
    Failed(Failed),
    /// It is not wanted any more.
    Unwanted,
}

impl Programs {
    /// Fills a sandbox with the files of a version, or with what its build made of them.
    pub(super) async fn fill(&self, hosted: &Hosted, version: &Version) -> Result<Step<Stage>> {
        let _permit = self.filling.acquire().await.map_err(Error::internal)?;
        let (source, is_installed) = version.source();
        let copied = self.sandboxes(version)?.copy_workspace(source, &hosted.instance_id).await;
        Ok(match copied {
            Ok(()) if is_installed => Step::Done(Stage::Installed),
            Ok(()) => Step::Done(Stage::Filled),
            Err(error) => {
                Step::Failed(Failed::of(Phase::Entrypoint, "its sandbox could not be filled", &error))
            }
        })
    }

    /// Runs the installation, as long as it is wanted.
    pub(super) async fn install(
        &self,
        writer: &Writer,
        (version, config, line): (&Version, &ProgramConfig, &str),
        environment: &Environment,
        wake: &Notify,
        wanted: Wanted<'_>,
    ) -> Result<Step<()>> {
        let hosting = self.hosting(version)?;
        let hosted = &writer.hosted;
        let command = install_command(hosted, config, line, environment);
        let token = command.token.clone();
        if let Err(error) = hosting.start(command).await {
            let failed = Failed::of(Phase::Install, "the installation could not be started", &error);
            return Ok(Step::Failed(failed));
        }
        let followed = self.follow_within(writer, hosting, &token, self.disk_of(config));
        match self.while_wanted(followed, wake, wanted).await? {
            None => {
                self.halt(writer, version).await?;
                Ok(Step::Unwanted)
            }
            Some(Ended::Exit(Exit::Code(0))) => Ok(Step::Done(())),
            Some(ended) => {
                let reason = format!("the installation {}", described(ended));
                Ok(Step::Failed(Failed::new(Phase::Install, reason)))
            }
        }
    }

    /// Ends whatever runs in a sandbox, and takes the rest of what it wrote to the log.
    pub(super) async fn halt(&self, writer: &Writer, version: &Version) -> Result<()> {
        let id = &writer.hosted.instance_id;
        if writer.hosted.stage == Stage::Empty {
            return Ok(());
        }
        let hosting = self.hosting(version)?;
        hosting.stop(id, GRACE).await.map_err(Error::internal)?;
        if let Some(last) = hosting.status(id).await.map_err(Error::internal)? {
            self.follow(writer, hosting, &last.token).await?;
        }
        Ok(())
    }

    /// An installation that has taken too long.
    pub(super) fn late_installation(&self, config: &ProgramConfig) -> Failed {
        let seconds = self.time_of(config).as_secs();
        Failed::new(Phase::Install, format!("the installation did not end within {seconds} s"))
    }

    /// Whether a command of this token was started in a sandbox, which the record need not know yet.
    pub(super) async fn was_started(&self, hosted: &Hosted, version: &Version, token: &str) -> Result<bool> {
        let status = self.hosting(version)?.status(&hosted.instance_id).await.map_err(Error::internal)?;
        Ok(status.is_some_and(|status| status.token == token))
    }

    /// Removes a sandbox with all that is in it.
    pub(super) async fn discard(&self, hosted: &Hosted, version: &Version) -> Result<()> {
        self.sandboxes(version)?.remove(&hosted.instance_id).await.map_err(Error::internal)
    }

    /// Works as long as it is wanted, which is found out at every nudge; `None`: it is not any more.
    pub(super) async fn while_wanted<T>(
        &self,
        work: impl Future<Output = Result<T>>,
        wake: &Notify,
        wanted: Wanted<'_>,
    ) -> Result<Option<T>> {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done.map(Some),
                () = wake.notified() => if !self.is_wanted(wanted).await? {
                    return Ok(None);
                },
            }
        }
    }

    /// Whether what was begun is still to be done.
    pub(super) async fn is_wanted(&self, wanted: Wanted<'_>) -> Result<bool> {
        let store = &self.core.store;
        match wanted {
            Wanted::Build(hosted) => Ok(!self.is_deleted(hosted).await?),
            Wanted::Service(service) => {
                let found = store.service(service.id()).await?;
                let is_same = found
                    .is_some_and(|found| found.state.is_up() && found.hosted.starts == service.hosted.starts);
                Ok(is_same && !self.is_deleted(&service.hosted).await?)
            }
            Wanted::Job(job) => {
                let found = store.job(&job.id).await?;
                let is_same = found.is_some_and(|found| !found.state.is_terminal());
                Ok(is_same && !self.is_deleted(&job.hosted).await?)
            }
        }
    }

    /// Whether the deployment of a job or a service was deleted.
    pub(super) async fn is_deleted(&self, hosted: &Hosted) -> Result<bool> {
        let deployment = self.core.store.program(&hosted.deployment_id).await?;
        Ok(deployment.is_none_or(|deployment| deployment.state == ProgramState::Deleted))
    }
}
