//! Uploads in parts, in memory.

use prism_types::{InstanceId, Timestamp, UploadId};

use super::{
    MemoryStore,
    state::{Change, current},
};
use crate::{
    adapters::store::storable,
    domain::machine::{
        MachineState,
        upload::{Upload, UploadRoom},
    },
    ports::{BoxFuture, StoreError, StoreResult, UploadStore},
};

impl UploadStore for MemoryStore {
    fn upload<'a>(&'a self, id: &'a UploadId) -> BoxFuture<'a, StoreResult<Option<Upload>>> {
        self.read(|state| state.uploads.get(id).cloned())
    }

    fn open_uploads<'a>(&'a self, machine: &'a InstanceId) -> BoxFuture<'a, StoreResult<Vec<Upload>>> {
        self.read(|state| {
            let all = state.uploads.values();
            all.filter(|upload| upload.machine_id == *machine && upload.is_open()).cloned().collect()
        })
    }

    fn uploads_to_mind<'a>(
        &'a self,
        now: Timestamp,
        after: Option<&'a UploadId>,
        limit: u32,
    ) -> BoxFuture<'a, StoreResult<Vec<Upload>>> {
        self.read(|state| {
            let due = state.uploads.values().filter(|upload| upload.due_at() <= now);
            let later = due.filter(|upload| after.is_none_or(|after| upload.id > *after));
            later.take(limit as usize).cloned().collect()
        })
    }
}

impl Change<'_> {
    pub(super) fn insert_upload(&mut self, upload: Upload, room: UploadRoom) -> StoreResult<()> {
        storable(upload.revision, "uploads.revision")?;
        storable(upload.size, "uploads.size")?;
        let machine = self.state.machines.get(&upload.machine_id);
        if machine.is_none_or(|machine| machine.state == MachineState::Destroyed) {
            return Err(StoreError::Missing("sandbox"));
        }
        let all = || self.state.uploads.values().filter(|other| other.is_open());
        let of_machine = || all().filter(|other| other.machine_id == upload.machine_id);
        let of_tenant = || all().filter(|other| other.tenant_id == upload.tenant_id);
        let bytes = |sizes: u64| sizes.saturating_add(upload.size);
        if of_machine().count() >= room.of_machine as usize || of_tenant().count() >= room.of_tenant as usize
        {
            return Err(StoreError::Full("uploads"));
        }
        let sizes = (of_machine().map(|other| other.size).sum(), of_tenant().map(|other| other.size).sum());
        if bytes(sizes.0) > room.machine_bytes || bytes(sizes.1) > room.tenant_bytes {
            return Err(StoreError::Full("bytes of uploads"));
        }
        self.insert("upload", |state| &mut state.uploads, upload.id.clone(), upload)
    }

    pub(super) fn update_upload(&mut self, upload: Upload) -> StoreResult<()> {
        storable(upload.revision, "uploads.revision")?;
        let before = self.state.uploads.get(&upload.id);
        let before = current("upload", before, upload.revision, |upload| upload.revision)?;
        let upload = Upload {
            tenant_id: before.tenant_id.clone(),
            machine_id: before.machine_id.clone(),
            size: before.size,
            created_at: before.created_at,
            revision: upload.revision + 1,
            ..upload
        };
        self.put(|state| &mut state.uploads, upload.id.clone(), upload);
        Ok(())
    }
}
