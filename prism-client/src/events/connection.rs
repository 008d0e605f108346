//! One connection of a stream: reads, decodes, and notices silence.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use prism_types::{Event, EventDecodeError, EventId, EventPayload};
use serde_path_to_error::Track;
use tokio::time::{Instant, Sleep, sleep_until};

use super::position::{Place, Position};
use crate::{
    Error,
    backoff::deadline,
    error::{Kind, Misfit},
    sse::{self, Decoder},
    transport::Body,
};

/// A connection that was heard of for this long counts as progress even without an event: a quiet deployment
/// behind a proxy that cuts long connections is not a failure.
const HEALTHY: Duration = Duration::from_secs(10);

pub(super) struct Connection {
    body: Body,
    decoder: Decoder,
    chunk: Bytes,
    /// How much of the chunk was decoded.
    taken: usize,
    opened: Instant,
    idle_timeout: Duration,
    idle: Pin<Box<Sleep>>,
    progress: bool,
}

/// What a connection brought.
#[expect(clippy::large_enum_variant, reason = "it is an event nearly always, and handed on at once")]
pub(super) enum Step {
    /// An event that was not delivered before, or one that cannot be read.
    Event(Result<Event, Error>),
    /// The connection is over; another one may go on.
    Lost(Error),
    /// Another connection would end in the same way.
    Fatal(Error),
}

impl Connection {
    pub(super) fn new(body: Body, max_event_size: usize, idle_timeout: Duration) -> Self {
        Self {
            body,
            decoder: Decoder::new(max_event_size),
            chunk: Bytes::new(),
            taken: 0,
            opened: Instant::now(),
            idle_timeout,
            idle: Box::pin(sleep_until(deadline(idle_timeout))),
            progress: false,
        }
    }

    /// Whether the connection was worth more than a failed try.
    pub(super) fn made_progress(&self) -> bool {
        self.progress
    }

    /// The reconnection time that the server asked for.
    pub(super) fn retry(&self) -> Option<Duration> {
        self.decoder.retry()
    }

    /// The next step. The position moves with what is decoded, even when nothing comes of it.
    pub(super) fn poll_step(&mut self, cx: &mut Context<'_>, position: &mut Position) -> Poll<Step> {
        loop {
            match self.decode(position) {
                Ok(Some(event)) => return Poll::Ready(Step::Event(event)),
                Ok(None) => {}
                Err(sse::TooLarge { limit, .. }) => {
                    return Poll::Ready(Step::Fatal(Error::new(Kind::TooLarge(limit))));
                }
            }
            match self.body.poll_chunk(cx) {
                Poll::Ready(Some(Ok(chunk))) => self.take(chunk),
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Step::Lost(error)),
                Poll::Ready(None) => return Poll::Ready(Step::Lost(Error::new(Kind::Disconnected))),
                Poll::Pending if self.idle.as_mut().poll(cx).is_ready() => {
                    return Poll::Ready(Step::Lost(Error::new(Kind::Silence(self.idle_timeout))));
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn take(&mut self, chunk: Bytes) {
        self.chunk = chunk;
        self.taken = 0;
        self.progress |= self.opened.elapsed() >= HEALTHY;
        self.idle.as_mut().reset(deadline(self.idle_timeout));
    }

    /// Decodes the chunk up to the next event that is news.
    fn decode(&mut self, position: &mut Position) -> Result<Option<Result<Event, Error>>, sse::TooLarge> {
        loop {
            let mut input = &self.chunk[self.taken..];
            let result = self.decoder.next(&mut input);
            self.taken = self.chunk.len() - input.len();
            let Some(event) = result? else {
                self.progress |= position.note(self.decoder.last_event_id());
                return Ok(None);
            };
            let own = event.last_event_id.parse().ok().map(Place::new);
            let noted = own.as_ref().is_some_and(|place| position.advance(place));
            let place = if event.has_id { own } else { own.or_else(|| position.last_place().cloned()) };
            let Some(place) = place else {
                self.progress |= noted;
                let misfit = Misfit::new("an event", "it has no valid id");
                return Ok(Some(Err(Error::new(Kind::Decode(misfit)))));
            };
            if event.has_id && position.is_delivered(&place) {
                continue;
            }
            position.deliver(&place);
            self.progress |= noted;
            return Ok(Some(read(&event, place.into_id())));
        }
    }
}

fn read(event: &sse::Event<'_>, id: EventId) -> Result<Event, Error> {
    match EventPayload::decode(&event.name, &event.data) {
        Ok(payload) => Ok(Event::new(id, payload)),
        Err(error) => Err(misfit(event, &id, &error)),
    }
}

/// What does not fit and where. Only known names get here, so that the name quotes nothing of the body.
#[cold]
fn misfit(event: &sse::Event<'_>, id: &EventId, error: &EventDecodeError) -> Error {
    let what = format!("the `{}` event {id}", event.name);
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref());
    Error::new(Kind::Decode(match source {
        Some(source) => Misfit::json(what, path(event, source).as_deref(), source),
        None => Misfit::new(what, "its data does not fit"),
    }))
}

/// Where the data does not fit: it is read again by a reader that keeps count of where it is, which would cost
/// too much for every event. `None` for what is no JSON, for the path could be words of the text itself.
fn path(event: &sse::Event<'_>, error: &serde_json::Error) -> Option<String> {
    if !error.is_data() {
        return None;
    }
    let mut deserializer = serde_json::Deserializer::from_str(&event.data);
    let mut track = Track::new();
    let tracked = serde_path_to_error::Deserializer::new(&mut deserializer, &mut track);
    EventPayload::decode_known(&event.name, tracked)?.is_err().then(|| track.path().to_string())
}
