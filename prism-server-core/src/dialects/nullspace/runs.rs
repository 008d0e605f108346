//! `/v1/agent-deployments/{deployment_id}/runs`

use axum::{
    Json,
    extract::{Path, State},
};
use http::StatusCode;
use prism_types::nullspace::{AgentRun, LogPage, Page, RunOutputs};

use super::{Shared, bodies, convert, error::Answer, logs::LogQuery};
use crate::{
    domain::{idempotency::Reply, limits, program::job::JobState},
    http::{change::Change, cursor, gate::Call, query::Query},
    ports::HostedFilter,
    service::programs::jobs,
};

pub(super) async fn create(
    State(core): Shared,
    Path(id): Path<String>,
    mut change: Change,
) -> Result<Reply, Answer> {
    let id = convert::deployment_id(&id)?;
    let new = bodies::create_run(&change.json().await?)?;
    let created = change.carry_out(&core, move |core, author| async move {
        let tell = |record| Reply::json(StatusCode::CREATED, &convert::run(&record)?);
        jobs::create(&core, &author, &id, new, tell).await
    });
    Ok(created.await?)
}

pub(super) async fn list(
    State(core): Shared,
    Path(id): Path<String>,
    call: Call,
) -> Result<Json<Page<AgentRun>>, Answer> {
    let id = convert::deployment_id(&id)?;
    let mut query = Query::parse(call.request.uri().query());
    let filter = HostedFilter {
        state: query.word("status", JobState::ALL, JobState::as_str),
        version: query.read("version_id", convert::version_of_query),
    };
    let page = query.page_of(limits::PROGRAM_PAGE);
    query.finish()?;
    let listed = jobs::list(&core, &call.principal, &id, filter, page).await?;
    let items = listed.items.iter().map(convert::run).collect::<crate::error::Result<_>>()?;
    Ok(Json(Page::new(items, listed.next.as_ref().map(cursor::encode))))
}

pub(super) async fn get(
    State(core): Shared,
    Path((id, run)): Path<(String, String)>,
    call: Call,
) -> Result<Json<AgentRun>, Answer> {
    let (id, run_id) = (convert::deployment_id(&id)?, convert::run_id(&run)?);
    let record = jobs::get(&core, &call.principal, &id, &run_id).await?;
    Ok(Json(convert::run(&record)?))
}

pub(super) async fn cancel(
    State(core): Shared,
    Path((id, run)): Path<(String, String)>,
    mut change: Change,
) -> Result<Json<AgentRun>, Answer> {
    let (id, run_id) = (convert::deployment_id(&id)?, convert::run_id(&run)?);
    let reason = bodies::reason(&change.json().await?)?;
    let cancelled = change.carry_out(&core, move |core, author| async move {
        jobs::cancel(&core, &author, &id, &run_id, reason).await
    });
    Ok(Json(convert::run(&cancelled.await?)?))
}

pub(super) async fn logs(
    State(core): Shared,
    Path((id, run)): Path<(String, String)>,
    call: Call,
) -> Result<Json<LogPage>, Answer> {
    let (id, run_id) = (convert::deployment_id(&id)?, convert::run_id(&run)?);
    let query = LogQuery::parse(call.request.uri().query())?;
    let record = jobs::get(&core, &call.principal, &id, &run_id).await?;
    Ok(Json(query.page(&core, &record.hosted, Some(&run_id)).await?))
}

pub(super) async fn outputs(
    State(core): Shared,
    Path((id, run)): Path<(String, String)>,
    call: Call,
) -> Result<Json<RunOutputs>, Answer> {
    let (id, run_id) = (convert::deployment_id(&id)?, convert::run_id(&run)?);
    let record = jobs::get(&core, &call.principal, &id, &run_id).await?;
    Ok(Json(convert::run_outputs(&record)?))
}
