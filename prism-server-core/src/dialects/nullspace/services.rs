//! `/v1/agent-deployments/{deployment_id}/services`

use axum::{
    Json,
    extract::{Path, State},
};
use http::{HeaderMap, StatusCode, header::HOST};
use prism_types::nullspace::{LogPage, Page, PublicUrl, ServiceInstance, ServiceUrl};

use super::{Shared, bodies, convert, error::Answer, logs::LogQuery};
use crate::{
    core::Core,
    domain::{
        idempotency::Reply,
        limits,
        program::{
            service::{Service, ServiceState},
            version::Version,
        },
    },
    error::Result,
    http::{change::Change, cursor, gate::Call, query::Query},
    ports::HostedFilter,
    service::programs::{reach, services},
};

pub(super) async fn create(
    State(core): Shared,
    Path(id): Path<String>,
    mut change: Change,
) -> Result<Reply, Answer> {
    let id = convert::deployment_id(&id)?;
    let (version, environment) = bodies::create_service(&change.json().await?)?;
    let created = change.carry_out(&core, move |core, author| async move {
        // It has no sandbox yet, and so no URL, which is never kept.
        let tell = |record| Reply::json(StatusCode::CREATED, &convert::service(&record, None)?);
        services::create(&core, &author, &id, version, environment, tell).await
    });
    Ok(created.await?)
}

pub(super) async fn list(
    State(core): Shared,
    Path(id): Path<String>,
    call: Call,
) -> Result<Json<Page<ServiceInstance>>, Answer> {
    let id = convert::deployment_id(&id)?;
    let mut query = Query::parse(call.request.uri().query());
    let filter = HostedFilter {
        state: query.word("status", ServiceState::ALL, ServiceState::as_str),
        version: query.read("version_id", convert::version_of_query),
    };
    let page = query.page_of(limits::PROGRAM_PAGE);
    query.finish()?;
    let host = host(call.request.headers());
    let listed = services::list(&core, &call.principal, &id, filter, page).await?;
    let mut items = Vec::with_capacity(listed.items.len());
    for record in listed.items {
        let version = services::version_of(&core, &record).await?;
        items.push(told(&core, &record, &version, host.as_deref()).await?);
    }
    Ok(Json(Page::new(items, listed.next.as_ref().map(cursor::encode))))
}

pub(super) async fn get(
    State(core): Shared,
    Path((id, service)): Path<(String, String)>,
    call: Call,
) -> Result<Json<ServiceInstance>, Answer> {
    let (id, service_id) = (convert::deployment_id(&id)?, convert::instance_id(&service)?);
    let host = host(call.request.headers());
    let (record, version) = services::get(&core, &call.principal, &id, &service_id).await?;
    Ok(Json(told(&core, &record, &version, host.as_deref()).await?))
}

pub(super) async fn stop(
    State(core): Shared,
    Path((id, service)): Path<(String, String)>,
    mut change: Change,
) -> Result<Json<ServiceInstance>, Answer> {
    let (id, service_id) = (convert::deployment_id(&id)?, convert::instance_id(&service)?);
    let (reason, keeps_sandbox) = bodies::stop_service(&change.json().await?)?;
    let host = host(change.headers());
    let stopped = change.carry_out(&core, move |core, author| async move {
        services::stop(&core, &author, &id, &service_id, reason, keeps_sandbox).await
    });
    let (record, version) = stopped.await?;
    Ok(Json(told(&core, &record, &version, host.as_deref()).await?))
}

pub(super) async fn restart(
    State(core): Shared,
    Path((id, service)): Path<(String, String)>,
    mut change: Change,
) -> Result<Json<ServiceInstance>, Answer> {
    let (id, service_id) = (convert::deployment_id(&id)?, convert::instance_id(&service)?);
    let (reason, environment) = bodies::restart_service(&change.json().await?)?;
    let host = host(change.headers());
    let restarted = change.carry_out(&core, move |core, author| async move {
        services::restart(&core, &author, &id, &service_id, reason, environment).await
    });
    let (record, version) = restarted.await?;
    Ok(Json(told(&core, &record, &version, host.as_deref()).await?))
}

pub(super) async fn logs(
    State(core): Shared,
    Path((id, service)): Path<(String, String)>,
    call: Call,
) -> Result<Json<LogPage>, Answer> {
    let (id, service_id) = (convert::deployment_id(&id)?, convert::instance_id(&service)?);
    let query = LogQuery::parse(call.request.uri().query())?;
    let (record, _) = services::get(&core, &call.principal, &id, &service_id).await?;
    Ok(Json(query.page(&core, &record.hosted, None).await?))
}

pub(super) async fn url(
    State(core): Shared,
    Path((id, service)): Path<(String, String)>,
    call: Call,
) -> Result<Json<ServiceUrl>, Answer> {
    let (id, service_id) = (convert::deployment_id(&id)?, convert::instance_id(&service)?);
    let host = host(call.request.headers());
    let (record, version) = services::get(&core, &call.principal, &id, &service_id).await?;
    Ok(Json(ServiceUrl::of(&told(&core, &record, &version, host.as_deref()).await?)))
}

/// A service as it is told now: each time with a URL of its own, where it has one.
async fn told(
    core: &Core,
    record: &Service,
    version: &Version,
    host: Option<&str>,
) -> Result<ServiceInstance> {
    let url = reach::public_url(core, record, version, host).await?;
    convert::service(record, url.map(|url| PublicUrl::new(url.expose())))
}

/// Under which name the caller reached us.
pub(super) fn host(headers: &HeaderMap) -> Option<String> {
    headers.get(HOST).and_then(|host| host.to_str().ok()).map(str::to_owned)
}
