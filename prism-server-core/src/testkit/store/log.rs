//! Properties of the event log and of commits as a whole.

use std::{sync::Arc, time::Duration};

use futures::FutureExt as _;
use prism_types::{DeploymentId, RunId};

use super::{
    Recorder, commit, is_conflict, is_missing,
    records::{at, deployment, event, id, message, run, tenant, whole_deployment},
};
use crate::{
    domain::{
        approval::Resolution,
        event::{LoggedEvent, NewEvent},
        limits,
    },
    ports::{Commit, Store, Write},
};

/// Each deployment has a log of its own that counts from 1, and is read after a place in it.
pub async fn a_log_is_dense_and_read_in_order(store: Arc<dyn Store>) {
    let store = store.as_ref();
    let one: DeploymentId = id("dep_", 1);
    is_missing(commit(store, [Write::Append(event(1, "{}"))]).await, "deployment");
    assert_eq!(store.last_sequence(&one).await.unwrap(), 0);
    commit(store, [deployment(1, 1), deployment(1, 2)].map(Write::InsertDeployment)).await.unwrap();
    let of_run = NewEvent { run_id: Some(id("run_", 1)), thread_id: Some(id("thr_", 1)), ..event(1, "b") };
    let appended = [event(1, "a"), event(2, "x"), of_run.clone(), event(1, "c")];
    commit(store, appended.map(Write::Append)).await.unwrap();
    commit(store, [Write::Append(of_run.clone())]).await.unwrap();

    let line = |sequence, event| LoggedEvent { sequence, event };
    let log = [line(1, event(1, "a")), line(2, of_run.clone()), line(3, event(1, "c")), line(4, of_run)];
    assert_eq!(store.last_sequence(&one).await.unwrap(), 4);
    assert_eq!(store.last_sequence(&id("dep_", 2)).await.unwrap(), 1);
    assert_eq!(store.events(&one, 0, 9).await.unwrap(), log);
    assert_eq!(store.events(&one, 1, 2).await.unwrap(), log[1..3]);
    assert_eq!(store.events(&one, u64::MAX, 9).await.unwrap(), []);

    let run: RunId = id("run_", 1);
    assert_eq!(store.run_events(&run, &one, 0, 9).await.unwrap(), [log[1].clone(), log[3].clone()]);
    assert_eq!(store.run_events(&run, &one, 0, 1).await.unwrap(), [log[1].clone()]);
    assert_eq!(store.run_events(&run, &one, 2, 9).await.unwrap(), [log[3].clone()]);
    assert_eq!(store.run_events(&run, &id("dep_", 2), 0, 9).await.unwrap(), []);
}

/// Trimming removes the oldest events; later ones keep their numbers and new ones go on from there.
pub async fn a_trimmed_log_goes_on_counting(store: Arc<dyn Store>) {
    let store = store.as_ref();
    let one: DeploymentId = id("dep_", 1);
    commit(store, [Write::InsertDeployment(deployment(1, 1))]).await.unwrap();
    let trim = |count| commit(store, [Write::TrimEvents(id("dep_", 1), count)]);
    let append = || commit(store, [Write::Append(event(1, "{}"))]);
    let numbers = || async {
        let events = store.events(&one, 0, 99).await.unwrap();
        events.into_iter().map(|event| event.sequence).collect::<Vec<_>>()
    };
    trim(3).await.unwrap();
    for _ in 0..5 {
        append().await.unwrap();
    }
    trim(0).await.unwrap();
    assert_eq!(numbers().await, [1, 2, 3, 4, 5]);
    trim(2).await.unwrap();
    assert_eq!(numbers().await, [3, 4, 5]);
    trim(1).await.unwrap();
    assert_eq!(numbers().await, [4, 5]);
    trim(u32::MAX).await.unwrap();
    assert!(numbers().await.is_empty());
    assert_eq!(store.last_sequence(&one).await.unwrap(), 5);
    append().await.unwrap();
    assert_eq!(numbers().await, [6]);
    trim(1).await.unwrap();
    commit(store, [Write::TrimEvents(id("dep_", 9), 1)]).await.unwrap();
}

/// A page of large events ends early, is never empty while there are more, and nothing is passed over.
pub async fn a_page_of_large_events_ends_early(store: Arc<dyn Store>) {
    let store = store.as_ref();
    commit(store, whole_deployment(1)).await.unwrap();
    let large = "x".repeat(limits::EVENT_PAGE / 2);
    commit(store, [&large, &large, "y", "z"].map(|data| Write::Append(event(1, data)))).await.unwrap();
    let (one, mut after, mut pages) = (id("dep_", 1), 0, Vec::new());
    loop {
        let page = store.events(&one, after, 9).await.unwrap();
        let Some(last) = page.last() else { break };
        after = last.sequence;
        pages.push(page.iter().map(|line| line.sequence).collect::<Vec<_>>());
    }
    assert_eq!(pages, [vec![1, 2, 3], vec![4]]);
}

/// When the last write of a commit is refused, nothing of it is written, numbered or told.
pub async fn a_refused_commit_leaves_nothing(store: Arc<dyn Store>) {
    let store = store.as_ref();
    let recorder = Recorder::of(store);
    commit(store, whole_deployment(1)).await.unwrap();
    commit(store, [Write::InsertTenant(tenant(1)), Write::Append(event(1, "a"))]).await.unwrap();
    let refused = || {
        vec![
            Write::InsertTenant(tenant(2)),
            Write::UpdateTenant(tenant(1)),
            Write::InsertMessage(message(1, "Hello")),
            Write::InsertRun(run(1, 1, 1)),
            Write::Append(event(1, "b")),
            Write::TrimEvents(id("dep_", 1), 1),
            Write::InsertDeployment(deployment(1, 2)),
            Write::Append(event(2, "b")),
            Write::SetThreadTitle(id("thr_", 1), None),
            Write::PurgeDeployment(id("dep_", 1)),
        ]
    };
    let stale = Write::InsertTenant(tenant(1));
    is_conflict(commit(store, refused().into_iter().chain([stale])).await, "tenant");
    let lost = Write::ResolveApproval(id("apr_", 9), Resolution::closed(), at(1));
    is_missing(commit(store, refused().into_iter().chain([lost])).await, "approval");

    let one: DeploymentId = id("dep_", 1);
    assert_eq!(store.tenant(&id("ten_", 1)).await.unwrap(), Some(tenant(1)));
    assert_eq!(store.tenant(&id("ten_", 2)).await.unwrap(), None);
    assert_eq!(store.deployment(&one).await.unwrap(), Some(deployment(1, 1)));
    assert_eq!(store.deployment(&id("dep_", 2)).await.unwrap(), None);
    assert_eq!(store.thread(&id("thr_", 1)).await.unwrap(), Some(super::records::thread(1, 1)));
    assert_eq!(store.messages(&id("thr_", 1), 0, 9).await.unwrap(), []);
    assert_eq!(store.unfinished_run(&id("thr_", 1)).await.unwrap(), None);
    assert_eq!(store.last_sequence(&one).await.unwrap(), 1);

    commit(store, [Write::Append(event(1, "c"))]).await.unwrap();
    commit(store, []).await.unwrap();
    let log = store.events(&one, 0, 9).await.unwrap();
    assert_eq!(log.iter().map(|line| line.event.data.as_str()).collect::<Vec<_>>(), ["a", "c"]);
    assert_eq!(recorder.told(), log);
}

/// A commit whose caller went away right after handing it in is written and told, or neither.
pub async fn the_listener_is_told_although_the_caller_has_gone(store: Arc<dyn Store>) {
    let store = store.as_ref();
    let recorder = Recorder::of(store);
    commit(store, [Write::InsertDeployment(deployment(1, 1))]).await.unwrap();
    for _ in 0..50 {
        // Polled once, then dropped.
        let _ = store.commit(Commit::new().with(Write::Append(event(1, "gone")))).now_or_never();
    }
    commit(store, [Write::Append(event(1, "last"))]).await.unwrap();
    // A store may carry out the commits of callers that are gone after this one, so wait until it is quiet.
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    loop {
        let log = store.events(&id("dep_", 1), 0, 99).await.unwrap();
        if recorder.told() == log && log.iter().any(|line| line.event.data == "last") {
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "told {:?}, written {log:?}", recorder.told());
        tokio::task::yield_now().await;
    }
}
