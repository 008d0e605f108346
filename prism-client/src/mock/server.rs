//! A stub as a transport: from requests of HTTP to methods, and back.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use bytes::BytesMut;
use http::{
    HeaderName, HeaderValue, StatusCode,
    header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER},
};
use prism_types::ErrorCode;
use tower_service::Service;

use super::{
    Answer, Raw, Refusal, Request, Stub,
    refusal::Cause,
    reply::Form,
    stub::{OPERATIONS, StubOperation, carry_out},
};
use crate::{
    Error,
    transport::{Attempt, Body, Exchange},
};

/// A [`Stub`] as the transport of a client.
///
/// [`mock::client`](super::client) is shorter; this is for clients with settings of their own:
///
/// ```
/// use std::time::Duration;
/// use prism_client::{Client, mock};
///
/// # fn example() -> Result<Client, prism_client::Error> {
/// let server = mock::Server::new(mock::FakeServer::new());
/// Client::builder().api_key("any").timeout(Duration::from_secs(5)).transport(server).build()
/// # }
/// # example().unwrap();
/// ```
#[derive(Clone)]
pub struct Server {
    stub: Arc<dyn Stub>,
    requests: Arc<AtomicU64>,
}

impl Server {
    /// The transport to this stub.
    pub fn new(stub: impl Stub) -> Self {
        Self { stub: Arc::new(stub), requests: Arc::default() }
    }

    async fn exchange(self, request: http::Request<Body>) -> Result<http::Response<Body>, Error> {
        let number = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        let answer = match receive(request).await? {
            Ok((operation, request)) => self.answer(operation, &request).await,
            Err(refusal) => Err(refusal),
        };
        let mut answer = match answer {
            Ok(answer) => answer,
            Err(refusal) => refused(refusal)?,
        };
        if let Ok(id) = HeaderValue::try_from(format!("req_{number}")) {
            answer.headers_mut().entry("x-request-id").or_insert(id);
        }
        Ok(answer)
    }

    async fn answer(
        &self,
        operation: &StubOperation,
        request: &Request,
    ) -> Result<http::Response<Body>, Refusal> {
        let stub = &*self.stub;
        let answer = stub.intercept(request).unwrap_or_else(|| carry_out(stub, request));
        let answer = stub.conclude(request, answer);
        let delay = answer.as_ref().map_or_else(|refusal| refusal.0.delay, |reply| reply.delay);
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        told(answer, operation.success)
    }
}

impl Service<http::Request<Body>> for Server {
    type Response = http::Response<Body>;
    type Error = Error;
    type Future = Exchange;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Exchange {
        Box::pin(self.clone().exchange(request))
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").finish_non_exhaustive()
    }
}

/// The request with its operation, or what there is to say of one that names none. The error is that of a body that
/// could not be sent.
async fn receive(
    request: http::Request<Body>,
) -> Result<Result<(&'static StubOperation, Request), Refusal>, Error> {
    let (head, mut body) = request.into_parts();
    let mut bytes = BytesMut::new();
    while let Some(chunk) = body.chunk().await {
        bytes.extend_from_slice(&chunk?);
    }
    let path = head.uri.path().to_owned();
    let (operation, values) = match route(head.method.as_str(), &path) {
        Ok(found) => found,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let query = head.uri.query().unwrap_or_default();
    // The URL is there for its query, which it decodes.
    let query = reqwest::Url::parse(&format!("http://mock/?{query}"))
        .map(|url| url.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect());
    let request = Request {
        operation: operation.name,
        method: head.method,
        path,
        values,
        query: query.unwrap_or_default(),
        headers: head.headers,
        attempt: head.extensions.get::<Attempt>().map_or(1, |attempt| attempt.number()),
        body: bytes.freeze(),
    };
    Ok(Ok((operation, request)))
}

/// The operation of a path, and what stands in it in place of the names in braces.
fn route(method: &str, path: &str) -> Result<(&'static StubOperation, Vec<String>), Refusal> {
    let mut has_path = false;
    for operation in OPERATIONS {
        if let Some(values) = values(operation.path, path) {
            if operation.method == method {
                return Ok((operation, values));
            }
            has_path = true;
        }
    }
    Err(match has_path {
        true => Refusal::new(405, ErrorCode::MethodNotAllowed, "The path does not have this method"),
        false => Refusal::not_found("Path"),
    })
}

fn values(template: &str, path: &str) -> Option<Vec<String>> {
    let (mut names, mut segments) = (template.split('/'), path.split('/'));
    let mut values = Vec::new();
    loop {
        match (names.next(), segments.next()) {
            (None, None) => return Some(values),
            (Some(name), Some(segment)) if name.starts_with('{') && !segment.is_empty() => {
                values.push(decoded(segment));
            }
            (Some(name), Some(segment)) if name == segment => {}
            _ => return None,
        }
    }
}

/// A segment without its percent-encoding.
fn decoded(segment: &str) -> String {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.filter(|_| byte == b'%').and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn told(answer: Answer<Raw>, success: u16) -> Result<http::Response<Body>, Refusal> {
    let reply = answer?;
    let (content_type, body) = match reply.value.0 {
        Form::Whole(content_type, bytes) => (content_type, Body::from(bytes)),
        Form::Events(events) => ("text/event-stream", Body::from_stream(events.0)),
    };
    let mut answer = http::Response::new(body);
    *answer.status_mut() = status(reply.status.unwrap_or(success));
    let length = http_body::Body::size_hint(answer.body()).exact();
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.extend(length.map(|length| (CONTENT_LENGTH, length.into())));
    for (name, value) in reply.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            headers.insert(name, value);
        }
    }
    Ok(answer)
}

/// A refusal as an answer, or as what happens to the connection.
fn refused(refusal: Refusal) -> Result<http::Response<Body>, Error> {
    let refusal = *refusal.0;
    let (code, body) = match refusal.cause {
        Cause::Status(status, body) => (status, body),
        Cause::NoConnection => return Err(Error::connect("the mock has it so")),
        Cause::Disconnected => return Err(Error::disconnected("the mock has it so")),
    };
    let json = body.map(|body| serde_json::to_vec(&body).unwrap_or_default());
    let mut answer = http::Response::new(Body::from(json.clone().unwrap_or_default()));
    *answer.status_mut() = status(code);
    let headers = answer.headers_mut();
    if json.is_some() {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    if let Some(time) = refusal.retry_after {
        headers.insert(RETRY_AFTER, time.as_secs().max(1).into());
    }
    for (name, value) in refusal.headers {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    }
    Ok(answer)
}

/// A number that is no status is as good as a failure of the server.
fn status(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_to_operations() {
        let found = |method: &str, path: &str| {
            route(method, path).map(|(operation, values)| (operation.name, values))
        };
        let dep = || "dep_1".to_owned();
        assert_eq!(found("GET", "/v1/deployments"), Ok(("list_deployments", vec![])));
        assert_eq!(found("GET", "/v1/deployments/dep_1"), Ok(("get_deployment", vec![dep()])));
        assert_eq!(
            found("PATCH", "/v1/deployments/dep_1/tools/a%2Fb%C3%A9%"),
            Ok(("update_tool", vec![dep(), "a/b\u{e9}%".to_owned()]))
        );
        assert_eq!(found("PUT", "/v1/deployments/dep_1").unwrap_err().status(), Some(405));
        assert_eq!(found("GET", "/v1/deployments/").unwrap_err().status(), Some(404));
        assert_eq!(found("GET", "/v2/deployments").unwrap_err().status(), Some(404));
    }
}
