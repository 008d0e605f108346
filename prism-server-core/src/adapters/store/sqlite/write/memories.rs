//! Memories, dreams and forgotten threads.

use prism_types::{DeploymentId, MemoryId, RunId, ThreadId};
use rusqlite::{Connection, params};

use super::{
    super::super::storable, execute, existed, failed, failure, found, has_deployment, insert, json, millis,
    update,
};
use crate::{
    domain::{
        dream::{Dream, Quiet},
        memory::{Memory, MemorySet},
        thread::ForgottenThread,
    },
    ports::{StoreError, StoreResult},
};

pub(super) fn put_set(connection: &Connection, set: &MemorySet) -> StoreResult<()> {
    let id = set.deployment_id.as_str();
    if set.revision == 0 {
        let inserted = insert(
            connection,
            "memories",
            "INSERT INTO memory_sets (deployment_id, home, in_step, revision) SELECT ?1, ?2, ?3, 1
             WHERE EXISTS (SELECT 1 FROM heads WHERE deployment_id = ?1)",
            params![id, set.home, set.in_step],
        )?;
        return existed("deployment", inserted);
    }
    update(
        connection,
        "memories",
        "UPDATE memory_sets SET home = ?3, in_step = ?4, revision = revision + 1
         WHERE deployment_id = ?1 AND revision = ?2",
        params![id, storable(set.revision, "memory_sets.revision")?, set.home, set.in_step],
        ("SELECT 1 FROM memory_sets WHERE deployment_id = ?1", id),
    )
}

pub(super) fn put(connection: &Connection, memory: &Memory) -> StoreResult<()> {
    let inserted = insert(
        connection,
        "memory",
        "INSERT INTO memories (id, deployment_id, content, source, created_at, updated_at, forgotten, synced,
             offered)
         SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9
         WHERE EXISTS (SELECT 1 FROM heads WHERE deployment_id = ?2)
         ON CONFLICT (id) DO UPDATE SET content = ?3, source = ?4, updated_at = ?6, forgotten = ?7,
             synced = ?8, offered = ?9",
        params![
            memory.id.as_str(),
            memory.deployment_id.as_str(),
            memory.content,
            memory.source.as_str(),
            memory.created_at.as_millis(),
            memory.updated_at.as_millis(),
            memory.forgotten,
            memory.synced,
            memory.offered,
        ],
    )?;
    existed("deployment", inserted)
}

pub(super) fn delete(connection: &Connection, deployment: &DeploymentId, id: &MemoryId) -> StoreResult<()> {
    let sql = "DELETE FROM memories WHERE id = ?1 AND deployment_id = ?2";
    execute(connection, sql, params![id.as_str(), deployment.as_str()])
        .map(drop)
        .map_err(|error| failed(&error))
}

pub(super) fn insert_forgotten_thread(connection: &Connection, thread: &ForgottenThread) -> StoreResult<()> {
    let inserted = insert(
        connection,
        "forgotten thread",
        "INSERT INTO forgotten_threads (thread_id, deployment_id) SELECT ?1, ?2
         WHERE EXISTS (SELECT 1 FROM heads WHERE deployment_id = ?2)",
        params![thread.thread_id.as_str(), thread.deployment_id.as_str()],
    )?;
    existed("deployment", inserted)
}

pub(super) fn delete_forgotten_thread(connection: &Connection, id: &ThreadId) -> StoreResult<()> {
    let sql = "DELETE FROM forgotten_threads WHERE thread_id = ?1";
    execute(connection, sql, params![id.as_str()]).map(drop).map_err(|error| failed(&error))
}

pub(super) fn insert_dream(connection: &Connection, dream: &Dream) -> StoreResult<()> {
    let inserted = insert(
        connection,
        "dream",
        "INSERT INTO dreams (id, deployment_id, thread_id, run_id, \"trigger\", state, before, report, error,
             created_at, ended_at, reverted_at, revision)
         SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13
         WHERE EXISTS (SELECT 1 FROM runs WHERE id = ?4 AND deployment_id = ?2)",
        params![
            dream.id.as_str(),
            dream.deployment_id.as_str(),
            dream.thread_id.as_str(),
            dream.run_id.as_str(),
            dream.trigger.as_str(),
            dream.state.as_str(),
            json(&dream.before, "dreams.before")?,
            dream.report.as_ref().map(|report| json(report, "dreams.report")).transpose()?,
            failure(dream.error.as_ref(), "dreams.error")?,
            dream.created_at.as_millis(),
            millis(dream.ended_at),
            millis(dream.reverted_at),
            storable(dream.revision, "dreams.revision")?,
        ],
    )?;
    if inserted {
        return Ok(());
    }
    existed("deployment", has_deployment(connection, dream.deployment_id.as_str())?)?;
    Err(StoreError::Missing("run"))
}

pub(super) fn update_dream(connection: &Connection, dream: &Dream) -> StoreResult<()> {
    update(
        connection,
        "dream",
        "UPDATE dreams SET state = ?3, report = ?4, error = ?5, ended_at = ?6, reverted_at = ?7,
             revision = revision + 1
         WHERE id = ?1 AND revision = ?2",
        params![
            dream.id.as_str(),
            storable(dream.revision, "dreams.revision")?,
            dream.state.as_str(),
            dream.report.as_ref().map(|report| json(report, "dreams.report")).transpose()?,
            failure(dream.error.as_ref(), "dreams.error")?,
            millis(dream.ended_at),
            millis(dream.reverted_at),
        ],
        ("SELECT 1 FROM dreams WHERE id = ?1", dream.id.as_str()),
    )
}

pub(super) fn trim_dreams(connection: &Connection, deployment: &DeploymentId, keep: u32) -> StoreResult<()> {
    let trimmed = execute(
        connection,
        "DELETE FROM dreams WHERE deployment_id = ?1 AND state <> 'running' AND id NOT IN
             (SELECT id FROM dreams WHERE deployment_id = ?1 ORDER BY id DESC LIMIT ?2)",
        params![deployment.as_str(), keep],
    );
    trimmed.map(drop).map_err(|error| failed(&error))
}

pub(super) fn put_quiet(connection: &Connection, quiet: &Quiet) -> StoreResult<()> {
    let inserted = insert(
        connection,
        "quiet",
        "INSERT INTO quiet (deployment_id, run_id, since) SELECT ?1, ?2, ?3
         WHERE EXISTS (SELECT 1 FROM heads WHERE deployment_id = ?1)
         ON CONFLICT (deployment_id) DO UPDATE SET run_id = ?2, since = ?3",
        params![quiet.deployment_id.as_str(), quiet.run_id.as_str(), quiet.since.as_millis()],
    )?;
    existed("deployment", inserted)
}

pub(super) fn delete_quiet(
    connection: &Connection,
    deployment: &DeploymentId,
    run: &RunId,
) -> StoreResult<()> {
    let sql = "DELETE FROM quiet WHERE deployment_id = ?1 AND run_id = ?2";
    let deleted = execute(connection, sql, params![deployment.as_str(), run.as_str()]);
    if deleted.map_err(|error| failed(&error))? > 0 { Ok(()) } else { Err(StoreError::Conflict("quiet")) }
}

pub(super) fn delete_thread(connection: &Connection, id: &ThreadId) -> StoreResult<()> {
    let unfinished = "SELECT 1 FROM runs WHERE thread_id = ?1 AND state IN ('running', 'waiting_on_human')";
    if found(connection, unfinished, params![id.as_str()])? {
        return Err(StoreError::Conflict("thread"));
    }
    for sql in [
        "DELETE FROM approvals WHERE run_id IN (SELECT id FROM runs WHERE thread_id = ?1)",
        "DELETE FROM runs WHERE thread_id = ?1",
        "DELETE FROM messages WHERE thread_id = ?1",
    ] {
        execute(connection, sql, params![id.as_str()]).map_err(|error| failed(&error))?;
    }
    let deleted = execute(connection, "DELETE FROM threads WHERE id = ?1", params![id.as_str()]);
    existed("thread", deleted.map_err(|error| failed(&error))? > 0)
}
