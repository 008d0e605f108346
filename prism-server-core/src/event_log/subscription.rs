//! One reader's position in a log.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use prism_types::{DeploymentId, RunId, ThreadId};
use tokio::sync::watch;

use super::{Entry, EventLog, Head, TailGuard};
use crate::{
    domain::event::LoggedEvent,
    ports::{Store, StoreResult},
};

/// Most events handed out at once.
const PAGE: u32 = 256;

/// Which events a reader wants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct EventFilter {
    pub(crate) thread_id: Option<ThreadId>,
    pub(crate) run_id: Option<RunId>,
}

impl EventFilter {
    fn admits(&self, event: &LoggedEvent) -> bool {
        let event = &event.event;
        (self.thread_id.is_none() || self.thread_id == event.thread_id)
            && (self.run_id.is_none() || self.run_id == event.run_id)
    }
}

/// A reader of a deployment's log: strictly after its start, in order, each event once.
pub(crate) struct Subscription {
    store: Arc<dyn Store>,
    guard: TailGuard,
    head: watch::Receiver<Head>,
    filter: EventFilter,
    position: u64,
}

impl Subscription {
    /// Follows a log after `after`, or from now on.
    pub(crate) async fn open(
        log: &Arc<EventLog>,
        store: Arc<dyn Store>,
        deployment_id: &DeploymentId,
        after: Option<u64>,
        filter: EventFilter,
    ) -> StoreResult<Self> {
        let guard = log.tail(deployment_id);
        let head = guard.tail.head.subscribe();
        // Only now, with the tail listening: see the module's documentation.
        let last = store.last_sequence(deployment_id).await?;
        guard.tail.observe(last);
        Ok(Self { store, guard, head, filter, position: after.unwrap_or(last) })
    }

    /// The sequence number of the last event that was passed, whether it was wanted or not.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// The next events, at least one; `None` when the log was closed. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Option<StoreResult<Vec<Arc<Entry>>>> {
        loop {
            let head = *self.head.borrow_and_update();
            if head.closed {
                return None;
            }
            if self.position < head.sequence {
                match self.page().await {
                    Ok(entries) if entries.is_empty() => {}
                    result => return Some(result),
                }
            } else if self.head.changed().await.is_err() {
                return None;
            }
        }
    }

    /// The wanted entries among the next ones; moves the position past all of them.
    async fn page(&mut self) -> StoreResult<Vec<Arc<Entry>>> {
        let entries = match self.guard.tail.after(self.position, PAGE as usize) {
            Some(entries) => entries,
            None => {
                let events = self.store.events(&self.guard.deployment_id, self.position, PAGE).await?;
                events.into_iter().map(|event| Arc::new(Entry::new(event))).collect()
            }
        };
        // An empty page below the head means that the events in between were trimmed: go on at the head.
        let last = entries.last().map_or_else(|| self.head.borrow().sequence, |e| e.event.sequence);
        self.position = self.position.max(last);
        let mut entries = entries;
        entries.retain(|entry| self.filter.admits(&entry.event));
        Ok(entries)
    }
}

/// The frames of some entries as one piece.
pub(crate) fn frames(entries: &[Arc<Entry>]) -> Bytes {
    match entries {
        [one] => one.frame(),
        many => {
            let frames: Vec<_> = many.iter().map(|entry| entry.frame()).collect();
            let mut all = BytesMut::with_capacity(frames.iter().map(Bytes::len).sum());
            frames.iter().for_each(|frame| all.extend_from_slice(frame));
            all.freeze()
        }
    }
}
