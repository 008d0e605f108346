//! Driving runs: what a harness does becomes events, and what humans say reaches the harness.
//!
//! One driver works on a run at a time. It commits what the harness did before it asks for much more, so that
//! memory is bounded and a slow disk slows the agent. A driver that is interrupted, by a shutdown, a crash or
//! a failing store, leaves a run that the next driver takes up at its last committed checkpoint.
//!
//! A message for a run that comes while the run ends is not lost: storing it changes the run's revision, so
//! that the ending commit is a conflict; the driver then finds the message unread and lets the harness go on.

use std::{
    collections::HashSet,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::{FutureExt, StreamExt};
use prism_types::{MessageRole, RunId, RunKind};
use tokio::sync::{Notify, mpsc};
use tracing::Instrument as _;

use super::{
    SWEEP_PAGE,
    agents::{Agent, Agents},
    memories::Memories,
    run_log::{self, RunLog, failed, read_past},
    scrubbing,
    workers::{Round, Workers},
};
use crate::{
    core::Core,
    domain::{
        deployment::{AgentSpec, Deployment, DeploymentState},
        limits,
        message::Message,
        run::{Run, RunCommand, RunState},
    },
    error::{Result, failure},
    ports::{HarnessEvent, HarnessStep, RunInput, StoreError, UserMessage},
    service::runs,
    telemetry::{self, Lasting},
};

/// Most steps of one commit.
const STEPS: usize = 64;
/// Room for messages that the harness has not taken.
const INBOX: usize = limits::UNREAD_MESSAGES as usize + 8;
/// How often a run may lose its agent before it fails.
const LOSSES: u32 = 3;
/// How long the agent of a cancelled run may take to stop.
const INTERRUPT: Duration = Duration::from_secs(10);
/// Waiting times after a failure of the store: doubled each time, up to the second.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// Drives all runs of a control plane.
pub(super) struct Drivers {
    core: Arc<Core>,
    agents: Arc<Agents>,
    memories: Arc<Memories>,
    workers: Workers<RunId>,
    round: Round<RunId>,
    /// Runs that an earlier engine left in flight, until they are taken up.
    interrupted: Mutex<HashSet<RunId>>,
}

impl Drivers {
    pub(super) fn new(
        core: Arc<Core>,
        agents: Arc<Agents>,
        memories: Arc<Memories>,
        interrupted: HashSet<RunId>,
    ) -> Self {
        let workers = Workers::new(core.settings.concurrent_runs);
        Self {
            core,
            agents,
            memories,
            workers,
            round: Round::default(),
            interrupted: Mutex::new(interrupted),
        }
    }

    /// A run has something to do.
    pub(super) fn nudge(self: &Arc<Self>, id: RunId) {
        if let Some(wake) = self.workers.nudge(&id) {
            self.spawn(id, wake);
        }
    }

    /// Waits until there is a place again for somebody who found none.
    pub(super) async fn freed(&self) {
        self.workers.freed().await;
    }

    /// Looks for runs that nobody drives.
    pub(super) async fn sweep(self: &Arc<Self>) -> Result<()> {
        let store = &self.core.store;
        let page = async |after: Option<RunId>| store.running_runs(after.as_ref(), SWEEP_PAGE).await;
        let begin = |id, wake| self.spawn(id, wake);
        self.workers.go_round(&self.round, page, |run| (run.id.clone(), run.id), begin).await?;
        Ok(())
    }

    fn spawn(self: &Arc<Self>, id: RunId, wake: Arc<Notify>) {
        let this = self.clone();
        self.core.tasks.spawn(async move {
            let _counted = Lasting::run();
            let shutdown = this.core.shutdown.clone();
            let span = tracing::info_span!("run", id = %id);
            shutdown.run_until_cancelled(this.work(&id, &wake).instrument(span)).await;
        });
    }

    /// Drives a run until there is nothing to do.
    async fn work(&self, id: &RunId, wake: &Notify) {
        let mut wait = BACK_OFF.0;
        loop {
            match AssertUnwindSafe(self.drive(id, wake)).catch_unwind().await {
                Ok(Ok(())) => wait = BACK_OFF.0,
                Ok(Err(error)) => {
                    tracing::warn!(run = %id, %error, "a run was interrupted; it is taken up again");
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(BACK_OFF.1);
                    continue;
                }
                Err(_) => {
                    tracing::error!(run = %id, "driving a run panicked");
                    let reason = failure("internal", "the server failed while it worked on the run");
                    if let Err(error) = self.fail(id, reason).await {
                        tracing::error!(run = %id, %error, "the failure of a run was not recorded");
                    }
                }
            }
            if !self.workers.finish(id) {
                return;
            }
        }
    }

    /// Drives a run from its last checkpoint until it ends, waits for a human, or is gone.
    async fn drive(&self, id: &RunId, wake: &Notify) -> Result<()> {
        let (mut read, mut losses) = (None, 0);
        loop {
            let Some(run) = self.core.store.run(id).await? else { return Ok(()) };
            if run.state == RunState::Running && run.cancelled {
                match self.fail(id, runs::cancelled()).await {
                    // Whoever cancelled it has ended it.
                    Err(error) if error.is_conflict() => {}
                    done => done?,
                }
                continue;
            }
            if run.kind == RunKind::Dreaming && run.state.is_terminal() {
                self.core.nudges.upkeep(run.deployment_id.clone());
            }
            if run.error.as_ref().is_some_and(|error| error.code == runs::CANCELLED) {
                return self.interrupt(run).await;
            }
            // Before the deployment is read: a delete that comes after that reading cancels this work.
            let work = self.core.cancellations.begin(&run.deployment_id);
            let drive = Drive::start(self, run, self.is_interrupted(id)).await?;
            self.forget_interrupted(id);
            let Some(mut drive) = drive else { return Ok(()) };
            // A run that goes on with a message has the memories that it had.
            if read.is_none() {
                drive.sync().await;
            }
            let Some(ended) = work.token.run_until_cancelled(drive.work(wake)).await else {
                return Ok(());
            };
            match ended {
                // The harness ended with messages unread: it goes on with them, if it ever takes one.
                Ok(Ended::Unread) if read == Some(drive.log.run.read_position) => {
                    let reason = failure("harness_failed", "the agent does not take its messages");
                    return self.fail(id, reason).await;
                }
                Ok(Ended::Unread) => read = Some(drive.log.run.read_position),
                Ok(Ended::Lost) => {
                    losses += 1;
                    if losses > LOSSES {
                        let reason = failure("agent_lost", "the agent died again and again during the run");
                        return self.fail(id, reason).await;
                    }
                }
                // What the agent learned before it was cancelled is there to stay.
                Ok(Ended::Cancelled) => drive.sync().await,
                Ok(Ended::Over) if drive.log.run.kind == RunKind::Dreaming => {
                    self.core.nudges.upkeep(drive.log.run.deployment_id.clone());
                    return Ok(());
                }
                Ok(Ended::Over) | Err(StoreError::Missing(_)) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn fail(&self, id: &RunId, reason: prism_types::Failure) -> Result<()> {
        let Some(run) = self.core.store.run(id).await? else { return Ok(()) };
        let (_, commit) = run_log::end_of(&self.core, run, reason).await?;
        Ok(self.core.store.commit(commit).await?)
    }

    /// Lets the agent of a run that was cancelled stop. Nothing depends on it: an agent that was not reached finds out
    /// when the next run of the thread comes.
    async fn interrupt(&self, run: Run) -> Result<()> {
        let Some(deployment) = self.core.store.deployment(&run.deployment_id).await? else { return Ok(()) };
        let Some(spec) = self.core.store.spec(&deployment.id, run.spec_version).await? else { return Ok(()) };
        if let Ok(Some(agent)) = self.agents.living(&self.core, &deployment, &Arc::new(spec)).await {
            let stopped = agent.harness.interrupt(agent.preparation, run.id.clone(), run.thread_id);
            if tokio::time::timeout(INTERRUPT, stopped).await.is_err() {
                tracing::warn!(run = %run.id, "the agent of a cancelled run was not reached");
            }
        }
        Ok(())
    }

    fn is_interrupted(&self, id: &RunId) -> bool {
        self.interrupted.lock().unwrap_or_else(PoisonError::into_inner).contains(id)
    }

    fn forget_interrupted(&self, id: &RunId) {
        self.interrupted.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
    }
}

/// How working on a run ended.
enum Ended {
    /// It is over, waits for a human, or is gone.
    Over,
    /// The harness is through, but messages came that it has not taken.
    Unread,
    /// The agent is gone; the run goes on with the next one.
    Lost,
    /// Somebody cancelled it.
    Cancelled,
}

/// One attempt of working on a run.
struct Drive<'a> {
    core: &'a Core,
    memories: &'a Memories,
    log: RunLog,
    work: Work,
    /// The position of the last message that was put into the inbox.
    delivered: u64,
}

/// What there is to do.
enum Work {
    /// The agent works.
    Agent(Agent),
    /// The agent could not be had.
    Failed(HarnessStep),
}

impl<'a> Drive<'a> {
    /// Takes a run up; `None` when there is nothing to do on it.
    async fn start(drivers: &'a Drivers, mut run: Run, interrupted: bool) -> Result<Option<Self>> {
        let core = drivers.core.as_ref();
        if run.state != RunState::Running {
            return Ok(None);
        }
        let Some(deployment) = core.store.deployment(&run.deployment_id).await? else { return Ok(None) };
        if deployment.state == DeploymentState::Deleted {
            return Ok(None);
        }
        if interrupted {
            run.apply(RunCommand::Resume)?;
        }
        let spec = core.store.spec(&deployment.id, run.spec_version).await?.map(Arc::new);
        let file_events = spec.as_ref().is_some_and(|spec| spec.features.filesystem_webhooks);
        let dreams = spec.as_ref().is_some_and(|spec| spec.features.dreaming);
        let patience = spec.as_ref().and_then(|spec| spec.approvals.timeout_seconds);
        let mut log = RunLog::new(run, file_events).notes_quiet(dreams).patience(patience);
        if log.run.checkpoint.is_some() {
            read_past(core, &mut log).await?;
        }
        let work = match &spec {
            Some(spec) => {
                let is_current = log.run.spec_version == deployment.spec_version;
                work_on(&drivers.agents, core, &deployment, spec, is_current).await
            }
            None => Work::Failed(failed(failure("internal", "the run's specification is gone"))),
        };
        let delivered = log.run.read_position;
        Ok(Some(Self { core, memories: &drivers.memories, log, work, delivered }))
    }

    async fn work(&mut self, wake: &Notify) -> Result<Ended, StoreError> {
        let (inbox, receiver) = mpsc::channel(INBOX);
        let agent = match &self.work {
            Work::Agent(agent) => agent,
            Work::Failed(step) => return self.commit(vec![step.clone()]).await,
        };
        let run = &self.log.run;
        let mut input =
            RunInput::new(run.id.clone(), run.thread_id.clone(), agent.preparation.clone(), receiver);
        input.checkpoint = run.checkpoint.clone();
        let scrubber = agent.preparation.setup.outbound.scrubber();
        let mut steps = scrubbing::scrubbed(agent.harness.run(input), scrubber).ready_chunks(STEPS);
        self.deliver(&inbox).await?;
        loop {
            let chunk = tokio::select! {
                chunk = steps.next() => chunk,
                () = wake.notified() => {
                    self.refresh().await?;
                    if self.log.run.cancelled {
                        return Ok(Ended::Cancelled);
                    }
                    self.deliver(&inbox).await?;
                    continue;
                }
            };
            let chunk = chunk.unwrap_or_else(|| {
                vec![failed(failure("harness_failed", "the agent ended without saying how"))]
            });
            let last = chunk.iter().any(|step| step.event.is_last());
            let lost = chunk.iter().find_map(|step| match &step.event {
                HarnessEvent::Lost { message } => Some(message.clone()),
                _ => None,
            });
            let ended = self.commit(chunk).await?;
            if matches!(ended, Ended::Cancelled) {
                return Ok(ended);
            }
            if let Some(reason) = lost {
                telemetry::agent_lost();
                tracing::warn!(run = %self.log.run.id, reason, "a run lost its agent");
                return Ok(Ended::Lost);
            }
            if last || matches!(ended, Ended::Unread) {
                if self.log.run.state == RunState::WaitingOnHuman {
                    // It can wait for days. Not before: a message that comes meanwhile would make it ask later.
                    self.sync().await;
                }
                return Ok(ended);
            }
        }
    }

    /// Brings the agent's memories in step. A failure is no reason not to go on: the next run tries again.
    async fn sync(&self) {
        let Work::Agent(agent) = &self.work else { return };
        if !agent.preparation.setup.spec.features.memory {
            return;
        }
        let deployment = &self.log.run.deployment_id;
        if let Err(error) = self.memories.sync(self.core, deployment, agent).await {
            tracing::warn!(%deployment, %error, "memories are not in step");
        }
    }

    /// Commits steps, unless the run was cancelled in between. When a message came in between, the run's revision is
    /// read again. When the steps complete the run or ask a human, and messages are unread, that last step is left
    /// out: the harness is to take the messages first, so that none is lost and none is taken for the answer to a
    /// question that came after it.
    async fn commit(&mut self, mut steps: Vec<HarnessStep>) -> Result<Ended, StoreError> {
        if let Some(end) = steps.iter().position(|step| step.event.is_last()) {
            steps.truncate(end + 1);
        }
        let (mut ended, mut in_step) = (Ended::Over, false);
        loop {
            let pauses = matches!(
                steps.last().map(|step| &step.event),
                Some(HarnessEvent::Completed | HarnessEvent::Asked { .. })
            );
            if pauses && self.has_unread(&steps).await? {
                steps.pop();
                ended = Ended::Unread;
            }
            let Some(last) = steps.last() else { return Ok(ended) };
            if matches!(last.event, HarnessEvent::Completed | HarnessEvent::Failed { .. }) && !in_step {
                // Whoever sees the end of the run finds what was learned in it.
                self.sync().await;
                in_step = true;
            }
            let Ok(recorded) = self.log.record(&steps, self.core.clock.now()) else {
                // Only a run that ended meanwhile refuses; then there is nothing to add.
                return Ok(Ended::Over);
            };
            let (commit, advance) = (recorded.commit, recorded.advance);
            match self.core.store.commit(commit).await {
                Ok(()) => {
                    self.log.advance(advance);
                    return Ok(ended);
                }
                Err(StoreError::Conflict(_)) => {
                    self.refresh().await?;
                    if self.log.run.cancelled {
                        return Ok(Ended::Cancelled);
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Reads what others may have changed of the run.
    async fn refresh(&mut self) -> Result<(), StoreError> {
        let fresh = self.core.store.run(&self.log.run.id).await?.ok_or(StoreError::Missing("run"))?;
        self.log.run.revision = fresh.revision;
        self.log.run.state = fresh.state;
        self.log.run.cancelled = fresh.cancelled;
        Ok(())
    }

    /// Whether messages for the run are there that the harness has not taken after these steps.
    async fn has_unread(&self, steps: &[HarnessStep]) -> Result<bool, StoreError> {
        let read = steps.iter().rev().find_map(|step| step.read).unwrap_or(self.log.run.read_position);
        Ok(self.messages(read).await?.iter().any(|message| message.role == MessageRole::User))
    }

    /// Puts new messages into the inbox. They fit, since a run takes no more messages than that; what did not
    /// fit would be put there at the next wake-up.
    async fn deliver(&mut self, inbox: &mpsc::Sender<UserMessage>) -> Result<(), StoreError> {
        for message in self.messages(self.delivered).await? {
            let position = message.position;
            if message.role == MessageRole::User {
                let Message { content, attachments, decision, .. } = message;
                if inbox.try_send(UserMessage { position, content, attachments, decision }).is_err() {
                    return Ok(());
                }
            }
            self.delivered = position;
        }
        Ok(())
    }

    async fn messages(&self, after: u64) -> Result<Vec<Message>, StoreError> {
        self.core.store.messages(&self.log.run.thread_id, after, INBOX as u32).await
    }
}

/// The agent, or why there is none.
async fn work_on(
    agents: &Agents,
    core: &Core,
    deployment: &Deployment,
    spec: &Arc<AgentSpec>,
    is_current: bool,
) -> Work {
    match agents.revive(core, deployment, spec, is_current).await {
        Ok(agent) => Work::Agent(agent),
        Err(failure) => Work::Failed(failed(failure)),
    }
}
