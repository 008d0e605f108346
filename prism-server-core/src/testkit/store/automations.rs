//! Properties of automations and their history.

use std::sync::Arc;

use prism_types::{AutomationId, DeploymentId, Failure, Timestamp};
use tokio::task::JoinSet;

use super::{
    commit, is_conflict, is_missing,
    records::{at, automation, automation_run, id, run, whole_deployment},
};
use crate::{
    domain::automation::{Automation, AutomationRun, Outcome},
    ports::{ListQuery, Store, StoreError, Write},
};

/// An automation belongs to a deployment and works on a thread of it; an update needs the revision that is stored.
pub async fn automations_are_guarded_by_revisions(store: Arc<dyn Store>) {
    let store = store.as_ref();
    let insert = |automation| commit(store, [Write::InsertAutomation(automation, 9)]);
    is_missing(insert(automation(1, 1, 1)).await, "deployment");
    commit(store, whole_deployment(1).into_iter().chain(whole_deployment(2))).await.unwrap();
    is_missing(insert(automation(1, 9, 1)).await, "thread");
    is_missing(insert(automation(1, 2, 1)).await, "thread");
    insert(automation(1, 1, 1)).await.unwrap();
    insert(automation(2, 2, 2)).await.unwrap();
    is_conflict(insert(automation(1, 1, 1)).await, "automation");

    let changed = Automation {
        name: "Changed".to_owned(),
        schedule: "@daily".to_owned(),
        cron: "0 0 * * *".to_owned(),
        timezone: "Europe/Berlin".to_owned(),
        instructions: "Do it \u{1f980}".to_owned(),
        thread_id: id("thr_", 7),
        enabled: false,
        next_run_at: None,
        ..automation(1, 1, 1)
    };
    let careless = Automation { deployment_id: id("dep_", 2), created_at: at(99), ..changed.clone() };
    commit(store, [Write::UpdateAutomation(careless.clone())]).await.unwrap();
    let stored = Automation { revision: 1, ..changed };
    assert_eq!(store.automation(&stored.id).await.unwrap(), Some(stored.clone()));
    is_conflict(commit(store, [Write::UpdateAutomation(careless)]).await, "automation");
    is_missing(commit(store, [Write::UpdateAutomation(automation(1, 1, 9))]).await, "automation");
    assert_eq!(store.automation(&id("auto_", 9)).await.unwrap(), None);
}

/// A deployment has no more automations than it may; they are listed newest first.
pub async fn automations_are_limited_and_listed(store: Arc<dyn Store>) {
    let store = store.as_ref();
    commit(store, whole_deployment(1).into_iter().chain(whole_deployment(2))).await.unwrap();
    let insert = |deployment, number| {
        commit(store, [Write::InsertAutomation(automation(deployment, deployment, number), 3)])
    };
    for number in 1..=3 {
        insert(1, number).await.unwrap();
    }
    let full = insert(1, 4).await;
    assert!(matches!(full, Err(StoreError::Full("automations"))), "{full:?}");
    insert(2, 5).await.unwrap();
    let one: DeploymentId = id("dep_", 1);
    let page = |before, limit| store.automations(&one, ListQuery { before, limit });
    let [first, second, third] = [1, 2, 3].map(|number| automation(1, 1, number));
    assert_eq!(page(None, 2).await.unwrap(), [third, second]);
    assert_eq!(page(Some(id("auto_", 2)), 9).await.unwrap(), [first]);
    commit(store, [Write::DeleteAutomation(id("auto_", 2))]).await.unwrap();
    insert(1, 4).await.unwrap();
}

/// Of many that create automations at once, as many succeed as there may be.
pub async fn of_many_automations_as_many_are_made_as_there_may_be(store: Arc<dyn Store>) {
    commit(store.as_ref(), whole_deployment(1)).await.unwrap();
    let mut callers = JoinSet::new();
    for number in 0..32 {
        let store = Arc::clone(&store);
        callers.spawn(async move {
            match commit(store.as_ref(), [Write::InsertAutomation(automation(1, 1, number), 10)]).await {
                Ok(()) => 1,
                Err(StoreError::Full("automations")) => 0,
                Err(error) => panic!("{error}"),
            }
        });
    }
    assert_eq!(callers.join_all().await.into_iter().sum::<u32>(), 10);
}

/// The engine finds what is due in the order in which it is, whoever owns it, a page at a time.
pub async fn the_engine_finds_automations_by_when_they_are_due(store: Arc<dyn Store>) {
    let store = store.as_ref();
    commit(store, whole_deployment(1).into_iter().chain(whole_deployment(2))).await.unwrap();
    let numbers = [(1, Some(at(30))), (2, Some(at(10))), (3, None), (4, Some(at(10))), (5, Some(at(40)))];
    let all = numbers.map(|(number, next_run_at)| {
        let deployment = number % 2 + 1;
        Write::InsertAutomation(Automation { next_run_at, ..automation(deployment, deployment, number) }, 9)
    });
    commit(store, all).await.unwrap();
    let due = async |until, after: Option<(Timestamp, AutomationId)>, limit| {
        let after = after.as_ref().map(|(instant, id)| (*instant, id));
        let due = store.due_automations(until, after, limit).await.unwrap();
        due.into_iter().map(|automation| automation.id).collect::<Vec<AutomationId>>()
    };
    let ids =
        |numbers: &[u32]| numbers.iter().map(|number| id("auto_", *number)).collect::<Vec<AutomationId>>();
    let ever = Timestamp::from_millis(i64::MAX);
    assert_eq!(due(at(30), None, 9).await, ids(&[2, 4, 1]));
    assert_eq!(due(Timestamp::from_millis(at(30).as_millis() - 1), None, 9).await, ids(&[2, 4]));
    assert_eq!(due(ever, None, 1).await, ids(&[2]));
    assert_eq!(due(ever, Some((at(10), id("auto_", 2))), 2).await, ids(&[4, 1]));
    assert_eq!(due(ever, Some((at(30), id("auto_", 1))), 9).await, ids(&[5]));
    assert_eq!(due(at(9), None, 9).await, ids(&[]));
}

/// An instant has one entry in a history; triggers have as many as they are. A history goes with its automation.
pub async fn an_instant_has_one_entry_in_a_history(store: Arc<dyn Store>) {
    let store = store.as_ref();
    let insert = |run| commit(store, [Write::InsertAutomationRun(run)]);
    is_missing(insert(automation_run(1, 1, 1)).await, "automation");
    commit(store, whole_deployment(1).into_iter().chain(whole_deployment(2))).await.unwrap();
    commit(
        store,
        [Write::InsertAutomation(automation(1, 1, 1), 9), Write::InsertAutomation(automation(1, 1, 2), 9)],
    )
    .await
    .unwrap();
    is_missing(insert(automation_run(9, 1, 1)).await, "automation");
    is_missing(insert(automation_run(1, 2, 1)).await, "automation");

    let first = automation_run(1, 1, 1);
    insert(first.clone()).await.unwrap();
    is_conflict(insert(AutomationRun { id: id("arun_", 9), ..first.clone() }).await, "automation run");
    // What comes with a refused entry is not there either.
    let started = [
        Write::InsertRun(run(1, 1, 1)),
        Write::InsertAutomationRun(AutomationRun { id: id("arun_", 9), ..first.clone() }),
    ];
    is_conflict(commit(store, started).await, "automation run");
    assert_eq!(store.run(&id("run_", 1)).await.unwrap(), None);

    let skipped = AutomationRun {
        scheduled_at: Some(at(2000)),
        outcome: Outcome::Skipped(Failure::new("thread_busy", "It works.")),
        ..automation_run(1, 1, 2)
    };
    let failed = AutomationRun {
        outcome: Outcome::Failed(Failure::new("code", "message")),
        ..automation_run(1, 1, 3)
    };
    let by_hand = [4, 5].map(|number| AutomationRun { scheduled_at: None, ..automation_run(1, 1, number) });
    let of_another = AutomationRun { automation_id: id("auto_", 2), ..automation_run(1, 1, 6) };
    let of_another = AutomationRun { scheduled_at: first.scheduled_at, ..of_another };
    for run in [&skipped, &failed, &by_hand[0], &by_hand[1], &of_another] {
        insert(run.clone()).await.unwrap();
    }
    let one: AutomationId = id("auto_", 1);
    let page = |before, limit| store.automation_runs(&one, ListQuery { before, limit });
    assert_eq!(page(None, 3).await.unwrap(), [by_hand[1].clone(), by_hand[0].clone(), failed.clone()]);
    assert_eq!(page(Some(id("arun_", 3)), 9).await.unwrap(), [skipped.clone(), first.clone()]);
    assert_eq!(store.last_automation_run(&one).await.unwrap(), Some(by_hand[1].clone()));
    assert_eq!(store.automation_run_at(&one, at(2000)).await.unwrap(), Some(skipped));
    assert_eq!(store.automation_run_at(&one, at(1999)).await.unwrap(), None);

    commit(store, [Write::TrimAutomationRuns(one.clone(), 5)]).await.unwrap();
    assert_eq!(page(None, 9).await.unwrap().len(), 5);
    commit(store, [Write::TrimAutomationRuns(one.clone(), 3)]).await.unwrap();
    assert_eq!(page(None, 9).await.unwrap(), [by_hand[1].clone(), by_hand[0].clone(), failed]);

    commit(store, [Write::DeleteAutomation(one.clone())]).await.unwrap();
    is_missing(commit(store, [Write::DeleteAutomation(one.clone())]).await, "automation");
    assert_eq!(page(None, 9).await.unwrap(), []);
    assert_eq!(store.last_automation_run(&id("auto_", 2)).await.unwrap(), Some(of_another));
}

/// Of many that fire one instant at once, one starts its run, and the others leave nothing behind.
pub async fn one_of_many_fires_an_instant(store: Arc<dyn Store>) {
    commit(store.as_ref(), whole_deployment(1)).await.unwrap();
    commit(store.as_ref(), [Write::InsertAutomation(automation(1, 1, 1), 9)]).await.unwrap();
    let mut callers = JoinSet::new();
    for caller in 0..32 {
        let store = Arc::clone(&store);
        callers.spawn(async move {
            let entry = AutomationRun { scheduled_at: Some(at(7)), ..automation_run(1, 1, caller) };
            // Each starts a run of its own, which is over at once, so that the thread is no obstacle.
            let run = crate::domain::run::Run {
                state: crate::domain::run::RunState::Completed,
                ..run(1, 1, caller)
            };
            match commit(store.as_ref(), [Write::InsertRun(run), Write::InsertAutomationRun(entry)]).await {
                Ok(()) => 1,
                Err(StoreError::Conflict("automation run")) => 0,
                Err(error) => panic!("{error}"),
            }
        });
    }
    assert_eq!(callers.join_all().await.into_iter().sum::<u32>(), 1);
    let all = ListQuery { before: None, limit: 99 };
    assert_eq!(store.runs(&id("dep_", 1), all).await.unwrap().len(), 1);
}

/// A deployment takes its automations with it.
pub async fn automations_go_with_their_deployment(store: Arc<dyn Store>) {
    let store = store.as_ref();
    commit(store, whole_deployment(1).into_iter().chain(whole_deployment(2))).await.unwrap();
    for number in [1, 2] {
        let automation = Write::InsertAutomation(automation(number, number, number), 9);
        let entry = Write::InsertAutomationRun(automation_run(number, number, number));
        commit(store, [automation, entry]).await.unwrap();
    }
    commit(store, [Write::PurgeDeployment(id("dep_", 1))]).await.unwrap();
    assert_eq!(store.automation(&id("auto_", 1)).await.unwrap(), None);
    assert_eq!(store.last_automation_run(&id("auto_", 1)).await.unwrap(), None);
    let left = store.due_automations(Timestamp::from_millis(i64::MAX), None, 9).await.unwrap();
    assert_eq!(left, [automation(2, 2, 2)]);
    assert_eq!(store.last_automation_run(&id("auto_", 2)).await.unwrap(), Some(automation_run(2, 2, 2)));
}
