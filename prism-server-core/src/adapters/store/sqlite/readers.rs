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
    scans: Arc<Semaphore>,
}

impl Readers {
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), idle: Mutex::default(), scans: Arc::new(Semaphore::new(SCANS)) }
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
        let permit = Arc::clone(&self.scans).acquire_owned().await.map_err(|_| ended())?;
        let scan = move || {
            // Kept until the scan is over, also when nobody waits for it any more.
            let _permit = permit;
            self.read(read)
        };
        tokio::task::spawn_blocking(scan).await.map_err(|_| ended())?
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn ended() -> StoreError {
    StoreError::Unavailable("the read was ended".to_owned())
}
