//! The stream of events: connections one after another, as one.

use std::{
    collections::VecDeque,
    fmt,
    future::poll_fn,
    mem,
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
    signal::{Signal, Signals, number},
};
use crate::{
    Error,
    backoff::{Backoff, random},
    telemetry::stream_pauses,
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
/// What happens to the connection meanwhile, and whether events may be missing after all, tell its
/// [`signals`](Self::signals).
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
    /// The last event that was read, or the place before the first one.
    reached: Option<EventId>,
    /// The same, before the event that was read last.
    before: Option<EventId>,
    /// What was read and is to be told next.
    told: VecDeque<Result<Signal, Error>>,
}

/// What the builder sets.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) run: Option<RunId>,
    /// Only the events of some thread or run are told, so that numbers do not follow on each other.
    pub(super) is_filtered: bool,
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
    /// A stream whose first connection is made.
    pub(super) async fn open(
        connect: Box<dyn Connect>,
        opened: Opened,
        settings: Settings,
        after: Option<EventId>,
    ) -> Result<Self, Error> {
        let mut stream = Self {
            connect,
            settings,
            reached: after.clone(),
            before: None,
            position: Position::new(after),
            failures: 0,
            retry: None,
            state: State::Ended,
            told: VecDeque::new(),
        };
        stream.begin(opened);
        let mut told = VecDeque::new();
        if !matches!(stream.state, State::Ended) {
            told.push_back(Ok(Signal::Connected));
        }
        if stream.position.last().is_none() {
            // A server that does not name its head is no reason to fail.
            let _ = timeout(HEAD_PATIENCE, poll_fn(|cx| stream.poll_place(cx, &mut told))).await;
        }
        match (told.pop_back(), &stream.state) {
            (Some(Err(error)), State::Ended) => return Err(error),
            (last, _) => told.extend(last),
        }
        stream.told = told;
        if stream.before.is_none() {
            stream.reached = stream.position.last().cloned();
        }
        Ok(stream)
    }

    /// The next event; `None` when the stream is over.
    ///
    /// # Errors
    /// See [`EventStream`] for which errors end the stream.
    pub async fn next(&mut self) -> Option<Result<Event, Error>> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    /// The same stream, which also tells what happens to its connection.
    ///
    /// ```no_run
    /// use prism_client::events::Signal;
    ///
    /// # use prism_client::{Error, resources::DeploymentHandle};
    /// # async fn example(deployment: DeploymentHandle) -> Result<(), Error> {
    /// let mut signals = deployment.events().stream().open().await?.signals();
    /// while let Some(signal) = signals.next().await.transpose()? {
    ///     match signal {
    ///         Signal::Event(event) => println!("{}", event.payload.name()),
    ///         Signal::Interrupted { error, pause } => println!("offline ({error}), again in {pause:?}"),
    ///         Signal::Resumed { tries, .. } => println!("online again after {tries} tries"),
    ///         Signal::Gap { .. } => println!("something may be missing: read the thread anew"),
    ///         _ => {}
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn signals(self) -> Signals {
        Signals::new(self)
    }

    /// What the stream resumes after: the last event that it yielded, or the place in the log that the server
    /// named since. Kept somewhere, it lets another process go on with
    /// [`after`](super::OpenEventStream::after).
    pub fn last_event_id(&self) -> Option<&EventId> {
        // The event that was read last may not be yielded yet.
        if self.has_event() { self.before.as_ref() } else { self.position.last() }
    }

    /// Whether an event, or an error, was read and not yielded yet.
    fn has_event(&self) -> bool {
        self.told.iter().any(|told| matches!(told, Ok(Signal::Event(_)) | Err(_)))
    }

    /// Whether there are no more signals.
    pub(super) fn is_over(&self) -> bool {
        self.told.is_empty() && matches!(self.state, State::Ended)
    }

    /// Ready when the stream has a place in the log, or something to yield. What is told until then is kept.
    fn poll_place(&mut self, cx: &mut Context<'_>, told: &mut VecDeque<Result<Signal, Error>>) -> Poll<()> {
        while let Poll::Ready(signal) = self.poll_signal(cx) {
            let is_last = !matches!(
                signal,
                Some(Ok(Signal::Interrupted { .. } | Signal::Resumed { .. } | Signal::Gap { .. }))
            );
            told.extend(signal);
            if is_last {
                return Poll::Ready(());
            }
        }
        if self.position.last().is_some() { Poll::Ready(()) } else { Poll::Pending }
    }

    pub(super) fn poll_signal(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Signal, Error>>> {
        loop {
            if let Some(signal) = self.told.pop_front() {
                return Poll::Ready(Some(signal));
            }
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
                        self.tell_resumed();
                        continue;
                    }
                    Err(error) => self.resume(error),
                },
                State::Reading(connection) => match ready!(connection.poll_step(cx, &mut self.position)) {
                    Step::Event(event) => {
                        self.tell(event);
                        continue;
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

    /// Tells an event, and of the gap before it, if there is one.
    fn tell(&mut self, event: Result<Event, Error>) {
        let event = match event {
            Ok(event) => event,
            Err(error) => {
                self.before = mem::replace(&mut self.reached, self.position.last().cloned());
                return self.told.push_back(Err(self.named(error)));
            }
        };
        self.before = self.reached.replace(event.id.clone());
        let numbers = self.before.as_ref().and_then(number).zip(number(&event.id));
        let is_gap = numbers.is_some_and(|(last, next)| next > last.saturating_add(1));
        if is_gap && !self.settings.is_filtered {
            let (after, before) = (self.before.clone(), Some(event.id.clone()));
            self.told.push_back(Ok(Signal::Gap { after, before }));
        }
        if self.is_last(&event) {
            self.state = State::Ended;
        }
        self.told.push_back(Ok(Signal::Event(event)));
    }

    /// Tells that there is a connection again.
    fn tell_resumed(&mut self) {
        if matches!(self.state, State::Ended) {
            return;
        }
        let after = self.position.last().cloned();
        if after.is_none() {
            self.told.push_back(Ok(Signal::Gap { after: None, before: None }));
        }
        self.told.push_back(Ok(Signal::Resumed { tries: self.failures, after }));
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
        stream_pauses(self.failures, &error, pause);
        self.told.push_back(Ok(Signal::Interrupted { error, pause }));
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
        loop {
            match ready!(self.poll_signal(cx)) {
                Some(Ok(Signal::Event(event))) => return Poll::Ready(Some(Ok(event))),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
    }
}

impl FusedStream for EventStream {
    fn is_terminated(&self) -> bool {
        !self.has_event() && matches!(self.state, State::Ended)
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
            is_filtered: false,
            idle_timeout: Duration::from_secs(30),
            max_event_size: 8 << 20,
            max_reconnects: 10,
            backoff: Backoff::new(Duration::from_millis(100), Duration::from_secs(10)),
        }
    }
}
