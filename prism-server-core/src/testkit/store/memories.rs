//! Properties of memories, dreams and forgotten threads.

use std::sync::Arc;

use prism_types::{DeploymentId, DreamTrigger, RunId, ThreadId};

use super::{
    commit, is_conflict, is_missing,
    records::{
        approval, at, dream, forgotten_thread, id, memory, memory_set, message, quiet, run, thread,
        whole_deployment,
    },
};
use crate::{
    domain::{
        dream::{Dream, DreamState, Report},
        memory::{Memory, MemorySet},
        run::{Run, RunState},
    },
    ports::{ListQuery, Store, Write},
};

/// Memories are replaced and removed one by one, and guarded as a whole.
pub async fn memories_are_guarded_as_a_whole(store: Arc<dyn Store>) {
    let store = store.as_ref();
    is_missing(commit(store, [Write::PutMemorySet(memory_set(1))]).await, "deployment");
    is_missing(commit(store, [Write::PutMemory(memory(1, 1))]).await, "deployment");
    commit(store, whole_deployment(1).into_iter().chain(whole_deployment(2))).await.unwrap();
    let deployment: DeploymentId = id("dep_", 1);
    assert_eq!(store.memory_set(&deployment).await.unwrap(), None);
    is_missing(
        commit(store, [Write::PutMemorySet(MemorySet { revision: 1, ..memory_set(1) })]).await,
        "memories",
    );
    commit(store, [Write::PutMemorySet(memory_set(1)), Write::PutMemory(memory(1, 1))]).await.unwrap();
    let first = MemorySet { revision: 1, ..memory_set(1) };
    assert_eq!(store.memory_set(&deployment).await.unwrap(), Some(first.clone()));

    // A commit that has read the memories before they were changed leaves nothing.
    let late = [Write::PutMemory(memory(1, 2)), Write::PutMemorySet(memory_set(1))];
    is_conflict(commit(store, late).await, "memories");
    let changed = Memory {
        content: "Another".to_owned(),
        synced: None,
        offered: Some("Another".to_owned()),
        updated_at: at(9),
        forgotten: true,
        ..memory(1, 1)
    };
    let careless = Memory { deployment_id: id("dep_", 2), created_at: at(99), ..changed.clone() };
    let second = MemorySet { home: None, in_step: true, ..first };
    commit(
        store,
        [
            Write::PutMemory(careless),
            Write::PutMemory(memory(1, 3)),
            Write::PutMemory(memory(2, 2)),
            Write::PutMemorySet(second.clone()),
        ],
    )
    .await
    .unwrap();
    assert_eq!(store.memories(&deployment).await.unwrap(), [changed.clone(), memory(1, 3)]);
    assert_eq!(store.memory(&changed.id).await.unwrap(), Some(changed.clone()));
    assert_eq!(store.memory_set(&deployment).await.unwrap(), Some(MemorySet { revision: 2, ..second }));

    // Only of its own deployment, and as often as one likes.
    for (deployment, left) in [(2, 2), (1, 1), (1, 1)] {
        let remove = Write::DeleteMemory(id("dep_", deployment), changed.id.clone());
        commit(store, [remove]).await.unwrap();
        assert_eq!(store.memories(&id("dep_", 1)).await.unwrap().len(), left);
    }
}

/// The engine finds what is not in step, page by page.
pub async fn what_is_out_of_step_is_found(store: Arc<dyn Store>) {
    let store = store.as_ref();
    for number in 1..=3 {
        commit(store, whole_deployment(number)).await.unwrap();
        let set = MemorySet { in_step: number == 2, ..memory_set(number) };
        commit(store, [Write::PutMemorySet(set)]).await.unwrap();
    }
    let found = store.memory_sets_out_of_step(None, 1).await.unwrap();
    assert_eq!(found, [MemorySet { revision: 1, ..memory_set(1) }]);
    let found = store.memory_sets_out_of_step(Some(&found[0].deployment_id), 9).await.unwrap();
    assert_eq!(found, [MemorySet { revision: 1, ..memory_set(3) }]);
}

/// A thread goes with all that is on it but its events, and not while a run of it is unfinished.
pub async fn a_deleted_thread_leaves_only_events(store: Arc<dyn Store>) {
    let store = store.as_ref();
    commit(store, whole_deployment(1)).await.unwrap();
    let delete = || Write::DeleteThread(id("thr_", 2));
    is_missing(commit(store, [delete()]).await, "thread");
    let event = crate::domain::event::NewEvent {
        thread_id: Some(id("thr_", 2)),
        run_id: Some(id("run_", 1)),
        ..super::records::event(1, "{}")
    };
    let other = Run { state: RunState::Completed, ..run(1, 1, 2) };
    commit(
        store,
        [
            Write::InsertThread(thread(1, 2)),
            Write::InsertMessage(message(2, "Hello")),
            Write::InsertMessage(message(1, "Stays")),
            Write::InsertRun(run(1, 2, 1)),
            Write::InsertRun(other),
            Write::InsertApproval(approval(1, 1, 1)),
            Write::InsertApproval(approval(1, 2, 2)),
            Write::Append(event),
        ],
    )
    .await
    .unwrap();
    let deployment: DeploymentId = id("dep_", 1);
    assert!(store.has_unfinished_run(&deployment).await.unwrap());
    for state in [RunState::Running, RunState::WaitingOnHuman] {
        let before = store.run(&id("run_", 1)).await.unwrap().unwrap();
        commit(store, [Write::UpdateRun(Run { state, ..before })]).await.unwrap();
        is_conflict(commit(store, [delete()]).await, "thread");
        assert!(store.has_unfinished_run(&deployment).await.unwrap());
    }
    let before = store.run(&id("run_", 1)).await.unwrap().unwrap();
    let done = Run { state: RunState::Completed, ..before };
    commit(store, [Write::UpdateRun(done), delete()]).await.unwrap();
    assert!(!store.has_unfinished_run(&deployment).await.unwrap());
    let (gone, stays): (ThreadId, ThreadId) = (id("thr_", 2), id("thr_", 1));
    assert_eq!(store.thread(&gone).await.unwrap(), None);
    assert_eq!(store.messages(&gone, 0, 9).await.unwrap(), []);
    assert_eq!(store.run(&id("run_", 1)).await.unwrap(), None);
    assert_eq!(store.approval(&id("apr_", 1)).await.unwrap(), None);
    assert_eq!(store.events(&deployment, 0, 9).await.unwrap().len(), 1);
    assert_eq!(store.messages(&stays, 0, 9).await.unwrap().len(), 1);
    assert!(store.run(&id("run_", 2)).await.unwrap().is_some());
    assert!(store.approval(&id("apr_", 2)).await.unwrap().is_some());
    is_missing(commit(store, [Write::InsertMessage(message(2, "Late"))]).await, "thread");
}

/// What an agent is to forget is kept until it has.
pub async fn forgotten_threads_are_kept_until_they_are(store: Arc<dyn Store>) {
    let store = store.as_ref();
    let forget = |deployment, thread| Write::InsertForgottenThread(forgotten_thread(deployment, thread));
    is_missing(commit(store, [forget(1, 1)]).await, "deployment");
    commit(store, whole_deployment(1).into_iter().chain(whole_deployment(2))).await.unwrap();
    commit(store, [forget(1, 1), forget(2, 2), forget(1, 3)]).await.unwrap();
    is_conflict(commit(store, [forget(1, 1)]).await, "forgotten thread");
    let all = store.forgotten_threads(None, 2).await.unwrap();
    assert_eq!(all, [forgotten_thread(1, 1), forgotten_thread(2, 2)]);
    let rest = store.forgotten_threads(Some(&all[1].thread_id), 9).await.unwrap();
    assert_eq!(rest, [forgotten_thread(1, 3)]);
    let of_one = store.forgotten_threads_of(&id("dep_", 1), 9).await.unwrap();
    assert_eq!(of_one, [forgotten_thread(1, 1), forgotten_thread(1, 3)]);
    for _ in 0..2 {
        commit(store, [Write::DeleteForgottenThread(id("thr_", 1))]).await.unwrap();
        assert_eq!(store.forgotten_threads(None, 9).await.unwrap().len(), 2);
    }
}

/// A deployment has one dream at a time; a dream is guarded by its revision; the oldest are forgotten.
pub async fn a_deployment_has_one_dream_at_a_time(store: Arc<dyn Store>) {
    let store = store.as_ref();
    is_missing(commit(store, [Write::InsertDream(dream(1, 1, 1))]).await, "deployment");
    commit(store, whole_deployment(1).into_iter().chain(whole_deployment(2))).await.unwrap();
    is_missing(commit(store, [Write::InsertDream(dream(1, 1, 1))]).await, "run");
    let ended = |number| Run { state: RunState::Completed, ..run(1, 1, number) };
    commit(store, [1, 2, 3].map(|number| Write::InsertRun(ended(number)))).await.unwrap();
    commit(store, [Write::InsertDream(dream(1, 1, 1))]).await.unwrap();
    is_conflict(commit(store, [Write::InsertDream(dream(1, 2, 2))]).await, "dream");
    assert_eq!(store.running_dream(&id("dep_", 1)).await.unwrap(), Some(dream(1, 1, 1)));
    assert_eq!(store.running_dream(&id("dep_", 2)).await.unwrap(), None);
    assert_eq!(store.running_dreams(None, 9).await.unwrap(), [dream(1, 1, 1)]);
    assert_eq!(store.running_dreams(Some(&id("drm_", 1)), 9).await.unwrap(), []);

    let report = Report { summary: "Less".to_owned(), added: dream(1, 1, 1).before, removed: Vec::new() };
    let over = Dream {
        state: DreamState::Completed,
        report: Some(report),
        ended_at: Some(at(5)),
        reverted_at: Some(at(6)),
        ..dream(1, 1, 1)
    };
    // What it started from never changes.
    let careless = Dream { before: Vec::new(), trigger: DreamTrigger::Api, ..over.clone() };
    commit(store, [Write::UpdateDream(careless.clone())]).await.unwrap();
    is_conflict(commit(store, [Write::UpdateDream(careless)]).await, "dream");
    is_missing(commit(store, [Write::UpdateDream(dream(1, 7, 7))]).await, "dream");
    let over = Dream { revision: 1, ..over };
    assert_eq!(store.dream(&id("drm_", 1)).await.unwrap(), Some(over.clone()));

    let second = Dream { state: DreamState::Error, ..dream(1, 2, 2) };
    commit(store, [Write::InsertDream(second.clone()), Write::InsertDream(dream(1, 3, 3))]).await.unwrap();
    let page = |before, limit| ListQuery { before, limit };
    let listed = store.dreams(&id("dep_", 1), page(None, 2)).await.unwrap();
    assert_eq!(listed, [dream(1, 3, 3), second.clone()]);
    assert_eq!(store.dreams(&id("dep_", 1), page(Some(id("drm_", 2)), 9)).await.unwrap(), [over]);
    commit(store, [Write::TrimDreams(id("dep_", 1), 2)]).await.unwrap();
    assert_eq!(store.dreams(&id("dep_", 1), page(None, 9)).await.unwrap(), [dream(1, 3, 3), second]);
    commit(store, [Write::TrimDreams(id("dep_", 1), 0)]).await.unwrap();
    assert_eq!(store.dreams(&id("dep_", 1), page(None, 9)).await.unwrap(), [dream(1, 3, 3)]);
}

/// A quiet time is taken once, and a later run begins another.
pub async fn a_quiet_time_is_taken_once(store: Arc<dyn Store>) {
    let store = store.as_ref();
    is_missing(commit(store, [Write::PutQuiet(quiet(1, 1))]).await, "deployment");
    commit(store, whole_deployment(1).into_iter().chain(whole_deployment(2))).await.unwrap();
    commit(store, [quiet(1, 1), quiet(1, 5), quiet(2, 3)].map(Write::PutQuiet)).await.unwrap();
    assert_eq!(store.quiet_deployments(at(4), None, 9).await.unwrap(), [quiet(2, 3)]);
    let all = store.quiet_deployments(at(5), None, 1).await.unwrap();
    assert_eq!(all, [quiet(1, 5)]);
    let rest = store.quiet_deployments(at(5), Some(&all[0].deployment_id), 9).await.unwrap();
    assert_eq!(rest, [quiet(2, 3)]);
    let take = |run: u32| {
        let run: RunId = id("run_", run);
        commit(store, [Write::DeleteQuiet(id("dep_", 1), run)])
    };
    is_conflict(take(1).await, "quiet");
    take(5).await.unwrap();
    is_conflict(take(5).await, "quiet");
}
