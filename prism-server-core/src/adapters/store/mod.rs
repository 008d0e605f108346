//! Stores: implementations of [`Store`](crate::ports::Store).
//!
//! [`MemoryStore`] is the model: it says in the plainest way what a store does and keeps nothing across a
//! restart. [`SqliteStore`] is the embedded store of a single node. Both pass the conformance suite of
//! `testkit::store`, and random histories give equal results on both.

mod memory;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(test)]
mod tests;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, OnceLock},
};

pub use memory::MemoryStore;
use prism_types::WebhookId;
#[cfg(feature = "sqlite")]
pub use sqlite::SqliteStore;

use crate::{
    domain::{event::LoggedEvent, limits},
    ports::{AppendListener, StoreError, StoreResult},
};

/// Who is told of appended events, once somebody was set.
#[derive(Clone, Default)]
struct Listener(Arc<OnceLock<Arc<dyn AppendListener>>>);

impl Listener {
    fn set(&self, listener: Arc<dyn AppendListener>) {
        // The port asks for one call; a later one changes nothing.
        let _ = self.0.set(listener);
    }

    /// Tells of one commit. A panic of the listener ends here: the events are written and in the log, so the commit
    /// has to be acknowledged all the same.
    fn tell(&self, news: &News) {
        let Some(listener) = self.0.get() else { return };
        let tell = || {
            if !news.events.is_empty() {
                listener.appended(&news.events);
            }
            if !news.queued.is_empty() {
                listener.queued(&news.queued);
            }
        };
        if catch_unwind(AssertUnwindSafe(tell)).is_err() {
            tracing::error!("the listener of the event log panicked; its readers must read the log again");
        }
    }
}

/// What a listener is told of one commit.
#[derive(Default)]
struct News {
    /// The events that were appended.
    events: Vec<LoggedEvent>,
    /// The webhooks for which deliveries were queued.
    queued: Vec<WebhookId>,
}

/// A page of events, which is full of bytes before it is full of events when they are large.
#[derive(Default)]
struct EventPage {
    events: Vec<LoggedEvent>,
    bytes: usize,
}

impl EventPage {
    /// Adds an event and tells whether the page takes another one.
    fn push(&mut self, event: LoggedEvent) -> bool {
        self.bytes = self.bytes.saturating_add(event.event.data.len());
        self.events.push(event);
        self.bytes <= limits::EVENT_PAGE
    }

    /// The page of these events, in their order.
    fn of<'a>(events: impl Iterator<Item = &'a LoggedEvent>) -> Vec<LoggedEvent> {
        let mut page = Self::default();
        for event in events {
            if !page.push(event.clone()) {
                break;
            }
        }
        page.events
    }
}

/// A number as the stores keep it. They have no unsigned 64-bit column, so the upper half is refused, by all
/// of them alike.
fn storable(number: u64, column: &str) -> StoreResult<i64> {
    i64::try_from(number).map_err(|_| StoreError::Failed(format!("{column} is too large to be stored")))
}
