//! The engine: reconcilers that make what is wanted so.
//!
//! Each looks at the store for what is to be done, does it, and writes what came of it in one commit. They
//! take no input: a nudge only says where to look first, a lost nudge costs at most one sweep interval, and
//! the first try, the retry and the recovery after a crash are the same code.
//!
//! One engine works on a store. Several engines on one store would need leases, which come with the store
//! that several nodes can share.

mod agents;
mod approvals;
mod automations;
mod cancellations;
pub(crate) mod dreams;
#[cfg(test)]
mod histories;
mod memories;
mod nudges;
mod programs;
mod provisioning;
mod retention;
pub(crate) mod run_log;
mod runs;
mod scrubbing;
mod snapshots;
#[cfg(test)]
mod tests;
mod upkeep;
mod uploads;
mod webhooks;
mod workers;

use std::{collections::HashSet, sync::Arc};

use prism_types::RunId;
use tokio::time::{MissedTickBehavior, interval};

use crate::{core::Core, error::Result};

use agents::Agents;
use automations::Automations;
pub(crate) use cancellations::Cancellations;
use memories::Memories;
pub(crate) use nudges::Nudges;
use nudges::Receivers;
use programs::Programs;
use provisioning::Provisioner;
use runs::Drivers;
use snapshots::Remover;
use upkeep::Upkeep;
use webhooks::Dispatcher;

/// Most records that a sweep reads at once.
const SWEEP_PAGE: u32 = 200;

/// The reconcilers of one control plane.
pub(crate) struct Engine {
    core: Arc<Core>,
    receivers: Receivers,
    provisioner: Arc<Provisioner>,
    drivers: Arc<Drivers>,
    upkeep: Arc<Upkeep>,
    remover: Arc<Remover>,
    dispatcher: Arc<Dispatcher>,
    programs: Arc<Programs>,
}

impl Engine {
    /// An engine that has read which runs were in flight when the last one stopped.
    ///
    /// Called before the first request is served, so that a run that starts now is not taken for one of them.
    pub(crate) async fn new(core: Arc<Core>, receivers: Receivers) -> Result<Self> {
        let interrupted = interrupted_runs(&core).await?;
        let (agents, memories) = (Arc::new(Agents::default()), Arc::new(Memories::default()));
        let provisioner = Arc::new(Provisioner::new(core.clone(), agents.clone()));
        let upkeep = Upkeep::new(core.clone(), agents.clone(), memories.clone());
        let drivers = Drivers::new(core.clone(), agents, memories, interrupted);
        let (upkeep, drivers) = (Arc::new(upkeep), Arc::new(drivers));
        let dispatcher = Arc::new(Dispatcher::new(core.clone()));
        let remover = Arc::new(Remover::new(core.clone()));
        let programs = Arc::new(Programs::new(core.clone()));
        Ok(Self { core, receivers, provisioner, drivers, upkeep, remover, dispatcher, programs })
    }

    /// Reconciles until the shutdown, then waits for what is under way.
    pub(crate) async fn run(mut self) {
        self.provisioner.recover().await;
        let core = self.core.clone();
        self.core.tasks.spawn(async move { uploads::recover(&core).await });
        let (programs, shutdown) = (self.programs.clone(), self.core.shutdown.clone());
        self.core.tasks.spawn(async move { shutdown.run_until_cancelled(programs.recover()).await });
        let (programs, shutdown) = (self.programs.clone(), self.core.shutdown.clone());
        self.core.tasks.spawn(async move { shutdown.run_until_cancelled(programs.measure_machines()).await });
        let automations = Automations::new(self.core.clone(), self.receivers.automations.clone());
        self.core.tasks.spawn(automations.run());
        let mut sweeps = interval(self.core.settings.sweep);
        sweeps.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.core.pulse.beat();
            tokio::select! {
                () = self.core.shutdown.cancelled() => break,
                Some(deployment) = self.receivers.deployments.recv() => self.provisioner.nudge(deployment),
                Some(instance) = self.receivers.instances.recv() => {
                    self.provisioner.died(instance.clone()).await;
                    self.programs.died(instance).await;
                }
                Some(run) = self.receivers.runs.recv() => self.drivers.nudge(run),
                Some(deployment) = self.receivers.upkeep.recv() => self.upkeep.nudge(deployment),
                Some(webhook) = self.receivers.webhooks.recv() => self.dispatcher.nudge(webhook),
                Some(instance) = self.receivers.hosted.recv() => self.programs.nudge(instance),
                () = self.dispatcher.due() => self.dispatcher.look().await,
                // Under load there is one of these after the other, so each looks for its own work alone.
                () = self.provisioner.freed() => tell(self.provisioner.sweep().await, "provisioning"),
                () = self.drivers.freed() => tell(self.drivers.sweep().await, "runs"),
                () = self.upkeep.freed() => tell(self.upkeep.go_on().await, "upkeep"),
                () = self.dispatcher.freed() => self.dispatcher.sweep().await,
                () = self.programs.freed() => tell(self.programs.sweep().await, "programs"),
                () = self.receivers.programs.notified() => tell(self.programs.sweep().await, "programs"),
                () = self.receivers.overflow.notified() => self.sweep().await,
                _ = sweeps.tick() => self.sweep().await,
            }
        }
        self.core.tasks.close();
        self.core.tasks.wait().await;
    }

    async fn sweep(&self) {
        tell(self.provisioner.sweep().await, "provisioning");
        tell(self.drivers.sweep().await, "runs");
        tell(self.upkeep.sweep().await, "upkeep");
        tell(self.remover.sweep().await, "expired snapshots");
        tell(self.programs.sweep().await, "programs");
        tell(uploads::expire(&self.core).await, "uploads");
        tell(retention::expire(&self.core).await, "outdated records");
        tell(approvals::expire(&self.core).await, "unanswered questions");
        self.dispatcher.sweep().await;
    }
}

/// Says that a sweep failed. The next one does its work.
fn tell(swept: Result<()>, what: &str) {
    if let Err(error) = swept {
        tracing::warn!(%error, what, "a sweep failed; it is repeated");
    }
}

async fn interrupted_runs(core: &Core) -> Result<HashSet<RunId>> {
    let mut interrupted = HashSet::new();
    let mut last = None;
    loop {
        let page = core.store.running_runs(last.as_ref(), SWEEP_PAGE).await?;
        let Some(run) = page.last() else { return Ok(interrupted) };
        last = Some(run.id.clone());
        interrupted.extend(page.into_iter().map(|run| run.id));
    }
}
