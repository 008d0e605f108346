//! Threads, messages, runs, approvals and events.

use prism_types::{ApprovalId, DeploymentId, InstanceId, RunId, ThreadId, Timestamp};
use rusqlite::{Connection, params};

use super::{
    super::super::storable, execute, existed, failed, failure, found, has_deployment, insert, json, millis,
    number, update,
};
use crate::{
    domain::{
        approval::{Approval, Decision, Resolution},
        event::{LoggedEvent, NewEvent},
        message::Message,
        run::Run,
        thread::Thread,
    },
    ports::{StoreError, StoreResult},
};

pub(super) fn insert_thread(connection: &Connection, thread: &Thread) -> StoreResult<()> {
    let inserted = insert(
        connection,
        "thread",
        "INSERT INTO threads (id, deployment_id, title, message_count, last_activity_at, created_at)
         SELECT ?1, ?2, ?3, 0, ?4, ?4 WHERE EXISTS (SELECT 1 FROM heads WHERE deployment_id = ?2)",
        params![
            thread.id.as_str(),
            thread.deployment_id.as_str(),
            thread.title,
            thread.created_at.as_millis(),
        ],
    )?;
    existed("deployment", inserted)
}

pub(super) fn set_thread_title(
    connection: &Connection,
    id: &ThreadId,
    title: Option<&str>,
) -> StoreResult<()> {
    let updated =
        execute(connection, "UPDATE threads SET title = ?2 WHERE id = ?1", params![id.as_str(), title]);
    existed("thread", updated.map_err(|error| failed(&error))? > 0)
}

pub(super) fn insert_message(connection: &Connection, message: &Message) -> StoreResult<()> {
    let thread = message.thread_id.as_str();
    let position = number(
        connection,
        "UPDATE threads SET message_count = message_count + 1, last_activity_at = ?2 WHERE id = ?1
         RETURNING message_count",
        params![thread, message.created_at.as_millis()],
    )?;
    let position = position.ok_or(StoreError::Missing("thread"))?;
    let attachments = (!message.attachments.is_empty()).then_some(&message.attachments);
    insert(
        connection,
        "message",
        "INSERT INTO messages (thread_id, position, role, content, attachments, run_id, created_at, decision)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        params![
            thread,
            position,
            message.role.as_str(),
            message.content,
            attachments.map(|attachments| json(attachments, "messages.attachments")).transpose()?,
            message.run_id.as_ref().map(AsRef::<str>::as_ref),
            message.created_at.as_millis(),
            message.decision.map(Decision::as_str),
        ],
    )?;
    Ok(())
}

pub(super) fn insert_run(connection: &Connection, run: &Run) -> StoreResult<()> {
    let inserted = insert(
        connection,
        "run",
        "INSERT INTO runs (id, deployment_id, thread_id, created_at, revision, spec_version, state, attempts,
             checkpoint, read_position, input_tokens, output_tokens, error, ended_at, cancelled, kind)
         SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16
         WHERE EXISTS (SELECT 1 FROM threads WHERE id = ?3 AND deployment_id = ?2)",
        params![
            run.id.as_str(),
            run.deployment_id.as_str(),
            run.thread_id.as_str(),
            run.created_at.as_millis(),
            storable(run.revision, "runs.revision")?,
            run.spec_version,
            run.state.as_str(),
            run.attempts,
            run.checkpoint,
            storable(run.read_position, "runs.read_position")?,
            storable(run.usage.input_tokens, "runs.input_tokens")?,
            storable(run.usage.output_tokens, "runs.output_tokens")?,
            failure(run.error.as_ref(), "runs.error")?,
            millis(run.ended_at),
            run.cancelled,
            run.kind.as_str(),
        ],
    )?;
    if inserted {
        return Ok(());
    }
    existed("deployment", has_deployment(connection, run.deployment_id.as_str())?)?;
    Err(StoreError::Missing("thread"))
}

pub(super) fn update_run(connection: &Connection, run: &Run) -> StoreResult<()> {
    update(
        connection,
        "run",
        "UPDATE runs SET spec_version = ?3, state = ?4, attempts = ?5, checkpoint = ?6, read_position = ?7,
             input_tokens = ?8, output_tokens = ?9, error = ?10, ended_at = ?11, revision = revision + 1
         WHERE id = ?1 AND revision = ?2",
        params![
            run.id.as_str(),
            storable(run.revision, "runs.revision")?,
            run.spec_version,
            run.state.as_str(),
            run.attempts,
            run.checkpoint,
            storable(run.read_position, "runs.read_position")?,
            storable(run.usage.input_tokens, "runs.input_tokens")?,
            storable(run.usage.output_tokens, "runs.output_tokens")?,
            failure(run.error.as_ref(), "runs.error")?,
            millis(run.ended_at),
        ],
        ("SELECT 1 FROM runs WHERE id = ?1", run.id.as_str()),
    )
}

pub(super) fn touch_run(connection: &Connection, id: &RunId) -> StoreResult<()> {
    update(
        connection,
        "run",
        "UPDATE runs SET revision = revision + 1 WHERE id = ?1 AND state = 'running'",
        params![id.as_str()],
        ("SELECT 1 FROM runs WHERE id = ?1", id.as_str()),
    )
}

pub(super) fn cancel_run(connection: &Connection, id: &RunId) -> StoreResult<()> {
    update(
        connection,
        "run",
        "UPDATE runs SET cancelled = 1, revision = revision + 1 WHERE id = ?1 AND state = 'running'",
        params![id.as_str()],
        ("SELECT 1 FROM runs WHERE id = ?1", id.as_str()),
    )
}

pub(super) fn insert_approval(connection: &Connection, approval: &Approval) -> StoreResult<()> {
    let inserted = insert(
        connection,
        "approval",
        "INSERT INTO approvals (id, deployment_id, run_id, summary, answer, created_at, resolved_at, state,
             expires_at)
         SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9
         WHERE EXISTS (SELECT 1 FROM runs WHERE id = ?3 AND deployment_id = ?2)",
        params![
            approval.id.as_str(),
            approval.deployment_id.as_str(),
            approval.run_id.as_str(),
            approval.summary,
            approval.answer,
            approval.created_at.as_millis(),
            millis(approval.resolved_at),
            approval.state.as_str(),
            millis(approval.expires_at),
        ],
    )?;
    if inserted {
        return Ok(());
    }
    existed("deployment", has_deployment(connection, approval.deployment_id.as_str())?)?;
    Err(StoreError::Missing("run"))
}

pub(super) fn resolve_approval(
    connection: &Connection,
    id: &ApprovalId,
    resolution: &Resolution,
    at: Timestamp,
) -> StoreResult<()> {
    let resolved = execute(
        connection,
        "UPDATE approvals SET state = ?2, answer = ?3, resolved_at = ?4 WHERE id = ?1 AND resolved_at IS NULL",
        params![id.as_str(), resolution.state.as_str(), resolution.answer, at.as_millis()],
    );
    if resolved.map_err(|error| failed(&error))? > 0 {
        return Ok(());
    }
    existed("approval", found(connection, "SELECT 1 FROM approvals WHERE id = ?1", params![id.as_str()])?)?;
    Err(StoreError::Conflict("approval"))
}

pub(super) fn append(connection: &Connection, event: NewEvent) -> StoreResult<LoggedEvent> {
    let sequence = number(
        connection,
        "UPDATE heads SET last_sequence = last_sequence + 1 WHERE deployment_id = ?1 RETURNING last_sequence",
        params![event.deployment_id.as_str()],
    )?;
    let stored = sequence.ok_or(StoreError::Missing("deployment"))?;
    insert(
        connection,
        "event",
        "INSERT INTO events (deployment_id, sequence, run_id, thread_id, name, data, created_at, instance_id)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        params![
            event.deployment_id.as_str(),
            stored,
            event.run_id.as_ref().map(AsRef::<str>::as_ref),
            event.thread_id.as_ref().map(AsRef::<str>::as_ref),
            event.name,
            event.data,
            event.created_at.as_millis(),
            event.instance_id.as_ref().map(AsRef::<str>::as_ref),
        ],
    )?;
    let sequence = u64::try_from(stored).map_err(|_| {
        StoreError::Failed("heads.last_sequence holds a value that cannot be read".to_owned())
    })?;
    Ok(LoggedEvent { sequence, event })
}

/// A range that starts at the first event: where some are missing already, it has fewer than `count`.
pub(super) fn trim_events(connection: &Connection, deployment: &DeploymentId, count: u32) -> StoreResult<()> {
    let trimmed = execute(
        connection,
        "DELETE FROM events WHERE deployment_id = ?1
             AND sequence < (SELECT min(sequence) FROM events WHERE deployment_id = ?1) + ?2",
        params![deployment.as_str(), count],
    );
    trimmed.map(|_| ()).map_err(|error| failed(&error))
}

pub(super) fn trim_instance_events(
    connection: &Connection,
    instance: &InstanceId,
    bytes: u64,
) -> StoreResult<()> {
    let trimmed = || {
        // The lengths alone are read, and of no more events than go.
        let mut oldest = connection.prepare_cached(
            "SELECT sequence, octet_length(data) FROM events WHERE instance_id = ?1 ORDER BY sequence",
        )?;
        let mut rows = oldest.query([instance.as_str()])?;
        let (mut last, mut found) = (0_i64, 0);
        while found < bytes
            && let Some(row) = rows.next()?
        {
            last = row.get(0)?;
            found += row.get::<_, i64>(1)?.cast_unsigned();
        }
        let sql = "DELETE FROM events WHERE instance_id = ?1 AND sequence <= ?2";
        execute(connection, sql, params![instance.as_str(), last])
    };
    trimmed().map(|_| ()).map_err(|error| failed(&error))
}
