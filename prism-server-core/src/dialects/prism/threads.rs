//! `/v1/deployments/{deployment_id}/threads`

use axum::{
    Json,
    extract::{Path, State},
};
use http::StatusCode;
use prism_types::{DeletedThread, Page, Thread, ThreadId, ThreadSummary};

use super::{Call, Shared, bodies, deployment_id, encode, error::Answer, path_id};
use crate::{
    domain::idempotency::Reply,
    http::{change::Change, cursor, query::Query},
    service::{deployments, threads},
};

pub(super) async fn create(
    State(core): Shared,
    Path(id): Path<String>,
    mut change: Change,
) -> Result<Reply, Answer> {
    let id = deployment_id(&id)?;
    deployments::get(&core, change.principal(), &id).await?;
    let title = bodies::create_thread(&change.json().await?)?;
    let created = change.carry_out(&core, |core, author| async move {
        let tell = |view| Reply::json(StatusCode::CREATED, &encode::thread(view, Vec::new()));
        threads::create(&core, &author, &id, title, tell).await
    });
    Ok(created.await?)
}

pub(super) async fn update(
    State(core): Shared,
    Path((id, thread)): Path<(String, String)>,
    mut change: Change,
) -> Result<Json<Thread>, Answer> {
    let id = deployment_id(&id)?;
    let thread = path_id(&thread, "Thread")?;
    threads::find(&core, change.principal(), &id, &thread).await?;
    let title = bodies::update_thread(&change.json().await?)?;
    let updated = change.carry_out(&core, |core, author| async move {
        threads::rename(&core, &author, &id, &thread, title).await?;
        threads::get(&core, &author.principal, &id, &thread).await
    });
    let (view, messages) = updated.await?;
    Ok(Json(encode::thread(view, messages)))
}

pub(super) async fn delete(
    State(core): Shared,
    Path((id, thread)): Path<(String, String)>,
    change: Change,
) -> Result<Json<DeletedThread>, Answer> {
    let id = deployment_id(&id)?;
    let thread: ThreadId = path_id(&thread, "Thread")?;
    let deleted = DeletedThread::new(thread.clone());
    let work = change
        .carry_out(&core, |core, author| async move { threads::delete(&core, &author, &id, &thread).await });
    work.await?;
    Ok(Json(deleted))
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
