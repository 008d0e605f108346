//! Services: their beginning, their end, and their beginning again.

use prism_types::{DeploymentId, InstanceId, Problem, VersionId};

use super::{environments::Environment, get as deployment, version_to_run};
use crate::{
    core::Core,
    domain::{
        audit::Subject,
        idempotency::Reply,
        instance::{Instance, InstanceState},
        limits,
        program::{
            Mode,
            config::ProgramConfig,
            hosted::Hosted,
            log::Line,
            service::{Service, ServiceCommand, ServiceState},
            version::Version,
        },
        tenant::Principal,
    },
    error::{Error, Result},
    ids::NewId,
    ports::{Commit, HostedFilter, ListQuery, Write},
    service::{Attempt, Listed, Tell, author::Author, with_retries},
};

/// Creates a service; it is started in the background.
pub(crate) async fn create(
    core: &Core,
    author: &Author,
    id: &DeploymentId,
    version_id: Option<VersionId>,
    environment: Environment,
    tell: impl Tell<Service>,
) -> Result<Reply> {
    let version = version_to_run(core, &author.principal, id, Mode::Service, version_id.as_ref()).await?;
    let config = config(&version)?;
    require_environment(&config, &environment)?;
    let port = config.service.as_ref().map(|service| service.port);
    let port = port.ok_or_else(|| Error::internal("a version of a service has no port"))?;
    let now = core.clock.now();
    let instance_id = InstanceId::generate();
    let mut hosted = Hosted::new(instance_id.clone(), id.clone(), version.id);
    hosted.has_environment = !environment.is_empty();
    let service = Service {
        hosted,
        state: ServiceState::Starting,
        port,
        readiness: None,
        idempotency_key: author.idempotency_key().unwrap_or_default(),
        keeps_sandbox: false,
        started_at: None,
        stopped_at: None,
        created_at: now,
        updated_at: now,
        revision: 0,
    };
    let reply = tell(service.clone())?;
    core.environments.keep(&instance_id, service.hosted.starts, environment);
    let commit = Commit::new()
        .with(author.entry(core, Subject::in_deployment(id, &instance_id)))
        .with(Write::InsertInstance(pending(&instance_id, id)))
        .with(Write::InsertService(service, limits::ACTIVE_PROGRAMS))
        .with_all(author.kept(core, &reply)?);
    if let Err(error) = core.store.commit(commit).await {
        core.environments.forget(&instance_id, u32::MAX);
        return Err(error.into());
    }
    core.nudges.hosted(instance_id);
    Ok(reply)
}

/// A service of a deployment of the caller's tenant.
pub(crate) async fn get(
    core: &Core,
    principal: &Principal,
    id: &DeploymentId,
    service: &InstanceId,
) -> Result<(Service, Version)> {
    deployment(core, principal, id).await?;
    let service = core.store.service(service).await?;
    let service = service.filter(|found| found.hosted.deployment_id == *id);
    let service = service.ok_or_else(|| Error::not_found("Service"))?;
    let version = super::version(core, id, &service.hosted.version_id).await?;
    Ok((service, version))
}

/// Services of a deployment of the caller's tenant, newest first.
pub(crate) async fn list(
    core: &Core,
    principal: &Principal,
    id: &DeploymentId,
    filter: HostedFilter<ServiceState>,
    query: ListQuery<InstanceId>,
) -> Result<Listed<Service, InstanceId>> {
    deployment(core, principal, id).await?;
    let limit = query.limit;
    let items = core.store.services(id, filter, ListQuery { limit: limit + 1, ..query }).await?;
    Ok(Listed::from_one_more(items, limit, |service| service.id().clone()))
}

/// Asks a service to stop. One that has ended already stays as it is.
pub(crate) async fn stop(
    core: &Core,
    author: &Author,
    id: &DeploymentId,
    service: &InstanceId,
    reason: Option<String>,
    keeps_sandbox: bool,
) -> Result<(Service, Version)> {
    change(core, author, id, service, |service| {
        let has_ended = service.state.is_terminal();
        service.keeps_sandbox |= keeps_sandbox;
        service.apply(ServiceCommand::Stop, core.clock.now())?;
        Ok((!has_ended).then(|| said(service, "service_stop_requested", "to stop", reason.as_deref())))
    })
    .await
}

/// Asks a service to start again, whatever it does now.
pub(crate) async fn restart(
    core: &Core,
    author: &Author,
    id: &DeploymentId,
    service: &InstanceId,
    reason: Option<String>,
    environment: Environment,
) -> Result<(Service, Version)> {
    let (found, _) = get(core, &author.principal, id, service).await?;
    let version =
        version_to_run(core, &author.principal, id, Mode::Service, Some(&found.hosted.version_id)).await?;
    require_environment(&config(&version)?, &environment)?;
    change(core, author, id, service, |service| {
        service.apply(ServiceCommand::Restart, core.clock.now())?;
        service.hosted.has_environment = !environment.is_empty();
        core.environments.keep(service.id(), service.hosted.starts, environment.clone());
        Ok(Some(said(service, "service_restart_requested", "to start again", reason.as_deref())))
    })
    .await
}

async fn change(
    core: &Core,
    author: &Author,
    id: &DeploymentId,
    service: &InstanceId,
    decide: impl Fn(&mut Service) -> Result<Option<Line>>,
) -> Result<(Service, Version)> {
    let changed = with_retries(|| async {
        let (mut service, version) = get(core, &author.principal, id, service).await?;
        let line = decide(&mut service)?;
        let event = line.map(|line| line.event(&service.hosted, None, core.clock.now()));
        let commit = Commit::new()
            .with_all(event.map(Write::Append))
            .with(Write::UpdateService(service.clone()))
            .with(author.entry(core, Subject::in_deployment(id, service.id())));
        core.store.commit(commit).await?;
        Ok::<_, Attempt>((service, version))
    })
    .await?;
    core.nudges.hosted(service.clone());
    Ok(changed)
}

/// What the log says of somebody's wish.
fn said(service: &Service, kind: &str, wish: &str, reason: Option<&str>) -> Line {
    let message = match reason {
        Some(reason) => format!("the service was asked {wish}: {reason}"),
        None => format!("the service was asked {wish}"),
    };
    Line::lifecycle(&service.hosted, kind, message)
}

/// The version that a service runs.
pub(crate) async fn version_of(core: &Core, service: &Service) -> Result<Version> {
    super::version(core, &service.hosted.deployment_id, &service.hosted.version_id).await
}

/// A sandbox that is to be made.
pub(super) fn pending(instance: &InstanceId, deployment: &DeploymentId) -> Instance {
    Instance {
        id: instance.clone(),
        deployment_id: deployment.clone(),
        state: InstanceState::Pending,
        restarts: 0,
        restores: None,
        revision: 0,
    }
}

/// How a version is run.
pub(crate) fn config(version: &Version) -> Result<ProgramConfig> {
    let config = serde_json::from_str(&version.config).map_err(Error::internal)?;
    ProgramConfig::parse(&config)
        .map_err(|_| Error::internal("the configuration of a version is not what it was"))
}

/// Refuses to start what does not get the variables that it needs.
pub(super) fn require_environment(config: &ProgramConfig, environment: &Environment) -> Result<()> {
    let missing = config.env.required.iter().filter(|name| !environment.has(name));
    let problems: Vec<_> = missing
        .map(|name| Problem::new(format!("$.envs.{name}"), "is required by the version that is to run"))
        .collect();
    if problems.is_empty() { Ok(()) } else { Err(Error::invalid(problems)) }
}
