//! Settings of a client.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use prism_types::Secret;
use reqwest::{Url, header::HeaderValue};
use tower_layer::Layer;
use tower_service::Service;

use super::{
    BehaviorVersion, Client, Inner,
    connections::{Base, Connections, Proxy},
};
use crate::{
    Error, RetryPolicy,
    call::extra_header,
    error::Kind,
    retry::Budget,
    transport::{Adapter, Body, BoxError, Transport},
};

const DEFAULT_BASE_URL: &str = "http://127.0.0.1:8080";

/// Builds a [`Client`].
#[derive(Clone)]
#[must_use = "call `build`"]
pub struct ClientBuilder {
    base_url: Option<String>,
    api_key: Option<Secret>,
    headers: Vec<(String, String)>,
    behavior: BehaviorVersion,
    timeout: Option<Duration>,
    attempt_timeout: Option<Duration>,
    retry_policy: Option<RetryPolicy>,
    connections: Connections,
}

impl ClientBuilder {
    pub(super) fn new() -> Self {
        Self {
            base_url: None,
            api_key: None,
            headers: Vec::new(),
            behavior: BehaviorVersion::latest(),
            timeout: None,
            attempt_timeout: None,
            retry_policy: None,
            connections: Connections::new(),
        }
    }

    /// Sets where the server is: an `http` or `https` URL that the paths (`/v1/…`) are appended to. It may
    /// have a path of its own and a slash at its end; it must not have user, query or fragment.
    ///
    /// Default: the environment variable `PRISM_BASE_URL`, or else `http://127.0.0.1:8080`.
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.base_url = Some(url.into());
        self
    }

    /// Sets the API key, which is sent as a bearer token. Default: the environment variable
    /// `PRISM_API_KEY`.
    pub fn api_key(mut self, key: impl Into<Secret>) -> Self {
        self.api_key = Some(key.into());
        self
    }

    /// Sets the time limit of a call, with all its attempts and the pauses between them. Default: 60 s. Each call can have
    /// another one; event streams have none, but an
    /// [`idle_timeout`](crate::events::OpenEventStream::idle_timeout).
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sets the time limit of each attempt of a call, from the connection to the end of the answer. Default: none but that
    /// of the call. Each call can have another one.
    pub fn attempt_timeout(mut self, timeout: Duration) -> Self {
        self.attempt_timeout = Some(timeout);
        self
    }

    /// Sets how calls are tried again. Default: [`RetryPolicy::new`]. Each call can have another one.
    pub fn retries(mut self, policy: RetryPolicy) -> Self {
        self.retry_policy = Some(policy);
        self
    }

    /// Sets how long an answer may pause between two of its pieces, event streams too. Default: none but the other limits.
    pub fn read_timeout(mut self, timeout: Duration) -> Self {
        self.connections.read_timeout = Some(timeout);
        self
    }

    /// Sends a header as well, with every request, such as one that a gateway before the server wants. Each call can have
    /// another value.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Pins the defaults of everything that is not set here to those of a version, so that an update of this crate does not
    /// change them. Default: [`BehaviorVersion::latest`].
    pub fn behavior_version(mut self, version: BehaviorVersion) -> Self {
        self.behavior = version;
        self
    }

    /// Sends everything through a proxy: an `http` or `https` URL, which may have a user and a password. Default: what the
    /// environment says (`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`).
    pub fn proxy(mut self, url: impl Into<String>) -> Self {
        self.connections.proxy = Some(Proxy::Url(url.into()));
        self
    }

    /// Uses no proxy, whatever the environment says.
    pub fn no_proxy(mut self) -> Self {
        self.connections.proxy = Some(Proxy::None);
        self
    }

    /// Trusts these certificates as well as those of the platform: one or more in PEM. Call it again for more.
    #[cfg(any(feature = "rustls", feature = "native-tls"))]
    pub fn root_certificate(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.connections.roots.push(pem.into());
        self
    }

    /// Sends everything by this client, which has its own proxies, root certificates and connection settings: those of this
    /// builder do not count then. It should not follow redirects, so that the API key goes to the server that it was given
    /// for and to no other.
    pub fn http_client(mut self, client: reqwest::Client) -> Self {
        self.connections.base = Base::Http(client);
        self
    }

    /// Sends everything by this service instead of over connections; see [`transport`](crate::transport). It is cloned for
    /// each request.
    ///
    /// A server that is a value is such a service: this is all it takes to test against one without a socket.
    ///
    /// ```
    /// # fn example() -> Result<prism_client::Client, prism_client::Error> {
    /// use prism_client::transport::Body;
    ///
    /// let refuse_all = tower::service_fn(async |_: http::Request<Body>| {
    ///     let mut answer = http::Response::new(Body::empty());
    ///     *answer.status_mut() = http::StatusCode::SERVICE_UNAVAILABLE;
    ///     Ok::<_, std::convert::Infallible>(answer)
    /// });
    /// prism_client::Client::builder().api_key("any").transport(refuse_all).build()
    /// # }
    /// ```
    pub fn transport<S, B>(mut self, service: S) -> Self
    where
        S: Service<http::Request<Body>, Response = http::Response<B>> + Clone + Send + Sync + 'static,
        S::Future: Send,
        S::Error: Into<BoxError>,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        self.connections.base = Base::Other(Transport::new(Adapter(service)));
        self
    }

    /// Puts a layer of middleware around what sends the requests; see [`transport`](crate::transport). It sees each attempt
    /// of each call. The layer that is added first sees a request first and its answer last.
    ///
    /// Its errors, unless they are an [`Error`] of this crate's transport that it passes on, are
    /// [`Error::is_middleware`].
    pub fn layer<L, B>(mut self, layer: L) -> Self
    where
        L: Layer<Transport> + Send + Sync + 'static,
        L::Service:
            Service<http::Request<Body>, Response = http::Response<B>> + Clone + Send + Sync + 'static,
        <L::Service as Service<http::Request<Body>>>::Future: Send,
        <L::Service as Service<http::Request<Body>>>::Error: Into<BoxError>,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        self.connections.add_layer(move |inner| Transport::new(Adapter(layer.layer(inner))));
        self
    }

    /// Sets the time limit of opening a connection. Default: 10 s.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connections.connect_timeout = Some(timeout);
        self
    }

    /// Builds the client. Nothing is sent.
    ///
    /// Redirects are not followed: an API key goes to the server it was given for and to no other. Proxies
    /// are taken from the environment (`HTTPS_PROXY`, `NO_PROXY`, …).
    ///
    /// # Errors
    /// [`Error::is_configuration`] when there is no API key, or it, the base URL, a header, the proxy or a certificate is
    /// invalid, or TLS cannot be set up.
    pub fn build(self) -> Result<Client, Error> {
        let base_url = self.base_url.or_else(|| variable("PRISM_BASE_URL"));
        let base_url = parse_base_url(base_url.as_deref().unwrap_or(DEFAULT_BASE_URL))?;
        let key = self.api_key.or_else(|| variable("PRISM_API_KEY").map(Secret::from)).ok_or_else(|| {
            invalid("there is no API key: call `api_key` or set the environment variable PRISM_API_KEY")
        })?;
        let defaults = self.behavior.defaults();
        Ok(Client(Arc::new(Inner {
            transport: self.connections.transport(defaults.connect_timeout)?,
            base_url,
            authorization: authorization(&key)?,
            headers: self
                .headers
                .iter()
                .map(|(name, value)| extra_header(name, value).map_err(invalid))
                .collect::<Result<_, _>>()?,
            timeout: self.timeout.unwrap_or(defaults.timeout),
            attempt_timeout: self.attempt_timeout,
            retry_policy: self.retry_policy.unwrap_or(defaults.retry_policy),
            budget: Budget::new(),
        })))
    }
}

/// Without the base URL too, which may hold a password as long as nobody checked it.
impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder")
            .field("timeout", &self.timeout)
            .field("attempt_timeout", &self.attempt_timeout)
            .field("retry_policy", &self.retry_policy)
            .field("behavior", &self.behavior)
            .field("connections", &self.connections)
            .finish_non_exhaustive()
    }
}

pub(super) fn invalid(reason: impl Into<String>) -> Error {
    Error::new(Kind::Configuration(reason.into()))
}

/// An environment variable; one that is empty counts as not set.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn parse_base_url(text: &str) -> Result<Url, Error> {
    // The text is not quoted: it may contain a password, which is one of the things refused here.
    let mut url: Url =
        text.parse().map_err(|error| invalid(format!("the base URL is not a URL: {error}")))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(invalid("the base URL must start with http:// or https://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(invalid("the base URL must not contain a user or a password"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(invalid("the base URL must not have a query or a fragment"));
    }
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty();
    }
    Ok(url)
}

fn authorization(key: &Secret) -> Result<HeaderValue, Error> {
    let key = key.expose();
    if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(invalid("the API key must be visible ASCII without spaces, and not empty"));
    }
    let mut value = HeaderValue::try_from(format!("Bearer {key}"))
        .map_err(|_| invalid("the API key cannot be sent in a header"))?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(base_url: &str) -> Result<Client, Error> {
        Client::builder().base_url(base_url).api_key("key").build()
    }

    #[test]
    fn paths_go_below_the_base_url() {
        for (base, expected) in [
            ("http://h:1", "http://h:1/v1/deployments/dep_1"),
            ("http://h:1/", "http://h:1/v1/deployments/dep_1"),
            ("https://h/gateway/prism", "https://h/gateway/prism/v1/deployments/dep_1"),
            ("https://h/gateway/prism/", "https://h/gateway/prism/v1/deployments/dep_1"),
        ] {
            let client = build(base).unwrap();
            assert_eq!(client.url("/v1/deployments/{deployment_id}", &["dep_1"]).as_str(), expected);
        }
    }

    #[test]
    fn segments_cannot_leave_their_place() {
        let client = build("http://h/p").unwrap();
        assert_eq!(client.url("/{a}/{b}", &["a/b", "c?d#e"]).as_str(), "http://h/p/a%2Fb/c%3Fd%23e");
    }

    #[test]
    fn bad_base_urls_are_refused_without_being_quoted() {
        for base in ["", "canary", "ftp://h", "http://canary:canary@h", "http://h?canary", "http://h#canary"]
        {
            let error = build(base).unwrap_err();
            assert!(error.is_configuration());
            assert!(!format!("{error} {error:?}").contains("canary"), "{error:?}");
        }
    }

    #[test]
    fn bad_keys_are_refused_without_being_quoted() {
        for key in ["", "canary key", "canary\n", "can\u{e4}ry"] {
            let error = Client::builder().base_url("http://h").api_key(key).build().unwrap_err();
            assert!(error.is_configuration());
            assert!(!format!("{error} {error:?}").contains("canary"), "{error:?}");
        }
    }
}
