//! Tests of the stores together.

use std::sync::Arc;

use super::MemoryStore;
use crate::{ports::Store, testkit};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_store_in_memory_conforms() {
    testkit::store::conformance(|| async { Arc::new(MemoryStore::new()) as Arc<dyn Store> }).await;
}

#[cfg(feature = "sqlite")]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_embedded_store_conforms() {
    let directory = tempfile::tempdir().unwrap();
    let number = std::sync::atomic::AtomicU32::new(0);
    testkit::store::conformance(|| async {
        let number = number.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let path = directory.path().join(format!("{number}.db"));
        Arc::new(super::SqliteStore::open(path).unwrap()) as Arc<dyn Store>
    })
    .await;
}
