//! What a store keeps of machines: see [`Store`](super::Store), whose rules hold here, too.

use prism_types::{InstanceId, SnapshotId, TenantId, Timestamp};

use super::{BoxFuture, StoreResult};
use crate::domain::machine::{Machine, snapshot::MachineSnapshot};

/// The reading side of machines.
pub trait MachineStore: Send + Sync {
    /// A machine, also one that is destroyed, whoever owns it.
    fn machine<'a>(&'a self, id: &'a InstanceId) -> BoxFuture<'a, StoreResult<Option<Machine>>>;

    /// All machines of a tenant that are not destroyed, newest first. They are as many as a tenant may have.
    fn machines<'a>(&'a self, tenant: &'a TenantId) -> BoxFuture<'a, StoreResult<Vec<Machine>>>;

    /// Machines of all tenants that are [due](Machine::due_at) at `now` or were before. Oldest first, after `after`; for the
    /// engine.
    fn machines_to_mind<'a>(
        &'a self,
        now: Timestamp,
        after: Option<&'a InstanceId>,
        limit: u32,
    ) -> BoxFuture<'a, StoreResult<Vec<Machine>>>;

    /// A snapshot of a machine, whoever owns it.
    fn machine_snapshot<'a>(
        &'a self,
        id: &'a SnapshotId,
    ) -> BoxFuture<'a, StoreResult<Option<MachineSnapshot>>>;

    /// The snapshot of a machine that is kept in a sandbox.
    fn machine_snapshot_in<'a>(
        &'a self,
        instance: &'a InstanceId,
    ) -> BoxFuture<'a, StoreResult<Option<MachineSnapshot>>>;

    /// All snapshots of machines of a tenant, newest first. They are as many as a tenant may have.
    fn machine_snapshots<'a>(
        &'a self,
        tenant: &'a TenantId,
    ) -> BoxFuture<'a, StoreResult<Vec<MachineSnapshot>>>;
}
