//! The harness `hermes`: the [Hermes agent](https://pypi.org/project/hermes-agent/) 0.19.0 in a sandbox.
//!
//! # The protocol
//! Hermes has three interfaces for machines. Its API server cannot be told anything while it works, and loses the
//! stream of a run whose connection drops; its ACP server loses sessions that are cancelled. What is left is the
//! JSON-RPC of its TUI gateway, over WebSocket (`hermes serve`) or standard input and output. Measured on two
//! cores, medians of five starts, before the first session:
//!
//! | | ready after | RSS | PSS |
//! |---|---|---|---|
//! | `hermes serve` | 1.41 s | 85 MB | 74 MB |
//! | standard input and output | 0.40 s | 47 MB | 38 MB |
//! | the bridge, besides | 0.05 s | 14 MB | 8 MB |
//!
//! So the agent runs under a small script of ours, the **bridge**, over its standard input and output. The bridge
//! also does what neither server does: it keeps every line until the gateway has it, so that a gateway that
//! restarts loses nothing. The gateway of Hermes is started by a second script, which adds the few methods that a
//! control plane needs; `bridge/agent.py` tells which and why, `bridge/policy.py` hides tools and asks before others are
//! called, and `bridge/bridge.py` has the bridge's protocol.
//!
//! # What survives what
//! | what ends | what becomes of a run |
//! |---|---|
//! | the gateway | the agent works on; the run goes on exactly after what was committed |
//! | the connection | the same |
//! | the agent, or its sandbox | the session is resumed from its disk, and the agent is told once to go on; when it is lost again, the run fails with `agent_lost` |
//!
//! Memory, sessions and skills of the agent's own are in its home, which lives as long as the deployment.
//!
//! # Security
//! The folder of an agent is the gateway's, and the sandbox can only read it. The model and the MCP servers are
//! reached through a socket in it, with a token that opens nothing else; no key of anything is in the sandbox.
//! Everything that the agent says is hostile input: lines, texts and numbers are bounded, and what is not
//! understood is dropped.

mod connection;
mod files;
mod known_files;
mod log;
mod memories;
mod release;
mod run;
mod sockets;
mod tools;
mod turn;

#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    io,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::{FutureExt, StreamExt, stream};
use prism_types::{InstanceId, RunId, Runtime, Sandbox, SandboxType, ThreadId};
use serde_json::json;
use tokio::time::Instant;

pub use release::{CONSTRAINTS, REQUIREMENT, VERSION};

use self::{
    connection::{CallError, Connection, Guarded},
    files::Folder,
    known_files::KnownFiles,
    run::Run,
    sockets::Outside,
};
use crate::{
    domain::{deployment::AgentSpec, tool::BuiltinTool, workspace::WorkspacePath},
    ports::{
        AgentMemories, AgentSetup, BoxFuture, Harness, HarnessError, HarnessEvent, HarnessStep,
        OutsideChange, Preparation, Program, Remembered, RunInput, SandboxError, StepStream,
    },
};

/// How long an agent may take until it can be talked to.
const START: Duration = Duration::from_secs(90);
/// How long it may take after that until it can take a message.
const READY: Duration = Duration::from_secs(150);
/// How often to look whether a sandbox that starts is still alive.
const LOOK: Duration = Duration::from_secs(1);

/// The harness `hermes`: see the module's documentation.
#[derive(Clone)]
pub struct HermesHarness {
    root: PathBuf,
    agents: Arc<Mutex<HashMap<InstanceId, Arc<Agent>>>>,
    /// What users did to workspaces, also before the agent is listened to.
    known_files: Arc<Mutex<HashMap<InstanceId, Arc<KnownFiles>>>>,
}

impl HermesHarness {
    /// Agents whose folders are in this directory, which the gateway owns; it is made when it is not there.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { root: directory.into(), agents: Arc::default(), known_files: Arc::default() }
    }

    fn known_files(&self, instance: &InstanceId) -> Arc<KnownFiles> {
        let mut known = self.known_files.lock().unwrap_or_else(PoisonError::into_inner);
        known.entry(instance.clone()).or_default().clone()
    }

    /// The agent of an instance: its folder written, its sockets open.
    async fn agent(&self, setup: &AgentSetup, write: bool) -> Result<Arc<Agent>, HarnessError> {
        let (this, setup) = (self.clone(), setup.clone());
        let runtime = tokio::runtime::Handle::current();
        let made = tokio::task::spawn_blocking(move || {
            let _runtime = runtime.enter();
            let mut agents = this.agents.lock().unwrap_or_else(PoisonError::into_inner);
            let known = agents.get(&setup.instance_id).cloned();
            if let (Some(agent), false) = (&known, write) {
                return Ok(agent.clone());
            }
            let folder = Folder::new(&this.root, &setup.instance_id);
            folder.create()?;
            let token = folder.token()?;
            let digest = folder.write_program(&setup, &token)?;
            let router = setup.outbound.router();
            if let Some(agent) = known {
                agent.outside.replace(router);
                *agent.wanted.lock().unwrap_or_else(PoisonError::into_inner) = digest;
                return Ok(agent);
            }
            let files = this.known_files(&setup.instance_id);
            let agent = Arc::new(Agent::listen(folder, Outside::new(token, router), digest, files)?);
            agents.insert(setup.instance_id.clone(), agent.clone());
            Ok(agent)
        });
        let made: io::Result<Arc<Agent>> = made.await.unwrap_or_else(|error| Err(io::Error::other(error)));
        made.map_err(|error| {
            harness_error("agent_files", format!("the agent's files cannot be written: {error}"))
        })
    }
}

impl Harness for HermesHarness {
    fn runtime(&self) -> Runtime {
        Runtime::Hermes
    }

    fn sandbox_for(&self, requested: &Sandbox) -> SandboxType {
        if requested.enabled { requested.kind.clone() } else { SandboxType::Process }
    }

    fn tools(&self, spec: &AgentSpec) -> Vec<BuiltinTool> {
        tools::builtin(spec)
    }

    fn is_resident(&self) -> bool {
        true
    }

    fn program(&self, setup: AgentSetup) -> BoxFuture<'_, Result<Option<Program>, HarnessError>> {
        async move {
            let agent = self.agent(&setup, true).await?;
            Ok(Some(Program::new(Runtime::Hermes, agent.folder.path().to_owned(), "bridge.py")))
        }
        .boxed()
    }

    fn prepare(&self, preparation: Preparation) -> BoxFuture<'_, Result<(), HarnessError>> {
        async move {
            let agent = self.agent(&preparation.setup, true).await?;
            let (folder, skills) = (agent.folder.clone(), preparation.skills.clone());
            let written = tokio::task::spawn_blocking(move || folder.write_skills(&skills)).await;
            let changed = written.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(|error| {
                harness_error("agent_files", format!("the skills cannot be written: {error}"))
            })?;
            agent.new_skills.fetch_or(changed, Ordering::Relaxed);
            agent.wait_for_bridge(&preparation).await?;
            agent.settle().await;
            match agent.connection.call("prism.ready", json!({}), READY).await {
                Ok(_) => Ok(()),
                Err(CallError::Silent(reason)) => {
                    let failed = agent.failed(&preparation, &reason).await;
                    let ended = preparation.sandbox.end().await;
                    tracing::warn!(reason, ?ended, "an agent does not become ready; its sandbox is ended");
                    Err(failed)
                }
                Err(CallError::Lost(reason) | CallError::Refused(reason)) => {
                    Err(agent.failed(&preparation, &reason).await)
                }
            }
        }
        .boxed()
    }

    fn run(&self, input: RunInput) -> StepStream {
        enum State {
            Begin(HermesHarness, Box<RunInput>),
            Work(Box<Run>),
            End,
        }
        stream::unfold(State::Begin(self.clone(), Box::new(input)), |state| async move {
            let mut run = match state {
                State::Begin(harness, input) => match harness.agent(&input.agent.setup, false).await {
                    Ok(agent) => match Run::start(agent, *input).await {
                        Ok(run) => Box::new(run),
                        Err(event) => return Some((HarnessStep::from(event), State::End)),
                    },
                    Err(HarnessError { code, message }) => {
                        return Some((HarnessEvent::Failed { code, message }.into(), State::End));
                    }
                },
                State::Work(run) => run,
                State::End => return None,
            };
            let step = run.next().await?;
            Some((step, State::Work(run)))
        })
        .boxed()
    }

    fn interrupt(&self, agent: Preparation, run: RunId, thread: ThreadId) -> BoxFuture<'_, ()> {
        async move {
            let Ok(known) = self.agent(&agent.setup, false).await else { return };
            let params = json!({ "thread": thread, "run": run });
            if let Err(error) = known.connection.call("prism.interrupt", params, READY).await {
                tracing::debug!(%run, ?error, "an agent was not interrupted");
            }
        }
        .boxed()
    }

    fn memories(&self, agent: Preparation) -> BoxFuture<'_, Result<Option<AgentMemories>, HarnessError>> {
        async move {
            let known = self.agent(&agent.setup, false).await?;
            let answer = known.connection.call("prism.memories", json!({}), memories::ANSWER).await;
            memories::told(answer.map_err(memories::refused)?).map(Some)
        }
        .boxed()
    }

    fn remember(
        &self,
        agent: Preparation,
        entries: Vec<String>,
        version: String,
    ) -> BoxFuture<'_, Result<Remembered, HarnessError>> {
        async move {
            let known = self.agent(&agent.setup, false).await?;
            let params = memories::remember(entries, version);
            let answer = known.connection.call("prism.remember", params, memories::ANSWER).await;
            memories::written(answer.map_err(memories::refused)?)
        }
        .boxed()
    }

    fn forget(&self, agent: Preparation, threads: Vec<ThreadId>) -> BoxFuture<'_, Result<(), HarnessError>> {
        async move {
            let known = self.agent(&agent.setup, false).await?;
            let params = json!({ "threads": threads });
            let answer = known.connection.call("prism.forget", params, memories::FORGET).await;
            answer.map(drop).map_err(memories::refused)
        }
        .boxed()
    }

    fn begin_change<'a>(&'a self, instance: &'a InstanceId) -> BoxFuture<'a, Box<dyn OutsideChange>> {
        let files = self.known_files(instance);
        async move { files.begin().await }.boxed()
    }

    fn remove<'a>(&'a self, instance: &'a InstanceId) -> BoxFuture<'a, Result<(), HarnessError>> {
        async move {
            drop(self.agents.lock().unwrap_or_else(PoisonError::into_inner).remove(instance));
            drop(self.known_files.lock().unwrap_or_else(PoisonError::into_inner).remove(instance));
            let folder = Folder::new(&self.root, instance);
            let removed = tokio::task::spawn_blocking(move || folder.remove()).await;
            removed.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(|error| {
                harness_error("agent_files", format!("the agent's files cannot be removed: {error}"))
            })
        }
        .boxed()
    }
}

/// An agent that the gateway listens to.
struct Agent {
    folder: Folder,
    connection: Arc<Connection>,
    outside: Arc<Outside>,
    known_files: Arc<KnownFiles>,
    /// The digest of the files as they are.
    wanted: Mutex<String>,
    /// Whether skills changed that sessions with a history do not know of.
    new_skills: AtomicBool,
    settling: tokio::sync::Mutex<()>,
    /// They end with the agent.
    _tasks: [Guarded; 2],
}

impl Agent {
    fn listen(
        folder: Folder,
        outside: Arc<Outside>,
        digest: String,
        known_files: Arc<KnownFiles>,
    ) -> io::Result<Self> {
        let http = sockets::bind(folder.path(), "gateway.sock")?;
        let bridge = sockets::bind(folder.path(), "agent.sock")?;
        let connection = Connection::new();
        known_files.connect(&connection);
        let tasks = [
            Guarded(tokio::spawn(sockets::serve(http, outside.clone()))),
            Guarded(tokio::spawn(connection.clone().serve(bridge))),
        ];
        Ok(Self {
            folder,
            connection,
            outside,
            known_files,
            wanted: Mutex::new(digest),
            new_skills: AtomicBool::new(false),
            settling: tokio::sync::Mutex::default(),
            _tasks: tasks,
        })
    }

    /// Starts the agent again if its files changed and it is at rest; else that waits for the next run.
    async fn settle(&self) {
        let _alone = self.settling.lock().await;
        let Some((boot, digest)) = self.connection.boot(connection::GRACE).await else { return };
        let wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let new_skills = self.new_skills.load(Ordering::Relaxed);
        if (digest == wanted && !new_skills) || self.connection.with_log(|log| log.is_held()) {
            return;
        }
        let Ok(status) = self.connection.call("prism.status", json!({}), READY).await else { return };
        // A session that has not begun reads the skills when it does.
        let is_fresh = digest == wanted && status["worked"] == false;
        if status["busy"] == 0 && !is_fresh {
            self.connection.restart().await;
            if !self.connection.other_boot(&boot, START).await {
                tracing::warn!("an agent did not come back after its configuration changed");
            }
        }
        if status["busy"] == 0 {
            self.new_skills.store(false, Ordering::Relaxed);
        }
    }

    /// Waits until the bridge is there; gives up early when the sandbox dies.
    async fn wait_for_bridge(&self, preparation: &Preparation) -> Result<(), HarnessError> {
        let (deadline, probe) = (Instant::now() + START, ".prism/alive".parse::<WorkspacePath>());
        while self.connection.boot(LOOK).await.is_none() {
            let is_gone = match &probe {
                Ok(path) => matches!(preparation.sandbox.read_file(path).await, Err(SandboxError::Gone)),
                Err(_) => false,
            };
            if is_gone || Instant::now() >= deadline {
                return Err(self.failed(preparation, "it did not start").await);
            }
        }
        Ok(())
    }

    async fn failed(&self, preparation: &Preparation, reason: &str) -> HarnessError {
        let output = preparation.sandbox.output().await.unwrap_or_default();
        let tail = &output[output.ceil_char_boundary(output.len().saturating_sub(2000))..];
        let message = format!("the agent is not ready: {reason}. The last that it wrote:\n{}", tail.trim());
        harness_error("agent_not_ready", message)
    }
}

fn harness_error(code: &str, message: String) -> HarnessError {
    HarnessError { code: code.to_owned(), message }
}
