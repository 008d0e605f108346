//! Passing on: a request to the service that it is for, and its answer back.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    body::{Body, HttpBody as _},
    extract::{ConnectInfo, Request},
    response::Response,
};
use futures::FutureExt as _;
use http::{
    HeaderMap, HeaderValue, Method, StatusCode, Version,
    header::{AUTHORIZATION, CONNECTION, CONTENT_TYPE, SET_COOKIE, UPGRADE},
    request::Parts,
};
use hyper::{body::Incoming, upgrade::OnUpgrade};
use tokio::time::sleep;
use tracing::Instrument as _;

use super::{
    Edge,
    admission::{Admitted, Credentials},
    answer_head,
    body::{Lease, Passed, Sent},
    cookies::Cookies,
    place::{self, Place},
    query,
    refusal::Refusal,
    request_head::{self, Came, FORWARDED_PROTO, TRAFFIC_TOKEN},
    services::{Connection, UnderWay},
    tunnel::{self, Tunnel},
    watch::{Activity, Watched},
};
use crate::http::request_id;

/// Answers a request for a place.
pub(super) async fn serve(edge: Arc<Edge>, place: Place, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    let request_id = parts.headers.get(request_id::HEADER).cloned();
    let instance = place.label.instance.clone();
    match pass(edge, &place, &mut parts, body).await {
        Ok(response) => response,
        Err(refusal) => {
            // Anybody can name an instance and be refused, so it is not worth more than that.
            tracing::debug!(%instance, code = refusal.code(), "a request for a service was refused");
            refusal.response(request_id.as_ref())
        }
    }
}

async fn pass(edge: Arc<Edge>, place: &Place, parts: &mut Parts, body: Body) -> Result<Response, Refusal> {
    request_head::check(parts, &edge.limits)?;
    let scheme = scheme(&edge, &parts.headers);
    let cookies = Cookies { place, is_tls: scheme == "https" };
    let upgrade = request_head::upgrade(parts);
    let query::Parted { rest, tokens } = match parts.uri.query() {
        Some(query) => query::part(query),
        None => query::Parted { rest: None, tokens: Vec::new() },
    };
    let ours = cookies.take(&mut parts.headers);
    let credentials = Credentials {
        tokens,
        cookies: ours,
        traffic_token: parts.headers.get(&TRAFFIC_TOKEN).map(HeaderValue::as_bytes),
        is_upgrade: upgrade.is_some(),
    };
    let admitted = edge.admit(&place.label, credentials).await?;

    let host = place::host(&parts.uri, &parts.headers).unwrap_or("localhost").to_owned();
    drop_our_keys(&edge, &mut parts.headers).await;
    let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| *peer);
    let query = rest.as_deref();
    Came { place, host: &host, scheme, peer, query, upgrade: upgrade.as_ref() }.forward(parts)?;

    let client = upgrade.and_then(|_| tunnel::side(&mut parts.extensions));
    let exchange = Exchange {
        under_way: edge.services.begin(&admitted.target.service)?,
        admitted,
        activity: Activity::new(),
        edge,
    };
    let (answer, connection) = exchange.ask(parts, body).await?;
    let (mut head, body) = answer.into_parts();
    let protocol =
        head.headers.get(UPGRADE).filter(|_| head.status == StatusCode::SWITCHING_PROTOCOLS).cloned();
    let is_agreed = protocol.is_some() && tunnel::is_agreed(&parts.headers, &head.headers);
    answer_head::pass_on(&mut head.headers, cookies, &host, exchange.admitted.by_token);
    head.version = Version::HTTP_11;
    if head.status == StatusCode::SWITCHING_PROTOCOLS {
        let sides = client.zip(tunnel::side(&mut head.extensions)).zip(protocol);
        let ((client, service), protocol) = sides.filter(|_| is_agreed).ok_or(Refusal::BadAnswer)?;
        head.headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        head.headers.insert(UPGRADE, protocol);
        exchange.open(client, service, connection);
        return Ok(Response::from_parts(head, Body::empty()));
    }
    if exchange.admitted.by_token {
        exchange.go_on(cookies, &mut head.headers);
    }
    let body = exchange.body(&head.headers, body, connection);
    Ok(Response::from_parts(head, body))
}

/// How the client speaks to the server, or to the proxy before it.
fn scheme(edge: &Edge, headers: &HeaderMap) -> &'static str {
    if edge.urls.is_configured() {
        return edge.urls.scheme();
    }
    let is_tls =
        headers.get(&FORWARDED_PROTO).is_some_and(|told| told.as_bytes().eq_ignore_ascii_case(b"https"));
    if is_tls { "https" } else { "http" }
}

/// What is hosted must not get a key to the API, also when somebody sends it there by mistake.
async fn drop_our_keys(edge: &Edge, headers: &mut HeaderMap) {
    let mut is_ours = false;
    for value in headers.get_all(AUTHORIZATION) {
        let bearer = value.to_str().ok().and_then(|value| {
            let (scheme, token) = value.trim_start().split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
        });
        if let Some(bearer) = bearer {
            is_ours = is_ours || edge.directory.is_api_key(bearer).await;
        }
    }
    if is_ours {
        headers.remove(AUTHORIZATION);
    }
}

/// A request that may pass, until its answer.
struct Exchange {
    edge: Arc<Edge>,
    admitted: Admitted,
    under_way: UnderWay,
    activity: Arc<Activity>,
}

impl Exchange {
    /// Sends the request, and waits for the head of its answer.
    async fn ask(
        &self,
        parts: &Parts,
        body: Body,
    ) -> Result<(http::Response<Incoming>, Connection), Refusal> {
        let can_be_repeated = matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS)
            && body.is_end_stream()
            && !parts.headers.contains_key(UPGRADE);
        if can_be_repeated && let Some(connection) = self.under_way.spare() {
            let sent = self.send(parts, Body::empty(), connection).await;
            // The app may have closed the connection in the meantime.
            if !matches!(sent, Err(Refusal::BadAnswer)) {
                return sent;
            }
        }
        let connection = self.under_way.connect(&self.admitted.target).await?;
        self.send(parts, body, connection).await
    }

    async fn send(
        &self,
        parts: &Parts,
        body: Body,
        mut connection: Connection,
    ) -> Result<(http::Response<Incoming>, Connection), Refusal> {
        let mut request = http::Request::new(Sent::new(body, self.activity.clone()));
        *request.method_mut() = parts.method.clone();
        *request.uri_mut() = parts.uri.clone();
        *request.headers_mut() = parts.headers.clone();
        self.activity.moved();
        let answered = connection.sender.send_request(request);
        tokio::select! {
            biased;
            answer = answered => match answer {
                Ok(answer) => Ok((answer, connection)),
                Err(error) => Err(self.failed(&error)),
            },
            () = self.stopped() => Err(Refusal::NotReady),
            () = self.activity.silent_for(self.edge.limits.first_byte) => Err(if self.activity.waits_for_client() {
                Refusal::ClientTooSlow
            } else {
                Refusal::TooSlow
            }),
        }
    }

    /// Returns when an answer is waited for no longer, because the server is stopping.
    async fn stopped(&self) {
        self.edge.shutdown.cancelled().await;
        sleep(self.edge.limits.drain).await;
    }

    fn failed(&self, error: &hyper::Error) -> Refusal {
        let instance = self.under_way.instance();
        if error.is_user() || error.is_body_write_aborted() {
            tracing::debug!(%instance, %error, "the body of a request for a service broke off");
            return Refusal::Malformed;
        }
        tracing::debug!(%instance, %error, "a service did not answer");
        Refusal::BadAnswer
    }

    /// Sets the cookie that goes on for the token.
    fn go_on(&self, cookies: Cookies<'_>, headers: &mut HeaderMap) {
        let (urls, claims) = (&self.edge.urls, &self.admitted.claims);
        let cookie = cookies.set(&urls.keys.cookie(claims), claims.expires_at, urls.clock.now());
        if let Some(cookie) = cookie {
            headers.append(SET_COOKIE, cookie);
        }
    }

    /// The body of the answer.
    fn body(self, headers: &HeaderMap, answer: Incoming, connection: Connection) -> Body {
        let kind = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
        let is_endless = kind.to_ascii_lowercase().starts_with(b"text/event-stream");
        let (watched, lease) = self.lease(connection, is_endless);
        if answer.is_end_stream() {
            lease.finish();
            return Body::empty();
        }
        Body::new(Passed::new(answer, lease, watched.cut().boxed()))
    }

    /// Carries what both sides say from now on.
    fn open(self, client: OnUpgrade, service: OnUpgrade, connection: Connection) {
        let (tasks, patience) = (self.edge.tasks.clone(), self.edge.limits.upgrade);
        let (watched, lease) = self.lease(connection, true);
        let tunnel = Tunnel { client, service, patience, lease };
        tasks.spawn(tunnel.carry(watched).in_current_span());
    }

    fn lease(self, connection: Connection, is_endless: bool) -> (Watched, Lease) {
        let Self { edge, admitted, under_way, activity } = self;
        // Silence of the answer is counted from its head.
        activity.moved();
        let watched = Watched {
            edge,
            instance: under_way.instance().clone(),
            port: under_way.port(),
            claims: admitted.claims,
            activity: activity.clone(),
            is_endless,
        };
        (watched, Lease { connection, under_way, activity })
    }
}
