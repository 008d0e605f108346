//! Messages: they start a run, steer the one in flight, or answer its question.

use prism_types::{
    Attachment, DeploymentId, EventPayload, MessageRole, RunId, RunStatusChanged, ThreadId, ThreadTarget,
    Usage,
};

use super::{Attempt, deployments, with_retries};
use crate::{
    core::Core,
    domain::{
        deployment::{Deployment, DeploymentState},
        event::NewEvent,
        limits,
        message::Message,
        run::{Run, RunCommand, RunState},
        tenant::Principal,
        thread::Thread,
    },
    error::{Error, ErrorKind, Result},
    ids::NewId,
    ports::{Commit, Write},
};

/// A message to send; every part was checked by itself.
#[derive(Debug, Clone)]
pub(crate) struct NewMessage {
    pub(crate) content: String,
    /// `None`: the default thread.
    pub(crate) thread: Option<ThreadTarget>,
    pub(crate) attachments: Vec<Attachment>,
}

/// Stores a message and answers the run that takes it.
///
/// On a thread with an unfinished run the message is folded into that run: it steers the run while it works,
/// and it is the answer while the run waits for a human.
pub(crate) async fn send(
    core: &Core,
    principal: &Principal,
    deployment_id: &DeploymentId,
    new: NewMessage,
) -> Result<Run> {
    let run = with_retries(|| async {
        let deployment = deployments::get(core, principal, deployment_id).await?;
        require_ready(core, &deployment)?;
        deployments::require_credits(core, &principal.tenant_id).await?;
        let (thread, is_new) = thread_of(core, &deployment, new.thread.as_ref()).await?;
        let unfinished = if is_new { None } else { core.store.unfinished_run(&thread.id).await? };
        let mut commit = Commit::new();
        if is_new {
            commit = commit.with(Write::InsertThread(thread.clone()));
        }
        let run = match &unfinished {
            None => new_run(core, &deployment, &thread),
            Some(run) => continued(run, &thread)?,
        };
        commit = commit.with(Write::InsertMessage(message(core, &thread.id, &run.id, &new)));
        commit = match &unfinished {
            None => commit.with(Write::InsertRun(run.clone())).with(Write::Append(started(core, &run))),
            Some(before) if before.state == RunState::Running => {
                // Whoever works on the run finds it changed, and cannot end it without having seen the message.
                commit.with(Write::TouchRun(run.id.clone()))
            }
            Some(_) => commit.with_all(answered(core, &run, &new).await?),
        };
        core.store.commit(commit).await?;
        Ok::<_, Attempt>(run)
    })
    .await?;
    core.nudges.run(run.id.clone());
    Ok(run)
}

fn require_ready(core: &Core, deployment: &Deployment) -> Result<()> {
    let (state, advice) = match (deployment.state, &deployment.error) {
        (DeploymentState::Ready, _) => return Ok(()),
        (DeploymentState::Error, Some(failure)) => {
            ("in error", format!("Update it to start it again. The reason was: {}", failure.message))
        }
        _ => {
            let base = core.settings.public_url.as_deref().unwrap_or_default();
            ("provisioning", format!("Poll GET {base}/v1/deployments/{} until it is ready.", deployment.id))
        }
    };
    Err(Error::new(ErrorKind::NotReady, format!("Deployment is {state}. {advice}")))
}

/// The thread of a message, and whether it has yet to be stored.
async fn thread_of(
    core: &Core,
    deployment: &Deployment,
    target: Option<&ThreadTarget>,
) -> Result<(Thread, bool)> {
    let id = match target {
        Some(ThreadTarget::New) => {
            let id = ThreadId::generate();
            return Ok((Thread::new(id, deployment.id.clone(), None, core.clock.now()), true));
        }
        Some(ThreadTarget::Existing(id)) => id,
        None => &deployment.default_thread,
    };
    let thread = core.store.thread(id).await?.filter(|thread| thread.deployment_id == deployment.id);
    Ok((thread.ok_or_else(|| Error::not_found("Thread"))?, false))
}

fn message(core: &Core, thread_id: &ThreadId, run_id: &RunId, new: &NewMessage) -> Message {
    Message {
        thread_id: thread_id.clone(),
        position: 0,
        role: MessageRole::User,
        content: new.content.clone(),
        attachments: new.attachments.clone(),
        run_id: Some(run_id.clone()),
        created_at: core.clock.now(),
    }
}

fn new_run(core: &Core, deployment: &Deployment, thread: &Thread) -> Run {
    Run {
        id: RunId::generate(),
        deployment_id: deployment.id.clone(),
        thread_id: thread.id.clone(),
        spec_version: deployment.spec_version,
        state: RunState::Running,
        attempts: 1,
        checkpoint: None,
        read_position: thread.message_count,
        usage: Usage::default(),
        error: None,
        created_at: core.clock.now(),
        ended_at: None,
        revision: 0,
    }
}

/// The unfinished run after one more message.
fn continued(run: &Run, thread: &Thread) -> Result<Run> {
    let unread = thread.message_count.saturating_sub(run.read_position);
    if unread >= limits::UNREAD_MESSAGES {
        let message = format!(
            "The run has {unread} messages that it has not taken yet, which is the most. Wait for it to go on."
        );
        return Err(
            Error::new(ErrorKind::RateLimited, message).retry_after(std::time::Duration::from_secs(1))
        );
    }
    let mut run = run.clone();
    run.apply(RunCommand::Message)?;
    Ok(run)
}

/// The writes that answer the question of a run and let it go on.
async fn answered(core: &Core, run: &Run, new: &NewMessage) -> Result<Vec<Write>> {
    let mut writes = vec![Write::UpdateRun(run.clone()), Write::Append(started(core, run))];
    if let Some(approval) = core.store.open_approval(&run.id).await? {
        let answer = Some(new.content.clone());
        writes.push(Write::ResolveApproval(approval.id, answer, core.clock.now()));
    }
    Ok(writes)
}

/// The event that tells that a run works.
fn started(core: &Core, run: &Run) -> NewEvent {
    let changed = RunStatusChanged::new(run.id.clone(), run.state.status()).thread_id(run.thread_id.clone());
    NewEvent::new(run.deployment_id.clone(), &EventPayload::RunStatus(changed), core.clock.now())
}
