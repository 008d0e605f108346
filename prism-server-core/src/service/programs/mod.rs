//! Programs: deployments, versions, jobs and services of what users bring along.
//!
//! Everything here records what is wanted; the engine ([`crate::engine::programs`]) makes it so.

pub(crate) mod environments;
pub(crate) mod jobs;
pub(crate) mod logs;
pub(crate) mod reach;
pub(crate) mod sandboxes;
pub(crate) mod services;
pub(crate) mod versions;

use prism_types::{DeploymentId, Patch, VersionId};

use super::{Attempt, Listed, Tell, author::Author, with_retries};
use crate::{
    core::Core,
    domain::{
        audit::Subject,
        idempotency::Reply,
        program::{
            Mode, ProgramCommand, ProgramDeployment, ProgramState,
            version::{Version, VersionCommand},
        },
        tenant::Principal,
    },
    error::{Error, ErrorKind, Result},
    ids::NewId,
    ports::{Commit, ListQuery, ProgramFilter, StoreError, Write},
};

/// A deployment of a program to create; every part was checked by itself.
#[derive(Debug, Clone)]
pub(crate) struct NewProgram {
    pub(crate) name: String,
    pub(crate) mode: Mode,
    pub(crate) description: Option<String>,
    pub(crate) metadata: String,
}

/// What to change of a deployment of a program; every part was checked by itself.
#[derive(Debug, Clone, Default)]
pub(crate) struct ProgramChange {
    pub(crate) name: Option<String>,
    pub(crate) description: Patch<String>,
    pub(crate) is_paused: Option<bool>,
    pub(crate) active_version: Option<VersionId>,
    pub(crate) metadata: Option<String>,
}

/// Creates a deployment.
pub(crate) async fn create(
    core: &Core,
    author: &Author,
    new: NewProgram,
    tell: impl Tell<ProgramDeployment>,
) -> Result<Reply> {
    let now = core.clock.now();
    let deployment = ProgramDeployment {
        id: DeploymentId::generate(),
        tenant_id: author.principal.tenant_id.clone(),
        name: new.name,
        mode: new.mode,
        description: new.description,
        metadata: new.metadata,
        state: ProgramState::Active,
        active_version: None,
        last_version: 0,
        created_at: now,
        updated_at: now,
        deleted_at: None,
        revision: 0,
    };
    let reply = tell(deployment.clone())?;
    let commit = Commit::new()
        .with(author.entry(core, Subject::deployment(&deployment.id)))
        .with(Write::InsertProgram(deployment))
        .with_all(author.kept(core, &reply)?);
    core.store.commit(commit).await.map_err(name_taken)?;
    Ok(reply)
}

/// A deployment of the caller's tenant.
pub(crate) async fn get(core: &Core, principal: &Principal, id: &DeploymentId) -> Result<ProgramDeployment> {
    let deployment = core.store.program(id).await?;
    deployment
        .filter(|found| found.tenant_id == principal.tenant_id && found.state != ProgramState::Deleted)
        .ok_or_else(|| Error::not_found("Deployment"))
}

/// Deployments of the caller's tenant, newest first.
pub(crate) async fn list(
    core: &Core,
    principal: &Principal,
    filter: ProgramFilter,
    query: ListQuery<DeploymentId>,
) -> Result<Listed<ProgramDeployment, DeploymentId>> {
    let limit = query.limit;
    let one_more = ListQuery { limit: limit + 1, ..query };
    let items = core.store.programs(&principal.tenant_id, filter, one_more).await?;
    Ok(Listed::from_one_more(items, limit, |deployment| deployment.id.clone()))
}

/// Changes a deployment. What runs goes on as it is.
pub(crate) async fn update(
    core: &Core,
    author: &Author,
    id: &DeploymentId,
    change: ProgramChange,
) -> Result<ProgramDeployment> {
    with_retries(|| async {
        let mut deployment = get(core, &author.principal, id).await?;
        let ProgramChange { name, description, is_paused, active_version, metadata } = change.clone();
        let mut commit = Commit::new();
        if let Some(version_id) = active_version {
            let versions = activation(core, &deployment, &version_id).await?;
            commit = commit.with_all(versions.into_iter().map(Write::UpdateVersion));
            deployment.active_version = Some(version_id);
        }
        let command = match is_paused {
            Some(true) => ProgramCommand::Pause,
            Some(false) => ProgramCommand::Activate,
            None if deployment.state == ProgramState::Paused => ProgramCommand::Pause,
            None => ProgramCommand::Activate,
        };
        deployment.apply(command, core.clock.now())?;
        if let Some(name) = name {
            deployment.name = name;
        }
        deployment.description = description.apply(deployment.description);
        if let Some(metadata) = metadata {
            deployment.metadata = metadata;
        }
        let name_before = core.store.program_named(&deployment.tenant_id, &deployment.name).await?;
        if name_before.is_some_and(|other| other.id != deployment.id) {
            return Err(Attempt::Failed(name_taken(StoreError::Conflict("name"))));
        }
        let commit = commit
            .with(Write::UpdateProgram(deployment.clone()))
            .with(author.entry(core, Subject::deployment(id)));
        core.store.commit(commit).await?;
        Ok::<_, Attempt>(deployment)
    })
    .await
}

/// Deletes a deployment: from now on it is not found; what it has is ended and removed in the background.
pub(crate) async fn delete(core: &Core, author: &Author, id: &DeploymentId) -> Result<()> {
    with_retries(|| async {
        let mut deployment = get(core, &author.principal, id).await?;
        deployment.apply(ProgramCommand::Delete, core.clock.now())?;
        let commit = Commit::new()
            .with(Write::UpdateProgram(deployment))
            .with(author.entry(core, Subject::deployment(id)));
        core.store.commit(commit).await?;
        Ok::<_, Attempt>(())
    })
    .await?;
    core.nudges.programs();
    Ok(())
}

/// What becomes of the versions of a deployment when one of them becomes the active one.
async fn activation(
    core: &Core,
    deployment: &ProgramDeployment,
    version_id: &VersionId,
) -> Result<Vec<Version>> {
    let mut version = version(core, &deployment.id, version_id).await?;
    version.apply(VersionCommand::Activate)?;
    let mut changed = vec![version];
    if let Some(before) = deployment.active_version.as_ref().filter(|before| *before != version_id) {
        let mut before = self::version(core, &deployment.id, before).await?;
        before.apply(VersionCommand::Supersede)?;
        changed.push(before);
    }
    Ok(changed)
}

/// A version of a deployment.
async fn version(core: &Core, deployment: &DeploymentId, id: &VersionId) -> Result<Version> {
    let version = core.store.version(id).await?;
    version.filter(|found| found.deployment_id == *deployment).ok_or_else(|| Error::not_found("Version"))
}

/// The version that a job or a service of this mode is to run, with its deployment.
async fn version_to_run(
    core: &Core,
    principal: &Principal,
    id: &DeploymentId,
    mode: Mode,
    version_id: Option<&VersionId>,
) -> Result<Version> {
    let deployment = get(core, principal, id).await?;
    let impossible = |message: String| Error::new(ErrorKind::InvalidState, message);
    if deployment.mode != mode {
        let (is, other) = (deployment.mode.as_str(), mode.as_str());
        return Err(impossible(format!(
            "The deployment is of mode {is}, and this needs one of mode {other}."
        )));
    }
    if deployment.state == ProgramState::Paused {
        return Err(impossible("The deployment is paused. Set its status to `active` first.".to_owned()));
    }
    let Some(version_id) = version_id.or(deployment.active_version.as_ref()) else {
        let message = "The deployment has no active version. Create a version and upload its bundle first.";
        return Err(impossible(message.to_owned()));
    };
    let version = version(core, id, version_id).await?;
    if !version.state.is_usable() {
        let state = version.state.as_str();
        return Err(impossible(format!("The version is {state}, and only one that is ready can be run.")));
    }
    Ok(version)
}

/// Of a commit with a name, a conflict is about the name, or about something that changed at the same time.
fn name_taken(error: StoreError) -> Error {
    match error {
        StoreError::Conflict(_) => {
            let message = "Another deployment has this name. Choose another name, or delete that one first.";
            Error::new(ErrorKind::NameTaken, message)
        }
        error => error.into(),
    }
}
