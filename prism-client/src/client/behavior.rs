//! Versions of the defaults.

use std::time::Duration;

use crate::RetryPolicy;

/// Which defaults a client has for what is not set: time limits and retries.
///
/// A new version comes with changed defaults, and an old one keeps them. Whoever runs in production names one; then an
/// update of this crate changes none of them.
///
/// ```
/// use prism_client::{BehaviorVersion, Client};
///
/// let builder = Client::builder().behavior_version(BehaviorVersion::v2026_11());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct BehaviorVersion(Version);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Version {
    V2026_11,
}

/// What a version sets.
pub(super) struct Defaults {
    pub(super) timeout: Duration,
    pub(super) connect_timeout: Duration,
    pub(super) retry_policy: RetryPolicy,
}

impl BehaviorVersion {
    /// The newest one, whatever it is.
    pub const fn latest() -> Self {
        Self::v2026_11()
    }

    /// November 2026: 60 s for a call, 10 s for a connection, 3 attempts with pauses from 250 ms to 8 s.
    pub const fn v2026_11() -> Self {
        Self(Version::V2026_11)
    }

    pub(super) fn defaults(self) -> Defaults {
        match self.0 {
            Version::V2026_11 => Defaults {
                timeout: Duration::from_secs(60),
                connect_timeout: Duration::from_secs(10),
                retry_policy: RetryPolicy::new(),
            },
        }
    }
}
