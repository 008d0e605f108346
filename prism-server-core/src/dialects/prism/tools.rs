//! `/v1/deployments/{deployment_id}/tools`

use axum::{
    Json,
    extract::{Path, State},
};
use prism_types::{Tool, ToolList, ToolListError};
use serde_json::Value;

use super::{Call, Shared, deployment_id, error::Answer};
use crate::{
    domain::checks,
    error::{Error, Result},
    http::{
        change::Change,
        decode::{boolean, decode},
        query::Query,
    },
    service::{deployments, tools, tools::ToolView},
};

pub(super) async fn list(
    State(core): Shared,
    Path(id): Path<String>,
    call: Call,
) -> Result<Json<ToolList>, Answer> {
    let listed = tools::list(&core, &call.principal, &deployment_id(&id)?).await?;
    let errors = listed.errors.into_iter().map(|(origin, message)| ToolListError::new(origin, message));
    Ok(Json(ToolList::new(listed.tools.into_iter().map(encode).collect(), errors.collect())))
}

pub(super) async fn update(
    State(core): Shared,
    Path((id, name)): Path<(String, String)>,
    mut change: Change,
) -> Result<Json<Tool>, Answer> {
    let id = deployment_id(&id)?;
    deployments::get(&core, change.principal(), &id).await?;
    let name = checks::tool_name(&name).map_err(|_| Error::not_found("Tool"))?;
    let mut query = Query::parse(change.parts.uri.query());
    let origin = query.read("origin", checks::slug);
    query.finish()?;
    let enabled = decode_update(&change.json().await?)?;
    let switched = change.carry_out(&core, move |core, author| async move {
        tools::switch(&core, &author, &id, name, origin, enabled).await
    });
    Ok(Json(encode(switched.await?)))
}

fn decode_update(body: &Value) -> Result<bool> {
    decode(body, |node| node.object(&["enabled"])?.required("enabled", boolean))
}

fn encode(view: ToolView) -> Tool {
    let origin = view.tool.origin().to_owned();
    Tool::new(view.tool.name, origin)
        .enabled(view.enabled)
        .needs_approval(view.needs_approval)
        .unavailable(view.unavailable)
        .description(view.description)
}
