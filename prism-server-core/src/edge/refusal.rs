//! Why a request does not reach a service, and how that is told.

use std::time::Duration;

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{CACHE_CONTROL, REFERRER_POLICY, RETRY_AFTER, WWW_AUTHENTICATE},
};
use serde_json::json;

/// Why a request is not passed on, or why its answer is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// There is neither a token nor a cookie, or only a cookie where it is not taken.
    TokenMissing,
    /// The token is none of ours.
    TokenInvalid,
    /// The token was good.
    TokenExpired,
    /// The token is for something else.
    ScopeMismatch,
    /// The service was started again since the token was made.
    Revoked,
    /// The service has no public URL any more.
    Disabled,
    /// The service takes no public traffic, and the header is missing or wrong.
    TrafficTokenWrong,
    /// There is nothing of this name; also told of names that cannot be.
    NoSuchPlace,
    /// The service is no longer there.
    NoSuchService,
    /// The service does not answer now.
    NotReady,
    /// This kind of sandbox cannot be reached into.
    Unsupported,
    /// Too many requests of the service are under way.
    TooMany,
    /// Nothing answers at the port.
    Unreachable,
    /// What came back is not HTTP, or broke off before the head was whole.
    BadAnswer,
    /// The service took too long.
    TooSlow,
    /// The client took too long with its body.
    ClientTooSlow,
    /// The target of the request is too long.
    TargetTooLong,
    /// The head of the request is too large.
    HeadTooLarge,
    /// The method is not passed on.
    MethodNotAllowed,
    /// The request makes no sense.
    Malformed,
    /// Nobody knows, because the store does not answer.
    Unknown,
}

impl Refusal {
    /// What clients decide by.
    pub(crate) fn code(self) -> &'static str {
        self.parts().1
    }

    fn parts(self) -> (StatusCode, &'static str, &'static str) {
        use StatusCode as S;
        match self {
            Self::TokenMissing => {
                (S::UNAUTHORIZED, "edge_token_missing", "open the service's public URL, with its edge token")
            }
            Self::TokenInvalid => (
                S::UNAUTHORIZED,
                "edge_token_invalid",
                "the edge token is not valid; read the public URL again",
            ),
            Self::TokenExpired => (
                S::UNAUTHORIZED,
                "edge_token_expired",
                "the edge token has expired; read the public URL again",
            ),
            Self::ScopeMismatch => (
                S::FORBIDDEN,
                "edge_token_scope_mismatch",
                "the edge token is for another service; read the public URL of this one",
            ),
            Self::Revoked => (
                S::UNAUTHORIZED,
                "preview_grant_revoked",
                "the service was started again since; read the public URL again",
            ),
            Self::Disabled => {
                (S::FORBIDDEN, "preview_grant_disabled", "the service has no public URL any more")
            }
            Self::TrafficTokenWrong => (
                S::FORBIDDEN,
                "traffic_access_token_invalid",
                "the service takes no public traffic: send its token in `x-nullspace-traffic-access-token`",
            ),
            Self::NoSuchPlace => (S::NOT_FOUND, "not_found", "there is nothing here"),
            Self::NoSuchService => {
                (S::NOT_FOUND, "agent_service_instance_not_found", "the service is no longer there")
            }
            Self::NotReady => {
                (S::SERVICE_UNAVAILABLE, "sandbox_not_ready", "the service is not ready; try again")
            }
            Self::Unsupported => (
                S::SERVICE_UNAVAILABLE,
                "feature_unavailable",
                "services in this kind of sandbox cannot be reached",
            ),
            Self::TooMany => (
                S::TOO_MANY_REQUESTS,
                "capacity_exceeded",
                "too many requests of this service are under way; try again",
            ),
            Self::Unreachable => {
                (S::BAD_GATEWAY, "service_unreachable", "nothing answers at the service's port")
            }
            Self::BadAnswer => {
                (S::BAD_GATEWAY, "service_bad_response", "the service broke off, or did not answer in HTTP/1")
            }
            Self::TooSlow => (S::GATEWAY_TIMEOUT, "service_timeout", "the service did not answer in time"),
            Self::ClientTooSlow => {
                (S::REQUEST_TIMEOUT, "request_timeout", "the body of the request did not come in time")
            }
            Self::TargetTooLong => (S::URI_TOO_LONG, "invalid_request", "the URL is too long"),
            Self::HeadTooLarge => (
                S::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "invalid_request",
                "the headers of the request are too large",
            ),
            Self::MethodNotAllowed => {
                (S::METHOD_NOT_ALLOWED, "invalid_request", "this method is not passed on to services")
            }
            Self::Malformed => (S::BAD_REQUEST, "invalid_request", "the request cannot be passed on"),
            Self::Unknown => (S::SERVICE_UNAVAILABLE, "database_error", "try again"),
        }
    }

    fn retry_after(self) -> Option<Duration> {
        let is_soon = matches!(self, Self::NotReady | Self::TooMany | Self::Unknown);
        is_soon.then_some(Duration::from_secs(1))
    }

    /// The answer to a request with this id. What it says depends on the refusal alone.
    pub(super) fn response(self, request_id: Option<&HeaderValue>) -> Response {
        let (status, code, error) = self.parts();
        let request_id = request_id.and_then(|id| id.to_str().ok());
        let body = json!({ "error": error, "code": code, "request_id": request_id });
        let mut response = (status, Json(body)).into_response();
        let headers = response.headers_mut();
        private(headers);
        if let Some(wait) = self.retry_after() {
            headers.insert(RETRY_AFTER, HeaderValue::from(wait.as_secs()));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("EdgeToken"));
        }
        response
    }
}

/// Keeps an answer of our own from being kept, and its URL from being told on.
pub(super) fn private(headers: &mut HeaderMap) {
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
}
