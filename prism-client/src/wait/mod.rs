//! Waiting until something is as it should be.
//!
//! Every call that reads one thing can wait: `wait_until` takes a [`Condition`], and returns the thing when it is met.
//!
//! ```no_run
//! use prism_client::{
//!     types::{Run, RunId, RunStatus},
//!     wait::{Asking, Over, any},
//! };
//!
//! # use prism_client::{Error, resources::DeploymentHandle};
//! # async fn example(agent: DeploymentHandle, run: RunId) -> Result<(), Error> {
//! agent.wait_until_ready().await?;
//! // Conditions are values, and a closure is one as well.
//! let ended = agent.runs().get(&run).wait_until(any(Over, Asking)).await?;
//! if ended.status == RunStatus::WaitingOnHuman {
//!     println!("it has a question");
//! }
//! agent.runs().get(&run).wait_until(|run: &Run| run.ended_at.is_some()).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # How it waits
//!
//! What decides is always what is read. For runs, questions and dreams, the events of the deployment say when to read
//! again, so that the end of a run is seen at once and a long one costs no polling: one reading in 30 s, should the stream
//! miss something. Other things are read again with pauses that grow from 50 ms to 2 s, each shortened by up to half at
//! random, so that many waiting clients spread.
//!
//! What may pass is tolerated until the time limit: no connection, one that breaks, 429 (whose `retry-after` is kept), 5xx.
//!
//! # In another process
//!
//! [`Wait::state`] can be stored; [`Client::resume_wait`](crate::Client::resume_wait) goes on with it, with the time that
//! is left.

mod condition;
mod nudges;
#[cfg(feature = "nullspace")]
mod nullspace;
mod subject;

use std::{
    fmt,
    pin::Pin,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use prism_types::Timestamp;
use reqwest::Method;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout_at};

use nudges::Nudges;

use crate::{
    Client, Error, RetryPolicy,
    backoff::{Backoff, deadline, random},
    call::Call,
    error::Kind,
};

pub use condition::{
    All, Answered, Any, Asking, Completed, Condition, Look, Not, Over, Ready, all, any, not,
};
pub use subject::Subject;

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5 * 60);
/// The first and the longest pause between two looks.
const PAUSES: Backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(2));

/// Waits until something meets a condition; from `wait_until` of the call that reads it.
///
/// Nothing is sent before [`wait`](Self::wait) or `.await`.
#[must_use = "nothing is sent before `wait` or `.await`"]
pub struct Wait<T> {
    call: Call,
    condition: Box<dyn Condition<T> + Send + Sync>,
    timeout: Duration,
}

/// What a [`Wait`] needs to go on in another process: what is waited for, and until when.
///
/// Its JSON has the ids and an instant, and no secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitState {
    /// The path, with names in place of ids: what sort of thing it is.
    path: String,
    ids: Vec<String>,
    ends_at: Timestamp,
}

impl<T: Subject> Wait<T> {
    pub(crate) fn new(call: Call, condition: impl Condition<T> + Send + Sync + 'static) -> Self {
        // Waiting is trying again.
        let mut call = call;
        call.set_retry_policy(RetryPolicy::none());
        Self { call, condition: Box::new(condition), timeout: DEFAULT_TIMEOUT }
    }

    pub(crate) fn resume(
        client: &Client,
        state: WaitState,
        condition: impl Condition<T> + Send + Sync + 'static,
    ) -> Self {
        let ids: Vec<&str> = state.ids.iter().map(String::as_str).collect();
        let mut call = Call::new(client, Method::GET, T::PATH, &ids);
        if state.path != T::PATH || ids.len() != T::PATH.matches('{').count() {
            call.refuse("the state is that of a wait for something else");
        }
        let left = state.ends_at.as_millis().saturating_sub(now());
        Self::new(call, condition).timeout(Duration::from_millis(u64::try_from(left).unwrap_or_default()))
    }

    /// Sets how long to wait altogether. Default: 5 minutes.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// What another process needs to go on. The time limit is one from now, as if the wait began now; it is kept in
    /// milliseconds, and ends in the year 9999 at the latest.
    pub fn state(&self) -> WaitState {
        let timeout = i64::try_from(self.timeout.as_millis()).unwrap_or(i64::MAX);
        let ends_at = Timestamp::from_millis(now().saturating_add(timeout));
        WaitState { path: T::PATH.to_owned(), ids: self.call.ids(), ends_at }
    }

    /// Waits, and returns what meets the condition.
    ///
    /// # Errors
    /// * [`Error::is_hopeless`] when it is in a state that cannot lead to what was waited for, such as a run that is over;
    ///   of these, [`Error::is_deployment_failed`] and [`Error::is_run_failed`], and [`Error::failure`] says why.
    /// * [`Error::is_timeout`] when the time is up; its source is the last failure to read, if the last try failed.
    /// * At once, every error that does not pass by waiting, such as [`Error::is_not_found`].
    pub async fn wait(self) -> Result<T, Error> {
        let ends = deadline(self.timeout);
        let mut last = Last::default();
        let result = timeout_at(ends, self.look_again(ends, &mut last)).await;
        result.unwrap_or_else(|_| Err(self.late(last)))
    }

    async fn look_again(&self, ends: Instant, last: &mut Last) -> Result<T, Error> {
        let mut nudges = Nudges::new(self.call.client());
        for attempt in 0.. {
            let mut pause = PAUSES.at_least_half(attempt, random());
            match self.call.clone().send::<T>().await {
                Ok(answer) => {
                    let value = answer.into_inner();
                    match self.condition.look(&value) {
                        Look::Met => return Ok(value),
                        Look::Hopeless => return Err(self.hopeless(value)),
                        Look::NotYet => {}
                    }
                    *last = Last { status: Some(value.status()), error: None };
                    // What happened before the stream was there is only seen by reading once more.
                    if nudges.listen_to(value.run()).await {
                        continue;
                    }
                }
                Err(error) if error.is_retryable() => {
                    pause = pause.max(error.retry_after().unwrap_or_default());
                    last.error = Some(error);
                    if pause > ends.saturating_duration_since(Instant::now()) {
                        break;
                    }
                }
                Err(error) => return Err(error),
            }
            nudges.next(pause).await;
        }
        Err(self.late(std::mem::take(last)))
    }

    fn hopeless(&self, value: T) -> Error {
        let status = value.status();
        let hopeless = || Error::new(Kind::Hopeless { noun: T::NOUN, status, failure: None });
        value.failure().unwrap_or_else(hopeless).during(&self.name())
    }

    fn late(&self, last: Last) -> Error {
        let kind = Kind::NotInTime { noun: T::NOUN, limit: self.timeout, last: last.status };
        let error = Error::new(kind).during(&self.name());
        match last.error {
            Some(cause) => error.hinted(cause.retry_after()).caused_by(cause),
            None => error,
        }
    }

    fn name(&self) -> String {
        format!("waiting for {}", self.call.ids().last().map_or("", String::as_str))
    }
}

impl<T: Subject> IntoFuture for Wait<T> {
    type Output = Result<T, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.wait())
    }
}

impl<T> fmt::Debug for Wait<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wait")
            .field("call", &self.call)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// Milliseconds since 1970, by the clock of this machine.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// What the last look showed.
#[derive(Default)]
struct Last {
    status: Option<String>,
    error: Option<Error>,
}
