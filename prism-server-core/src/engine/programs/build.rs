//! Builds: the installation of a version, made once for all who run it.

use prism_types::VersionId;
use tokio::{sync::Notify, time::timeout};

use super::{
    Programs,
    commands::Writer,
    hosted::{Step, Wanted},
};
use crate::{
    domain::program::{
        hosted::{Hosted, Stage},
        version::{Build, BuildState, Version},
    },
    error::Result,
    ports::{Commit, StoreError, Write},
    service::programs::{environments::Environment, services::config},
};

impl Programs {
    /// Makes the build of a version.
    pub(super) async fn build(&self, id: &VersionId, wake: &Notify) -> Result<()> {
        let Some(version) = self.core.store.version(id).await? else { return Ok(()) };
        let Some(build) = version.build.clone().filter(|build| !build.state.is_terminal()) else {
            return Ok(());
        };
        let config = config(&version)?;
        let hosted = Hosted::new(build.instance_id.clone(), version.deployment_id.clone(), id.clone());
        if self.is_deleted(&hosted).await? {
            return self.drop_build(id, &hosted, &version).await;
        }
        if build.state == BuildState::Building {
            // It was cut off, and what is half installed is no build.
            self.discard(&hosted, &version).await?;
        }
        let now = self.core.clock.now();
        self.change_build(id, |build| {
            build.state = BuildState::Building;
            build.started_at = build.started_at.or(Some(now));
        })
        .await?;
        let unbuilt = Version { build: None, ..version.clone() };
        let step = match (self.fill(&hosted, &unbuilt).await?, &config.install) {
            (Step::Done(Stage::Filled), Some(line)) => {
                let writer = Writer { hosted: hosted.clone(), run: None };
                let environment = Environment::default();
                let what = (&version, &config, line.as_str());
                let installed = self.install(&writer, what, &environment, wake, Wanted::Build(&hosted));
                match timeout(self.time_of(&config), installed).await {
                    Ok(step) => step?,
                    Err(_) => Step::Failed(self.late_installation(&config)),
                }
            }
            (Step::Failed(failed), _) => Step::Failed(failed),
            _ => Step::Done(()),
        };
        if self.is_deleted(&hosted).await? {
            return self.drop_build(id, &hosted, &version).await;
        }
        let failure = match step {
            Step::Failed(failed) => Some(failed.reason),
            _ => None,
        };
        if failure.is_some() {
            self.discard(&hosted, &version).await?;
        }
        let now = self.core.clock.now();
        self.change_build(id, |build| {
            build.state = if failure.is_some() { BuildState::Failed } else { BuildState::Ready };
            build.failure.clone_from(&failure);
            build.ended_at = Some(now);
        })
        .await
    }

    /// Ends and removes a build whose deployment was deleted.
    async fn drop_build(&self, id: &VersionId, hosted: &Hosted, version: &Version) -> Result<()> {
        self.discard(hosted, version).await?;
        self.change_build(id, |build| build.state = BuildState::Failed).await?;
        self.core.nudges.programs();
        Ok(())
    }

    async fn change_build(&self, id: &VersionId, change: impl Fn(&mut Build)) -> Result<()> {
        loop {
            let Some(mut version) = self.core.store.version(id).await? else { return Ok(()) };
            let Some(build) = version.build.as_mut() else { return Ok(()) };
            change(build);
            match self.core.store.commit(Commit::new().with(Write::UpdateVersion(version))).await {
                Ok(()) | Err(StoreError::Missing(_)) => return Ok(()),
                Err(StoreError::Conflict(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}
