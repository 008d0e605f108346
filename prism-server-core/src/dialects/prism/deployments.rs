//! `/v1/deployments`

use axum::{
    Json,
    extract::{Path, State},
};
use http::StatusCode;
use prism_types::{DeletedDeployment, Deployment, DeploymentStatus, DeploymentSummary, Page};

use super::{Call, Shared, bodies, deployment_id, encode, error::Answer};
use crate::{
    domain::deployment::DeploymentState,
    http::{body::read_json, cursor, detach::detached, query::Query},
    ports::DeploymentFilter,
    service::deployments,
};

pub(super) async fn create(
    State(core): Shared,
    call: Call,
) -> Result<(StatusCode, Json<Deployment>), Answer> {
    let (parts, body) = call.request.into_parts();
    let body = read_json(&parts.headers, body).await?;
    let new = bodies::create_deployment(&body, &core.settings.default_sandbox)?;
    let base_url = encode::base_url(&core, &parts.headers);
    let (work_core, principal) = (core.clone(), call.principal);
    let created =
        detached(&core, async move { deployments::create(&work_core, &principal, new).await }).await?;
    Ok((StatusCode::CREATED, Json(encode::deployment(created, &base_url))))
}

pub(super) async fn list(State(core): Shared, call: Call) -> Result<Json<Page<DeploymentSummary>>, Answer> {
    let mut query = Query::parse(call.request.uri().query());
    let page = query.page();
    let customer_id = query.text("customer_id");
    let state = query.read("status", |status| {
        let state = DeploymentState::parse(status).filter(|state| *state != DeploymentState::Deleted);
        let all: Vec<_> = DeploymentStatus::KNOWN.iter().map(|known| format!("`{known}`")).collect();
        state.ok_or_else(|| format!("must be {}", all.join(" or ")))
    });
    query.finish()?;
    let filter = DeploymentFilter { customer_id, state };
    let listed = deployments::list(&core, &call.principal, filter, page).await?;
    let data = listed.items.into_iter().map(encode::summary).collect();
    Ok(Json(Page::new(data, listed.next.as_ref().map(cursor::encode))))
}

pub(super) async fn get(
    State(core): Shared,
    Path(id): Path<String>,
    call: Call,
) -> Result<Json<Deployment>, Answer> {
    let found = deployments::get(&core, &call.principal, &deployment_id(&id)?).await?;
    let base_url = encode::base_url(&core, call.request.headers());
    Ok(Json(encode::deployment(found, &base_url)))
}

pub(super) async fn update(
    State(core): Shared,
    Path(id): Path<String>,
    call: Call,
) -> Result<Json<Deployment>, Answer> {
    let id = deployment_id(&id)?;
    let (parts, body) = call.request.into_parts();
    deployments::get(&core, &call.principal, &id).await?;
    let body = read_json(&parts.headers, body).await?;
    let change = bodies::update_deployment(&body)?;
    let (work_core, principal) = (core.clone(), call.principal);
    let updated =
        detached(&core, async move { deployments::update(&work_core, &principal, &id, change).await })
            .await?;
    Ok(Json(encode::deployment(updated, &encode::base_url(&core, &parts.headers))))
}

pub(super) async fn delete(
    State(core): Shared,
    Path(id): Path<String>,
    call: Call,
) -> Result<Json<DeletedDeployment>, Answer> {
    let id = deployment_id(&id)?;
    deployments::get(&core, &call.principal, &id).await?;
    let mut query = Query::parse(call.request.uri().query());
    query.read("retain_filesystem", |text| match text {
        "false" => Ok(()),
        "true" => {
            Err("cannot be `true` on this server yet: it keeps no workspaces of deleted deployments"
                .to_owned())
        }
        _ => Err("must be `true` or `false`".to_owned()),
    });
    query.finish()?;
    let (work_core, work_id) = (core.clone(), id.clone());
    let work = async move { deployments::delete(&work_core, &call.principal, &work_id).await };
    detached(&core, work).await?;
    Ok(Json(DeletedDeployment::new(id)))
}
