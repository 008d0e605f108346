//! The thread that writes.
//!
//! Commits come in by a bounded queue. The thread takes one, and with it all that are there already, carries
//! them out in one transaction, tells the listener of their events, and then answers the callers. So a caller
//! pays for a sync of the file at most twice: the one under way, and its own.

use std::{
    collections::VecDeque,
    thread::{self, JoinHandle},
    time::Instant,
};

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::{
    super::{Listener, News},
    errors::{again, failed},
    write,
};
use crate::{
    ports::{Commit, StoreError, StoreResult},
    telemetry,
};

/// How many commits wait before further callers have to.
const QUEUE: usize = 1024;

/// How many commits share a transaction at most: a bound of how long the first of them waits.
const GROUP: usize = 256;

/// The queue's sending half, and the thread.
pub(super) struct Writer {
    requests: Option<mpsc::Sender<Request>>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread is asked for.
pub(super) enum Request {
    /// Carry out a commit and tell the caller, if it is still there.
    Commit(Commit, Caller),
    /// Do something else with the connection.
    #[cfg(test)]
    Use(Box<dyn FnOnce(&Connection) + Send>),
}

impl Writer {
    pub(super) fn start(connection: Connection, listener: Listener) -> StoreResult<Self> {
        let (requests, queue) = mpsc::channel(QUEUE);
        let thread = thread::Builder::new()
            .name("prism-store-writer".to_owned())
            .spawn(move || serve(&connection, queue, &listener))
            .map_err(|error| StoreError::Unavailable(format!("no thread could be started: {error}")))?;
        Ok(Self { requests: Some(requests), thread: Some(thread) })
    }

    pub(super) fn is_alive(&self) -> bool {
        self.requests.as_ref().is_some_and(|requests| !requests.is_closed())
    }

    /// Waits for a place in the queue and then for the answer. Once the commit is in the queue it is carried
    /// out, whether or not this future is still polled.
    pub(super) async fn commit(&self, commit: Commit) -> StoreResult<()> {
        let (answer, answered) = oneshot::channel();
        self.send(Request::Commit(commit, answer)).await?;
        // No answer: the thread ended while it had the commit.
        answered.await.unwrap_or_else(|_| Err(closed()))
    }

    pub(super) async fn send(&self, request: Request) -> StoreResult<()> {
        let requests = self.requests.as_ref().ok_or_else(closed)?;
        requests.send(request).await.map_err(|_| closed())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // The queue ends once it is empty, and with it the thread.
        drop(self.requests.take());
        let Some(thread) = self.thread.take() else { return };
        // The listener may have had the last reference to the store: a thread cannot wait for itself.
        if thread.thread().id() != thread::current().id() && thread.join().is_err() {
            tracing::error!("the store's writing thread had panicked");
        }
    }
}

/// The answer when the thread has ended.
pub(super) fn closed() -> StoreError {
    StoreError::Unavailable("the store is closed".to_owned())
}

type Caller = oneshot::Sender<StoreResult<()>>;

/// Commits that share a transaction.
type Group = VecDeque<(Commit, Caller)>;

/// A commit that was carried out in the transaction under way.
struct Written {
    news: News,
    caller: Caller,
}

fn serve(connection: &Connection, mut queue: mpsc::Receiver<Request>, listener: &Listener) {
    let mut group = Group::with_capacity(GROUP);
    while let Some(first) = queue.blocking_recv() {
        take(first, connection, &mut group);
        while group.len() < GROUP
            && let Ok(next) = queue.try_recv()
        {
            take(next, connection, &mut group);
        }
        carry_out(connection, &mut group, listener);
    }
    // Closing the last connection does the same; this is for when another process has the file open.
    if let Err(error) = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())) {
        tracing::warn!(error = %failed(&error), "the write-ahead log could not be checkpointed");
    }
}

#[cfg_attr(not(test), allow(unused_variables, reason = "only a test uses the connection here"))]
fn take(request: Request, connection: &Connection, group: &mut Group) {
    match request {
        Request::Commit(commit, caller) => group.push_back((commit, caller)),
        #[cfg(test)]
        Request::Use(act) => act(connection),
    }
}

/// Carries out a group of commits in one transaction.
fn carry_out(connection: &Connection, group: &mut Group, listener: &Listener) {
    let mut written = Vec::with_capacity(group.len());
    let begun = Instant::now();
    let ended = transaction(connection, group, &mut written);
    telemetry::transaction_ended(begun);
    match ended {
        Ok(()) => {
            for commit in &written {
                listener.tell(&commit.news);
            }
            for commit in written {
                answer(commit.caller, Ok(()));
            }
        }
        Err(error) => {
            if let Err(error) = roll_back(connection) {
                tracing::error!(%error, "a transaction could not be rolled back");
            }
            let begun = written.into_iter().map(|commit| commit.caller);
            for caller in begun.chain(group.drain(..).map(|(_, caller)| caller)) {
                answer(caller, Err(again(&error)));
            }
        }
    }
}

/// The transaction of a group. An error means that nothing of the group was written and that the callers in
/// `group` and `written` are to be told so. A commit that was refused alone is answered here.
fn transaction(connection: &Connection, group: &mut Group, written: &mut Vec<Written>) -> StoreResult<()> {
    if group.is_empty() {
        return Ok(());
    }
    // Left over when a rollback failed.
    roll_back(connection)?;
    execute(connection, "BEGIN IMMEDIATE")?;
    let alone = group.len() == 1;
    while let Some((commit, caller)) = group.pop_front() {
        let outcome =
            if alone { apply(connection, commit).map(Ok) } else { apply_isolated(connection, commit) };
        match outcome {
            Ok(Ok(news)) => written.push(Written { news, caller }),
            Ok(Err(refusal)) => answer(caller, Err(refusal)),
            Err(error) => {
                written.push(Written { news: News::default(), caller });
                return Err(error);
            }
        }
    }
    if written.is_empty() { roll_back(connection) } else { execute(connection, "COMMIT") }
}

/// Carries out one commit of several. After an inner error nothing of it is left in the transaction; an outer
/// error is the end of the transaction.
fn apply_isolated(connection: &Connection, commit: Commit) -> StoreResult<StoreResult<News>> {
    execute(connection, "SAVEPOINT one")?;
    let outcome = apply(connection, commit);
    if outcome.is_err() {
        // Some errors, such as a full disk, make SQLite roll back everything.
        if connection.is_autocommit() {
            return outcome.map(Ok);
        }
        execute(connection, "ROLLBACK TO one")?;
    }
    execute(connection, "RELEASE one")?;
    Ok(outcome)
}

fn apply(connection: &Connection, commit: Commit) -> StoreResult<News> {
    let mut news = News::default();
    for change in commit.into_writes() {
        write::apply(connection, change, &mut news)?;
    }
    Ok(news)
}

/// Ends the transaction under way, if there is one.
fn roll_back(connection: &Connection) -> StoreResult<()> {
    if connection.is_autocommit() { Ok(()) } else { execute(connection, "ROLLBACK") }
}

fn execute(connection: &Connection, sql: &str) -> StoreResult<()> {
    let executed = connection.prepare_cached(sql).and_then(|mut statement| statement.execute([]));
    executed.map(|_| ()).map_err(|error| failed(&error))
}

fn answer(caller: Caller, result: StoreResult<()>) {
    telemetry::committed(&result);
    // A caller that has gone away does not need it.
    let _ = caller.send(result);
}
