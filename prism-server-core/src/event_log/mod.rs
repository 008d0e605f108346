//! Following the event log: replay, then live, without a gap and without a duplicate.
//!
//! A [`Subscription`] is a position in a deployment's log. It pulls: from the tail that the [`EventLog`] keeps
//! in memory when the position is still in there, else from the store, page by page. So there is no queue per
//! subscriber that could overflow; a slow reader falls behind and reads the store, and 1,000 readers of one
//! deployment share one tail and one encoded form of each event.
//!
//! Events reach the tail only after their commit, through [`AppendListener`]. Whoever subscribes registers
//! first and reads the last sequence number afterwards: an event committed before that read is in the store,
//! one committed after it comes to the tail.

mod subscription;

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak},
};

use bytes::Bytes;
use prism_types::DeploymentId;
use tokio::sync::watch;

use crate::{
    domain::event::{LoggedEvent, event_id},
    http::sse,
    ports::AppendListener,
    telemetry,
};

pub(crate) use subscription::{EventFilter, Subscription, frames};

/// Most events of a deployment kept in memory.
const TAIL_EVENTS: usize = 512;
/// Most payload bytes of a deployment kept in memory.
const TAIL_BYTES: usize = 1024 * 1024;

/// The tails of all deployments that somebody follows.
#[derive(Default)]
pub(crate) struct EventLog {
    tails: Mutex<HashMap<DeploymentId, Arc<Tail>>>,
}

/// An event in memory.
pub(crate) struct Entry {
    pub(crate) event: LoggedEvent,
    frame: OnceLock<Bytes>,
}

impl Entry {
    fn new(event: LoggedEvent) -> Self {
        Self { event, frame: OnceLock::new() }
    }

    /// The event as the log's own server-sent event, encoded once for all subscribers.
    pub(crate) fn frame(&self) -> Bytes {
        let encode = || {
            let LoggedEvent { sequence, event } = &self.event;
            sse::encode(&event.name, &event_id(&event.deployment_id, *sequence), &event.data)
        };
        self.frame.get_or_init(encode).clone()
    }
}

impl EventLog {
    /// The tail of a deployment; it lives as long as somebody holds it.
    fn tail(self: &Arc<Self>, deployment_id: &DeploymentId) -> TailGuard {
        let mut tails = lock(&self.tails);
        let tail = tails.entry(deployment_id.clone()).or_default().clone();
        *lock(&tail.followers) += 1;
        TailGuard { log: Arc::downgrade(self), deployment_id: deployment_id.clone(), tail }
    }

    /// Ends every subscription of a deployment.
    pub(crate) fn close(&self, deployment_id: &DeploymentId) {
        if let Some(tail) = lock(&self.tails).get(deployment_id) {
            tail.head.send_modify(|head| head.closed = true);
        }
    }

    /// How many subscriptions a deployment has.
    pub(crate) fn followers(&self, deployment_id: &DeploymentId) -> usize {
        lock(&self.tails).get(deployment_id).map_or(0, |tail| *lock(&tail.followers))
    }
}

impl AppendListener for EventLog {
    fn appended(&self, events: &[LoggedEvent]) {
        telemetry::appended(events);
        let same_log = |a: &LoggedEvent, b: &LoggedEvent| a.event.deployment_id == b.event.deployment_id;
        for events in events.chunk_by(same_log) {
            let tail = lock(&self.tails).get(&events[0].event.deployment_id).cloned();
            if let Some(tail) = tail {
                tail.push(events);
            }
        }
    }
}

/// The newest events of one deployment.
struct Tail {
    entries: Mutex<Entries>,
    head: watch::Sender<Head>,
    followers: Mutex<usize>,
}

/// How far a log reaches.
#[derive(Debug, Clone, Copy, Default)]
struct Head {
    sequence: u64,
    closed: bool,
}

#[derive(Default)]
struct Entries {
    /// Without gaps, ascending.
    queue: VecDeque<Arc<Entry>>,
    bytes: usize,
}

impl Default for Tail {
    fn default() -> Self {
        let head = watch::Sender::new(Head::default());
        Self { entries: Mutex::default(), head, followers: Mutex::default() }
    }
}

impl Tail {
    fn push(&self, events: &[LoggedEvent]) {
        let mut entries = lock(&self.entries);
        for event in events {
            entries.push(Arc::new(Entry::new(event.clone())));
        }
        let last = entries.queue.back().map_or(0, |entry| entry.event.sequence);
        drop(entries);
        self.observe(last);
    }

    /// Learns that the log reaches at least to `sequence`.
    fn observe(&self, sequence: u64) {
        self.head.send_if_modified(|head| {
            let newer = sequence > head.sequence;
            head.sequence = head.sequence.max(sequence);
            newer
        });
    }

    /// At most `limit` entries after a position; `None` when the next one is not in memory.
    fn after(&self, position: u64, limit: usize) -> Option<Vec<Arc<Entry>>> {
        let entries = lock(&self.entries);
        let first = entries.queue.front()?.event.sequence;
        let skip = usize::try_from((position + 1).checked_sub(first)?).ok()?;
        if skip >= entries.queue.len() {
            return None;
        }
        Some(entries.queue.range(skip..).take(limit).cloned().collect())
    }
}

impl Entries {
    fn push(&mut self, entry: Arc<Entry>) {
        let follows = self.queue.back().is_none_or(|last| last.event.sequence + 1 == entry.event.sequence);
        if !follows {
            // Unheard events lie in between: what is older is left to the store.
            self.queue.clear();
            self.bytes = 0;
        }
        self.bytes += entry.event.event.data.len();
        self.queue.push_back(entry);
        while self.queue.len() > TAIL_EVENTS || (self.bytes > TAIL_BYTES && self.queue.len() > 1) {
            let oldest = self.queue.pop_front();
            self.bytes -= oldest.map_or(0, |entry| entry.event.event.data.len());
        }
    }
}

/// Keeps a tail alive and counts who follows it.
struct TailGuard {
    log: Weak<EventLog>,
    deployment_id: DeploymentId,
    tail: Arc<Tail>,
}

impl Drop for TailGuard {
    fn drop(&mut self) {
        let Some(log) = self.log.upgrade() else { return };
        let mut tails = lock(&log.tails);
        let mut followers = lock(&self.tail.followers);
        *followers -= 1;
        if *followers == 0 {
            tails.remove(&self.deployment_id);
        }
    }
}

/// A poisoned lock means that a holder panicked between two whole updates; the data is still consistent.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::event::NewEvent;
    use prism_types::Timestamp;

    fn event(sequence: u64, size: usize) -> LoggedEvent {
        let event = NewEvent {
            deployment_id: "dep_1".parse().unwrap(),
            run_id: None,
            thread_id: None,
            instance_id: None,
            name: "token".to_owned(),
            data: "x".repeat(size),
            created_at: Timestamp::UNIX_EPOCH,
        };
        LoggedEvent { sequence, event }
    }

    fn sequences(tail: &Tail, position: u64) -> Option<Vec<u64>> {
        tail.after(position, 1000).map(|entries| entries.iter().map(|e| e.event.sequence).collect())
    }

    #[test]
    fn a_tail_answers_only_what_it_holds_without_a_gap() {
        let tail = Tail::default();
        assert_eq!(sequences(&tail, 0), None);
        tail.push(&[event(5, 1), event(6, 1)]);
        assert_eq!(sequences(&tail, 3), None);
        assert_eq!(sequences(&tail, 4), Some(vec![5, 6]));
        assert_eq!(sequences(&tail, 5), Some(vec![6]));
        assert_eq!(sequences(&tail, 6), None);
        tail.push(&[event(9, 1)]);
        assert_eq!(sequences(&tail, 6), None);
        assert_eq!(sequences(&tail, 8), Some(vec![9]));
    }

    #[test]
    fn a_tail_is_bounded_in_events_and_bytes() {
        let tail = Tail::default();
        for sequence in 1..=600 {
            tail.push(&[event(sequence, 1)]);
        }
        assert_eq!(lock(&tail.entries).queue.len(), TAIL_EVENTS);
        tail.push(&[event(601, TAIL_BYTES)]);
        assert_eq!(lock(&tail.entries).queue.len(), 1);
        tail.push(&[event(602, TAIL_BYTES + 1)]);
        assert_eq!(sequences(&tail, 601), Some(vec![602]));
    }
}
