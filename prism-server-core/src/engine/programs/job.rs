//! Jobs: run to their end.

use std::time::Duration;

use prism_types::{FileType, RunId};
use tokio::{sync::Notify, time::timeout};

use super::{
    Programs,
    commands::{Ended, Writer, described, run_command},
    hosted::{Failed, Step, Wanted},
    service::since,
};
use crate::{
    domain::program::{
        config::ProgramConfig,
        hosted::Stage,
        job::{Job, JobCommand, JobState, Output, OutputFound},
        log::{Line, Phase},
        version::Version,
    },
    error::{Error, Result},
    ports::{Exit, SandboxError},
};

impl Programs {
    /// Does what is to be done for a job until it has ended.
    pub(super) async fn mind_job(&self, id: &RunId, wake: &Notify) -> Result<()> {
        loop {
            let Some(job) = self.core.store.job(id).await? else { return Ok(()) };
            let (version, config) = self.version(&job.hosted).await?;
            if self.is_deleted(&job.hosted).await? {
                return self.drop_job(&job, &version).await;
            }
            match (job.state, job.hosted.stage) {
                (JobState::Queued, _) => {
                    self.step_job(&job, JobCommand::Begin, "run_starting", "the run has begun").await?;
                }
                (JobState::Starting, Stage::Empty) => self.unsettle_job(&job).await?,
                (JobState::Starting, Stage::Unsettled) => self.fill_job(&job, &version, &config).await?,
                (JobState::Starting | JobState::Installing, Stage::Filled) => {
                    self.install_job(&job, &version, &config, wake).await?;
                }
                (JobState::Starting | JobState::Installing | JobState::Running, _) => {
                    self.run_job(&job, &version, &config, wake).await?;
                }
                (JobState::Succeeded | JobState::Failed | JobState::Cancelled | JobState::TimedOut, _) => {
                    self.core.environments.forget(&job.hosted.instance_id, job.hosted.starts);
                    return self.tidy_job(&job, &version).await;
                }
            }
        }
    }

    /// Takes a step that only the record knows of.
    async fn step_job(&self, job: &Job, command: JobCommand, kind: &str, message: &str) -> Result<()> {
        let now = self.core.clock.now();
        self.change_job(&job.id, |found| {
            found.apply(command.clone(), now).ok()?;
            Some(vec![Line::lifecycle(&found.hosted, kind, message)])
        })
        .await?;
        Ok(())
    }

    /// Writes down that there may be a sandbox from now on.
    async fn unsettle_job(&self, job: &Job) -> Result<()> {
        self.change_job(&job.id, |now| {
            now.hosted.stage = Stage::Unsettled;
            Some(Vec::new())
        })
        .await?;
        Ok(())
    }

    async fn fill_job(&self, job: &Job, version: &Version, config: &ProgramConfig) -> Result<()> {
        let stage = match self.fill(&job.hosted, version).await? {
            Step::Done(stage) => stage,
            Step::Failed(failed) => return self.fail_job(job, version, config, failed).await,
            Step::Unwanted => return Ok(()),
        };
        self.change_job(&job.id, |found| {
            found.hosted.stage = stage;
            Some(vec![match stage {
                Stage::Installed => {
                    let message = "the sandbox was filled with the build of the version";
                    Line::lifecycle(&found.hosted, "deployment_cache_hit", message)
                }
                _ => {
                    let message = "the sandbox was filled with the files of the version";
                    Line::lifecycle(&found.hosted, "sandbox_created", message)
                }
            }])
        })
        .await?;
        Ok(())
    }

    async fn install_job(
        &self,
        job: &Job,
        version: &Version,
        config: &ProgramConfig,
        wake: &Notify,
    ) -> Result<()> {
        let Some(line) = &config.install else {
            self.change_job(&job.id, |found| {
                (!found.state.is_terminal()).then(|| {
                    found.hosted.stage = Stage::Installed;
                    let message = "there is nothing to install";
                    vec![Line::lifecycle(&found.hosted, "install_skipped", message)]
                })
            })
            .await?;
            return Ok(());
        };
        if job.state == JobState::Starting {
            let message = "the installation has begun";
            return self.step_job(job, JobCommand::Install, "run_installing", message).await;
        }
        let Some(environment) = self.environment(&job.hosted) else {
            return self.fail_job(job, version, config, Failed::environment()).await;
        };
        let writer = Writer::of_job(job);
        let what = (version, config, line.as_str());
        let begun = since(Some(job.created_at), self.core.clock.now());
        let left = self.time_of(config).saturating_sub(begun);
        let installed =
            timeout(left, self.install(&writer, what, &environment, wake, Wanted::Job(job))).await;
        match installed {
            Err(_) => return self.time_out_job(job, version, config).await,
            Ok(step) => match step? {
                Step::Done(()) => {}
                Step::Failed(failed) => return self.fail_job(job, version, config, failed).await,
                Step::Unwanted => return Ok(()),
            },
        }
        self.change_job(&job.id, |found| {
            (!found.state.is_terminal()).then(|| {
                found.hosted.stage = Stage::Installed;
                vec![Line::lifecycle(&found.hosted, "install_succeeded", "the program is installed")]
            })
        })
        .await?;
        Ok(())
    }

    /// Starts the process of a job unless it was started, and waits for its end.
    async fn run_job(
        &self,
        job: &Job,
        version: &Version,
        config: &ProgramConfig,
        wake: &Notify,
    ) -> Result<()> {
        let hosting = self.hosting(version)?;
        if job.state != JobState::Running {
            if !self.was_started(&job.hosted, version, &job.hosted.run_token()).await? {
                let Some(environment) = self.environment(&job.hosted) else {
                    return self.fail_job(job, version, config, Failed::environment()).await;
                };
                let command = run_command(&job.hosted, config, Some(job), &environment);
                if let Err(error) = hosting.start(command).await {
                    let failed = Failed::of(Phase::Entrypoint, "the process could not be started", &error);
                    return self.fail_job(job, version, config, failed).await;
                }
            }
            return self.step_job(job, JobCommand::Run, "run_started", "the process was started").await;
        }
        self.core.environments.forget(&job.hosted.instance_id, job.hosted.starts);
        let writer = Writer::of_job(job);
        let token = job.hosted.run_token();
        let followed = self.follow_within(&writer, hosting, &token, self.disk_of(config));
        let left = self.time_of(config).saturating_sub(since(job.started_at, self.core.clock.now()));
        match timeout(left, self.while_wanted(followed, wake, Wanted::Job(job))).await {
            Err(_) => self.time_out_job(job, version, config).await,
            Ok(ended) => match ended? {
                None => self.halt(&Writer::of_job(job), version).await,
                Some(ended) => self.end_job(job, version, config, ended).await,
            },
        }
    }

    async fn end_job(
        &self,
        job: &Job,
        version: &Version,
        config: &ProgramConfig,
        ended: Ended,
    ) -> Result<()> {
        // What it left running is ended, so that its outputs stay as they are.
        self.halt(&Writer::of_job(job), version).await?;
        let message = format!("the process {}", described(ended));
        let command = match ended {
            Ended::Exit(Exit::Code(0)) => JobCommand::Succeed,
            _ => JobCommand::Fail(message.clone()),
        };
        let exit = match ended {
            Ended::Exit(Exit::Code(code)) => Some(code),
            _ => None,
        };
        self.conclude_job(job, version, config, command, exit, Phase::Runtime, &message).await
    }

    async fn time_out_job(&self, job: &Job, version: &Version, config: &ProgramConfig) -> Result<()> {
        // It may have ended in time, while no server looked.
        let id = &job.hosted.instance_id;
        let last = self.hosting(version)?.status(id).await.map_err(Error::internal)?;
        if let Some(last) = last.filter(|last| last.token == job.hosted.run_token())
            && let Some(exit) = last.exit
        {
            return self.end_job(job, version, config, Ended::Exit(exit)).await;
        }
        self.halt(&Writer::of_job(job), version).await?;
        let message = format!("it did not end within {} s", self.time_of(config).as_secs());
        let command = JobCommand::TimeOut(message.clone());
        self.conclude_job(job, version, config, command, None, Phase::Runtime, &message).await
    }

    async fn fail_job(
        &self,
        job: &Job,
        version: &Version,
        config: &ProgramConfig,
        Failed { phase, reason }: Failed,
    ) -> Result<()> {
        self.halt(&Writer::of_job(job), version).await?;
        let command = JobCommand::Fail(reason.clone());
        self.conclude_job(job, version, config, command, None, phase, &reason).await
    }

    #[allow(clippy::too_many_arguments, reason = "everything that an end has")]
    async fn conclude_job(
        &self,
        job: &Job,
        version: &Version,
        config: &ProgramConfig,
        command: JobCommand,
        exit_code: Option<i32>,
        phase: Phase,
        message: &str,
    ) -> Result<()> {
        let outputs = self.outputs(job, version, config).await?;
        let now = self.core.clock.now();
        let kept = kept(job, config, command == JobCommand::Succeed, &outputs);
        self.change_job(&job.id, |found| {
            found.apply(command.clone(), now).ok()?;
            found.exit_code = exit_code;
            found.outputs.clone_from(&outputs);
            if let Some(time) = kept {
                found.hosted.keep(now, time);
            }
            Some(vec![match found.state {
                JobState::Succeeded => Line::lifecycle(&found.hosted, "run_succeeded", message),
                JobState::TimedOut => Line::failure(&found.hosted, "run_timed_out", phase, message),
                _ => Line::failure(&found.hosted, "run_failed", phase, message),
            }])
        })
        .await?;
        Ok(())
    }

    /// What is at the paths of the outputs.
    async fn outputs(&self, job: &Job, version: &Version, config: &ProgramConfig) -> Result<Vec<Output>> {
        let id = &job.hosted.instance_id;
        if config.outputs.paths.is_empty() || job.hosted.stage == Stage::Empty {
            return Ok(Vec::new());
        }
        let workspace = self.sandboxes(version)?.workspace(id).await.map_err(Error::internal)?;
        let mut outputs = Vec::new();
        for configured in &config.outputs.paths {
            let path = configured.in_workspace(&config.workdir);
            let mut found = None;
            if let (Some(workspace), Ok(path)) = (&workspace, path.parse()) {
                found = match workspace.stat(&path).await {
                    Ok(found) => found,
                    // A path that leads through something else has nothing of the job's.
                    Err(SandboxError::NotAFile(_) | SandboxError::Denied(_)) => None,
                    Err(error) => return Err(Error::internal(error)),
                };
            }
            let found = found.and_then(|info| match info.kind {
                FileType::File => Some(OutputFound { is_directory: false, size: info.size }),
                FileType::Directory => Some(OutputFound { is_directory: true, size: 0 }),
                // A link is nobody's output.
                _ => None,
            });
            outputs.push(Output { configured_path: configured.as_str().to_owned(), path, found });
        }
        Ok(outputs)
    }

    /// Takes the sandbox of a job away that has ended, when its time has come.
    async fn tidy_job(&self, job: &Job, version: &Version) -> Result<()> {
        if !job.hosted.is_to_be_removed(self.core.clock.now()) {
            return Ok(());
        }
        self.discard(&job.hosted, version).await?;
        self.change_job(&job.id, |found| {
            found.hosted.stage = Stage::Empty;
            found.hosted.kept_until = None;
            Some(vec![Line::lifecycle(&found.hosted, "sandbox_removed", "the sandbox was removed")])
        })
        .await?;
        Ok(())
    }

    /// Ends and removes a job whose deployment was deleted.
    async fn drop_job(&self, job: &Job, version: &Version) -> Result<()> {
        self.discard(&job.hosted, version).await?;
        self.core.environments.forget(&job.hosted.instance_id, u32::MAX);
        let now = self.core.clock.now();
        self.change_job(&job.id, |found| {
            // One that has ended stays as it is.
            found.apply(JobCommand::Cancel(None), now).ok();
            found.hosted.stage = Stage::Empty;
            found.hosted.kept_until = None;
            Some(Vec::new())
        })
        .await?;
        self.core.nudges.programs();
        Ok(())
    }

    /// How long a job, or an installation, may take.
    pub(super) fn time_of(&self, config: &ProgramConfig) -> Duration {
        let asked = config.resources.timeout_seconds.or(config.permissions.max_timeout_seconds);
        asked.map_or(self.core.settings.job_timeout, |seconds| Duration::from_secs(seconds.into()))
    }
}

/// For how long the sandbox of a job is kept after its end; `None`: it is not.
fn kept(job: &Job, config: &ProgramConfig, has_succeeded: bool, outputs: &[Output]) -> Option<Duration> {
    let time = job
        .retention_seconds
        .map_or_else(|| config.retention(), |seconds| Duration::from_secs(seconds.into()));
    // Outputs are read from the sandbox.
    let has_outputs = outputs.iter().any(|output| output.found.is_some());
    let is_retained = !has_succeeded && job.retain_on_failure.unwrap_or(config.retain_on_failure());
    (has_outputs || is_retained).then_some(time)
}
