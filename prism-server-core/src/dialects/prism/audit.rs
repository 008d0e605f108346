//! `/v1/audit-log`

use axum::{Json, extract::State};
use prism_types::{AuditEntry, Page};

use super::{Call, Shared, encode, error::Answer};
use crate::{
    http::{cursor, query::Query},
    service::audit,
};

pub(super) async fn list(State(core): Shared, call: Call) -> Result<Json<Page<AuditEntry>>, Answer> {
    let mut query = Query::parse(call.request.uri().query());
    let page = query.page();
    let deployment = query.read("deployment_id", |text| {
        text.parse().map_err(|_| "must be the id of a deployment, such as `dep_7xK9s2`".to_owned())
    });
    query.finish()?;
    let listed = audit::list(&core, &call.principal, deployment.as_ref(), page).await?;
    let data = listed.items.into_iter().map(encode::audit_entry).collect();
    Ok(Json(Page::new(data, listed.next.as_ref().map(cursor::encode))))
}
