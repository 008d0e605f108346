//! The statements that change something, one function a [`Write`].
//!
//! An insert that belongs to something looks for it in the same statement (`INSERT .. SELECT .. WHERE EXISTS`).

mod accounts;
mod automations;
mod changes;
mod conversations;
mod deployments;
mod machines;
mod memories;
mod programs;
mod skills;
mod snapshots;
mod uploads;
mod webhooks;

use prism_types::{Failure, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, Params, params};
use serde::Serialize;

use super::{
    super::News,
    errors::{failed, refused},
};
use crate::ports::{StoreError, StoreResult, Write};

/// Carries out one change within the transaction under way; adds to `news` what the listener is to be told.
pub(super) fn apply(connection: &Connection, write: Write, news: &mut News) -> StoreResult<()> {
    match write {
        Write::InsertTenant(tenant) => accounts::insert_tenant(connection, &tenant),
        Write::UpdateTenant(tenant) => accounts::update_tenant(connection, &tenant),
        Write::Meter(tenant, metered) => accounts::meter(connection, &tenant, &metered),
        Write::InsertApiKey(key) => accounts::insert_api_key(connection, &key),
        Write::RevokeApiKey(tenant, key, at) => accounts::revoke_api_key(connection, &tenant, &key, at),
        Write::PutSecret(secret) => accounts::put_secret(connection, &secret),
        Write::DeleteSecret(tenant, reference) => accounts::delete_secret(connection, &tenant, &reference),
        Write::InsertDeployment(deployment) => deployments::insert(connection, &deployment),
        Write::UpdateDeployment(deployment) => deployments::update(connection, &deployment),
        Write::InsertSpec(id, version, spec) => deployments::insert_spec(connection, &id, version, &spec),
        Write::ReplaceSkills(id, skills) => skills::replace(connection, &id, &skills),
        Write::InsertSkill(skill) => skills::insert(connection, &skill),
        Write::UpdateSkill(skill) => skills::update(connection, &skill),
        Write::RemoveSkill(deployment, id) => skills::remove(connection, &deployment, &id),
        Write::InsertInstance(instance) => deployments::insert_instance(connection, &instance),
        Write::UpdateInstance(instance) => deployments::update_instance(connection, &instance),
        Write::InsertProgram(program) => programs::insert(connection, &program),
        Write::UpdateProgram(program) => programs::update(connection, program),
        Write::PutManifest(deployment, version, manifest) => {
            programs::put_manifest(connection, &deployment, &version, &manifest)
        }
        Write::InsertVersion(version) => programs::insert_version(connection, &version),
        Write::UpdateVersion(version) => programs::update_version(connection, version),
        Write::InsertMachine(machine, most) => machines::insert(connection, &machine, most),
        Write::UpdateMachine(machine) => machines::update(connection, machine),
        Write::DeleteMachine(id) => machines::delete(connection, &id),
        Write::InsertMachineSnapshot(snapshot, most) => {
            machines::insert_snapshot(connection, &snapshot, most)
        }
        Write::DeleteMachineSnapshot(id) => machines::delete_snapshot(connection, &id),
        Write::InsertUpload(upload, room) => uploads::insert(connection, &upload, room),
        Write::UpdateUpload(upload) => uploads::update(connection, upload),
        Write::DeleteUpload(id) => uploads::delete(connection, &id),
        Write::InsertService(service, most) => programs::insert_service(connection, &service, most),
        Write::UpdateService(service) => programs::update_service(connection, service),
        Write::InsertJob(job, most) => programs::insert_job(connection, &job, most),
        Write::UpdateJob(job) => programs::update_job(connection, job),
        Write::InsertThread(thread) => conversations::insert_thread(connection, &thread),
        Write::SetThreadTitle(id, title) => {
            conversations::set_thread_title(connection, &id, title.as_deref())
        }
        Write::InsertSnapshot(snapshot, most) => snapshots::insert(connection, &snapshot, most),
        Write::UpdateSnapshot(snapshot) => snapshots::update(connection, &snapshot),
        Write::DeleteSnapshot(id) => snapshots::delete(connection, &id),
        Write::DeleteThread(id) => memories::delete_thread(connection, &id),
        Write::InsertForgottenThread(thread) => memories::insert_forgotten_thread(connection, &thread),
        Write::DeleteForgottenThread(id) => memories::delete_forgotten_thread(connection, &id),
        Write::PutMemorySet(set) => memories::put_set(connection, &set),
        Write::PutMemory(memory) => memories::put(connection, &memory),
        Write::DeleteMemory(deployment, id) => memories::delete(connection, &deployment, &id),
        Write::InsertDream(dream) => memories::insert_dream(connection, &dream),
        Write::UpdateDream(dream) => memories::update_dream(connection, &dream),
        Write::TrimDreams(deployment, keep) => memories::trim_dreams(connection, &deployment, keep),
        Write::PutQuiet(quiet) => memories::put_quiet(connection, &quiet),
        Write::DeleteQuiet(deployment, run) => memories::delete_quiet(connection, &deployment, &run),
        Write::InsertMessage(message) => conversations::insert_message(connection, &message),
        Write::InsertRun(run) => conversations::insert_run(connection, &run),
        Write::UpdateRun(run) => conversations::update_run(connection, &run),
        Write::TouchRun(id) => conversations::touch_run(connection, &id),
        Write::InsertApproval(approval) => conversations::insert_approval(connection, &approval),
        Write::CancelRun(id) => conversations::cancel_run(connection, &id),
        Write::ResolveApproval(id, resolution, at) => {
            conversations::resolve_approval(connection, &id, &resolution, at)
        }
        Write::KeepReply(reply) => changes::keep_reply(connection, &reply),
        Write::InsertAuditEntry(entry) => changes::insert_audit_entry(connection, &entry),
        Write::Expire(records, before, count) => changes::expire(connection, records, before, count),
        Write::InsertAutomation(automation, most) => automations::insert(connection, &automation, most),
        Write::UpdateAutomation(automation) => automations::update(connection, &automation),
        Write::DeleteAutomation(id) => automations::delete(connection, &id),
        Write::InsertAutomationRun(run) => automations::insert_run(connection, &run),
        Write::TrimAutomationRuns(id, keep) => automations::trim_runs(connection, &id, keep),
        Write::Append(event) => {
            let logged = conversations::append(connection, event)?;
            webhooks::queue_event(connection, &logged, news)?;
            news.events.push(logged);
            Ok(())
        }
        Write::TrimEvents(id, count) => conversations::trim_events(connection, &id, count),
        Write::TrimInstanceEvents(id, bytes) => conversations::trim_instance_events(connection, &id, bytes),
        Write::PurgeDeployment(id) => deployments::purge(connection, &id),
        Write::InsertWebhook(webhook) => webhooks::insert_webhook(connection, &webhook),
        Write::UpdateWebhook(webhook) => webhooks::update_webhook(connection, &webhook),
        Write::InsertDelivery(delivery, data) => {
            webhooks::insert_delivery(connection, &delivery, &data, news)
        }
        Write::UpdateDelivery(delivery) => webhooks::update_delivery(connection, &delivery),
        Write::TrimWebhook(id, limit) => webhooks::trim_webhook(connection, &id, limit.into()),
        Write::PurgeWebhook(id) => webhooks::purge(connection, &id),
    }
}

/// Runs a statement and returns how many rows it changed.
fn execute(connection: &Connection, sql: &str, params: impl Params) -> rusqlite::Result<usize> {
    connection.prepare_cached(sql)?.execute(params)
}

/// Runs an insert; a unique key that is taken is a conflict. Returns whether there was something to insert:
/// an insert that looks for a parent finds none when the parent is missing.
fn insert(connection: &Connection, noun: &'static str, sql: &str, params: impl Params) -> StoreResult<bool> {
    execute(connection, sql, params).map(|rows| rows > 0).map_err(refused(noun))
}

/// Runs an update that is guarded by a revision. When it finds nothing, `exists` tells a stale revision from a
/// missing record.
fn update(
    connection: &Connection,
    noun: &'static str,
    sql: &str,
    params: impl Params,
    (exists, id): (&str, &str),
) -> StoreResult<()> {
    if execute(connection, sql, params).map_err(refused(noun))? > 0 {
        return Ok(());
    }
    if found(connection, exists, params![id])? {
        Err(StoreError::Conflict(noun))
    } else {
        Err(StoreError::Missing(noun))
    }
}

/// Whether a query finds anything.
fn found(connection: &Connection, sql: &str, params: impl Params) -> StoreResult<bool> {
    let found = connection.prepare_cached(sql).and_then(|mut statement| statement.exists(params));
    found.map_err(|error| failed(&error))
}

/// The number that a statement returns, if it finds a row.
fn number(connection: &Connection, sql: &str, params: impl Params) -> StoreResult<Option<i64>> {
    let number = connection
        .prepare_cached(sql)
        .and_then(|mut statement| statement.query_row(params, |row| row.get(0)).optional());
    number.map_err(|error| failed(&error))
}

fn has_deployment(connection: &Connection, id: &str) -> StoreResult<bool> {
    found(connection, "SELECT 1 FROM heads WHERE deployment_id = ?1", params![id])
}

fn existed(noun: &'static str, exists: bool) -> StoreResult<()> {
    if exists { Ok(()) } else { Err(StoreError::Missing(noun)) }
}

fn millis(instant: Option<Timestamp>) -> Option<i64> {
    instant.map(Timestamp::as_millis)
}

fn failure(failure: Option<&Failure>, column: &str) -> StoreResult<Option<String>> {
    failure.map(|failure| json(failure, column)).transpose()
}

fn json(value: &impl Serialize, column: &str) -> StoreResult<String> {
    serde_json::to_string(value)
        .map_err(|_| StoreError::Failed(format!("{column} cannot be written as JSON")))
}
