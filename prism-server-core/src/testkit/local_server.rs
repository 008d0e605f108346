//! A server on the loopback interface that records what it is asked, and ends when it is dropped.

use std::{
    collections::VecDeque,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::StatusCode,
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures::{StreamExt, stream};
use http::{HeaderMap, Method};
use serde_json::Value;
use tokio::{net::TcpListener, sync::watch};
use tokio_util::sync::CancellationToken;

/// Largest body of a request.
const BODY: usize = 16 * 1024 * 1024;
/// Most requests that are kept; older ones are forgotten.
const MOST_REQUESTS: usize = 2_000;
/// Most bytes of bodies that are kept.
const MOST_BYTES: usize = 128 * 1024 * 1024;
/// How long a request is waited for.
const DEADLINE: Duration = Duration::from_secs(60);

/// A request as it came.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RecordedRequest {
    /// The method.
    pub method: Method,
    /// The path.
    pub path: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, byte for byte.
    pub body: Bytes,
}

impl RecordedRequest {
    /// The body as JSON, `null` if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// A header's text, empty when it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// The server.
#[derive(Debug)]
pub(super) struct LocalServer {
    address: SocketAddr,
    recording: Arc<Recording>,
    stop: CancellationToken,
}

impl LocalServer {
    /// Serves the router, which sees each request after it was recorded.
    pub(super) async fn start(listen: SocketAddr, router: Router) -> io::Result<Self> {
        let listener = TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        let (recording, stop) = (Arc::new(Recording::default()), CancellationToken::new());
        let state = (recording.clone(), stop.clone());
        let router = router.layer(middleware::from_fn_with_state(state, record));
        let stopped = stop.clone().cancelled_owned();
        tokio::spawn(async move { axum::serve(listener, router).with_graceful_shutdown(stopped).await });
        Ok(Self { address, recording, stop })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The requests so far, oldest first.
    pub(super) fn requests(&self) -> Vec<RecordedRequest> {
        self.recording.all()
    }

    /// The first request that fits, also one that came before; panics after 60 s.
    pub(super) async fn request(&self, fits: impl Fn(&RecordedRequest) -> bool) -> RecordedRequest {
        let mut count = self.recording.count.subscribe();
        let first = async {
            loop {
                count.borrow_and_update();
                if let Some(found) = self.requests().into_iter().find(&fits) {
                    return Some(found);
                }
                count.changed().await.ok()?;
            }
        };
        let found = tokio::time::timeout(DEADLINE, first).await;
        found.ok().flatten().unwrap_or_else(|| panic!("no such request came within {DEADLINE:?}"))
    }
}

impl Drop for LocalServer {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

#[derive(Debug, Default)]
struct Recording {
    kept: Mutex<(VecDeque<RecordedRequest>, usize)>,
    count: watch::Sender<u64>,
}

impl Recording {
    fn add(&self, request: RecordedRequest) {
        {
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            let (requests, bytes) = &mut *kept;
            *bytes += request.body.len();
            requests.push_back(request);
            while requests.len() > MOST_REQUESTS || *bytes > MOST_BYTES {
                *bytes -= requests.pop_front().map_or(0, |oldest| oldest.body.len());
            }
        }
        self.count.send_modify(|count| *count += 1);
    }

    fn all(&self) -> Vec<RecordedRequest> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).0.iter().cloned().collect()
    }
}

async fn record(
    State((recording, stop)): State<(Arc<Recording>, CancellationToken)>,
    request: Request,
    next: Next,
) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, BODY).await else {
        return (StatusCode::PAYLOAD_TOO_LARGE, "the body is too large, or was cut off").into_response();
    };
    recording.add(RecordedRequest {
        method: parts.method.clone(),
        path: parts.uri.path().to_owned(),
        headers: parts.headers.clone(),
        body: body.clone(),
    });
    let request = Request::from_parts(parts, Body::from(body));
    tokio::select! {
        response = next.run(request) => response.map(|body| cut_off(body, stop)),
        () = stop.cancelled() => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

/// The body, until the server ends: a graceful end would wait for a body that never does.
fn cut_off(body: Body, stop: CancellationToken) -> Body {
    let state = Some((body.into_data_stream(), stop));
    Body::from_stream(stream::unfold(state, |state| async {
        let (mut body, stop) = state?;
        tokio::select! {
            chunk = body.next() => Some((chunk?, Some((body, stop)))),
            () = stop.cancelled() => {
                Some((Err(axum::Error::new(io::Error::other("the server ended"))), None))
            }
        }
    }))
}
