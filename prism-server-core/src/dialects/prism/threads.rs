//! `/v1/deployments/{deployment_id}/threads`

use axum::{
    Json,
    extract::{Path, State},
};
use http::StatusCode;
use prism_types::{Page, Thread, ThreadSummary};

use super::{Call, Shared, bodies, deployment_id, encode, error::Answer, path_id};
use crate::{
    http::{body::read_json, cursor, detach::detached, query::Query},
    service::{deployments, threads},
};

pub(super) async fn create(
    State(core): Shared,
    Path(id): Path<String>,
    call: Call,
) -> Result<(StatusCode, Json<Thread>), Answer> {
    let id = deployment_id(&id)?;
    let (parts, body) = call.request.into_parts();
    deployments::get(&core, &call.principal, &id).await?;
    let title = bodies::create_thread(&read_json(&parts.headers, body).await?)?;
    let (work_core, principal) = (core.clone(), call.principal);
    let created =
        detached(&core, async move { threads::create(&work_core, &principal, &id, title).await }).await?;
    Ok((StatusCode::CREATED, Json(encode::thread(created, Vec::new()))))
}

pub(super) async fn update(
    State(core): Shared,
    Path((id, thread)): Path<(String, String)>,
    call: Call,
) -> Result<Json<Thread>, Answer> {
    let id = deployment_id(&id)?;
    let thread = path_id(&thread, "Thread")?;
    let (parts, body) = call.request.into_parts();
    threads::find(&core, &call.principal, &id, &thread).await?;
    let title = bodies::update_thread(&read_json(&parts.headers, body).await?)?;
    let (work_core, principal) = (core.clone(), call.principal);
    let updated = detached(&core, async move {
        threads::rename(&work_core, &principal, &id, &thread, title).await?;
        threads::get(&work_core, &principal, &id, &thread).await
    });
    let (view, messages) = updated.await?;
    Ok(Json(encode::thread(view, messages)))
}

pub(super) async fn list(
    State(core): Shared,
    Path(id): Path<String>,
    call: Call,
) -> Result<Json<Page<ThreadSummary>>, Answer> {
    let id = deployment_id(&id)?;
    let mut query = Query::parse(call.request.uri().query());
    let page = query.page();
    query.finish()?;
    let listed = threads::list(&core, &call.principal, &id, page).await?;
    let data = listed.items.into_iter().map(encode::thread_summary).collect();
    Ok(Json(Page::new(data, listed.next.as_ref().map(cursor::encode))))
}

pub(super) async fn get(
    State(core): Shared,
    Path((id, thread)): Path<(String, String)>,
    call: Call,
) -> Result<Json<Thread>, Answer> {
    let id = deployment_id(&id)?;
    let thread = path_id(&thread, "Thread")?;
    let (view, messages) = threads::get(&core, &call.principal, &id, &thread).await?;
    Ok(Json(encode::thread(view, messages)))
}
