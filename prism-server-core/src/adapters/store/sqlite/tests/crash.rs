//! Processes that are killed or run out of space while they commit.
//!
//! The child is this test program itself, told by a variable to run one of the functions below.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
    time::Duration,
};

use prism_types::DeploymentId;

use crate::{
    adapters::store::SqliteStore,
    ports::{Store as _, Write},
    testkit::store::{commit, records},
};

/// The file that a child shall use.
const FILE: &str = "PRISM_TEST_STORE_FILE";
const WRITERS: u32 = 4;

#[test]
fn what_was_acknowledged_is_there_after_a_kill() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("prism.db");
    let mut acknowledged = BTreeMap::<u32, u64>::new();
    for _ in 0..3 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(arguments("child_commits_until_it_is_killed"))
            .env(FILE, &path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut note = |line: std::io::Result<String>| {
            // The last line may be cut off.
            let told = line.ok()?.strip_prefix("acknowledged ")?.strip_suffix('.')?.to_owned();
            let (log, sequence) = told.split_once(' ')?;
            acknowledged.insert(log.parse().ok()?, sequence.parse().ok()?)
        };
        for line in lines.by_ref().take(300) {
            note(line);
        }
        child.kill().unwrap();
        for line in lines {
            note(line);
        }
        child.wait().unwrap();
    }
    assert_eq!(acknowledged.len(), WRITERS as usize);

    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let store = SqliteStore::open(&path).unwrap();
        for (log, acknowledged) in acknowledged {
            let log: DeploymentId = records::id("dep_", log);
            let events = store.events(&log, 0, u32::MAX).await.unwrap();
            assert!(events.iter().map(|event| event.sequence).eq(1..=events.len() as u64), "dense");
            assert!(events.len() as u64 >= acknowledged, "{} of {acknowledged}", events.len());
            assert_eq!(store.last_sequence(&log).await.unwrap(), events.len() as u64);
        }
    });
}

#[test]
fn child_commits_until_it_is_killed() {
    let Some(path) = std::env::var_os(FILE) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(async {
        let store = std::sync::Arc::new(SqliteStore::open(path).unwrap());
        let mut writers = tokio::task::JoinSet::new();
        for log in 0..WRITERS {
            let store = store.clone();
            writers.spawn(async move {
                // The second child finds it there.
                let _ = commit(store.as_ref(), [Write::InsertDeployment(records::deployment(1, log))]).await;
                let id: DeploymentId = records::id("dep_", log);
                let mut sequence = store.last_sequence(&id).await.unwrap();
                loop {
                    commit(store.as_ref(), [Write::Append(records::event(log, "{}"))]).await.unwrap();
                    sequence += 1;
                    println!("\nacknowledged {log} {sequence}.");
                }
            });
        }
        writers.join_next().await;
    });
}

/// The limit of a file's size makes real writes fail, below SQLite.
#[cfg(unix)]
#[test]
fn a_write_that_fails_is_an_error_and_not_a_hang() {
    let directory = tempfile::tempdir().unwrap();
    let child = Command::new("sh")
        .args(["-c", "trap '' XFSZ && ulimit -f 2000 && exec \"$@\"", "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(arguments("child_commits_until_writes_fail"))
        .env(FILE, directory.path().join("prism.db"))
        .output()
        .unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stderr));
    assert!(String::from_utf8_lossy(&child.stdout).contains("failed after"));
}

#[test]
fn child_commits_until_writes_fail() {
    let Some(path) = std::env::var_os(FILE) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let all = async {
        let store = SqliteStore::open(path).unwrap();
        commit(&store, [Write::InsertDeployment(records::deployment(1, 1))]).await.unwrap();
        let append = || commit(&store, [Write::Append(records::event(1, &"x".repeat(5000)))]);
        let mut acknowledged = 0;
        let error = loop {
            match append().await {
                Ok(()) => acknowledged += 1,
                Err(error) => break error,
            }
        };
        assert!(append().await.is_err(), "there is still no room");
        assert_eq!(store.last_sequence(&records::id("dep_", 1)).await.unwrap(), acknowledged);
        assert_eq!(store.events(&records::id("dep_", 1), 0, 9999).await.unwrap().len() as u64, acknowledged);
        println!("\nfailed after {acknowledged}: {error}");
    };
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(60), all).await }).unwrap();
}

fn arguments(child: &str) -> [String; 3] {
    let module = module_path!().split_once("::").map_or("", |(_, module)| module);
    [format!("{module}::{child}"), "--exact".to_owned(), "--nocapture".to_owned()]
}
