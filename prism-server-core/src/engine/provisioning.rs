//! Provisioning and removal: a deployment's agent is made ready, kept alive, or taken away with all that it
//! had.
//!
//! An agent that runs between runs is *ailing* when nobody has seen it alive since it died or the engine
//! started. The sweeps take ailing agents up again until they are well. A deployment whose agent cannot be
//! started several times in a row goes to `error` with the reason.

use std::{
    collections::BTreeMap,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use futures::FutureExt;
use prism_types::{DeploymentId, InstanceId};
use tracing::Instrument as _;

use super::{
    SWEEP_PAGE,
    agents::{self, Agents},
    snapshots,
    workers::{Round, Workers},
};
use crate::{
    core::Core,
    domain::{
        deployment::{AgentSpec, Deployment, DeploymentCommand, DeploymentState},
        instance::InstanceCommand,
    },
    error::{Error, Result},
    ports::{Commit, StoreError, Write},
    telemetry,
};

/// Events removed in one commit, so that other writers need not wait long.
const TRIM: u32 = 2000;
/// How often in a row an agent that was ready may fail to start before its deployment goes to `error`.
const FAILED_STARTS: u32 = 5;

/// Makes deployments ready and removes deleted ones.
pub(super) struct Provisioner {
    core: Arc<Core>,
    agents: Arc<Agents>,
    workers: Workers<DeploymentId>,
    /// Through the deployments that are to be made ready, and those that are to be removed.
    rounds: [Round<DeploymentId>; 2],
    /// Agents that are to be taken up again, with how often that failed.
    ailing: Mutex<BTreeMap<DeploymentId, u32>>,
}

impl Provisioner {
    pub(super) fn new(core: Arc<Core>, agents: Arc<Agents>) -> Self {
        let workers = Workers::new(core.settings.concurrent_provisioning);
        Self { core, agents, workers, rounds: Default::default(), ailing: Mutex::default() }
    }

    /// Finds out what an earlier engine left: agents to take up again, and sandboxes that nobody knows.
    pub(super) async fn recover(&self) {
        if let Err(error) = self.find_residents().await {
            tracing::warn!(%error, "the agents of ready deployments were not taken up; their next runs do it");
        }
        for (kind, sandboxes) in &self.core.sandboxes {
            let removed: Result<()> = async {
                for id in sandboxes.list().await.map_err(Error::internal)? {
                    if !self.is_known(&id).await? {
                        sandboxes.remove(&id).await.map_err(Error::internal)?;
                        tracing::info!(instance = %id, kind, "a sandbox that nobody knows was removed");
                    }
                }
                Ok(())
            }
            .await;
            if let Err(error) = removed {
                tracing::warn!(%error, kind, "looking for sandboxes that nobody knows failed");
            }
        }
    }

    /// Whether anybody has a sandbox.
    async fn is_known(&self, id: &InstanceId) -> Result<bool> {
        let store = &self.core.store;
        Ok(store.instance(id).await?.is_some()
            || store.snapshot_in(id).await?.is_some()
            // Before it is asked for, since it is recorded in between.
            || self.core.machines.is_unborn(id)
            || store.machine(id).await?.is_some()
            || store.machine_snapshot_in(id).await?.is_some())
    }

    async fn find_residents(&self) -> Result<()> {
        let resident = |deployment: &Deployment| {
            self.core.harness(&deployment.runtime).is_some_and(|harness| harness.is_resident())
        };
        if !self.core.harnesses.values().any(|harness| harness.is_resident()) {
            return Ok(());
        }
        let mut last: Option<DeploymentId> = None;
        loop {
            let state = DeploymentState::Ready;
            let page = self.core.store.deployments_in_state(state, last.as_ref(), SWEEP_PAGE).await?;
            let Some(deployment) = page.last() else { return Ok(()) };
            last = Some(deployment.id.clone());
            let found = page.iter().filter(|deployment| resident(deployment));
            self.ailing().extend(found.map(|deployment| (deployment.id.clone(), 0)));
        }
    }

    /// A sandbox died.
    pub(super) async fn died(self: &Arc<Self>, instance: InstanceId) {
        match self.core.store.instance(&instance).await {
            Ok(Some(instance)) => {
                self.ailing().entry(instance.deployment_id.clone()).or_default();
                self.nudge(instance.deployment_id);
            }
            Ok(None) => {}
            Err(error) => tracing::warn!(%instance, %error, "the deployment of a dead sandbox was not found"),
        }
    }

    /// Something of a deployment is to be done.
    pub(super) fn nudge(self: &Arc<Self>, id: DeploymentId) {
        if self.workers.nudge(&id).is_some() {
            self.spawn(id);
        }
    }

    /// Waits until there is a place again for somebody who found none.
    pub(super) async fn freed(&self) {
        self.workers.freed().await;
    }

    /// Looks for deployments that are to be made ready or removed.
    pub(super) async fn sweep(self: &Arc<Self>) -> Result<()> {
        let store = &self.core.store;
        for (state, round) in
            [DeploymentState::Provisioning, DeploymentState::Deleted].into_iter().zip(&self.rounds)
        {
            let page = async |after: Option<DeploymentId>| {
                store.deployments_in_state(state, after.as_ref(), SWEEP_PAGE).await
            };
            let of = |deployment: Deployment| (deployment.id.clone(), deployment.id);
            self.workers.go_round(round, page, of, |id, _| self.spawn(id)).await?;
        }
        let ailing: Vec<_> = self.ailing().keys().cloned().collect();
        for id in ailing {
            if self.workers.start(&id).is_some() {
                self.spawn(id);
            }
        }
        Ok(())
    }

    fn ailing(&self) -> MutexGuard<'_, BTreeMap<DeploymentId, u32>> {
        self.ailing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn spawn(self: &Arc<Self>, id: DeploymentId) {
        let this = self.clone();
        self.core.tasks.spawn(async move {
            loop {
                let span = tracing::info_span!("deployment", id = %id);
                let work = AssertUnwindSafe(this.reconcile(&id).instrument(span)).catch_unwind();
                let outcome = this.core.shutdown.run_until_cancelled(work).await;
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

    async fn reconcile(&self, id: &DeploymentId) -> Result<()> {
        let Some(deployment) = self.core.store.deployment(id).await? else {
            self.ailing().remove(id);
            return Ok(());
        };
        match deployment.state {
            DeploymentState::Provisioning => self.provision(deployment).await,
            DeploymentState::Ready => self.keep_alive(deployment).await,
            DeploymentState::Deleted => self.remove(&deployment).await,
            DeploymentState::Error => {
                self.ailing().remove(id);
                Ok(())
            }
        }
    }

    async fn provision(&self, deployment: Deployment) -> Result<()> {
        let core = self.core.as_ref();
        let spec = spec(core, &deployment).await?;
        let begun = Instant::now();
        let started = self.agents.start(core, &deployment, &spec).await;
        telemetry::provisioned(started.is_ok(), begun.elapsed());
        let (command, happened) = match started {
            Ok(_) => (DeploymentCommand::BecomeReady, InstanceCommand::Started),
            Err(failure) => (DeploymentCommand::Fail(failure), InstanceCommand::Failed),
        };
        finish(core, deployment, command, happened).await
    }

    async fn keep_alive(&self, deployment: Deployment) -> Result<()> {
        let core = self.core.as_ref();
        let spec = spec(core, &deployment).await?;
        let Err(failure) = self.agents.keep_alive(core, &deployment, &spec).await else {
            self.ailing().remove(&deployment.id);
            return Ok(());
        };
        tracing::warn!(deployment = %deployment.id, reason = failure.message, "an agent did not start");
        let failed = {
            let mut ailing = self.ailing();
            let failed = ailing.entry(deployment.id.clone()).or_default();
            *failed += 1;
            *failed
        };
        if failed < FAILED_STARTS {
            return Ok(());
        }
        self.ailing().remove(&deployment.id);
        finish(core, deployment, DeploymentCommand::Fail(failure), InstanceCommand::Failed).await
    }

    async fn remove(&self, deployment: &Deployment) -> Result<()> {
        let core = self.core.as_ref();
        self.ailing().remove(&deployment.id);
        core.event_log.close(&deployment.id);
        core.cancellations.cancel(&deployment.id);
        snapshots::keep(core, deployment).await?;
        let removed = self.agents.remove(core, deployment).await;
        removed.map_err(|failure| Error::internal(failure.message))?;
        while !core.store.events(&deployment.id, 0, 1).await?.is_empty() {
            core.store.commit(Commit::new().with(Write::TrimEvents(deployment.id.clone(), TRIM))).await?;
        }
        core.store.commit(Commit::new().with(Write::PurgeDeployment(deployment.id.clone()))).await?;
        core.nudges.upkeep(deployment.id.clone());
        Ok(())
    }
}

async fn spec(core: &Core, deployment: &Deployment) -> Result<Arc<AgentSpec>> {
    let spec = core.store.spec(&deployment.id, deployment.spec_version).await?;
    spec.map(Arc::new).ok_or_else(|| Error::internal("a deployment has no specification"))
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
