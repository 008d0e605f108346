//! Properties of threads, messages, runs and approvals.

use std::sync::Arc;

use prism_types::{ApprovalId, DeploymentId, Failure, MessageRole, RunId, ThreadId, Usage};

use super::{
    commit, is_conflict, is_missing,
    records::{approval, at, deployment, id, message, run, thread, whole_deployment},
};
use crate::{
    domain::{
        approval::{Approval, ApprovalState, Decision, Resolution},
        message::Message,
        run::{Run, RunState},
        thread::Thread,
    },
    ports::{ListQuery, Store, Write},
};

/// The store keeps a thread's message count and last activity; the title can be set.
pub async fn threads_count_their_messages(store: Arc<dyn Store>) {
    let store = store.as_ref();
    is_missing(commit(store, [Write::InsertThread(thread(1, 1))]).await, "deployment");
    commit(store, [deployment(1, 1), deployment(1, 2)].map(Write::InsertDeployment)).await.unwrap();
    let careless = Thread { message_count: 7, last_activity_at: at(99), ..thread(1, 1) };
    commit(store, [careless, thread(1, 2), thread(2, 3)].map(Write::InsertThread)).await.unwrap();
    is_conflict(commit(store, [Write::InsertThread(thread(2, 1))]).await, "thread");
    assert_eq!(store.thread(&id("thr_", 1)).await.unwrap(), Some(thread(1, 1)));
    assert_eq!(store.thread(&id("thr_", 9)).await.unwrap(), None);

    let title = |number, title: Option<&str>| {
        commit(store, [Write::SetThreadTitle(id("thr_", number), title.map(str::to_owned))])
    };
    title(1, Some("Renamed")).await.unwrap();
    commit(store, [Write::InsertMessage(message(1, "a")), Write::InsertMessage(message(1, "b"))])
        .await
        .unwrap();
    let title_now = Some("Renamed".to_owned());
    let active = Thread { title: title_now, message_count: 2, last_activity_at: at(50), ..thread(1, 1) };
    assert_eq!(store.thread(&active.id).await.unwrap(), Some(active.clone()));
    title(2, None).await.unwrap();
    is_missing(title(9, None).await, "thread");

    let one: DeploymentId = id("dep_", 1);
    let page = |before, limit| store.threads(&one, ListQuery { before, limit });
    let untitled = Thread { title: None, ..thread(1, 2) };
    assert_eq!(page(None, 9).await.unwrap(), [untitled.clone(), active.clone()]);
    assert_eq!(page(None, 1).await.unwrap(), [untitled]);
    assert_eq!(page(Some(id("thr_", 2)), 9).await.unwrap(), [active]);
}

/// Messages have the positions 1, 2, 3 and so on and are read after a position.
pub async fn messages_are_dense(store: Arc<dyn Store>) {
    let store = store.as_ref();
    let one: ThreadId = id("thr_", 1);
    is_missing(commit(store, [Write::InsertMessage(message(1, "a"))]).await, "thread");
    commit(store, whole_deployment(1).into_iter().chain(whole_deployment(2))).await.unwrap();
    let agent = Message {
        position: 77,
        role: MessageRole::Agent,
        attachments: Vec::new(),
        decision: Some(Decision::Allow),
        run_id: None,
        created_at: at(51),
        ..message(1, "b")
    };
    commit(store, [message(1, "a"), agent.clone(), message(2, "x")].map(Write::InsertMessage)).await.unwrap();
    commit(store, [Write::InsertMessage(message(1, "c"))]).await.unwrap();
    let a = Message { position: 1, ..message(1, "a") };
    let b = Message { position: 2, ..agent };
    let c = Message { position: 3, ..message(1, "c") };
    assert_eq!(store.messages(&one, 0, 9).await.unwrap(), [a.clone(), b.clone(), c.clone()]);
    assert_eq!(store.messages(&one, 0, 1).await.unwrap(), [a]);
    assert_eq!(store.messages(&one, 1, 9).await.unwrap(), [b, c]);
    assert_eq!(store.messages(&one, u64::MAX, 9).await.unwrap(), []);
}

/// A second unfinished run on a thread is a conflict, whichever way it comes.
pub async fn a_thread_has_one_unfinished_run(store: Arc<dyn Store>) {
    let store = store.as_ref();
    let one: ThreadId = id("thr_", 1);
    is_missing(commit(store, [Write::InsertRun(run(1, 1, 1))]).await, "deployment");
    commit(store, whole_deployment(1).into_iter().chain(whole_deployment(2))).await.unwrap();
    is_missing(commit(store, [Write::InsertRun(run(1, 9, 1))]).await, "thread");
    is_missing(commit(store, [Write::InsertRun(run(1, 2, 1))]).await, "thread");
    assert_eq!(store.unfinished_run(&one).await.unwrap(), None);
    commit(store, [Write::InsertRun(run(1, 1, 1)), Write::InsertRun(run(2, 2, 2))]).await.unwrap();
    assert_eq!(store.unfinished_run(&one).await.unwrap(), Some(run(1, 1, 1)));

    let waiting = Run { state: RunState::WaitingOnHuman, ..run(1, 1, 1) };
    is_conflict(commit(store, [Write::InsertRun(run(1, 1, 3))]).await, "run");
    commit(store, [Write::UpdateRun(waiting.clone())]).await.unwrap();
    is_conflict(commit(store, [Write::InsertRun(run(1, 1, 3))]).await, "run");
    assert_eq!(store.unfinished_run(&one).await.unwrap().unwrap().state, RunState::WaitingOnHuman);
    assert_eq!(store.running_runs(None, 9).await.unwrap(), [run(2, 2, 2)]);

    let done = Run { state: RunState::Completed, ended_at: Some(at(70)), revision: 1, ..waiting };
    commit(store, [Write::UpdateRun(done.clone()), Write::InsertRun(run(1, 1, 3))]).await.unwrap();
    assert_eq!(store.unfinished_run(&one).await.unwrap(), Some(run(1, 1, 3)));
    let revived = Run { state: RunState::Running, revision: 2, ..done };
    is_conflict(commit(store, [Write::UpdateRun(revived)]).await, "run");
    let ended = Run { state: RunState::Error, ..run(1, 1, 4) };
    commit(store, [Write::InsertRun(ended)]).await.unwrap();
}

/// An update of a run needs the revision that is stored and raises it; runs are listed newest first.
pub async fn runs_are_guarded_by_revisions(store: Arc<dyn Store>) {
    let store = store.as_ref();
    commit(store, whole_deployment(1).into_iter().chain(whole_deployment(2))).await.unwrap();
    commit(store, [Write::InsertRun(run(1, 1, 1)), Write::InsertRun(run(2, 2, 2))]).await.unwrap();
    let changed = Run {
        spec_version: 2,
        state: RunState::Error,
        attempts: 2,
        checkpoint: None,
        read_position: 5,
        usage: Usage::default(),
        error: Some(Failure::new("code", "message")),
        ended_at: Some(at(80)),
        deployment_id: id("dep_", 2),
        thread_id: id("thr_", 2),
        created_at: at(99),
        ..run(1, 1, 1)
    };
    commit(store, [Write::UpdateRun(changed.clone())]).await.unwrap();
    let (deployment_id, thread_id, created_at) = (id("dep_", 1), id("thr_", 1), at(1));
    let kept = Run { deployment_id, thread_id, created_at, revision: 1, ..changed.clone() };
    assert_eq!(store.run(&kept.id).await.unwrap(), Some(kept.clone()));
    assert_eq!(store.run(&id("run_", 9)).await.unwrap(), None);
    is_conflict(commit(store, [Write::UpdateRun(changed)]).await, "run");
    is_missing(commit(store, [Write::UpdateRun(run(1, 1, 9))]).await, "run");
    is_conflict(commit(store, [Write::InsertRun(run(1, 1, 1))]).await, "run");

    let touched = Run { revision: 1, ..run(2, 2, 2) };
    commit(store, [Write::TouchRun(id("run_", 2))]).await.unwrap();
    assert_eq!(store.run(&id("run_", 2)).await.unwrap(), Some(touched.clone()));
    is_conflict(commit(store, [Write::UpdateRun(run(2, 2, 2))]).await, "run");
    is_conflict(commit(store, [Write::TouchRun(id("run_", 1))]).await, "run");

    commit(store, [Write::InsertRun(run(1, 1, 3))]).await.unwrap();
    let one: DeploymentId = id("dep_", 1);
    let page = |before, limit| store.runs(&one, ListQuery { before, limit });
    assert_eq!(page(None, 9).await.unwrap(), [run(1, 1, 3), kept.clone()]);
    assert_eq!(page(None, 1).await.unwrap(), [run(1, 1, 3)]);
    assert_eq!(page(Some(id("run_", 3)), 9).await.unwrap(), [kept]);
    let second: RunId = id("run_", 2);
    assert_eq!(store.running_runs(None, 9).await.unwrap(), [touched.clone(), run(1, 1, 3)]);
    assert_eq!(store.running_runs(None, 1).await.unwrap(), [touched]);
    assert_eq!(store.running_runs(Some(&second), 9).await.unwrap(), [run(1, 1, 3)]);
}

/// An approval is open until it is answered or closed, and that happens once.
pub async fn approvals_are_answered_once(store: Arc<dyn Store>) {
    let store = store.as_ref();
    let one: RunId = id("run_", 1);
    is_missing(commit(store, [Write::InsertApproval(approval(1, 1, 1))]).await, "deployment");
    commit(store, whole_deployment(1)).await.unwrap();
    is_missing(commit(store, [Write::InsertApproval(approval(1, 1, 1))]).await, "run");
    commit(store, [Write::InsertRun(run(1, 1, 1)), Write::InsertApproval(approval(1, 1, 1))]).await.unwrap();
    is_conflict(commit(store, [Write::InsertApproval(approval(1, 1, 1))]).await, "approval");
    assert_eq!(store.open_approval(&one).await.unwrap(), Some(approval(1, 1, 1)));

    let answer = |number, answer: Option<&str>| {
        let resolution =
            answer.map_or_else(Resolution::closed, |answer| Resolution::by_message(None, answer));
        commit(store, [Write::ResolveApproval(id("apr_", number), resolution, at(90))])
    };
    is_missing(answer(9, None).await, "approval");
    answer(1, Some("Yes")).await.unwrap();
    assert_eq!(store.open_approval(&one).await.unwrap(), None);
    is_conflict(answer(1, Some("No")).await, "approval");
    let (state, said) = (ApprovalState::Answered, Some("Yes".to_owned()));
    let answered = Approval { state, answer: said, resolved_at: Some(at(90)), ..approval(1, 1, 1) };
    assert_eq!(store.approval(&answered.id).await.unwrap(), Some(answered));
    commit(store, [Write::InsertApproval(approval(1, 1, 2))]).await.unwrap();
    answer(2, None).await.unwrap();
    is_conflict(answer(2, None).await, "approval");
    assert_eq!(store.open_approval(&one).await.unwrap(), None);

    let closed = Approval { resolved_at: Some(at(1)), ..approval(1, 1, 6) };
    let several = [approval(1, 1, 4), approval(1, 1, 5), approval(1, 1, 3), closed];
    commit(store, several.map(Write::InsertApproval)).await.unwrap();
    assert_eq!(store.open_approval(&one).await.unwrap(), Some(approval(1, 1, 5)));
}

/// Approvals are listed newest first, all of a deployment or those that wait; decisions are kept.
pub async fn approvals_are_listed(store: Arc<dyn Store>) {
    let store = store.as_ref();
    for number in [1, 2] {
        commit(store, whole_deployment(number)).await.unwrap();
        commit(store, [Write::InsertRun(run(number, number, number))]).await.unwrap();
    }
    let asked = [(1, 1), (1, 2), (2, 3), (1, 4)].map(|(owner, number)| approval(owner, owner, number));
    commit(store, asked.map(Write::InsertApproval)).await.unwrap();
    let denied = Resolution::by_message(Some(Decision::Deny), "Not today");
    commit(store, [Write::ResolveApproval(id("apr_", 2), denied, at(90))]).await.unwrap();
    let list = async |pending, before: Option<u32>, limit| {
        let query = ListQuery { before: before.map(|number| id("apr_", number)), limit };
        let listed = store.approvals(&id("dep_", 1), pending, query).await.unwrap();
        listed.into_iter().map(|approval| approval.id).collect::<Vec<ApprovalId>>()
    };
    let ids = |numbers: &[u32]| numbers.iter().map(|number| id("apr_", *number)).collect::<Vec<ApprovalId>>();
    assert_eq!(list(false, None, 10).await, ids(&[4, 2, 1]));
    assert_eq!(list(true, None, 10).await, ids(&[4, 1]));
    assert_eq!(list(false, Some(4), 1).await, ids(&[2]));
    assert_eq!(list(true, Some(4), 10).await, ids(&[1]));
    let pending = async |after: Option<u32>, limit| {
        let after = after.map(|number| id("apr_", number));
        let listed = store.pending_approvals(after.as_ref(), limit).await.unwrap();
        listed.into_iter().map(|approval| approval.id).collect::<Vec<ApprovalId>>()
    };
    assert_eq!(pending(None, 10).await, ids(&[1, 3, 4]), "those of all deployments, oldest first");
    assert_eq!(pending(Some(1), 1).await, ids(&[3]));
    let kept = store.approval(&id("apr_", 2)).await.unwrap().unwrap();
    assert_eq!((kept.state, kept.answer.as_deref()), (ApprovalState::Denied, Some("Not today")));
    assert_eq!(store.approval(&id("apr_", 9)).await.unwrap(), None);
}

/// Questions whose own limit of time has come are found, those first that are overdue the longest.
pub async fn overdue_approvals_are_found(store: Arc<dyn Store>) {
    let store = store.as_ref();
    commit(store, whole_deployment(1)).await.unwrap();
    commit(store, [Write::InsertRun(run(1, 1, 1))]).await.unwrap();
    let due = [(1, None), (2, Some(30)), (3, Some(20)), (4, Some(50)), (5, Some(10)), (6, Some(20))];
    let asked = due.map(|(number, due)| Approval { expires_at: due.map(at), ..approval(1, 1, number) });
    commit(store, asked.iter().cloned().map(Write::InsertApproval)).await.unwrap();
    assert_eq!(store.approval(&id("apr_", 2)).await.unwrap(), Some(asked[1].clone()));
    commit(store, [Write::ResolveApproval(id("apr_", 5), Resolution::closed(), at(15))]).await.unwrap();
    let overdue = async |now, limit| {
        let found = store.overdue_approvals(at(now), limit).await.unwrap();
        found.into_iter().map(|approval| approval.id).collect::<Vec<ApprovalId>>()
    };
    let ids = |numbers: &[u32]| numbers.iter().map(|number| id("apr_", *number)).collect::<Vec<ApprovalId>>();
    assert_eq!(overdue(19, 9).await, ids(&[]));
    assert_eq!(overdue(20, 9).await, ids(&[3, 6]));
    assert_eq!(overdue(49, 9).await, ids(&[3, 6, 2]));
    assert_eq!(overdue(99, 1).await, ids(&[3]));
}

/// A running run is cancelled whatever its revision is; an update does not take it back, and one that has not seen it
/// is a conflict.
pub async fn a_running_run_is_cancelled_whatever_its_revision(store: Arc<dyn Store>) {
    let store = store.as_ref();
    let one: RunId = id("run_", 1);
    is_missing(commit(store, [Write::CancelRun(one.clone())]).await, "run");
    commit(store, whole_deployment(1)).await.unwrap();
    commit(store, [Write::InsertRun(run(1, 1, 1))]).await.unwrap();
    let before = store.run(&one).await.unwrap().unwrap();
    assert!(!before.cancelled);
    commit(store, [Write::CancelRun(one.clone())]).await.unwrap();
    is_conflict(commit(store, [Write::UpdateRun(before)]).await, "run");
    let seen = store.run(&one).await.unwrap().unwrap();
    assert!(seen.cancelled);
    commit(store, [Write::UpdateRun(Run { cancelled: false, ..seen })]).await.unwrap();
    let kept = store.run(&one).await.unwrap().unwrap();
    assert!(kept.cancelled, "an update does not take it back");
    commit(store, [Write::UpdateRun(Run { state: RunState::WaitingOnHuman, ..kept })]).await.unwrap();
    is_conflict(commit(store, [Write::CancelRun(one)]).await, "run");
}
