//! Snapshots.

use prism_types::SnapshotId;
use rusqlite::{Connection, params};

use super::{super::super::storable, execute, failed, insert as run_insert, update as run_update};
use crate::{
    domain::snapshot::Snapshot,
    ports::{StoreError, StoreResult},
};

pub(super) fn insert(connection: &Connection, snapshot: &Snapshot, most: u32) -> StoreResult<()> {
    let inserted = run_insert(
        connection,
        "snapshot",
        "INSERT INTO snapshots (id, tenant_id, deployment_id, customer_id, name, instance_id, sandbox, state,
             created_at, expires_at, revision)
         SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11
         WHERE (SELECT count(*) FROM snapshots WHERE tenant_id = ?2) < ?12",
        params![
            snapshot.id.as_str(),
            snapshot.tenant_id.as_str(),
            snapshot.deployment_id.as_str(),
            snapshot.customer_id,
            snapshot.name,
            snapshot.instance_id.as_str(),
            snapshot.sandbox.as_str(),
            snapshot.state.as_str(),
            snapshot.created_at.as_millis(),
            snapshot.expires_at.as_millis(),
            storable(snapshot.revision, "snapshots.revision")?,
            most,
        ],
    )?;
    if inserted { Ok(()) } else { Err(StoreError::Full("snapshots")) }
}

pub(super) fn update(connection: &Connection, snapshot: &Snapshot) -> StoreResult<()> {
    run_update(
        connection,
        "snapshot",
        "UPDATE snapshots SET state = ?3, expires_at = ?4, revision = revision + 1
         WHERE id = ?1 AND revision = ?2",
        params![
            snapshot.id.as_str(),
            storable(snapshot.revision, "snapshots.revision")?,
            snapshot.state.as_str(),
            snapshot.expires_at.as_millis(),
        ],
        ("SELECT 1 FROM snapshots WHERE id = ?1", snapshot.id.as_str()),
    )
}

pub(super) fn delete(connection: &Connection, id: &SnapshotId) -> StoreResult<()> {
    let deleted = execute(connection, "DELETE FROM snapshots WHERE id = ?1", params![id.as_str()]);
    deleted.map(drop).map_err(|error| failed(&error))
}
