//! Requests as a stub gets them.

use std::{fmt, str::FromStr};

use bytes::Bytes;
use http::HeaderMap;
use prism_types::{ErrorCode, Problem};
use serde::de::DeserializeOwned;

use super::{Refusal, query};

/// A request that came: which operation, which attempt, and all that is not among the parameters of the stub's method.
#[derive(Clone)]
pub struct Request {
    pub(super) operation: &'static str,
    pub(super) method: http::Method,
    /// The path as it came, without the query.
    pub(super) path: String,
    /// What stands in the path in place of the names in braces.
    pub(super) values: Vec<String>,
    pub(super) query: Vec<(String, String)>,
    pub(super) headers: HeaderMap,
    pub(super) attempt: u32,
    pub(super) body: Bytes,
}

impl Request {
    /// The name of the operation, which is that of the method of [`Stub`](super::Stub): `create_deployment`.
    pub fn operation(&self) -> &'static str {
        self.operation
    }

    /// The method of HTTP.
    pub fn method(&self) -> &http::Method {
        &self.method
    }

    /// The path without the query: `/v1/deployments/dep_1`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Which try of its call it is, from 1.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// The key that names the call; all attempts of a call have the same.
    pub fn idempotency_key(&self) -> Option<&str> {
        self.header("idempotency-key")
    }

    /// The event after which a stream is to begin; `None`: with what happens from now on.
    pub fn last_event_id(&self) -> Option<&str> {
        self.header("last-event-id").filter(|id| !id.is_empty())
    }

    /// The first value of a header, whatever the case of its name; `None` when it is absent or not visible ASCII.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The value of a parameter of the query.
    pub fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// The body as it came; empty when there is none.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The JSON of the body, as the type of a request or as any other, such as `serde_json::Value`; `None` when there is
    /// none, or it has another form.
    pub fn json<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_slice(&self.body).ok()
    }

    /// A value of the path, named as in the table, such as `deployment_id`. What has not the form of an id names nothing.
    pub(super) fn read_path<T: FromStr>(&self, place: usize, name: &str) -> Result<T, Refusal> {
        let value = self.values.get(place).and_then(|value| value.parse().ok());
        value.ok_or_else(|| Refusal::not_found(&noun(name)))
    }

    pub(super) fn read_query<Q: query::Query>(&self) -> Result<Q, Refusal> {
        query::read(&self.query)
    }

    pub(super) fn read_body<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        let json = &mut serde_json::Deserializer::from_slice(&self.body);
        serde_path_to_error::deserialize(json).map_err(|error| {
            let path = match error.path().to_string().as_str() {
                "." => "$".to_owned(),
                path if path.starts_with('[') => format!("${path}"),
                path => format!("$.{path}"),
            };
            let problem = Problem::new(path, error.inner().to_string());
            let message = format!("1 problem: {}: {}", problem.path, problem.message);
            Refusal::new(400, ErrorCode::ValidationError, message).problem(problem)
        })
    }
}

/// Without headers and body, which may hold what is private.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("operation", &self.operation)
            .field("path", &self.path)
            .field("attempt", &self.attempt)
            .finish_non_exhaustive()
    }
}

/// `webhook_id` names a `Webhook`.
fn noun(name: &str) -> String {
    let name = name.trim_end_matches("_id").trim_end_matches("_name").replace('_', " ");
    let (first, rest) = name.split_at(1);
    first.to_uppercase() + rest
}
