//! The edge: the way from outside to the HTTP servers that users have hosted.
//!
//! A *public URL* names a port of a hosted service and carries an edge token, which is all that whoever opens it needs.
//! Requests under such URLs are passed on to the service as they are, bodies as they come, and so are upgrades such as
//! WebSockets.
//!
//! ```text
//! request -> place (whose name or path is it) -> admission (token or cookie, then the directory)
//!         -> proxy: forwarded head -> connection into the sandbox -> answer, or tunnel
//! ```
//!
//! | file | what it is about |
//! |---|---|
//! | `address` | public URLs, and the names and paths that they are made of |
//! | `token` | what is signed: edge tokens, continuation cookies, traffic access tokens |
//! | `admission` | who may pass; [`Directory`] is what the edge asks about services |
//! | `place` | requests by the place they are for |
//! | `proxy`, `tunnel` | passing on |
//! | `request_head`, `answer_head`, `cookies`, `query` | what passes and what does not |
//! | `body`, `watch` | bodies as they come, and when they are cut off |
//! | `services` | how much of a service is under way; connections that wait for the next request |
//! | `refusal` | answers of our own |
//!
//! # What may be learnt without a token
//! Nothing: which services there are, and how they are, is told only to those who have a token for the service at hand.
//!
//! # Credentials
//! | what comes | what a service gets |
//! |---|---|
//! | `edge_token` in the query, also in that of a `Referer` | nothing: it is taken out, and the rest is as it was |
//! | the continuation cookie | nothing; cookies of the app's own pass |
//! | `x-nullspace-traffic-access-token`, `x-nullspace-preview-proxy-token` | nothing |
//! | `Authorization` with one of our API keys | nothing, because what is hosted is hostile |
//! | any other `Authorization` | that, because apps have users of their own |
//!
//! A token is looked at when a request begins. What is open goes on when the token expires, for as long as the service is
//! in the same epoch and has a public URL, which is looked up again twice a minute; then it is cut off.
//!
//! No URL, header or body of a request is ever logged.

mod address;
mod admission;
mod answer_head;
mod body;
mod cookies;
mod place;
mod proxy;
mod query;
mod refusal;
mod request_head;
mod services;
#[cfg(test)]
mod tests;
mod token;
mod tunnel;
mod watch;

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{Request, State},
    middleware,
    response::Response,
    routing::any,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use self::address::{EdgeDomain, InvalidEdgeDomain};
use self::services::Services;
pub(crate) use self::{
    address::{PublicUrl, Urls},
    admission::{Directory, Target},
    place::Hosts,
    token::Service,
};
use crate::{core::Settings, http::request_id};

/// What requests for services are passed on with.
pub(crate) struct Edge {
    urls: Arc<Urls>,
    directory: Arc<dyn Directory>,
    services: Arc<Services>,
    limits: Limits,
    shutdown: CancellationToken,
    tasks: TaskTracker,
}

impl Edge {
    /// An edge for the services of a directory. What it has under way ends after `shutdown`, and is counted by `tasks`.
    pub(crate) fn new(
        urls: Arc<Urls>,
        directory: Arc<dyn Directory>,
        settings: &Settings,
        shutdown: CancellationToken,
        tasks: TaskTracker,
    ) -> Arc<Self> {
        let limits = Limits { per_service: settings.connections_per_service, ..Limits::default() };
        Self::with_limits(urls, directory, limits, shutdown, tasks)
    }

    fn with_limits(
        urls: Arc<Urls>,
        directory: Arc<dyn Directory>,
        limits: Limits,
        shutdown: CancellationToken,
        tasks: TaskTracker,
    ) -> Arc<Self> {
        let services = Services::new(&limits, shutdown.clone(), tasks.clone());
        Arc::new(Self { urls, directory, services, limits, shutdown, tasks })
    }
}

/// Services by path, `/edge/<port>-s-<id>/...`, to be merged into the router of the API. Where a domain of the edge is
/// configured there is nothing at these paths.
pub(crate) fn router(edge: Arc<Edge>) -> Router {
    let handler = async |State(edge): State<Arc<Edge>>, request: Request| -> Response {
        match place::by_path(&edge.urls, &request) {
            Ok(place) => proxy::serve(edge, place, request).await,
            Err(missed) => missed.response(request.headers().get(request_id::HEADER)),
        }
    };
    let handler = any(handler);
    Router::new()
        .route("/edge/{label}", handler.clone())
        .route("/edge/{label}/", handler.clone())
        .route("/edge/{label}/{*rest}", handler)
        .layer(middleware::from_fn(request_id::layer))
        .with_state(edge)
}

/// A router that gives requests for names below the domain of the edge to their services, and all others to `inner`. It
/// must be the outermost one, because it looks at names and not at paths.
pub(crate) fn by_host(edge: Arc<Edge>, inner: Router) -> Router {
    if edge.urls.domain().is_none() {
        return inner;
    }
    Router::new().fallback_service(Hosts::new(edge, inner))
}

/// Bounds, besides those of the server that requests come in by.
#[derive(Debug, Clone)]
struct Limits {
    /// Most requests and streams of one service.
    per_service: usize,
    /// Longest path and query of a request, in bytes.
    target: usize,
    /// Largest headers of a request, names and values, in bytes.
    request_head: usize,
    /// Largest head of an answer, in bytes, and the most of an answer's body that is read ahead.
    answer_head: usize,
    /// Most headers of an answer.
    answer_headers: usize,
    /// How long it may take to connect.
    connect: Duration,
    /// How long a service may be silent until the head of its answer, from the last that it was sent of the request.
    first_byte: Duration,
    /// How long nothing may move in either direction of what is open.
    idle: Duration,
    /// How often what is open is held against the directory.
    recheck: Duration,
    /// How long the client's side may take to change protocols.
    upgrade: Duration,
    /// How long after a shutdown began answers are waited for, and may go on when they have an end.
    drain: Duration,
    /// How long a connection may wait for the next request.
    spare: Duration,
    /// Most connections of a service that wait for a request.
    spares: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            per_service: 512,
            target: 16 << 10,
            request_head: 32 << 10,
            answer_head: 64 << 10,
            answer_headers: 128,
            connect: Duration::from_secs(10),
            first_byte: Duration::from_secs(120),
            idle: Duration::from_secs(300),
            recheck: Duration::from_secs(30),
            upgrade: Duration::from_secs(10),
            drain: Duration::from_secs(5),
            spare: Duration::from_secs(4),
            spares: 64,
        }
    }
}
