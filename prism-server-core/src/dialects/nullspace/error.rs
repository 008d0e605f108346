//! Errors of the core as answers of agent deployments: the one place that maps them.

use axum::{
    Json,
    extract::Request,
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::StatusCode;
use prism_types::{
    RawJson,
    nullspace::{ErrorBody, ErrorCode, UploadFailure},
};

use crate::{
    domain::machine::upload::{UploadFault, UploadReason},
    error::{Error, ErrorKind},
    http::{endpoints, request_id},
};

/// An error on its way out.
pub(crate) struct Answer(pub(super) Error);

impl From<Error> for Answer {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

/// The error, for the layer that knows the id of the request.
#[derive(Clone)]
struct Told(ErrorBody, Option<UploadFailure>);

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let Self(error) = self;
        let (status, code) = status_and_code(&error);
        let mut response = status.into_response();
        let upload = error.upload().map(|fault| of_upload(fault, error.message()));
        let code = if upload.is_some() { ErrorCode::FileUpload } else { code };
        response.extensions_mut().insert(Told(ErrorBody::new(code, error.message()), upload));
        endpoints::refuse(&error, response)
    }
}

/// Writes the bodies of errors, which name the request.
pub(super) async fn name_request(request: Request, next: Next) -> Response {
    let id = request.headers().get(request_id::HEADER).and_then(|id| id.to_str().ok()).map(str::to_owned);
    let mut response = next.run(request).await;
    let Some(Told(mut body, upload)) = response.extensions_mut().remove::<Told>() else { return response };
    if let Some(upload) = upload {
        body = body.error_detail(RawJson::of(&upload.request_id(id.clone())).ok());
    }
    let (parts, _) = response.into_parts();
    let mut whole = (parts.status, Json(body.request_id(id))).into_response();
    for (name, value) in &parts.headers {
        whole.headers_mut().entry(name).or_insert_with(|| value.clone());
    }
    whole
}

/// What programs read of a refusal.
fn of_upload(fault: &UploadFault, message: &str) -> UploadFailure {
    let may_succeed = matches!(fault.reason, UploadReason::NoRoom | UploadReason::PartDigest);
    UploadFailure::new(fault.reason.as_str(), message, may_succeed)
        .upload_id(fault.upload.clone())
        .path(fault.path.clone())
        .part_number(fault.part)
}

pub(super) fn status_and_code(error: &Error) -> (StatusCode, ErrorCode) {
    match error.kind() {
        ErrorKind::Invalid | ErrorKind::InvalidSkill | ErrorKind::InvalidSecretRef => {
            let is_config = |problem: &prism_types::Problem| problem.path.starts_with("$.config");
            let of_config = !error.problems().is_empty() && error.problems().iter().all(is_config);
            let code = if of_config { ErrorCode::InvalidConfig } else { ErrorCode::InvalidRequest };
            (StatusCode::BAD_REQUEST, code)
        }
        ErrorKind::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, ErrorCode::InvalidRequest),
        ErrorKind::Unauthorized => (StatusCode::UNAUTHORIZED, ErrorCode::Unauthorized),
        ErrorKind::InsufficientCredits => (StatusCode::TOO_MANY_REQUESTS, ErrorCode::QuotaExceeded),
        ErrorKind::Forbidden => (StatusCode::FORBIDDEN, ErrorCode::Forbidden),
        ErrorKind::NotFound => (StatusCode::NOT_FOUND, not_found(error.noun())),
        ErrorKind::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, ErrorCode::InvalidRequest),
        ErrorKind::NotReady => (StatusCode::CONFLICT, ErrorCode::SandboxNotReady),
        ErrorKind::Unsupported => (StatusCode::NOT_IMPLEMENTED, ErrorCode::FeatureUnavailable),
        ErrorKind::TooSlow => (StatusCode::GATEWAY_TIMEOUT, ErrorCode::ExecTimeout),
        ErrorKind::InvalidState => (StatusCode::CONFLICT, ErrorCode::InvalidState),
        ErrorKind::Conflict | ErrorKind::PreconditionFailed => {
            (StatusCode::CONFLICT, ErrorCode::TransitionConflict)
        }
        ErrorKind::NameTaken => (StatusCode::CONFLICT, ErrorCode::NameConflict),
        ErrorKind::Full => (StatusCode::TOO_MANY_REQUESTS, ErrorCode::CapacityExceeded),
        ErrorKind::KeyMismatch => (StatusCode::CONFLICT, ErrorCode::IdempotencyMismatch),
        ErrorKind::RangeNotSatisfiable => (StatusCode::RANGE_NOT_SATISFIABLE, ErrorCode::InvalidRequest),
        ErrorKind::RateLimited => (StatusCode::TOO_MANY_REQUESTS, ErrorCode::RateLimitExceeded),
        ErrorKind::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, ErrorCode::FeatureUnavailable),
        ErrorKind::Internal => (StatusCode::INTERNAL_SERVER_ERROR, ErrorCode::InternalError),
    }
}

fn not_found(noun: Option<&str>) -> ErrorCode {
    match noun {
        Some("Deployment") => ErrorCode::DeploymentNotFound,
        Some("Version") => ErrorCode::VersionNotFound,
        Some("Run") => ErrorCode::RunNotFound,
        Some("Service") => ErrorCode::ServiceInstanceNotFound,
        Some("Sandbox") => ErrorCode::SandboxNotFound,
        Some("Upload") => ErrorCode::UploadNotFound,
        Some("Snapshot") => ErrorCode::SnapshotNotFound,
        _ => ErrorCode::NotFound,
    }
}
