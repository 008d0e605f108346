//! Errors of the core as answers of the native API: the one place that maps them.

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header::RETRY_AFTER, header::WWW_AUTHENTICATE};
use prism_types::{ErrorBody, ErrorCode};

use crate::error::{Error, ErrorKind};

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
        if status.is_server_error() {
            tracing::error!(%error, %status, "a request failed");
        } else {
            tracing::debug!(%error, %status, "a request was refused");
        }
        let body = ErrorBody::new(code, error.message()).problems(error.problems().iter().cloned());
        let mut response = (status, Json(body)).into_response();
        let headers = response.headers_mut();
        if let Some(wait) = error.retry_hint() {
            headers.insert(RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
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
        ErrorKind::Conflict => (StatusCode::CONFLICT, ErrorCode::Conflict),
        ErrorKind::KeyMismatch => (StatusCode::CONFLICT, ErrorCode::IdempotencyMismatch),
        ErrorKind::PreconditionFailed => (StatusCode::PRECONDITION_FAILED, ErrorCode::PreconditionFailed),
        ErrorKind::RangeNotSatisfiable => (StatusCode::RANGE_NOT_SATISFIABLE, ErrorCode::ValidationError),
        ErrorKind::InvalidSkill => (StatusCode::UNPROCESSABLE_ENTITY, ErrorCode::InvalidSkill),
        ErrorKind::InvalidSecretRef => (StatusCode::UNPROCESSABLE_ENTITY, ErrorCode::InvalidSecretRef),
        ErrorKind::RateLimited => (StatusCode::TOO_MANY_REQUESTS, ErrorCode::RateLimited),
        ErrorKind::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Unavailable),
        ErrorKind::Internal => (StatusCode::INTERNAL_SERVER_ERROR, ErrorCode::ServerError),
    }
}
