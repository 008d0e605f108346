//! A server that is a value: requests are answered by a closure, without a socket, in paused time if need be.

use std::{
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

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
        let extensions = request.extensions();
        let seen = Seen {
            operation: extensions.get::<Operation>().expect("each request has one").to_string(),
            attempt: extensions.get::<Attempt>().expect("each request has one").number(),
            uri: request.uri().to_string(),
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
