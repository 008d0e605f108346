//! Runs: read, list, cancel.

use prism_types::{DeploymentId, Failure, RunId};

use super::{Attempt, Listed, Tell, author::Author, deployments, with_retries};
use crate::{
    core::Core,
    domain::{
        audit::Subject,
        idempotency::Reply,
        run::{Run, RunState},
        tenant::Principal,
    },
    engine::run_log,
    error::{Error, Result, failure},
    ports::{Commit, ListQuery, Write},
};

/// The code of a run that somebody cancelled.
pub(crate) const CANCELLED: &str = "cancelled";

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

/// Ends a run; one that is over stays as it is.
///
/// A run that is worked on is marked first. Guarded by its revision, the end alone would lose to a driver that commits
/// tokens all the time; a driver that finds the mark commits nothing more. Should this process stop in between, the
/// next engine finds the mark and ends the run.
pub(crate) async fn cancel(
    core: &Core,
    author: &Author,
    deployment_id: &DeploymentId,
    id: &RunId,
    tell: impl Tell<Run>,
) -> Result<Reply> {
    let principal = &author.principal;
    let reply = with_retries(|| async {
        let mut run = get(core, principal, deployment_id, id).await?;
        if run.state == RunState::Running && !run.cancelled {
            core.store.commit(Commit::new().with(Write::CancelRun(run.id))).await?;
            run = get(core, principal, deployment_id, id).await?;
        }
        if run.state.is_terminal() {
            let reply = tell(run)?;
            core.store.commit(Commit::new().with_all(author.kept(core, &reply)?)).await?;
            return Ok(reply);
        }
        let (ended, commit) = run_log::end_of(core, run, cancelled()).await?;
        let reply = tell(ended)?;
        let entry = author.entry(core, Subject::in_deployment(deployment_id, id));
        core.store.commit(commit.with(entry).with_all(author.kept(core, &reply)?)).await?;
        Ok::<_, Attempt>(reply)
    })
    .await?;
    core.nudges.run(id.clone());
    Ok(reply)
}

/// Ends an unfinished run that is about to go with its thread.
///
/// # Errors
/// A conflict, when others changed it at the same time.
pub(super) async fn end(core: &Core, mut run: Run) -> Result<(), Attempt> {
    let id = run.id.clone();
    if run.state == RunState::Running && !run.cancelled {
        core.store.commit(Commit::new().with(Write::CancelRun(id.clone()))).await?;
        run = core.store.run(&id).await?.ok_or_else(|| Error::not_found("Run"))?;
    }
    if !run.state.is_terminal() {
        let (_, commit) = run_log::end_of(core, run, cancelled()).await?;
        core.store.commit(commit).await?;
    }
    core.nudges.run(id);
    Ok(())
}

/// Why a run ends that somebody cancelled.
pub(crate) fn cancelled() -> Failure {
    failure(CANCELLED, "the run was cancelled")
}
