//! Dreams: deployments that are quiet work on their memories.
//!
//! When a run ends, it is noted since when its deployment is quiet. A dream takes that note away in the commit that
//! starts it, so that a quiet time has one dream at most, whatever crashes in between. Its run is a run like any
//! other; when it is over, the dream gets its report.

use prism_types::{DeploymentId, Failure, MessageRole, ThreadId, Timestamp};

use super::{SWEEP_PAGE, run_log};
use crate::{
    core::Core,
    domain::{
        dream::{Dream, DreamState, report},
        run::{Run, RunState},
    },
    error::{Result, failure},
    ports::{Commit, StoreError, Write},
    service::{dreams, runs},
};

/// What the agent is told to do.
pub(crate) const PROMPT: &str = include_str!("prompt.md");
/// How many messages of a dream are read to find the agent's last one.
const LAST: u64 = 32;

/// Starts the dreams of deployments that have been quiet for long enough.
pub(super) async fn begin(core: &Core) -> Result<()> {
    let time = i64::try_from(core.settings.dream_after.as_millis()).unwrap_or(i64::MAX);
    let until = Timestamp::from_millis(core.clock.now().as_millis().saturating_sub(time));
    let mut last: Option<DeploymentId> = None;
    loop {
        let page = core.store.quiet_deployments(until, last.as_ref(), SWEEP_PAGE).await?;
        let Some(quiet) = page.last() else { return Ok(()) };
        last = Some(quiet.deployment_id.clone());
        for quiet in page {
            match dreams::start_idle(core, &quiet).await {
                // It is not quiet any more, or dreams already.
                Err(error) if error.is_conflict() => {}
                Err(error) => {
                    tracing::warn!(deployment = %quiet.deployment_id, %error, cause = error.cause(), "a dream was not started");
                }
                Ok(()) => {}
            }
        }
    }
}

/// Ends the dream of a deployment whose run is over.
pub(super) async fn end(core: &Core, deployment: &DeploymentId) -> Result<()> {
    let Some(dream) = core.store.running_dream(deployment).await? else { return Ok(()) };
    let run = core.store.run(&dream.run_id).await?;
    match run {
        Some(run) if run.state == RunState::Running => Ok(()),
        Some(run) if run.state == RunState::WaitingOnHuman => wake(core, run).await,
        Some(run) => finish(core, dream, run.error).await,
        None => {
            finish(core, dream, Some(failure("thread_deleted", "the thread of the dream was deleted"))).await
        }
    }
}

/// Nobody is asked in a dream: the run ends.
async fn wake(core: &Core, run: Run) -> Result<()> {
    let id = run.id.clone();
    let reason = failure(runs::CANCELLED, "a dream that asks a human is ended");
    let (_, commit) = run_log::end_of(core, run, reason).await?;
    let ended = core.store.commit(commit).await;
    core.nudges.run(id);
    unless_overtaken(ended)
}

async fn finish(core: &Core, mut dream: Dream, error: Option<Failure>) -> Result<()> {
    let memories = core.store.memories(&dream.deployment_id).await?;
    let summary = last_words(core, &dream.thread_id).await?;
    dream.report = Some(report(&dream.before, &memories, &summary));
    dream.state = if error.is_none() { DreamState::Completed } else { DreamState::Error };
    dream.error = error;
    dream.ended_at = Some(core.clock.now());
    unless_overtaken(core.store.commit(Commit::new().with(Write::UpdateDream(dream))).await)
}

/// What the agent said last on a thread.
async fn last_words(core: &Core, thread: &ThreadId) -> Result<String> {
    let Some(thread) = core.store.thread(thread).await? else { return Ok(String::new()) };
    let after = thread.message_count.saturating_sub(LAST);
    let messages = core.store.messages(&thread.id, after, LAST as u32).await?;
    let last = messages.into_iter().rfind(|message| message.role == MessageRole::Agent);
    Ok(last.map_or_else(String::new, |message| message.content))
}

/// Somebody else did the same, or the deployment is gone.
fn unless_overtaken(done: Result<(), StoreError>) -> Result<()> {
    match done {
        Err(StoreError::Conflict(_) | StoreError::Missing(_)) => Ok(()),
        done => Ok(done?),
    }
}
