//! Uploads in parts, written as the records of [programs](super::programs) are.

use prism_types::UploadId;
use rusqlite::{Connection, Params, params};

use super::{
    super::{super::storable, queries, rows},
    execute, failed, insert as run_insert, json,
    programs::{current, replace},
};
use crate::{
    domain::machine::{
        Machine, MachineState,
        upload::{Upload, UploadRoom},
    },
    ports::{StoreError, StoreResult},
};

/// Nothing else is written between these statements: the transaction is the only one.
pub(super) fn insert(connection: &Connection, upload: &Upload, room: UploadRoom) -> StoreResult<()> {
    let (machine, tenant) = (upload.machine_id.as_str(), upload.tenant_id.as_str());
    let size = storable(upload.size, "uploads.size")?;
    let owner: Option<Machine> = rows::one(connection, queries::MACHINE, params![machine])?;
    if owner.is_none_or(|machine| machine.state == MachineState::Destroyed) {
        return Err(StoreError::Missing("sandbox"));
    }
    let of_machine = open(connection, "machine_id = ?1", params![machine])?;
    let of_tenant = open(connection, "tenant_id = ?1", params![tenant])?;
    if of_machine.count >= room.of_machine || of_tenant.count >= room.of_tenant {
        return Err(StoreError::Full("uploads"));
    }
    let bytes = |open: &Open| open.bytes.saturating_add(upload.size);
    if bytes(&of_machine) > room.machine_bytes || bytes(&of_tenant) > room.tenant_bytes {
        return Err(StoreError::Full("bytes of uploads"));
    }
    run_insert(
        connection,
        "upload",
        "INSERT INTO uploads (id, tenant_id, machine_id, is_open, size, due_at, revision, record)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        params![
            upload.id.as_str(),
            tenant,
            machine,
            upload.is_open(),
            size,
            upload.due_at().as_millis(),
            storable(upload.revision, "uploads.revision")?,
            json(upload, "uploads.record")?,
        ],
    )
    .map(drop)
}

pub(super) fn update(connection: &Connection, upload: Upload) -> StoreResult<()> {
    storable(upload.revision, "uploads.revision")?;
    let before: Option<Upload> = rows::one(connection, queries::UPLOAD, params![upload.id.as_str()])?;
    let before = current("upload", before, upload.revision, |upload| upload.revision)?;
    let upload = Upload {
        tenant_id: before.tenant_id,
        machine_id: before.machine_id,
        size: before.size,
        created_at: before.created_at,
        revision: upload.revision + 1,
        ..upload
    };
    replace(
        connection,
        "upload",
        "UPDATE uploads SET is_open = ?2, due_at = ?3, revision = ?4, record = ?5 WHERE id = ?1",
        params![
            upload.id.as_str(),
            upload.is_open(),
            upload.due_at().as_millis(),
            storable(upload.revision, "uploads.revision")?,
            json(&upload, "uploads.record")?,
        ],
    )
}

pub(super) fn delete(connection: &Connection, id: &UploadId) -> StoreResult<()> {
    let deleted = execute(connection, "DELETE FROM uploads WHERE id = ?1", params![id.as_str()]);
    deleted.map(drop).map_err(|error| failed(&error))
}

/// Uploads that are open.
struct Open {
    count: u32,
    bytes: u64,
}

fn open(connection: &Connection, whose: &str, key: impl Params) -> StoreResult<Open> {
    let sql = format!("SELECT count(*), coalesce(sum(size), 0) FROM uploads WHERE is_open = 1 AND {whose}");
    let read = connection.prepare_cached(&sql).and_then(|mut statement| {
        statement.query_row(key, |row| Ok((row.get::<_, u32>(0)?, row.get::<_, i64>(1)?)))
    });
    let (count, bytes) = read.map_err(|error| failed(&error))?;
    Ok(Open { count, bytes: u64::try_from(bytes).unwrap_or_default() })
}
