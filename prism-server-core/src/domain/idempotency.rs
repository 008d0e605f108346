//! Idempotency: the answer to a change, kept under the key that its caller chose.
//!
//! The answer is written in the commit of the change. So a second request with the same key either finds the answer
//! of the first, or the first has changed nothing; there is no state between.

use std::{fmt, str::FromStr};

use prism_types::{TenantId, Timestamp};

use super::limits;

/// A name that a caller gives to a request, so that its repetitions do nothing: 1 to 255 visible ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// The key as it was sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for IdempotencyKey {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        let fits = (1..=limits::IDEMPOTENCY_KEY).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_graphic());
        if fits { Ok(Self(text.to_owned())) } else { Err(InvalidKey) }
    }
}

impl fmt::Display for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The text is no idempotency key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 255 visible ASCII characters")]
#[non_exhaustive]
pub struct InvalidKey;

/// The answer to a change, as it is given and given again. It can tell a secret that is shown only once.
#[derive(Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// The value of the header `ETag`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) etag: Option<String>,
    /// JSON.
    pub(crate) body: String,
}

/// Without the body.
impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply")
            .field("status", &self.status)
            .field("etag", &self.etag)
            .finish_non_exhaustive()
    }
}

/// An answer that is kept, sealed, since an answer can tell a secret that is shown only once.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "a record: stores build it from its columns")]
pub struct KeptReply {
    /// Whose key it is: keys of tenants are apart.
    pub tenant_id: TenantId,
    /// The key.
    pub key: IdempotencyKey,
    /// What the request was: a hash of its method, path and body.
    pub fingerprint: [u8; 32],
    /// The sealed answer.
    pub sealed: Vec<u8>,
    /// When it was given.
    pub created_at: Timestamp,
}

impl KeptReply {
    /// Whether the key is free again for another request.
    pub fn has_expired(&self, now: Timestamp) -> bool {
        let kept = i64::try_from(limits::REPLY_RETENTION.as_millis()).unwrap_or(i64::MAX);
        now.as_millis().saturating_sub(self.created_at.as_millis()) >= kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_255_visible_characters() {
        for (key, fits) in [
            ("a".repeat(255), true),
            ("a".repeat(256), false),
            (String::new(), false),
            ("a b".to_owned(), false),
            ("é".to_owned(), false),
            ("~!/=".to_owned(), true),
        ] {
            assert_eq!(key.parse::<IdempotencyKey>().is_ok(), fits, "{key}");
        }
    }

    #[test]
    fn no_debug_shows_a_body() {
        let reply = Reply { status: 201, etag: None, body: r#"{"secret":"whsec_canary"}"#.to_owned() };
        assert!(!format!("{reply:?}").contains("canary"));
    }

    #[test]
    fn a_reply_expires_after_24_hours() {
        let reply = KeptReply {
            tenant_id: TenantId::from_suffix("a").unwrap(),
            key: "k".parse().unwrap(),
            fingerprint: [0; 32],
            sealed: Vec::new(),
            created_at: Timestamp::from_millis(5),
        };
        let day = 24 * 60 * 60 * 1000;
        assert!(!reply.has_expired(Timestamp::from_millis(4 + day)));
        assert!(reply.has_expired(Timestamp::from_millis(5 + day)));
        assert!(!reply.has_expired(Timestamp::from_millis(0)), "a clock that goes back frees no key");
    }
}
