//! Dreams: an agent works on its memories while nobody needs it.

use std::collections::BTreeSet;

use prism_types::{
    DeploymentId, DreamId, DreamStatus, DreamTrigger, Failure, MemoryId, MemorySource, RunId, ThreadId,
    Timestamp,
};
use serde::{Deserialize, Serialize};

use super::{limits, memory, memory::Memory, words};

/// A dream: a run on the memories of a deployment, and what they were before it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "a record: stores build it from its columns")]
pub struct Dream {
    /// Its id. Ids are time-ordered: a later dream has a greater id.
    pub id: DreamId,
    /// The deployment. At most one dream of a deployment is in state `running`.
    pub deployment_id: DeploymentId,
    /// The thread of its own.
    pub thread_id: ThreadId,
    /// The run that does the work.
    pub run_id: RunId,
    /// Why it was started.
    pub trigger: DreamTrigger,
    /// Where it is in its life.
    pub state: DreamState,
    /// The memories before it.
    pub before: Vec<Dreamed>,
    /// What came of it, once it is over.
    pub report: Option<Report>,
    /// Why the state is `error`.
    pub error: Option<Failure>,
    /// When it was started.
    pub created_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// When its changes were taken back.
    pub reverted_at: Option<Timestamp>,
    /// How often it was changed: the guard of every update.
    pub revision: u64,
}

words! {
    /// Where a dream is in its life.
    pub enum DreamState {
        /// Its run is unfinished, or its report is not written yet.
        Running = "running",
        /// Done.
        Completed = "completed",
        /// Its run failed.
        Error = "error",
    }
}

impl DreamState {
    /// The status on the wire.
    pub fn status(self) -> DreamStatus {
        match self {
            Self::Running => DreamStatus::Running,
            Self::Completed => DreamStatus::Completed,
            Self::Error => DreamStatus::Error,
        }
    }
}

/// A memory as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(clippy::exhaustive_structs, reason = "plain data: stores keep it as JSON")]
pub struct Dreamed {
    /// Its id.
    pub id: MemoryId,
    /// What was remembered.
    pub content: String,
    /// Who made it.
    pub source: MemorySource,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its content was last set.
    pub updated_at: Timestamp,
}

/// What came of a dream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(clippy::exhaustive_structs, reason = "plain data: stores keep it as JSON")]
pub struct Report {
    /// What the agent said at its end.
    pub summary: String,
    /// Memories that are there and were not before.
    pub added: Vec<Dreamed>,
    /// Memories that were there before and are not any more.
    pub removed: Vec<Dreamed>,
}

/// A deployment in which nothing happened since a run ended; there is none any more once it has dreamt of it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "a record: stores build it from its columns")]
pub struct Quiet {
    /// The deployment.
    pub deployment_id: DeploymentId,
    /// The run that ended last.
    pub run_id: RunId,
    /// When that was.
    pub since: Timestamp,
}

impl From<&Memory> for Dreamed {
    fn from(memory: &Memory) -> Self {
        Self {
            id: memory.id.clone(),
            content: memory.content.clone(),
            source: memory.source.clone(),
            created_at: memory.created_at,
            updated_at: memory.updated_at,
        }
    }
}

/// The memories as they are, for a dream to come back to.
pub fn snapshot(memories: &[Memory]) -> Vec<Dreamed> {
    memory::shown(memories).map(Dreamed::from).collect()
}

/// What a dream came to. `summary`: what the agent said at its end.
pub fn report(before: &[Dreamed], memories: &[Memory], summary: &str) -> Report {
    let (now, old) = (snapshot(memories), contents(before));
    let added = now.iter().filter(|memory| !old.contains(memory.content.as_str())).cloned().collect();
    let new = contents(&now);
    let removed = before.iter().filter(|memory| !new.contains(memory.content.as_str())).cloned().collect();
    let summary = summary[..summary.floor_char_boundary(limits::DREAM_SUMMARY)].to_owned();
    Report { summary, added, removed }
}

/// Takes back what a dream changed: the memories that it removed come back as they were, and those that it added go.
/// What others changed since stays. Returns the changed memories and the ids of those that are to be deleted.
pub fn revert(
    report: &Report,
    memories: &[Memory],
    deployment_id: &DeploymentId,
) -> (Vec<Memory>, Vec<MemoryId>) {
    let now = snapshot(memories);
    let gone: BTreeSet<&MemoryId> = report
        .added
        .iter()
        .filter(|added| now.iter().any(|memory| memory.id == added.id && memory.content == added.content))
        .map(|added| &added.id)
        .collect();
    let stay: Vec<_> = now.iter().filter(|memory| !gone.contains(&memory.id)).cloned().collect();
    let there = contents(&stay);
    let back = report.removed.iter().filter(|old| !there.contains(old.content.as_str()));
    let back = back.map(|old| {
        // One that was changed since, or that the agent has yet to forget, is known by its id.
        let before = memories.iter().find(|memory| memory.id == old.id);
        Memory {
            synced: before.and_then(|memory| memory.synced.clone()),
            offered: before.and_then(|memory| memory.offered.clone().or_else(|| memory.synced.clone())),
            updated_at: old.updated_at,
            ..Memory::new(
                old.id.clone(),
                deployment_id.clone(),
                old.content.clone(),
                old.source.clone(),
                old.created_at,
            )
        }
    });
    (back.collect(), gone.into_iter().cloned().collect())
}

fn contents(memories: &[Dreamed]) -> BTreeSet<&str> {
    memories.iter().map(|memory| memory.content.as_str()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn memory(number: u8, content: u8) -> Memory {
        let id = MemoryId::from_suffix(&number.to_string()).unwrap();
        let content = format!("text {content}");
        Memory::new(id, "dep_1".parse().unwrap(), content, MemorySource::Agent, Timestamp::UNIX_EPOCH)
    }

    /// Memories of different contents, with ids from a number on.
    fn memories(contents: &BTreeSet<u8>, first: u8) -> Vec<Memory> {
        (first..).zip(contents).map(|(number, content)| memory(number, *content)).collect()
    }

    fn texts(memories: &[Memory]) -> BTreeSet<&str> {
        memory::shown(memories).map(|memory| memory.content.as_str()).collect()
    }

    proptest! {
        #[test]
        fn a_dream_is_reported_and_taken_back(
            stay in prop::collection::btree_set(0_u8..10, 0..5),
            removed in prop::collection::btree_set(10_u8..20, 0..5),
            added in prop::collection::btree_set(20_u8..30, 0..5),
            since in prop::collection::btree_set(30_u8..40, 0..3),
        ) {
            let (stay, removed) = (memories(&stay, 0), memories(&removed, 50));
            let before: Vec<_> = stay.iter().chain(&removed).cloned().collect();
            let mut now: Vec<_> = stay.into_iter().chain(memories(&added, 100)).collect();
            let report = report(&snapshot(&before), &now, "done");
            prop_assert_eq!(report.added.len(), added.len());
            prop_assert_eq!(&report.removed, &snapshot(&removed));

            now.extend(memories(&since, 150));
            let (back, gone) = revert(&report, &now, &"dep_1".parse().unwrap());
            now.retain(|memory| !gone.contains(&memory.id));
            now.extend(back);
            let wanted: Vec<_> = before.iter().chain(&memories(&since, 150)).cloned().collect();
            prop_assert_eq!(texts(&now), texts(&wanted));
            prop_assert_eq!(now.len(), wanted.len());
            prop_assert_eq!(revert(&report, &now, &"dep_1".parse().unwrap()), (Vec::new(), Vec::new()));
        }
    }

    #[test]
    fn what_was_changed_since_the_dream_stays() {
        let before = [memory(1, 1)];
        let dreamt = [memory(2, 2)];
        let report = report(&snapshot(&before), &dreamt, &"é".repeat(limits::DREAM_SUMMARY));
        assert_eq!(report.summary.len(), limits::DREAM_SUMMARY);
        let changed = [memory(2, 7)];
        let (back, gone) = revert(&report, &changed, &"dep_1".parse().unwrap());
        assert_eq!((texts(&back), gone), (BTreeSet::from(["text 1"]), Vec::new()));
    }
}
