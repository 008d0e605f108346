//! How much a key may still send.

use std::time::Duration;

use reqwest::header::HeaderMap;

use crate::call::header;

/// What the headers `RateLimit` and `RateLimit-Policy` of an answer tell (draft-ietf-httpapi-ratelimit-headers-10).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RateLimit {
    /// How many requests may be sent now.
    pub remaining: u64,
    /// When there are more; `None` when the server does not tell.
    pub reset: Option<Duration>,
    /// How many requests may be sent in each `window`; `None` when the server does not tell.
    pub quota: Option<u64>,
    /// The time that the quota is for; `None` when the server does not tell.
    pub window: Option<Duration>,
}

impl RateLimit {
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let left = header(headers, "ratelimit")?;
        let policy = header(headers, "ratelimit-policy").unwrap_or_default();
        Some(Self {
            remaining: parameter(left, "r")?,
            reset: parameter(left, "t").map(Duration::from_secs),
            quota: parameter(policy, "q"),
            window: parameter(policy, "w").map(Duration::from_secs),
        })
    }
}

/// A number among the parameters of the first item of a list, such as `r` of `"key";r=42;t=1`.
fn parameter(list: &str, name: &str) -> Option<u64> {
    // The name of a policy is a string, which may have any of these characters in it.
    let parameters = match list.trim_start().strip_prefix('"') {
        Some(rest) => rest.split_once('"')?.1,
        None => list,
    };
    let first = parameters.split(',').next().unwrap_or_default();
    let mut pairs = first.split(';').filter_map(|pair| pair.split_once('='));
    pairs.find(|(key, _)| key.trim() == name)?.1.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(left: &str, policy: &str) -> Option<RateLimit> {
        let mut headers = HeaderMap::new();
        headers.insert("ratelimit", left.parse().unwrap());
        headers.insert("ratelimit-policy", policy.parse().unwrap());
        RateLimit::of(&headers)
    }

    #[test]
    fn what_a_server_tells_is_read() {
        let told = read(r#""a;r=9,b";r=42;t=1"#, r#""key";q=50;w=1"#).unwrap();
        assert_eq!((told.remaining, told.reset), (42, Some(Duration::from_secs(1))));
        assert_eq!((told.quota, told.window), (Some(50), Some(Duration::from_secs(1))));
        let told = read(r#""key"; r=0, "other";r=5;t=9"#, "").unwrap();
        assert_eq!((told.remaining, told.reset, told.quota), (0, None, None));
        assert_eq!(RateLimit::of(&HeaderMap::new()), None);
    }

    proptest! {
        #[test]
        fn no_header_panics(left in "[ -~]{0,40}", policy in "[\"kqw;=,0-9 ]{0,20}") {
            read(&left, &policy);
        }
    }
}
