//! The conformance suite of [`Harness`], and a driver that does for a harness what the engine does.
//!
//! Run [`conforms`] on an implementation whose agents answer the same each time, or the checks one by one. A
//! [`Trial`] is one run that can be cut off and restarted anywhere; it is useful for tests of one's own, too.
//! Every check panics when the rule does not hold, with a text that names the rule.

use std::{sync::Arc, time::Duration};

use futures::StreamExt;
use prism_types::{DeploymentId, InstanceId, RunId, ThreadId};
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::{
    adapters::sandbox::MemorySandbox,
    domain::deployment::AgentSpec,
    ports::{
        AgentMemories, AgentSetup, BoxFuture, Harness, HarnessEvent, Preparation, Remembered, RunInput,
        Sandbox, SandboxRequest, UserMessage,
    },
};

/// Most steps of a run that the suite follows.
const MOST_STEPS: usize = 100_000;
/// Most places at which the suite cuts a run off.
const MOST_CUTS: usize = 100;
/// How long a harness may take for one step.
const STEP_DEADLINE: Duration = Duration::from_secs(2 * 60 * 60);

/// What the suite runs: a harness and its agents.
pub trait HarnessFixture: Sync {
    /// The harness.
    fn harness(&self) -> &dyn Harness;

    /// An agent, always the same but for its ids. It can be one agent that is given out again and again, when its
    /// threads know nothing of each other.
    fn agent(&self) -> BoxFuture<'_, Preparation>;
}

/// Runs every check. The harness must be deterministic: the same agent does the same each time.
///
/// # Panics
/// When the harness breaks a rule of the port.
pub async fn conforms(fixture: &dyn HarnessFixture) {
    an_agent_can_be_prepared_again(fixture).await;
    a_run_ends_with_exactly_one_last_event(fixture).await;
    the_message_of_a_run_is_reported_as_read(fixture).await;
    dropping_the_stream_is_harmless(fixture).await;
    a_restart_neither_repeats_nor_skips(fixture).await;
    an_agent_remembers_what_it_is_told(fixture).await;
    forgetting_what_is_not_known_is_no_error(fixture).await;
}

/// Preparing is repeated after a restart of the gateway, so it must work on an agent that is ready.
///
/// # Panics
/// When the rule does not hold.
pub async fn an_agent_can_be_prepared_again(fixture: &dyn HarnessFixture) {
    let agent = fixture.agent().await;
    for time in ["once", "twice"] {
        let prepared = fixture.harness().prepare(agent.clone()).await;
        assert_eq!(prepared, Ok(()), "an agent is prepared {time}");
    }
}

/// The stream ends after its first last event, and not before.
///
/// # Panics
/// When the rule does not hold.
pub async fn a_run_ends_with_exactly_one_last_event(fixture: &dyn HarnessFixture) {
    let mut trial = prepared(fixture).await;
    trial.finish(fixture.harness()).await;
    let (last, before) = trial.events.split_last().expect("a run has events");
    assert!(last.is_last(), "a run ends with a last event, not {last:?}");
    let early = before.iter().find(|event| event.is_last() && !matches!(event, HarnessEvent::Asked { .. }));
    assert_eq!(early, None, "a run has one last event");
}

/// A message that was answered must not come again after a restart.
///
/// # Panics
/// When the rule does not hold.
pub async fn the_message_of_a_run_is_reported_as_read(fixture: &dyn HarnessFixture) {
    let mut trial = prepared(fixture).await;
    trial.finish(fixture.harness()).await;
    assert!(trial.read >= 1, "the message that started the run was read");
}

/// A stream can be dropped after any step, and others go on.
///
/// # Panics
/// When the rule does not hold.
pub async fn dropping_the_stream_is_harmless(fixture: &dyn HarnessFixture) {
    let mut whole = prepared(fixture).await;
    whole.finish(fixture.harness()).await;
    for cut in cuts(whole.events.len()) {
        let mut dropped = prepared(fixture).await;
        dropped.advance(fixture.harness(), cut).await;
        let mut other = prepared(fixture).await;
        other.finish(fixture.harness()).await;
        assert_eq!(told(&other.events), told(&whole.events), "after a stream was dropped at step {cut}");
    }
}

/// Cut off after any step and started again from its checkpoint, a run tells what it tells when it is left
/// alone.
///
/// # Panics
/// When the rule does not hold.
pub async fn a_restart_neither_repeats_nor_skips(fixture: &dyn HarnessFixture) {
    let mut whole = prepared(fixture).await;
    whole.finish(fixture.harness()).await;
    for cut in cuts(whole.events.len()) {
        let mut trial = prepared(fixture).await;
        trial.advance(fixture.harness(), cut).await;
        trial.finish(fixture.harness()).await;
        assert_eq!(told(&trial.events), told(&whole.events), "restarted after step {cut}");
    }
}

/// An agent that remembers keeps exactly what it is told, unless that is out of date.
///
/// # Panics
/// When the rule does not hold.
pub async fn an_agent_remembers_what_it_is_told(fixture: &dyn HarnessFixture) {
    let (harness, agent) = (fixture.harness(), fixture.agent().await);
    harness.prepare(agent.clone()).await.expect("an agent is prepared");
    let memories = async || harness.memories(agent.clone()).await.expect("an agent tells what it remembers");
    let Some(before) = memories().await else { return };
    let mut version = before.version;
    for entries in
        [vec!["They like tea.", "Two\nlines, \u{1f980} and §"], vec!["They like coffee."], Vec::new()]
    {
        let entries: Vec<_> = entries.into_iter().map(str::to_owned).collect();
        let told = harness.remember(agent.clone(), entries.clone(), version.clone()).await;
        let Ok(Remembered::Kept { home, version: now }) = told else { panic!("it is not kept: {told:?}") };
        let kept = memories().await.expect("it still remembers");
        assert_eq!(kept, AgentMemories { home: Some(home), version: now.clone(), entries });
        let late = harness.remember(agent.clone(), vec!["Late".to_owned()], version).await;
        assert_eq!(late, Ok(Remembered::Changed), "what is out of date is not kept");
        assert_eq!(memories().await, Some(kept), "and changes nothing");
        version = now;
    }
}

/// Threads are forgotten again when a gateway stopped before it had noted it.
///
/// # Panics
/// When the rule does not hold.
pub async fn forgetting_what_is_not_known_is_no_error(fixture: &dyn HarnessFixture) {
    let mut trial = prepared(fixture).await;
    trial.finish(fixture.harness()).await;
    let unknown = ThreadId::from_suffix(&suffix()).expect("an id");
    for _ in 0..2 {
        let threads = vec![trial.thread_id.clone(), unknown.clone()];
        assert_eq!(fixture.harness().forget(trial.agent.clone(), threads).await, Ok(()));
    }
}

/// One run, with what the engine would have committed of it.
#[derive(Clone)]
#[non_exhaustive]
pub struct Trial {
    /// The run, another one for each trial.
    pub run_id: RunId,
    /// Its thread, another one for each trial.
    pub thread_id: ThreadId,
    /// The agent.
    pub agent: Preparation,
    /// The messages of the thread; the first has position 1.
    pub messages: Vec<String>,
    /// What a question is answered with when no message waits.
    pub answer: String,
    /// Every event so far.
    pub events: Vec<HarnessEvent>,
    /// The last checkpoint.
    pub checkpoint: Option<String>,
    /// The position of the last message that was read.
    pub read: u64,
}

impl Trial {
    /// A run that is started by a message.
    pub fn new(agent: Preparation, message: &str) -> Self {
        let suffix = suffix();
        Self {
            run_id: RunId::from_suffix(&suffix).expect("an id"),
            thread_id: ThreadId::from_suffix(&suffix).expect("an id"),
            agent,
            messages: vec![message.to_owned()],
            answer: "Yes.".to_owned(),
            events: Vec::new(),
            checkpoint: None,
            read: 0,
        }
    }

    /// Goes on until the end, restarting after each question with an answer.
    ///
    /// # Panics
    /// When a stream ends early, goes on after its end, or does not end.
    pub async fn finish(&mut self, harness: &dyn Harness) {
        self.advance(harness, MOST_STEPS).await;
        assert!(self.ended(), "a run ends within {MOST_STEPS} steps");
    }

    /// Goes on until the end, or until there were so many steps in all; then drops the stream.
    ///
    /// # Panics
    /// When a stream ends early, or goes on after its end.
    pub async fn advance(&mut self, harness: &dyn Harness, steps: usize) {
        while self.events.len() < steps && !self.ended() {
            let asked = matches!(self.events.last(), Some(HarnessEvent::Asked { .. }));
            if asked && self.read == self.messages.len() as u64 {
                self.messages.push(self.answer.clone());
            }
            self.follow_stream(harness, steps).await;
        }
    }

    /// What the agent wrote: its tokens, joined.
    pub fn text(&self) -> String {
        let tokens = self.events.iter().map(|event| match event {
            HarnessEvent::Token(text) => text.as_str(),
            _ => "",
        });
        tokens.collect()
    }

    /// Whether the run is completed or failed.
    pub fn ended(&self) -> bool {
        matches!(self.events.last(), Some(HarnessEvent::Completed | HarnessEvent::Failed { .. }))
    }

    async fn follow_stream(&mut self, harness: &dyn Harness, steps: usize) {
        let waiting = self.messages.iter().zip(1..).filter(|(_, position)| *position > self.read);
        // Held until the stream is dropped: the engine's inbox stays open while a run works.
        let (sender, inbox) = mpsc::channel(self.messages.len());
        for (content, position) in waiting {
            let message =
                UserMessage { position, content: content.clone(), attachments: Vec::new(), decision: None };
            sender.try_send(message).expect("the inbox has a place for every message");
        }
        let mut input = RunInput::new(self.run_id.clone(), self.thread_id.clone(), self.agent.clone(), inbox);
        input.checkpoint = self.checkpoint.clone();
        let mut stream = harness.run(input);
        while self.events.len() < steps {
            let next = tokio::time::timeout(STEP_DEADLINE, stream.next()).await;
            let step = next.expect("a step comes in time").expect("a stream ends with a last event");
            if let Some(read) = step.read {
                assert!(read > self.read, "a position is reported once: {read} after {}", self.read);
                assert!(read <= self.messages.len() as u64, "there is no message at position {read}");
                self.read = read;
            }
            self.checkpoint = step.checkpoint.or(self.checkpoint.take());
            let is_last = step.event.is_last();
            self.events.push(step.event);
            if is_last {
                assert_eq!(stream.next().await, None, "nothing follows a last event");
                return;
            }
        }
    }
}

/// An agent in a sandbox in memory, with this system prompt and every other setting at its default.
pub async fn memory_agent(system_prompt: &str) -> Preparation {
    let suffix = suffix();
    let deployment = DeploymentId::from_suffix(&suffix).expect("an id");
    let instance = InstanceId::from_suffix(&suffix).expect("an id");
    let request = SandboxRequest::new(instance.clone(), deployment.clone(), false);
    let sandbox = MemorySandbox::new().ensure(request).await.expect("memory is always there");
    let spec = AgentSpec::new(system_prompt);
    let setup = AgentSetup::new(deployment, instance, Arc::new(spec), "provider/model".to_owned());
    Preparation::new(setup, sandbox)
}

async fn prepared(fixture: &dyn HarnessFixture) -> Trial {
    let agent = fixture.agent().await;
    fixture.harness().prepare(agent.clone()).await.expect("an agent is prepared");
    Trial::new(agent, "Hello, agent.")
}

/// The events that somebody sees: a restart may report progress, and what was used so far, once more.
fn told(events: &[HarnessEvent]) -> Vec<&HarnessEvent> {
    let seen = |event: &&HarnessEvent| !matches!(event, HarnessEvent::Progress | HarnessEvent::Used(_));
    let used = events.iter().rfind(|event| matches!(event, HarnessEvent::Used(_)));
    events.iter().filter(seen).chain(used).collect()
}

/// Places to cut a run of so many steps: all of them, or evenly spread ones.
fn cuts(steps: usize) -> impl Iterator<Item = usize> {
    (1..steps).step_by(steps.div_ceil(MOST_CUTS).max(1))
}

fn suffix() -> String {
    format!("testkit-{}", Uuid::now_v7().simple())
}
