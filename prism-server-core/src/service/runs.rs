//! Runs: read, list.

use prism_types::{DeploymentId, RunId};

use super::{Listed, deployments};
use crate::{
    core::Core,
    domain::{run::Run, tenant::Principal},
    error::{Error, Result},
    ports::ListQuery,
};

/// A run of a deployment.
pub(crate) async fn get(
    core: &Core,
    principal: &Principal,
    deployment_id: &DeploymentId,
    id: &RunId,
) -> Result<Run> {
    deployments::get(core, principal, deployment_id).await?;
    let run = core.store.run(id).await?.filter(|run| run.deployment_id == *deployment_id);
    run.ok_or_else(|| Error::not_found("Run"))
}

/// The runs of a deployment, newest first.
pub(crate) async fn list(
    core: &Core,
    principal: &Principal,
    deployment_id: &DeploymentId,
    query: ListQuery<RunId>,
) -> Result<Listed<Run, RunId>> {
    deployments::get(core, principal, deployment_id).await?;
    let limit = query.limit;
    let items = core.store.runs(deployment_id, ListQuery { limit: limit + 1, ..query }).await?;
    Ok(Listed::from_one_more(items, limit, |run| run.id.clone()))
}
