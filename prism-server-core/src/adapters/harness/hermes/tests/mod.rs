//! The harness against a bridge that does what a test says: what a real agent does not do on demand.

mod bridge;
mod faults;
mod files;
mod questions;

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use futures::{FutureExt, StreamExt};
use prism_types::{Features, InstanceId, Runtime};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::mpsc;

use self::bridge::Bridge;
use super::HermesHarness;
use crate::{
    domain::{deployment::AgentSpec, workspace::WorkspacePath},
    ports::{
        AgentSetup, BoxFuture, FileWrite, Harness, HarnessEvent, Preparation, RunInput, SandboxError,
        SandboxInstance, StepStream, UserMessage,
    },
};

/// A harness with one agent, whose bridge a test plays.
struct Stage {
    harness: HermesHarness,
    directory: TempDir,
    agent: Preparation,
    sandbox: Arc<Watched>,
}

impl Stage {
    async fn new(features: Features) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let harness = HermesHarness::new(directory.path().join("agents"));
        let sandbox = Arc::new(Watched { id: "ins_stage".parse().unwrap(), ended: AtomicU32::new(0) });
        let spec = AgentSpec { features, ..AgentSpec::new("Be brief.") };
        let (deployment, instance) = ("dep_stage".parse().unwrap(), sandbox.id.clone());
        let setup = AgentSetup::new(deployment, instance, Arc::new(spec), "provider/model".to_owned());
        let program = harness.program(setup.clone()).await.unwrap().unwrap();
        assert_eq!((program.runtime, program.script.as_str()), (Runtime::Hermes, "bridge.py"));
        let agent = Preparation::new(setup, sandbox.clone());
        Self { harness, directory, agent, sandbox }
    }

    /// A bridge that says hello for this process of the agent.
    async fn bridge(&self, boot: &str) -> Bridge {
        Bridge::connect(&self.directory.path().join("agents/ins_stage"), boot, 1, 1).await
    }

    /// A run with a message, and where to put further ones.
    fn run(
        &self,
        checkpoint: Option<String>,
        message: UserMessage,
    ) -> (StepStream, mpsc::Sender<UserMessage>) {
        let (sender, inbox) = mpsc::channel(8);
        sender.try_send(message).unwrap();
        let (run, thread) = ("run_stage".parse().unwrap(), "thr_stage".parse().unwrap());
        let mut input = RunInput::new(run, thread, self.agent.clone(), inbox);
        input.checkpoint = checkpoint;
        (self.harness.run(input), sender)
    }

    fn ended(&self) -> u32 {
        self.sandbox.ended.load(Ordering::Relaxed)
    }
}

/// A sandbox that counts how often it was ended from outside.
struct Watched {
    id: InstanceId,
    ended: AtomicU32,
}

impl SandboxInstance for Watched {
    fn id(&self) -> &InstanceId {
        &self.id
    }

    fn read_file<'a>(&'a self, _: &'a WorkspacePath) -> BoxFuture<'a, Result<Option<Vec<u8>>, SandboxError>> {
        async { Ok(None) }.boxed()
    }

    fn write_file<'a>(
        &'a self,
        _: &'a WorkspacePath,
        _: Vec<u8>,
    ) -> BoxFuture<'a, Result<FileWrite, SandboxError>> {
        async { Err(SandboxError::Gone) }.boxed()
    }

    fn delete_file<'a>(&'a self, _: &'a WorkspacePath) -> BoxFuture<'a, Result<bool, SandboxError>> {
        async { Ok(false) }.boxed()
    }

    fn end(&self) -> BoxFuture<'_, Result<(), SandboxError>> {
        self.ended.fetch_add(1, Ordering::Relaxed);
        async { Ok(()) }.boxed()
    }
}

fn message(position: u64, content: &str) -> UserMessage {
    UserMessage { position, content: content.to_owned(), attachments: Vec::new(), decision: None }
}

/// Everything until the end, but for progress; and the last checkpoint.
async fn rest(steps: &mut StepStream) -> (Vec<HarnessEvent>, Option<String>) {
    let (mut events, mut checkpoint) = (Vec::new(), None);
    while let Some(step) = steps.next().await {
        checkpoint = step.checkpoint.or(checkpoint);
        if step.event != HarnessEvent::Progress {
            events.push(step.event);
        }
    }
    (events, checkpoint)
}

/// What the agent answers that opens its session.
fn opened(unfinished: &[&str]) -> Value {
    json!({"session_id": "s", "unfinished": unfinished, "input": 0, "output": 0})
}

/// A turn that says a text and ends well.
fn turn(text: &str) -> [(&'static str, Value); 3] {
    let usage = json!({"input": 10, "output": 2});
    [
        ("message.delta", json!({"text": text})),
        ("message.complete", json!({"text": text, "usage": usage, "status": "complete"})),
        ("prism.idle", Value::Null),
    ]
}
