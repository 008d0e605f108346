//! Carrying out what is due, or asked for.
//!
//! Everything about an instant is one commit: the entry in the history, the message and the run that it starts, the
//! event that tells of it, and the next instant. The entry is unique in the store. So whoever races, and wherever a
//! process is killed, an instant has one entry, and at most one run.
//!
//! An instant that cannot start a run leaves an entry with the reason, and is not tried again: the next instant is
//! the next try.

use std::time::Duration;

use prism_types::{AutomationId, AutomationRunId, DeploymentId, RunKind, Timestamp};

use super::{find, is_on};
use crate::{
    core::Core,
    domain::{
        audit::Subject,
        automation::{Automation, AutomationRun, Due, Outcome},
        deployment::{Deployment, DeploymentState},
        idempotency::Reply,
        limits,
        run::Run,
    },
    error::{Error, ErrorKind, Result, failure},
    ids::NewId,
    ports::{Commit, Write},
    service::{
        Attempt, Tell,
        author::Author,
        deployments,
        messages::{self, NewMessage},
        with_retries,
    },
    telemetry,
};

/// The least time that counts as late, for nothing runs in the very millisecond that it is due.
const LEAST_GRACE: Duration = Duration::from_secs(60);

/// What a trigger started.
pub(crate) struct Triggered {
    pub(crate) automation_id: AutomationId,
    pub(crate) entry: AutomationRunId,
    pub(crate) run: Run,
}

/// Carries out what is due of an automation, if anything is.
pub(crate) async fn fire(core: &Core, id: &AutomationId) -> Result<()> {
    let Some(entry) = with_retries(|| carry_out(core, id)).await? else { return Ok(()) };
    telemetry::came_due(&entry);
    if let Some(run) = entry.outcome.run_id() {
        core.nudges.run(run.clone());
    }
    Ok(())
}

/// One attempt of [`fire`]; the entry that it made, if it made one.
async fn carry_out(core: &Core, id: &AutomationId) -> Result<Option<AutomationRun>, Attempt> {
    let Some(automation) = core.store.automation(id).await? else { return Ok(None) };
    let now = core.clock.now();
    let Some((due, obstacle)) = come_due(core, &automation, now) else { return Ok(None) };
    let advance = |next| {
        let advanced = Automation { next_run_at: next, ..automation.clone() };
        Commit::new().with(Write::UpdateAutomation(advanced))
    };
    let deployment = core.store.deployment(&automation.deployment_id).await?;
    let Some(deployment) = deployment.filter(|found| found.state != DeploymentState::Deleted) else {
        // It goes with its deployment.
        core.store.commit(advance(None)).await?;
        return Ok(None);
    };
    let fired = core.store.automation_run_at(id, due.scheduled_at).await?.is_some();
    // The clock was put back, or the automations are off: nothing happens, and nothing is told.
    if fired || !is_on(core, &deployment).await? {
        core.store.commit(advance(due.next)).await?;
        return Ok(None);
    }
    let (outcome, writes) = match obstacle {
        Some(obstacle) => (obstacle, Vec::new()),
        None => match start(core, &deployment, &automation).await {
            Ok((run, writes)) => (Outcome::Started(run.id), writes),
            Err(error) => (outcome(error)?, Vec::new()),
        },
    };
    let entry = entry(&automation, Some(due.scheduled_at), now, outcome);
    core.store.commit(advance(due.next).with_all(recorded(entry.clone())).with_all(writes)).await?;
    Ok(Some(entry))
}

/// What is due now, and what stands against it from the start: it is too late, or the schedule is not understood any
/// more, and so comes to its end.
fn come_due(core: &Core, automation: &Automation, now: Timestamp) -> Option<(Due, Option<Outcome>)> {
    match automation.due(now, core.settings.automation_grace.max(LEAST_GRACE)) {
        Ok(due) => due.map(|due| {
            let message = "the server did not run, or had too much to do, when it was due";
            (due, due.missed.then(|| Outcome::Skipped(failure("missed", message))))
        }),
        Err(error) => {
            let scheduled_at = automation.next_run_at?;
            let reason = failure("invalid_schedule", error.to_string());
            Some((Due { scheduled_at, missed: false, next: None }, Some(Outcome::Failed(reason))))
        }
    }
}

/// Runs an automation now, whether it is due or not, and also when it is paused.
///
/// # Errors
/// When no run can be started; then there is no entry either, for the caller is told.
pub(crate) async fn trigger(
    core: &Core,
    author: &Author,
    deployment_id: &DeploymentId,
    id: &AutomationId,
    tell: impl Tell<Triggered>,
) -> Result<Reply> {
    let (run, reply) = with_retries(|| async {
        let (deployment, automation) = find(core, &author.principal, deployment_id, id).await?;
        if !is_on(core, &deployment).await? {
            let message = "The automations of the deployment are off. Set its feature `automations` first.";
            return Err(Error::new(ErrorKind::Conflict, message).into());
        }
        let (run, writes) = start(core, &deployment, &automation).await?;
        let entry = entry(&automation, None, core.clock.now(), Outcome::Started(run.id.clone()));
        let id = run.id.clone();
        let reply = tell(Triggered { automation_id: automation.id, entry: entry.id.clone(), run })?;
        let commit = Commit::new()
            .with(author.entry(core, Subject::in_deployment(deployment_id, &entry.automation_id)))
            .with_all(recorded(entry))
            .with_all(writes)
            .with_all(author.kept(core, &reply)?);
        core.store.commit(commit).await?;
        Ok::<_, Attempt>((id, reply))
    })
    .await?;
    core.nudges.run(run);
    Ok(reply)
}

/// A run that works on the instructions, and the writes that start it.
///
/// # Errors
/// When the deployment is not ready, the tenant has no credits, the thread is gone, or a run of it is unfinished: two
/// tasks never mix.
async fn start(core: &Core, deployment: &Deployment, automation: &Automation) -> Result<(Run, Vec<Write>)> {
    messages::require_ready(core, deployment)?;
    deployments::require_credits(core, &deployment.tenant_id).await?;
    let thread = core.store.thread(&automation.thread_id).await?;
    let thread = thread.filter(|thread| thread.deployment_id == deployment.id);
    let thread = thread.ok_or_else(|| Error::not_found("Thread"))?;
    if let Some(run) = core.store.unfinished_run(&thread.id).await? {
        let message = format!("The thread is busy with {}. Wait for it to end, or cancel it.", run.id);
        return Err(Error::new(ErrorKind::Conflict, message));
    }
    let new = NewMessage { content: automation.instructions.clone(), thread: None, attachments: Vec::new() };
    Ok(messages::start(core, deployment, &thread, &new, RunKind::Message))
}

/// What becomes of an instant whose run could not be started; an error that may pass is none of these.
fn outcome(error: Error) -> Result<Outcome> {
    let code = match error.kind() {
        _ if error.is_conflict() => {
            return Ok(Outcome::Skipped(failure("thread_busy", error.message())));
        }
        ErrorKind::InsufficientCredits => "insufficient_credits",
        ErrorKind::NotReady => "deployment_not_ready",
        ErrorKind::NotFound => "thread_not_found",
        _ => return Err(error),
    };
    Ok(Outcome::Failed(failure(code, error.message())))
}

fn entry(
    automation: &Automation,
    scheduled_at: Option<Timestamp>,
    now: Timestamp,
    outcome: Outcome,
) -> AutomationRun {
    AutomationRun {
        id: AutomationRunId::generate(),
        automation_id: automation.id.clone(),
        deployment_id: automation.deployment_id.clone(),
        scheduled_at,
        created_at: now,
        outcome,
    }
}

/// The writes that put an entry into a history, which keeps its length.
fn recorded(entry: AutomationRun) -> [Write; 2] {
    let automation = entry.automation_id.clone();
    [Write::InsertAutomationRun(entry), Write::TrimAutomationRuns(automation, limits::AUTOMATION_RUNS)]
}
