//! Errors of this API.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::BuildId;
use crate::{RawJson, UnknownFields, macros::setters, open_enum::open_enum, unknown_fields::answer};

open_enum! {
    /// The stable code of an error. Programs of others look at how it ends: `_not_found`, `_conflict`.
    pub enum ErrorCode {
        /// 400: the request is invalid, or a header is missing.
        InvalidRequest = "invalid_request",
        /// 400: the configuration of a version is invalid.
        InvalidConfig = "agent_deployment_invalid_config",
        /// 401: the API key is missing, wrong or revoked.
        Unauthorized = "unauthorized",
        /// 403: the API key lacks the scope.
        Forbidden = "forbidden",
        /// 404: the path leads nowhere.
        NotFound = "not_found",
        /// 404: there is no such deployment, or it belongs to somebody else.
        DeploymentNotFound = "agent_deployment_not_found",
        /// 404: the deployment has no such version.
        VersionNotFound = "agent_deployment_version_not_found",
        /// 404: the deployment has no such run.
        RunNotFound = "agent_run_not_found",
        /// 404: the deployment has no such service instance.
        ServiceInstanceNotFound = "agent_service_instance_not_found",
        /// 404: there is no such sandbox, or it belongs to somebody else.
        SandboxNotFound = "sandbox_not_found",
        /// 404: there is no such snapshot, or it belongs to somebody else.
        SnapshotNotFound = "snapshot_not_found",
        /// 404: the sandbox has no such upload.
        UploadNotFound = "upload_not_found",
        /// 409: the sandbox is not running: it is being created, or has failed.
        SandboxNotReady = "sandbox_not_ready",
        /// An upload in parts was refused; `error_detail` is an [`UploadFailure`](super::UploadFailure).
        FileUpload = "file_upload_error",
        /// 504: the program took longer than it may, and was ended.
        ExecTimeout = "exec_timeout",
        /// 409: what is asked for does not fit the state of the thing.
        InvalidState = "agent_deployment_invalid_state",
        /// 409: the idempotency key was used for another request.
        IdempotencyMismatch = "agent_deployment_idempotency_mismatch",
        /// 409: there is a deployment of this name.
        NameConflict = "agent_deployment_name_conflict",
        /// 409: somebody else changed the same thing at the same time.
        Conflict = "conflict",
        /// 409: the thing is changing already.
        TransitionConflict = "transition_conflict",
        /// 429: too many requests; back off and try again.
        RateLimitExceeded = "rate_limit_exceeded",
        /// 429: there is no room for another sandbox; nothing was done.
        CapacityExceeded = "capacity_exceeded",
        /// 429: the owner has all that the quota allows; nothing was done.
        QuotaExceeded = "QUOTA_EXCEEDED",
        /// The server cannot do this.
        FeatureUnavailable = "feature_unavailable",
        /// 503: no machine can take the sandbox.
        NoEligibleRuntimeHost = "no_eligible_runtime_host",
        /// 500: the server could not read or write.
        DatabaseError = "database_error",
        /// 500: the server failed.
        InternalError = "internal_error",
    }
}

impl ErrorCode {
    /// Whether the thing is not there, whatever it is: `not_found`, or what ends with `_not_found`.
    pub fn is_not_found(&self) -> bool {
        self.is_or_ends_with("not_found")
    }

    /// Whether the request conflicts with what is there: `conflict`, or what ends with `_conflict`.
    pub fn is_conflict(&self) -> bool {
        self.is_or_ends_with("conflict")
    }

    /// Whether the idempotency key was used for another request: what ends with `_idempotency_mismatch`.
    pub fn is_idempotency_mismatch(&self) -> bool {
        self.is_or_ends_with("idempotency_mismatch")
    }

    /// Whether there is no room: `capacity_exceeded` or `QUOTA_EXCEEDED`. The same request fails until there is.
    pub fn is_quota_exceeded(&self) -> bool {
        matches!(self, Self::CapacityExceeded | Self::QuotaExceeded)
    }

    fn is_or_ends_with(&self, name: &str) -> bool {
        let rest = self.as_str().strip_suffix(name);
        rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('_'))
    }
}

answer! {
    /// The body of an error answer. `error` is a text, or an object that has the rest in it.
    ///
    /// ```
    /// use prism_types::nullspace::{ErrorBody, ErrorCode};
    ///
    /// let flat = r#"{"error":"no room","code":"capacity_exceeded"}"#;
    /// let nested = r#"{"error":{"message":"no room","code":"capacity_exceeded"}}"#;
    /// for text in [flat, nested] {
    ///     let body: ErrorBody = serde_json::from_str(text)?;
    ///     assert_eq!((body.error_code(), body.message()), (Some(&ErrorCode::CapacityExceeded), "no room"));
    /// }
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    pub struct ErrorBody {
        /// What went wrong, for people; or all about it.
        pub error: ErrorText,
        /// The stable code; see [`error_code`](Self::error_code) for the one of either form.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub code: Option<ErrorCode>,
        /// The id of the request.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub request_id: Option<String>,
        /// More about it, in a form of its own.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub error_detail: Option<RawJson>,
        /// The build that failed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub build_id: Option<BuildId>,
    }
}

impl ErrorBody {
    /// An error with a text.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            error: ErrorText::Text(message.into()),
            code: Some(code),
            request_id: None,
            error_detail: None,
            build_id: None,
            unknown_fields: UnknownFields::default(),
        }
    }

    /// What went wrong, for people.
    pub fn message(&self) -> &str {
        match &self.error {
            ErrorText::Text(text) => text,
            ErrorText::Object(object) => &object.message,
        }
    }

    /// The stable code.
    pub fn error_code(&self) -> Option<&ErrorCode> {
        self.object().and_then(|object| object.code.as_ref()).or(self.code.as_ref())
    }

    /// The id of the request.
    pub fn id_of_request(&self) -> Option<&str> {
        self.object().and_then(|object| object.request_id.as_deref()).or(self.request_id.as_deref())
    }

    fn object(&self) -> Option<&ErrorObject> {
        match &self.error {
            ErrorText::Object(object) => Some(object),
            ErrorText::Text(_) => None,
        }
    }
}

setters!(ErrorBody {
    /// Sets the id of the request.
    request_id: Option<String>,
    /// Sets more about it.
    error_detail: Option<RawJson>,
    /// Sets the build that failed.
    build_id: Option<BuildId>,
});

impl fmt::Display for ErrorBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.error_code() {
            Some(code) => write!(f, "{code}: {}", self.message()),
            None => f.write_str(self.message()),
        }
    }
}

impl std::error::Error for ErrorBody {}

/// What went wrong: a text, or an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
#[non_exhaustive]
pub enum ErrorText {
    /// A text for people.
    Text(String),
    /// All about it.
    Object(Box<ErrorObject>),
}

answer! {
    /// An error as an object.
    pub struct ErrorObject {
        /// What went wrong, for people.
        pub message: String,
        /// The stable code.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub code: Option<ErrorCode>,
        /// The id of the request.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub request_id: Option<String>,
        /// Whether the same request may succeed later.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub retryable: Option<bool>,
        /// What to do.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub suggested_action: Option<String>,
        /// More about it, in a form of its own.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub details: Option<RawJson>,
    }
}

impl ErrorObject {
    /// An error.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            code: Some(code),
            request_id: None,
            retryable: None,
            suggested_action: None,
            details: None,
            unknown_fields: UnknownFields::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_known_by_their_ends_also_those_of_tomorrow() {
        let (gone, conflict) = (ErrorCode::from("volume_not_found"), ErrorCode::from("x_conflict"));
        assert!(gone.is_not_found() && !gone.is_conflict() && !gone.is_known());
        assert!(
            conflict.is_conflict()
                && ErrorCode::Conflict.is_conflict()
                && ErrorCode::NameConflict.is_conflict()
        );
        assert!(ErrorCode::IdempotencyMismatch.is_idempotency_mismatch());
        assert!(!ErrorCode::from("unfound").is_not_found() && !ErrorCode::from("xconflict").is_conflict());
    }

    #[test]
    fn both_forms_are_written_as_they_were_read() {
        for text in [
            r#"{"error":"a","code":"not_found","request_id":"r","build_id":"adpb_1","hint":1}"#,
            r#"{"error":{"message":"a","code":"b","request_id":"r","retryable":false,"details":[1],"x":2.0}}"#,
        ] {
            let body: ErrorBody = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&body).unwrap(), text);
            assert_eq!((body.message(), body.id_of_request()), ("a", Some("r")));
        }
    }

    #[test]
    fn what_is_printed_is_the_code_and_the_text() {
        assert_eq!(ErrorBody::new(ErrorCode::NotFound, "no path").to_string(), "not_found: no path");
    }
}
