//! `/v1/deployments/{deployment_id}/skills`

use axum::{
    Json,
    extract::{Path, State},
};
use prism_types::SkillList;

use super::{Call, Shared, deployment_id, encode, error::Answer};
use crate::service::skills;

pub(super) async fn list(
    State(core): Shared,
    Path(id): Path<String>,
    call: Call,
) -> Result<Json<SkillList>, Answer> {
    let found = skills::list(&core, &call.principal, &deployment_id(&id)?).await?;
    Ok(Json(SkillList::new(found.into_iter().map(encode::skill).collect())))
}
