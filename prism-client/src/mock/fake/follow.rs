//! Event streams: a reader of a log that goes on as the log does.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use prism_types::{DeploymentId, Event, EventId, RunId, ThreadId};
use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};

use super::{Shared, state::State};
use crate::{
    Error,
    mock::{
        Answer, Events, Refusal, Request,
        events::{frame, position},
        query::StreamEvents,
    },
    transport::BoxError,
};

const HEARTBEAT: Duration = Duration::from_secs(10);
/// How long a log may be quiet until its streams fall silent: a test that waits for what never comes fails then, instead
/// of waiting for ever.
const QUIET: Duration = Duration::from_secs(60 * 60);
/// What a stream ends with when its deployment is deleted.
const GOODBYE: Bytes = Bytes::from_static(b": end of stream\nretry: 1000\n\n");
/// The beginning of an event that never comes.
const TORN: Bytes = Bytes::from_static(b"event: token\nid: evt_torn_1\ndata: {\"run_id\":\"run_to");

impl State {
    pub(super) fn stream_events(
        &mut self,
        call: &Request,
        id: DeploymentId,
        query: StreamEvents,
    ) -> Answer<Events> {
        let agent = self.agents.get(&id)?;
        if let Some(thread) = &query.thread_id {
            agent.threads.get(thread)?;
        }
        if let Some(run) = &query.run_id {
            agent.runs.get(run)?;
        }
        let end = agent.log.len();
        let begin = match call.last_event_id() {
            None => end,
            Some(after) => {
                let known = (0..=end).rev().find(|number| agent.event_id(*number) == after);
                known.ok_or_else(|| Refusal::bad("`Last-Event-ID` names no event of this deployment"))?
            }
        };
        let opening = agent.event_id(begin);
        let shared = self.shared.upgrade().ok_or_else(|| Refusal::of_status(503))?;
        let follower = Follower {
            changes: shared.changes.subscribe(),
            shared,
            id,
            filter: (query.thread_id, query.run_id),
            next: begin,
            opening: Some(opening),
            cuts: self.cuts,
            beat: Instant::now() + HEARTBEAT,
            last: None,
        };
        Ok(Events(stream::unfold(Some(follower), |follower| async { follower?.step().await }).boxed()).into())
    }
}

/// A reader of a log.
struct Follower {
    shared: Arc<Shared>,
    changes: watch::Receiver<()>,
    id: DeploymentId,
    filter: (Option<ThreadId>, Option<RunId>),
    /// How many events of the log were looked at.
    next: usize,
    /// The place that is to be named.
    opening: Option<EventId>,
    /// How often streams had been cut when this one began.
    cuts: u64,
    /// When the next sign of life is due.
    beat: Instant,
    /// What comes last.
    last: Option<Last>,
}

/// What a follower sees.
enum Seen {
    Bytes(Bytes),
    /// These bytes are the last ones.
    Last(Bytes, Last),
    Nothing(Instant),
}

#[derive(Clone, Copy)]
enum Last {
    End,
    Break,
}

type Piece = Result<Bytes, BoxError>;

impl Follower {
    /// The next piece, and who brings those after it.
    async fn step(mut self) -> Option<(Piece, Option<Self>)> {
        match self.last {
            Some(Last::End) => return None,
            Some(Last::Break) => return Some((Err(Error::disconnected("the mock has it so").into()), None)),
            None => {}
        }
        if let Some(place) = self.opening.take() {
            return Some((Ok(position(&place)), Some(self)));
        }
        loop {
            self.changes.borrow_and_update();
            match self.look() {
                Seen::Bytes(bytes) => return Some((Ok(bytes), Some(self))),
                Seen::Last(bytes, last) => {
                    self.last = Some(last);
                    return Some((Ok(bytes), Some(self)));
                }
                // Whichever comes first, there may be something to see.
                Seen::Nothing(until) => drop(timeout_at(until, self.changes.changed()).await),
            }
        }
    }

    fn look(&mut self) -> Seen {
        let shared = self.shared.clone();
        let state = &mut *shared.lock();
        state.catch_up();
        let due = state.next_due();
        let Ok(agent) = state.agents.get(&self.id) else { return Seen::Last(GOODBYE, Last::End) };
        let is_wanted = |event: &&Event| {
            let (thread, run) = &self.filter;
            (thread.is_none() || event.payload.thread_id() == thread.as_ref())
                && (run.is_none() || event.payload.run_id() == run.as_ref())
        };
        let place = agent.log[self.next..].iter().position(|event| is_wanted(&event));
        if state.cuts > self.cuts {
            let event = place.map(|place| frame(&agent.log[self.next + place]));
            let half = event.map(|event| event.slice(..event.len() / 2));
            return Seen::Last(half.unwrap_or(TORN), Last::Break);
        }
        if let Some(place) = place {
            let event = &agent.log[self.next + place];
            self.next += place + 1;
            self.beat = Instant::now() + HEARTBEAT;
            return Seen::Bytes(frame(event));
        }
        self.next = agent.log.len();
        let is_quiet = agent.active.elapsed() >= QUIET;
        if !is_quiet && self.beat <= Instant::now() {
            self.beat = Instant::now() + HEARTBEAT;
            return Seen::Bytes(Bytes::from_static(b": keep-alive\n\n"));
        }
        let far = Instant::now() + QUIET;
        Seen::Nothing(due.into_iter().chain((!is_quiet).then_some(self.beat)).min().unwrap_or(far))
    }
}
