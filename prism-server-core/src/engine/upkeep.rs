//! Upkeep of agents between runs: threads that they are to forget, memories that are not in step, dreams that are over.
//!
//! What is to be done is in the store. It is done as soon as the agent can be reached, and found again by every sweep
//! until then.

use std::{panic::AssertUnwindSafe, sync::Arc};

use futures::FutureExt;
use prism_types::{DeploymentId, DreamId, ThreadId};

use super::{
    SWEEP_PAGE,
    agents::Agents,
    dreams,
    memories::Memories,
    workers::{Round, Workers},
};
use crate::{
    core::Core,
    domain::{
        deployment::{Deployment, DeploymentState},
        dream::Dream,
        memory::MemorySet,
        thread::ForgottenThread,
    },
    error::{Error, Result},
    ports::{Commit, Write},
};

/// Most threads that an agent is told to forget at once.
const THREADS: u32 = 50;

/// Does the upkeep of all agents.
pub(super) struct Upkeep {
    core: Arc<Core>,
    agents: Arc<Agents>,
    memories: Arc<Memories>,
    workers: Workers<DeploymentId>,
    rounds: Rounds,
}

/// Through what is to be done.
#[derive(Default)]
struct Rounds {
    memories: Round<DeploymentId>,
    threads: Round<ThreadId>,
    dreams: Round<DreamId>,
}

impl Upkeep {
    pub(super) fn new(core: Arc<Core>, agents: Arc<Agents>, memories: Arc<Memories>) -> Self {
        let workers = Workers::new(core.settings.concurrent_provisioning);
        Self { core, agents, memories, workers, rounds: Rounds::default() }
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

    /// Looks for deployments with something to do.
    pub(super) async fn sweep(self: &Arc<Self>) -> Result<()> {
        self.go_on().await?;
        dreams::begin(&self.core).await
    }

    /// Goes on with what a sweep found no place for.
    pub(super) async fn go_on(self: &Arc<Self>) -> Result<()> {
        let (store, Rounds { memories, threads, dreams }) = (&self.core.store, &self.rounds);
        let begin = |id, _| self.spawn(id);
        let page = async |after: Option<DeploymentId>| {
            store.memory_sets_out_of_step(after.as_ref(), SWEEP_PAGE).await
        };
        let of = |set: MemorySet| (set.deployment_id.clone(), set.deployment_id);
        self.workers.go_round(memories, page, of, begin).await?;
        let page = async |after: Option<ThreadId>| store.forgotten_threads(after.as_ref(), SWEEP_PAGE).await;
        let of = |thread: ForgottenThread| (thread.thread_id, thread.deployment_id);
        self.workers.go_round(threads, page, of, begin).await?;
        let page = async |after: Option<DreamId>| store.running_dreams(after.as_ref(), SWEEP_PAGE).await;
        let of = |dream: Dream| (dream.id, dream.deployment_id);
        self.workers.go_round(dreams, page, of, begin).await?;
        Ok(())
    }

    fn spawn(self: &Arc<Self>, id: DeploymentId) {
        let this = self.clone();
        self.core.tasks.spawn(async move {
            loop {
                let work = AssertUnwindSafe(this.reconcile(&id)).catch_unwind();
                match this.core.shutdown.run_until_cancelled(work).await {
                    None => return,
                    Some(Ok(Ok(()))) => {}
                    // What is to be done is still in the store, and the next sweep finds it.
                    Some(Ok(Err(error))) => {
                        tracing::warn!(deployment = %id, %error, cause = error.cause(), "upkeep was not done");
                    }
                    Some(Err(_)) => tracing::error!(deployment = %id, "upkeep panicked"),
                }
                if !this.workers.finish(&id) {
                    return;
                }
            }
        });
    }

    async fn reconcile(&self, id: &DeploymentId) -> Result<()> {
        let Some(deployment) = self.core.store.deployment(id).await? else {
            self.memories.forget(id);
            return Ok(());
        };
        dreams::end(&self.core, id).await?;
        if deployment.state == DeploymentState::Ready { self.reach(&deployment).await } else { Ok(()) }
    }

    /// Does what the agent has a part in, if it is alive.
    async fn reach(&self, deployment: &Deployment) -> Result<()> {
        let (core, id) = (self.core.as_ref(), &deployment.id);
        let is_in_step = core.store.memory_set(id).await?.is_none_or(|set| set.in_step);
        let mut threads = core.store.forgotten_threads_of(id, THREADS).await?;
        if is_in_step && threads.is_empty() {
            return Ok(());
        }
        let Some(spec) = core.store.spec(id, deployment.spec_version).await?.map(Arc::new) else {
            return Ok(());
        };
        let agent = self.agents.living(core, deployment, &spec).await;
        let Some(agent) = agent.map_err(|failure| Error::internal(failure.message))? else { return Ok(()) };
        while !threads.is_empty() {
            let ids: Vec<_> = threads.into_iter().map(|thread| thread.thread_id).collect();
            let forgotten = agent.harness.forget(agent.preparation.clone(), ids.clone()).await;
            forgotten.map_err(|error| Error::internal(error.message))?;
            let done = ids.into_iter().map(Write::DeleteForgottenThread);
            core.store.commit(Commit::new().with_all(done)).await?;
            threads = core.store.forgotten_threads_of(id, THREADS).await?;
        }
        if !is_in_step {
            self.memories.sync(core, id, &agent).await.map_err(Error::internal)?;
        }
        Ok(())
    }
}
