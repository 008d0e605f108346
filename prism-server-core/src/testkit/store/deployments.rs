//! Properties of deployments, specifications, skills and instances.

use std::sync::Arc;

use prism_types::{DeploymentId, Failure, RunId, TenantId, ThreadId};

use super::{
    commit, is_conflict, is_missing,
    records::{
        approval, at, deployment, dream, event, forgotten_thread, id, instance, memory, memory_set, message,
        quiet, run, skill, snapshot, spec, tenant, thread, whole_deployment,
    },
};
use crate::{
    domain::{
        approval::Resolution,
        deployment::{AgentSpec, Deployment, DeploymentState},
        instance::{Instance, InstanceState},
        skill::{SkillRecord, SkillState},
        snapshot::{Snapshot, SnapshotState},
    },
    ports::{DeploymentFilter, ListQuery, Store, StoreError, Write},
};

/// An update needs the revision that is stored and raises it; a missing deployment is not a stale one.
pub async fn deployments_are_guarded_by_revisions(store: Arc<dyn Store>) {
    let store = store.as_ref();
    commit(store, [Write::InsertDeployment(deployment(1, 1))]).await.unwrap();
    assert_eq!(store.deployment(&id("dep_", 1)).await.unwrap(), Some(deployment(1, 1)));
    assert_eq!(store.deployment(&id("dep_", 9)).await.unwrap(), None);
    is_conflict(commit(store, [Write::InsertDeployment(deployment(2, 1))]).await, "deployment");

    let changed = Deployment {
        tenant_id: id("ten_", 9),
        customer_id: "cus_2".to_owned(),
        name: String::new(),
        runtime: "another".into(),
        model: "p/other".to_owned(),
        spec_version: u32::MAX,
        default_thread: id("thr_", 5),
        instance_id: id("ins_", 5),
        persistent: false,
        state: DeploymentState::Error,
        error: Some(Failure::new("code", "message")),
        created_at: at(99),
        ..deployment(1, 1)
    };
    commit(store, [Write::UpdateDeployment(changed.clone())]).await.unwrap();
    // The owner and the date of creation never change.
    let (tenant_id, created_at) = (id("ten_", 1), at(1));
    let kept = Deployment { tenant_id, created_at, revision: 1, ..changed.clone() };
    assert_eq!(store.deployment(&kept.id).await.unwrap(), Some(kept.clone()));
    is_conflict(commit(store, [Write::UpdateDeployment(changed)]).await, "deployment");
    let early = Deployment { revision: 2, ..kept.clone() };
    is_conflict(commit(store, [Write::UpdateDeployment(early)]).await, "deployment");
    is_missing(commit(store, [Write::UpdateDeployment(deployment(1, 9))]).await, "deployment");

    let twice = [kept.clone(), Deployment { revision: 2, ..kept.clone() }];
    commit(store, twice.map(Write::UpdateDeployment)).await.unwrap();
    assert_eq!(store.deployment(&kept.id).await.unwrap().unwrap().revision, 3);
}

/// A version of a specification is kept as it was inserted.
pub async fn specifications_never_change(store: Arc<dyn Store>) {
    let store = store.as_ref();
    let one: DeploymentId = id("dep_", 1);
    let insert = |version, spec| commit(store, [Write::InsertSpec(one.clone(), version, spec)]);
    is_missing(insert(1, spec()).await, "deployment");
    commit(store, [Write::InsertDeployment(deployment(1, 1))]).await.unwrap();
    insert(1, spec()).await.unwrap();
    let second = AgentSpec { model: None, mcp_servers: Vec::new(), ..spec() };
    insert(2, second.clone()).await.unwrap();
    is_conflict(insert(1, second.clone()).await, "specification");
    assert_eq!(store.spec(&one, 1).await.unwrap(), Some(spec()));
    assert_eq!(store.spec(&one, 2).await.unwrap(), Some(second));
    assert_eq!(store.spec(&one, 3).await.unwrap(), None);
}

/// Skills are read in the order in which they were given.
pub async fn skills_keep_their_order(store: Arc<dyn Store>) {
    let store = store.as_ref();
    let replace = |deployment, skills| commit(store, [Write::ReplaceSkills(id("dep_", deployment), skills)]);
    let skills = |deployment| async move { store.skills(&id("dep_", deployment)).await.unwrap() };
    is_missing(replace(1, vec![]).await, "deployment");
    commit(store, [deployment(1, 1), deployment(1, 2)].map(Write::InsertDeployment)).await.unwrap();
    replace(1, vec![skill(1, 3), skill(1, 1), skill(1, 2)]).await.unwrap();
    replace(2, vec![skill(2, 9)]).await.unwrap();
    assert_eq!(skills(1).await, [skill(1, 3), skill(1, 1), skill(1, 2)]);

    let mended = SkillRecord {
        state: SkillState::Invalid,
        error: Some(Failure::new("code", "message")),
        description: None,
        content: None,
        ..skill(1, 1)
    };
    commit(store, [Write::UpdateSkill(mended.clone())]).await.unwrap();
    let kept = SkillRecord { revision: 1, ..mended.clone() };
    assert_eq!(skills(1).await, [skill(1, 3), kept.clone(), skill(1, 2)]);
    is_conflict(commit(store, [Write::UpdateSkill(mended)]).await, "skill");
    let renamed = SkillRecord { name: skill(1, 2).name, ..kept };
    is_conflict(commit(store, [Write::UpdateSkill(renamed)]).await, "skill");
    is_missing(commit(store, [Write::UpdateSkill(skill(1, 7))]).await, "skill");
    is_missing(commit(store, [Write::UpdateSkill(skill(2, 1))]).await, "skill");

    is_conflict(replace(1, vec![skill(1, 4), skill(1, 4)]).await, "skill");
    let same_name = SkillRecord { name: skill(1, 4).name, ..skill(1, 5) };
    is_conflict(replace(1, vec![skill(1, 4), same_name]).await, "skill");
    is_conflict(replace(1, vec![skill(1, 9)]).await, "skill");
    assert_eq!(skills(1).await.len(), 3);
    replace(1, vec![skill(1, 2)]).await.unwrap();
    assert_eq!(skills(1).await, [skill(1, 2)]);
    assert_eq!(skills(2).await, [skill(2, 9)]);
    replace(1, vec![]).await.unwrap();
    assert_eq!(skills(1).await, []);
}

/// Skills are added behind all others and removed one by one; a name is there once in a deployment.
pub async fn skills_are_added_and_removed(store: Arc<dyn Store>) {
    let store = store.as_ref();
    let add = |skill| commit(store, [Write::InsertSkill(skill)]);
    let remove =
        |deployment, number| commit(store, [Write::RemoveSkill(id("dep_", deployment), id("skl_", number))]);
    let skills = |deployment| async move { store.skills(&id("dep_", deployment)).await.unwrap() };
    is_missing(add(skill(1, 1)).await, "deployment");
    commit(store, [deployment(1, 1), deployment(1, 2)].map(Write::InsertDeployment)).await.unwrap();
    for number in [3, 1, 2] {
        add(skill(1, number)).await.unwrap();
    }
    add(SkillRecord { name: skill(1, 1).name, ..skill(2, 9) }).await.unwrap();
    is_conflict(add(skill(1, 3)).await, "skill");
    is_conflict(add(SkillRecord { name: skill(1, 3).name, ..skill(1, 7) }).await, "skill");
    assert_eq!(skills(1).await, [skill(1, 3), skill(1, 1), skill(1, 2)]);

    is_missing(remove(2, 1).await, "skill");
    remove(1, 1).await.unwrap();
    is_missing(remove(1, 1).await, "skill");
    // Its place is not taken, and its name is free again.
    let again = SkillRecord { name: skill(1, 1).name, ..skill(1, 8) };
    add(again.clone()).await.unwrap();
    remove(1, 3).await.unwrap();
    add(skill(1, 3)).await.unwrap();
    assert_eq!(skills(1).await, [skill(1, 2), again, skill(1, 3)]);
    assert_eq!(skills(2).await.len(), 1);
}

/// An update of an instance needs the revision that is stored and raises it.
pub async fn instances_are_guarded_by_revisions(store: Arc<dyn Store>) {
    let store = store.as_ref();
    is_missing(commit(store, [Write::InsertInstance(instance(1, 1))]).await, "deployment");
    commit(store, [Write::InsertDeployment(deployment(1, 1)), Write::InsertInstance(instance(1, 1))])
        .await
        .unwrap();
    is_conflict(commit(store, [Write::InsertInstance(instance(1, 1))]).await, "instance");
    let running = Instance { state: InstanceState::Running, restarts: 3, ..instance(1, 1) };
    commit(store, [Write::UpdateInstance(running.clone())]).await.unwrap();
    let kept = Instance { revision: 1, ..running.clone() };
    assert_eq!(store.instance(&kept.id).await.unwrap(), Some(kept));
    is_conflict(commit(store, [Write::UpdateInstance(running)]).await, "instance");
    is_missing(commit(store, [Write::UpdateInstance(instance(1, 9))]).await, "instance");
}

/// An update of a snapshot needs the revision that is stored, and changes its state and when it goes. It outlives its
/// deployment, of which it is the only one.
pub async fn snapshots_are_guarded_by_revisions(store: Arc<dyn Store>) {
    let store = store.as_ref();
    let insert = |snapshot| commit(store, [Write::InsertSnapshot(snapshot, 9)]);
    commit(store, [Write::InsertDeployment(deployment(1, 1))]).await.unwrap();
    insert(snapshot(1, 1)).await.unwrap();
    for other in [
        snapshot(1, 1),
        Snapshot { id: id("snap_", 2), instance_id: id("ins_", 2), ..snapshot(1, 1) },
        Snapshot { id: id("snap_", 2), deployment_id: id("dep_", 2), ..snapshot(1, 1) },
    ] {
        is_conflict(insert(other).await, "snapshot");
    }
    let changed = Snapshot {
        state: SnapshotState::Ready,
        expires_at: at(99),
        customer_id: "cus_2".to_owned(),
        ..snapshot(1, 1)
    };
    commit(store, [Write::UpdateSnapshot(changed.clone())]).await.unwrap();
    is_conflict(commit(store, [Write::UpdateSnapshot(changed.clone())]).await, "snapshot");
    is_missing(commit(store, [Write::UpdateSnapshot(snapshot(1, 9))]).await, "snapshot");
    commit(store, [Write::PurgeDeployment(id("dep_", 1))]).await.unwrap();
    let kept = Some(Snapshot { revision: 1, customer_id: snapshot(1, 1).customer_id, ..changed });
    assert_eq!(store.snapshot(&id("snap_", 1)).await.unwrap(), kept);
    assert_eq!(store.snapshot_of(&id("dep_", 1)).await.unwrap(), kept);
    assert_eq!(store.snapshot_in(&id("ins_", 1)).await.unwrap(), kept);
    for _ in 0..2 {
        commit(store, [Write::DeleteSnapshot(id("snap_", 1))]).await.unwrap();
        assert_eq!(store.snapshot(&id("snap_", 1)).await.unwrap(), None);
    }
}

/// A tenant has as many snapshots as there may be; its list leaves out those that are to go, and the engine finds them.
pub async fn snapshots_are_limited_listed_and_expire(store: Arc<dyn Store>) {
    let store = store.as_ref();
    let insert = |snapshot| commit(store, [Write::InsertSnapshot(snapshot, 3)]);
    for number in 1..=3 {
        insert(snapshot(1, number)).await.unwrap();
    }
    let full = insert(snapshot(1, 4)).await;
    assert!(matches!(full, Err(StoreError::Full("snapshots"))), "{full:?}");
    insert(snapshot(2, 5)).await.unwrap();
    let listed = async |now, before: Option<u32>, limit| {
        let query = ListQuery { before: before.map(|number| id("snap_", number)), limit };
        store.snapshots(&id("ten_", 1), at(now), query).await.unwrap()
    };
    assert_eq!(listed(0, None, 2).await, [snapshot(1, 3), snapshot(1, 2)]);
    assert_eq!(listed(0, Some(2), 9).await, [snapshot(1, 1)]);
    assert_eq!(listed(12, None, 9).await, [snapshot(1, 3)], "it goes at its instant");
    assert_eq!(store.expired_snapshots(at(10), 9).await.unwrap(), []);
    assert_eq!(store.expired_snapshots(at(12), 9).await.unwrap(), [snapshot(1, 1), snapshot(1, 2)]);
    let first = Snapshot { expires_at: at(2), ..snapshot(2, 5) };
    commit(store, [Write::UpdateSnapshot(first.clone())]).await.unwrap();
    let first = Snapshot { revision: 1, ..first };
    assert_eq!(store.expired_snapshots(at(12), 2).await.unwrap(), [first, snapshot(1, 1)]);
    // One that has gone makes room.
    commit(store, [Write::DeleteSnapshot(id("snap_", 1))]).await.unwrap();
    insert(snapshot(1, 4)).await.unwrap();
}

/// Lists are of one tenant, newest first, filtered, and never show a deleted deployment.
pub async fn lists_are_filtered_and_without_deleted_ones(store: Arc<dyn Store>) {
    let store = store.as_ref();
    let states = DeploymentState::ALL;
    let all: Vec<Deployment> = (0..24)
        .map(|number| Deployment {
            customer_id: format!("cus_{}", number % 2),
            state: states[number as usize / 2 % states.len()],
            error: None,
            ..deployment(number / 12, number)
        })
        .collect();
    commit(store, all.iter().cloned().map(Write::InsertDeployment)).await.unwrap();
    let customers = [None, Some("cus_0"), Some("cus_1"), Some("cus_2")];
    for customer_id in customers.map(|customer| customer.map(str::to_owned)) {
        for state in states.iter().copied().map(Some).chain([None]) {
            for before in [None, Some(9), Some(0)] {
                for limit in [0, 2, 100] {
                    let expected = all.iter().rev().filter(|deployment| {
                        deployment.tenant_id == id::<TenantId>("ten_", 0)
                            && deployment.state != DeploymentState::Deleted
                            && customer_id.as_ref().is_none_or(|customer| *customer == deployment.customer_id)
                            && state.is_none_or(|state| state == deployment.state)
                            && before.is_none_or(|before| deployment.id < id("dep_", before))
                    });
                    let expected: Vec<_> = expected.take(limit as usize).cloned().collect();
                    let filter = DeploymentFilter { customer_id: customer_id.clone(), state };
                    let query = ListQuery { before: before.map(|number| id("dep_", number)), limit };
                    let listed = store.deployments(&id("ten_", 0), &filter, query).await.unwrap();
                    assert_eq!(listed, expected, "{filter:?} before {before:?} limit {limit}");
                }
            }
        }
    }
    // Deleted later, it disappears; it is still found by its id.
    let newest = Deployment { state: DeploymentState::Deleted, ..all[11].clone() };
    commit(store, [Write::UpdateDeployment(newest)]).await.unwrap();
    let query = ListQuery { before: None, limit: 1 };
    let listed = store.deployments(&id("ten_", 0), &DeploymentFilter::default(), query).await.unwrap();
    assert_eq!(listed, [all[10].clone()]);
    assert!(store.deployment(&id("dep_", 11)).await.unwrap().is_some());
}

/// The engine's list is of all tenants, oldest first, and shows deleted deployments when it asks for them.
pub async fn the_engine_finds_deployments_by_state(store: Arc<dyn Store>) {
    let store = store.as_ref();
    let deleted = |number| Deployment { state: DeploymentState::Deleted, ..deployment(number % 3, number) };
    let all = [deleted(1), deployment(1, 2), deleted(3), deleted(4)];
    commit(store, all.map(Write::InsertDeployment)).await.unwrap();
    let one: DeploymentId = id("dep_", 1);
    let page = |after, limit| store.deployments_in_state(DeploymentState::Deleted, after, limit);
    assert_eq!(page(None, 2).await.unwrap(), [deleted(1), deleted(3)]);
    assert_eq!(page(Some(&one), 9).await.unwrap(), [deleted(3), deleted(4)]);
    let ready = store.deployments_in_state(DeploymentState::Ready, None, 9).await.unwrap();
    assert_eq!(ready, [deployment(1, 2)]);
    assert_eq!(store.deployments_in_state(DeploymentState::Error, None, 9).await.unwrap(), []);
}

/// A purge removes everything of one deployment and nothing of another, and nothing can be added afterwards.
pub async fn a_purge_leaves_nothing(store: Arc<dyn Store>) {
    let store = store.as_ref();
    let everything = |number| {
        let mut writes = whole_deployment(number);
        let (deployment, thread, with_run) = (id("dep_", number), number, event(number, "{}"));
        let with_run = crate::domain::event::NewEvent { run_id: Some(id("run_", number)), ..with_run };
        writes.extend([
            Write::ReplaceSkills(deployment, vec![skill(number, number)]),
            Write::InsertMessage(message(thread, "Hello")),
            Write::InsertRun(run(number, thread, number)),
            Write::InsertApproval(approval(number, number, number)),
            Write::Append(with_run),
            Write::PutMemorySet(memory_set(number)),
            Write::PutMemory(memory(number, number)),
            Write::InsertForgottenThread(forgotten_thread(number, number)),
            Write::InsertDream(dream(number, number, number)),
            Write::PutQuiet(quiet(number, number)),
        ]);
        writes
    };
    commit(store, [Write::InsertTenant(tenant(1))]).await.unwrap();
    commit(store, everything(1).into_iter().chain(everything(2))).await.unwrap();
    commit(store, [Write::PurgeDeployment(id("dep_", 1))]).await.unwrap();
    commit(store, [Write::PurgeDeployment(id("dep_", 1))]).await.unwrap();

    for (number, there) in [(1, false), (2, true)] {
        let deployment: DeploymentId = id("dep_", number);
        let (thread, run): (ThreadId, RunId) = (id("thr_", number), id("run_", number));
        let all = || ListQuery { before: None, limit: 9 };
        assert_eq!(store.deployment(&deployment).await.unwrap().is_some(), there);
        assert_eq!(store.spec(&deployment, 1).await.unwrap().is_some(), there);
        assert_eq!(store.skills(&deployment).await.unwrap().len(), usize::from(there));
        assert_eq!(store.instance(&id("ins_", number)).await.unwrap().is_some(), there);
        assert_eq!(store.thread(&thread).await.unwrap().is_some(), there);
        assert_eq!(
            store.threads(&deployment, ListQuery { before: None, limit: 9 }).await.unwrap().len(),
            usize::from(there)
        );
        assert_eq!(store.messages(&thread, 0, 9).await.unwrap().len(), usize::from(there));
        assert_eq!(store.run(&run).await.unwrap().is_some(), there);
        assert_eq!(store.runs(&deployment, all()).await.unwrap().len(), usize::from(there));
        assert_eq!(store.unfinished_run(&thread).await.unwrap().is_some(), there);
        assert_eq!(store.open_approval(&run).await.unwrap().is_some(), there);
        assert_eq!(store.last_sequence(&deployment).await.unwrap(), u64::from(there));
        assert_eq!(store.events(&deployment, 0, 9).await.unwrap().len(), usize::from(there));
        assert_eq!(store.run_events(&run, &deployment, 0, 9).await.unwrap().len(), usize::from(there));
        assert_eq!(store.memory_set(&deployment).await.unwrap().is_some(), there);
        assert_eq!(store.memories(&deployment).await.unwrap().len(), usize::from(there));
        assert_eq!(store.forgotten_threads_of(&deployment, 9).await.unwrap().len(), usize::from(there));
        assert_eq!(store.running_dream(&deployment).await.unwrap().is_some(), there);
        assert_eq!(store.has_unfinished_run(&deployment).await.unwrap(), there);
    }
    assert_eq!(store.quiet_deployments(at(99), None, 9).await.unwrap(), [quiet(2, 2)]);
    assert_eq!(store.running_runs(None, 9).await.unwrap(), [run(2, 2, 2)]);
    assert_eq!(store.deployments_in_state(DeploymentState::Ready, None, 9).await.unwrap().len(), 1);

    for (write, noun) in [
        (Write::Append(event(1, "{}")), "deployment"),
        (Write::InsertThread(thread(1, 7)), "deployment"),
        (Write::InsertInstance(instance(1, 7)), "deployment"),
        (Write::InsertSpec(id("dep_", 1), 2, spec()), "deployment"),
        (Write::ReplaceSkills(id("dep_", 1), vec![skill(1, 7)]), "deployment"),
        (Write::InsertSkill(skill(1, 7)), "deployment"),
        (Write::InsertRun(run(1, 1, 7)), "deployment"),
        (Write::InsertRun(run(2, 1, 7)), "thread"),
        (Write::InsertApproval(approval(1, 1, 7)), "deployment"),
        (Write::InsertApproval(approval(2, 1, 7)), "run"),
        (Write::InsertMessage(message(1, "Hello?")), "thread"),
        (Write::SetThreadTitle(id("thr_", 1), None), "thread"),
        (Write::UpdateDeployment(deployment(1, 1)), "deployment"),
        (Write::UpdateInstance(instance(1, 1)), "instance"),
        (Write::UpdateRun(run(1, 1, 1)), "run"),
        (Write::TouchRun(id("run_", 1)), "run"),
        (Write::UpdateSkill(skill(1, 1)), "skill"),
        (Write::RemoveSkill(id("dep_", 1), id("skl_", 1)), "skill"),
        (Write::ResolveApproval(id("apr_", 1), Resolution::closed(), at(1)), "approval"),
        (Write::PutMemorySet(memory_set(1)), "deployment"),
        (Write::PutMemory(memory(1, 1)), "deployment"),
        (Write::InsertForgottenThread(forgotten_thread(1, 1)), "deployment"),
        (Write::InsertDream(dream(1, 1, 1)), "deployment"),
        (Write::PutQuiet(quiet(1, 1)), "deployment"),
    ] {
        is_missing(commit(store, [write]).await, noun);
    }
    commit(store, [Write::TrimEvents(id("dep_", 1), 5)]).await.unwrap();
}
