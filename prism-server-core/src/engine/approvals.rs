//! Questions that nobody answers in time: they are denied, and their runs go on.
//!
//! Found by the sweep. Nothing is kept in memory for a question that waits, however many there are.

use prism_types::ApprovalId;

use super::{SWEEP_PAGE, retention::before};
use crate::{
    core::Core,
    error::{ErrorKind, Result},
    service::approvals,
};

/// Denies every question that has waited for the time limit.
pub(super) async fn expire(core: &Core) -> Result<()> {
    let Some(limit) = core.settings.approval_timeout else { return Ok(()) };
    let newest = before(core.clock.now(), limit);
    let mut last: Option<ApprovalId> = None;
    loop {
        let page = core.store.pending_approvals(last.as_ref(), SWEEP_PAGE).await?;
        let Some(approval) = page.last() else { return Ok(()) };
        last = Some(approval.id.clone());
        for approval in page {
            // Oldest first: all that follow are younger, too.
            if approval.created_at > newest {
                return Ok(());
            }
            match approvals::expire(core, &approval).await {
                // Somebody was faster.
                Err(error) if error.kind() == ErrorKind::Conflict => {}
                done => done?,
            }
        }
    }
}
