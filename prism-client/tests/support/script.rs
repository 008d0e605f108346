//! A server that is a value: requests are answered by a closure, without a socket, in paused time if need be.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use futures::FutureExt;
use http_body::Body as _;
use prism_client::{
    Client, ClientBuilder, RetryPolicy,
    transport::{Attempt, Body, BoxError, Operation},
};
use serde_json::Value;
use tower::Service;

/// A request, as far as tests look at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    /// The method and the path with names in place of ids.
    pub(crate) operation: String,
    pub(crate) attempt: u32,
    pub(crate) uri: String,
    pub(crate) headers: http::HeaderMap,
    /// As far as it is there at once.
    pub(crate) body: Vec<u8>,
}

impl Seen {
    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("it is ASCII"))
    }

    /// The body, as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("the body is JSON")
    }
}

type Answer = Result<http::Response<Body>, BoxError>;

#[derive(Clone)]
pub(crate) struct Script {
    answer: Arc<dyn Fn(&Seen) -> Answer + Send + Sync>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Script {
    pub(crate) fn new(answer: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Self {
        Self { answer: Arc::new(answer), seen: Arc::default() }
    }

    /// What came so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("no test panics with it").clone()
    }

    /// How often an operation was asked for.
    pub(crate) fn count(&self, operation: &str) -> usize {
        self.seen().iter().filter(|seen| seen.operation == operation).count()
    }

    pub(crate) fn builder(&self) -> ClientBuilder {
        Client::builder()
            .base_url("http://script")
            .api_key(super::KEY)
            .retries(RetryPolicy::none())
            .transport(self.clone())
    }

    pub(crate) fn client(&self) -> Client {
        self.builder().build().expect("the settings are valid")
    }
}

impl Service<http::Request<Body>> for Script {
    type Response = http::Response<Body>;
    type Error = BoxError;
    type Future = std::future::Ready<Result<http::Response<Body>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let (head, mut content) = request.into_parts();
        let mut body = Vec::new();
        while let Some(Some(Ok(frame))) = poll_fn(|cx| Pin::new(&mut content).poll_frame(cx)).now_or_never() {
            body.extend_from_slice(frame.data_ref().expect("requests have no trailers"));
        }
        let extensions = &head.extensions;
        let seen = Seen {
            operation: extensions.get::<Operation>().expect("each request has one").to_string(),
            attempt: extensions.get::<Attempt>().expect("each request has one").number(),
            uri: head.uri.to_string(),
            headers: head.headers,
            body,
        };
        self.seen.lock().expect("no test panics with it").push(seen.clone());
        std::future::ready((self.answer)(&seen))
    }
}

/// An answer of JSON.
pub(crate) fn json(status: u16, value: &Value) -> Answer {
    let mut answer = http::Response::new(Body::from(value.to_string()));
    *answer.status_mut() = status.try_into().expect("it is a status");
    answer.headers_mut().insert("x-request-id", http::HeaderValue::from_static("req_script"));
    Ok(answer)
}

/// An answer that is an event stream with this body.
pub(crate) fn events(body: Body) -> Answer {
    let mut answer = http::Response::new(body);
    answer.headers_mut().insert("content-type", http::HeaderValue::from_static("text/event-stream"));
    Ok(answer)
}
