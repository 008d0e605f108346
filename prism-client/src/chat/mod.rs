//! A conversation, turn by turn: a message, and what the agent does about it, as it does it.
//!
//! A [`Turn`] is made of the [event stream](crate::events), so it has all that this has: it resumes by itself, and nothing
//! is missing or repeated. What it adds is that it begins with the message and ends with the answer.
//!
//! ```no_run
//! use prism_client::chat::{Outcome, Part};
//!
//! # use prism_client::{Error, resources::DeploymentHandle};
//! # async fn example(agent: DeploymentHandle) -> Result<(), Error> {
//! let mut turn = agent.chat("Plan a launch video").await?;
//! while let Some(part) = turn.next().await.transpose()? {
//!     match part {
//!         Part::Text(piece) => print!("{piece}"),
//!         Part::ToolCall(call) => println!("[{} …]", call.tool),
//!         _ => {}
//!     }
//! }
//! match turn.outcome() {
//!     Some(Outcome::Completed) => {}
//!     Some(Outcome::Asks(question)) => {
//!         println!("The agent asks: {}", question.summary);
//!         println!("{}", turn.answer("Yes, please.").text().await?);
//!     }
//!     Some(Outcome::Failed(failure)) => println!("It failed: {}", failure.message),
//!     _ => {}
//! }
//! # Ok(())
//! # }
//! ```

mod reply;
mod turn;

use std::{pin::Pin, time::Duration};

use prism_types::{EventId, RunId, SendMessage, ThreadTarget};

use crate::{Error, RetryPolicy, resources::DeploymentHandle};

pub use reply::{Reply, ToolUse};
pub use turn::{Outcome, Part, Turn};

/// A message and the answer to it; from [`DeploymentHandle::chat`].
///
/// Nothing is sent before [`send`](Self::send), [`text`](Self::text) or `.await`.
#[derive(Debug, Clone)]
#[must_use = "nothing is sent before `send`, `text` or `.await`"]
pub struct ChatCall {
    deployment: DeploymentHandle,
    message: SendMessage,
    idempotency_key: Option<String>,
    timeout: Option<Duration>,
    retry_policy: Option<RetryPolicy>,
}

impl ChatCall {
    pub(crate) fn new(deployment: DeploymentHandle, message: SendMessage) -> Self {
        Self { deployment, message, idempotency_key: None, timeout: None, retry_policy: None }
    }

    /// Names the message, as [`idempotency_key`](crate::resources::SendMessageCall::idempotency_key) of sending one does.
    pub fn idempotency_key(mut self, key: &str) -> Self {
        self.idempotency_key = Some(key.to_owned());
        self
    }

    /// Sets the time limit of opening the stream, and of sending the message. Default: the client's
    /// [`timeout`](crate::ClientBuilder::timeout). The turn itself has none.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sets how both are tried again. Default: the client's [`retries`](crate::ClientBuilder::retries).
    pub fn retries(mut self, policy: RetryPolicy) -> Self {
        self.retry_policy = Some(policy);
        self
    }

    /// Opens the event stream and sends the message.
    ///
    /// # Errors
    /// As sending a message and opening the stream do: see [`Error`] for what there is to ask it.
    pub async fn send(self) -> Result<Turn, Error> {
        let Self { deployment, message, idempotency_key, timeout, retry_policy } = self;
        let mut open = deployment.events().stream();
        if let Some(ThreadTarget::Existing(thread)) = &message.thread_id {
            open = open.thread(thread.clone());
        }
        let mut send = deployment.messages().send(message);
        if let Some(timeout) = timeout {
            (open, send) = (open.timeout(timeout), send.timeout(timeout));
        }
        if let Some(policy) = retry_policy {
            (open, send) = (open.retries(policy), send.retries(policy));
        }
        // Before the message is sent, so that nothing is missed of what comes of it.
        let events = open.open().await?;
        if let Some(key) = &idempotency_key {
            send = send.idempotency_key(key);
        }
        let receipt = send.await?.into_inner();
        Ok(Turn::new(deployment, events, receipt.run_id, receipt.thread_id))
    }

    /// Sends the message and waits for all that the agent says.
    ///
    /// # Errors
    /// As [`send`](Self::send) and [`Turn::text`].
    pub async fn text(self) -> Result<String, Error> {
        self.send().await?.text().await
    }

    /// Sends the message and waits for all that the agent does.
    ///
    /// # Errors
    /// As [`send`](Self::send) and [`Turn::reply`].
    pub async fn reply(self) -> Result<Reply, Error> {
        self.send().await?.reply().await
    }
}

impl IntoFuture for ChatCall {
    type Output = Result<Turn, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}

/// What an agent does in a run that was begun elsewhere, such as by an automation; from [`DeploymentHandle::follow`].
///
/// Nothing is sent before [`send`](Self::send) or `.await`.
#[derive(Debug, Clone)]
#[must_use = "nothing is sent before `send` or `.await`"]
pub struct FollowCall {
    deployment: DeploymentHandle,
    run: RunId,
    after: Option<EventId>,
}

impl FollowCall {
    pub(crate) fn new(deployment: DeploymentHandle, run: RunId) -> Self {
        Self { deployment, run, after: None }
    }

    /// Begins with what happened after this event, which came before the end of the run. Default: with what happens from now
    /// on; of a run that is over, only its outcome.
    pub fn after(mut self, id: EventId) -> Self {
        self.after = Some(id);
        self
    }

    /// Opens the event stream of the run, and reads where it is.
    ///
    /// # Errors
    /// As reading a run and opening the stream do: see [`Error`] for what there is to ask it.
    pub async fn send(self) -> Result<Turn, Error> {
        let Self { deployment, run, after } = self;
        let is_replayed = after.is_some();
        let mut open = deployment.events().stream().run(run.clone());
        if let Some(after) = after {
            open = open.after(after);
        }
        // Before the run is read, so that its end is in the one or in the other.
        let events = open.open().await?;
        let run = deployment.runs().get(&run).await?.into_inner();
        let turn = Turn::new(deployment, events, run.run_id.clone(), run.thread_id.clone());
        Ok(if is_replayed { turn } else { turn.ended_as(run) })
    }
}

impl IntoFuture for FollowCall {
    type Output = Result<Turn, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}
