//! `/v1/agent-deployments/{deployment_id}/versions`

use axum::{
    Json,
    extract::{Path, State},
};
use http::{StatusCode, header::CONTENT_LENGTH};
use prism_types::{
    Problem,
    nullspace::{AgentDeploymentVersion, Page},
};

use super::{Shared, bodies, convert, error::Answer};
use crate::{
    domain::{
        idempotency::Reply,
        limits,
        program::version::{Version, VersionState},
    },
    error::Error,
    http::{change::Change, cursor, gate::Call, query::Query, upload::Upload},
    service::programs::versions,
};

/// The header with the digest of the bundle that is uploaded.
const DIGEST: &str = "x-nullspace-bundle-digest";

pub(super) async fn create(
    State(core): Shared,
    Path(id): Path<String>,
    mut change: Change,
) -> Result<Reply, Answer> {
    let id = convert::deployment_id(&id)?;
    let new = bodies::create_version(&change.json().await?)?;
    let created = change.carry_out(&core, move |core, author| async move {
        // Without the entries, which whoever sends them has; the answer is kept for a while.
        let tell =
            |record: Version| Reply::json(StatusCode::CREATED, &convert::version(&record, &record.manifest)?);
        versions::create(&core, &author, &id, new, tell).await
    });
    Ok(created.await?)
}

/// Lists versions; their manifests are without entries, which can be many.
pub(super) async fn list(
    State(core): Shared,
    Path(id): Path<String>,
    call: Call,
) -> Result<Json<Page<AgentDeploymentVersion>>, Answer> {
    let id = convert::deployment_id(&id)?;
    let mut query = Query::parse(call.request.uri().query());
    let state = query.word("status", VersionState::ALL, VersionState::as_str);
    let page = query.page_of(limits::PROGRAM_PAGE);
    query.finish()?;
    let listed = versions::list(&core, &call.principal, &id, state, page).await?;
    let items = listed.items.iter().map(|record| convert::version(record, &record.manifest));
    let items = items.collect::<crate::error::Result<_>>()?;
    Ok(Json(Page::new(items, listed.next.as_ref().map(cursor::encode))))
}

pub(super) async fn get(
    State(core): Shared,
    Path((id, version)): Path<(String, String)>,
    call: Call,
) -> Result<Json<AgentDeploymentVersion>, Answer> {
    let (id, version_id) = (convert::deployment_id(&id)?, convert::version_id(&version)?);
    let (record, manifest) = versions::get(&core, &call.principal, &id, &version_id).await?;
    Ok(Json(convert::version(&record, &manifest)?))
}

pub(super) async fn upload(
    State(core): Shared,
    Path((id, version)): Path<(String, String)>,
    mut change: Change,
) -> Result<Json<AgentDeploymentVersion>, Answer> {
    let (id, version_id) = (convert::deployment_id(&id)?, convert::version_id(&version)?);
    let digest = change.headers().get(DIGEST).and_then(|digest| digest.to_str().ok());
    let Some(digest) = digest.map(str::to_owned) else {
        let problem = Problem::new(format!("header.{DIGEST}"), "is required: the digest of the bundle");
        return Err(Error::invalid(vec![problem]).into());
    };
    let wanted = versions::wants(&core, change.principal(), &id, &version_id, &digest).await?;
    let length = change.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    let body = change.take_body();
    // Also where it is there already the body is taken, for a client that sends cannot hear an answer.
    let most = wanted.unwrap_or(core.settings.bundle_limits.bytes.saturating_mul(2));
    let archive = Upload::new(body, most, length)?.into_stream();
    let filled = change.carry_out(&core, move |core, author| async move {
        versions::fill(&core, &author, &id, &version_id, archive).await
    });
    let (record, manifest) = filled.await?;
    Ok(Json(convert::version(&record, &manifest)?))
}
