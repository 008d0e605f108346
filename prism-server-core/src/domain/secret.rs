//! Secrets as they are kept: sealed.

use prism_types::{SecretRef, TenantId, Timestamp};

/// A stored secret. The value is sealed; only a `SecretBox` with the right key can open it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "a record: stores build it from its columns")]
pub struct SealedSecret {
    /// Its owner.
    pub tenant_id: TenantId,
    /// The reference by which requests name it.
    pub reference: SecretRef,
    /// The sealed value.
    pub sealed: Vec<u8>,
    /// When its value was last set.
    pub updated_at: Timestamp,
}
