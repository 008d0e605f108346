//! One turn: from a message to the end of what the agent does about it.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_util::{Stream, StreamExt, stream::FusedStream};
use prism_types::{
    Event, EventPayload, Failure, FilesystemChanged, Run, RunId, RunStatus, RunStatusChanged, SendMessage,
    SteeringRequested, ThreadId, ToolCalled, ToolReturned,
};

use super::{ChatCall, Reply};
use crate::{
    Error, EventStream,
    error::{Kind, unnamed},
    resources::DeploymentHandle,
};

/// What the agent does about a message, as it does it: a stream of [`Part`]s, which ends when the agent is through or asks a
/// human.
///
/// A message that is sent while the agent works on the thread joins that work: its turn begins there, and ends with it.
/// Dropping the turn stops nothing but the listening; [`cancel`](crate::resources::Runs::cancel) of its
/// [`run_id`](Self::run_id) does.
#[must_use = "a turn does nothing unless it is polled"]
pub struct Turn {
    deployment: DeploymentHandle,
    events: EventStream,
    run_id: RunId,
    thread_id: ThreadId,
    /// The question that was asked last.
    asked: Option<SteeringRequested>,
    outcome: Option<Outcome>,
    is_over: bool,
}

/// Something that the agent does.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Part {
    /// It says something: the next piece of its text.
    Text(String),
    /// It calls a tool.
    ToolCall(ToolCalled),
    /// It got the tool's result.
    ToolResult(ToolReturned),
    /// It changed a file of its workspace; with `features.filesystem_webhooks`.
    File(FilesystemChanged),
    /// It asks a human. The turn ends with this, with [`Outcome::Asks`].
    Question(SteeringRequested),
    /// Something that this version does not know.
    Other(Event),
}

/// How a turn ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// The agent is through.
    Completed,
    /// It waits for a human: the next message on the thread is the answer, and begins the next turn of the same run.
    Asks(SteeringRequested),
    /// The run failed, or was cancelled.
    Failed(Failure),
}

impl Turn {
    pub(super) fn new(
        deployment: DeploymentHandle,
        events: EventStream,
        run_id: RunId,
        thread_id: ThreadId,
    ) -> Self {
        Self { deployment, events, run_id, thread_id, asked: None, outcome: None, is_over: false }
    }

    /// The turn of a run that is read now: it is over if the run is.
    pub(super) fn ended_as(mut self, run: Run) -> Self {
        self.outcome = match run.status {
            RunStatus::Completed => Some(Outcome::Completed),
            RunStatus::Error => Some(Outcome::Failed(run.error.unwrap_or_else(unnamed))),
            _ => None,
        };
        self.is_over = self.outcome.is_some();
        self
    }

    /// The next part; `None` at the end. Dropping the future loses nothing.
    ///
    /// # Errors
    /// As [`EventStream::next`]; and [`Error::is_disconnected`] when the stream is over before the run is, as after the
    /// deployment was deleted.
    pub async fn next(&mut self) -> Option<Result<Part, Error>> {
        StreamExt::next(self).await
    }

    /// The run that works on the message.
    pub fn run_id(&self) -> &RunId {
        &self.run_id
    }

    /// The thread: where to say more.
    pub fn thread_id(&self) -> &ThreadId {
        &self.thread_id
    }

    /// Says something more on the thread, such as the answer to the question that ended this turn: the next turn.
    pub fn answer(&self, text: impl Into<String>) -> ChatCall {
        self.deployment.chat(SendMessage::new(text).thread_id(self.thread_id.clone()))
    }

    /// How it ended; `None` until then, and when it ended with an error.
    pub fn outcome(&self) -> Option<&Outcome> {
        self.outcome.as_ref()
    }

    /// All that the agent says from now on, to its end or its question. What it asks is not part of it.
    ///
    /// # Errors
    /// As [`next`](Self::next); and [`Error::is_run_failed`] when the run fails: [`Error::failure`] says why.
    pub async fn text(mut self) -> Result<String, Error> {
        let mut text = String::new();
        while let Some(part) = self.next().await.transpose()? {
            if let Part::Text(piece) = part {
                text.push_str(&piece);
            }
        }
        match self.outcome {
            Some(Outcome::Failed(ref failure)) => {
                Err(self.named(Error::new(Kind::RunFailed(failure.clone()))))
            }
            _ => Ok(text),
        }
    }

    /// All that the agent does from now on, to its end or its question, put together.
    ///
    /// # Errors
    /// As [`next`](Self::next). A run that fails is no error here: the [`outcome`](Reply::outcome) says so.
    pub async fn reply(mut self) -> Result<Reply, Error> {
        let mut reply = Reply::default();
        while let Some(part) = self.next().await.transpose()? {
            reply.add(&part);
        }
        Ok(Reply { outcome: self.outcome, ..reply })
    }

    fn named(&self, error: Error) -> Error {
        error.during(&format!("the run {}", self.run_id))
    }

    /// What an event is to this turn; `None`: nothing.
    fn part(&mut self, event: Event) -> Option<Part> {
        if event.payload.run_id() != Some(&self.run_id) {
            return None;
        }
        match event.payload {
            EventPayload::Token(token) => Some(Part::Text(token.delta)),
            EventPayload::ToolCall(call) => Some(Part::ToolCall(call)),
            EventPayload::ToolResult(result) => Some(Part::ToolResult(result)),
            EventPayload::Filesystem(changed) => Some(Part::File(changed)),
            EventPayload::SteeringRequest(question) => {
                self.asked = Some(question.clone());
                Some(Part::Question(question))
            }
            EventPayload::RunStatus(changed) => {
                self.outcome = self.outcome_of(changed);
                None
            }
            _ => Some(Part::Other(event)),
        }
    }

    fn outcome_of(&mut self, changed: RunStatusChanged) -> Option<Outcome> {
        match changed.status {
            RunStatus::Completed => Some(Outcome::Completed),
            RunStatus::Error => Some(Outcome::Failed(changed.error.unwrap_or_else(unnamed))),
            // A turn that begins while the run still waits has not seen the question; this message answers it.
            RunStatus::WaitingOnHuman => self.asked.take().map(Outcome::Asks),
            _ => None,
        }
    }
}

impl FusedStream for Turn {
    fn is_terminated(&self) -> bool {
        self.is_over
    }
}

impl Stream for Turn {
    type Item = Result<Part, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if self.is_over {
                return Poll::Ready(None);
            }
            let item = match ready!(self.events.poll_next_unpin(cx)) {
                Some(Ok(event)) => self.part(event).map(Ok),
                Some(Err(error)) => Some(Err(error)),
                None => Some(Err(self.named(Error::new(Kind::Disconnected)))),
            };
            self.is_over = self.outcome.is_some() || self.events.is_terminated();
            if item.is_some() {
                return Poll::Ready(item);
            }
        }
    }
}

/// Without what was said.
impl fmt::Debug for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turn")
            .field("run_id", &self.run_id)
            .field("thread_id", &self.thread_id)
            .field("is_over", &self.outcome.is_some())
            .finish_non_exhaustive()
    }
}
