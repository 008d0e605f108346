//! The whole API in memory.

mod approvals;
mod audit;
mod automations;
mod check;
mod collection;
mod deployments;
mod dreams;
mod files;
mod follow;
mod gate;
mod mcp_servers;
mod memories;
mod messages;
mod runs;
mod script;
mod skills;
mod snapshots;
mod state;
mod threads;
mod tools;
mod webhooks;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use prism_types::*;
use tokio::sync::watch;

use super::{
    Answer, Content, Events, Raw, Refusal, Request, Stub,
    query::{
        DeleteDeployment, FilePath, ListApprovals, ListAuditEntries, ListDeliveries, ListFiles, ListMemories,
        StreamEvents, ToolOrigin,
    },
    table::with_operations,
};

pub use script::Script;

use gate::Fault;
use state::{Provisioning, State};

/// A server in memory, which does what the real one does, as far as a test of its users needs it.
///
/// Cloning is cheap, and clones are the same server: one goes into the [client](super::client), the other one scripts it.
///
/// ```
/// use prism_client::{mock::{self, FakeServer}, types::CreateDeployment};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), prism_client::Error> {
/// let fake = FakeServer::new();
/// fake.reply("Good morning.");
/// let client = mock::client(fake.clone());
///
/// let request = CreateDeployment::new("cus_1", "Agent", "You are an agent.");
/// let created = client.deployments().create(request).await?;
/// let agent = client.deployment(&created.deployment_id);
/// assert_eq!(agent.chat("Hello").text().await?, "Good morning.");
/// assert_eq!(fake.requests().last().unwrap().operation(), "send_message");
/// # Ok(())
/// # }
/// ```
///
/// # What it leaves out
///
/// Statuses, codes, fields, ids, pages, entity tags, idempotency keys, logs and their replay are those of the server. This
/// is not:
///
/// | of | what is left out |
/// |---|---|
/// | requests | validation but of the obvious: empty texts, names that come twice, limits, cursors, paths |
/// | keys | scopes, tenants, credits, limits of requests: everything is allowed; see [`fail_next`](Self::fail_next) |
/// | limits | sizes and counts, but those of pages |
/// | secrets | references are not looked up |
/// | agents | models, sandboxes, prompts: an agent does what its [`Script`] says. `approvals` of a deployment show in the list of tools and limit the time of questions; no tool waits for one |
/// | steering | a message to a run that works is kept on the thread, and the script goes on as it is |
/// | automations | nothing fires by time: trigger them. `cron` repeats `schedule`, `next_run_at` is `null` |
/// | dreams | none begins by itself; one that is started is a run like another, with the next [`reply`](Self::reply) |
/// | skills | a URL is not fetched and is taken for a skill |
/// | tools | MCP servers are not asked: they have the tools of their allowlists |
/// | files | directories are there as long as something is in them; no links; a body of JSON is a file like another |
/// | snapshots | one is ready at once, and does not expire |
/// | webhooks | nothing is sent: a delivery ends at once, by [`webhook_status`](Self::webhook_status), and is not tried again |
/// | the audit log | the `actor` is `key_mock`, and the `request_id` is made up |
#[derive(Clone)]
pub struct FakeServer {
    shared: Arc<Shared>,
}

/// What clones share.
struct Shared {
    state: Mutex<State>,
    /// Told of each change.
    changes: watch::Sender<()>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FakeServer {
    /// A server without deployments.
    pub fn new() -> Self {
        let shared = Arc::new_cyclic(|shared| Shared {
            state: Mutex::new(State::new(shared.clone())),
            changes: watch::Sender::new(()),
        });
        Self { shared }
    }

    /// Has the next run, of whichever deployment, do this: say a text, or what a [`Script`] says. Call it again for the
    /// runs after it. Without a script a run does what [`reply_with`](Self::reply_with) says.
    pub fn reply(&self, script: impl Into<Script>) {
        self.change(|state| state.scripts.push_back(script.into()));
    }

    /// Sets what runs do about their messages when there is no [`reply`](Self::reply) for them. Default: repeat it.
    ///
    /// The closure is called while the server is locked, so it must not use this server.
    pub fn reply_with<S: Into<Script>>(&self, script: impl Fn(&str) -> S + Send + Sync + 'static) {
        self.change(|state| state.otherwise = Arc::new(move |message| script(message).into()));
    }

    /// Has deployments be `provisioning` for so long, from now on. Default: until the next request.
    pub fn ready_after(&self, delay: Duration) {
        self.change(|state| state.provisioning = Provisioning::After(delay));
    }

    /// Has deployments be `provisioning` for so many reads of each, from now on.
    pub fn ready_after_reads(&self, reads: u32) {
        self.change(|state| state.provisioning = Provisioning::AfterReads(reads));
    }

    /// Has deployments fail with this code and message, from now on.
    pub fn never_ready(&self, code: impl Into<String>, message: impl Into<String>) {
        let failure = Failure::new(code, message);
        self.change(|state| state.provisioning = Provisioning::Fails(failure));
    }

    /// Answers the next `requests`, of whatever operation, with this status, and carries none of them out.
    pub fn fail_next(&self, requests: u32, status: u16) {
        self.fail_next_with(requests, Refusal::of_status(status));
    }

    /// Answers the next `requests`, of whatever operation, with this, and carries none of them out.
    pub fn fail_next_with(&self, requests: u32, refusal: Refusal) {
        self.fault(None, requests, refusal);
    }

    /// Answers the next `requests` of an operation, such as `send_message`, with this, and carries none of them out.
    pub fn fail_next_of(&self, operation: impl Into<String>, requests: u32, refusal: Refusal) {
        self.fault(Some(operation.into()), requests, refusal);
    }

    /// Carries the next `requests` that succeed out, and breaks their connections before the answer.
    pub fn lose_answers(&self, requests: u32) {
        self.change(|state| state.gate.lost = requests);
    }

    /// Delays every answer from now on, by tokio's time; what was asked is done before. Default: zero.
    pub fn delay(&self, delay: Duration) {
        self.change(|state| state.gate.delay = delay);
    }

    /// Breaks every event stream that is open, in the middle of an event.
    pub fn disconnect_streams(&self) {
        self.change(|state| state.cuts += 1);
    }

    /// Sets what webhooks answer to deliveries, from now on. Default: 200. One of 2xx makes them `delivered`, another one
    /// `failed`.
    pub fn webhook_status(&self, status: u16) {
        self.change(|state| state.webhook_status = status);
    }

    /// Writes an event into the log of a deployment, as if its agent had done something.
    ///
    /// # Errors
    /// When there is no such deployment.
    pub fn tell(&self, deployment: &DeploymentId, payload: EventPayload) -> Result<EventId, Refusal> {
        self.change(|state| {
            let agent = state.agents.get_mut(deployment)?;
            agent.tell(payload);
            Ok(agent.event_id(agent.log.len()))
        })
    }

    /// The log of a deployment, as far as it is by now; empty when there is no such deployment.
    pub fn events(&self, deployment: &DeploymentId) -> Vec<Event> {
        self.change(|state| {
            state.catch_up();
            state.agents.get(deployment).map(|agent| agent.log.clone()).unwrap_or_default()
        })
    }

    /// Every request that came, the oldest first: each attempt of each call.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.lock().gate.requests.clone()
    }

    fn fault(&self, operation: Option<String>, left: u32, refusal: Refusal) {
        if left > 0 {
            self.change(|state| state.gate.faults.push_back(Fault { operation, left, refusal }));
        }
    }

    /// Does something, and tells those who follow logs.
    fn change<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        let done = work(&mut self.shared.lock());
        self.shared.changes.send_replace(());
        done
    }
}

impl Default for FakeServer {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for FakeServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeServer").finish_non_exhaustive()
    }
}

macro_rules! fake {
    ($(
        $method:literal $path:literal $summary:literal $status:literal
        $name:ident($($kind:ident $param:ident: $type:ty),*) -> $answer:ty;
    )*) => {
        impl Stub for FakeServer {
            fn intercept(&self, call: &Request) -> Option<Answer<Raw>> {
                self.change(|state| state.intercept(call))
            }

            fn conclude(&self, call: &Request, answer: Answer<Raw>) -> Answer<Raw> {
                self.change(|state| state.conclude(call, answer))
            }

            $(fn $name(&self, call: &Request, $($param: $type),*) -> Answer<$answer> {
                self.change(|state| state.$name(call, $($param),*))
            })*
        }
    };
}

with_operations!(fake);
