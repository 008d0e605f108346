//! Provisioning and removal: a deployment's agent is made ready, or taken away with all that it had.

use std::{panic::AssertUnwindSafe, sync::Arc};

use futures::FutureExt;
use prism_types::DeploymentId;
use tokio::sync::Notify;

use super::{SWEEP_PAGE, agents, workers::Workers};
use crate::{
    core::Core,
    domain::{
        deployment::{Deployment, DeploymentCommand, DeploymentState},
        instance::InstanceCommand,
    },
    error::{Error, Result},
    ports::{Commit, StoreError, Write},
};

/// Events removed in one commit, so that other writers need not wait long.
const TRIM: u32 = 2000;

/// Makes deployments ready and removes deleted ones.
pub(super) struct Provisioner {
    core: Arc<Core>,
    workers: Workers<DeploymentId>,
}

impl Provisioner {
    pub(super) fn new(core: Arc<Core>, overflow: Arc<Notify>) -> Self {
        let workers = Workers::new(core.settings.concurrent_provisioning, overflow);
        Self { core, workers }
    }

    /// Something of a deployment is to be done.
    pub(super) fn nudge(self: &Arc<Self>, id: DeploymentId) {
        if self.workers.nudge(&id).is_some() {
            self.spawn(id);
        }
    }

    /// Looks for deployments that are to be made ready or removed.
    pub(super) async fn sweep(self: &Arc<Self>) -> Result<()> {
        for state in [DeploymentState::Provisioning, DeploymentState::Deleted] {
            let mut last: Option<DeploymentId> = None;
            while self.workers.has_place() {
                let page = self.core.store.deployments_in_state(state, last.as_ref(), SWEEP_PAGE).await?;
                let Some(deployment) = page.last() else { break };
                last = Some(deployment.id.clone());
                for deployment in page {
                    if self.workers.start(&deployment.id).is_some() {
                        self.spawn(deployment.id);
                    }
                }
            }
        }
        Ok(())
    }

    fn spawn(self: &Arc<Self>, id: DeploymentId) {
        let this = self.clone();
        self.core.tasks.spawn(async move {
            let core = this.core.clone();
            loop {
                let work = AssertUnwindSafe(reconcile(&core, &id)).catch_unwind();
                let outcome = core.shutdown.run_until_cancelled(work).await;
                match outcome {
                    None => return,
                    Some(Ok(Ok(()))) => {}
                    // The state is unchanged, so that the next sweep tries again.
                    Some(Ok(Err(error))) => {
                        tracing::warn!(deployment = %id, %error, "a deployment was not reconciled");
                    }
                    Some(Err(_)) => tracing::error!(deployment = %id, "reconciling a deployment panicked"),
                }
                if !this.workers.finish(&id) {
                    return;
                }
            }
        });
    }
}

async fn reconcile(core: &Core, id: &DeploymentId) -> Result<()> {
    let Some(deployment) = core.store.deployment(id).await? else { return Ok(()) };
    match deployment.state {
        DeploymentState::Provisioning => provision(core, deployment).await,
        DeploymentState::Deleted => remove(core, &deployment).await,
        DeploymentState::Ready | DeploymentState::Error => Ok(()),
    }
}

async fn provision(core: &Core, deployment: Deployment) -> Result<()> {
    let spec = core.store.spec(&deployment.id, deployment.spec_version).await?;
    let spec = Arc::new(spec.ok_or_else(|| Error::internal("a deployment has no specification"))?);
    let (command, happened) = match agents::start(core, &deployment, &spec).await {
        Ok(_) => (DeploymentCommand::BecomeReady, InstanceCommand::Started),
        Err(failure) => (DeploymentCommand::Fail(failure), InstanceCommand::Failed),
    };
    finish(core, deployment, command, happened).await
}

/// Writes how the provisioning ended, unless the deployment was changed in the meantime: then it was nudged,
/// and is reconciled again.
async fn finish(
    core: &Core,
    mut deployment: Deployment,
    command: DeploymentCommand,
    happened: InstanceCommand,
) -> Result<()> {
    let mut commit = Commit::new();
    if let Some(instance) = core.store.instance(&deployment.instance_id).await? {
        let instance = agents::after(instance, &[happened]);
        commit = commit.with_all(instance.map(Write::UpdateInstance));
    }
    deployment.apply(command)?;
    match core.store.commit(commit.with(Write::UpdateDeployment(deployment))).await {
        Ok(()) | Err(StoreError::Conflict(_) | StoreError::Missing(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

async fn remove(core: &Core, deployment: &Deployment) -> Result<()> {
    core.event_log.close(&deployment.id);
    core.cancellations.cancel(&deployment.id);
    let removed = agents::remove(core, deployment).await;
    removed.map_err(|failure| Error::internal(failure.message))?;
    while !core.store.events(&deployment.id, 0, 1).await?.is_empty() {
        core.store.commit(Commit::new().with(Write::TrimEvents(deployment.id.clone(), TRIM))).await?;
    }
    Ok(core.store.commit(Commit::new().with(Write::PurgeDeployment(deployment.id.clone()))).await?)
}
