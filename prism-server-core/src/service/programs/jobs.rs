//! Jobs: their beginning and their end.

use prism_types::{DeploymentId, InstanceId, RunId, VersionId};

use super::{
    environments::Environment,
    get as deployment,
    services::{config, pending, require_environment},
    version_to_run,
};
use crate::{
    core::Core,
    domain::{
        audit::Subject,
        idempotency::Reply,
        limits,
        program::{
            Mode,
            hosted::Hosted,
            job::{Job, JobCommand, JobState},
            log::Line,
        },
        tenant::Principal,
    },
    error::{Error, Result},
    ids::NewId,
    ports::{Commit, HostedFilter, ListQuery, Write},
    service::{Attempt, Listed, Tell, author::Author, with_retries},
};

/// A job to create; every part was checked by itself.
#[derive(Debug, Clone)]
pub(crate) struct NewJob {
    pub(crate) version_id: Option<VersionId>,
    pub(crate) input: String,
    pub(crate) environment: Environment,
    pub(crate) retain_on_failure: Option<bool>,
    pub(crate) retention_seconds: Option<u32>,
}

/// Creates a job; it is run in the background.
pub(crate) async fn create(
    core: &Core,
    author: &Author,
    id: &DeploymentId,
    new: NewJob,
    tell: impl Tell<Job>,
) -> Result<Reply> {
    let version = version_to_run(core, &author.principal, id, Mode::Job, new.version_id.as_ref()).await?;
    require_environment(&config(&version)?, &new.environment)?;
    let now = core.clock.now();
    let instance_id = InstanceId::generate();
    let mut hosted = Hosted::new(instance_id.clone(), id.clone(), version.id);
    hosted.has_environment = !new.environment.is_empty();
    let job = Job {
        id: RunId::generate(),
        hosted,
        state: JobState::Queued,
        input: new.input,
        retain_on_failure: new.retain_on_failure,
        retention_seconds: new.retention_seconds,
        idempotency_key: author.idempotency_key().unwrap_or_default(),
        exit_code: None,
        outputs: Vec::new(),
        started_at: None,
        ended_at: None,
        created_at: now,
        updated_at: now,
        revision: 0,
    };
    let reply = tell(job.clone())?;
    core.environments.keep(&instance_id, job.hosted.starts, new.environment);
    let commit = Commit::new()
        .with(author.entry(core, Subject::in_deployment(id, &job.id)))
        .with(Write::InsertInstance(pending(&instance_id, id)))
        .with(Write::InsertJob(job, limits::ACTIVE_PROGRAMS))
        .with_all(author.kept(core, &reply)?);
    if let Err(error) = core.store.commit(commit).await {
        core.environments.forget(&instance_id, u32::MAX);
        return Err(error.into());
    }
    core.nudges.hosted(instance_id);
    Ok(reply)
}

/// A job of a deployment of the caller's tenant.
pub(crate) async fn get(core: &Core, principal: &Principal, id: &DeploymentId, job: &RunId) -> Result<Job> {
    deployment(core, principal, id).await?;
    let job = core.store.job(job).await?;
    job.filter(|found| found.hosted.deployment_id == *id).ok_or_else(|| Error::not_found("Run"))
}

/// Jobs of a deployment of the caller's tenant, newest first.
pub(crate) async fn list(
    core: &Core,
    principal: &Principal,
    id: &DeploymentId,
    filter: HostedFilter<JobState>,
    query: ListQuery<RunId>,
) -> Result<Listed<Job, RunId>> {
    deployment(core, principal, id).await?;
    let limit = query.limit;
    let items = core.store.jobs(id, filter, ListQuery { limit: limit + 1, ..query }).await?;
    Ok(Listed::from_one_more(items, limit, |job| job.id.clone()))
}

/// Cancels a job that has not ended: it has from now on, and its process is ended in the background.
pub(crate) async fn cancel(
    core: &Core,
    author: &Author,
    id: &DeploymentId,
    job: &RunId,
    reason: Option<String>,
) -> Result<Job> {
    let job = with_retries(|| async {
        let mut job = get(core, &author.principal, id, job).await?;
        let now = core.clock.now();
        job.apply(JobCommand::Cancel(reason.clone()), now)?;
        let message = match &reason {
            Some(reason) => format!("the run was cancelled: {reason}"),
            None => "the run was cancelled".to_owned(),
        };
        let line = Line::lifecycle(&job.hosted, "run_cancelled", message);
        let commit = Commit::new()
            .with(Write::Append(line.event(&job.hosted, Some(&job.id), now)))
            .with(Write::UpdateJob(job.clone()))
            .with(author.entry(core, Subject::in_deployment(id, &job.id)));
        core.store.commit(commit).await?;
        Ok::<_, Attempt>(job)
    })
    .await?;
    core.environments.forget(&job.hosted.instance_id, u32::MAX);
    core.nudges.hosted(job.hosted.instance_id.clone());
    Ok(job)
}
