//! Harnesses: what drives an agent.
//!
//! A harness works on a run by yielding [`HarnessStep`]s: something the agent did, and from where to go on if
//! the gateway restarted right after it. The engine commits steps before it asks for more than a bounded
//! number, so a slow disk slows the agent and nothing is lost in between.

use std::sync::Arc;

use prism_types::{
    Attachment, DeploymentId, FileChange, InstanceId, RunId, Runtime, Sandbox, SandboxType, ThreadId, Usage,
};
use tokio::sync::mpsc;

use super::{BoxFuture, FileInfo, NoOutbound, Outbound, Program, SandboxInstance};
use crate::domain::{
    approval::Decision, deployment::AgentSpec, skill::SkillRecord, tool::BuiltinTool,
    workspace::WorkspacePath,
};

/// What a harness works through. Ends with [`HarnessEvent::Completed`], [`HarnessEvent::Failed`],
/// [`HarnessEvent::Asked`] or [`HarnessEvent::Lost`]; an end without one of them fails the run.
pub type StepStream = futures::stream::BoxStream<'static, HarnessStep>;

/// Drives agents of one runtime.
pub trait Harness: Send + Sync + 'static {
    /// The runtime.
    fn runtime(&self) -> Runtime;

    /// The kind of sandbox that a deployment of this runtime gets, given what was asked for.
    fn sandbox_for(&self, requested: &Sandbox) -> SandboxType;

    /// The tools that an agent of this specification has by itself, switched off or not, and those that it cannot have.
    /// Default: none.
    fn tools(&self, spec: &AgentSpec) -> Vec<BuiltinTool> {
        let _ = spec;
        Vec::new()
    }

    /// Whether an agent is a process of its own that runs on between runs. The engine then takes such agents up
    /// again when it starts, and starts those again that died. Default: no.
    fn is_resident(&self) -> bool {
        false
    }

    /// The program that is to run in the agent's sandbox, with all that it needs in place; `None`: nothing runs
    /// there. Called before the sandbox is made, and again each time it is made again. Default: `None`.
    ///
    /// # Errors
    /// When the program cannot be had; the deployment goes to `error` with this reason.
    fn program(&self, setup: AgentSetup) -> BoxFuture<'_, Result<Option<Program>, HarnessError>> {
        drop(setup);
        Box::pin(async { Ok(None) })
    }

    /// Makes an agent ready for messages. Called after the sandbox was made, after it was lost and made again,
    /// after a restart of the gateway, and after the deployment was changed.
    ///
    /// # Errors
    /// When the agent cannot start; the deployment goes to `error` with this reason.
    fn prepare(&self, preparation: Preparation) -> BoxFuture<'_, Result<(), HarnessError>>;

    /// Works on a run, from its start or from a checkpoint.
    fn run(&self, input: RunInput) -> StepStream;

    /// A run of this agent was cancelled: what the agent does for it may stop. It may come late, or for a run that is
    /// over; what the agent does for other runs goes on. Default: nothing, for agents that stop when nobody asks for
    /// their next step.
    fn interrupt(&self, agent: Preparation, run: RunId, thread: ThreadId) -> BoxFuture<'_, ()> {
        drop((agent, run, thread));
        Box::pin(async {})
    }

    /// What the agent remembers on all threads; `None`: it remembers nothing, or not now. Default: `None`.
    ///
    /// # Errors
    /// When the agent does not tell; it is asked again later.
    fn memories(&self, agent: Preparation) -> BoxFuture<'_, Result<Option<AgentMemories>, HarnessError>> {
        drop(agent);
        Box::pin(async { Ok(None) })
    }

    /// Lets the agent remember exactly this from its next run on, unless what it remembers has changed since `version`
    /// of [`AgentMemories`]. Each entry has the form of a memory's content, and no two are the same. Default: nothing
    /// is remembered.
    ///
    /// # Errors
    /// When the agent may remember one or the other; it is told again later.
    fn remember(
        &self,
        agent: Preparation,
        entries: Vec<String>,
        version: String,
    ) -> BoxFuture<'_, Result<Remembered, HarnessError>> {
        drop((agent, entries, version));
        Box::pin(async { Ok(Remembered::Changed) })
    }

    /// Threads were deleted: the agent forgets what was said on them, for good, and ends what it still does there.
    /// Forgetting what is not known is no error. Default: nothing is kept of threads.
    ///
    /// # Errors
    /// When something may be left; it is told again later.
    fn forget(&self, agent: Preparation, threads: Vec<ThreadId>) -> BoxFuture<'_, Result<(), HarnessError>> {
        drop((agent, threads));
        Box::pin(async { Ok(()) })
    }

    /// Somebody else than the agent is about to change a file of the workspace, and tells the users of it. What is
    /// returned is dropped if nothing came of it. Default: nothing, for harnesses that tell only of what they did.
    fn begin_change<'a>(&'a self, instance: &'a InstanceId) -> BoxFuture<'a, Box<dyn OutsideChange>> {
        let _ = instance;
        Box::pin(async { Box::new(NoChange) as Box<dyn OutsideChange> })
    }

    /// Removes what the harness keeps for an instance outside its sandbox. Called after the sandbox was
    /// removed. Removing what is not there is no error. Default: nothing is kept.
    ///
    /// # Errors
    /// When something may be left.
    fn remove<'a>(&'a self, instance: &'a InstanceId) -> BoxFuture<'a, Result<(), HarnessError>> {
        let _ = instance;
        Box::pin(async { Ok(()) })
    }
}

/// A change of a workspace by somebody else than the agent, which the harness need not tell again.
pub trait OutsideChange: Send {
    /// What is at the path now; `None`: nothing, and nothing below it either.
    fn changed(self: Box<Self>, path: &WorkspacePath, now: Option<&FileInfo>);
}

struct NoChange;

impl OutsideChange for NoChange {
    fn changed(self: Box<Self>, _: &WorkspacePath, _: Option<&FileInfo>) {}
}

/// An agent before it has a sandbox.
#[derive(Clone)]
#[non_exhaustive]
pub struct AgentSetup {
    /// The deployment.
    pub deployment_id: DeploymentId,
    /// The sandbox that it will have.
    pub instance_id: InstanceId,
    /// What the agent is.
    pub spec: Arc<AgentSpec>,
    /// The resolved model, such as `anthropic/claude-sonnet-4.5`.
    pub model: String,
    /// What it may reach outside its sandbox.
    pub outbound: Arc<dyn Outbound>,
}

impl AgentSetup {
    /// An agent that may reach nothing.
    pub fn new(
        deployment_id: DeploymentId,
        instance_id: InstanceId,
        spec: Arc<AgentSpec>,
        model: String,
    ) -> Self {
        Self { deployment_id, instance_id, spec, model, outbound: Arc::new(NoOutbound) }
    }

    /// Sets what it may reach outside its sandbox.
    #[must_use]
    pub fn outbound(mut self, outbound: Arc<dyn Outbound>) -> Self {
        self.outbound = outbound;
        self
    }
}

/// What a harness needs to make an agent ready.
#[derive(Clone)]
#[non_exhaustive]
pub struct Preparation {
    /// The agent.
    pub setup: AgentSetup,
    /// Its sandbox.
    pub sandbox: Arc<dyn SandboxInstance>,
    /// The skills that can be used.
    pub skills: Vec<SkillRecord>,
}

impl Preparation {
    /// What a harness needs to make an agent without skills ready.
    pub fn new(setup: AgentSetup, sandbox: Arc<dyn SandboxInstance>) -> Self {
        Self { setup, sandbox, skills: Vec::new() }
    }
}

/// What a harness needs to work on a run.
#[non_exhaustive]
pub struct RunInput {
    /// The run.
    pub run_id: RunId,
    /// The thread.
    pub thread_id: ThreadId,
    /// The deployment and its agent.
    pub agent: Preparation,
    /// The checkpoint of the last step that was committed; `None` at the start.
    pub checkpoint: Option<String>,
    /// Messages for this run, in order: first those that wait, then those that come while it works. Every
    /// message whose position was not reported by [`HarnessStep::read`] in a committed step comes again after
    /// a restart.
    pub inbox: mpsc::Receiver<UserMessage>,
}

impl RunInput {
    /// What a harness needs to work on a run from its start.
    pub fn new(
        run_id: RunId,
        thread_id: ThreadId,
        agent: Preparation,
        inbox: mpsc::Receiver<UserMessage>,
    ) -> Self {
        Self { run_id, thread_id, agent, checkpoint: None, inbox }
    }
}

/// What an agent remembers. What an agent says is hostile: whoever reads it bounds it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "harnesses of embedders build it")]
pub struct AgentMemories {
    /// Names the place where it is kept. Memories that were lost and begun again have another name; `None`: the place
    /// has no name yet.
    pub home: Option<String>,
    /// Another one after each change, whoever changed them.
    pub version: String,
    /// The memories.
    pub entries: Vec<String>,
}

/// Whether an agent took its memories.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "harnesses of embedders build it")]
pub enum Remembered {
    /// It did; they are kept in the place of this name.
    Kept {
        /// The name.
        home: String,
        /// Their version.
        version: String,
    },
    /// They have changed since.
    Changed,
}

/// A message of a human to a run.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "the engine and tests build it")]
pub struct UserMessage {
    /// Its place on the thread.
    pub position: u64,
    /// The text.
    pub content: String,
    /// Media for the agent to fetch.
    pub attachments: Vec<Attachment>,
    /// What it decides of the question that the run asked; `None`: the words have to tell.
    pub decision: Option<Decision>,
}

/// One thing the agent did.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "harnesses of embedders build it")]
pub struct HarnessStep {
    /// What it did.
    pub event: HarnessEvent,
    /// Where to go on after this step; `None`: as before.
    pub checkpoint: Option<String>,
    /// The position of the last message that was taken so far; `None`: as before.
    pub read: Option<u64>,
}

impl From<HarnessEvent> for HarnessStep {
    fn from(event: HarnessEvent) -> Self {
        Self { event, checkpoint: None, read: None }
    }
}

/// What an agent can do.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum HarnessEvent {
    /// It wrote a piece of text.
    Token(String),
    /// It called a tool.
    ToolCall {
        /// Ties the call to its result.
        id: String,
        /// The tool's name.
        tool: String,
        /// The arguments, as JSON.
        arguments: serde_json::Value,
    },
    /// A tool answered.
    ToolResult {
        /// Ties the result to its call.
        id: String,
        /// The tool's name.
        tool: String,
        /// The result, as JSON.
        result: serde_json::Value,
    },
    /// A file of the workspace changed.
    FileChanged {
        /// What happened.
        change: FileChange,
        /// Where.
        path: WorkspacePath,
    },
    /// It used this much of its model, in all.
    Used(Usage),
    /// Nothing to tell, only a new checkpoint or position.
    Progress,
    /// It asks a human. The stream ends; the run is started again with the answer in its inbox.
    Asked {
        /// The question.
        summary: String,
    },
    /// It is done.
    Completed,
    /// It failed.
    Failed {
        /// A stable code.
        code: String,
        /// What went wrong, for people.
        message: String,
    },
    /// The agent is gone, or does not answer any more. The stream ends; the engine starts the agent again and
    /// the run from its last checkpoint, as one attempt more. A run that lost its agent too often fails.
    Lost {
        /// What happened, for people.
        message: String,
    },
}

impl HarnessEvent {
    /// Whether nothing can follow.
    pub fn is_last(&self) -> bool {
        matches!(self, Self::Asked { .. } | Self::Completed | Self::Failed { .. } | Self::Lost { .. })
    }
}

/// Why an agent could not be made ready.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
#[allow(clippy::exhaustive_structs, reason = "harnesses of embedders build it")]
pub struct HarnessError {
    /// A stable code.
    pub code: String,
    /// What went wrong, for people.
    pub message: String,
}
