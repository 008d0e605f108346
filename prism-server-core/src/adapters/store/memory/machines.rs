//! Machines, in memory.

use prism_types::{InstanceId, SnapshotId, TenantId, Timestamp};

use super::{
    MemoryStore,
    state::{Change, current},
};
use crate::{
    adapters::store::storable,
    domain::machine::{Machine, MachineState, snapshot::MachineSnapshot},
    ports::{BoxFuture, MachineStore, StoreError, StoreResult},
};

impl MachineStore for MemoryStore {
    fn machine<'a>(&'a self, id: &'a InstanceId) -> BoxFuture<'a, StoreResult<Option<Machine>>> {
        self.read(|state| state.machines.get(id).cloned())
    }

    fn machines<'a>(&'a self, tenant: &'a TenantId) -> BoxFuture<'a, StoreResult<Vec<Machine>>> {
        self.read(|state| {
            let all = state.machines.values().rev();
            all.filter(|machine| is_listed(machine, tenant)).cloned().collect()
        })
    }

    fn machines_to_mind<'a>(
        &'a self,
        now: Timestamp,
        after: Option<&'a InstanceId>,
        limit: u32,
    ) -> BoxFuture<'a, StoreResult<Vec<Machine>>> {
        self.read(|state| {
            let due = state.machines.values().filter(|machine| machine.due_at() <= now);
            let later = due.filter(|machine| after.is_none_or(|after| machine.id > *after));
            later.take(limit as usize).cloned().collect()
        })
    }

    fn machine_snapshot<'a>(
        &'a self,
        id: &'a SnapshotId,
    ) -> BoxFuture<'a, StoreResult<Option<MachineSnapshot>>> {
        self.read(|state| state.machine_snapshots.get(id).cloned())
    }

    fn machine_snapshot_in<'a>(
        &'a self,
        instance: &'a InstanceId,
    ) -> BoxFuture<'a, StoreResult<Option<MachineSnapshot>>> {
        self.read(|state| {
            state.machine_snapshots.values().find(|snapshot| snapshot.instance_id == *instance).cloned()
        })
    }

    fn machine_snapshots<'a>(
        &'a self,
        tenant: &'a TenantId,
    ) -> BoxFuture<'a, StoreResult<Vec<MachineSnapshot>>> {
        self.read(|state| {
            let all = state.machine_snapshots.values().rev();
            all.filter(|snapshot| snapshot.tenant_id == *tenant).cloned().collect()
        })
    }
}

impl Change<'_> {
    pub(super) fn insert_machine(&mut self, machine: Machine, most: u32) -> StoreResult<()> {
        storable(machine.revision, "machines.revision")?;
        let all = self.state.machines.values();
        let count = all.filter(|other| is_listed(other, &machine.tenant_id)).count();
        if count >= most as usize {
            return Err(StoreError::Full("sandboxes"));
        }
        self.insert("sandbox", |state| &mut state.machines, machine.id.clone(), machine)
    }

    pub(super) fn update_machine(&mut self, machine: Machine) -> StoreResult<()> {
        storable(machine.revision, "machines.revision")?;
        let before = self.state.machines.get(&machine.id);
        let before = current("sandbox", before, machine.revision, |m| m.revision)?;
        let machine = Machine {
            tenant_id: before.tenant_id.clone(),
            created_at: before.created_at,
            revision: machine.revision + 1,
            ..machine
        };
        self.put(|state| &mut state.machines, machine.id.clone(), machine);
        Ok(())
    }

    pub(super) fn insert_machine_snapshot(
        &mut self,
        snapshot: MachineSnapshot,
        most: u32,
    ) -> StoreResult<()> {
        let all = || self.state.machine_snapshots.values();
        if all().filter(|other| other.tenant_id == snapshot.tenant_id).count() >= most as usize {
            return Err(StoreError::Full("snapshots"));
        }
        if all().any(|other| other.instance_id == snapshot.instance_id) {
            return Err(StoreError::Conflict("snapshot"));
        }
        self.insert("snapshot", |state| &mut state.machine_snapshots, snapshot.id.clone(), snapshot)
    }
}

fn is_listed(machine: &Machine, tenant: &TenantId) -> bool {
    machine.tenant_id == *tenant && machine.state != MachineState::Destroyed
}
