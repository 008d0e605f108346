//! The audit log: read.

use prism_types::{AuditEntryId, DeploymentId};

use super::Listed;
use crate::{
    core::Core,
    domain::{audit::AuditEntry, tenant::Principal},
    error::Result,
    ports::ListQuery,
};

/// Who changed what of the caller's tenant, newest first. A deployment need not exist any more.
pub(crate) async fn list(
    core: &Core,
    principal: &Principal,
    deployment: Option<&DeploymentId>,
    query: ListQuery<AuditEntryId>,
) -> Result<Listed<AuditEntry, AuditEntryId>> {
    let limit = query.limit;
    let query = ListQuery { limit: limit + 1, ..query };
    let entries = core.store.audit_entries(&principal.tenant_id, deployment, query).await?;
    Ok(Listed::from_one_more(entries, limit, |entry| entry.id.clone()))
}
