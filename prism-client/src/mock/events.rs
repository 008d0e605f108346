//! Event streams of a stub.

use std::{fmt, pin::Pin};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, TryStream, TryStreamExt, stream};
use prism_types::{Event, EventId};

use crate::transport::BoxError;

/// A connection of an event stream: what comes over it, and how it ends.
///
/// The client resumes when a connection ends or is silent for 30 s, so a stub can be asked again, with a
/// [`last_event_id`](super::Request::last_event_id). It drops events that it had before by the numbers at the end of their
/// ids: `evt_<log>_<number>`.
pub struct Events(pub(super) Pieces);

pub(super) type Pieces = Pin<Box<dyn Stream<Item = Result<Bytes, BoxError>> + Send>>;

impl Events {
    /// These events, and then silence: the connection stays.
    pub fn new(events: impl IntoIterator<Item = Event>) -> Self {
        let told: Vec<_> = events.into_iter().map(|event| Ok(frame(&event))).collect();
        Self(stream::iter(told).chain(stream::pending()).boxed())
    }

    /// These events, and then the connection ends.
    pub fn ending(events: impl IntoIterator<Item = Event>) -> Self {
        let told: Vec<_> = events.into_iter().map(|event| Ok(frame(&event))).collect();
        Self(stream::iter(told).boxed())
    }

    /// Events as they come. An error breaks the connection; it is not told.
    pub fn from_stream<S>(events: S) -> Self
    where
        S: TryStream<Ok = Event> + Send + 'static,
        S::Error: Into<BoxError>,
    {
        let broken = |error: S::Error| BoxError::from(crate::Error::disconnected(error));
        Self(events.map_ok(|event| frame(&event)).map_err(broken).into_stream().boxed())
    }

    /// Opens with the block that names this place of the log, as the server does. Without it, and without an event, the
    /// client waits for 1 s before a stream counts as open.
    #[must_use]
    pub fn opening(self, place: &EventId) -> Self {
        let block = position(place);
        Self(stream::once(async { Ok(block) }).chain(self.0).boxed())
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").finish_non_exhaustive()
    }
}

/// A block without data: the client remembers the id and dispatches nothing.
pub(super) fn position(place: &EventId) -> Bytes {
    format!("id: {place}\n\n").into()
}

/// An event as it travels.
pub(super) fn frame(event: &Event) -> Bytes {
    // The payloads of events are objects of valid parts.
    let data = event.payload.to_data().unwrap_or_default();
    let mut frame = format!("event: {}\nid: {}\n", event.payload.name(), event.id);
    for line in data.lines() {
        frame.push_str("data: ");
        frame.push_str(line);
        frame.push('\n');
    }
    frame.push('\n');
    frame.into()
}
