//! `/v1/deployments/{deployment_id}/runs`

use axum::{
    Json,
    extract::{Path, State},
};
use http::StatusCode;
use prism_types::{Page, Run};

use super::{Call, Shared, deployment_id, encode, error::Answer, path_id};
use crate::{
    domain::idempotency::Reply,
    http::{change::Change, cursor, query::Query},
    service::runs,
};

pub(super) async fn list(
    State(core): Shared,
    Path(id): Path<String>,
    call: Call,
) -> Result<Json<Page<Run>>, Answer> {
    let id = deployment_id(&id)?;
    let mut query = Query::parse(call.request.uri().query());
    let page = query.page();
    query.finish()?;
    let listed = runs::list(&core, &call.principal, &id, page).await?;
    let data = listed.items.into_iter().map(encode::run).collect();
    Ok(Json(Page::new(data, listed.next.as_ref().map(cursor::encode))))
}

pub(super) async fn cancel(
    State(core): Shared,
    Path((id, run)): Path<(String, String)>,
    change: Change,
) -> Result<Reply, Answer> {
    let id = deployment_id(&id)?;
    let run = path_id(&run, "Run")?;
    let cancelled = change.carry_out(&core, |core, author| async move {
        let tell = |run| Reply::json(StatusCode::OK, &encode::run(run));
        runs::cancel(&core, &author, &id, &run, tell).await
    });
    Ok(cancelled.await?)
}

pub(super) async fn get(
    State(core): Shared,
    Path((id, run)): Path<(String, String)>,
    call: Call,
) -> Result<Json<Run>, Answer> {
    let id = deployment_id(&id)?;
    let run = path_id(&run, "Run")?;
    Ok(Json(encode::run(runs::get(&core, &call.principal, &id, &run).await?)))
}
