//! Automations and their history.

use prism_types::AutomationId;
use rusqlite::{Connection, params};

use super::{
    super::super::storable, execute, existed, failed, failure, found, has_deployment, insert as run_insert,
    millis, update as run_update,
};
use crate::{
    domain::automation::{Automation, AutomationRun},
    ports::{StoreError, StoreResult},
};

pub(super) fn insert(connection: &Connection, automation: &Automation, most: u32) -> StoreResult<()> {
    let deployment = automation.deployment_id.as_str();
    existed("deployment", has_deployment(connection, deployment)?)?;
    let has_thread = found(
        connection,
        "SELECT 1 FROM threads WHERE id = ?1 AND deployment_id = ?2",
        params![automation.thread_id.as_str(), deployment],
    )?;
    existed("thread", has_thread)?;
    let inserted = run_insert(
        connection,
        "automation",
        "INSERT INTO automations (id, deployment_id, name, schedule, cron, timezone, instructions, thread_id,
             enabled, next_run_at, created_at, revision)
         SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12
         WHERE (SELECT count(*) FROM automations WHERE deployment_id = ?2) < ?13",
        params![
            automation.id.as_str(),
            deployment,
            automation.name,
            automation.schedule,
            automation.cron,
            automation.timezone,
            automation.instructions,
            automation.thread_id.as_str(),
            automation.enabled,
            millis(automation.next_run_at),
            automation.created_at.as_millis(),
            storable(automation.revision, "automations.revision")?,
            most,
        ],
    )?;
    if inserted { Ok(()) } else { Err(StoreError::Full("automations")) }
}

pub(super) fn update(connection: &Connection, automation: &Automation) -> StoreResult<()> {
    run_update(
        connection,
        "automation",
        "UPDATE automations SET name = ?3, schedule = ?4, cron = ?5, timezone = ?6, instructions = ?7,
             thread_id = ?8, enabled = ?9, next_run_at = ?10, revision = revision + 1
         WHERE id = ?1 AND revision = ?2",
        params![
            automation.id.as_str(),
            storable(automation.revision, "automations.revision")?,
            automation.name,
            automation.schedule,
            automation.cron,
            automation.timezone,
            automation.instructions,
            automation.thread_id.as_str(),
            automation.enabled,
            millis(automation.next_run_at),
        ],
        (EXISTS, automation.id.as_str()),
    )
}

pub(super) fn delete(connection: &Connection, id: &AutomationId) -> StoreResult<()> {
    let id = params![id.as_str()];
    let deleted = execute(connection, "DELETE FROM automations WHERE id = ?1", id);
    existed("automation", deleted.map_err(|error| failed(&error))? > 0)?;
    let history = execute(connection, "DELETE FROM automation_runs WHERE automation_id = ?1", id);
    history.map(|_| ()).map_err(|error| failed(&error))
}

pub(super) fn insert_run(connection: &Connection, run: &AutomationRun) -> StoreResult<()> {
    let inserted = run_insert(
        connection,
        "automation run",
        "INSERT INTO automation_runs (id, automation_id, deployment_id, scheduled_at, created_at, outcome, run_id,
             reason)
         SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8
         WHERE EXISTS (SELECT 1 FROM automations WHERE id = ?2 AND deployment_id = ?3)",
        params![
            run.id.as_str(),
            run.automation_id.as_str(),
            run.deployment_id.as_str(),
            millis(run.scheduled_at),
            run.created_at.as_millis(),
            run.outcome.kind().as_str(),
            run.outcome.run_id().map(AsRef::<str>::as_ref),
            failure(run.outcome.reason(), "automation_runs.reason")?,
        ],
    )?;
    existed("automation", inserted)
}

pub(super) fn trim_runs(connection: &Connection, id: &AutomationId, keep: u32) -> StoreResult<()> {
    let trimmed = execute(
        connection,
        "DELETE FROM automation_runs WHERE automation_id = ?1 AND id <= (
             SELECT id FROM automation_runs WHERE automation_id = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
        params![id.as_str(), keep],
    );
    trimmed.map(|_| ()).map_err(|error| failed(&error))
}

const EXISTS: &str = "SELECT 1 FROM automations WHERE id = ?1";
