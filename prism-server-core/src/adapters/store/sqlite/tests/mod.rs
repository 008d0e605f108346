//! Tests of what only the embedded store promises: its file, its thread and its life with other processes.

mod crash;
mod faults;
mod file;

use std::sync::mpsc;

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::{SqliteStore, writer::Request};
use crate::{ports::Store, testkit::store::commit, testkit::store::records};

impl SqliteStore {
    /// Does something with the writing connection, on the writing thread.
    pub(crate) async fn with_writer(&self, act: impl FnOnce(&Connection) + Send + 'static) {
        let (done, waiting) = oneshot::channel();
        let act = Box::new(move |connection: &Connection| {
            act(connection);
            let _ = done.send(());
        });
        self.writer.send(Request::Use(act)).await.unwrap();
        waiting.await.unwrap();
    }

    /// Holds the writing thread up until the answer is dropped: what is committed meanwhile is one group.
    async fn hold_writer(&self) -> mpsc::Sender<()> {
        let (gate, held) = mpsc::channel();
        let (began, waiting) = oneshot::channel();
        let act = Box::new(move |_: &Connection| {
            let _ = began.send(());
            let _ = held.recv();
        });
        self.writer.send(Request::Use(act)).await.unwrap();
        waiting.await.unwrap();
        gate
    }
}

/// A store in a fresh directory, with the deployment 1.
async fn store() -> (tempfile::TempDir, SqliteStore) {
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(directory.path().join("prism.db")).unwrap();
    commit(&store, records::whole_deployment(1)).await.unwrap();
    (directory, store)
}

/// The last sequence of the log of deployment 1.
async fn last_sequence(store: &dyn Store) -> u64 {
    store.last_sequence(&records::id("dep_", 1)).await.unwrap()
}
