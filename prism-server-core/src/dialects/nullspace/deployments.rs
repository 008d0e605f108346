//! `/v1/agent-deployments`

use axum::{
    Json,
    extract::{Path, State},
};
use http::StatusCode;
use prism_types::nullspace::{AgentDeployment, Page};

use super::{Shared, bodies, convert, error::Answer};
use crate::{
    domain::{
        idempotency::Reply,
        limits,
        program::{Mode, ProgramState},
    },
    http::{change::Change, cursor, gate::Call, query::Query},
    ports::ProgramFilter,
    service::programs,
};

pub(super) async fn create(State(core): Shared, mut change: Change) -> Result<Reply, Answer> {
    let new = bodies::create_deployment(&change.json().await?)?;
    let created = change.carry_out(&core, move |core, author| async move {
        let tell = |record| Reply::json(StatusCode::CREATED, &convert::deployment(&record)?);
        programs::create(&core, &author, new, tell).await
    });
    Ok(created.await?)
}

pub(super) async fn list(State(core): Shared, call: Call) -> Result<Json<Page<AgentDeployment>>, Answer> {
    let mut query = Query::parse(call.request.uri().query());
    let filter = ProgramFilter {
        mode: query.word("mode", Mode::ALL, Mode::as_str),
        state: query.word("status", ProgramState::ALL, ProgramState::as_str),
    };
    let page = query.page_of(limits::PROGRAM_PAGE);
    query.finish()?;
    let listed = programs::list(&core, &call.principal, filter, page).await?;
    let items = listed.items.iter().map(convert::deployment).collect::<crate::error::Result<_>>()?;
    Ok(Json(Page::new(items, listed.next.as_ref().map(cursor::encode))))
}

pub(super) async fn get(
    State(core): Shared,
    Path(id): Path<String>,
    call: Call,
) -> Result<Json<AgentDeployment>, Answer> {
    let id = convert::deployment_id(&id)?;
    let record = programs::get(&core, &call.principal, &id).await?;
    Ok(Json(convert::deployment(&record)?))
}

pub(super) async fn update(
    State(core): Shared,
    Path(id): Path<String>,
    mut change: Change,
) -> Result<Json<AgentDeployment>, Answer> {
    let id = convert::deployment_id(&id)?;
    let update = bodies::update_deployment(&change.json().await?)?;
    let updated = change.carry_out(&core, move |core, author| async move {
        programs::update(&core, &author, &id, update).await
    });
    Ok(Json(convert::deployment(&updated.await?)?))
}

pub(super) async fn delete(
    State(core): Shared,
    Path(id): Path<String>,
    change: Change,
) -> Result<StatusCode, Answer> {
    let id = convert::deployment_id(&id)?;
    let deleted = change
        .carry_out(&core, move |core, author| async move { programs::delete(&core, &author, &id).await });
    deleted.await?;
    Ok(StatusCode::NO_CONTENT)
}
