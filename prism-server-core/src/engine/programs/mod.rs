//! Programs: versions are built, jobs are run, services are kept, machines are made, and what is over is taken away.
//!
//! Each job and each service that has not ended has a worker here. It reads what is wanted, takes the next step towards it,
//! and looks again; it waits for the process, for the time of the next look at the service, or for a nudge. What is known
//! of a process is in its sandbox, under the token of its start, so a worker of the next engine goes on where this one
//! stopped.
//!
//! A sandbox is filled with a copy of the version's files, or of what its build made of them; then the installation runs in
//! it, when there is one and no build, and then the program.

mod build;
mod commands;
mod disk;
mod hosted;
mod job;
mod machine;
mod probe;
mod records;
mod removal;
mod service;

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use futures::FutureExt;
use prism_types::{DeploymentId, InstanceId, RunId, VersionId};
use tokio::sync::{Mutex, Notify, Semaphore};
use tracing::Instrument as _;

use super::{
    SWEEP_PAGE,
    workers::{Round, Workers},
};
use crate::{
    core::Core,
    domain::{
        machine::Machine,
        program::{ProgramDeployment, job::Job, service::Service, version::Version},
    },
    error::Result,
};

/// How long a process may take to end when it is asked to.
const GRACE: Duration = Duration::from_secs(10);
/// Most sandboxes that are filled at the same time: it is work for the disk, and for threads that others need, too.
const FILLING: usize = 8;
/// The time between tries when something of the platform fails, doubled each time up to the second.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));

/// What a worker works on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Task {
    /// The job, the service or the machine of this sandbox.
    Hosted(InstanceId),
    /// The build of this version.
    Build(VersionId),
    /// The removal of this deployment.
    Removal(DeploymentId),
}

/// Does the work of all programs.
pub(super) struct Programs {
    core: Arc<Core>,
    /// Those who mind jobs and services, for as long as these live.
    workers: Workers<Task>,
    /// Those who build and remove, so that these find a place however many live.
    chores: Workers<Task>,
    rounds: Rounds,
    /// Those who fill sandboxes: it is work for the disk.
    filling: Semaphore,
    /// The one who measures what is on the disk.
    measuring: Mutex<()>,
    /// Whether it was told that nothing can be measured.
    is_blind: AtomicBool,
}

/// Through what is to be done.
#[derive(Default)]
struct Rounds {
    services: Round<InstanceId>,
    jobs: Round<RunId>,
    machines: Round<InstanceId>,
    builds: Round<VersionId>,
    removals: Round<DeploymentId>,
}

impl Programs {
    pub(super) fn new(core: Arc<Core>) -> Self {
        let workers = Workers::new(core.settings.concurrent_programs);
        let chores = Workers::new(core.settings.concurrent_provisioning);
        Self {
            core,
            workers,
            chores,
            rounds: Rounds::default(),
            filling: Semaphore::new(FILLING),
            measuring: Mutex::default(),
            is_blind: AtomicBool::default(),
        }
    }

    /// Something of a job, a service or a machine is to be done.
    pub(super) fn nudge(self: &Arc<Self>, instance: InstanceId) {
        self.begin(Task::Hosted(instance));
    }

    fn begin(self: &Arc<Self>, task: Task) {
        if let Some(wake) = self.workers_of(&task).nudge(&task) {
            self.spawn(task, wake);
        }
    }

    fn workers_of(&self, task: &Task) -> &Workers<Task> {
        match task {
            Task::Hosted(_) => &self.workers,
            Task::Build(_) | Task::Removal(_) => &self.chores,
        }
    }

    /// Waits until there is a place again for somebody who found none.
    pub(super) async fn freed(&self) {
        tokio::select! {
            () = self.workers.freed() => {}
            () = self.chores.freed() => {}
        }
    }

    /// Looks for what is to be done.
    pub(super) async fn sweep(self: &Arc<Self>) -> Result<()> {
        let (store, Rounds { services, jobs, machines, builds, removals }) = (&self.core.store, &self.rounds);
        let now = self.core.clock.now();
        let begin = |task, wake| self.spawn(task, wake);
        let page =
            async |after: Option<InstanceId>| store.services_to_mind(now, after.as_ref(), SWEEP_PAGE).await;
        let of = |service: Service| (service.id().clone(), Task::Hosted(service.id().clone()));
        self.workers.go_round(services, page, of, begin).await?;
        let page = async |after: Option<RunId>| store.jobs_to_mind(now, after.as_ref(), SWEEP_PAGE).await;
        let of = |job: Job| (job.id, Task::Hosted(job.hosted.instance_id));
        self.workers.go_round(jobs, page, of, begin).await?;
        let page =
            async |after: Option<InstanceId>| store.machines_to_mind(now, after.as_ref(), SWEEP_PAGE).await;
        let of = |machine: Machine| (machine.id.clone(), Task::Hosted(machine.id));
        self.workers.go_round(machines, page, of, begin).await?;
        let page = async |after: Option<VersionId>| store.building_versions(after.as_ref(), SWEEP_PAGE).await;
        let of = |version: Version| (version.id.clone(), Task::Build(version.id));
        self.chores.go_round(builds, page, of, begin).await?;
        let page =
            async |after: Option<DeploymentId>| store.deleted_programs(after.as_ref(), SWEEP_PAGE).await;
        let of = |deployment: ProgramDeployment| (deployment.id.clone(), Task::Removal(deployment.id));
        self.chores.go_round(removals, page, of, begin).await?;
        Ok(())
    }

    fn spawn(self: &Arc<Self>, task: Task, wake: Arc<Notify>) {
        let this = self.clone();
        self.core.tasks.spawn(async move {
            let shutdown = this.core.shutdown.clone();
            let span = tracing::info_span!("program", task = ?task);
            shutdown.run_until_cancelled(this.work(&task, &wake).instrument(span)).await;
        });
    }

    /// Works on something until there is nothing to do.
    async fn work(self: &Arc<Self>, task: &Task, wake: &Notify) {
        let mut wait = BACK_OFF.0;
        loop {
            match AssertUnwindSafe(self.reconcile(task, wake)).catch_unwind().await {
                Ok(Ok(())) => wait = BACK_OFF.0,
                // What is to be done is still in the store.
                Ok(Err(error)) => {
                    tracing::warn!(%error, "the work on a program was interrupted; it is taken up again");
                    tokio::time::timeout(wait, wake.notified()).await.ok();
                    wait = (wait * 2).min(BACK_OFF.1);
                    continue;
                }
                // It would panic again: the next sweep is early enough.
                Err(_) => tracing::error!("the work on a program panicked"),
            }
            if !self.workers_of(task).finish(task) {
                return;
            }
        }
    }

    async fn reconcile(self: &Arc<Self>, task: &Task, wake: &Notify) -> Result<()> {
        match task {
            Task::Hosted(instance) => {
                if self.core.store.service(instance).await?.is_some() {
                    self.mind_service(instance, wake).await
                } else if let Some(job) = self.core.store.job_in(instance).await? {
                    self.mind_job(&job.id, wake).await
                } else {
                    self.mind_machine(instance).await
                }
            }
            Task::Build(version) => self.build(version, wake).await,
            Task::Removal(deployment) => self.remove(deployment).await,
        }
    }
}
