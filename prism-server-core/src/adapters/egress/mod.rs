//! Requests to the outside, by two clients: one that the [`guard`] keeps on public addresses, for URLs of users, and one that goes anywhere, for URLs of the operator.

use std::{sync::Arc, time::Duration};

use futures::{FutureExt, StreamExt};
use http::Response;
use reqwest::Client;
use url::Url;

use super::skill_fetcher::{
    BuildError,
    guard::{self, Guard, Lookup, SystemLookup},
    origin::Replacement,
};
use crate::ports::{BoxFuture, Egress, EgressBody, EgressError, EgressRequest, Reach};

/// How long a connection to a host of the operator may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an answer may be silent: before its head, and between two pieces.
const SILENCE: Duration = Duration::from_secs(300);

/// Sends requests over HTTP/1.1 and HTTP/2. A connection may take 10 seconds to be made (5 for URLs of users), an
/// answer may be silent for 5 minutes, and may last as long as it likes.
#[derive(Clone)]
pub struct HttpEgress {
    guard: Guard,
    guarded: Client,
    unguarded: Client,
    replacements: Vec<Replacement>,
}

/// Settings of an [`HttpEgress`].
#[must_use]
pub struct HttpEgressBuilder {
    guard: Guard,
    origins: Vec<(String, String)>,
    silence: Duration,
}

impl HttpEgress {
    /// The settings.
    pub fn builder() -> HttpEgressBuilder {
        let guard = Guard::new(Arc::new(SystemLookup));
        HttpEgressBuilder { guard, origins: Vec::new(), silence: SILENCE }
    }

    /// Who sends a request for a URL, and where to.
    fn route(&self, reach: Reach, url: &Url) -> Result<(&Client, Url), EgressError> {
        let replaced = self.replacements.iter().find_map(|replacement| replacement.apply(url));
        match (reach, replaced) {
            (Reach::Anywhere, _) => Ok((&self.unguarded, url.clone())),
            (Reach::Public, Some(replaced)) => {
                guard::check_form(url).map_err(|_| EgressError::Forbidden)?;
                Ok((&self.unguarded, replaced))
            }
            (Reach::Public, None) => {
                self.guard.check(url).map_err(|_| EgressError::Forbidden)?;
                Ok((&self.guarded, url.clone()))
            }
        }
    }

    async fn ask(&self, request: EgressRequest) -> Result<Response<EgressBody>, EgressError> {
        let EgressRequest { reach, method, url, headers, body } = request;
        let (client, url) = self.route(reach, &url)?;
        let answer = client.request(method, url).headers(headers).body(body).send().await;
        let answer = answer.map_err(|error| match error {
            error if guard::is_refusal(&error) => EgressError::Forbidden,
            error if error.is_timeout() && !error.is_connect() => EgressError::TimedOut,
            _ => EgressError::Unreachable,
        })?;
        let mut response = Response::new(());
        *response.status_mut() = answer.status();
        *response.headers_mut() = answer.headers().clone();
        let body = answer.bytes_stream().map(|piece| {
            piece.map_err(
                |error| if error.is_timeout() { EgressError::TimedOut } else { EgressError::BrokenOff },
            )
        });
        Ok(response.map(|()| body.boxed()))
    }
}

impl Egress for HttpEgress {
    fn send(&self, request: EgressRequest) -> BoxFuture<'_, Result<Response<EgressBody>, EgressError>> {
        self.ask(request).boxed()
    }

    fn check(&self, reach: Reach, url: &Url) -> Result<(), EgressError> {
        self.route(reach, url).map(drop)
    }
}

impl HttpEgressBuilder {
    /// Sends requests for URLs of `origin`, where users give them, to `target` instead, wherever that is: for
    /// development, where an MCP server runs on the machine itself. Path and query are kept.
    ///
    /// Both are origins in canonical spelling, such as `https://example.com` and `http://127.0.0.1:9000`.
    pub fn development_origin(mut self, origin: impl Into<String>, target: impl Into<String>) -> Self {
        self.origins.push((origin.into(), target.into()));
        self
    }

    /// Looks names of users' URLs up with `lookup`. Default: as the system does.
    pub fn lookup(mut self, lookup: Arc<dyn Lookup>) -> Self {
        self.guard = Guard::new(lookup);
        self
    }

    /// Sets how long an answer may be silent. Default: 5 minutes.
    pub fn silence(mut self, silence: Duration) -> Self {
        self.silence = silence;
        self
    }

    /// The egress.
    ///
    /// # Errors
    /// When a development origin is not an origin, or the HTTP client cannot be made.
    pub fn build(self) -> Result<HttpEgress, BuildError> {
        let replacements = self.origins.iter().map(|(origin, target)| Replacement::new(origin, target));
        // Every request of a user is looked up and checked anew; the hosts of the operator are few and known,
        // so their connections are kept.
        let unguarded = guard::plain_client().connect_timeout(CONNECT_TIMEOUT).pool_max_idle_per_host(32);
        Ok(HttpEgress {
            replacements: replacements.collect::<Result<_, _>>()?,
            guarded: self.guard.client().read_timeout(self.silence).build()?,
            unguarded: unguarded.read_timeout(self.silence).build()?,
            guard: self.guard,
        })
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderMap, Method};
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    async fn ask(egress: &HttpEgress, reach: Reach, url: &str) -> Result<Response<EgressBody>, EgressError> {
        let (url, headers) = (Url::parse(url).unwrap(), HeaderMap::new());
        egress.send(EgressRequest { reach, method: Method::GET, url, headers, body: Bytes::new() }).await
    }

    #[tokio::test]
    async fn a_silent_answer_is_ended_before_its_head_and_after() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let server = tokio::spawn(async move {
            let (_silent, _) = listener.accept().await.unwrap();
            let (mut slow, _) = listener.accept().await.unwrap();
            slow.read_u8().await.unwrap();
            slow.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nHi").await.unwrap();
            std::future::pending::<()>().await;
        });
        let egress = HttpEgress::builder().silence(Duration::from_millis(50)).build().unwrap();
        assert_eq!(ask(&egress, Reach::Anywhere, &url).await.err(), Some(EgressError::TimedOut));
        let mut body = ask(&egress, Reach::Anywhere, &url).await.unwrap().into_body();
        assert_eq!(body.next().await.unwrap().unwrap(), "Hi");
        assert_eq!(body.next().await.unwrap().err(), Some(EgressError::TimedOut));
        server.abort();
    }

    #[tokio::test]
    async fn users_reach_no_private_address_and_only_their_origins_are_replaced() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let egress =
            HttpEgress::builder().development_origin("https://mcp.example", &origin).build().unwrap();
        for url in
            [origin.as_str(), "http://localhost:8080/", "https://user@mcp.example/", "http://10.0.0.1/"]
        {
            assert_eq!(ask(&egress, Reach::Public, url).await.err(), Some(EgressError::Forbidden), "{url}");
            let told = egress.check(Reach::Public, &Url::parse(url).unwrap()).err();
            // What a name stands for shows when it is looked up.
            let by_name = url.contains("localhost");
            assert_eq!(told, (!by_name).then_some(EgressError::Forbidden), "{url}");
        }
        assert_eq!(egress.check(Reach::Public, &Url::parse("https://mcp.example/a").unwrap()), Ok(()));
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.read_u8().await.unwrap();
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
            std::future::pending::<()>().await;
        });
        assert_eq!(ask(&egress, Reach::Public, "https://mcp.example/a").await.unwrap().status(), 204);
        server.abort();
        let wrong = HttpEgress::builder().development_origin("mcp.example", origin).build();
        assert!(matches!(wrong, Err(BuildError::Origin(_))));
    }
}
