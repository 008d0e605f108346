//! Refusals by the API of agent deployments.

use prism_types::{
    ErrorBody, ErrorCode,
    nullspace::{self, ErrorCode as Code},
};

use super::{Error, Kind};

impl Error {
    /// A refusal with this body. For whoever asks about codes and texts, it is a body of the native API.
    pub(crate) fn refused_by_nullspace(body: nullspace::ErrorBody) -> Self {
        let code = body.error_code().map_or("unknown", Code::as_str);
        let native = ErrorBody::new(code.into(), body.message());
        let request_id = body.id_of_request().map(Into::into);
        let mut error = Self::new(Kind::Refused(Some(native)));
        error.0.request_id = request_id;
        error.0.nullspace = Some(body);
        error
    }

    /// The error body of the API of agent deployments; `None` for every other error.
    ///
    /// The `is_…` methods are true of its codes as of those of the native API: [`is_not_found`](Self::is_not_found) of all
    /// that end with `_not_found`, [`is_conflict`](Self::is_conflict) of all that end with `_conflict`,
    /// [`is_validation`](Self::is_validation) of `invalid_request` and `agent_deployment_invalid_config`.
    pub fn nullspace_body(&self) -> Option<&nullspace::ErrorBody> {
        self.0.nullspace.as_ref()
    }

    /// 429: there is no room for another sandbox, or the quota is used up. Nothing was done, and it is not tried again:
    /// stop what is not needed, or try again later.
    pub fn is_quota_exceeded(&self) -> bool {
        self.nullspace_body().and_then(nullspace::ErrorBody::error_code).is_some_and(Code::is_quota_exceeded)
    }

    /// 409: what was asked for does not fit the state of the thing: there is no active version, or one that is not ready,
    /// or the deployment is paused or of the other mode. Read it, and decide anew.
    pub fn is_invalid_state(&self) -> bool {
        self.nullspace_body().and_then(nullspace::ErrorBody::error_code) == Some(&Code::InvalidState)
    }
}

/// The code of the native API that says the same.
pub(super) fn native(code: &Code) -> Option<ErrorCode> {
    Some(match code {
        Code::InvalidRequest | Code::InvalidConfig => ErrorCode::ValidationError,
        Code::Unauthorized => ErrorCode::Unauthorized,
        Code::Forbidden => ErrorCode::Forbidden,
        Code::RateLimitExceeded => ErrorCode::RateLimited,
        code if code.is_not_found() => ErrorCode::NotFound,
        code if code.is_conflict() => ErrorCode::Conflict,
        code if code.is_idempotency_mismatch() => ErrorCode::IdempotencyMismatch,
        _ => return None,
    })
}
