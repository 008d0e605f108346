//! Errors of the core as answers of the native API: the one place that maps them.

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::StatusCode;
use prism_types::{ErrorBody, ErrorCode};

use crate::{
    error::{Error, ErrorKind},
    http::endpoints,
};

/// An error on its way out.
pub(crate) struct Answer(pub(super) Error);

impl From<Error> for Answer {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let Self(error) = self;
        let (status, code) = status_and_code(error.kind());
        let body = ErrorBody::new(code, error.message()).problems(error.problems().iter().cloned());
        endpoints::refuse(&error, (status, Json(body)).into_response())
    }
}

fn status_and_code(kind: ErrorKind) -> (StatusCode, ErrorCode) {
    match kind {
        ErrorKind::Invalid => (StatusCode::BAD_REQUEST, ErrorCode::ValidationError),
        ErrorKind::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, ErrorCode::ValidationError),
        ErrorKind::Unauthorized => (StatusCode::UNAUTHORIZED, ErrorCode::Unauthorized),
        ErrorKind::InsufficientCredits => (StatusCode::PAYMENT_REQUIRED, ErrorCode::InsufficientCredits),
        ErrorKind::Forbidden => (StatusCode::FORBIDDEN, ErrorCode::Forbidden),
        ErrorKind::NotFound => (StatusCode::NOT_FOUND, ErrorCode::NotFound),
        ErrorKind::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, ErrorCode::MethodNotAllowed),
        ErrorKind::NotReady => (StatusCode::CONFLICT, ErrorCode::DeploymentNotReady),
        ErrorKind::Conflict | ErrorKind::InvalidState | ErrorKind::NameTaken | ErrorKind::Full => {
            (StatusCode::CONFLICT, ErrorCode::Conflict)
        }
        ErrorKind::KeyMismatch => (StatusCode::CONFLICT, ErrorCode::IdempotencyMismatch),
        ErrorKind::PreconditionFailed => (StatusCode::PRECONDITION_FAILED, ErrorCode::PreconditionFailed),
        ErrorKind::RangeNotSatisfiable => (StatusCode::RANGE_NOT_SATISFIABLE, ErrorCode::ValidationError),
        ErrorKind::InvalidSkill => (StatusCode::UNPROCESSABLE_ENTITY, ErrorCode::InvalidSkill),
        ErrorKind::InvalidSecretRef => (StatusCode::UNPROCESSABLE_ENTITY, ErrorCode::InvalidSecretRef),
        ErrorKind::Unsupported => (StatusCode::NOT_IMPLEMENTED, ErrorCode::Unavailable),
        ErrorKind::TooSlow => (StatusCode::GATEWAY_TIMEOUT, ErrorCode::Unavailable),
        ErrorKind::RateLimited => (StatusCode::TOO_MANY_REQUESTS, ErrorCode::RateLimited),
        ErrorKind::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Unavailable),
        ErrorKind::Internal => (StatusCode::INTERNAL_SERVER_ERROR, ErrorCode::ServerError),
    }
}
