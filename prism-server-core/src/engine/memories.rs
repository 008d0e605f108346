//! Memories: what users see and what agents remember, kept in step.
//!
//! Before a run the agent gets what the store has; before the end of a run is told, what the agent learned in it is in
//! the store; and after a change over the API the agent gets it as soon as it can be reached, see [`super::upkeep`].
//! All three are [`Memories::sync`]: read both, merge, store what may be in the agent's files from now on, write
//! them, store that it was done. It can be cut off anywhere and begun again: [`crate::domain::memory`] tells why.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use prism_types::{DeploymentId, Failure, MemoryId, MemorySource};
use tokio::time::timeout;

use super::agents::Agent;
use crate::{
    core::Core,
    domain::{
        limits,
        memory::{Changes, Memory, MemorySet, is_in_step, learned, merge},
    },
    error::failure,
    ids::NewId,
    ports::{AgentMemories, Commit, HarnessError, Preparation, Remembered, StoreError, Write},
};

/// How often both are merged when one of them changes at the same time.
const TRIES: usize = 8;
/// How long the agent may take for its part. A run does not wait longer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Keeps memories in step, one agent at a time each.
#[derive(Default)]
pub(super) struct Memories {
    known: Mutex<HashMap<DeploymentId, Arc<tokio::sync::Mutex<Option<Seen>>>>>,
}

/// Both as they were when they were in step: while neither has changed, there is nothing to do.
#[derive(PartialEq, Eq)]
struct Seen {
    home: Option<String>,
    version: String,
    revision: u64,
}

/// Why memories are not in step. What was decided is kept, and it is tried again.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotInStep {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The agent failed, or did not answer.
    #[error("{}", .0.message)]
    Agent(Failure),
    /// One of them changed again and again.
    #[error("they changed all the time")]
    Restless,
}

impl Memories {
    /// Brings the memories of a deployment in step with those of its agent.
    ///
    /// # Errors
    /// When they may be out of step.
    pub(super) async fn sync(
        &self,
        core: &Core,
        deployment: &DeploymentId,
        agent: &Agent,
    ) -> Result<(), NotInStep> {
        let known = self.known().entry(deployment.clone()).or_default().clone();
        let mut seen = known.lock().await;
        for _ in 0..TRIES {
            match attempt(core, deployment, agent, &mut seen).await {
                Ok(true) => return Ok(()),
                Ok(false) | Err(NotInStep::Store(StoreError::Conflict(_))) => {}
                // It was deleted.
                Err(NotInStep::Store(StoreError::Missing(_))) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Err(NotInStep::Restless)
    }

    /// A deployment is gone.
    pub(super) fn forget(&self, deployment: &DeploymentId) {
        self.known().remove(deployment);
    }

    fn known(&self) -> MutexGuard<'_, HashMap<DeploymentId, Arc<tokio::sync::Mutex<Option<Seen>>>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether both are in step now; `false`: the agent's memories changed meanwhile.
async fn attempt(
    core: &Core,
    deployment: &DeploymentId,
    agent: &Agent,
    seen: &mut Option<Seen>,
) -> Result<bool, NotInStep> {
    let preparation = || agent.preparation.clone();
    let found = answer(agent.harness.memories(preparation())).await?;
    let set = core.store.memory_set(deployment).await?;
    let set = set.unwrap_or_else(|| MemorySet::new(deployment.clone()));
    let Some(AgentMemories { home, version, entries: found }) = found else {
        return nothing_is_remembered(core, set).await.map(|()| true);
    };
    let now = |set: &MemorySet, home: &Option<String>, version: &String| {
        Some(Seen { home: home.clone(), version: version.clone(), revision: set.revision })
    };
    if set.in_step && *seen == now(&set, &home, &version) {
        return Ok(true);
    }
    let memories = core.store.memories(deployment).await?;
    let entries = entries(&found, &agent.preparation);
    let is_known = home.is_some() && home == set.home;
    let merge = merge(&memories, &entries, is_known, |content| {
        let id = MemoryId::generate();
        let now = core.clock.now();
        Memory::new(id, deployment.clone(), content.to_owned(), MemorySource::Agent, now)
    });
    let writes = merge.entries != found || (!is_known && !merge.entries.is_empty());
    let before = MemorySet { in_step: !writes, ..set.clone() };
    let set = if merge.before.is_empty() && before == set {
        set
    } else {
        commit(core, before, merge.before.clone()).await?
    };
    if !writes {
        *seen = now(&set, &home, &version);
        return Ok(true);
    }
    let written = agent.harness.remember(preparation(), merge.entries.clone(), version);
    let Remembered::Kept { home, version } = answer(written).await? else { return Ok(false) };
    // What was changed over the API meanwhile comes with the next turn of the loop, or of the sweep.
    for _ in 0..TRIES {
        // The set first: whatever changes the memories after that changes the set, and the commit fails.
        let Some(set) = core.store.memory_set(deployment).await? else { return Ok(true) };
        let memories = core.store.memories(deployment).await?;
        let after = merge.after(&memories);
        let in_step = is_in_step(&applied(memories, &after));
        let next = MemorySet { home: Some(home.clone()), in_step, ..set };
        match commit(core, next, after).await {
            Ok(set) => {
                *seen = now(&set, &Some(home), &version);
                return Ok(in_step);
            }
            Err(StoreError::Conflict(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(NotInStep::Restless)
}

/// The agent remembers nothing: what was deleted is gone, and what is there waits for one that does.
async fn nothing_is_remembered(core: &Core, set: MemorySet) -> Result<(), NotInStep> {
    if set.in_step {
        return Ok(());
    }
    let memories = core.store.memories(&set.deployment_id).await?;
    let forgotten = memories.into_iter().filter(|memory| memory.forgotten).map(|memory| memory.id);
    let changes = Changes { put: Vec::new(), remove: forgotten.collect() };
    commit(core, MemorySet { in_step: true, home: None, ..set }, changes).await?;
    Ok(())
}

/// Writes changes of memories, guarded by the set as it was read; returns the set as it is now.
async fn commit(core: &Core, set: MemorySet, changes: Changes) -> Result<MemorySet, StoreError> {
    let deployment = set.deployment_id.clone();
    let commit = Commit::new()
        .with(Write::PutMemorySet(set.clone()))
        .with_all(changes.put.into_iter().map(Write::PutMemory))
        .with_all(changes.remove.into_iter().map(|id| Write::DeleteMemory(deployment.clone(), id)));
    core.store.commit(commit).await?;
    Ok(MemorySet { revision: set.revision + 1, ..set })
}

fn applied(mut memories: Vec<Memory>, changes: &Changes) -> Vec<Memory> {
    memories.retain(|memory| !changes.remove.contains(&memory.id));
    for put in &changes.put {
        if let Some(memory) = memories.iter_mut().find(|memory| memory.id == put.id) {
            *memory = put.clone();
        }
    }
    memories
}

/// What the agent has, as contents: bounded, without secrets, without doubles.
fn entries(found: &[String], agent: &Preparation) -> Vec<String> {
    let scrubber = agent.setup.outbound.scrubber();
    let mut seen = HashSet::new();
    let bounded = found.iter().take(2 * limits::MEMORIES);
    let contents = bounded.filter_map(|entry| learned(&scrubber.text(entry)));
    contents.filter(|content| seen.insert(content.clone())).collect()
}

async fn answer<T>(asked: impl Future<Output = Result<T, HarnessError>>) -> Result<T, NotInStep> {
    let failed = |error: HarnessError| NotInStep::Agent(failure(&error.code, error.message));
    match timeout(PATIENCE, asked).await {
        Ok(answer) => answer.map_err(failed),
        Err(_) => Err(NotInStep::Agent(failure("agent_failed", "the agent does not tell what it remembers"))),
    }
}
