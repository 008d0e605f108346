//! An agent as a scenario talks to it.

use std::time::Duration;

use prism_client::{
    Client,
    resources::{DeploymentHandle, Dreams, Files, Memories},
};
use prism_types::{
    AnswerApproval, DeploymentId, Event, EventPayload, InstanceId, MessageReceipt, Run, RunId, RunStatus,
    SendMessage, Thread, ThreadId,
};
use tokio::time::timeout;

use crate::ground::{DEADLINE, Ground};

/// A deployment.
#[derive(Clone)]
pub(crate) struct Agent<'a> {
    ground: &'a Ground,
    client: Client,
    pub(crate) id: DeploymentId,
}

impl<'a> Agent<'a> {
    pub(crate) fn new(ground: &'a Ground, id: DeploymentId) -> Self {
        Self { ground, client: ground.client(), id }
    }

    pub(crate) fn handle(&self) -> DeploymentHandle {
        self.client.deployment(&self.id)
    }

    pub(crate) async fn ready(&self) {
        let ready = self.client.deployments().wait_until_ready(&self.id).timeout(DEADLINE).await;
        ready.unwrap_or_else(|error| panic!("the agent is not ready: {error}"));
    }

    pub(crate) async fn instance(&self) -> InstanceId {
        self.ground.instance(&self.id).await
    }

    pub(crate) async fn send(&self, message: impl Into<SendMessage>) -> MessageReceipt {
        self.handle().messages().send(message).await.unwrap().into_inner()
    }

    /// Sends a message to a thread of its own, and waits for the end of the run.
    pub(crate) async fn ask(&self, message: &str) -> Told {
        let sent = self.send(SendMessage::new(message).new_thread()).await;
        self.ended(&sent.run_id).await
    }

    /// What a run told, after it ended.
    pub(crate) async fn ended(&self, run: &RunId) -> Told {
        let is_end =
            |event: &Event| matches!(&event.payload, EventPayload::RunStatus(s) if s.status.is_terminal());
        self.until(run, |told| told.events.last().is_some_and(is_end)).await
    }

    /// What a run completed with.
    pub(crate) async fn completed(&self, run: &RunId) -> Told {
        let told = self.ended(run).await;
        assert_eq!(told.status(), Some(RunStatus::Completed), "{told:#?}");
        told
    }

    /// What a run told, as soon as it is as wanted.
    pub(crate) async fn until(&self, run: &RunId, wanted: impl Fn(&Told) -> bool) -> Told {
        let mut told = Told { events: Vec::new() };
        let follow = async {
            let start = format!("evt_{}_0", self.id.suffix()).parse().unwrap();
            let mut stream = self.handle().events().stream().after(start).open().await.unwrap();
            while !wanted(&told) {
                let event = stream.next().await.expect("the stream goes on").unwrap();
                if event.payload.run_id() == Some(run) {
                    told.events.push(event);
                }
            }
        };
        if timeout(DEADLINE, follow).await.is_err() {
            panic!("not within {DEADLINE:?}; the run told {told:#?}");
        }
        told
    }

    /// Every event of the deployment so far, all its runs' ends included.
    pub(crate) async fn log(&self) -> Vec<Event> {
        let last = self.handle().events().stream().open().await.unwrap().last_event_id().cloned();
        let mut events = Vec::new();
        let start = format!("evt_{}_0", self.id.suffix()).parse().unwrap();
        let mut stream = self.handle().events().stream().after(start).open().await.unwrap();
        while events.last().map(|event: &Event| event.id.clone()) != last {
            events.push(timeout(DEADLINE, stream.next()).await.unwrap().unwrap().unwrap());
        }
        events
    }

    pub(crate) async fn run(&self, id: &RunId) -> Run {
        self.handle().runs().get(id).await.unwrap().into_inner()
    }

    pub(crate) async fn cancel(&self, id: &RunId) {
        self.handle().runs().cancel(id).await.unwrap();
    }

    pub(crate) fn memories(&self) -> Memories {
        self.handle().memories()
    }

    pub(crate) fn dreams(&self) -> Dreams {
        self.handle().dreams()
    }

    pub(crate) async fn delete_thread(&self, id: &ThreadId) {
        self.handle().threads().delete(id).await.unwrap();
    }

    /// All texts of the sessions that the agent keeps.
    pub(crate) async fn sessions(&self) -> Result<String, String> {
        self.ground.kind.sessions(self.ground.directory(), &self.instance().await).await
    }

    /// Decides the one question that waits.
    pub(crate) async fn decide(&self, request: AnswerApproval) {
        let pending = self.handle().approvals().list().pending(true).await.unwrap().into_inner().data;
        let [asked] = &pending[..] else { panic!("one question waits: {pending:?}") };
        self.handle().approvals().answer(&asked.approval_id, request).await.unwrap();
    }

    pub(crate) async fn thread(&self, id: &ThreadId) -> Thread {
        self.handle().threads().get(id).await.unwrap().into_inner()
    }

    /// The files of the workspace, as users have them.
    pub(crate) fn files(&self) -> Files {
        self.handle().files()
    }

    /// A file of the workspace.
    pub(crate) async fn file(&self, path: &str) -> Option<String> {
        self.ground.kind.workspace_file(self.ground.directory(), &self.instance().await, path).await
    }

    /// Waits for a file of the workspace, with which a tool tells that it runs.
    pub(crate) async fn has_file(&self, path: &str) {
        let look = async || self.file(path).await.map(drop).ok_or_else(|| "it is not there".to_owned());
        eventually(&format!("there is a file {path}"), look).await;
    }

    /// Makes an empty file in the workspace, as somebody who is not the agent.
    pub(crate) async fn touch(&self, path: &str) {
        self.ground.kind.touch(self.ground.directory(), &self.instance().await, path).await;
    }

    /// Kills everything that runs in the sandbox.
    pub(crate) async fn kill(&self) {
        self.ground.kind.kill(self.ground.directory(), &self.instance().await).await;
    }

    /// Deletes it and waits until nothing is left of it.
    pub(crate) async fn delete(&self) {
        let instance = self.instance().await;
        self.handle().delete().await.unwrap();
        let kind = self.ground.kind;
        eventually("nothing is left of a deleted agent", async || {
            let left = kind.left(self.ground.directory(), &instance).await;
            if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
        })
        .await;
    }
}

/// What a run told so far.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    pub(crate) events: Vec<Event>,
}

impl Told {
    /// Its tokens, joined.
    pub(crate) fn text(&self) -> String {
        let tokens = self.events.iter().filter_map(|event| match &event.payload {
            EventPayload::Token(token) => Some(token.delta.as_str()),
            _ => None,
        });
        tokens.collect()
    }

    /// Its last status.
    pub(crate) fn status(&self) -> Option<RunStatus> {
        self.events.iter().rev().find_map(|event| match &event.payload {
            EventPayload::RunStatus(changed) => Some(changed.status.clone()),
            _ => None,
        })
    }

    /// The code that it failed with.
    pub(crate) fn failure(&self) -> Option<&str> {
        self.events.iter().rev().find_map(|event| match &event.payload {
            EventPayload::RunStatus(changed) => changed.error.as_ref().map(|error| error.code.as_str()),
            _ => None,
        })
    }

    /// The names of the tools that were called, in order.
    pub(crate) fn tools(&self) -> Vec<&str> {
        let calls = self.events.iter().filter_map(|event| match &event.payload {
            EventPayload::ToolCall(call) => Some(call.tool.as_str()),
            _ => None,
        });
        calls.collect()
    }

    /// What the tools answered, as text.
    pub(crate) fn results(&self) -> String {
        let results = self.events.iter().filter_map(|event| match &event.payload {
            EventPayload::ToolResult(result) => Some(result.result.get()),
            _ => None,
        });
        results.collect::<Vec<_>>().join("\n")
    }

    /// What a human was asked.
    pub(crate) fn questions(&self) -> Vec<&str> {
        let questions = self.events.iter().filter_map(|event| match &event.payload {
            EventPayload::SteeringRequest(asked) => Some(asked.summary.as_str()),
            _ => None,
        });
        questions.collect()
    }
}

/// Waits until a condition holds.
pub(crate) async fn eventually(rule: &str, mut holds: impl AsyncFnMut() -> Result<(), String>) {
    let mut last = String::new();
    let waited = timeout(DEADLINE, async {
        let mut pause = tokio::time::interval(Duration::from_millis(50));
        while let Err(reason) = holds().await {
            last = reason;
            pause.tick().await;
        }
    });
    if waited.await.is_err() {
        panic!("{rule}: not within {DEADLINE:?}: {last}");
    }
}
