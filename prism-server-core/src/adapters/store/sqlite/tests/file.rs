//! The file: what opening, closing and other processes do to it.

use std::sync::{Arc, Barrier};

use prism_types::{DeploymentId, RunId};
use rusqlite::Connection;

use super::{last_sequence, store};
use crate::{
    adapters::store::SqliteStore,
    domain::{
        program::job::Job,
        run::{Run, RunState},
    },
    ports::{HostedFilter, ListQuery, ProgramStore, Store, StoreError, Write},
    testkit::store::{commit, records},
};

#[tokio::test]
async fn reopening_keeps_everything_and_the_log_is_folded_in_on_close() {
    let (directory, store) = store().await;
    let log: DeploymentId = records::id("dep_", 1);
    commit(&store, [Write::InsertTenant(records::tenant(1)), Write::Append(records::event(1, "a"))])
        .await
        .unwrap();
    let events = store.events(&log, 0, 9).await.unwrap();
    drop(store);
    let files: Vec<_> =
        std::fs::read_dir(directory.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(files, ["prism.db"]);

    let store = SqliteStore::open(directory.path().join("prism.db")).unwrap();
    assert_eq!(store.events(&log, 0, 9).await.unwrap(), events);
    assert_eq!(store.tenant_by_name("tenant 1").await.unwrap(), Some(records::tenant(1)));
    assert_eq!(store.spec(&log, 1).await.unwrap(), Some(records::spec()));
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_can_read_the_files() {
    use std::os::unix::fs::PermissionsExt as _;
    let (directory, _store) = store().await;
    let files: Vec<_> = std::fs::read_dir(directory.path()).unwrap().map(Result::unwrap).collect();
    assert_eq!(files.len(), 3, "the database, its log and its index");
    for file in files {
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", file.path());
    }
}

#[tokio::test]
async fn two_stores_on_one_file_see_each_others_commits() {
    let (directory, gateway) = store().await;
    let tool = SqliteStore::open(directory.path().join("prism.db")).unwrap();
    let key = records::api_key(1, 1);
    commit(&gateway, [Write::InsertApiKey(key.clone())]).await.unwrap();
    assert_eq!(gateway.api_key_by_hash(&key.hash).await.unwrap().unwrap().revoked_at, None);
    let at = records::at(9);
    commit(&tool, [Write::RevokeApiKey(key.tenant_id, key.id, at)]).await.unwrap();
    assert_eq!(gateway.api_key_by_hash(&key.hash).await.unwrap().unwrap().revoked_at, Some(at));

    let (gateway, tool) = (Arc::new(gateway), Arc::new(tool));
    let writers = [gateway.clone(), tool].map(|store| {
        tokio::spawn(async move {
            for _ in 0..50 {
                commit(store.as_ref(), [Write::Append(records::event(1, "{}"))]).await.unwrap();
            }
        })
    });
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(last_sequence(gateway.as_ref()).await, 100);
    assert_eq!(gateway.events(&records::id("dep_", 1), 0, 999).await.unwrap().len(), 100);
}

#[test]
fn many_can_open_a_new_file_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("prism.db");
    let together = Barrier::new(8);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                together.wait();
                SqliteStore::open(&path).unwrap();
            });
        }
    });
}

#[tokio::test]
async fn a_newer_database_and_other_files_are_refused() {
    let (directory, store) = store().await;
    drop(store);
    let path = directory.path().join("prism.db");
    for version in [1000, -1] {
        Connection::open(&path).unwrap().pragma_update(None, "user_version", version).unwrap();
        let error = SqliteStore::open(&path).unwrap_err();
        assert!(matches!(&error, StoreError::Failed(reason) if reason.contains("newer")), "{error}");
    }
    let other = directory.path().join("other.db");
    Connection::open(&other).unwrap().execute_batch("CREATE TABLE notes (text)").unwrap();
    let error = SqliteStore::open(&other).unwrap_err();
    assert!(error.to_string().contains("another program"), "{error}");
    let other = directory.path().join("other");
    std::fs::write(&other, "This is no database, and it is long enough to be told from an empty one.")
        .unwrap();
    assert!(matches!(SqliteStore::open(&other), Err(StoreError::Failed(_))));
    let error = SqliteStore::open(directory.path().join("missing/prism.db")).unwrap_err();
    assert!(error.to_string().contains("missing/prism.db"), "{error}");
}

#[tokio::test]
async fn a_damaged_value_is_an_error_that_names_its_column_and_not_the_value() {
    let (_directory, store) = store().await;
    for (number, column, value) in [
        (1, "state", "'hunter2'"),
        (2, "attempts", "-77"),
        (3, "error", "'{hunter2'"),
        (4, "thread_id", "'hunter2'"),
    ] {
        let run = Run { state: RunState::Completed, ..records::run(1, 1, number) };
        commit(&store, [Write::InsertRun(run.clone())]).await.unwrap();
        store
            .with_writer(move |connection| {
                let damage = format!("UPDATE runs SET {column} = {value} WHERE id = ?1");
                connection.execute(&damage, [run.id.as_str()]).unwrap();
            })
            .await;
        let id: RunId = records::id("run_", number);
        for error in [
            store.run(&id).await.unwrap_err(),
            store.runs(&records::id("dep_", 1), ListQuery { before: None, limit: 1 }).await.unwrap_err(),
        ] {
            let expected = format!("runs.{column} holds a value that cannot be read");
            assert!(matches!(&error, StoreError::Failed(reason) if *reason == expected), "{error}");
        }
    }
}

#[tokio::test]
async fn a_reading_connection_cannot_write() {
    let (_directory, store) = store().await;
    let written = store.readers.read(|connection| Ok(connection.execute("DELETE FROM deployments", [])));
    assert!(written.unwrap().is_err());
}

#[tokio::test]
async fn the_revision_of_a_record_is_that_of_its_column_and_a_damaged_record_is_an_error() {
    let (_directory, store) = store().await;
    let (job, deployment) = (records::job(2, 1), records::id("dep_", 2));
    commit(&store, [Write::InsertProgram(records::program(1, 2)), Write::InsertJob(job.clone(), 9)])
        .await
        .unwrap();
    let damage =
        |sql: &'static str| store.with_writer(move |connection| connection.execute_batch(sql).unwrap());
    damage("UPDATE jobs SET revision = 7").await;
    let expected = Job { revision: 7, ..job.clone() };
    assert_eq!(store.job(&job.id).await.unwrap(), Some(expected.clone()));
    commit(&store, [Write::UpdateJob(expected)]).await.unwrap();
    assert_eq!(store.job(&job.id).await.unwrap().unwrap().revision, 8);
    for damaged in [
        "UPDATE jobs SET record = '{hunter2'",
        "UPDATE jobs SET record = '{}'",
        "UPDATE jobs SET record = '[\"hunter2\"]'",
    ] {
        damage(damaged).await;
        let all = ListQuery { before: None, limit: 1 };
        let any = HostedFilter { state: None, version: None };
        for error in [
            store.job(&job.id).await.unwrap_err(),
            store.jobs(&deployment, any, all).await.unwrap_err(),
            commit(&store, [Write::UpdateJob(job.clone())]).await.unwrap_err(),
        ] {
            let expected = "jobs.record holds a value that cannot be read";
            assert!(matches!(&error, StoreError::Failed(reason) if reason == expected), "{error}");
        }
    }
}
