//! One call: a request that is put together, sent, and its answer read.
//!
//! Every operation has a builder of its own around [`Call`], so that options can be added to one of them
//! without the others; what they share is written once, by [`calls!`].

mod answer;
mod macros;
mod retry_after;

use std::{fmt, time::Duration};

use bytes::Bytes;
use reqwest::{
    Method, Url,
    header::{
        ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, IF_MATCH,
        IF_NONE_MATCH,
    },
};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    Client, Error, Response, RetryPolicy,
    backoff::random,
    error::Kind,
    retry::{once, tried},
    telemetry::CallSpan,
    transport::{Attempt, Body, Operation, Outgoing},
};

pub(crate) use answer::header;
pub(crate) use macros::{calls, conditional, headed, keyed, paged, query_setters, waited};

const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// The header that names a request.
const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// The header that says for how much longer the client waits for an answer, in milliseconds.
const TIME_LEFT: &str = "x-prism-timeout-ms";
/// The header that says which attempt of its call a request is, from 1.
const ATTEMPT: &str = "x-prism-attempt";

/// What is set by calls and settings of their own, or by the connection.
const OWN_HEADERS: &[&str] = &[
    "accept",
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "host",
    "if-match",
    "if-none-match",
    "last-event-id",
    "range",
    "transfer-encoding",
    "upgrade",
    ATTEMPT,
    IDEMPOTENCY_KEY,
    TIME_LEFT,
];

/// A request that was not sent yet.
#[derive(Clone)]
pub(crate) struct Call {
    client: Client,
    operation: Operation,
    url: Url,
    query: Vec<(&'static str, String)>,
    body: Option<Bytes>,
    timeout: Option<Duration>,
    attempt_timeout: Option<Duration>,
    retry_policy: RetryPolicy,
    accept: HeaderValue,
    headers: HeaderMap,
    attempt: u32,
    span: Option<CallSpan>,
    /// Whether the request is named by a key, so that it can be sent twice and is carried out once.
    takes_key: bool,
    /// Why the request cannot be made; told when it is sent.
    broken: Option<String>,
}

impl Call {
    /// A request without query and body to a path such as `/v1/snapshots/{snapshot_id}`, with these values in place of the
    /// names in braces.
    pub(crate) fn new(client: &Client, method: Method, path: &'static str, values: &[&str]) -> Self {
        let is_lost = |value: &&str| matches!(*value, "" | "." | "..");
        let reason = || "an id or a name is empty or a dot, and cannot be part of a path".to_owned();
        Self {
            takes_key: method == Method::POST,
            operation: Operation::new(method, path),
            url: client.url(path, values),
            client: client.clone(),
            query: Vec::new(),
            body: None,
            timeout: Some(client.timeout()),
            attempt_timeout: client.attempt_timeout(),
            retry_policy: client.retry_policy(),
            accept: JSON,
            headers: client.headers().clone(),
            attempt: 1,
            span: None,
            broken: values.iter().any(is_lost).then(reason),
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

    /// Sets whether the request is named by a key, where that is not the same as being a `POST`.
    #[cfg(feature = "nullspace")]
    pub(crate) fn takes_key(mut self, takes_key: bool) -> Self {
        self.takes_key = takes_key;
        self
    }

    /// The call that reads this path, with the ids of this one, and no query.
    #[cfg(feature = "nullspace")]
    pub(crate) fn reading(&self, path: &'static str) -> Self {
        let ids = self.ids();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let url = self.client.url(path, &ids);
        Self { operation: Operation::new(Method::GET, path), url, query: Vec::new(), ..self.clone() }
    }

    /// Takes a parameter out of the query.
    #[cfg(feature = "nullspace")]
    pub(crate) fn remove_query(&mut self, name: &str) {
        self.query.retain(|(other, _)| *other != name);
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
            Ok(value) => drop(self.headers.insert(HeaderName::from_static(name), value)),
            Err(_) => self.broken = Some(format!("the value of the header {name} is invalid")),
        }
    }

    /// Sets a header of the caller's choice, unless it is one that this crate sets itself.
    pub(crate) fn add_header(&mut self, name: &str, value: &str) {
        match extra_header(name, value) {
            Ok((name, value)) => drop(self.headers.insert(name, value)),
            Err(reason) => self.broken = Some(reason),
        }
    }

    /// Has the call fail, when it is sent, for this reason.
    pub(crate) fn refuse(&mut self, reason: &str) {
        self.broken = Some(reason.to_owned());
    }

    pub(crate) fn set_accept(&mut self, accept: &'static str) {
        self.accept = HeaderValue::from_static(accept);
    }

    /// The time limit of the whole call, with all attempts and the pauses between them.
    pub(crate) fn timeout(&self) -> Option<Duration> {
        self.timeout
    }

    /// Sets the time limit of the whole call, with the answer's body; `None` is none.
    pub(crate) fn set_timeout(&mut self, timeout: Option<Duration>) {
        self.timeout = timeout;
    }

    /// The time limit of each attempt.
    pub(crate) fn attempt_timeout(&self) -> Option<Duration> {
        self.attempt_timeout
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

    pub(crate) fn operation(&self) -> &Operation {
        &self.operation
    }

    /// The method and the path, as errors name the call. The query is left out: it may name customers.
    pub(crate) fn name(&self) -> String {
        format!("{} {}", self.operation.method(), self.url.path())
    }

    /// The ids in the path.
    pub(crate) fn ids(&self) -> Vec<String> {
        // The path of the base URL comes before, so that both are read from their ends.
        let names = self.operation.path().rsplit('/');
        let mut ids: Vec<_> = names
            .zip(self.url.path().rsplit('/'))
            .filter(|(name, _)| name.starts_with('{'))
            .map(|(_, id)| id.to_owned())
            .collect();
        ids.reverse();
        ids
    }

    /// Says which attempt of the call the next request is, by its number from 1, and where it is told of.
    pub(crate) fn begin_attempt(&mut self, number: u32, span: &CallSpan) {
        self.attempt = number;
        self.span = Some(span.clone());
    }

    /// Gives the request a key of its own, unless it has one, so that it can be sent twice and is carried out once.
    pub(crate) fn name_request(&mut self) {
        if self.takes_key && !self.headers.contains_key(IDEMPOTENCY_KEY) {
            self.set_header(IDEMPOTENCY_KEY, &format!("{:016x}{:016x}", random(), random()));
        }
    }

    pub(crate) fn idempotency_key(&self) -> Option<Box<str>> {
        header(&self.headers, IDEMPOTENCY_KEY).map(Into::into)
    }

    /// Whether the request, sent twice, has the effect and the answer of one that is sent once. A change that depends on
    /// what is there has not: after the first one, the condition does not hold any more.
    pub(crate) fn is_repeatable(&self) -> bool {
        match *self.operation.method() {
            Method::GET | Method::HEAD => true,
            Method::POST => self.headers.contains_key(IDEMPOTENCY_KEY),
            _ => !self.headers.contains_key(IF_MATCH) && !self.headers.contains_key(IF_NONE_MATCH),
        }
    }

    /// Sends the request, again if need be, and reads the answer's JSON.
    pub(crate) async fn send<T: DeserializeOwned>(self) -> Result<Response<T>, Error> {
        let (answer, tries) = tried(self, |call| parsed::<T>(call.exchange())).await?;
        Ok(answer.tried(tries))
    }

    /// As [`Call::send`], with a body of bytes, made anew for each attempt.
    pub(crate) async fn upload<T: DeserializeOwned>(
        self,
        content_type: &'static str,
        body: impl Fn(u32) -> Body + Send + Sync,
    ) -> Result<Response<T>, Error> {
        let content_type = HeaderValue::from_static(content_type);
        let (answer, tries) = tried(self, |call| {
            parsed::<T>(call.exchange_with(Some((content_type.clone(), body(call.attempt)))))
        })
        .await?;
        Ok(answer.tried(tries))
    }

    /// As [`Call::upload`], with bytes that can be had once, and so once.
    pub(crate) async fn upload_once<T: DeserializeOwned>(
        self,
        content_type: &'static str,
        body: Body,
    ) -> Result<Response<T>, Error> {
        let body = Some((HeaderValue::from_static(content_type), body));
        let (answer, tries) = once(self, |call| parsed::<T>(call.exchange_with(body))).await?;
        Ok(answer.tried(tries))
    }

    /// Sends the request once, without a time limit, and returns the answer's head if its status is 2xx.
    pub(crate) fn exchange(
        &self,
    ) -> impl Future<Output = Result<http::Response<Body>, Error>> + Send + use<> {
        self.exchange_with(self.body.clone().map(|json| (JSON, json.into())))
    }

    /// As [`Call::exchange`], with a body of this type.
    fn exchange_with(
        &self,
        body: Option<(HeaderValue, Body)>,
    ) -> impl Future<Output = Result<http::Response<Body>, Error>> + Send + use<> {
        let exchange = self.request(body).map(|request| self.client.transport().send(request));
        let (path, span) = (self.operation.path(), self.span.clone());
        async move {
            let answer = exchange?.await?;
            if let Some(span) = span {
                span.answered(&answer);
            }
            if answer.status().is_success() { Ok(answer) } else { Err(answer::refusal(path, answer).await) }
        }
    }

    fn request(&self, body: Option<(HeaderValue, Body)>) -> Result<Outgoing, Error> {
        if let Some(reason) = &self.broken {
            return Err(Error::new(Kind::Configuration(reason.clone())));
        }
        let mut url = self.url.clone();
        if !self.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&self.query);
        }
        let mut headers = self.headers.clone();
        headers.insert(AUTHORIZATION, self.client.authorization().clone());
        headers.insert(ACCEPT, self.accept.clone());
        headers.insert(HeaderName::from_static(ATTEMPT), self.attempt.into());
        if let Some(limit) = [self.timeout, self.attempt_timeout].into_iter().flatten().min() {
            let limit = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
            headers.insert(HeaderName::from_static(TIME_LEFT), limit.into());
        }
        let (content_type, body) = body.unzip();
        if let Some(content_type) = content_type {
            headers.insert(CONTENT_TYPE, content_type);
        } else if *self.operation.method() == Method::POST {
            headers.insert(CONTENT_LENGTH, 0.into());
        }
        let (operation, attempt) = (self.operation.clone(), Attempt(self.attempt));
        Ok(Outgoing { operation, attempt, url, headers, body: body.unwrap_or_default() })
    }
}

/// The JSON of an answer.
async fn parsed<T: DeserializeOwned>(
    answer: impl Future<Output = Result<http::Response<Body>, Error>>,
) -> Result<Response<T>, Error> {
    answer::parse(answer.await?).await
}

/// A header of the user's choice, or why it cannot be sent. Neither is quoted: a value may be a secret.
pub(crate) fn extra_header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), String> {
    let name: HeaderName = name.parse().map_err(|_| "a header has a name that cannot be sent".to_owned())?;
    if OWN_HEADERS.contains(&name.as_str()) {
        return Err(format!("the header {name} is set by this crate itself"));
    }
    let mut value: HeaderValue =
        value.parse().map_err(|_| format!("the header {name} has a value that cannot be sent"))?;
    value.set_sensitive(true);
    Ok((name, value))
}

/// Without query, headers and body, which may hold what is private.
impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("operation", &self.name())
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}
