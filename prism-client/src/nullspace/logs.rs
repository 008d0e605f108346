//! Logs of runs and services as streams.

use std::{
    collections::VecDeque,
    fmt,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::{Stream, StreamExt, stream::FusedStream};
use prism_types::{
    Cursor,
    nullspace::{AgentRun, LogEvent, LogPage, ServiceInstance},
};
use serde::de::DeserializeOwned;
use tokio::time::sleep;

use crate::{
    Error,
    call::Call,
    error::{Kind, Misfit},
};

/// The pause between two readings of a log that has nothing new.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// The lines of a log, one after the other; from `follow` or `lines` of a call that reads a log.
///
/// It is read part by part, each with the limits and the retries of the call. A log that is followed is read again every
/// second while nothing is new, and ends when what it is of is over and there is nothing new after that. After an error
/// the stream ends; [`cursor`](Self::cursor) is still the place of the part that failed.
#[must_use = "a stream does nothing unless it is polled"]
pub struct LogStream {
    state: State,
    lines: VecDeque<LogEvent>,
    /// Where the part begins whose lines are not all read yet.
    place: Option<Cursor>,
    /// Where the part after that begins.
    next: Option<Cursor>,
}

type Work<T> = Pin<Box<dyn Future<Output = T> + Send>>;

enum State {
    /// Boxed, for it is large.
    Idle(Box<Reader>),
    Reading(Work<(Box<Reader>, Result<LogPage, Error>)>),
    Ended,
}

impl LogStream {
    pub(super) fn new<T: Logged>(call: Call, follow: bool) -> Self {
        let subject = call.reading(T::PATH);
        let next = call.query("cursor").map(Cursor::from);
        let reader = Reader {
            call,
            subject,
            is_over: is_over::<T>,
            follow: follow.then_some(POLL_INTERVAL),
            was_over: !follow,
            pauses: false,
            has_ended: false,
        };
        Self { state: State::Idle(Box::new(reader)), lines: VecDeque::new(), place: None, next }
    }

    /// The next line; `None` after the last. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Result<LogEvent, Error>> {
        StreamExt::next(self).await
    }

    /// Where to go on, in another process too, so that no line is missed: what `cursor` of the call takes. Lines of the part
    /// that begins there come again. `None`: nothing was read yet, or the server gives no cursors.
    pub fn cursor(&self) -> Option<&Cursor> {
        if self.lines.is_empty() { self.next.as_ref() } else { self.place.as_ref() }
    }

    /// Sets the pause between two readings while nothing is new. Default: 1 s.
    pub fn poll_interval(mut self, pause: Duration) -> Self {
        if let State::Idle(reader) = &mut self.state {
            reader.follow = reader.follow.map(|_| pause);
        }
        self
    }
}

impl Stream for LogStream {
    type Item = Result<LogEvent, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(line) = self.lines.pop_front() {
                return Poll::Ready(Some(Ok(line)));
            }
            match std::mem::replace(&mut self.state, State::Ended) {
                State::Ended => return Poll::Ready(None),
                State::Idle(reader) if reader.has_ended => return Poll::Ready(None),
                State::Idle(reader) => self.state = State::Reading(Box::pin(reader.read())),
                State::Reading(mut reading) => {
                    let Poll::Ready((reader, part)) = reading.as_mut().poll(cx) else {
                        self.state = State::Reading(reading);
                        return Poll::Pending;
                    };
                    let part = match part {
                        Ok(part) => part,
                        Err(error) => return Poll::Ready(Some(Err(error))),
                    };
                    self.place = std::mem::take(&mut self.next);
                    self.next = part.next_cursor.or_else(|| self.place.clone());
                    self.lines = part.events.into();
                    self.state = State::Idle(reader);
                }
            }
        }
    }
}

impl FusedStream for LogStream {
    fn is_terminated(&self) -> bool {
        self.lines.is_empty() && matches!(self.state, State::Ended)
    }
}

impl fmt::Debug for LogStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogStream").field("held", &self.lines.len()).finish_non_exhaustive()
    }
}

/// What reads the parts of a log.
struct Reader {
    /// Reads the next part.
    call: Call,
    /// Reads what the log is of.
    subject: Call,
    is_over: fn(Call) -> Work<Result<bool, Error>>,
    /// The pause, if the log is followed.
    follow: Option<Duration>,
    /// What the log is of was over before the next part is read, or nobody asks.
    was_over: bool,
    /// There is a pause before the next part is read.
    pauses: bool,
    /// There is no next part.
    has_ended: bool,
}

impl Reader {
    /// Reads the next part that has lines, or the last one.
    async fn read(mut self: Box<Self>) -> (Box<Self>, Result<LogPage, Error>) {
        let part = self.next_part().await;
        (self, part)
    }

    async fn next_part(&mut self) -> Result<LogPage, Error> {
        loop {
            if self.pauses {
                sleep(self.follow.unwrap_or_default()).await;
            }
            let part = self.call.clone().send::<LogPage>().await?.into_inner();
            self.turn(&part)?;
            if !part.events.is_empty() || self.was_over {
                // Without following, what is there is all there is.
                let is_last = part.events.is_empty() || (self.follow.is_none() && !part.has_more);
                (self.has_ended, self.pauses) = (is_last, false);
                return Ok(part);
            }
            // Lines that were written before it was over are read once more, and at once.
            self.was_over = (self.is_over)(self.subject.clone()).await?;
            self.pauses = !self.was_over;
        }
    }

    /// Goes on after a part: at its cursor, or else behind its lines.
    fn turn(&mut self, part: &LogPage) -> Result<(), Error> {
        let call = &mut self.call;
        if let Some(cursor) = &part.next_cursor {
            if !part.events.is_empty() && call.query("cursor") == Some(cursor.as_str()) {
                let misfit = Misfit::new("the answer", "its `next_cursor` is that of the part before");
                return Err(Error::new(Kind::Decode(misfit)).during(&call.name()));
            }
            begin_at(call, "cursor", cursor);
        } else if !part.events.is_empty() {
            begin_at(call, "offset", part.offset.saturating_add(part.events.len() as u64));
        }
        Ok(())
    }
}

/// Sets where a log is read from, which can be said in one way only.
pub(super) fn begin_at(call: &mut Call, way: &'static str, value: impl fmt::Display) {
    for other in ["offset", "cursor", "tail"] {
        call.remove_query(other);
    }
    call.set_query(way, value);
}

fn is_over<T: Logged>(call: Call) -> Work<Result<bool, Error>> {
    Box::pin(async { Ok(call.send::<T>().await?.is_over()) })
}

/// What has a log.
pub(super) trait Logged: DeserializeOwned + Send {
    /// Where it is read.
    const PATH: &'static str;

    /// Whether it writes no more lines.
    fn is_over(&self) -> bool;
}

impl Logged for AgentRun {
    const PATH: &'static str = "/v1/agent-deployments/{deployment_id}/runs/{run_id}";

    fn is_over(&self) -> bool {
        self.status.is_terminal()
    }
}

impl Logged for ServiceInstance {
    const PATH: &'static str = "/v1/agent-deployments/{deployment_id}/services/{service_id}";

    fn is_over(&self) -> bool {
        self.status.is_terminal()
    }
}

/// Declares what calls that read logs have besides.
macro_rules! logged {
    ($name:ident of $subject:ty) => {
        impl $name {
            /// Sets how many lines to answer at most. Default: 100.
            pub fn limit(mut self, limit: u32) -> Self {
                self.call.set_query("limit", limit);
                self
            }

            /// Begins behind so many lines, in place of a cursor or a tail. Default: 0.
            pub fn offset(mut self, lines: u64) -> Self {
                super::logs::begin_at(&mut self.call, "offset", lines);
                self
            }

            /// Goes on where the part before ended: at its `next_cursor`. In place of an offset or a tail.
            pub fn cursor(mut self, cursor: impl Into<prism_types::Cursor>) -> Self {
                super::logs::begin_at(&mut self.call, "cursor", cursor.into());
                self
            }

            /// Begins with the last so many lines, in place of an offset or a cursor.
            pub fn tail(mut self, lines: u32) -> Self {
                super::logs::begin_at(&mut self.call, "tail", lines);
                self
            }

            /// The lines that there are, from here on, as a stream. The `limit` is that of each part.
            pub fn lines(self) -> super::LogStream {
                super::LogStream::new::<$subject>(self.call, false)
            }

            /// The lines that there are and those that are yet to come, until it is over, as a stream.
            pub fn follow(self) -> super::LogStream {
                super::LogStream::new::<$subject>(self.call, true)
            }
        }
    };
}

pub(super) use logged;
