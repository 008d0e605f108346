//! Sandboxes of jobs and services, for whoever looks into them.

use std::sync::Arc;

use prism_types::{InstanceId, Secret, Timestamp};

use super::{reach, services::config};
use crate::{
    core::Core,
    domain::{
        program::{
            ProgramState,
            config::ProgramConfig,
            hosted::{Hosted, Stage},
        },
        tenant::Principal,
    },
    error::{Error, Result},
    ports::Workspace,
};

/// The sandbox of a job or a service.
pub(crate) struct Backing {
    pub(crate) hosted: Hosted,
    pub(crate) config: ProgramConfig,
    pub(crate) created_at: Timestamp,
    /// What requests for its service need besides a token; `None`: nothing.
    pub(crate) traffic_token: Option<Secret>,
    pub(crate) workspace: Arc<dyn Workspace>,
}

/// The sandbox of a job or a service of the caller's tenant.
pub(crate) async fn get(core: &Core, principal: &Principal, id: &InstanceId) -> Result<Backing> {
    let not_found = || Error::not_found("Sandbox");
    let service = core.store.service(id).await?;
    let (hosted, created_at) = match &service {
        Some(service) => (service.hosted.clone(), service.created_at),
        None => {
            let job = core.store.job_in(id).await?.ok_or_else(not_found)?;
            (job.hosted, job.created_at)
        }
    };
    let deployment = core.store.program(&hosted.deployment_id).await?;
    let owned = deployment.is_some_and(|deployment| {
        deployment.tenant_id == principal.tenant_id && deployment.state != ProgramState::Deleted
    });
    if !owned || hosted.stage == Stage::Empty {
        return Err(not_found());
    }
    let version = super::version(core, &hosted.deployment_id, &hosted.version_id).await?;
    let sandboxes = core.sandbox(&version.sandbox).ok_or_else(not_found)?;
    let workspace = sandboxes.workspace(id).await.map_err(Error::internal)?.ok_or_else(not_found)?;
    let traffic_token = match &service {
        Some(service) => reach::traffic_token(core, service, &principal.tenant_id, &version)?,
        None => None,
    };
    Ok(Backing { config: config(&version)?, hosted, created_at, traffic_token, workspace })
}
