//! What an agent said that may be needed once more: the gateway's copy of what the bridge keeps.
//!
//! Every run that works reads the log at its own pace. A line is forgotten, here and by the bridge, when no run
//! can come back to it: each run holds a *floor*, the place from which it would go on if it were taken up from what
//! is surely committed. A floor outlives its run for a while, since a run that was interrupted comes back. A session
//! with a question keeps what it says for as long as the question is open, and keeps nobody else's lines.

use std::{
    borrow::Cow,
    collections::{HashMap, VecDeque},
    fmt,
    sync::Arc,
    time::Duration,
};

use prism_types::ThreadId;
use serde::Deserialize;
use serde_json::{Value, value::RawValue};
use tokio::time::Instant;

/// Most bytes of lines here; then nothing more is read from the bridge, which keeps twice as much. It has to be more
/// than the largest lines of the steps that a run keeps until they are committed, or the run would wait for itself.
pub(super) const ROOM: usize = 32 * 1024 * 1024;
/// How long the lines of a run are kept that ended: until its end is surely committed.
const AFTER_END: Duration = Duration::from_secs(60);
/// How long the lines of a run are kept that was interrupted, and all of them when the gateway starts.
const AFTER_INTERRUPTION: Duration = Duration::from_secs(10 * 60);

/// An event of one session.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) number: u64,
    pub(super) session: String,
    pub(super) kind: String,
    /// As it came: parsed, it can be many times as large.
    payload: Box<str>,
}

impl Line {
    /// What the event tells.
    pub(super) fn payload(&self) -> Value {
        serde_json::from_str(&self.payload).unwrap_or_default()
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.session.len() + self.kind.len() + self.payload.len()
    }
}

/// An event as the agent tells it.
#[derive(Debug, Deserialize)]
pub(super) struct Event<'a> {
    #[serde(borrow)]
    session_id: Cow<'a, str>,
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    payload: Option<&'a RawValue>,
}

/// What runs listen to; the rest of what an agent says is for people at a screen.
const HEARD: &[&str] = &[
    "message.start",
    "message.delta",
    "message.complete",
    "approval.request",
    "clarify.request",
    "error",
    "prism.tool",
    "prism.result",
    "prism.file",
    "prism.taken",
    "prism.idle",
];

/// Longest name of a session, and of a process of the agent, in bytes: they are in every checkpoint.
pub(super) const LONGEST_NAME: usize = 64;
/// Most sessions of which it is known what was forgotten, and most with an open question.
const SESSIONS: usize = 4096;

/// The lines of one process of the agent.
#[derive(Debug, Default)]
pub(super) struct Log {
    lines: VecDeque<Arc<Line>>,
    size: usize,
    /// The number of the last line that was received.
    received: u64,
    /// The number up to which the bridge was last told to forget.
    acknowledged: u64,
    floors: HashMap<ThreadId, Floor>,
    /// The sessions with a question that waits for a human, and the number before it. What such a session says is
    /// needed once the human answers, which can take days, and no run works on it until then.
    asked: HashMap<String, u64>,
    /// The last line of each session that was forgotten; `forgotten_rest` is for those that are not in here.
    forgotten: HashMap<String, u64>,
    forgotten_rest: u64,
    /// Until when everything is kept, because runs that nobody has taken up yet may need it.
    unknown: Option<Instant>,
}

#[derive(Debug)]
struct Floor {
    /// Whose lines are kept; `None`: those of all sessions, for the run does not know its own yet.
    session: Option<String>,
    number: u64,
    until: Option<Instant>,
}

/// What a reader finds.
pub(super) enum Found {
    /// The next line of its session.
    Line(Arc<Line>),
    /// None yet.
    Nothing,
    /// It was forgotten.
    Forgotten,
}

/// What the bridge may forget.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Acknowledged {
    /// All lines up to this number ...
    pub(super) number: u64,
    /// ... but those of these sessions.
    pub(super) but: Vec<String>,
}

impl fmt::Display for Acknowledged {
    /// As the bridge reads it. A session that cannot be named so is the agent's own loss.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.number)?;
        let names = self.but.iter().filter(|name| !name.is_empty() && !name.contains(char::is_whitespace));
        names.into_iter().try_for_each(|name| write!(f, " {name}"))
    }
}

impl Log {
    /// The lines of a process that still has those from this number on. `known`: whether it was started while this
    /// gateway looked on, so that no earlier gateway can have left runs behind.
    pub(super) fn new(first: u64, known: bool, now: Instant) -> Self {
        let before = first.saturating_sub(1);
        let unknown = (!known).then(|| now + AFTER_INTERRUPTION);
        Self { received: before, acknowledged: before, unknown, ..Self::default() }
    }

    pub(super) fn received(&self) -> u64 {
        self.received
    }

    pub(super) fn is_full(&self) -> bool {
        self.size >= ROOM
    }

    /// Takes a line; numbers that were there already are skipped.
    pub(super) fn take(&mut self, number: u64, event: Event<'_>) {
        if number <= self.received {
            return;
        }
        self.received = number;
        // Names of sessions are kept after their lines were forgotten; a run has none that is longer.
        if !HEARD.contains(&event.kind.as_ref()) || event.session_id.len() > LONGEST_NAME {
            return;
        }
        let line = Line {
            number,
            session: event.session_id.into_owned(),
            kind: event.kind.into_owned(),
            payload: event.payload.map_or("null", RawValue::get).into(),
        };
        match line.kind.as_str() {
            "approval.request" | "clarify.request" if self.asked.len() < SESSIONS => {
                self.asked.entry(line.session.clone()).or_insert(number - 1);
            }
            "message.complete" | "prism.idle" => drop(self.asked.remove(&line.session)),
            _ => {}
        }
        self.size += line.size();
        self.lines.push_back(Arc::new(line));
    }

    /// A line that tells no event.
    pub(super) fn skip(&mut self, number: u64) {
        self.received = self.received.max(number);
    }

    /// The next line of a session after this number.
    pub(super) fn after(&self, number: u64, session: &str) -> Found {
        let is_kept = self.asked.get(session).is_some_and(|from| *from <= number);
        if !is_kept && number < self.forgotten.get(session).copied().unwrap_or(self.forgotten_rest) {
            return Found::Forgotten;
        }
        let start = self.lines.partition_point(|line| line.number <= number);
        let found = self.lines.range(start..).find(|line| line.session == session);
        found.map_or(Found::Nothing, |line| Found::Line(line.clone()))
    }

    /// The number of the line that tells that a message was taken.
    pub(super) fn taken(&self, session: &str, message: &str) -> Option<u64> {
        let fits = |line: &&Arc<Line>| {
            line.session == session && line.kind == "prism.taken" && line.payload()["id"] == message
        };
        self.lines.iter().find(fits).map(|line| line.number)
    }

    /// Keeps what a session says after this number for the run of a thread; without a session, what all say.
    pub(super) fn hold(&mut self, thread: &ThreadId, session: Option<&str>, number: u64) {
        let floor = Floor { session: session.map(str::to_owned), number, until: None };
        self.floors.insert(thread.clone(), floor);
    }

    /// The run of a thread is not worked on any more.
    pub(super) fn release(&mut self, thread: &ThreadId, ended: bool, now: Instant) {
        if let Some(floor) = self.floors.get_mut(thread) {
            floor.until = Some(now + if ended { AFTER_END } else { AFTER_INTERRUPTION });
        }
    }

    /// Whether a run is worked on.
    pub(super) fn is_held(&self) -> bool {
        self.floors.values().any(|floor| floor.until.is_none())
    }

    /// Forgets what nobody needs; returns what the bridge may forget, if that is news.
    pub(super) fn trim(&mut self, now: Instant) -> Option<Acknowledged> {
        // Without room the agents of runs that are worked on would wait for those that nobody takes up.
        if self.unknown.is_some_and(|until| now < until) && !self.is_full() {
            return None;
        }
        self.floors.retain(|_, floor| floor.until.is_none_or(|until| now < until));
        let of_all = self.floors.values().filter(|floor| floor.session.is_none()).map(|floor| floor.number);
        let number = of_all.min().unwrap_or(self.received);
        if number <= self.acknowledged {
            return None;
        }
        let mut kept: HashMap<&str, u64> =
            self.asked.iter().map(|(name, from)| (name.as_str(), *from)).collect();
        for floor in self.floors.values() {
            if let Some(session) = &floor.session {
                let from = kept.entry(session).or_insert(floor.number);
                *from = floor.number.min(*from);
            }
        }
        kept.retain(|_, from| *from < number);
        let but = kept.keys().map(|name| (*name).to_owned()).collect();
        let goes = |line: &Line| {
            line.number <= number && kept.get(line.session.as_str()).is_none_or(|from| line.number <= *from)
        };
        let (mut size, mut gone) = (self.size, Vec::new());
        self.lines.retain(|line| {
            if goes(line) {
                size -= line.size();
                gone.push((line.session.clone(), line.number));
            }
            !goes(line)
        });
        self.size = size;
        for (session, number) in gone {
            self.note_forgotten(session, number);
        }
        self.acknowledged = number;
        Some(Acknowledged { number, but })
    }

    /// Notes the last line of a session that was forgotten; of too many sessions, those that said nothing for longest
    /// are known together.
    fn note_forgotten(&mut self, session: String, number: u64) {
        if self.forgotten.len() >= SESSIONS && !self.forgotten.contains_key(&session) {
            let oldest = self.forgotten.iter().min_by_key(|(_, number)| **number);
            if let Some((oldest, number)) = oldest.map(|(name, number)| (name.clone(), *number)) {
                self.forgotten.remove(&oldest);
                self.forgotten_rest = self.forgotten_rest.max(number);
            }
        }
        self.forgotten.insert(session, number);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn take(log: &mut Log, number: u64, session: &str, kind: &str) {
        let event = json!({"session_id": session, "type": kind, "payload": {"id": "m"}}).to_string();
        log.take(number, serde_json::from_str(&event).unwrap());
    }

    fn acknowledged(number: u64) -> Option<Acknowledged> {
        Some(Acknowledged { number, but: Vec::new() })
    }

    fn thread(name: &str) -> ThreadId {
        ThreadId::from_suffix(name).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_finds_the_lines_of_its_session_in_order() {
        let mut log = Log::new(1, true, Instant::now());
        take(&mut log, 1, "a", "message.delta");
        take(&mut log, 2, "b", "prism.taken");
        take(&mut log, 3, "a", "thinking.delta");
        take(&mut log, 4, "a", "prism.idle");
        take(&mut log, 4, "a", "prism.idle");
        let Found::Line(line) = log.after(1, "a") else { panic!("no line") };
        assert_eq!((line.number, line.kind.as_str()), (4, "prism.idle"));
        assert!(matches!(log.after(4, "a"), Found::Nothing));
        assert_eq!((log.taken("b", "m"), log.taken("a", "m")), (Some(2), None));
    }

    #[tokio::test(start_paused = true)]
    async fn lines_are_kept_for_runs_and_for_a_while_after_them() {
        let mut log = Log::new(1, true, Instant::now());
        for number in 1..=10 {
            take(&mut log, number, "a", "message.delta");
        }
        log.hold(&thread("one"), None, 3);
        log.hold(&thread("two"), None, 6);
        assert_eq!(log.trim(Instant::now()), acknowledged(3));
        assert!(matches!(log.after(2, "a"), Found::Forgotten));
        assert!(matches!(log.after(3, "a"), Found::Line(_)));
        log.release(&thread("one"), true, Instant::now());
        assert_eq!(log.trim(Instant::now()), None);
        tokio::time::advance(AFTER_END).await;
        assert_eq!(log.trim(Instant::now()), acknowledged(6));
        log.release(&thread("two"), false, Instant::now());
        tokio::time::advance(AFTER_INTERRUPTION).await;
        assert_eq!(log.trim(Instant::now()), acknowledged(10));
        assert_eq!(log.size, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_gateway_keeps_everything_until_runs_were_taken_up() {
        let mut log = Log::new(5, false, Instant::now());
        take(&mut log, 5, "a", "prism.taken");
        assert_eq!(log.trim(Instant::now()), None);
        tokio::time::advance(AFTER_INTERRUPTION).await;
        assert_eq!(log.trim(Instant::now()), acknowledged(5));
    }

    /// The numbers of a session's lines after a number; `None`: some were forgotten.
    fn read(log: &Log, mut number: u64, session: &str) -> Option<Vec<u64>> {
        let mut numbers = Vec::new();
        loop {
            match log.after(number, session) {
                Found::Line(line) => number = line.number,
                Found::Nothing => return Some(numbers),
                Found::Forgotten => return None,
            }
            numbers.push(number);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_follows_a_question_is_kept_for_days_and_holds_up_nobody() {
        let mut log = Log::new(1, true, Instant::now());
        log.hold(&thread("asks"), Some("a"), 0);
        take(&mut log, 1, "a", "prism.taken");
        take(&mut log, 2, "a", "approval.request");
        log.release(&thread("asks"), true, Instant::now());
        // A tool that was started beside the question.
        take(&mut log, 3, "a", "prism.result");
        take(&mut log, 4, "b", "message.delta");
        tokio::time::advance(Duration::from_secs(3 * 24 * 60 * 60)).await;
        let expected = Acknowledged { number: 4, but: vec!["a".to_owned()] };
        assert_eq!(log.trim(Instant::now()), Some(expected));
        assert_eq!(read(&log, 2, "a"), Some(vec![3]), "the run goes on after its question");
        assert_eq!((read(&log, 0, "b"), read(&log, 4, "b")), (None, Some(Vec::new())));
        // Answered, and over: then it is like any other.
        log.hold(&thread("asks"), Some("a"), 2);
        take(&mut log, 5, "a", "message.complete");
        log.release(&thread("asks"), true, Instant::now());
        tokio::time::advance(AFTER_END).await;
        assert_eq!(log.trim(Instant::now()), acknowledged(5));
        assert_eq!((read(&log, 3, "a"), log.size), (None, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_known_of_sessions_is_bounded() {
        let mut log = Log::new(1, true, Instant::now());
        take(&mut log, 1, &"s".repeat(LONGEST_NAME + 1), "message.delta");
        assert_eq!((log.received, log.lines.len()), (1, 0));
        let many = 2 * SESSIONS as u64;
        for number in 2..many {
            take(&mut log, number, &format!("session {number}"), "approval.request");
        }
        log.asked.retain(|name, _| name == "session 2");
        log.trim(Instant::now());
        assert_eq!((log.forgotten.len(), log.asked.len()), (SESSIONS, 1));
        assert_eq!(read(&log, 1, "session 2"), Some(vec![2]));
        assert_eq!(read(&log, 1, "session 3"), None);
        assert_eq!(read(&log, 1, &format!("session {}", many - 1)), None);
        assert_eq!(
            read(&log, many - 1, "another session"),
            Some(Vec::new()),
            "one that works is not taken for old"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_that_said_nothing_since_is_not_lost_by_what_others_said() {
        let mut log = Log::new(1, true, Instant::now());
        take(&mut log, 1, "a", "prism.idle");
        for number in 2..100 {
            take(&mut log, number, "b", "message.delta");
        }
        assert_eq!(log.trim(Instant::now()), acknowledged(99));
        assert_eq!(read(&log, 1, "a"), Some(Vec::new()));
        assert_eq!(read(&log, 0, "a"), None);
    }
}
