//! The connections that read.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::connection;
use crate::ports::{StoreError, StoreResult};

/// How many scans run at the same time. More would only compete for the same disk and cores.
pub(super) const SCANS: usize = 8;

/// How many connections are kept while nobody reads. At most as many are in use as there are threads that
/// read at the same time: the runtime's own and the scans'.
const IDLE: usize = 16;

/// A pool of reading connections, opened when they are needed.
pub(super) struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
    scans: Semaphore,
}

impl Readers {
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), idle: Mutex::default(), scans: Semaphore::new(SCANS) }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads on the calling thread.
    pub(super) fn read<T>(&self, read: impl FnOnce(&Connection) -> StoreResult<T>) -> StoreResult<T> {
        // The connection used last has the warmest cache, so it is a stack.
        let idle = self.idle().pop();
        let connection = match idle {
            Some(connection) => connection,
            None => connection::open_reader(&self.path)?,
        };
        let result = read(&connection);
        let mut idle = self.idle();
        if idle.len() < IDLE {
            idle.push(connection);
        }
        result
    }

    /// Reads on one of the runtime's blocking threads.
    pub(super) async fn scan<T: Send + 'static>(
        self: Arc<Self>,
        read: impl FnOnce(&Connection) -> StoreResult<T> + Send + 'static,
    ) -> StoreResult<T> {
        let _permit = self.scans.acquire().await.map_err(|_| ended())?;
        let readers = Arc::clone(&self);
        // A caller that goes away gives its permit back while the scan still runs; a page is short enough.
        tokio::task::spawn_blocking(move || readers.read(read)).await.map_err(|_| ended())?
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn ended() -> StoreError {
    StoreError::Unavailable("the read was ended".to_owned())
}
