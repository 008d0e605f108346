//! `/v1/deployments`

use axum::{
    Json,
    extract::{Path, State},
    response::{IntoResponse, Response},
};
use http::{StatusCode, header::ETAG};
use prism_types::{DeletedDeployment, DeploymentStatus, DeploymentSummary, Page};

use super::{Call, Shared, bodies, deployment_id, encode, error::Answer};
use crate::{
    domain::{
        deployment::{Deployment, DeploymentState},
        idempotency::Reply,
        precondition::etag,
    },
    http::{
        change::Change,
        conditions::{if_match, if_none_match},
        cursor,
        query::Query,
    },
    ports::DeploymentFilter,
    service::deployments,
};

pub(super) async fn create(State(core): Shared, mut change: Change) -> Result<Reply, Answer> {
    let body = change.json().await?;
    let new = bodies::create_deployment(&body, &core.settings.default_sandbox)?;
    let base_url = encode::base_url(&core, change.headers());
    let created = change.carry_out(&core, |core, author| async move {
        let tell = |deployment| reply(StatusCode::CREATED, deployment, &base_url);
        deployments::create(&core, &author, new, tell).await
    });
    Ok(created.await?)
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

pub(super) async fn get(State(core): Shared, Path(id): Path<String>, call: Call) -> Result<Response, Answer> {
    let found = deployments::get(&core, &call.principal, &deployment_id(&id)?).await?;
    let etag = etag(found.revision);
    if if_none_match(call.request.headers())?.is_some_and(|known| known.name_weakly(&etag)) {
        return Ok((StatusCode::NOT_MODIFIED, [(ETAG, etag)]).into_response());
    }
    let base_url = encode::base_url(&core, call.request.headers());
    Ok(reply(StatusCode::OK, found, &base_url)?.into_response())
}

pub(super) async fn update(
    State(core): Shared,
    Path(id): Path<String>,
    mut change: Change,
) -> Result<Reply, Answer> {
    let id = deployment_id(&id)?;
    deployments::get(&core, change.principal(), &id).await?;
    let (seen, base_url) = (if_match(change.headers())?, encode::base_url(&core, change.headers()));
    let update = bodies::update_deployment(&change.json().await?)?;
    let updated = change.carry_out(&core, |core, author| async move {
        deployments::update(&core, &author, &id, seen.as_ref(), update).await
    });
    Ok(reply(StatusCode::OK, updated.await?, &base_url)?)
}

pub(super) async fn delete(
    State(core): Shared,
    Path(id): Path<String>,
    change: Change,
) -> Result<Json<DeletedDeployment>, Answer> {
    let id = deployment_id(&id)?;
    deployments::get(&core, change.principal(), &id).await?;
    let mut query = Query::parse(change.parts.uri.query());
    let retains = query.read("retain_filesystem", |text| match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err("must be `true` or `false`".to_owned()),
    });
    query.finish()?;
    let (retains, seen) = (retains.unwrap_or_default(), if_match(change.headers())?);
    let deleted = DeletedDeployment::new(id.clone());
    let work = change.carry_out(&core, move |core, author| async move {
        deployments::delete(&core, &author, &id, retains, seen.as_ref()).await
    });
    Ok(Json(deleted.snapshot_id(work.await?)))
}

/// A deployment with its entity tag.
fn reply(status: StatusCode, deployment: Deployment, base_url: &str) -> crate::error::Result<Reply> {
    let etag = etag(deployment.revision);
    Ok(Reply::json(status, &encode::deployment(deployment, base_url))?.etag(etag))
}
