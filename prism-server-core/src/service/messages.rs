//! Messages: they start a run, steer the one in flight, or answer its question.

use prism_types::{
    Attachment, DeploymentId, EventPayload, MessageRole, RunId, RunKind, RunStatusChanged, ThreadId,
    ThreadTarget, Timestamp, Usage,
};

use super::{Attempt, Tell, author::Author, deployments, with_retries};
use crate::{
    core::Core,
    domain::{
        approval::{Approval, Decision, Resolution},
        audit::Subject,
        deployment::{Deployment, DeploymentState},
        event::NewEvent,
        idempotency::Reply,
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
    author: &Author,
    deployment_id: &DeploymentId,
    new: NewMessage,
    tell: impl Tell<Run>,
) -> Result<Reply> {
    let (run, reply) = with_retries(|| async {
        let deployment = require_able(core, &author.principal, deployment_id).await?;
        let (thread, is_new) = thread_of(core, &deployment, new.thread.as_ref()).await?;
        let unfinished = if is_new { None } else { core.store.unfinished_run(&thread.id).await? };
        let mut commit = Commit::new();
        if is_new {
            commit = commit.with(Write::InsertThread(thread.clone()));
        }
        let (run, writes) = match &unfinished {
            None => start(core, &deployment, &thread, &new, RunKind::Message),
            Some(before) => fold_in(core, before, &thread, &new).await?,
        };
        commit = commit.with_all(writes);
        let (run_id, reply) = (run.id.clone(), tell(run)?);
        let subject = Subject::in_deployment(deployment_id, &run_id);
        let commit = commit.with(author.entry(core, subject)).with_all(author.kept(core, &reply)?);
        core.store.commit(commit).await?;
        Ok::<_, Attempt>((run_id, reply))
    })
    .await?;
    core.nudges.run(run);
    Ok(reply)
}

/// A run that works on a message, and the writes that start it on a thread where none is unfinished.
pub(super) fn start(
    core: &Core,
    deployment: &Deployment,
    thread: &Thread,
    new: &NewMessage,
    kind: RunKind,
) -> (Run, Vec<Write>) {
    let run = new_run(core, deployment, thread, kind);
    let writes = vec![
        Write::InsertMessage(message(core, &thread.id, &run.id, new, None)),
        Write::InsertRun(run.clone()),
        Write::Append(started(&run, run.created_at)),
    ];
    (run, writes)
}

/// The unfinished run of a thread after one more message, and the writes that fold the message in.
async fn fold_in(
    core: &Core,
    before: &Run,
    thread: &Thread,
    new: &NewMessage,
) -> Result<(Run, Vec<Write>), Attempt> {
    let run = continued(before, thread)?;
    let mut writes = vec![Write::InsertMessage(message(core, &thread.id, &run.id, new, None))];
    match before {
        // It is about to be over, and takes nothing any more.
        before if before.cancelled => return Err(Attempt::Conflict),
        // Whoever works on the run finds it changed, and cannot end it without having seen the message.
        before if before.state == RunState::Running => writes.push(Write::TouchRun(run.id.clone())),
        _ => {
            let open = core.store.open_approval(&run.id).await?;
            writes.extend(answered(&run, open.as_ref(), None, &new.content, core.clock.now()));
        }
    }
    Ok((run, writes))
}

/// A deployment of the caller's tenant that can work.
///
/// # Errors
/// When it is not ready, or the tenant has no credits.
pub(crate) async fn require_able(
    core: &Core,
    principal: &Principal,
    deployment_id: &DeploymentId,
) -> Result<Deployment> {
    let deployment = deployments::get(core, principal, deployment_id).await?;
    require_ready(core, &deployment)?;
    deployments::require_credits(core, &principal.tenant_id).await?;
    Ok(deployment)
}

/// Answers a question by a decision, which is a message as well; `beside` is written with it.
///
/// # Errors
/// When the question was answered already, or nobody waits for the answer.
pub(crate) async fn resolve(
    core: &Core,
    asked: &Approval,
    (decision, at): (Decision, Timestamp),
    content: String,
    beside: Vec<Write>,
) -> Result<()> {
    let new = NewMessage { content, thread: None, attachments: Vec::new() };
    with_retries(|| async {
        let run = core.store.run(&asked.run_id).await?;
        let open = core.store.open_approval(&asked.run_id).await?;
        let (mut run, open) = match (run, open) {
            (Some(run), Some(open)) if open.id == asked.id && run.state == RunState::WaitingOnHuman => {
                (run, open)
            }
            _ => {
                let message = "The question was answered already, or its run has ended. Read it to see how.";
                return Err(Error::new(ErrorKind::Conflict, message).into());
            }
        };
        run.apply(RunCommand::Message)?;
        let commit = Commit::new()
            .with(Write::InsertMessage(message(core, &run.thread_id, &run.id, &new, Some(decision))))
            .with_all(answered(&run, Some(&open), Some(decision), &new.content, at))
            .with_all(beside.clone());
        core.store.commit(commit).await?;
        Ok::<_, Attempt>(())
    })
    .await?;
    core.nudges.run(asked.run_id.clone());
    Ok(())
}

pub(super) fn require_ready(core: &Core, deployment: &Deployment) -> Result<()> {
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

fn message(
    core: &Core,
    thread_id: &ThreadId,
    run_id: &RunId,
    new: &NewMessage,
    decision: Option<Decision>,
) -> Message {
    Message {
        thread_id: thread_id.clone(),
        position: 0,
        role: MessageRole::User,
        content: new.content.clone(),
        attachments: new.attachments.clone(),
        run_id: Some(run_id.clone()),
        decision,
        created_at: core.clock.now(),
    }
}

fn new_run(core: &Core, deployment: &Deployment, thread: &Thread, kind: RunKind) -> Run {
    Run {
        id: RunId::generate(),
        deployment_id: deployment.id.clone(),
        thread_id: thread.id.clone(),
        kind,
        spec_version: deployment.spec_version,
        state: RunState::Running,
        attempts: 1,
        checkpoint: None,
        read_position: thread.message_count,
        usage: Usage::default(),
        error: None,
        created_at: core.clock.now(),
        ended_at: None,
        cancelled: false,
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
fn answered(
    run: &Run,
    open: Option<&Approval>,
    decision: Option<Decision>,
    content: &str,
    at: Timestamp,
) -> Vec<Write> {
    let mut writes = vec![Write::UpdateRun(run.clone()), Write::Append(started(run, at))];
    if let Some(open) = open {
        let resolution = Resolution::by_message(decision, content);
        writes.push(Write::ResolveApproval(open.id.clone(), resolution, at));
    }
    writes
}

/// The event that tells that a run works.
fn started(run: &Run, at: Timestamp) -> NewEvent {
    let changed = RunStatusChanged::new(run.id.clone(), run.state.status()).thread_id(run.thread_id.clone());
    NewEvent::new(run.deployment_id.clone(), &EventPayload::RunStatus(changed), at)
}
