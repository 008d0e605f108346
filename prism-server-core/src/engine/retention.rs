//! Records that were kept long enough: they are removed.
//!
//! Found by the sweep, which asks the store for the oldest record only, so that nothing is written while there is nothing
//! to remove.

use std::time::Duration;

use prism_types::Timestamp;

use crate::{
    core::Core,
    domain::limits,
    error::Result,
    ports::{Commit, Expiring, Write},
};

/// Most records that one commit removes, so that others are not held up.
const AT_ONCE: u32 = 1000;

/// Removes every record that is older than its kind is kept.
pub(super) async fn expire(core: &Core) -> Result<()> {
    for (records, kept) in [
        (Expiring::Replies, limits::REPLY_RETENTION),
        (Expiring::AuditEntries, core.settings.audit_retention),
        (Expiring::Deliveries, limits::WEBHOOK_RETENTION),
    ] {
        let before = before(core.clock.now(), kept);
        while core.store.has_before(records, before).await? {
            core.store.commit(Commit::new().with(Write::Expire(records, before, AT_ONCE))).await?;
        }
    }
    Ok(())
}

/// The instant that was so long ago.
pub(super) fn before(now: Timestamp, time: Duration) -> Timestamp {
    let millis = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_millis(now.as_millis().saturating_sub(millis))
}
