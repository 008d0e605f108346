//! Settings of a client.

use std::{fmt, sync::Arc, time::Duration};

use prism_types::Secret;
use reqwest::{Url, header::HeaderValue};

use super::{Client, Inner};
use crate::{Error, RetryPolicy, error::Kind, retry::Budget};

const DEFAULT_BASE_URL: &str = "http://127.0.0.1:8080";
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);
const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Builds a [`Client`].
#[derive(Clone)]
#[must_use = "call `build`"]
pub struct ClientBuilder {
    base_url: Option<String>,
    api_key: Option<Secret>,
    timeout: Duration,
    attempt_timeout: Option<Duration>,
    connect_timeout: Duration,
    read_timeout: Option<Duration>,
    retry_policy: RetryPolicy,
    http: Option<reqwest::Client>,
}

impl ClientBuilder {
    pub(super) fn new() -> Self {
        Self {
            base_url: None,
            api_key: None,
            timeout: DEFAULT_TIMEOUT,
            attempt_timeout: None,
            connect_timeout: DEFAULT_CONNECT_TIMEOUT,
            read_timeout: None,
            retry_policy: RetryPolicy::new(),
            http: None,
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
        self.timeout = timeout;
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
        self.retry_policy = policy;
        self
    }

    /// Sets how long an answer may pause between two of its pieces, event streams too. Default: none but the other limits.
    pub fn read_timeout(mut self, timeout: Duration) -> Self {
        self.read_timeout = Some(timeout);
        self
    }

    /// Sends everything by this client, which has its own proxies, root certificates and connection settings. Of this
    /// builder's, [`connect_timeout`](Self::connect_timeout) and [`read_timeout`](Self::read_timeout) do not count then.
    /// It should not follow redirects, so that the API key goes to the server that it was given for and to no other.
    pub fn http_client(mut self, client: reqwest::Client) -> Self {
        self.http = Some(client);
        self
    }

    /// Sets the time limit of opening a connection. Default: 10 s.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Builds the client. Nothing is sent.
    ///
    /// Redirects are not followed: an API key goes to the server it was given for and to no other. Proxies
    /// are taken from the environment (`HTTPS_PROXY`, `NO_PROXY`, …).
    ///
    /// # Errors
    /// [`Error::is_configuration`] when there is no API key, or it or the base URL is invalid, or TLS cannot
    /// be set up.
    pub fn build(self) -> Result<Client, Error> {
        let base_url = self.base_url.or_else(|| variable("PRISM_BASE_URL"));
        let base_url = parse_base_url(base_url.as_deref().unwrap_or(DEFAULT_BASE_URL))?;
        let key = self.api_key.or_else(|| variable("PRISM_API_KEY").map(Secret::from)).ok_or_else(|| {
            invalid("there is no API key: call `api_key` or set the environment variable PRISM_API_KEY")
        })?;
        let http = match self.http {
            Some(client) => client,
            None => http_client(self.connect_timeout, self.read_timeout)?,
        };
        Ok(Client(Arc::new(Inner {
            http,
            base_url,
            authorization: authorization(&key)?,
            timeout: self.timeout,
            attempt_timeout: self.attempt_timeout,
            retry_policy: self.retry_policy,
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
            .field("connect_timeout", &self.connect_timeout)
            .field("read_timeout", &self.read_timeout)
            .field("retry_policy", &self.retry_policy)
            .finish_non_exhaustive()
    }
}

fn http_client(connect_timeout: Duration, read_timeout: Option<Duration>) -> Result<reqwest::Client, Error> {
    let mut builder = reqwest::Client::builder()
        .connect_timeout(connect_timeout)
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("prism-client/", env!("CARGO_PKG_VERSION")));
    if let Some(timeout) = read_timeout {
        builder = builder.read_timeout(timeout);
    }
    builder.build().map_err(|error| invalid("the HTTP client could not be set up").caused_by(error))
}

fn invalid(reason: impl Into<String>) -> Error {
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
            assert_eq!(client.url(&["v1", "deployments", "dep_1"]).as_str(), expected);
        }
    }

    #[test]
    fn segments_cannot_leave_their_place() {
        let client = build("http://h/p").unwrap();
        assert_eq!(client.url(&["a/b", "c?d#e"]).as_str(), "http://h/p/a%2Fb/c%3Fd%23e");
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
