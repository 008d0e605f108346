//! Requests by the place they are for: a path below `/edge/`, or a name below the domain of the edge.

use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{
    Router,
    extract::{OriginalUri, Request, State},
    middleware,
    response::{IntoResponse, Response},
};
use futures::future::BoxFuture;
use http::{
    HeaderMap, HeaderValue, StatusCode, Uri,
    header::{HOST, LOCATION},
};
use tower::{Service, ServiceExt as _};

use super::{
    Edge, Urls,
    address::{Label, PATH},
    proxy,
    refusal::{Refusal, private},
};
use crate::http::request_id;

/// What a request is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) label: Label,
    /// The path of the service's root as clients see it, without `/` at its end. Below a domain it is empty.
    pub(super) root: String,
    /// The path as the service sees it.
    pub(super) path: String,
}

impl Place {
    /// Whether the service has an origin of its own.
    pub(super) fn has_own_origin(&self) -> bool {
        self.root.is_empty()
    }
}

/// Why a request is for no place.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Missed {
    Refused(Refusal),
    /// Relative links would be wrong: go to this path, with the same query.
    Slash(HeaderValue),
}

impl Missed {
    pub(super) fn response(self, request_id: Option<&HeaderValue>) -> Response {
        match self {
            Self::Refused(refusal) => refusal.response(request_id),
            Self::Slash(to) => {
                let mut response = (StatusCode::PERMANENT_REDIRECT, [(LOCATION, to)]).into_response();
                private(response.headers_mut());
                response
            }
        }
    }
}

/// The place of a request for a path below `/edge/`.
pub(super) fn by_path(urls: &Urls, request: &Request) -> Result<Place, Missed> {
    let nowhere = || Missed::Refused(Refusal::NoSuchPlace);
    if urls.domain().is_some() {
        return Err(nowhere());
    }
    // As it is written, because the service has to see it so.
    let path = request.uri().path();
    let inner = path.strip_prefix(PATH).ok_or_else(nowhere)?;
    let (label, rest) = inner.split_at(inner.find('/').unwrap_or(inner.len()));
    let label = Label::parse(label).ok_or_else(nowhere)?;
    let root = match urls.base_path() {
        Some(base) => format!("{base}{PATH}{label}"),
        // As the router is nested, if it is.
        None => {
            let outside =
                request.extensions().get::<OriginalUri>().map_or(path, |OriginalUri(uri)| uri.path());
            format!("{}{PATH}{label}", outside.strip_suffix(path).unwrap_or_default())
        }
    };
    if rest.is_empty() {
        let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
        let to = HeaderValue::try_from(format!("{root}/{query}"));
        return Err(to.map_or_else(|_| nowhere(), Missed::Slash));
    }
    Ok(Place { path: rest.to_owned(), label, root })
}

/// The place of a request for a name below the domain, if it is for one.
fn by_name(urls: &Urls, host: &str, uri: &Uri) -> Option<Result<Place, Refusal>> {
    let name = urls.domain()?.name_below(host)?;
    Some(match Label::parse(&name) {
        Some(label) => Ok(Place { label, root: String::new(), path: uri.path().to_owned() }),
        None => Err(Refusal::NoSuchPlace),
    })
}

/// The host that a request is for, as the client wrote it.
pub(super) fn host<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<&'a str> {
    let named = uri.authority().map(http::uri::Authority::as_str);
    named.or_else(|| headers.get(HOST)?.to_str().ok())
}

/// Gives requests for names below the domain of the edge to their services, and others to what is within.
#[derive(Clone)]
pub(crate) struct Hosts {
    edge: Arc<Edge>,
    services: Router,
    inner: Router,
}

impl Hosts {
    pub(super) fn new(edge: Arc<Edge>, inner: Router) -> Self {
        let services = Router::new()
            .fallback(pass)
            .layer(middleware::from_fn(request_id::layer))
            .with_state(edge.clone());
        Self { edge, services, inner }
    }
}

impl Service<Request> for Hosts {
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // Routers are always ready.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let host = host(request.uri(), request.headers());
        let is_below = host.and_then(|host| self.edge.urls.domain()?.name_below(host)).is_some();
        let router = if is_below { &self.services } else { &self.inner };
        Box::pin(router.clone().oneshot(request))
    }
}

async fn pass(State(edge): State<Arc<Edge>>, request: Request) -> Response {
    let place =
        host(request.uri(), request.headers()).and_then(|host| by_name(&edge.urls, host, request.uri()));
    match place.unwrap_or(Err(Refusal::NoSuchPlace)) {
        Ok(place) => proxy::serve(edge, place, request).await,
        Err(refusal) => refusal.response(request.headers().get(request_id::HEADER)),
    }
}
