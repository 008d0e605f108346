//! `/v1/deployments/{deployment_id}/dreams`

use axum::{
    Json,
    extract::{Path, State},
};
use http::StatusCode;
use prism_types::{Dream, DreamId, DreamReport, DreamedMemory, Page};

use super::{Call, Shared, deployment_id, error::Answer, path_id};
use crate::{
    domain::{
        dream::{self, Dreamed, Report},
        idempotency::Reply,
    },
    error::Result,
    http::{change::Change, cursor, query::Query},
    service::dreams,
};

pub(super) async fn list(
    State(core): Shared,
    Path(id): Path<String>,
    call: Call,
) -> Result<Json<Page<Dream>>, Answer> {
    let id = deployment_id(&id)?;
    let mut query = Query::parse(call.request.uri().query());
    let page = query.page();
    query.finish()?;
    let listed = dreams::list(&core, &call.principal, &id, page).await?;
    let data = listed.items.into_iter().map(|record| encode(record).report(None)).collect();
    Ok(Json(Page::new(data, listed.next.as_ref().map(cursor::encode))))
}

pub(super) async fn get(
    State(core): Shared,
    Path((id, dream)): Path<(String, String)>,
    call: Call,
) -> Result<Json<Dream>, Answer> {
    let (id, dream) = (deployment_id(&id)?, dream_id(&dream)?);
    Ok(Json(encode(dreams::get(&core, &call.principal, &id, &dream).await?)))
}

pub(super) async fn start(
    State(core): Shared,
    Path(id): Path<String>,
    change: Change,
) -> Result<Reply, Answer> {
    let id = deployment_id(&id)?;
    let started = change.carry_out(&core, |core, author| async move {
        let tell = |dream| Reply::json(StatusCode::CREATED, &encode(dream));
        dreams::start(&core, &author, &id, tell).await
    });
    Ok(started.await?)
}

pub(super) async fn revert(
    State(core): Shared,
    Path((id, dream)): Path<(String, String)>,
    change: Change,
) -> Result<Reply, Answer> {
    let (id, dream) = (deployment_id(&id)?, dream_id(&dream)?);
    let reverted = change.carry_out(&core, |core, author| async move {
        let tell = |dream| Reply::json(StatusCode::OK, &encode(dream));
        dreams::revert(&core, &author, &id, &dream, tell).await
    });
    Ok(reverted.await?)
}

fn dream_id(text: &str) -> Result<DreamId> {
    path_id(text, "Dream")
}

fn encode(record: dream::Dream) -> Dream {
    let (thread, run) = (record.thread_id, record.run_id);
    Dream::new(record.id, record.deployment_id, thread, run, record.trigger, record.created_at)
        .status(record.state.status())
        .report(record.report.map(report))
        .error(record.error)
        .ended_at(record.ended_at)
        .reverted_at(record.reverted_at)
}

fn report(report: Report) -> DreamReport {
    let all = |memories: Vec<Dreamed>| -> Vec<_> {
        let all =
            memories.into_iter().map(|memory| DreamedMemory::new(memory.id, memory.content, memory.source));
        all.collect()
    };
    DreamReport::default().summary(report.summary).added(all(report.added)).removed(all(report.removed))
}
