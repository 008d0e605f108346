//! How requests travel: by the client's own connections, through layers of middleware, or by a service in their place.
//!
//! Everything that a client sends, event streams and files included, goes through one [`Service`] from a
//! [`http::Request`] to a [`http::Response`], once for each attempt. So whatever is made for tower works here:
//!
//! * [`ClientBuilder::layer`](crate::ClientBuilder::layer) puts a layer around it: to sign requests, to measure them, to
//!   limit how many there are at once.
//! * [`ClientBuilder::transport`](crate::ClientBuilder::transport) puts another service in its place: a server that is a
//!   value in the same process, such as an axum `Router`, or a script that fails as a test wants it.
//!
//! Time limits, retries and the resuming of streams are above all that, and do what they do with any service.
//!
//! A request carries its [`Operation`] and its [`Attempt`] as extensions. Its header `authorization` is the API key,
//! marked as sensitive.
//!
//! ```
//! use prism_client::{
//!     Client, Error,
//!     transport::{Body, Operation, Transport},
//! };
//! use tower::ServiceBuilder;
//!
//! # fn example() -> Result<Client, Error> {
//! let named = |request: http::Request<Body>| {
//!     if let Some(operation) = request.extensions().get::<Operation>() {
//!         println!("{operation}");
//!     }
//!     request
//! };
//! let layers = ServiceBuilder::new().map_request(named).concurrency_limit(8);
//! Client::builder().api_key("prism_…").layer(layers).build()
//! # }
//! ```

mod adapter;
mod body;
mod http_client;
mod outgoing;

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::future::ready;
use tower_service::Service;

use crate::Error;

pub use body::Body;

pub(crate) use adapter::Adapter;
pub(crate) use http_client::HttpClient;
pub(crate) use outgoing::Outgoing;

/// What other crates' errors are boxed as.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// An exchange that is under way.
pub type Exchange = Pin<Box<dyn Future<Output = Result<http::Response<Body>, Error>> + Send>>;

/// What sends the requests of a client; what a layer of [`ClientBuilder::layer`](crate::ClientBuilder::layer) is put
/// around.
///
/// It answers when the head of the answer is there. It is always ready. Cloning is cheap.
#[derive(Clone)]
pub struct Transport(Arc<dyn Carry>);

/// A service whose types are forgotten.
pub(crate) trait Carry: Send + Sync {
    fn carry(&self, request: http::Request<Body>) -> Exchange;

    /// Sends a request of this crate.
    fn send(&self, outgoing: Outgoing) -> Exchange {
        match outgoing.try_into() {
            Ok(request) => self.carry(request),
            Err(error) => Box::pin(ready(Err(error))),
        }
    }
}

impl Transport {
    pub(crate) fn new(carry: impl Carry + 'static) -> Self {
        Self(Arc::new(carry))
    }

    pub(crate) fn send(&self, outgoing: Outgoing) -> Exchange {
        self.0.send(outgoing)
    }
}

impl Service<http::Request<Body>> for Transport {
    type Response = http::Response<Body>;
    type Error = Error;
    type Future = Exchange;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Exchange {
        self.0.carry(request)
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport").finish_non_exhaustive()
    }
}

/// What is asked of the server: the method, and the path with names in place of ids, such as
/// `GET /v1/deployments/{deployment_id}`. An extension of each request, and the name of its span.
///
/// There are as many as the API has, and none holds anything private: good for names of metrics.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Operation {
    method: http::Method,
    path: &'static str,
}

impl Operation {
    pub(crate) fn new(method: http::Method, path: &'static str) -> Self {
        Self { method, path }
    }

    /// The method.
    pub fn method(&self) -> &http::Method {
        &self.method
    }

    /// The path below the base URL, with names in braces in place of ids.
    pub fn path(&self) -> &'static str {
        self.path
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

/// Which try of its call a request is, from 1. An extension of each request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Attempt(pub(crate) u32);

impl Attempt {
    /// The number, from 1.
    pub fn number(self) -> u32 {
        self.0
    }
}
