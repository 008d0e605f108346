//! What becomes of a stream's connection, beside its events.

use std::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::{Stream, stream::FusedStream};
use prism_types::{Event, EventId};

use super::EventStream;
use crate::Error;

/// An event, or what happened to the connection that events come by.
#[derive(Debug)]
#[non_exhaustive]
pub enum Signal {
    /// The stream is connected for the first time. Always the first signal.
    Connected,
    /// The connection is lost. Another one is tried after a pause.
    Interrupted {
        /// Why.
        error: Error,
        /// How long until the next try.
        pause: Duration,
    },
    /// The stream is connected again, and goes on where it was.
    Resumed {
        /// How many tries it took, from 1.
        tries: u32,
        /// The event after which it goes on.
        after: Option<EventId>,
    },
    /// Events may be missing here, or are for certain: read what matters anew, such as the run or the thread.
    ///
    /// The server keeps a log until its deployment is deleted, so this is rare. It is told when the connection broke
    /// before the stream had a place in the log (both ids are `None` then), and when the numbers of two events of a stream
    /// without filters do not follow on each other, as after the server was set back to an older backup.
    Gap {
        /// The last event before it.
        after: Option<EventId>,
        /// The first event after it, which comes next.
        before: Option<EventId>,
    },
    /// An event.
    Event(Event),
}

/// The events of a stream and what becomes of its connection; from [`EventStream::signals`].
///
/// It yields errors and ends as the [`EventStream`] does.
#[derive(Debug)]
#[must_use = "a stream does nothing unless it is polled"]
pub struct Signals(EventStream);

impl Signals {
    pub(super) fn new(events: EventStream) -> Self {
        Self(events)
    }

    /// The next signal; `None` when the stream is over. Dropping the future loses nothing.
    ///
    /// # Errors
    /// As [`EventStream::next`].
    pub async fn next(&mut self) -> Option<Result<Signal, Error>> {
        poll_fn(|cx| self.0.poll_signal(cx)).await
    }

    /// As [`EventStream::last_event_id`].
    pub fn last_event_id(&self) -> Option<&EventId> {
        self.0.last_event_id()
    }

    /// The events alone, from now on.
    pub fn into_events(self) -> EventStream {
        self.0
    }
}

impl Stream for Signals {
    type Item = Result<Signal, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_signal(cx)
    }
}

impl FusedStream for Signals {
    fn is_terminated(&self) -> bool {
        self.0.is_over()
    }
}

/// The number of an event in its log; `None` for ids of another form.
pub(super) fn number(id: &EventId) -> Option<u64> {
    id.as_str().rsplit_once('_')?.1.parse().ok()
}
