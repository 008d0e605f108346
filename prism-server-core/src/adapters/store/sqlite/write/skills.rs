//! Skills of deployments. A new one gets the place behind the last; where one was removed there is a gap.

use prism_types::{DeploymentId, SkillId};
use rusqlite::{Connection, params};

use super::{
    super::super::storable, execute, existed, failed, failure, found, has_deployment, insert as run_insert,
    refused,
};
use crate::{
    domain::skill::SkillRecord,
    ports::{StoreError, StoreResult},
};

pub(super) fn replace(
    connection: &Connection,
    deployment: &DeploymentId,
    skills: &[SkillRecord],
) -> StoreResult<()> {
    existed("deployment", has_deployment(connection, deployment.as_str())?)?;
    execute(connection, "DELETE FROM skills WHERE deployment_id = ?1", params![deployment.as_str()])
        .map_err(|error| failed(&error))?;
    skills.iter().try_for_each(|skill| insert_into(connection, deployment, skill).map(drop))
}

pub(super) fn insert(connection: &Connection, skill: &SkillRecord) -> StoreResult<()> {
    existed("deployment", insert_into(connection, &skill.deployment_id, skill)?)
}

pub(super) fn update(connection: &Connection, skill: &SkillRecord) -> StoreResult<()> {
    let revision = storable(skill.revision, "skills.revision")?;
    let updated = execute(
        connection,
        "UPDATE skills SET name = ?4, source = ?5, location = ?6, state = ?7, description = ?8, content = ?9,
             error = ?10, revision = revision + 1
         WHERE id = ?1 AND revision = ?2 AND deployment_id = ?3",
        params![
            skill.id.as_str(),
            revision,
            skill.deployment_id.as_str(),
            skill.name,
            skill.source.as_str(),
            skill.location,
            skill.state.as_str(),
            skill.description,
            skill.content,
            failure(skill.error.as_ref(), "skills.error")?,
        ],
    );
    if updated.map_err(refused("skill"))? > 0 {
        return Ok(());
    }
    let exists = "SELECT 1 FROM skills WHERE id = ?1 AND deployment_id = ?2";
    existed("skill", found(connection, exists, params![skill.id.as_str(), skill.deployment_id.as_str()])?)?;
    Err(StoreError::Conflict("skill"))
}

pub(super) fn remove(connection: &Connection, deployment: &DeploymentId, id: &SkillId) -> StoreResult<()> {
    let removed = execute(
        connection,
        "DELETE FROM skills WHERE id = ?1 AND deployment_id = ?2",
        params![id.as_str(), deployment.as_str()],
    );
    existed("skill", removed.map_err(|error| failed(&error))? > 0)
}

/// Adds a skill behind all others; whether the deployment exists.
fn insert_into(connection: &Connection, deployment: &DeploymentId, skill: &SkillRecord) -> StoreResult<bool> {
    let revision = storable(skill.revision, "skills.revision")?;
    run_insert(
        connection,
        "skill",
        "INSERT INTO skills (id, deployment_id, position, name, source, location, state, description,
             content, error, created_at, revision)
         SELECT ?1, ?2, (SELECT COALESCE(max(position) + 1, 0) FROM skills WHERE deployment_id = ?2),
             ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11
         WHERE EXISTS (SELECT 1 FROM heads WHERE deployment_id = ?2)",
        params![
            skill.id.as_str(),
            deployment.as_str(),
            skill.name,
            skill.source.as_str(),
            skill.location,
            skill.state.as_str(),
            skill.description,
            skill.content,
            failure(skill.error.as_ref(), "skills.error")?,
            skill.created_at.as_millis(),
            revision,
        ],
    )
}
