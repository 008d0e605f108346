//! `/v1/deployments/{deployment_id}/events`

use axum::{
    extract::{Path, State},
    response::Response,
};

use super::{Call, Shared, deployment_id, error::Answer};
use crate::{
    error::{Error, ErrorKind},
    event_log::EventFilter,
    http::{query::Query, stream},
    service::events,
};

pub(super) async fn stream(
    State(core): Shared,
    Path(id): Path<String>,
    call: Call,
) -> Result<Response, Answer> {
    let id = deployment_id(&id)?;
    let mut query = Query::parse(call.request.uri().query());
    let filter = EventFilter {
        thread_id: query.read("thread_id", |id| id.parse().map_err(|_| "must be a thread's id".to_owned())),
        run_id: query.read("run_id", |id| id.parse().map_err(|_| "must be a run's id".to_owned())),
    };
    query.finish()?;
    let last_event_id = match call.request.headers().get("last-event-id") {
        Some(value) => Some(value.to_str().map_err(|_| {
            Error::new(ErrorKind::Invalid, "The header Last-Event-ID must be the id of an event.")
        })?),
        None => None,
    };
    // An empty id is what a client sends that has seen none (WHATWG HTML, server-sent events).
    let last_event_id = last_event_id.filter(|id| !id.is_empty());
    let subscription = events::subscribe(&core, &call.principal, &id, last_event_id, filter).await?;
    Ok(stream::response(core, id, subscription))
}
