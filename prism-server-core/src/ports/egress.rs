//! Requests to the outside, for agents.

use bytes::Bytes;
use futures::stream::BoxStream;
use http::{HeaderMap, Method, Response};
use url::Url;

use super::BoxFuture;

/// A body that comes piece by piece.
pub type EgressBody = BoxStream<'static, Result<Bytes, EgressError>>;

/// Sends the requests that the gateway makes for agents. It adds nothing by itself: no cookies, no credentials, no
/// proxy; and it follows no redirects.
pub trait Egress: Send + Sync + 'static {
    /// Sends a request and gives the answer, whatever its status, as soon as its head is there.
    ///
    /// # Errors
    /// When there is no answer, or must not be one: see [`EgressError`].
    fn send(&self, request: EgressRequest) -> BoxFuture<'_, Result<Response<EgressBody>, EgressError>>;

    /// Whether a request may go to a URL, as far as the URL itself tells: by its form, its port, and a host that is an
    /// address. A name is looked up, and its address checked, with each request. Default: it may.
    ///
    /// # Errors
    /// [`EgressError::Forbidden`] when every request to it would be refused.
    fn check(&self, reach: Reach, url: &Url) -> Result<(), EgressError> {
        let _ = (reach, url);
        Ok(())
    }
}

/// A request to send.
#[derive(Debug, Clone)]
#[allow(clippy::exhaustive_structs, reason = "a parameter of a port method: the gateway builds it")]
pub struct EgressRequest {
    /// Who gave the URL.
    pub reach: Reach,
    /// The method.
    pub method: Method,
    /// Where to.
    pub url: Url,
    /// All headers, but for those of the transport.
    pub headers: HeaderMap,
    /// The body, empty when there is none.
    pub body: Bytes,
}

/// Where a request may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reach {
    /// A user gave the URL: public addresses only.
    Public,
    /// The operator gave the URL: anywhere.
    Anywhere,
}

/// Why there is no answer, or no more of it. The text tells nothing of the network behind the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EgressError {
    /// The URL is, or resolves to, an address that is not public, or the port is not allowed.
    #[error("the URL does not lead to a public address")]
    Forbidden,
    /// The host has no address, or does not answer.
    #[error("the host could not be reached")]
    Unreachable,
    /// Nothing came for too long.
    #[error("the host did not answer in time")]
    TimedOut,
    /// The answer ended before it was whole.
    #[error("the answer was broken off")]
    BrokenOff,
}
