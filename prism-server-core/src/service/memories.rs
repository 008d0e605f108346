//! Memories: list, read, make, change, delete.
//!
//! A change is a commit that is guarded by the memories as a whole, so that limits hold and no text is there twice,
//! however many change them at once. The agent gets it afterwards.

use prism_types::{DeploymentId, MemoryId, MemorySource};

use super::{Attempt, Listed, Tell, author::Author, deployments, with_retries};
use crate::{
    core::Core,
    domain::{
        audit::Subject,
        idempotency::Reply,
        limits,
        memory::{self, Memory, MemorySet, room, shown},
        tenant::Principal,
    },
    error::{Error, ErrorKind, Result},
    ids::NewId,
    ports::{Commit, ListQuery, Write},
};

/// The memories of a deployment that have all words of `words`, newest first.
pub(crate) async fn list(
    core: &Core,
    principal: &Principal,
    deployment_id: &DeploymentId,
    words: &str,
    query: ListQuery<MemoryId>,
) -> Result<Listed<Memory, MemoryId>> {
    deployments::get(core, principal, deployment_id).await?;
    let memories = core.store.memories(deployment_id).await?;
    Ok(page(&memories, words, &query))
}

/// A memory of a deployment.
pub(crate) async fn get(
    core: &Core,
    principal: &Principal,
    deployment_id: &DeploymentId,
    id: &MemoryId,
) -> Result<Memory> {
    deployments::get(core, principal, deployment_id).await?;
    let memory = core.store.memory(id).await?;
    memory.filter(|memory| memory.deployment_id == *deployment_id && !memory.forgotten).ok_or_else(not_found)
}

/// Makes a memory; the agent has it from its next run on.
///
/// # Errors
/// A conflict, when there is no room, or a memory with this content is there.
pub(crate) async fn create(
    core: &Core,
    author: &Author,
    deployment_id: &DeploymentId,
    content: String,
    tell: impl Tell<Memory>,
) -> Result<Reply> {
    let reply = with_retries(|| async {
        let (set, memories) = read(core, &author.principal, deployment_id).await?;
        fits(&memories, None, &content)?;
        let (id, now) = (MemoryId::generate(), core.clock.now());
        let memory = Memory::new(id, deployment_id.clone(), content.clone(), MemorySource::Api, now);
        let reply = tell(memory.clone())?;
        let commit = changed(set)
            .with(author.entry(core, Subject::in_deployment(deployment_id, &memory.id)))
            .with(Write::PutMemory(memory))
            .with_all(author.kept(core, &reply)?);
        core.store.commit(commit).await?;
        Ok::<_, Attempt>(reply)
    });
    let reply = reply.await?;
    core.nudges.upkeep(deployment_id.clone());
    Ok(reply)
}

/// Sets the content of a memory; who made it stays.
///
/// # Errors
/// As [`create`].
pub(crate) async fn update(
    core: &Core,
    author: &Author,
    deployment_id: &DeploymentId,
    id: &MemoryId,
    content: String,
) -> Result<Memory> {
    let updated = with_retries(|| async {
        let (set, memories) = read(core, &author.principal, deployment_id).await?;
        let before = shown(&memories).find(|memory| memory.id == *id).ok_or_else(not_found)?;
        if before.content == content {
            return Ok(before.clone());
        }
        fits(&memories, Some(id), &content)?;
        let memory = before.clone().changed(content.clone(), core.clock.now());
        let commit = changed(set)
            .with(Write::PutMemory(memory.clone()))
            .with(author.entry(core, Subject::in_deployment(deployment_id, id)));
        core.store.commit(commit).await?;
        Ok::<_, Attempt>(memory)
    });
    let updated = updated.await?;
    core.nudges.upkeep(deployment_id.clone());
    Ok(updated)
}

/// Deletes a memory; the agent forgets it before its next run.
pub(crate) async fn delete(
    core: &Core,
    author: &Author,
    deployment_id: &DeploymentId,
    id: &MemoryId,
) -> Result<()> {
    with_retries(|| async {
        let (set, memories) = read(core, &author.principal, deployment_id).await?;
        let memory = shown(&memories).find(|memory| memory.id == *id).ok_or_else(not_found)?;
        let commit = changed(set)
            .with(deletion(memory.clone()))
            .with(author.entry(core, Subject::in_deployment(deployment_id, id)));
        core.store.commit(commit).await?;
        Ok::<_, Attempt>(())
    })
    .await?;
    core.nudges.upkeep(deployment_id.clone());
    Ok(())
}

/// The memories of a deployment of the caller's, and the set that guards them.
pub(super) async fn read(
    core: &Core,
    principal: &Principal,
    deployment_id: &DeploymentId,
) -> Result<(MemorySet, Vec<Memory>)> {
    deployments::get(core, principal, deployment_id).await?;
    // The set first: whatever changes the memories after that changes the set.
    let set = core.store.memory_set(deployment_id).await?;
    let set = set.unwrap_or_else(|| MemorySet::new(deployment_id.clone()));
    Ok((set, core.store.memories(deployment_id).await?))
}

/// A commit in which memories change.
pub(super) fn changed(set: MemorySet) -> Commit {
    Commit::new().with(Write::PutMemorySet(MemorySet { in_step: false, ..set }))
}

/// Takes a memory away: at once, or when the agent has forgotten it.
pub(super) fn deletion(memory: Memory) -> Write {
    let (deployment, id) = (memory.deployment_id.clone(), memory.id.clone());
    match memory.deleted() {
        Some(memory) => Write::PutMemory(memory),
        None => Write::DeleteMemory(deployment, id),
    }
}

/// Refuses memories for which there is no room.
pub(super) fn require_room<'a>(contents: impl Iterator<Item = &'a str>) -> Result<()> {
    let (number, text) = contents.fold((0, 0), |(number, text), content| (number + 1, text + room(content)));
    let full = if number > limits::MEMORIES {
        format!("The deployment has {} memories, which is the most.", limits::MEMORIES)
    } else if text > limits::MEMORY_TEXT {
        let most = limits::MEMORY_TEXT;
        format!(
            "The memories of a deployment have {most} characters at most, and 3 of them go with each memory."
        )
    } else {
        return Ok(());
    };
    Err(Error::new(ErrorKind::Conflict, format!("{full} Delete or shorten others first.")))
}

fn fits(memories: &[Memory], instead_of: Option<&MemoryId>, content: &str) -> Result<()> {
    let others = || shown(memories).filter(|memory| instead_of != Some(&memory.id));
    if let Some(same) = others().find(|memory| memory.content == content) {
        let message = format!("The memory {} has this content already.", same.id);
        return Err(Error::new(ErrorKind::Conflict, message));
    }
    require_room(others().map(|memory| memory.content.as_str()).chain([content]))
}

/// A page of memories, which come oldest first.
fn page(memories: &[Memory], words: &str, query: &ListQuery<MemoryId>) -> Listed<Memory, MemoryId> {
    let newest_first = shown(memories).rev();
    let older = newest_first.filter(|memory| query.before.as_ref().is_none_or(|before| memory.id < *before));
    let fitting = older.filter(|memory| memory::matches(&memory.content, words));
    let items = fitting.take(query.limit as usize + 1).cloned().collect();
    Listed::from_one_more(items, query.limit, |memory: &Memory| memory.id.clone())
}

fn not_found() -> Error {
    Error::not_found("Memory")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use prism_types::Timestamp;
    use proptest::prelude::*;

    use super::*;

    fn memory(number: u32, content: &str) -> Memory {
        let id = MemoryId::from_suffix(&format!("{number:08}")).unwrap();
        let deployment = "dep_1".parse().unwrap();
        Memory::new(id, deployment, content.to_owned(), MemorySource::Api, Timestamp::UNIX_EPOCH)
    }

    proptest! {
        /// Pages are read while memories come and go.
        #[test]
        fn pages_have_each_memory_that_stays_once_and_none_twice(
            stays in prop::collection::btree_set(0_u32..60, 0..30),
            goes in prop::collection::vec((0_usize..8, 0_u32..60), 0..20),
            comes in prop::collection::vec((0_usize..8, 60_u32..99), 0..20),
            limit in 1_u32..7,
            is_filtered in any::<bool>(),
        ) {
            let goes = goes.into_iter().filter(|(_, number)| !stays.contains(number)).collect::<Vec<_>>();
            let mut there: BTreeSet<u32> = &stays | &goes.iter().map(|(_, number)| *number).collect();
            let mut read = Vec::new();
            let (mut before, words) = (None, if is_filtered { "even" } else { "" });
            for number in 0.. {
                let content = |number: u32| if number.is_multiple_of(2) { "It is EVEN" } else { "It is odd" };
                let memories: Vec<_> = there.iter().map(|number| memory(*number, content(*number))).collect();
                let listed = page(&memories, words, &ListQuery { before, limit });
                prop_assert!(listed.items.len() <= limit as usize);
                read.extend(listed.items.iter().map(|memory| memory.id.clone()));
                before = listed.next;
                if before.is_none() {
                    break;
                }
                there.retain(|one| !goes.contains(&(number, *one)));
                there.extend(comes.iter().filter(|(when, _)| *when == number).map(|(_, one)| *one));
            }
            prop_assert!(read.windows(2).all(|pair| pair[0] > pair[1]), "newest first, none twice: {read:?}");
            let wanted = stays.iter().filter(|number| !is_filtered || number.is_multiple_of(2));
            for number in wanted {
                prop_assert!(read.contains(&memory(*number, "x").id), "{number} is missing: {read:?}");
            }
        }
    }

    #[test]
    fn there_is_room_for_as_many_as_the_limits_say_and_no_more() {
        let short = |number| vec!["x"; number];
        assert!(require_room(short(limits::MEMORIES).into_iter()).is_ok());
        let error = require_room(short(limits::MEMORIES + 1).into_iter()).unwrap_err();
        assert!(error.message().contains("500 memories"), "{error}");
        let long = "é".repeat(limits::MEMORY_TEXT / 16 - 3);
        assert!(require_room(std::iter::repeat_n(long.as_str(), 16)).is_ok());
        let longer = format!("{long}x");
        let error =
            require_room(std::iter::repeat_n(long.as_str(), 15).chain([longer.as_str()])).unwrap_err();
        assert!(error.message().contains("32000 characters"), "{error}");
    }
}
