//! `/v1/deployments/{deployment_id}/messages`

use axum::extract::{Path, State};
use http::StatusCode;
use prism_types::MessageReceipt;

use super::{Shared, bodies, deployment_id, error::Answer};
use crate::{
    domain::{idempotency::Reply, run::Run},
    http::change::Change,
    service::{deployments, messages},
};

pub(super) async fn send(
    State(core): Shared,
    Path(id): Path<String>,
    mut change: Change,
) -> Result<Reply, Answer> {
    let id = deployment_id(&id)?;
    deployments::get(&core, change.principal(), &id).await?;
    let message = bodies::send_message(&change.json().await?)?;
    let sent = change.carry_out(&core, |core, author| async move {
        messages::send(&core, &author, &id, message, receipt).await
    });
    Ok(sent.await?)
}

fn receipt(run: Run) -> crate::error::Result<Reply> {
    let receipt = MessageReceipt::new(run.id, run.deployment_id, run.thread_id, run.state.status());
    Reply::json(StatusCode::OK, &receipt)
}
