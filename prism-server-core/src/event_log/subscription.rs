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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        adapters::store::MemoryStore,
        domain::{deployment::tests::sample, event::NewEvent},
        ports::{Commit, Write},
    };
    use futures::FutureExt;
    use prism_types::Timestamp;
    use proptest::prelude::*;

    /// What can happen around a log, in any order.
    #[derive(Debug, Clone)]
    enum Step {
        /// So many events are appended in one commit.
        Append(u16),
        /// Somebody subscribes after the event at this part of the log, or from now on.
        Open(Option<u8>),
        /// A reader, picked by number, takes what it can get once.
        Read(u8),
        /// A reader goes away.
        Close(u8),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (1..6_u16).prop_map(Step::Append),
            // More than the tail holds.
            1 => (400..900_u16).prop_map(Step::Append),
            2 => any::<Option<u8>>().prop_map(Step::Open),
            8 => any::<u8>().prop_map(Step::Read),
            1 => any::<u8>().prop_map(Step::Close),
        ]
    }

    /// A reader, where it started, and what it got.
    struct Reader {
        subscription: Subscription,
        start: u64,
        got: Vec<u64>,
    }

    impl Reader {
        /// Takes one batch, if there is one.
        fn read(&mut self) -> bool {
            let Some(Some(Ok(entries))) = self.subscription.next().now_or_never() else { return false };
            self.got.extend(entries.iter().map(|entry| entry.event.sequence));
            true
        }
    }

    fn append(store: &MemoryStore, events: u16) {
        let event = NewEvent {
            deployment_id: sample().id,
            run_id: None,
            thread_id: None,
            instance_id: None,
            name: "token".to_owned(),
            data: "{}".to_owned(),
            created_at: Timestamp::UNIX_EPOCH,
        };
        let writes = (0..events).map(|_| Write::Append(event.clone()));
        store.commit(Commit::new().with_all(writes)).now_or_never().unwrap().unwrap();
    }

    proptest! {
        #[test]
        fn each_reader_gets_exactly_what_comes_after_its_start(steps in prop::collection::vec(step(), 1..60)) {
            let store = Arc::new(MemoryStore::new());
            let log = Arc::new(EventLog::default());
            store.set_append_listener(log.clone());
            let id = sample().id;
            let insert = Commit::new().with(Write::InsertDeployment(sample()));
            store.commit(insert).now_or_never().unwrap().unwrap();
            let (mut readers, mut end) = (Vec::<Reader>::new(), 0_u64);
            for step in steps {
                match step {
                    Step::Append(events) => {
                        append(&store, events);
                        end += u64::from(events);
                    }
                    Step::Open(part) => {
                        let after = part.map(|part| end * u64::from(part) / 255);
                        let open = Subscription::open(&log, store.clone(), &id, after, EventFilter::default());
                        let subscription = open.now_or_never().unwrap().unwrap();
                        readers.push(Reader { subscription, start: after.unwrap_or(end), got: Vec::new() });
                    }
                    Step::Read(number) if !readers.is_empty() => {
                        let number = usize::from(number) % readers.len();
                        readers[number].read();
                    }
                    Step::Close(number) if !readers.is_empty() => {
                        readers.swap_remove(usize::from(number) % readers.len());
                    }
                    Step::Read(_) | Step::Close(_) => {}
                }
            }
            for mut reader in readers {
                while reader.read() {}
                prop_assert_eq!(reader.got, (reader.start + 1..=end).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn closing_a_log_ends_its_readers_and_the_last_one_takes_the_tail_away() {
        let store = Arc::new(MemoryStore::new());
        let log = Arc::new(EventLog::default());
        let id = sample().id;
        let open = Subscription::open(&log, store, &id, None, EventFilter::default());
        let mut subscription = open.now_or_never().unwrap().unwrap();
        assert!(subscription.next().now_or_never().is_none());
        assert_eq!(log.followers(&id), 1);
        log.close(&id);
        assert!(subscription.next().now_or_never().unwrap().is_none());
        drop(subscription);
        assert_eq!(log.followers(&id), 0);
        assert!(log.tails.lock().unwrap().is_empty());
    }
}
