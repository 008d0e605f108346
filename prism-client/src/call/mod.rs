//! One call: a request that is put together, sent, and its answer read.
//!
//! Every operation has a builder of its own around [`Call`], so that options can be added to one of them
//! without the others; what they share is written once, by [`calls!`].

mod retry_after;

use std::{fmt, time::Duration};

use bytes::Bytes;
use prism_types::ErrorBody;
use reqwest::{
    Method, Url,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, IF_MATCH, IF_NONE_MATCH},
};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    Client, Error, Response, RetryPolicy,
    backoff::random,
    error::{Kind, Misfit},
    retry::{Tries, once, tried},
};

pub(crate) use retry_after::retry_after;

/// The type of a body of bytes.
const BYTES: &str = "application/octet-stream";
/// The header that names a request.
const IDEMPOTENCY_KEY: &str = "idempotency-key";
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
    attempt_timeout: Option<Duration>,
    retry_policy: RetryPolicy,
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
            attempt_timeout: client.attempt_timeout(),
            retry_policy: client.retry_policy(),
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

    /// The value of a parameter of the query.
    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(other, _)| *other == name).map(|(_, value)| value.as_str())
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

    /// The time limit of the whole call, with all attempts and the pauses between them.
    pub(crate) fn timeout(&self) -> Option<Duration> {
        self.timeout
    }

    /// Sets the time limit of the whole call, with the answer's body; `None` is none.
    pub(crate) fn set_timeout(&mut self, timeout: Option<Duration>) {
        self.timeout = timeout;
    }

    /// Sets the time limit of each attempt.
    pub(crate) fn set_attempt_timeout(&mut self, timeout: Duration) {
        self.attempt_timeout = Some(timeout);
    }

    /// Sets how the call is tried again.
    pub(crate) fn set_retry_policy(&mut self, policy: RetryPolicy) {
        self.retry_policy = policy;
    }

    pub(crate) fn retry_policy(&self) -> RetryPolicy {
        self.retry_policy
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// One attempt, for which so much time is left.
    pub(crate) fn within(mut self, left: Option<Duration>) -> Self {
        self.timeout = [left, self.attempt_timeout].into_iter().flatten().min();
        self
    }

    /// Gives the request a key of its own, unless it has one, so that it can be sent twice and is carried out once.
    pub(crate) fn name_request(&mut self) {
        if self.method == Method::POST && !self.headers.contains_key(IDEMPOTENCY_KEY) {
            self.set_header(IDEMPOTENCY_KEY, &format!("{:016x}{:016x}", random(), random()));
        }
    }

    pub(crate) fn idempotency_key(&self) -> Option<Box<str>> {
        header(&self.headers, IDEMPOTENCY_KEY).map(Into::into)
    }

    /// Whether the request, sent twice, has the effect and the answer of one that is sent once. A change that depends on
    /// what is there has not: after the first one, the condition does not hold any more.
    pub(crate) fn is_repeatable(&self) -> bool {
        match self.method {
            Method::GET | Method::HEAD => true,
            Method::POST => self.headers.contains_key(IDEMPOTENCY_KEY),
            _ => !self.headers.contains_key(IF_MATCH) && !self.headers.contains_key(IF_NONE_MATCH),
        }
    }

    /// The method and the path, as errors name the call. The query is left out: it may name customers.
    pub(crate) fn operation(&self) -> String {
        format!("{} {}", self.method, self.url.path())
    }

    /// Sends the request, again if need be, and reads the answer's JSON.
    pub(crate) async fn send<T: DeserializeOwned>(self) -> Result<Response<T>, Error> {
        let operation = self.operation();
        let sent = tried(self, |call| async { parse(call.exchange().await?).await }).await;
        sent.map(answered).map_err(|error| error.during(&operation))
    }

    /// As [`Call::send`], with a body of bytes.
    pub(crate) async fn upload<T: DeserializeOwned>(self, content: Bytes) -> Result<Response<T>, Error> {
        let operation = self.operation();
        let sent = tried(self, |call| {
            let body = Some((BYTES, content.clone().into()));
            async { parse(call.exchange_with(body).await?).await }
        });
        sent.await.map(answered).map_err(|error| error.during(&operation))
    }

    /// As [`Call::upload`], with bytes that can be had once, and so once.
    pub(crate) async fn upload_once<T: DeserializeOwned>(
        self,
        content: reqwest::Body,
    ) -> Result<Response<T>, Error> {
        let operation = self.operation();
        let send = async |call: Self| parse(call.exchange_with(Some((BYTES, content))).await?).await;
        once(self, send).await.map(answered).map_err(|error| error.during(&operation))
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

/// The answer with what it took to get it.
fn answered<T>((answer, tries): (Response<T>, Tries)) -> Response<T> {
    answer.tried(tries)
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
            /// Sets the time limit of this call, with all its attempts and the pauses between them. Default: the client's
            /// [`timeout`](crate::ClientBuilder::timeout).
            pub fn timeout(mut self, timeout: std::time::Duration) -> Self {
                self.call.set_timeout(Some(timeout));
                self
            }

            /// Sets the time limit of each attempt, from the connection to the end of the answer. Default: the client's
            /// [`attempt_timeout`](crate::ClientBuilder::attempt_timeout).
            pub fn attempt_timeout(mut self, timeout: std::time::Duration) -> Self {
                self.call.set_attempt_timeout(timeout);
                self
            }

            /// Sets how this call is tried again. Default: the client's [`retries`](crate::ClientBuilder::retries).
            pub fn retries(mut self, policy: crate::RetryPolicy) -> Self {
                self.call.set_retry_policy(policy);
                self
            }

            /// Sends the request, and again when it fails in a way that may pass; see
            /// [what is tried again](crate#what-is-tried-again-and-what-is-not).
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

/// Declares the streams of calls that list, and how each part of the list is answered.
macro_rules! paged {
    ($($name:ident -> $answer:ident of $item:ty),+ $(,)?) => { $(
        impl $name {
            /// The items of all pages, from this one on, as a stream. The `limit` is that of each page.
            pub fn items(self) -> crate::Items<$item> {
                crate::Items::new(self.pages())
            }

            /// The pages, from this one on, as a stream.
            pub fn pages(self) -> crate::Pages<$item> {
                crate::Pages::new::<paged!(@answer $answer $item)>(self.call)
            }
        }
    )+ };
    (@answer Page $item:ty) => { prism_types::Page<$item> };
    (@answer $answer:ident $item:ty) => { $answer };
}

/// Declares the setter of the idempotency key, for `POST`s.
macro_rules! keyed {
    ($($name:ident),+) => { $(
        impl $name {
            /// Names the request, so that it is carried out once however often it is sent with this key: the server gives
            /// the answer of the first one again, for 24 hours. 1 to 255 visible ASCII characters, best random. Default: a
            /// random key, the same for all attempts of the call, which
            /// [the answer](crate::Response::idempotency_key) and [the error](crate::Error::idempotency_key) tell. Set one
            /// that is stored first, and a program that was killed can send the request again.
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

pub(crate) use {calls, conditional, keyed, paged, query_setters};
