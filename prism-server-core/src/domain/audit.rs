//! The audit log: who changed what.
//!
//! An entry is written in the commit of the change that it tells of, so there is neither a change without an entry
//! nor an entry without a change. It names the fields that were set and never their values, which may be secret.

use prism_types::{AuditEntryId, DeploymentId, TenantId, Timestamp};

/// Who acts when an operator's command does.
pub const OPERATOR: &str = "operator";

/// One change that somebody made.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "a record: stores build it from its columns")]
pub struct AuditEntry {
    /// Its id. Ids are time-ordered: a later entry has a greater id.
    pub id: AuditEntryId,
    /// The tenant whose thing was changed.
    pub tenant_id: TenantId,
    /// The deployment it belongs to, if it belongs to one.
    pub deployment_id: Option<DeploymentId>,
    /// Who: the id of an API key, [`OPERATOR`], or an embedder's own name of the caller.
    pub actor: String,
    /// What was done, such as `update_deployment`.
    pub operation: String,
    /// What it was done to.
    pub subject: String,
    /// The fields that the request set.
    pub fields: Vec<String>,
    /// The id of the request, if it was one.
    pub request_id: Option<String>,
    /// When.
    pub created_at: Timestamp,
}

/// What a change is made to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Subject {
    pub(crate) deployment_id: Option<DeploymentId>,
    pub(crate) name: String,
}

impl Subject {
    /// A deployment.
    pub(crate) fn deployment(id: &DeploymentId) -> Self {
        Self::in_deployment(id, id)
    }

    /// Something that belongs to no deployment.
    pub(crate) fn of_tenant(name: impl ToString) -> Self {
        Self { deployment_id: None, name: name.to_string() }
    }

    /// Something that belongs to a deployment.
    pub(crate) fn in_deployment(id: &DeploymentId, name: impl ToString) -> Self {
        Self { deployment_id: Some(id.clone()), name: name.to_string() }
    }
}
