//! When a call is tried again: which failures, how often, after which pause.

mod budget;
mod tries;

use std::time::Duration;

use crate::{Backoff, Error, backoff::random};

pub(crate) use budget::Budget;
pub(crate) use tries::{Tries, once, tried};

/// How often a call is tried again, and after which pauses.
///
/// What is tried again is no setting: a failure that may pass, of a call that can be sent twice without being carried out
/// twice. See [the crate's documentation](crate#what-is-tried-again-and-what-is-not).
///
/// ```
/// use std::time::Duration;
/// use prism_client::{Backoff, RetryPolicy};
///
/// let patient = RetryPolicy::new()
///     .max_attempts(6)
///     .backoff(Backoff::new(Duration::from_millis(500), Duration::from_secs(20)));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    max_attempts: u32,
    backoff: Backoff,
    max_retry_after: Duration,
}

impl RetryPolicy {
    /// The default: 3 attempts in all, with pauses that begin at 250 ms and double up to 8 s, each shortened by up to half
    /// at random. A pause that the server asks for is kept, up to 60 s.
    pub const fn new() -> Self {
        Self {
            max_attempts: 3,
            backoff: Backoff::new(Duration::from_millis(250), Duration::from_secs(8)),
            max_retry_after: Duration::from_secs(60),
        }
    }

    /// Nothing is tried again.
    pub const fn none() -> Self {
        Self::new().max_attempts(1)
    }

    /// Sets how often a call is sent at most, the first time included; 0 counts as 1. Default: 3.
    #[must_use]
    pub const fn max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = attempts;
        self
    }

    /// Sets the pauses between attempts. Default: from 250 ms up to 8 s.
    #[must_use]
    pub const fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// Sets the longest pause that the server may ask for (`retry-after`). When it asks for more, the call fails at once,
    /// and [`Error::retry_after`] tells for how much. Default: 60 s.
    #[must_use]
    pub const fn max_retry_after(mut self, time: Duration) -> Self {
        self.max_retry_after = time;
        self
    }

    /// Whether there is another attempt after so many that failed.
    pub(crate) const fn allows(&self, failures: u32) -> bool {
        failures < self.max_attempts
    }

    /// The pause before the next attempt, after so many that failed, the last one with this error; `None`: there is no
    /// next one.
    fn pause(&self, attempts: u32, error: &Error, is_repeatable: bool) -> Option<Duration> {
        if !self.allows(attempts) || !error.may_be_repeated(is_repeatable) {
            return None;
        }
        let own = self.backoff.at_least_half(attempts - 1, random());
        match error.retry_after() {
            Some(hint) if hint > self.max_retry_after => None,
            Some(hint) => Some(own.max(hint)),
            None => Some(own),
        }
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self::new()
    }
}
