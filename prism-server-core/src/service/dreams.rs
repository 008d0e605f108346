//! Dreams: list, read, start, take back.

use prism_types::{DeploymentId, DreamId, DreamTrigger, RunKind, ThreadId};

use super::{Attempt, Listed, Tell, author::Author, deployments, memories, messages, with_retries};
use crate::{
    core::Core,
    domain::{
        audit::Subject,
        deployment::{AgentSpec, Deployment, DeploymentState},
        dream::{self, Dream, DreamState, Quiet},
        idempotency::Reply,
        limits,
        memory::shown,
        tenant::Principal,
        thread::Thread,
    },
    engine::dreams::PROMPT,
    error::{Error, ErrorKind, Result},
    ids::NewId,
    ports::{Commit, ListQuery, StoreError, Write},
};

/// A dream of a deployment.
pub(crate) async fn get(
    core: &Core,
    principal: &Principal,
    deployment_id: &DeploymentId,
    id: &DreamId,
) -> Result<Dream> {
    deployments::get(core, principal, deployment_id).await?;
    let dream = core.store.dream(id).await?.filter(|dream| dream.deployment_id == *deployment_id);
    dream.ok_or_else(|| Error::not_found("Dream"))
}

/// The dreams of a deployment, newest first.
pub(crate) async fn list(
    core: &Core,
    principal: &Principal,
    deployment_id: &DeploymentId,
    query: ListQuery<DreamId>,
) -> Result<Listed<Dream, DreamId>> {
    deployments::get(core, principal, deployment_id).await?;
    let limit = query.limit;
    let items = core.store.dreams(deployment_id, ListQuery { limit: limit + 1, ..query }).await?;
    Ok(Listed::from_one_more(items, limit, |dream| dream.id.clone()))
}

/// Starts a dream now.
///
/// # Errors
/// A conflict, when one is under way, or the deployment has no memory.
pub(crate) async fn start(
    core: &Core,
    author: &Author,
    deployment_id: &DeploymentId,
    tell: impl Tell<Dream>,
) -> Result<Reply> {
    let (run, reply) = with_retries(|| async {
        let deployment = messages::require_able(core, &author.principal, deployment_id).await?;
        if !spec(core, &deployment).await?.features.memory {
            let message = "The deployment has no memory. Switch `features.memory` on first.";
            return Err(Error::new(ErrorKind::Conflict, message).into());
        }
        if let Some(running) = core.store.running_dream(deployment_id).await? {
            let message = format!("The deployment dreams already: {}. Wait until it is over.", running.id);
            return Err(Error::new(ErrorKind::Conflict, message).into());
        }
        let (dream, commit) = beginning(core, &deployment, DreamTrigger::Api).await?;
        let entry = author.entry(core, Subject::in_deployment(deployment_id, &dream.id));
        let (run, reply) = (dream.run_id.clone(), tell(dream)?);
        core.store.commit(commit.with(entry).with_all(author.kept(core, &reply)?)).await?;
        Ok::<_, Attempt>((run, reply))
    })
    .await?;
    core.nudges.run(run);
    Ok(reply)
}

/// Starts the dream of a deployment that has been quiet for long enough, unless something speaks against it.
///
/// # Errors
/// A conflict, when it is not quiet since then any more.
pub(crate) async fn start_idle(core: &Core, quiet: &Quiet) -> Result<()> {
    let id = &quiet.deployment_id;
    let Some(deployment) = core.store.deployment(id).await? else { return Ok(()) };
    let taken = Write::DeleteQuiet(id.clone(), quiet.run_id.clone());
    let features = spec(core, &deployment).await?.features;
    if !features.dreaming || !features.memory {
        return Ok(core.store.commit(Commit::new().with(taken)).await?);
    }
    let waits = deployment.state != DeploymentState::Ready
        || core.store.has_unfinished_run(id).await?
        || core.store.running_dream(id).await?.is_some()
        || core.store.tenant(&deployment.tenant_id).await?.is_none_or(|tenant| !tenant.has_credits());
    if waits {
        return Ok(());
    }
    let (dream, commit) = beginning(core, &deployment, DreamTrigger::Idle).await?;
    core.store.commit(commit.with(taken)).await?;
    core.nudges.run(dream.run_id);
    Ok(())
}

/// Takes back what a dream changed.
///
/// # Errors
/// A conflict, when it is not over, was taken back already, or there is no room for what it removed.
pub(crate) async fn revert(
    core: &Core,
    author: &Author,
    deployment_id: &DeploymentId,
    id: &DreamId,
    tell: impl Tell<Dream>,
) -> Result<Reply> {
    let principal = &author.principal;
    let reply = with_retries(|| async {
        let (set, memories) = memories::read(core, principal, deployment_id).await?;
        let mut dream = get(core, principal, deployment_id, id).await?;
        let conflict = |message| Err(Error::new(ErrorKind::Conflict, message).into());
        if dream.state == DreamState::Running {
            return conflict("The dream is not over yet. Wait, or cancel its run first.");
        }
        if dream.reverted_at.is_some() {
            return conflict("The dream was taken back already.");
        }
        let mut commit = memories::changed(set);
        if let Some(report) = &dream.report {
            let (back, gone) = dream::revert(report, &memories, deployment_id);
            let stays = shown(&memories).filter(|memory| {
                !gone.contains(&memory.id) && back.iter().all(|restored| restored.id != memory.id)
            });
            memories::require_room(stays.chain(&back).map(|memory| memory.content.as_str()))?;
            let leaving = memories.iter().filter(|memory| gone.contains(&memory.id)).cloned();
            commit = commit.with_all(leaving.map(memories::deletion));
            commit = commit.with_all(back.into_iter().map(Write::PutMemory));
        }
        dream.reverted_at = Some(core.clock.now());
        let reply = tell(dream.clone())?;
        let commit = commit
            .with(Write::UpdateDream(dream))
            .with(author.entry(core, Subject::in_deployment(deployment_id, id)))
            .with_all(author.kept(core, &reply)?);
        core.store.commit(commit).await?;
        Ok::<_, Attempt>(reply)
    })
    .await?;
    core.nudges.upkeep(deployment_id.clone());
    Ok(reply)
}

/// A dream and the commit that starts it.
async fn beginning(
    core: &Core,
    deployment: &Deployment,
    trigger: DreamTrigger,
) -> Result<(Dream, Commit), StoreError> {
    let (id, now) = (deployment.id.clone(), core.clock.now());
    let thread = Thread::new(ThreadId::generate(), id.clone(), Some("Dream".to_owned()), now);
    let prompt = messages::NewMessage { content: PROMPT.to_owned(), thread: None, attachments: Vec::new() };
    let (run, started) = messages::start(core, deployment, &thread, &prompt, RunKind::Dreaming);
    let memories = core.store.memories(&id).await?;
    let dream = Dream {
        id: DreamId::generate(),
        deployment_id: id.clone(),
        thread_id: thread.id.clone(),
        run_id: run.id,
        trigger,
        state: DreamState::Running,
        before: dream::snapshot(&memories),
        report: None,
        error: None,
        created_at: now,
        ended_at: None,
        reverted_at: None,
        revision: 0,
    };
    let commit = Commit::new()
        .with(Write::InsertThread(thread))
        .with_all(started)
        .with(Write::InsertDream(dream.clone()))
        .with(Write::TrimDreams(id, limits::DREAMS));
    Ok((dream, commit))
}

async fn spec(core: &Core, deployment: &Deployment) -> Result<AgentSpec> {
    let spec = core.store.spec(&deployment.id, deployment.spec_version).await?;
    spec.ok_or_else(|| Error::internal("a deployment has no specification"))
}
