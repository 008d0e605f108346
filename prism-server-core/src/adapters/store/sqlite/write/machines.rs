//! Machines and their snapshots, written as the records of [programs](super::programs) are.

use prism_types::{InstanceId, SnapshotId};
use rusqlite::{Connection, params};

use super::{
    super::{super::storable, queries, rows},
    execute, failed, insert as run_insert, json,
    programs::{current, replace},
};
use crate::{
    domain::machine::{Machine, snapshot::MachineSnapshot},
    ports::{StoreError, StoreResult},
};

pub(super) fn insert(connection: &Connection, machine: &Machine, most: u32) -> StoreResult<()> {
    let inserted = run_insert(
        connection,
        "sandbox",
        "INSERT INTO machines (id, tenant_id, state, due_at, revision, record)
         SELECT ?1, ?2, ?3, ?4, ?5, ?6
         WHERE (SELECT count(*) FROM machines WHERE tenant_id = ?2 AND state <> 'destroyed') < ?7",
        params![
            machine.id.as_str(),
            machine.tenant_id.as_str(),
            machine.state.as_str(),
            machine.due_at().as_millis(),
            storable(machine.revision, "machines.revision")?,
            json(machine, "machines.record")?,
            most,
        ],
    )?;
    if inserted { Ok(()) } else { Err(StoreError::Full("sandboxes")) }
}

pub(super) fn update(connection: &Connection, machine: Machine) -> StoreResult<()> {
    storable(machine.revision, "machines.revision")?;
    let before: Option<Machine> = rows::one(connection, queries::MACHINE, params![machine.id.as_str()])?;
    let before = current("sandbox", before, machine.revision, |m| m.revision)?;
    let machine = Machine {
        tenant_id: before.tenant_id,
        created_at: before.created_at,
        revision: machine.revision + 1,
        ..machine
    };
    replace(
        connection,
        "sandbox",
        "UPDATE machines SET state = ?2, due_at = ?3, revision = ?4, record = ?5 WHERE id = ?1",
        params![
            machine.id.as_str(),
            machine.state.as_str(),
            machine.due_at().as_millis(),
            storable(machine.revision, "machines.revision")?,
            json(&machine, "machines.record")?,
        ],
    )
}

pub(super) fn delete(connection: &Connection, id: &InstanceId) -> StoreResult<()> {
    for sql in ["DELETE FROM uploads WHERE machine_id = ?1", "DELETE FROM machines WHERE id = ?1"] {
        execute(connection, sql, params![id.as_str()]).map_err(|error| failed(&error))?;
    }
    Ok(())
}

pub(super) fn insert_snapshot(
    connection: &Connection,
    snapshot: &MachineSnapshot,
    most: u32,
) -> StoreResult<()> {
    let inserted = run_insert(
        connection,
        "snapshot",
        "INSERT INTO machine_snapshots (id, tenant_id, instance_id, record)
         SELECT ?1, ?2, ?3, ?4
         WHERE (SELECT count(*) FROM machine_snapshots WHERE tenant_id = ?2) < ?5",
        params![
            snapshot.id.as_str(),
            snapshot.tenant_id.as_str(),
            snapshot.instance_id.as_str(),
            json(snapshot, "machine_snapshots.record")?,
            most,
        ],
    )?;
    if inserted { Ok(()) } else { Err(StoreError::Full("snapshots")) }
}

pub(super) fn delete_snapshot(connection: &Connection, id: &SnapshotId) -> StoreResult<()> {
    let deleted = execute(connection, "DELETE FROM machine_snapshots WHERE id = ?1", params![id.as_str()]);
    deleted.map(drop).map_err(|error| failed(&error))
}
