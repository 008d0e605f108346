//! Machines and their snapshots.

use std::sync::Arc;

use prism_types::{InstanceId, SnapshotId};

use super::{commit, is_conflict, is_full, is_missing, records::*};
use crate::{
    domain::machine::{Machine, MachineState, Origin, snapshot::MachineSnapshot},
    ports::{Store, Write},
};

/// An update needs the revision that is stored and raises it. A tenant has no more machines that are not destroyed than it
/// may, and these are listed, newest first.
pub async fn machines_are_guarded_limited_and_listed(store: Arc<dyn Store>) {
    let store = store.as_ref();
    let insert = |machine, most| commit(store, [Write::InsertMachine(machine, most)]);
    let update = |machine| commit(store, [Write::UpdateMachine(machine)]);
    is_full(insert(machine(1, 1), 0).await, "sandboxes");
    insert(machine(1, 1), 1).await.unwrap();
    assert_eq!(store.machine(&id("ins_", 1)).await.unwrap(), Some(machine(1, 1)));
    assert_eq!(store.machine(&id("ins_", 9)).await.unwrap(), None);
    is_full(insert(machine(1, 2), 1).await, "sandboxes");
    is_conflict(insert(machine(2, 1), 9).await, "sandbox");

    let changed = Machine {
        metadata: r#"{"a":1}"#.to_owned(),
        allows_public_traffic: false,
        has_environment: true,
        origin: Origin::Snapshot(id("snap_", 3)),
        state: MachineState::Failed,
        failure: Some("why".to_owned()),
        life: u64::MAX,
        expires_at: at(70),
        started_at: Some(at(50)),
        ..machine(1, 1)
    };
    let careless = Machine { created_at: at(99), tenant_id: id("ten_", 2), ..changed.clone() };
    update(careless.clone()).await.unwrap();
    let kept = Machine { revision: 1, ..changed };
    assert_eq!(store.machine(&kept.id).await.unwrap(), Some(kept.clone()));
    is_conflict(update(careless).await, "sandbox");
    is_missing(update(machine(1, 9)).await, "sandbox");

    for number in 2..5 {
        insert(machine(1, number), 9).await.unwrap();
    }
    insert(machine(2, 5), 1).await.unwrap();
    update(Machine { state: MachineState::Destroyed, ..machine(1, 3) }).await.unwrap();
    let listed = async |tenant| -> Vec<InstanceId> {
        let machines = store.machines(&id("ten_", tenant)).await.unwrap();
        machines.into_iter().map(|machine| machine.id).collect()
    };
    assert_eq!(listed(1).await, [4, 2, 1].map(|number| id::<InstanceId>("ins_", number)));
    assert_eq!(listed(2).await, [id::<InstanceId>("ins_", 5)]);
    insert(machine(1, 6), 4).await.unwrap();
    is_full(insert(machine(1, 7), 4).await, "sandboxes");
    for _ in 0..2 {
        commit(store, [Write::DeleteMachine(id("ins_", 4))]).await.unwrap();
    }
    assert_eq!(listed(1).await, [6, 2, 1].map(|number| id::<InstanceId>("ins_", number)));
}

/// The engine finds those to be made and to be removed, and others when their life is over.
pub async fn the_engine_finds_machines_when_they_are_due(store: Arc<dyn Store>) {
    let store = store.as_ref();
    let machines = MachineState::ALL.iter().copied().zip(0..).flat_map(|(state, index)| {
        [20, 30].into_iter().zip(0..).map(move |(expires, late)| {
            let number = index * 2 + late;
            Machine { state, expires_at: at(expires), ..machine(number, number) }
        })
    });
    let machines: Vec<_> = machines.collect();
    commit(store, machines.iter().cloned().map(|machine| Write::InsertMachine(machine, 9))).await.unwrap();
    for now in [19, 20, 29, 30] {
        let due =
            machines.iter().filter(|machine| machine.due_at() <= at(now)).map(|machine| machine.id.clone());
        let due: Vec<_> = due.collect();
        let mut found = Vec::new();
        loop {
            let page = store.machines_to_mind(at(now), found.last(), 3).await.unwrap();
            assert!(page.len() <= 3);
            if page.is_empty() {
                break;
            }
            found.extend(page.into_iter().map(|machine| machine.id));
        }
        assert_eq!(found, due, "at {now}");
    }
}

/// A tenant has no more snapshots than it may, newest first, each in a sandbox of its own.
pub async fn snapshots_of_machines_are_limited_and_listed(store: Arc<dyn Store>) {
    let store = store.as_ref();
    let insert = |snapshot, most| commit(store, [Write::InsertMachineSnapshot(snapshot, most)]);
    is_full(insert(machine_snapshot(1, 1), 0).await, "snapshots");
    insert(machine_snapshot(1, 1), 1).await.unwrap();
    is_full(insert(machine_snapshot(1, 2), 1).await, "snapshots");
    is_conflict(insert(machine_snapshot(1, 1), 9).await, "snapshot");
    let same_sandbox = MachineSnapshot { id: id("snap_", 9), ..machine_snapshot(2, 1) };
    is_conflict(insert(same_sandbox, 9).await, "snapshot");
    insert(machine_snapshot(1, 2), 2).await.unwrap();
    insert(machine_snapshot(2, 3), 1).await.unwrap();
    let found = Some(machine_snapshot(1, 2));
    assert_eq!(store.machine_snapshot(&id("snap_", 2)).await.unwrap(), found);
    assert_eq!(store.machine_snapshot_in(&machine_snapshot(1, 2).instance_id).await.unwrap(), found);
    assert_eq!(store.machine_snapshot_in(&id("ins_", 2)).await.unwrap(), None);
    let listed = async |tenant| -> Vec<SnapshotId> {
        let snapshots = store.machine_snapshots(&id("ten_", tenant)).await.unwrap();
        snapshots.into_iter().map(|snapshot| snapshot.id).collect()
    };
    assert_eq!(listed(1).await, [2, 1].map(|number| id::<SnapshotId>("snap_", number)));
    for _ in 0..2 {
        commit(store, [Write::DeleteMachineSnapshot(id("snap_", 2))]).await.unwrap();
    }
    assert_eq!(listed(1).await, [id::<SnapshotId>("snap_", 1)]);
    insert(machine_snapshot(1, 4), 2).await.unwrap();
}
