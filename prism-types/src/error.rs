//! Errors on the wire.

use crate::{UnknownFields, macros::setters, open_enum::open_enum, unknown_fields::answer};

open_enum! {
    /// The stable code of an error.
    pub enum ErrorCode {
        /// 400, 413 for a body that is too large, and 416 for a range past the end of a file: the request is invalid.
        ValidationError = "validation_error",
        /// 401: the API key is missing, invalid or revoked.
        Unauthorized = "unauthorized",
        /// 402: the account has no credits left.
        InsufficientCredits = "insufficient_credits",
        /// 403: the API key lacks the scope.
        Forbidden = "forbidden",
        /// 404: there is no such thing, or it belongs to somebody else.
        NotFound = "not_found",
        /// 405: the path exists, but not with this method.
        MethodNotAllowed = "method_not_allowed",
        /// 409: the deployment is not ready for messages.
        DeploymentNotReady = "deployment_not_ready",
        /// 409: somebody else changed the same thing at the same time; try again.
        Conflict = "conflict",
        /// 409: the idempotency key was used for another request.
        IdempotencyMismatch = "idempotency_mismatch",
        /// 412: the thing is not what `If-Match` or `If-None-Match` says it is: somebody changed it.
        PreconditionFailed = "precondition_failed",
        /// 422: a skill could not be fetched or parsed.
        InvalidSkill = "invalid_skill",
        /// 422: a secret reference does not exist.
        InvalidSecretRef = "invalid_secret_ref",
        /// 429: too many requests; back off and try again.
        RateLimited = "rate_limited",
        /// 500: the server failed.
        ServerError = "server_error",
        /// 503: the server is busy, out of disk space or shutting down; try again.
        Unavailable = "unavailable",
    }
}

answer! {
    /// The body of every error answer.
    #[derive(thiserror::Error)]
    #[error("{error}: {message}")]
    pub struct ErrorBody {
        /// The stable code.
        pub error: ErrorCode,
        /// What went wrong and what to do, for people.
        pub message: String,
        /// Every problem of the request, when there are several places to mend; absent otherwise.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub problems: Vec<Problem>,
    }
}

impl ErrorBody {
    /// An error without a list of problems.
    pub fn new(error: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            error,
            message: message.into(),
            problems: Vec::new(),
            unknown_fields: UnknownFields::default(),
        }
    }
}

setters!(ErrorBody {
    /// Sets the list of problems.
    problems[
        /// Adds a problem.
        problem
    ]: Problem,
});

answer! {
    /// One thing that is wrong with a request.
    pub struct Problem {
        /// Where: a JSON path such as `$.skills[1].url`, or `query.limit`.
        pub path: String,
        /// What is wrong and what is allowed.
        pub message: String,
    }
}

impl Problem {
    /// A problem at a place.
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into(), unknown_fields: UnknownFields::default() }
    }
}

answer! {
    /// Why a deployment, a run or a skill failed.
    pub struct Failure {
        /// A stable code such as `runtime_unavailable`.
        pub code: String,
        /// What went wrong, for people.
        pub message: String,
    }
}

impl Failure {
    /// A failure.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into(), unknown_fields: UnknownFields::default() }
    }
}
