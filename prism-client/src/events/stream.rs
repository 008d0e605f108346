//! The stream of events: connections one after another, as one.

use std::{
    fmt,
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures_util::{Stream, stream::FusedStream};
use prism_types::{Event, EventId, EventPayload, RunId};
use tokio::time::{Sleep, sleep, timeout};

use super::{
    connect::{Connect, Opened, Opening},
    connection::{Connection, Step},
    position::Position,
};
use crate::{
    Error,
    backoff::{Backoff, random},
};

/// How long a server is given to name the head of the log on a stream that has no place yet.
const HEAD_PATIENCE: Duration = Duration::from_secs(1);
/// The longest pause that a server can ask for. A `retry-after` that is longer ends the stream, so that the
/// caller may decide; a longer `retry` field counts as this much.
const LONGEST_HINT: Duration = Duration::from_secs(5 * 60);

/// The events of a deployment, as they happen; from [`OpenEventStream::open`](super::OpenEventStream::open).
///
/// The stream resumes by itself, after the last event that it yielded, when the connection breaks or ends,
/// when it is silent for too long, and when the server answers 408, 425, 429 or 5xx. Events that the server
/// repeats are left out. So each event comes once, in order, however often the connection broke.
///
/// It ends (`None`) after the last event of the run that it follows, if any, and when the server says that
/// there is nothing more (204); and after an error, except that an event which cannot be read
/// ([`Error::is_decode`], with an event's id in the message) is yielded as an error and the next event
/// follows.
///
/// The stream is driven by whoever polls it: no task runs in the background, and no more than one chunk and
/// one event are held. Dropping it closes the connection; dropping the future of [`next`](Self::next) loses
/// nothing.
///
/// ```no_run
/// use prism_client::types::EventPayload;
///
/// # use prism_client::{Error, resources::DeploymentHandle};
/// # async fn example(deployment: DeploymentHandle) -> Result<(), Error> {
/// let mut events = deployment.events().stream().open().await?;
/// let receipt = deployment.messages().send("Hi").await?;
/// while let Some(event) = events.next().await.transpose()? {
///     match event.payload {
///         EventPayload::Token(token) => print!("{}", token.delta),
///         EventPayload::RunStatus(change) if change.run_id == receipt.run_id => {
///             if change.status.is_terminal() {
///                 break;
///             }
///         }
///         _ => {}
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[must_use = "a stream does nothing unless it is polled"]
pub struct EventStream {
    connect: Box<dyn Connect>,
    settings: Settings,
    position: Position,
    /// Tries in a row without progress.
    failures: u32,
    /// The reconnection time that the server asked for last.
    retry: Option<Duration>,
    state: State,
    /// What was read while the stream waited for its place.
    peeked: Option<Result<Event, Error>>,
}

/// What the builder sets.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) run: Option<RunId>,
    pub(super) idle_timeout: Duration,
    pub(super) max_event_size: usize,
    pub(super) max_reconnects: u32,
    pub(super) backoff: Backoff,
}

enum State {
    Connecting(Opening),
    Reading(Box<Connection>),
    Waiting(Pin<Box<Sleep>>),
    Ended,
}

impl EventStream {
    pub(super) async fn open(
        connect: Box<dyn Connect>,
        settings: Settings,
        after: Option<EventId>,
    ) -> Result<Self, Error> {
        let opened = connect.connect(after.as_ref()).await?;
        let position = Position::new(after);
        let mut stream =
            Self { connect, settings, position, failures: 0, retry: None, state: State::Ended, peeked: None };
        stream.begin(opened);
        if stream.position.last().is_none() {
            // A server that does not name its head is no reason to fail.
            let _ = timeout(HEAD_PATIENCE, poll_fn(|cx| stream.poll_place(cx))).await;
        }
        match (stream.peeked.take(), &stream.state) {
            (Some(Err(error)), State::Ended) => Err(error),
            (peeked, _) => {
                stream.peeked = peeked;
                Ok(stream)
            }
        }
    }

    /// The next event; `None` when the stream is over.
    ///
    /// # Errors
    /// See [`EventStream`] for which errors end the stream.
    pub async fn next(&mut self) -> Option<Result<Event, Error>> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    /// What the stream resumes after: the last event that it yielded, or the place in the log that the server
    /// named since. Kept somewhere, it lets another process go on with
    /// [`after`](super::OpenEventStream::after).
    pub fn last_event_id(&self) -> Option<&EventId> {
        // What was peeked at was not yielded yet, and before it there was no place.
        if self.peeked.is_some() { None } else { self.position.last() }
    }

    /// Ready when the stream has a place in the log, or something to yield.
    fn poll_place(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Poll::Ready(item) = self.poll_event(cx) {
            self.peeked = item;
            return Poll::Ready(());
        }
        if self.position.last().is_some() { Poll::Ready(()) } else { Poll::Pending }
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Event, Error>>> {
        loop {
            let outcome = match &mut self.state {
                State::Ended => return Poll::Ready(None),
                State::Waiting(pause) => {
                    ready!(pause.as_mut().poll(cx));
                    self.state = State::Connecting(self.connect.connect(self.position.last()));
                    continue;
                }
                State::Connecting(opening) => match ready!(opening.as_mut().poll(cx)) {
                    Ok(opened) => {
                        self.begin(opened);
                        continue;
                    }
                    Err(error) => self.resume(error),
                },
                State::Reading(connection) => match ready!(connection.poll_step(cx, &mut self.position)) {
                    Step::Event(event) => {
                        if event.as_ref().is_ok_and(|event| self.is_last(event)) {
                            self.state = State::Ended;
                        }
                        return Poll::Ready(Some(event.map_err(|error| self.named(error))));
                    }
                    Step::Fatal(error) => Err(error),
                    Step::Lost(error) => {
                        self.failures = if connection.made_progress() { 0 } else { self.failures };
                        self.retry = connection.retry().map(|time| time.min(LONGEST_HINT)).or(self.retry);
                        self.resume(error)
                    }
                },
            };
            if let Err(error) = outcome {
                self.state = State::Ended;
                return Poll::Ready(Some(Err(self.named(error))));
            }
        }
    }

    fn begin(&mut self, opened: Opened) {
        let Settings { max_event_size, idle_timeout, .. } = self.settings;
        self.state = match opened {
            Opened::Body(body) => {
                State::Reading(Box::new(Connection::new(body, max_event_size, idle_timeout)))
            }
            Opened::Nothing => State::Ended,
        };
    }

    /// Pauses before the next try, or gives the error back if there is to be none.
    fn resume(&mut self, error: Error) -> Result<(), Error> {
        let hint = error.retry_after().or(self.retry).unwrap_or_default();
        if !error.is_retryable() || self.failures >= self.settings.max_reconnects || hint > LONGEST_HINT {
            return Err(error);
        }
        // What the server asks for is the same for all its clients, so it is the jitter that spreads them.
        let pause = hint + self.settings.backoff.full_jitter(self.failures, random());
        self.failures += 1;
        self.state = State::Waiting(Box::pin(sleep(pause)));
        Ok(())
    }

    /// Whether nothing follows this event on the stream of one run.
    fn is_last(&self, event: &Event) -> bool {
        match (&self.settings.run, &event.payload) {
            (Some(run), EventPayload::RunStatus(change)) => {
                change.run_id == *run && change.status.is_terminal()
            }
            _ => false,
        }
    }

    fn named(&self, error: Error) -> Error {
        error.during(&self.connect.operation())
    }
}

impl Stream for EventStream {
    type Item = Result<Event, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match self.peeked.take() {
            Some(item) => Poll::Ready(Some(item)),
            None => self.poll_event(cx),
        }
    }
}

impl FusedStream for EventStream {
    fn is_terminated(&self) -> bool {
        self.peeked.is_none() && matches!(self.state, State::Ended)
    }
}

impl fmt::Debug for EventStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Connecting(_) => "connecting",
            State::Reading(_) => "reading",
            State::Waiting(_) => "waiting",
            State::Ended => "ended",
        };
        f.debug_struct("EventStream")
            .field("operation", &self.connect.operation())
            .field("last_event_id", &self.last_event_id())
            .field("state", &state)
            .finish_non_exhaustive()
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            run: None,
            idle_timeout: Duration::from_secs(30),
            max_event_size: 8 << 20,
            max_reconnects: 10,
            backoff: Backoff::new(Duration::from_millis(100), Duration::from_secs(10)),
        }
    }
}
