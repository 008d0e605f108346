//! A limit of requests per caller, off by default.

use std::{num::NonZeroU32, time::Duration};

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter, clock::Clock as _};

use crate::error::{Error, ErrorKind, Result};

/// Callers known at a time before those at rest are forgotten.
const CALLERS: usize = 10_000;

/// Counts requests by caller.
pub(crate) struct RateLimit {
    limiter: DefaultKeyedRateLimiter<String>,
}

impl RateLimit {
    /// At most so many requests a second of one caller, with bursts as large; `None` for 0.
    pub(crate) fn new(requests_per_second: u32) -> Option<Self> {
        let quota = Quota::per_second(NonZeroU32::new(requests_per_second)?);
        Some(Self { limiter: RateLimiter::keyed(quota) })
    }

    /// Counts a request, or refuses it and says when the next one is taken.
    pub(crate) fn check(&self, caller: &str) -> Result<()> {
        if self.limiter.len() > CALLERS {
            self.limiter.retain_recent();
        }
        self.limiter.check_key(&caller.to_owned()).map_err(|not_until| {
            let wait = not_until.wait_time_from(self.limiter.clock().now());
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            let message = "Too many requests. Wait as long as `Retry-After` says and try again.";
            Error::new(ErrorKind::RateLimited, message).retry_after(Duration::from_secs(seconds.max(1)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_burst_is_as_large_as_the_rate_and_callers_are_apart() {
        let limit = RateLimit::new(3).unwrap();
        assert!((0..3).all(|_| limit.check("a").is_ok()));
        let error = limit.check("a").unwrap_err();
        assert_eq!(
            (error.kind(), error.retry_hint()),
            (ErrorKind::RateLimited, Some(Duration::from_secs(1)))
        );
        assert!(limit.check("b").is_ok());
        assert!(RateLimit::new(0).is_none());
    }
}
