//! Automations that are due: their runs are started.
//!
//! One task looks for what is due by the index on `next_run_at`, page by page, and then waits until the next one is.
//! It is woken when somebody changes an automation. It also looks with every sweep, for nothing tells of a clock that
//! was put forward.
//!
//! Nothing is kept in memory for an automation that waits, and no order is needed: that an instant fires once is
//! decided by the store, see [`crate::service::automations::fire`].

#[cfg(test)]
mod tests;

use std::{
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::{FutureExt, StreamExt};
use prism_types::{AutomationId, Timestamp};
use tokio::sync::Notify;

use super::SWEEP_PAGE;
use crate::{
    core::Core,
    domain::automation::Automation,
    error::Result,
    ports::{Commit, StoreError, Write},
    service::automations,
};

/// How many are fired at the same time. Their commits share syncs of the disk.
const AT_ONCE: usize = 64;
/// A clock that goes back by more than this was put back.
const STEP: i64 = 1000;

/// Fires automations until the shutdown.
pub(super) struct Automations {
    core: Arc<Core>,
    changed: Arc<Notify>,
}

impl Automations {
    pub(super) fn new(core: Arc<Core>, changed: Arc<Notify>) -> Self {
        Self { core, changed }
    }

    /// Works until the shutdown.
    pub(super) async fn run(self) {
        let shutdown = self.core.shutdown.clone();
        shutdown.run_until_cancelled(self.work()).await;
    }

    async fn work(&self) {
        let (mut seen, mut settled) = (Timestamp::UNIX_EPOCH, false);
        loop {
            let now = self.core.clock.now();
            // Also at the start: the last server may have had another clock, or other rules of time zones.
            settled &= now.as_millis() >= seen.as_millis().saturating_sub(STEP);
            seen = now;
            if !settled {
                settled = self.settle(now).await;
            }
            let wait = match self.fire(now).await {
                Ok(wait) => wait,
                Err(error) => {
                    tracing::warn!(%error, "the sweep for automations failed; it is repeated");
                    self.core.settings.sweep
                }
            };
            // Whatever is woken, or not, what is due is read anew.
            let _ = tokio::time::timeout(wait, self.changed.notified()).await;
        }
    }

    /// Fires what is due, and answers how long nothing will be.
    async fn fire(&self, now: Timestamp) -> Result<Duration> {
        let failed = AtomicBool::new(false);
        let mut last: Option<(Timestamp, AutomationId)> = None;
        while let Some(page) = self.page(now, &mut last).await? {
            let each = futures::stream::iter(page).for_each_concurrent(AT_ONCE, |automation| {
                let failed = &failed;
                async move {
                    if !self.fire_one(&automation.id).await {
                        failed.store(true, Ordering::Relaxed);
                    }
                }
            });
            each.await;
        }
        let sweep = self.core.settings.sweep;
        if failed.into_inner() {
            return Ok(sweep);
        }
        let next = self.core.store.due_automations(Timestamp::from_millis(i64::MAX), None, 1).await?;
        let Some(next) = next.first().and_then(|next| next.next_run_at) else { return Ok(sweep) };
        let millis = next.as_millis().saturating_sub(self.core.clock.now().as_millis());
        Ok(Duration::from_millis(u64::try_from(millis).unwrap_or(0)).min(sweep))
    }

    /// Fires one, and answers whether that is done.
    async fn fire_one(&self, id: &AutomationId) -> bool {
        match AssertUnwindSafe(automations::fire(&self.core, id)).catch_unwind().await {
            Ok(Ok(())) => true,
            Ok(Err(error)) => {
                tracing::warn!(automation = %id, %error, "an automation could not be fired; it is tried again");
                false
            }
            Err(_) => {
                tracing::error!(automation = %id, "firing an automation panicked; it is tried again");
                false
            }
        }
    }

    /// Puts the next instant of every automation right; answers whether all are.
    async fn settle(&self, now: Timestamp) -> bool {
        let mut last = None;
        loop {
            match self.page(Timestamp::from_millis(i64::MAX), &mut last).await {
                Ok(None) => return true,
                Ok(Some(page)) => {
                    for automation in page {
                        if let Err(error) = self.settle_one(&automation, now).await {
                            tracing::warn!(automation = %automation.id, %error, "its next time was not checked");
                            return false;
                        }
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "the next times of automations were not checked; it is repeated");
                    return false;
                }
            }
        }
    }

    /// What is not due yet waits for the first instant from now on. That it waits for another one is left by a clock
    /// that went ahead for a while, or by other rules of its zone.
    async fn settle_one(&self, automation: &Automation, now: Timestamp) -> Result<()> {
        let Some(waits_for) = automation.next_run_at.filter(|next| *next > now) else { return Ok(()) };
        let Ok(timetable) = automation.timetable() else { return Ok(()) };
        let next = timetable.next_after(now);
        if next == Some(waits_for) {
            return Ok(());
        }
        let settled = Automation { next_run_at: next, ..automation.clone() };
        match self.core.store.commit(Commit::new().with(Write::UpdateAutomation(settled))).await {
            // Somebody was faster, and has seen the clock.
            Ok(()) | Err(StoreError::Conflict(_) | StoreError::Missing(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// The next page of what is due until some instant.
    async fn page(
        &self,
        until: Timestamp,
        last: &mut Option<(Timestamp, AutomationId)>,
    ) -> Result<Option<Vec<Automation>>> {
        let after = last.as_ref().map(|(instant, id)| (*instant, id));
        let page = self.core.store.due_automations(until, after, SWEEP_PAGE).await?;
        let Some((next, id)) = page.last().and_then(|last| Some((last.next_run_at?, last.id.clone()))) else {
            return Ok(None);
        };
        *last = Some((next, id));
        Ok(Some(page))
    }
}
