//! What is read of machines.

use prism_types::{InstanceId, SnapshotId, TenantId, Timestamp};
use rusqlite::params;

use super::{SqliteStore, lower, queries, rows};
use crate::{
    domain::machine::{Machine, snapshot::MachineSnapshot},
    ports::{BoxFuture, MachineStore, StoreResult},
};

impl MachineStore for SqliteStore {
    fn machine<'a>(&'a self, id: &'a InstanceId) -> BoxFuture<'a, StoreResult<Option<Machine>>> {
        self.point(|connection| rows::one(connection, queries::MACHINE, params![id.as_str()]))
    }

    fn machines<'a>(&'a self, tenant: &'a TenantId) -> BoxFuture<'a, StoreResult<Vec<Machine>>> {
        let tenant = tenant.clone();
        self.scan(move |connection| rows::all(connection, queries::MACHINES, params![tenant.as_str()]))
    }

    fn machines_to_mind<'a>(
        &'a self,
        now: Timestamp,
        after: Option<&'a InstanceId>,
        limit: u32,
    ) -> BoxFuture<'a, StoreResult<Vec<Machine>>> {
        let after = lower(after);
        self.scan(move |connection| {
            rows::all(connection, queries::MACHINES_TO_MIND, params![now.as_millis(), after, limit])
        })
    }

    fn machine_snapshot<'a>(
        &'a self,
        id: &'a SnapshotId,
    ) -> BoxFuture<'a, StoreResult<Option<MachineSnapshot>>> {
        self.point(|connection| rows::one(connection, queries::MACHINE_SNAPSHOT, params![id.as_str()]))
    }

    fn machine_snapshot_in<'a>(
        &'a self,
        instance: &'a InstanceId,
    ) -> BoxFuture<'a, StoreResult<Option<MachineSnapshot>>> {
        let key = params![instance.as_str()];
        self.point(|connection| rows::one(connection, queries::MACHINE_SNAPSHOT_IN, key))
    }

    fn machine_snapshots<'a>(
        &'a self,
        tenant: &'a TenantId,
    ) -> BoxFuture<'a, StoreResult<Vec<MachineSnapshot>>> {
        let tenant = tenant.clone();
        self.scan(move |connection| {
            rows::all(connection, queries::MACHINE_SNAPSHOTS, params![tenant.as_str()])
        })
    }
}
