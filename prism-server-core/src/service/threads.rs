//! Threads: open, read, list, rename, delete.

use std::collections::VecDeque;

use prism_types::{DeploymentId, Patch, ThreadId};

use super::{Attempt, Listed, Tell, author::Author, deployments, runs, with_retries};
use crate::{
    core::Core,
    domain::{
        audit::Subject,
        idempotency::Reply,
        limits,
        message::Message,
        run::RunState,
        tenant::Principal,
        thread::{ForgottenThread, Thread},
    },
    error::{Error, ErrorKind, Result},
    ids::NewId,
    ports::{Commit, ListQuery, Write},
};

/// Messages of a thread that are read at once.
const MESSAGES_AT_ONCE: u32 = 32;

/// A thread and the state of its unfinished run.
pub(crate) struct ThreadView {
    pub(crate) thread: Thread,
    pub(crate) activity: Option<RunState>,
}

/// Opens a thread; it starts no work.
pub(crate) async fn create(
    core: &Core,
    author: &Author,
    deployment_id: &DeploymentId,
    title: Option<String>,
    tell: impl Tell<ThreadView>,
) -> Result<Reply> {
    deployments::get(core, &author.principal, deployment_id).await?;
    let thread = Thread::new(ThreadId::generate(), deployment_id.clone(), title, core.clock.now());
    let reply = tell(ThreadView { thread: thread.clone(), activity: None })?;
    let commit = Commit::new()
        .with(author.entry(core, Subject::in_deployment(deployment_id, &thread.id)))
        .with(Write::InsertThread(thread))
        .with_all(author.kept(core, &reply)?);
    core.store.commit(commit).await?;
    Ok(reply)
}

/// A thread with its newest messages.
pub(crate) async fn get(
    core: &Core,
    principal: &Principal,
    deployment_id: &DeploymentId,
    id: &ThreadId,
) -> Result<(ThreadView, Vec<Message>)> {
    let thread = find(core, principal, deployment_id, id).await?;
    let messages = newest_messages(core, &thread).await?;
    Ok((view(core, thread).await?, messages))
}

/// A thread of a deployment.
pub(crate) async fn find(
    core: &Core,
    principal: &Principal,
    deployment_id: &DeploymentId,
    id: &ThreadId,
) -> Result<Thread> {
    deployments::get(core, principal, deployment_id).await?;
    let thread = core.store.thread(id).await?.filter(|thread| thread.deployment_id == *deployment_id);
    thread.ok_or_else(|| Error::not_found("Thread"))
}

/// Sets or removes the title of a thread. The last one wins.
pub(crate) async fn rename(
    core: &Core,
    author: &Author,
    deployment_id: &DeploymentId,
    id: &ThreadId,
    title: Patch<String>,
) -> Result<()> {
    find(core, &author.principal, deployment_id, id).await?;
    let title = match title {
        Patch::Keep => return Ok(()),
        Patch::Clear => None,
        Patch::Set(title) => Some(title),
    };
    let commit = Commit::new()
        .with(Write::SetThreadTitle(id.clone(), title))
        .with(author.entry(core, Subject::in_deployment(deployment_id, id)));
    Ok(core.store.commit(commit).await?)
}

/// Deletes a thread with its messages, runs and questions. A run that is unfinished is cancelled first. The agent forgets
/// the thread as soon as it can be reached.
pub(crate) async fn delete(
    core: &Core,
    author: &Author,
    deployment_id: &DeploymentId,
    id: &ThreadId,
) -> Result<()> {
    with_retries(|| async {
        let deployment = deployments::get(core, &author.principal, deployment_id).await?;
        find(core, &author.principal, deployment_id, id).await?;
        if deployment.default_thread == *id {
            let message =
                "The default thread cannot be deleted. Delete the deployment, or use other threads.";
            return Err(Error::new(ErrorKind::Invalid, message).into());
        }
        if let Some(run) = core.store.unfinished_run(id).await? {
            runs::end(core, run).await?;
        }
        let forgotten = ForgottenThread { thread_id: id.clone(), deployment_id: deployment_id.clone() };
        let commit = Commit::new()
            .with(Write::DeleteThread(id.clone()))
            .with(Write::InsertForgottenThread(forgotten))
            .with(author.entry(core, Subject::in_deployment(deployment_id, id)));
        core.store.commit(commit).await?;
        Ok::<_, Attempt>(())
    })
    .await?;
    core.nudges.upkeep(deployment_id.clone());
    Ok(())
}

/// The newest messages of a thread, oldest first: as many as the limits of their number and their text allow.
async fn newest_messages(core: &Core, thread: &Thread) -> Result<Vec<Message>> {
    let (mut newest, mut bytes) = (VecDeque::new(), 0);
    let mut before = thread.message_count;
    // From the end in small steps, so that no more is read than little more than what is answered.
    while before > 0 {
        let after = before.saturating_sub(MESSAGES_AT_ONCE.into());
        let step = core.store.messages(&thread.id, after, MESSAGES_AT_ONCE).await?;
        let step = step.into_iter().filter(|message| message.position <= before);
        for message in step.collect::<Vec<_>>().into_iter().rev() {
            bytes += message.content.len();
            let full = newest.len() >= limits::THREAD_MESSAGES as usize || bytes > limits::THREAD_TEXT;
            if full && !newest.is_empty() {
                return Ok(newest.into());
            }
            newest.push_front(message);
        }
        before = after;
    }
    Ok(newest.into())
}

/// The threads of a deployment, newest first.
pub(crate) async fn list(
    core: &Core,
    principal: &Principal,
    deployment_id: &DeploymentId,
    query: ListQuery<ThreadId>,
) -> Result<Listed<ThreadView, ThreadId>> {
    deployments::get(core, principal, deployment_id).await?;
    let limit = query.limit;
    let mut views = Vec::new();
    for thread in core.store.threads(deployment_id, ListQuery { limit: limit + 1, ..query }).await? {
        views.push(view(core, thread).await?);
    }
    Ok(Listed::from_one_more(views, limit, |view| view.thread.id.clone()))
}

async fn view(core: &Core, thread: Thread) -> Result<ThreadView> {
    let activity = core.store.unfinished_run(&thread.id).await?.map(|run| run.state);
    Ok(ThreadView { thread, activity })
}
