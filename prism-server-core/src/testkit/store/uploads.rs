//! Uploads in parts.

use std::sync::Arc;

use prism_types::UploadId;

use super::{commit, is_conflict, is_full, is_missing, records::*};
use crate::{
    domain::machine::{
        Machine, MachineState,
        upload::{Upload, UploadRoom, UploadState},
    },
    ports::{Store, Write},
};

/// Room for any number of uploads.
const ANY: UploadRoom =
    UploadRoom { of_machine: u32::MAX, of_tenant: u32::MAX, machine_bytes: u64::MAX, tenant_bytes: u64::MAX };

/// An update needs the revision that is stored and raises it. A machine and a tenant have no more uploads that are open
/// than they may, and no more bytes of them; a machine that is gone has none.
///
/// # Panics
/// When the rule does not hold.
pub async fn uploads_are_guarded_and_limited(store: Arc<dyn Store>) {
    let store = store.as_ref();
    let insert = |upload, room| commit(store, [Write::InsertUpload(upload, room)]);
    let update = |upload| commit(store, [Write::UpdateUpload(upload)]);
    is_missing(insert(upload(1, 1, 1), ANY).await, "sandbox");
    let machines = [machine(1, 1), machine(1, 2), machine(2, 3)];
    commit(store, machines.into_iter().map(|machine| Write::InsertMachine(machine, 9))).await.unwrap();
    insert(upload(1, 1, 1), ANY).await.unwrap();
    assert_eq!(store.upload(&id("upl_", 1)).await.unwrap(), Some(upload(1, 1, 1)));
    assert_eq!(store.upload(&id("upl_", 9)).await.unwrap(), None);
    is_conflict(insert(upload(1, 1, 1), ANY).await, "upload");

    // Each limit at what is there and one more.
    for (machine, full) in [(1, UploadRoom { of_machine: 1, ..ANY }), (2, UploadRoom { of_tenant: 1, ..ANY })]
    {
        is_full(insert(upload(1, machine, 2), full).await, "uploads");
    }
    for (machine, full) in
        [(1, UploadRoom { machine_bytes: 19, ..ANY }), (2, UploadRoom { tenant_bytes: 19, ..ANY })]
    {
        is_full(insert(upload(1, machine, 2), full).await, "bytes of uploads");
    }
    let fits = UploadRoom { of_machine: 2, of_tenant: 2, machine_bytes: 20, tenant_bytes: 20 };
    insert(upload(1, 1, 2), fits).await.unwrap();
    let others = UploadRoom { of_machine: 1, of_tenant: 1, machine_bytes: 10, tenant_bytes: 10 };
    insert(upload(2, 3, 3), others).await.unwrap();

    let changed = Upload {
        parts: [(0, "a".repeat(64)), (2, "b".repeat(64))].into(),
        digest: Some("c".repeat(64)),
        state: UploadState::Completed,
        updated_at: at(15),
        expires_at: at(30),
        ..upload(1, 1, 1)
    };
    let careless = Upload { created_at: at(99), tenant_id: id("ten_", 2), size: 1, ..changed.clone() };
    update(careless.clone()).await.unwrap();
    let kept = Upload { revision: 1, ..changed };
    assert_eq!(store.upload(&kept.id).await.unwrap(), Some(kept.clone()));
    is_conflict(update(careless).await, "upload");
    is_missing(update(upload(1, 1, 9)).await, "upload");

    // What has ended takes no room.
    insert(upload(1, 1, 4), fits).await.unwrap();
    assert_eq!(open(store, 1).await, [2, 4].map(|number| id::<UploadId>("upl_", number)));
    for _ in 0..2 {
        commit(store, [Write::DeleteUpload(id("upl_", 2))]).await.unwrap();
    }
    assert_eq!(open(store, 1).await, [id::<UploadId>("upl_", 4)]);
    let destroyed = Machine { state: MachineState::Destroyed, ..machine(1, 2) };
    commit(store, [Write::UpdateMachine(destroyed)]).await.unwrap();
    is_missing(insert(upload(1, 2, 5), ANY).await, "sandbox");
}

/// The engine finds those that expire, and those that were ended long ago.
///
/// # Panics
/// When the rule does not hold.
pub async fn the_engine_finds_uploads_when_they_are_due(store: Arc<dyn Store>) {
    let store = store.as_ref();
    commit(store, [Write::InsertMachine(machine(1, 1), 9)]).await.unwrap();
    let uploads = UploadState::ALL.iter().copied().zip(0..).flat_map(|(state, index)| {
        [20, 30].into_iter().zip(0..).map(move |(time, late)| Upload {
            state,
            expires_at: at(time),
            updated_at: at(time),
            ..upload(1, 1, index * 2 + late)
        })
    });
    let uploads: Vec<_> = uploads.collect();
    commit(store, uploads.iter().cloned().map(|upload| Write::InsertUpload(upload, ANY))).await.unwrap();
    let forgotten = uploads.iter().map(Upload::due_at).max().unwrap();
    for now in [at(19), at(20), at(30), forgotten] {
        let due = uploads.iter().filter(|upload| upload.due_at() <= now).map(|upload| upload.id.clone());
        let due: Vec<_> = due.collect();
        let mut found = Vec::new();
        loop {
            let page = store.uploads_to_mind(now, found.last(), 3).await.unwrap();
            assert!(page.len() <= 3);
            if page.is_empty() {
                break;
            }
            found.extend(page.into_iter().map(|upload| upload.id));
        }
        assert_eq!(found, due, "at {now}");
    }
}

/// With a machine its uploads are removed, and no others.
///
/// # Panics
/// When the rule does not hold.
pub async fn uploads_go_with_their_machine(store: Arc<dyn Store>) {
    let store = store.as_ref();
    let machines = [machine(1, 1), machine(1, 2)].map(|machine| Write::InsertMachine(machine, 9));
    commit(store, machines).await.unwrap();
    let uploads = [upload(1, 1, 1), upload(1, 2, 2), upload(1, 1, 3)];
    commit(store, uploads.map(|upload| Write::InsertUpload(upload, ANY))).await.unwrap();
    commit(store, [Write::DeleteMachine(id("ins_", 1))]).await.unwrap();
    for (number, is_there) in [(1, false), (2, true), (3, false)] {
        assert_eq!(store.upload(&id("upl_", number)).await.unwrap().is_some(), is_there, "{number}");
    }
    is_missing(commit(store, [Write::UpdateUpload(upload(1, 1, 1))]).await, "upload");
}

/// The uploads of a machine that are open.
async fn open(store: &dyn Store, machine: u32) -> Vec<UploadId> {
    let open = store.open_uploads(&id("ins_", machine)).await.unwrap();
    open.into_iter().map(|upload| upload.id).collect()
}
