//! `/v1/snapshots`

use axum::{
    Json,
    extract::{Path, State},
};
use prism_types::{DeletedSnapshot, Page, Snapshot, SnapshotId};

use super::{Call, Shared, error::Answer, path_id};
use crate::{
    domain::snapshot,
    error::Result,
    http::{change::Change, cursor, query::Query},
    service::snapshots,
};

pub(super) async fn list(State(core): Shared, call: Call) -> Result<Json<Page<Snapshot>>, Answer> {
    let mut query = Query::parse(call.request.uri().query());
    let page = query.page();
    query.finish()?;
    let listed = snapshots::list(&core, &call.principal, page).await?;
    let data = listed.items.into_iter().map(encode).collect();
    Ok(Json(Page::new(data, listed.next.as_ref().map(cursor::encode))))
}

pub(super) async fn get(
    State(core): Shared,
    Path(id): Path<String>,
    call: Call,
) -> Result<Json<Snapshot>, Answer> {
    Ok(Json(encode(snapshots::get(&core, &call.principal, &snapshot_id(&id)?).await?)))
}

pub(super) async fn delete(
    State(core): Shared,
    Path(id): Path<String>,
    change: Change,
) -> Result<Json<DeletedSnapshot>, Answer> {
    let id = snapshot_id(&id)?;
    let deleted = DeletedSnapshot::new(id.clone());
    let work =
        change.carry_out(&core, |core, author| async move { snapshots::delete(&core, &author, &id).await });
    work.await?;
    Ok(Json(deleted))
}

fn snapshot_id(text: &str) -> Result<SnapshotId> {
    path_id(text, "Snapshot")
}

fn encode(record: snapshot::Snapshot) -> Snapshot {
    let times = (record.created_at, record.expires_at);
    Snapshot::new(record.id, record.deployment_id, record.customer_id, record.name, record.sandbox, times)
        .status(record.state.status())
}
