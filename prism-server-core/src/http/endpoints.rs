//! What a dialect is made of: endpoints, each behind its gate, and answers for whatever has no endpoint.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Request, State},
    middleware::{Next, from_fn, from_fn_with_state},
    response::Response,
    routing::MethodRouter,
};
use http::{HeaderValue, StatusCode, header::RETRY_AFTER, header::WWW_AUTHENTICATE};

use super::{
    Authenticator,
    gate::{self, Gate, Rule},
    linger,
    rate_limit::RateLimit,
};
use crate::{
    core::Core,
    error::{Error, ErrorKind},
};

/// How a dialect tells errors.
pub(crate) type Tell = fn(Error) -> Response;

/// An endpoint: its path, what it asks of its requests, and its handler.
pub(crate) type Endpoint = (&'static str, Rule, MethodRouter<Arc<Core>>);

/// A router of endpoints, none of which is reached past its gate. A panic of a handler is an error of the dialect.
pub(crate) fn router(
    core: Arc<Core>,
    authenticator: &Arc<dyn Authenticator>,
    endpoints: impl Iterator<Item = Endpoint>,
    tell: Tell,
) -> Router {
    let rate_limit = core.settings.requests_per_second.and_then(RateLimit::new).map(Arc::new);
    let mut router = Router::new();
    for (path, rule, handler) in endpoints {
        let gate = Gate {
            authenticator: authenticator.clone(),
            rate_limit: rate_limit.clone(),
            core: core.clone(),
            rule,
            tell,
        };
        router = router.route(path, handler.route_layer(from_fn_with_state(gate, gate::enter)));
    }
    router
        .method_not_allowed_fallback(async move |request: Request| tell(method_not_allowed(&request)))
        .fallback(async move |request: Request| tell(unknown_path(&request)))
        .layer(from_fn_with_state(tell, catch_panic))
        .layer(from_fn(linger::layer))
        .with_state(core)
}

/// Logs an error on its way out, and adds the headers that it has in every dialect.
pub(crate) fn refuse(error: &Error, mut response: Response) -> Response {
    let status = response.status();
    // What the caller asked too much for is no failure of ours.
    let is_asked_for = matches!(error.kind(), ErrorKind::TooSlow | ErrorKind::Unsupported);
    if status.is_server_error() && !is_asked_for {
        tracing::error!(%error, %status, "a request failed");
    } else {
        tracing::debug!(%error, %status, "a request was refused");
    }
    let headers = response.headers_mut();
    if let Some(wait) = error.retry_hint() {
        headers.insert(RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
    }
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

async fn catch_panic(State(tell): State<Tell>, request: Request, next: Next) -> Response {
    use futures::FutureExt;
    match std::panic::AssertUnwindSafe(next.run(request)).catch_unwind().await {
        Ok(response) => response,
        Err(_) => tell(Error::internal("a handler panicked")),
    }
}

fn unknown_path(request: &Request) -> Error {
    let message = format!("There is no {} here.", shown(request.uri().path()));
    Error::new(ErrorKind::NotFound, message)
}

fn method_not_allowed(request: &Request) -> Error {
    let message = format!("{} cannot be used on {}.", request.method(), shown(request.uri().path()));
    Error::new(ErrorKind::MethodNotAllowed, message)
}

fn shown(path: &str) -> String {
    path.chars().take(200).collect()
}
