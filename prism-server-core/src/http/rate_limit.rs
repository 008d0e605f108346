//! A limit of requests per caller, off by default.
//!
//! Where there is one, every answer to a known caller tells the policy and what is left of it, in the headers
//! `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10).

use std::{num::NonZeroU32, time::Duration};

use governor::{
    Quota, RateLimiter,
    clock::{Clock as _, DefaultClock},
    middleware::StateInformationMiddleware,
    state::keyed::DefaultKeyedStateStore,
};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::error::{Error, ErrorKind, Result};

/// Callers known at a time before those at rest are forgotten.
const CALLERS: usize = 10_000;

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LEFT: HeaderName = HeaderName::from_static("ratelimit");

/// Counts requests by caller.
pub(crate) struct RateLimit {
    limiter: RateLimiter<String, DefaultKeyedStateStore<String>, DefaultClock, StateInformationMiddleware>,
    requests_per_second: NonZeroU32,
}

impl RateLimit {
    /// At most so many requests a second of one caller, with bursts as large; `None` for 0.
    pub(crate) fn new(requests_per_second: u32) -> Option<Self> {
        let requests_per_second = NonZeroU32::new(requests_per_second)?;
        let limiter = RateLimiter::keyed(Quota::per_second(requests_per_second));
        Some(Self { limiter: limiter.with_middleware(), requests_per_second })
    }

    /// Counts a request and says how many more would be taken now, or refuses it and says when the next one is taken.
    pub(crate) fn check(&self, caller: &str) -> Result<u32> {
        if self.limiter.len() > CALLERS {
            self.limiter.retain_recent();
        }
        match self.limiter.check_key(&caller.to_owned()) {
            Ok(snapshot) => Ok(snapshot.remaining_burst_capacity()),
            Err(not_until) => {
                let wait = not_until.wait_time_from(self.limiter.clock().now());
                let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
                let message = "Too many requests. Wait as long as `Retry-After` says and try again.";
                let error = Error::new(ErrorKind::RateLimited, message);
                Err(error.retry_after(Duration::from_secs(seconds.max(1))))
            }
        }
    }

    /// Tells the policy, and how many more requests would be taken now.
    pub(crate) fn tell(&self, left: u32, headers: &mut HeaderMap) {
        let policy = format!("\"key\";q={};w=1", self.requests_per_second);
        let left = format!("\"key\";r={};t=1", left);
        for (name, value) in [(POLICY, policy), (LEFT, left)] {
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.insert(name, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_burst_is_as_large_as_the_rate_and_callers_are_apart() {
        let limit = RateLimit::new(3).unwrap();
        assert_eq!([(); 3].map(|()| limit.check("a").unwrap()), [2, 1, 0]);
        let error = limit.check("a").unwrap_err();
        assert_eq!(
            (error.kind(), error.retry_hint()),
            (ErrorKind::RateLimited, Some(Duration::from_secs(1)))
        );
        assert_eq!(limit.check("b").unwrap(), 2);
        assert!(RateLimit::new(0).is_none());
    }

    #[test]
    fn the_headers_tell_the_policy_and_what_is_left() {
        let mut headers = HeaderMap::new();
        RateLimit::new(3).unwrap().tell(2, &mut headers);
        assert_eq!(headers["ratelimit-policy"], "\"key\";q=3;w=1");
        assert_eq!(headers["ratelimit"], "\"key\";r=2;t=1");
    }
}
