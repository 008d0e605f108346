//! The writing thread when something fails under it.

use std::{sync::Arc, time::Duration};

use futures::{FutureExt as _, future::join_all};

use super::{last_sequence, store};
use crate::{
    adapters::store::SqliteStore,
    domain::event::LoggedEvent,
    ports::{AppendListener, Store, StoreError, StoreResult, Write},
    testkit::store::{Recorder, commit, records},
};

/// Commits that are all in the queue before the thread looks: one group.
async fn one_group(store: &SqliteStore, commits: Vec<Vec<Write>>) -> Vec<StoreResult<()>> {
    let gate = store.hold_writer().await;
    let mut group = Box::pin(join_all(commits.into_iter().map(|writes| commit(store, writes))));
    assert!(group.as_mut().now_or_never().is_none());
    drop(gate);
    group.await
}

fn append(data: &str) -> Vec<Write> {
    vec![Write::Append(records::event(1, data))]
}

#[tokio::test]
async fn a_refused_commit_of_a_group_goes_alone() {
    let (_directory, store) = store().await;
    let recorder = Recorder::of(&store);
    let mut stale = append("refused");
    stale.push(Write::InsertDeployment(records::deployment(1, 1)));
    let results = one_group(&store, vec![append("a"), stale, append("b")]).await;
    assert!(matches!(results[..], [Ok(()), Err(StoreError::Conflict("deployment")), Ok(())]), "{results:?}");
    let log = store.events(&records::id("dep_", 1), 0, 9).await.unwrap();
    assert_eq!(log.iter().map(|line| line.event.data.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(recorder.told(), log);
}

#[tokio::test]
async fn a_full_disk_refuses_the_group_and_is_got_over() {
    let (_directory, store) = store().await;
    let recorder = Recorder::of(&store);
    store
        .with_writer(|connection| {
            let pages: i64 = connection.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
            let limit = format!("PRAGMA max_page_count = {}", pages + 2);
            connection.query_row(&limit, [], |_| Ok(())).unwrap();
        })
        .await;
    let large = "x".repeat(100_000);
    let results = one_group(&store, vec![append("a"), append(&large), append("b")]).await;
    assert!(
        matches!(&results[1], Err(StoreError::Unavailable(reason)) if reason.contains("full")),
        "{results:?}"
    );
    // Whether SQLite gives up one commit or all is its business; who was told `Ok` is in the log, nobody else.
    let log = store.events(&records::id("dep_", 1), 0, 9).await.unwrap();
    assert_eq!(log.len(), results.iter().filter(|result| result.is_ok()).count());
    assert_eq!(recorder.told(), log);

    store
        .with_writer(|connection| {
            connection.query_row("PRAGMA max_page_count = 100000", [], |_| Ok(())).unwrap();
        })
        .await;
    commit(&store, append(&large)).await.unwrap();
    assert_eq!(last_sequence(&store).await, log.len() as u64 + 1);
}

#[tokio::test]
async fn a_lock_of_another_process_is_told_as_unavailable() {
    let (directory, store) = store().await;
    store.with_writer(|connection| connection.busy_timeout(Duration::from_millis(20)).unwrap()).await;
    let other = rusqlite::Connection::open(directory.path().join("prism.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let results = one_group(&store, vec![append("a"), append("b")]).await;
    assert!(results.iter().all(|result| matches!(result, Err(StoreError::Unavailable(_)))), "{results:?}");
    assert_eq!(last_sequence(&store).await, 0, "reads go on");
    other.execute_batch("COMMIT").unwrap();
    commit(&store, append("c")).await.unwrap();
    assert_eq!(last_sequence(&store).await, 1);
}

#[tokio::test]
async fn a_transaction_that_was_left_open_does_not_stop_the_thread() {
    let (_directory, store) = store().await;
    store.with_writer(|connection| connection.execute_batch("BEGIN IMMEDIATE").unwrap()).await;
    commit(&store, append("a")).await.unwrap();
    assert_eq!(last_sequence(&store).await, 1);
}

#[tokio::test]
async fn when_the_thread_has_ended_nobody_waits_for_it() {
    let (_directory, store) = store().await;
    let gate = store.hold_writer().await;
    let died = store.with_writer(|_| panic!("on purpose"));
    let waiting = commit(&store, append("a"));
    let (died, waiting) = (Box::pin(std::panic::AssertUnwindSafe(died).catch_unwind()), Box::pin(waiting));
    let mut both = Box::pin(futures::future::join(died, waiting));
    assert!(both.as_mut().now_or_never().is_none());
    drop(gate);
    let (died, waited) = both.await;
    assert!(died.is_err());
    assert!(matches!(waited, Err(StoreError::Unavailable(_))), "{waited:?}");
    assert!(matches!(commit(&store, append("b")).await, Err(StoreError::Unavailable(_))));
    assert!(matches!(store.ping().await, Err(StoreError::Unavailable(_))));
    assert_eq!(last_sequence(&store).await, 0, "reads go on");
}

#[tokio::test]
async fn a_commit_without_a_caller_is_written_and_told() {
    let (directory, store) = store().await;
    let recorder = Recorder::of(&store);
    let gate = store.hold_writer().await;
    assert!(commit(&store, append("gone")).now_or_never().is_none());
    drop(gate);
    // Dropping the store waits for the last commits.
    drop(store);
    assert_eq!(recorder.told().len(), 1);
    let store = SqliteStore::open(directory.path().join("prism.db")).unwrap();
    assert_eq!(store.events(&records::id("dep_", 1), 0, 9).await.unwrap(), recorder.told());
}

#[tokio::test]
async fn a_listener_that_panics_does_not_undo_a_commit() {
    struct Panics;
    impl AppendListener for Panics {
        fn appended(&self, _: &[LoggedEvent]) {
            panic!("on purpose");
        }
    }
    let (_directory, store) = store().await;
    store.set_append_listener(Arc::new(Panics));
    commit(&store, append("a")).await.unwrap();
    commit(&store, append("b")).await.unwrap();
    assert_eq!(last_sequence(&store).await, 2);
}

#[tokio::test]
async fn more_commits_than_the_queue_holds_are_all_answered() {
    let (_directory, store) = store().await;
    let results = one_group(&store, (0..3000).map(|_| append("{}")).collect()).await;
    assert!(results.iter().all(Result::is_ok));
    assert_eq!(last_sequence(&store).await, 3000);
}
