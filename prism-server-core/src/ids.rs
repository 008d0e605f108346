//! New ids.
//!
//! A suffix is a version 7 UUID in lower-case base 32 (26 characters): time-ordered, so that the newest item
//! has the greatest id and lists need no other order, and unique without asking the store. Ids tell when they
//! were made; they are names, never secrets.

use prism_types::{
    ApiKeyId, ApprovalId, AuditEntryId, AutomationId, AutomationRunId, DeploymentId, DreamId, InstanceId,
    MemoryId, RequestId, RunId, SkillId, SnapshotId, TenantId, ThreadId, UploadId, VersionId, WebhookId,
};
use uuid::Uuid;

/// Digits in ascending ASCII order, so that text order is number order; no `i`, `l`, `o`, `u`.
const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// A type of ids that can be made.
pub(crate) trait NewId: Sized {
    /// A new id.
    fn generate() -> Self;
}

macro_rules! new_ids {
    ($($id:ident),*) => { $(
        impl NewId for $id {
            fn generate() -> Self {
                // A base 32 suffix of 26 characters always has the form of an id.
                $id::from_suffix(&suffix()).unwrap_or_else(|_| unreachable!("a suffix has the form of an id"))
            }
        }
    )* };
}

new_ids!(
    ApiKeyId,
    ApprovalId,
    AuditEntryId,
    AutomationId,
    AutomationRunId,
    DeploymentId,
    DreamId,
    InstanceId,
    MemoryId,
    RequestId,
    RunId,
    SkillId,
    SnapshotId,
    TenantId,
    ThreadId,
    UploadId,
    VersionId,
    WebhookId
);

fn suffix() -> String {
    let mut bits = Uuid::now_v7().as_u128();
    let mut digits = [0_u8; 26];
    for digit in digits.iter_mut().rev() {
        *digit = DIGITS[(bits % 32) as usize];
        bits /= 32;
    }
    digits.iter().map(|&digit| char::from(digit)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_ascend_in_the_order_they_were_made() {
        let ids: Vec<_> = (0..10_000).map(|_| RunId::generate()).collect();
        assert!(ids.windows(2).all(|pair| pair[0] < pair[1]));
        assert_eq!(ids[0].suffix().len(), 26);
    }
}
