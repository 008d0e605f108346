//! One call: a request that is put together, sent once, and its answer read.
//!
//! Every operation has a builder of its own around [`Call`], so that options can be added to one of them
//! without the others; what they share is written once, by [`calls!`].

mod retry_after;

use std::{fmt, time::Duration};

use bytes::Bytes;
use prism_types::ErrorBody;
use reqwest::{
    Method, Url,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap},
};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    Client, Error, Response,
    error::{Kind, Misfit},
};

pub(crate) use retry_after::retry_after;

/// Longest body of an answer that is read. A thread of 1,000 messages of the largest size fits in.
const MAX_BODY: usize = 256 << 20;
/// Longest body of an error that is read.
const MAX_ERROR_BODY: usize = 1 << 20;

/// A request that was not sent yet.
#[derive(Clone)]
pub(crate) struct Call {
    client: Client,
    method: Method,
    url: Url,
    query: Vec<(&'static str, String)>,
    body: Option<Bytes>,
    timeout: Option<Duration>,
    accept: &'static str,
    headers: HeaderMap,
    /// Why the request cannot be made; told when it is sent.
    broken: Option<String>,
}

impl Call {
    /// A request without query and body to the path made of `segments` below the base URL.
    pub(crate) fn new(client: &Client, method: Method, segments: &[&str]) -> Self {
        Self {
            method,
            url: client.url(segments),
            client: client.clone(),
            query: Vec::new(),
            body: None,
            timeout: Some(client.timeout()),
            accept: "application/json",
            headers: HeaderMap::new(),
            broken: None,
        }
    }

    /// Sets the JSON body.
    pub(crate) fn body<T: Serialize>(mut self, body: &T) -> Self {
        match serde_json::to_vec(body) {
            Ok(json) => self.body = Some(json.into()),
            Err(error) => self.broken = Some(format!("the request's body cannot be JSON: {error}")),
        }
        self
    }

    /// Sets a parameter of the query, in place of an earlier value.
    pub(crate) fn set_query(&mut self, name: &'static str, value: impl fmt::Display) {
        self.query.retain(|(other, _)| *other != name);
        self.query.push((name, value.to_string()));
    }

    /// Sets a header that this crate knows to be valid.
    pub(crate) fn set_header(&mut self, name: &'static str, value: &str) {
        match value.parse() {
            Ok(value) => drop(self.headers.insert(name, value)),
            Err(_) => self.broken = Some(format!("the value of the header {name} is invalid")),
        }
    }

    /// Has the call fail, when it is sent, for this reason.
    pub(crate) fn refuse(&mut self, reason: &str) {
        self.broken = Some(reason.to_owned());
    }

    pub(crate) fn set_accept(&mut self, accept: &'static str) {
        self.accept = accept;
    }

    /// The time limit of the whole call.
    pub(crate) fn timeout(&self) -> Option<Duration> {
        self.timeout
    }

    /// Sets the time limit of the whole call, with the answer's body; `None` is none.
    pub(crate) fn set_timeout(&mut self, timeout: Option<Duration>) {
        self.timeout = timeout;
    }

    /// The method and the path, as errors name the call. The query is left out: it may name customers.
    pub(crate) fn operation(&self) -> String {
        format!("{} {}", self.method, self.url.path())
    }

    /// Sends the request and reads the answer's JSON.
    pub(crate) async fn send<T: DeserializeOwned>(self) -> Result<Response<T>, Error> {
        let operation = self.operation();
        async { parse(self.exchange().await?).await }.await.map_err(|error: Error| error.during(&operation))
    }

    /// Sends the request with a body of bytes and reads the answer's JSON.
    pub(crate) async fn upload<T: DeserializeOwned>(
        self,
        content: reqwest::Body,
    ) -> Result<Response<T>, Error> {
        let operation = self.operation();
        let content = Some(("application/octet-stream", content));
        async { parse(self.exchange_with(content).await?).await }
            .await
            .map_err(|error: Error| error.during(&operation))
    }

    /// Sends the request and returns the answer's head if its status is 2xx.
    pub(crate) async fn exchange(mut self) -> Result<reqwest::Response, Error> {
        let json = self.body.take().map(|json| ("application/json", reqwest::Body::from(json)));
        self.exchange_with(json).await
    }

    /// As [`Call::exchange`], with a body of this type.
    async fn exchange_with(
        mut self,
        body: Option<(&'static str, reqwest::Body)>,
    ) -> Result<reqwest::Response, Error> {
        if let Some(reason) = self.broken {
            return Err(Error::new(Kind::Configuration(reason)));
        }
        if !self.query.is_empty() {
            self.url.query_pairs_mut().extend_pairs(&self.query);
        }
        let mut request = self
            .client
            .http()
            .request(self.method, self.url)
            .headers(self.headers)
            .header(AUTHORIZATION, self.client.authorization().clone())
            .header(ACCEPT, self.accept);
        if let Some(timeout) = self.timeout {
            request = request.timeout(timeout);
        }
        if let Some((content_type, body)) = body {
            request = request.header(CONTENT_TYPE, content_type).body(body);
        }
        let answer = request.send().await.map_err(Error::transport)?;
        if answer.status().is_success() { Ok(answer) } else { Err(refusal(answer).await) }
    }
}

/// Without query, headers and body, which may hold what is private.
impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("operation", &self.operation())
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

pub(crate) fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// Reads an answer of JSON.
async fn parse<T: DeserializeOwned>(answer: reqwest::Response) -> Result<Response<T>, Error> {
    let (status, headers) = (answer.status(), answer.headers().clone());
    let name_answer = |error: Error| error.answered(status.as_u16(), header(&headers, "x-request-id"));
    let body = read(answer, MAX_BODY).await.map_err(name_answer)?;
    let value = decode(&body).map_err(name_answer)?;
    Ok(Response::new(value, status, headers))
}

async fn refusal(answer: reqwest::Response) -> Error {
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    // A body that cannot be read says as little as one of another form; the status says enough.
    let body = read(answer, MAX_ERROR_BODY).await.unwrap_or_default();
    let body = serde_json::from_slice::<ErrorBody>(&body).ok();
    Error::new(Kind::Refused(body))
        .answered(status, header(&headers, "x-request-id"))
        .hinted(retry_after(&headers))
}

async fn read(mut answer: reqwest::Response, limit: usize) -> Result<Vec<u8>, Error> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(Error::transport)? {
        if body.len() + chunk.len() > limit {
            return Err(Error::new(Kind::TooLarge(limit)));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, Error> {
    let misfit = |path: Option<&str>, error: &serde_json::Error| {
        Error::new(Kind::Decode(Misfit::json("the answer", path, error)))
    };
    let mut json = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut json)
        .map_err(|error| misfit(Some(&error.path().to_string()), error.inner()))?;
    json.end().map_err(|error| misfit(None, &error))?;
    Ok(value)
}

/// Declares the builders of operations. Setters that only one of them has stand beside it.
macro_rules! calls {
    ($($(#[$doc:meta])* $name:ident -> $answer:ty;)+) => { $(
        $(#[$doc])*
        ///
        /// Nothing is sent before [`send`](Self::send) or `.await`.
        #[derive(Debug, Clone)]
        #[must_use = "nothing is sent before `send` or `.await`"]
        pub struct $name {
            call: crate::call::Call,
        }

        impl $name {
            /// Sets the time limit of this call, from the connection to the end of the answer. Default: the
            /// client's [`timeout`](crate::ClientBuilder::timeout).
            pub fn timeout(mut self, timeout: std::time::Duration) -> Self {
                self.call.set_timeout(Some(timeout));
                self
            }

            /// Sends the request, once: what failed is not tried again.
            ///
            /// # Errors
            /// See [`Error`](crate::Error) for what there is to ask it.
            pub async fn send(self) -> Result<crate::Response<$answer>, crate::Error> {
                self.call.send().await
            }
        }

        impl IntoFuture for $name {
            type Output = Result<crate::Response<$answer>, crate::Error>;
            type IntoFuture = std::pin::Pin<Box<dyn Future<Output = Self::Output> + Send>>;

            fn into_future(self) -> Self::IntoFuture {
                Box::pin(self.send())
            }
        }
    )+ };
}

/// Declares setters of query parameters.
macro_rules! query_setters {
    ($name:ident { $($(#[$doc:meta])* $field:ident: $type:ty,)+ }) => {
        impl $name { $(
            $(#[$doc])*
            pub fn $field(mut self, value: impl Into<$type>) -> Self {
                let value: $type = value.into();
                self.call.set_query(stringify!($field), value);
                self
            }
        )+ }
    };
}

/// Declares the setter of the idempotency key, for `POST`s.
macro_rules! keyed {
    ($($name:ident),+) => { $(
        impl $name {
            /// Names the request, so that it is carried out once however often it is sent with this key: the server gives
            /// the answer of the first one again, for 24 hours. 1 to 255 visible ASCII characters, best random. Default:
            /// no key.
            pub fn idempotency_key(mut self, key: &str) -> Self {
                self.call.set_header("idempotency-key", key);
                self
            }
        }
    )+ };
}

/// Declares the setter of the entity tag, for changes of what has one.
macro_rules! conditional {
    ($($name:ident),+) => { $(
        impl $name {
            /// Makes the change only to what was read: with its [`etag`](crate::Response::etag). When it was changed since,
            /// the answer is an error with the status 412, and nothing is done.
            pub fn if_match(mut self, etag: &str) -> Self {
                self.call.set_header("if-match", etag);
                self
            }
        }
    )+ };
}

pub(crate) use {calls, conditional, keyed, query_setters};
