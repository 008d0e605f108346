//! Questions that nobody answers in time: they are denied, and their runs go on.
//!
//! Found by the sweep. Nothing is kept in memory for a question that waits, however many there are.

use prism_types::ApprovalId;

use super::{SWEEP_PAGE, retention::before};
use crate::{core::Core, domain::approval::Approval, error::Result, service::approvals};

/// Denies every question that has waited for its time limit: its deployment's, or else the server's.
pub(super) async fn expire(core: &Core) -> Result<()> {
    expire_overdue(core).await?;
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
            if approval.expires_at.is_none() {
                deny(core, &approval).await?;
            }
        }
    }
}

/// Denies the questions of deployments with a time limit of their own.
async fn expire_overdue(core: &Core) -> Result<()> {
    loop {
        let page = core.store.overdue_approvals(core.clock.now(), SWEEP_PAGE).await?;
        let mut denied = 0;
        for approval in &page {
            denied += usize::from(deny(core, approval).await?);
        }
        // Without the second condition, questions that cannot be denied would be looked at for ever.
        if page.len() < SWEEP_PAGE as usize || denied == 0 {
            return Ok(());
        }
    }
}

/// Whether a question was denied; not, when somebody was faster.
async fn deny(core: &Core, approval: &Approval) -> Result<bool> {
    match approvals::expire(core, approval).await {
        Err(error) if error.is_conflict() => Ok(false),
        done => done.map(|()| true),
    }
}
