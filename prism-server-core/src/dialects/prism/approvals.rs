//! `/v1/deployments/{deployment_id}/approvals`

use axum::{
    Json,
    extract::{Path, State},
};
use http::StatusCode;
use prism_types::{Approval, Page};

use super::{Call, Shared, bodies, deployment_id, encode, error::Answer, path_id};
use crate::{
    domain::idempotency::Reply,
    http::{change::Change, cursor, query::Query},
    service::approvals,
};

pub(super) async fn list(
    State(core): Shared,
    Path(id): Path<String>,
    call: Call,
) -> Result<Json<Page<Approval>>, Answer> {
    let id = deployment_id(&id)?;
    let mut query = Query::parse(call.request.uri().query());
    let page = query.page();
    let pending = query.boolean("pending").unwrap_or(false);
    query.finish()?;
    let listed = approvals::list(&core, &call.principal, &id, pending, page).await?;
    let data = listed.items.into_iter().map(encode::approval).collect();
    Ok(Json(Page::new(data, listed.next.as_ref().map(cursor::encode))))
}

pub(super) async fn get(
    State(core): Shared,
    Path((id, approval)): Path<(String, String)>,
    call: Call,
) -> Result<Json<Approval>, Answer> {
    let id = deployment_id(&id)?;
    let approval = path_id(&approval, "Approval")?;
    Ok(Json(encode::approval(approvals::get(&core, &call.principal, &id, &approval).await?)))
}

pub(super) async fn answer(
    State(core): Shared,
    Path((id, approval)): Path<(String, String)>,
    mut change: Change,
) -> Result<Reply, Answer> {
    let id = deployment_id(&id)?;
    let approval = path_id(&approval, "Approval")?;
    approvals::get(&core, change.principal(), &id, &approval).await?;
    let answer = bodies::answer_approval(&change.json().await?)?;
    let decided = change.carry_out(&core, |core, author| async move {
        let tell = |view| Reply::json(StatusCode::OK, &encode::approval(view));
        approvals::decide(&core, &author, &id, &approval, answer, tell).await
    });
    Ok(decided.await?)
}
