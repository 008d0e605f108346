//! The builder of an event stream.

use std::{pin::Pin, time::Duration};

use prism_types::{DeploymentId, EventId, RunId, ThreadId};
use reqwest::Method;

use super::{
    connect::{HttpConnect, open, start_after},
    stream::{EventStream, Settings},
};
use crate::{
    Backoff, Client, Error, RetryPolicy,
    call::{Call, headed},
    retry::tried,
};

/// `GET /v1/deployments/{deployment_id}/events`, from [`Events::stream`](super::Events::stream). Needs the
/// scope `deployments:read`.
///
/// Nothing is sent before [`open`](Self::open) or `.await`.
#[derive(Debug, Clone)]
#[must_use = "nothing is sent before `open` or `.await`"]
pub struct OpenEventStream {
    call: Call,
    after: Option<EventId>,
    settings: Settings,
}

impl OpenEventStream {
    pub(super) fn new(client: &Client, deployment: &DeploymentId) -> Self {
        let mut call =
            Call::new(client, Method::GET, "/v1/deployments/{deployment_id}/events", &[deployment.as_str()]);
        call.set_accept("text/event-stream");
        Self { call, after: None, settings: Settings::default() }
    }

    /// Follows only one thread. Default: all threads.
    pub fn thread(mut self, id: ThreadId) -> Self {
        self.call.set_query("thread_id", id);
        self.settings.is_filtered = true;
        self
    }

    /// Follows only one run, and ends after its `run_status` `completed` or `error`. Default: all runs,
    /// without an end.
    ///
    /// Of a run that may be over already, follow the events [`after`](Self::after) one that came before its
    /// end: what is over is not told again on a live stream.
    pub fn run(mut self, id: RunId) -> Self {
        self.call.set_query("run_id", &id);
        self.settings.run = Some(id);
        self.settings.is_filtered = true;
        self
    }

    /// Starts with what happened after this event. Default: with what happens from now on.
    pub fn after(mut self, id: EventId) -> Self {
        self.after = Some(id);
        self
    }

    /// Sets how long the server may be silent before the connection is taken for dead and the stream resumes.
    /// Default: 30 s. The server sends a comment every 10 s, so that less than that cannot work.
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.settings.idle_timeout = timeout;
        self
    }

    /// Sets the largest event to accept, in bytes as it travels. Default: 8 MiB. A larger one ends the stream
    /// with [`Error::is_too_large`].
    pub fn max_event_size(mut self, bytes: usize) -> Self {
        self.settings.max_event_size = bytes;
        self
    }

    /// Sets how many tries to resume may fail in a row before the stream ends with the last error. Default:
    /// 10. A try counts as failed when no new event came, unless its connection lived for 10 s.
    pub fn max_reconnects(mut self, tries: u32) -> Self {
        self.settings.max_reconnects = tries;
        self
    }

    /// Sets the pauses between tries to resume. Default: at most 100 ms, doubled with each try that fails up
    /// to 10 s, each shortened at random. What the server asks for, by `retry-after` or a `retry` field,
    /// comes on top.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.settings.backoff = backoff;
        self
    }

    /// Sets the time limit of opening the stream, with all attempts and the pauses between them. Default: the client's
    /// [`timeout`](crate::ClientBuilder::timeout). A stream that is open has no limit but its
    /// [`idle_timeout`](Self::idle_timeout).
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.call.set_timeout(Some(timeout));
        self
    }

    /// Sets how opening is tried again. Default: the client's [`retries`](crate::ClientBuilder::retries). A stream that was
    /// open once resumes by [`max_reconnects`](Self::max_reconnects) and [`backoff`](Self::backoff).
    pub fn retries(mut self, policy: RetryPolicy) -> Self {
        self.call.set_retry_policy(policy);
        self
    }

    /// Connects, again if need be, and returns when the stream has its place in the log: what happens from then on is not
    /// missed. Open the stream first, then send the message whose effects to see.
    ///
    /// Without [`after`](Self::after) that place is the id which the server names at once. A server that
    /// names none within 1 s is not waited for; if the connection then breaks before the first event, what
    /// happened between is lost, and [`signals`](EventStream::signals) tell of the gap.
    ///
    /// # Errors
    /// When no connection is made or the server refuses; see [`Error`]. Silence for the
    /// [`idle_timeout`](Self::idle_timeout) is [`Error::is_timeout`].
    pub async fn open(self) -> Result<EventStream, Error> {
        let Self { call, after, settings } = self;
        let patience = settings.idle_timeout;
        let name = call.name();
        let mut first = call.clone();
        start_after(&mut first, after.as_ref());
        let (opened, _) = tried(first, |call| open(call.exchange(), patience)).await?;
        let mut call = call;
        call.set_timeout(None);
        let connect = HttpConnect::new(call, patience);
        let stream = EventStream::open(Box::new(connect), opened, settings, after).await;
        stream.map_err(|error| error.during(&name))
    }
}

headed!(OpenEventStream);

impl IntoFuture for OpenEventStream {
    type Output = Result<EventStream, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.open())
    }
}
