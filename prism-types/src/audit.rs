//! The audit log: who changed what, and when.

use crate::{
    ApiKeyId, AuditEntryId, DeploymentId, Timestamp, UnknownFields, macros::setters, unknown_fields::answer,
};

answer! {
    /// One change that somebody made.
    pub struct AuditEntry {
        /// Its id.
        pub entry_id: AuditEntryId,
        /// When it was made.
        pub created_at: Timestamp,
        /// Who made it: the id of an API key, `operator` for a command on the server's own machine, or a name that the
        /// gateway in front of the server gave.
        pub actor: String,
        /// What was done, such as `update_deployment`: the `operationId` of the OpenAPI document, or an operator's command.
        pub operation: String,
        /// What it was done to: an id, or a name or path within the deployment.
        pub subject: String,
        /// The deployment it belongs to; absent when it belongs to none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub deployment_id: Option<DeploymentId>,
        /// The fields that the request set, without their values; absent when there are none.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub fields: Vec<String>,
        /// The `x-request-id` of the request; absent for commands of an operator.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub request_id: Option<String>,
    }
}

impl AuditEntry {
    /// A change.
    pub fn new(
        entry_id: AuditEntryId,
        created_at: Timestamp,
        actor: impl Into<String>,
        operation: impl Into<String>,
        subject: impl Into<String>,
    ) -> Self {
        Self {
            entry_id,
            created_at,
            actor: actor.into(),
            operation: operation.into(),
            subject: subject.into(),
            deployment_id: None,
            fields: Vec::new(),
            request_id: None,
            unknown_fields: UnknownFields::default(),
        }
    }

    /// The API key that made the change, if one did.
    pub fn api_key(&self) -> Option<ApiKeyId> {
        self.actor.parse().ok()
    }
}

setters!(AuditEntry {
    /// Sets the deployment it belongs to.
    deployment_id: Option<DeploymentId>,
    /// Sets the fields that the request set.
    fields[
        /// Adds a field that the request set.
        field
    ]: String,
    /// Sets the id of the request.
    request_id: Option<String>,
});
