//! What is written beside a change, and how it goes again.

use prism_types::Timestamp;
use rusqlite::{Connection, params};

use super::{execute, failed, insert, json, webhooks};
use crate::{
    domain::{audit::AuditEntry, idempotency::KeptReply, limits},
    ports::{Expiring, StoreError, StoreResult},
};

pub(super) fn keep_reply(connection: &Connection, reply: &KeptReply) -> StoreResult<()> {
    let retention = i64::try_from(limits::REPLY_RETENTION.as_millis()).unwrap_or(i64::MAX);
    let kept = insert(
        connection,
        "reply",
        "INSERT INTO replies (tenant_id, key, fingerprint, sealed, created_at) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT DO UPDATE SET
             fingerprint = excluded.fingerprint, sealed = excluded.sealed, created_at = excluded.created_at
         WHERE excluded.created_at - created_at >= ?6",
        params![
            reply.tenant_id.as_str(),
            reply.key.as_str(),
            reply.fingerprint,
            reply.sealed,
            reply.created_at.as_millis(),
            retention,
        ],
    )?;
    if kept { Ok(()) } else { Err(StoreError::Conflict("reply")) }
}

pub(super) fn insert_audit_entry(connection: &Connection, entry: &AuditEntry) -> StoreResult<()> {
    insert(
        connection,
        "audit entry",
        "INSERT INTO audit_entries
             (tenant_id, id, deployment_id, actor, operation, subject, fields, request_id, created_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        params![
            entry.tenant_id.as_str(),
            entry.id.as_str(),
            entry.deployment_id.as_ref().map(AsRef::<str>::as_ref),
            entry.actor,
            entry.operation,
            entry.subject,
            json(&entry.fields, "audit_entries.fields")?,
            entry.request_id,
            entry.created_at.as_millis(),
        ],
    )?;
    Ok(())
}

pub(super) fn expire(
    connection: &Connection,
    records: Expiring,
    before: Timestamp,
    count: u32,
) -> StoreResult<()> {
    let sql = match records {
        Expiring::Deliveries => return webhooks::expire(connection, before, count),
        Expiring::Replies => {
            "DELETE FROM replies WHERE (tenant_id, key) IN
                 (SELECT tenant_id, key FROM replies WHERE created_at < ?1
                  ORDER BY created_at, tenant_id, key LIMIT ?2)"
        }
        Expiring::AuditEntries => {
            "DELETE FROM audit_entries WHERE (tenant_id, id) IN
                 (SELECT tenant_id, id FROM audit_entries WHERE created_at < ?1
                  ORDER BY created_at, tenant_id, id LIMIT ?2)"
        }
    };
    execute(connection, sql, params![before.as_millis(), count]).map(|_| ()).map_err(|error| failed(&error))
}
