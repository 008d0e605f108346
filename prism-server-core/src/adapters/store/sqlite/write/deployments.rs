//! Deployments, their specifications and instances.

use prism_types::{DeploymentId, SnapshotId};
use rusqlite::{Connection, params};

use super::{
    super::super::storable, execute, existed, failed, failure, insert as run_insert, json,
    update as run_update,
};
use crate::{
    domain::{
        deployment::{AgentSpec, Deployment},
        instance::Instance,
    },
    ports::StoreResult,
};

pub(super) fn insert(connection: &Connection, deployment: &Deployment) -> StoreResult<()> {
    let revision = storable(deployment.revision, "deployments.revision")?;
    run_insert(
        connection,
        "deployment",
        "INSERT INTO deployments (id, tenant_id, customer_id, name, runtime, model, spec_version,
             default_thread, instance_id, persistent, state, error, created_at, revision)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
        params![
            deployment.id.as_str(),
            deployment.tenant_id.as_str(),
            deployment.customer_id,
            deployment.name,
            deployment.runtime.as_str(),
            deployment.model,
            deployment.spec_version,
            deployment.default_thread.as_str(),
            deployment.instance_id.as_str(),
            deployment.persistent,
            deployment.state.as_str(),
            failure(deployment.error.as_ref(), "deployments.error")?,
            deployment.created_at.as_millis(),
            revision,
        ],
    )?;
    insert_head(connection, &deployment.id)
}

/// Begins the log of a new deployment, of an agent or a program.
pub(super) fn insert_head(connection: &Connection, id: &DeploymentId) -> StoreResult<()> {
    let sql = "INSERT INTO heads (deployment_id, last_sequence) VALUES (?1, 0)";
    run_insert(connection, "deployment", sql, params![id.as_str()]).map(drop)
}

pub(super) fn update(connection: &Connection, deployment: &Deployment) -> StoreResult<()> {
    let revision = storable(deployment.revision, "deployments.revision")?;
    run_update(
        connection,
        "deployment",
        "UPDATE deployments SET customer_id = ?3, name = ?4, runtime = ?5, model = ?6, spec_version = ?7,
             default_thread = ?8, instance_id = ?9, persistent = ?10, state = ?11, error = ?12,
             revision = revision + 1
         WHERE id = ?1 AND revision = ?2",
        params![
            deployment.id.as_str(),
            revision,
            deployment.customer_id,
            deployment.name,
            deployment.runtime.as_str(),
            deployment.model,
            deployment.spec_version,
            deployment.default_thread.as_str(),
            deployment.instance_id.as_str(),
            deployment.persistent,
            deployment.state.as_str(),
            failure(deployment.error.as_ref(), "deployments.error")?,
        ],
        ("SELECT 1 FROM deployments WHERE id = ?1", deployment.id.as_str()),
    )
}

pub(super) fn insert_spec(
    connection: &Connection,
    deployment: &DeploymentId,
    version: u32,
    spec: &AgentSpec,
) -> StoreResult<()> {
    let inserted = run_insert(
        connection,
        "specification",
        "INSERT INTO specs (deployment_id, version, spec) SELECT ?1, ?2, ?3
         WHERE EXISTS (SELECT 1 FROM heads WHERE deployment_id = ?1)",
        params![deployment.as_str(), version, json(spec, "specs.spec")?],
    )?;
    existed("deployment", inserted)
}

pub(super) fn insert_instance(connection: &Connection, instance: &Instance) -> StoreResult<()> {
    let revision = storable(instance.revision, "instances.revision")?;
    let restores = instance.restores.as_ref().map(SnapshotId::as_str);
    let inserted = run_insert(
        connection,
        "instance",
        "INSERT INTO instances (id, deployment_id, state, restarts, revision, restores)
         SELECT ?1, ?2, ?3, ?4, ?5, ?6
         WHERE EXISTS (SELECT 1 FROM heads WHERE deployment_id = ?2)",
        params![
            instance.id.as_str(),
            instance.deployment_id.as_str(),
            instance.state.as_str(),
            instance.restarts,
            revision,
            restores,
        ],
    )?;
    existed("deployment", inserted)
}

pub(super) fn update_instance(connection: &Connection, instance: &Instance) -> StoreResult<()> {
    let revision = storable(instance.revision, "instances.revision")?;
    let restores = instance.restores.as_ref().map(SnapshotId::as_str);
    run_update(
        connection,
        "instance",
        "UPDATE instances SET state = ?3, restarts = ?4, restores = ?5, revision = revision + 1
         WHERE id = ?1 AND revision = ?2",
        params![instance.id.as_str(), revision, instance.state.as_str(), instance.restarts, restores],
        ("SELECT 1 FROM instances WHERE id = ?1", instance.id.as_str()),
    )
}

pub(super) fn purge(connection: &Connection, id: &DeploymentId) -> StoreResult<()> {
    for sql in [
        "DELETE FROM messages WHERE thread_id IN (SELECT id FROM threads WHERE deployment_id = ?1)",
        "DELETE FROM threads WHERE deployment_id = ?1",
        "DELETE FROM specs WHERE deployment_id = ?1",
        "DELETE FROM skills WHERE deployment_id = ?1",
        "DELETE FROM instances WHERE deployment_id = ?1",
        "DELETE FROM runs WHERE deployment_id = ?1",
        "DELETE FROM approvals WHERE deployment_id = ?1",
        "DELETE FROM memory_sets WHERE deployment_id = ?1",
        "DELETE FROM memories WHERE deployment_id = ?1",
        "DELETE FROM forgotten_threads WHERE deployment_id = ?1",
        "DELETE FROM dreams WHERE deployment_id = ?1",
        "DELETE FROM quiet WHERE deployment_id = ?1",
        "DELETE FROM automations WHERE deployment_id = ?1",
        "DELETE FROM automation_runs WHERE deployment_id = ?1",
        "DELETE FROM program_versions WHERE deployment_id = ?1",
        "DELETE FROM program_manifests WHERE deployment_id = ?1",
        "DELETE FROM services WHERE deployment_id = ?1",
        "DELETE FROM jobs WHERE deployment_id = ?1",
        "DELETE FROM events WHERE deployment_id = ?1",
        "DELETE FROM heads WHERE deployment_id = ?1",
        "DELETE FROM deployments WHERE id = ?1",
        "DELETE FROM programs WHERE id = ?1",
    ] {
        execute(connection, sql, params![id.as_str()]).map_err(|error| failed(&error))?;
    }
    Ok(())
}
