//! Properties under many callers at once.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use prism_types::{DeploymentId, TenantId};
use tokio::task::JoinSet;

use super::{
    Recorder, commit,
    records::{at, deployment, event, id, run, skill, tenant, whole_deployment},
};
use crate::{
    domain::{
        deployment::{Deployment, DeploymentState},
        skill::SkillRecord,
        tenant::{Metered, Tenant},
    },
    ports::{DeploymentFilter, ListQuery, Store, StoreError, Write},
};

const CALLERS: u32 = 32;
const ROUNDS: u32 = 20;

/// Each log is dense in the order of its commits, and the listener hears every event once, in order, before
/// the commit is acknowledged.
pub async fn logs_are_dense_and_told_in_order(store: Arc<dyn Store>) {
    const LOGS: u32 = 3;
    let recorder = Recorder::of(store.as_ref());
    commit(store.as_ref(), (0..LOGS).map(|log| Write::InsertDeployment(deployment(1, log)))).await.unwrap();
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let (store, recorder) = (Arc::clone(&store), Arc::clone(&recorder));
        callers.spawn(async move {
            for round in 0..ROUNDS {
                let (log, data) = ((caller + round) % LOGS, format!("{caller}-{round}"));
                let mut writes = vec![Write::Append(event(log, &data)), Write::Append(event(log, &data))];
                let refused = round % 5 == 4;
                if refused {
                    writes.push(Write::UpdateTenant(tenant(9)));
                }
                let result = commit(store.as_ref(), writes).await;
                assert_eq!(result.is_err(), refused, "{result:?}");
                let told = recorder.told().iter().filter(|line| line.event.data == data).count();
                assert_eq!(told, if refused { 0 } else { 2 }, "told when it was acknowledged");
            }
        });
    }
    while let Some(caller) = callers.join_next().await {
        caller.unwrap();
    }
    let told = recorder.told();
    let mut total = 0;
    for log in 0..LOGS {
        let log: DeploymentId = id("dep_", log);
        let lines = store.events(&log, 0, u32::MAX).await.unwrap();
        assert!(lines.iter().map(|line| line.sequence).eq(1..=lines.len() as u64), "dense");
        assert_eq!(store.last_sequence(&log).await.unwrap(), lines.len() as u64);
        assert!(lines.chunks(2).all(|pair| pair[0].event == pair[1].event), "commits do not mix");
        let told = told.iter().filter(|line| line.event.deployment_id == log);
        assert!(told.eq(&lines), "told once, in the order of the log");
        total += lines.len();
    }
    assert_eq!(total, (CALLERS * (ROUNDS - ROUNDS / 5) * 2) as usize);
}

/// What was acknowledged to one caller is read by any other that asks afterwards.
pub async fn a_read_sees_every_acknowledged_commit(store: Arc<dyn Store>) {
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let store = Arc::clone(&store);
        callers.spawn(async move {
            for round in 0..ROUNDS {
                let number = caller * ROUNDS + round;
                commit(store.as_ref(), [Write::InsertDeployment(deployment(caller, number))]).await.unwrap();
                assert!(store.deployment(&id("dep_", number)).await.unwrap().is_some());
                let newest = ListQuery { before: None, limit: 1 };
                let filter = DeploymentFilter::default();
                let listed = store.deployments(&id("ten_", caller), &filter, newest).await.unwrap();
                assert_eq!(listed, [deployment(caller, number)]);
            }
        });
    }
    while let Some(caller) = callers.join_next().await {
        caller.unwrap();
    }
}

/// Of many that start a run on one thread at once, one wins and the others are told of the conflict.
pub async fn one_of_many_runs_starts(store: Arc<dyn Store>) {
    commit(store.as_ref(), whole_deployment(1)).await.unwrap();
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let store = Arc::clone(&store);
        callers.spawn(async move {
            match commit(store.as_ref(), [Write::InsertRun(run(1, 1, caller))]).await {
                Ok(()) => 1,
                Err(StoreError::Conflict("run")) => 0,
                Err(error) => panic!("{error}"),
            }
        });
    }
    assert_eq!(callers.join_all().await.into_iter().sum::<u32>(), 1);
}

/// Of many that add a skill of one name at once, one wins and the others are told of the conflict.
pub async fn one_of_many_skills_of_a_name_is_added(store: Arc<dyn Store>) {
    commit(store.as_ref(), whole_deployment(1)).await.unwrap();
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let store = Arc::clone(&store);
        let skill = SkillRecord { name: "one".to_owned(), ..skill(1, caller) };
        callers.spawn(async move {
            match commit(store.as_ref(), [Write::InsertSkill(skill)]).await {
                Ok(()) => 1,
                Err(StoreError::Conflict("skill")) => 0,
                Err(error) => panic!("{error}"),
            }
        });
    }
    assert_eq!(callers.join_all().await.into_iter().sum::<u32>(), 1);
    assert_eq!(store.skills(&id("dep_", 1)).await.unwrap().len(), 1);
}

/// Many that read, change and write back one record, and try again after a conflict, lose no change.
pub async fn no_update_is_lost(store: Arc<dyn Store>) {
    let one: TenantId = id("ten_", 1);
    commit(store.as_ref(), [Write::InsertTenant(Tenant { credits: Some(0), ..tenant(1) })]).await.unwrap();
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let (store, one) = (Arc::clone(&store), one.clone());
        callers.spawn(async move {
            loop {
                let read = store.tenant(&one).await.unwrap().unwrap();
                let changed = Tenant { credits: read.credits.map(|credits| credits + 1), ..read };
                match commit(store.as_ref(), [Write::UpdateTenant(changed)]).await {
                    Ok(()) => break,
                    Err(StoreError::Conflict("tenant")) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        });
    }
    callers.join_all().await;
    let tenant = store.tenant(&one).await.unwrap().unwrap();
    assert_eq!((tenant.credits, tenant.revision), (Some(CALLERS.into()), CALLERS.into()));
    assert_eq!(tenant.created_at, at(1));
}

/// Of many that meter one tenant at once, every one counts, and credits end at 0.
pub async fn every_meter_counts(store: Arc<dyn Store>) {
    const METERS: u32 = 100;
    let [enough, too_few] = [1, 2].map(|number| id::<TenantId>("ten_", number));
    let tenants =
        [(1, 1000), (2, 50)].map(|(number, credits)| Tenant { credits: Some(credits), ..tenant(number) });
    commit(store.as_ref(), tenants.map(Write::InsertTenant)).await.unwrap();
    let mut callers = JoinSet::new();
    for _ in 0..METERS {
        let (store, tenants) = (Arc::clone(&store), [enough.clone(), too_few.clone()]);
        let metered = Metered { input_tokens: 3, output_tokens: 5, credits: 8 };
        callers.spawn(async move {
            commit(store.as_ref(), tenants.map(|tenant| Write::Meter(tenant, metered))).await.unwrap();
        });
    }
    callers.join_all().await;
    for (tenant, left) in [(enough, 200), (too_few, 0)] {
        let tenant = store.tenant(&tenant).await.unwrap().unwrap();
        assert_eq!((tenant.credits, tenant.revision), (Some(left), METERS.into()));
        assert_eq!((tenant.used.input_tokens, tenant.used.output_tokens), (300, 500));
    }
}

/// Whoever pages through a list while others insert into it and delete from it sees what stays exactly once, nothing twice,
/// and nothing that was gone before the list was begun.
pub async fn pages_lose_and_repeat_nothing(store: Arc<dyn Store>) {
    // In turn: one that stays, one that comes while the list is read, one that goes meanwhile.
    const OF_EACH: u32 = 150;
    let stays = |number: u32| number * 3;
    let comes = |number: u32| number * 3 + 1;
    let goes = |number: u32| number * 3 + 2;
    let there = (0..OF_EACH).flat_map(|number| [stays(number), goes(number)]);
    commit(store.as_ref(), there.map(|number| Write::InsertDeployment(deployment(1, number)))).await.unwrap();
    let gone = Arc::new(AtomicU32::new(0));
    let changing = tokio::spawn({
        let (store, gone) = (Arc::clone(&store), Arc::clone(&gone));
        async move {
            for number in 0..OF_EACH {
                let new = Write::InsertDeployment(deployment(1, comes(number)));
                let deleted = Deployment { state: DeploymentState::Deleted, ..deployment(1, goes(number)) };
                commit(store.as_ref(), [new]).await.unwrap();
                commit(store.as_ref(), [Write::UpdateDeployment(deleted)]).await.unwrap();
                gone.store(number + 1, Ordering::SeqCst);
            }
        }
    });
    loop {
        let (finished, gone) = (changing.is_finished(), gone.load(Ordering::SeqCst));
        let mut seen: Vec<DeploymentId> = Vec::new();
        loop {
            let query = ListQuery { before: seen.last().cloned(), limit: 7 };
            let filter = DeploymentFilter { customer_id: Some("cus_1".to_owned()), state: None };
            let page = store.deployments(&id("ten_", 1), &filter, query).await.unwrap();
            if page.is_empty() {
                break;
            }
            seen.extend(page.into_iter().map(|deployment| deployment.id));
        }
        assert!(seen.is_sorted_by(|newer, older| newer > older), "newest first, none twice");
        let seen: BTreeSet<_> = seen.into_iter().collect();
        let is_seen = |number| seen.contains(&id::<DeploymentId>("dep_", number));
        assert!((0..OF_EACH).map(stays).all(is_seen), "none lost");
        assert!(!(0..gone).map(goes).any(is_seen), "none that was gone before");
        if finished {
            assert_eq!(seen.len(), OF_EACH as usize * 2);
            break;
        }
    }
    changing.await.unwrap();
}
