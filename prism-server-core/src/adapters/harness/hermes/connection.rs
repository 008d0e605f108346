//! The connection with the bridge in a sandbox: what the agent says comes in, calls go out.
//!
//! The bridge dials; it may go and come back at any time, and the newest connection is the one that counts. Calls
//! and readers outlive a connection, since the bridge sends again what was not received. They end when the agent
//! is another process.

use std::{
    borrow::Cow,
    collections::HashMap,
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use prism_types::ThreadId;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
    sync::{mpsc, oneshot, watch},
    time::{Instant, timeout, timeout_at},
};

use super::log::{Event, Found, LONGEST_NAME, Line, Log};

/// Longest line of the bridge, in bytes: its own limit and the number.
const LONGEST_LINE: u64 = 2 * 1024 * 1024 + 64;
/// Commands that wait to be written.
const OUTGOING: usize = 64;
/// How long the bridge may be away before the agent counts as lost.
pub(super) const GRACE: Duration = Duration::from_secs(10);
/// Lines, or bytes of them, after which the bridge is told what it may forget.
const ACKNOWLEDGE: (u64, usize) = (64, 1024 * 1024);
/// Silence after which it is told all the same.
const QUIET: Duration = Duration::from_secs(60);
/// How often it is looked whether there is room again.
const FULL: Duration = Duration::from_millis(20);

/// Why a call has no result.
#[derive(Debug)]
pub(super) enum CallError {
    /// The agent is gone.
    Lost(String),
    /// The agent is there and does not answer.
    Silent(String),
    /// The agent refused.
    Refused(String),
}

/// An agent as the gateway sees it.
pub(super) struct Connection {
    state: Mutex<State>,
    changed: watch::Sender<()>,
    calls: AtomicU64,
    /// Makes the calls of this gateway differ from those of an earlier one, whose answers may still come.
    name: String,
}

#[derive(Default)]
struct State {
    boot: String,
    digest: String,
    log: Log,
    waiting: HashMap<String, oneshot::Sender<Result<Value, CallError>>>,
    bridge: Option<mpsc::Sender<String>>,
    /// Since when the bridge is away.
    away: Option<Instant>,
}

#[derive(Deserialize)]
struct Hello {
    boot: String,
    digest: String,
    first: u64,
    next: u64,
}

/// A line of the agent's: an event, which has parameters, or the answer to a call.
#[derive(Deserialize)]
struct Said<'a> {
    #[serde(borrow, default)]
    params: Option<Event<'a>>,
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
    #[serde(default)]
    result: Option<Value>,
    #[serde(default)]
    error: Option<Refusal>,
}

#[derive(Deserialize)]
struct Refusal {
    message: String,
}

impl Connection {
    pub(super) fn new() -> Arc<Self> {
        let state = State { away: Some(Instant::now()), ..State::default() };
        Arc::new(Self {
            state: Mutex::new(state),
            changed: watch::Sender::default(),
            calls: AtomicU64::new(0),
            name: uuid::Uuid::now_v7().simple().to_string(),
        })
    }

    /// Takes the bridge's connections for as long as it is polled.
    pub(super) async fn serve(self: Arc<Self>, listener: UnixListener) {
        let mut current: Option<Guarded> = None;
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    if let Some(mut older) = current.take() {
                        older.0.abort();
                        let _: Result<(), tokio::task::JoinError> = (&mut older.0).await;
                    }
                    current = Some(Guarded(tokio::spawn(self.clone().follow(stream))));
                }
                Err(error) => {
                    tracing::warn!(%error, "a bridge was not accepted");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    /// The process of the agent, once the bridge is there.
    pub(super) async fn boot(&self, wait: Duration) -> Option<(String, String)> {
        self.until(Instant::now() + wait, |state| {
            state.bridge.is_some().then(|| (state.boot.clone(), state.digest.clone()))
        })
        .await
    }

    /// Waits until the bridge is there with another process than this one.
    pub(super) async fn other_boot(&self, than: &str, wait: Duration) -> bool {
        let other = |state: &mut State| (state.bridge.is_some() && state.boot != than).then_some(());
        self.until(Instant::now() + wait, other).await.is_some()
    }

    /// Starts the agent again with the files as they are.
    pub(super) async fn restart(&self) {
        self.command("restart".to_owned()).await;
    }

    /// Calls a method of the agent's.
    pub(super) async fn call(&self, method: &str, params: Value, wait: Duration) -> Result<Value, CallError> {
        let id = format!("{}-{}", self.name, self.calls.fetch_add(1, Ordering::Relaxed));
        let (sender, receiver) = oneshot::channel();
        self.state().waiting.insert(id.clone(), sender);
        // However this ends, and when it is given up.
        let _waiting = Waiting { connection: self, id: &id };
        let request = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        let said = |what: &str| format!("the agent {what} `{method}`");
        if !self.command(format!("send {request}")).await {
            return Err(CallError::Lost(said("was away when it was called for")));
        }
        match timeout(wait, receiver).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(CallError::Lost(said("ended before it answered"))),
            Err(_) => Err(CallError::Silent(said("did not answer in time to"))),
        }
    }

    /// The next line of a session after a number, from this process of the agent.
    pub(super) async fn next(&self, boot: &str, session: &str, after: u64) -> Result<Arc<Line>, String> {
        let mut changes = self.changed.subscribe();
        loop {
            let deadline = {
                let state = self.state();
                if state.boot != boot {
                    return Err("the agent was started again".to_owned());
                }
                match state.log.after(after, session) {
                    Found::Line(line) => return Ok(line),
                    Found::Forgotten => return Err("what the agent said was not kept so long".to_owned()),
                    Found::Nothing => state.away.map(|away| away + GRACE),
                }
            };
            match deadline {
                None => drop(changes.changed().await),
                Some(deadline) => {
                    let changed = timeout_at(deadline, changes.changed()).await;
                    changed.map_err(|_| "the agent is gone".to_owned())?.ok();
                }
            }
        }
    }

    /// Lets the caller look at the log, and change it.
    pub(super) fn with_log<T>(&self, look: impl FnOnce(&mut Log) -> T) -> T {
        look(&mut self.state().log)
    }

    /// Keeps the lines that a run needs.
    pub(super) fn hold(self: &Arc<Self>, thread: ThreadId, number: u64) -> Hold {
        let mut state = self.state();
        state.log.hold(&thread, None, number);
        let boot = state.boot.clone();
        drop(state);
        Hold { connection: self.clone(), boot, thread, session: None, ended: false }
    }

    /// Serves one connection of the bridge.
    async fn follow(self: Arc<Self>, stream: UnixStream) {
        let (reading, mut writing) = stream.into_split();
        let mut reading = BufReader::new(reading);
        let Ok(Ok(Some(hello))) = timeout(GRACE, read_line(&mut reading)).await else { return };
        let hello = hello.strip_prefix(b"hello ").map(serde_json::from_slice::<Hello>);
        let fits = |hello: &Hello| (1..=LONGEST_NAME).contains(&hello.boot.len());
        let Some(hello) = hello.and_then(Result::ok).filter(fits) else {
            tracing::warn!("a bridge did not say hello");
            return;
        };
        let (sender, mut outgoing) = mpsc::channel::<String>(OUTGOING);
        let from = self.connected(hello, sender.clone());
        let write = async {
            writing.write_all(format!("from {from}\n").as_bytes()).await?;
            while let Some(command) = outgoing.recv().await {
                writing.write_all(command.as_bytes()).await?;
                writing.write_all(b"\n").await?;
            }
            io::Result::Ok(())
        };
        let ended = tokio::select! {
            ended = self.receive(&mut reading, &sender) => ended,
            ended = write => ended,
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "the connection with a bridge ended");
        }
        let mut state = self.state();
        state.bridge = None;
        state.away = Some(Instant::now());
        drop(state);
        self.changed.send_replace(());
    }

    /// Notes a bridge that said hello; returns the number of the line from which it is to go on.
    fn connected(&self, hello: Hello, sender: mpsc::Sender<String>) -> u64 {
        let mut state = self.state();
        // What an agent says of itself is not believed where it would make the log wait for ever.
        let first = hello.first.min(hello.next);
        if state.boot != hello.boot {
            let known = !state.boot.is_empty();
            state.log = Log::new(first, known, Instant::now());
            state.waiting.clear();
            state.boot = hello.boot;
        }
        state.digest = hello.digest;
        state.bridge = Some(sender);
        state.away = None;
        let from = state.log.received().saturating_add(1);
        drop(state);
        self.changed.send_replace(());
        from
    }

    async fn receive(
        &self,
        reading: &mut (impl AsyncBufRead + Unpin),
        bridge: &mpsc::Sender<String>,
    ) -> io::Result<()> {
        // What came since the bridge was last told what it may forget.
        let (mut lines, mut bytes, mut is_quiet) = (0, 0, false);
        loop {
            let full = self.with_log(|log| log.is_full());
            if (full || is_quiet || lines >= ACKNOWLEDGE.0 || bytes >= ACKNOWLEDGE.1)
                && let Some(acknowledged) = self.with_log(|log| log.trim(Instant::now()))
            {
                // When the bridge takes no commands, it is told the next time.
                if bridge.try_send(format!("ack {acknowledged}")).is_ok() {
                    (lines, bytes) = (0, 0);
                }
            }
            if self.with_log(|log| log.is_full()) {
                tokio::time::sleep(FULL).await;
                continue;
            }
            // Waiting for the first byte can be cut off; reading a line cannot.
            is_quiet = timeout(QUIET, reading.fill_buf()).await.is_err();
            if is_quiet {
                continue;
            }
            let Some(line) = read_line(reading).await? else { return Ok(()) };
            lines += 1;
            bytes += line.len();
            self.take(&line);
        }
    }

    /// Takes a line of the bridge. One that is not understood is nobody's.
    fn take(&self, line: &[u8]) {
        let Some(space) = line.iter().position(|byte| *byte == b' ') else { return };
        let number = std::str::from_utf8(&line[..space]).ok().and_then(|number| number.parse().ok());
        let Some(number) = number else { return };
        let mut state = self.state();
        match serde_json::from_slice::<Said<'_>>(&line[space + 1..]) {
            Ok(Said { params: Some(event), .. }) => state.log.take(number, event),
            Ok(said) => {
                state.log.skip(number);
                let id = said.id.unwrap_or_default();
                if let Some(waiting) = state.waiting.remove(id.as_ref()) {
                    // Whoever called may have given up.
                    let _: Result<(), _> = waiting.send(said.result.ok_or_else(|| {
                        let reason = said.error.map_or_else(|| "no reason".to_owned(), |error| error.message);
                        CallError::Refused(reason.chars().take(1000).collect())
                    }));
                }
            }
            Err(_) => state.log.skip(number),
        }
        drop(state);
        self.changed.send_replace(());
    }

    /// How many calls wait for their answers.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.state().waiting.len()
    }

    /// Tells the bridge something if it is there and listens.
    pub(super) fn tell(&self, command: String) {
        if let Some(bridge) = self.state().bridge.clone() {
            drop(bridge.try_send(command));
        }
    }

    /// Tells the bridge something; waits for it if it is away.
    async fn command(&self, command: String) -> bool {
        let bridge = self.until(Instant::now() + GRACE, |state| state.bridge.clone()).await;
        let Some(bridge) = bridge else { return false };
        matches!(timeout(GRACE, bridge.send(command)).await, Ok(Ok(())))
    }

    async fn until<T>(&self, deadline: Instant, mut is: impl FnMut(&mut State) -> Option<T>) -> Option<T> {
        let mut changes = self.changed.subscribe();
        loop {
            if let Some(found) = is(&mut self.state()) {
                return Some(found);
            }
            timeout_at(deadline, changes.changed()).await.ok()?.ok()?;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps the lines of a run until it is dropped, and a while longer.
pub(super) struct Hold {
    connection: Arc<Connection>,
    boot: String,
    thread: ThreadId,
    /// Whose lines are kept; all, until the run knows its session.
    pub(super) session: Option<String>,
    /// Whether the run told its end.
    pub(super) ended: bool,
}

impl Hold {
    /// What was said up to this number is surely committed.
    pub(super) fn raise(&self, number: u64) {
        let mut state = self.connection.state();
        if state.boot == self.boot {
            state.log.hold(&self.thread, self.session.as_deref(), number);
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut state = self.connection.state();
        if state.boot == self.boot {
            state.log.release(&self.thread, self.ended, Instant::now());
        }
    }
}

/// A call that waits for its answer.
struct Waiting<'a> {
    connection: &'a Connection,
    id: &'a str,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.connection.state().waiting.remove(self.id);
    }
}

/// A task that ends when it is dropped.
pub(super) struct Guarded(pub(super) tokio::task::JoinHandle<()>);

impl Drop for Guarded {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn read_line(reading: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    reading.take(LONGEST_LINE).read_until(b'\n', &mut line).await?;
    if line.pop() == Some(b'\n') { Ok(Some(line)) } else { Ok(None) }
}
