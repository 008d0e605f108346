//! `/v1/deployments/{deployment_id}/messages`

use axum::{
    Json,
    extract::{Path, State},
};
use prism_types::MessageReceipt;

use super::{Call, Shared, bodies, deployment_id, error::Answer};
use crate::{
    http::{body::read_json, detach::detached},
    service::{deployments, messages},
};

pub(super) async fn send(
    State(core): Shared,
    Path(id): Path<String>,
    call: Call,
) -> Result<Json<MessageReceipt>, Answer> {
    let id = deployment_id(&id)?;
    let (parts, body) = call.request.into_parts();
    deployments::get(&core, &call.principal, &id).await?;
    let body = read_json(&parts.headers, body).await?;
    let message = bodies::send_message(&body)?;
    let (work_core, principal) = (core.clone(), call.principal);
    let run =
        detached(&core, async move { messages::send(&work_core, &principal, &id, message).await }).await?;
    Ok(Json(MessageReceipt::new(run.id, run.deployment_id, run.thread_id, run.state.status())))
}
