//! Services: started, looked at, stopped.

use std::pin::pin;

use prism_types::{InstanceId, Timestamp};
use tokio::{sync::Notify, time::timeout};

use super::{
    Programs,
    commands::{Ended, Writer, described, run_command},
    hosted::{Failed, Step, Wanted},
    probe::{Finding, Probe},
};
use crate::{
    domain::program::{
        config::ProgramConfig,
        hosted::Stage,
        log::{Level, Line, Phase, Source},
        service::{Readiness, Service, ServiceCommand, ServiceState},
        version::Version,
    },
    error::Result,
};

impl Programs {
    /// Does what is to be done for a service until it has ended.
    pub(super) async fn mind_service(&self, id: &InstanceId, wake: &Notify) -> Result<()> {
        loop {
            let Some(service) = self.core.store.service(id).await? else { return Ok(()) };
            let (version, config) = self.version(&service.hosted).await?;
            if self.is_deleted(&service.hosted).await? {
                return self.drop_service(&service, &version).await;
            }
            match service.state {
                ServiceState::Starting if service.hosted.stage == Stage::Empty => {
                    self.unsettle_service(&service).await?;
                }
                ServiceState::Starting if service.hosted.stage == Stage::Unsettled => {
                    self.fill_service(&service, &version, &config).await?;
                }
                ServiceState::Starting if service.hosted.stage == Stage::Filled => {
                    self.install_service(&service, &version, &config, wake).await?;
                }
                ServiceState::Starting | ServiceState::Ready | ServiceState::Unhealthy => {
                    self.run_service(&service, &version, &config, wake).await?;
                }
                ServiceState::Stopping => self.stop_service(&service, &version, &config).await?,
                ServiceState::Stopped | ServiceState::Failed => {
                    self.core.environments.forget(id, service.hosted.starts);
                    return self.tidy_service(&service, &version).await;
                }
            }
        }
    }

    /// Writes down that there may be a sandbox from now on.
    async fn unsettle_service(&self, service: &Service) -> Result<()> {
        self.change_service(service.id(), |now| {
            now.hosted.stage = Stage::Unsettled;
            Some(Vec::new())
        })
        .await?;
        Ok(())
    }

    async fn fill_service(&self, service: &Service, version: &Version, config: &ProgramConfig) -> Result<()> {
        let stage = match self.fill(&service.hosted, version).await? {
            Step::Done(stage) => stage,
            Step::Failed(failed) => return self.fail_service(service, version, config, failed).await,
            Step::Unwanted => return Ok(()),
        };
        let message = match stage {
            Stage::Installed => "the sandbox was filled with the build of the version",
            _ => "the sandbox was filled with the files of the version",
        };
        self.change_service(service.id(), |now| {
            let is_same = now.hosted.starts == service.hosted.starts;
            is_same.then(|| {
                now.hosted.stage = stage;
                let kind = if stage == Stage::Installed { "deployment_cache_hit" } else { "sandbox_created" };
                vec![Line::lifecycle(&now.hosted, kind, message)]
            })
        })
        .await?;
        Ok(())
    }

    async fn install_service(
        &self,
        service: &Service,
        version: &Version,
        config: &ProgramConfig,
        wake: &Notify,
    ) -> Result<()> {
        if let Some(line) = &config.install {
            let Some(environment) = self.environment(&service.hosted) else {
                return self.fail_service(service, version, config, Failed::environment()).await;
            };
            let writer = Writer::of_service(service);
            let what = (version, config, line.as_str());
            let installed = self.install(&writer, what, &environment, wake, Wanted::Service(service));
            let failed = match timeout(self.time_of(config), installed).await {
                Ok(step) => match step? {
                    Step::Done(()) => None,
                    Step::Failed(failed) => Some(failed),
                    Step::Unwanted => return Ok(()),
                },
                Err(_) => Some(self.late_installation(config)),
            };
            if let Some(failed) = failed {
                return self.fail_service(service, version, config, failed).await;
            }
        }
        self.change_service(service.id(), |now| {
            let is_same =
                now.hosted.starts == service.hosted.starts && now.hosted.stage == service.hosted.stage;
            is_same.then(|| {
                now.hosted.stage = Stage::Installed;
                vec![match config.install {
                    Some(_) => Line::lifecycle(&now.hosted, "install_succeeded", "the program is installed"),
                    None => Line::lifecycle(&now.hosted, "install_skipped", "there is nothing to install"),
                }]
            })
        })
        .await?;
        Ok(())
    }

    /// Starts the process of a service unless it was started, and looks at it until something else is wanted.
    async fn run_service(
        &self,
        service: &Service,
        version: &Version,
        config: &ProgramConfig,
        wake: &Notify,
    ) -> Result<()> {
        let (hosting, id, token) = (self.hosting(version)?, service.id(), service.hosted.run_token());
        if service.started_at.is_none() {
            if !self.was_started(&service.hosted, version, &token).await? {
                let Some(environment) = self.environment(&service.hosted) else {
                    return self.fail_service(service, version, config, Failed::environment()).await;
                };
                let command = run_command(&service.hosted, config, None, &environment);
                if let Err(error) = hosting.start(command).await {
                    let failed = Failed::of(Phase::Entrypoint, "the process could not be started", &error);
                    return self.fail_service(service, version, config, failed).await;
                }
            }
            let now = self.core.clock.now();
            self.change_service(id, |found| {
                (found.hosted.starts == service.hosted.starts).then(|| {
                    found.started_at = Some(now);
                    vec![Line::lifecycle(&found.hosted, "service_started", "the process was started")]
                })
            })
            .await?;
            return Ok(());
        }
        self.core.environments.forget(id, service.hosted.starts);
        let writer = Writer::of_service(service);
        let mut ended = pin!(self.follow_within(&writer, hosting, &token, self.disk_of(config)));
        let mut probe = Probe::new(self.core.clock.as_ref(), service, config);
        loop {
            tokio::select! {
                ended = &mut ended => return self.end_service(service, version, config, ended?).await,
                () = wake.notified() => if !self.is_wanted(Wanted::Service(service)).await? {
                    let after = self.core.store.service(id).await?;
                    // One that is to start again is ended with the grace that it would have had.
                    if after.is_some_and(|after| after.hosted.starts != service.hosted.starts) {
                        self.halt(&Writer::of_service(service), version).await?;
                    }
                    return Ok(());
                },
                finding = probe.next(hosting) => match finding {
                    Finding::TooLate(message) => {
                        let failed = Failed::new(Phase::Readiness, message);
                        return self.fail_service(service, version, config, failed).await;
                    }
                    Finding::Ready(message) => self.note_answer(service, true, &message).await?,
                    Finding::Silent(message) => self.note_answer(service, false, &message).await?,
                },
            }
        }
    }

    /// Writes down that a service answers, or does not any more.
    async fn note_answer(&self, service: &Service, is_ready: bool, message: &str) -> Result<()> {
        let now = self.core.clock.now();
        self.change_service(service.id(), |found| {
            if found.hosted.starts != service.hosted.starts {
                return None;
            }
            let before = found.state;
            let command = if is_ready { ServiceCommand::Answer } else { ServiceCommand::FallSilent };
            found.apply(command, now).ok()?;
            if found.state == before {
                return None;
            }
            found.readiness = Some(Readiness { is_ready, message: message.to_owned(), since: now });
            let (kind, level) = match is_ready {
                true => ("service_ready", Level::Info),
                false => ("service_unhealthy", Level::Warn),
            };
            let line = Line::lifecycle(&found.hosted, kind, message);
            Some(vec![Line { source: Source::Readiness, level, ..line }])
        })
        .await?;
        Ok(())
    }

    /// The process of a service has ended, and nobody had asked for it.
    async fn end_service(
        &self,
        service: &Service,
        version: &Version,
        config: &ProgramConfig,
        ended: Ended,
    ) -> Result<()> {
        let failed = Failed::new(Phase::Runtime, format!("the process {}", described(ended)));
        self.fail_service(service, version, config, failed).await
    }

    async fn fail_service(
        &self,
        service: &Service,
        version: &Version,
        config: &ProgramConfig,
        Failed { phase, reason }: Failed,
    ) -> Result<()> {
        self.halt(&Writer::of_service(service), version).await?;
        let now = self.core.clock.now();
        self.change_service(service.id(), |found| {
            if found.hosted.starts != service.hosted.starts {
                return None;
            }
            let kind = match found.state {
                ServiceState::Starting => "service_start_failed",
                _ => "service_failed",
            };
            found.apply(ServiceCommand::Fail(reason.clone()), now).ok()?;
            if config.retain_on_failure() {
                found.hosted.keep(now, config.retention());
            }
            Some(vec![Line::failure(&found.hosted, kind, phase, &reason)])
        })
        .await?;
        Ok(())
    }

    async fn stop_service(&self, service: &Service, version: &Version, config: &ProgramConfig) -> Result<()> {
        self.halt(&Writer::of_service(service), version).await?;
        let now = self.core.clock.now();
        self.change_service(service.id(), |found| {
            found.apply(ServiceCommand::Rest, now).ok()?;
            if found.keeps_sandbox {
                found.hosted.keep(now, config.retention());
            }
            Some(vec![Line::lifecycle(&found.hosted, "service_stopped", "the service was stopped")])
        })
        .await?;
        Ok(())
    }

    /// Takes the sandbox of a service away that has ended, when its time has come.
    async fn tidy_service(&self, service: &Service, version: &Version) -> Result<()> {
        let now = self.core.clock.now();
        if !service.hosted.is_to_be_removed(now) {
            return Ok(());
        }
        // Whoever starts it again in the meantime gets another sandbox.
        self.unsettle_service(service).await?;
        self.discard(&service.hosted, version).await?;
        self.change_service(service.id(), |found| {
            found.hosted.stage = Stage::Empty;
            found.hosted.kept_until = None;
            Some(vec![Line::lifecycle(&found.hosted, "sandbox_removed", "the sandbox was removed")])
        })
        .await?;
        // That one is started now.
        self.core.nudges.hosted(service.id().clone());
        Ok(())
    }

    /// Ends and removes a service whose deployment was deleted.
    async fn drop_service(&self, service: &Service, version: &Version) -> Result<()> {
        self.discard(&service.hosted, version).await?;
        self.core.environments.forget(service.id(), u32::MAX);
        let now = self.core.clock.now();
        self.change_service(service.id(), |found| {
            let rests = [ServiceCommand::Stop, ServiceCommand::Rest];
            // One that has ended stays as it is.
            rests.into_iter().for_each(|command| {
                found.apply(command, now).ok();
            });
            found.hosted.stage = Stage::Empty;
            found.hosted.kept_until = None;
            Some(Vec::new())
        })
        .await?;
        self.core.nudges.programs();
        Ok(())
    }
}

/// How long something has lasted; nothing when the clock went back.
pub(super) fn since(then: Option<Timestamp>, now: Timestamp) -> std::time::Duration {
    let then = then.map_or(now.as_millis(), Timestamp::as_millis);
    std::time::Duration::from_millis(now.as_millis().saturating_sub(then).max(0).unsigned_abs())
}
