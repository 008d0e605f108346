//! An answer with what came around it.

use std::{fmt, ops::Deref, time::Duration};

use reqwest::{StatusCode, header::HeaderMap};

use crate::{RateLimit, retry::Tries};

/// What a call answered: the value, and the status and headers of the HTTP answer.
///
/// It dereferences to the value.
///
/// ```no_run
/// # async fn example(client: prism_client::Client) -> Result<(), prism_client::Error> {
/// let page = client.deployments().list().await?;
/// println!("{} deployments, request {:?}", page.data.len(), page.request_id());
/// let deployments = page.into_inner().data;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Response<T> {
    value: T,
    status: StatusCode,
    headers: HeaderMap,
    tries: Tries,
}

impl<T> Response<T> {
    pub(crate) fn new(value: T, status: StatusCode, headers: HeaderMap) -> Self {
        Self { value, status, headers, tries: Tries::default() }
    }

    pub(crate) fn tried(self, tries: Tries) -> Self {
        Self { tries, ..self }
    }

    /// The value alone.
    pub fn into_inner(self) -> T {
        self.value
    }

    pub(crate) fn map<U>(self, map: impl FnOnce(T) -> U) -> Response<U> {
        let Self { value, status, headers, tries } = self;
        Response { value: map(value), status, headers, tries }
    }

    /// The HTTP status: 200 to 299.
    pub fn status(&self) -> u16 {
        self.status.as_u16()
    }

    /// The id that the server gave the request (header `x-request-id`); name it in reports.
    pub fn request_id(&self) -> Option<&str> {
        self.header("x-request-id")
    }

    /// The entity tag of what was answered, such as `"r7"`: hand it to `if_match` of a change, which is then made only if
    /// nobody else has made one since.
    pub fn etag(&self) -> Option<&str> {
        self.header("etag")
    }

    /// Whether the request had been carried out before under its idempotency key, and this is the answer that it got
    /// then.
    pub fn is_replay(&self) -> bool {
        self.header("idempotent-replayed") == Some("true")
    }

    /// The key by which the request can be sent again without being carried out again; `None` for what needs none.
    pub fn idempotency_key(&self) -> Option<&str> {
        self.tries.idempotency_key.as_deref()
    }

    /// How often the request was sent, from 1.
    pub fn attempts(&self) -> u32 {
        self.tries.attempts
    }

    /// How long it all took, with the pauses between attempts.
    pub fn elapsed(&self) -> Duration {
        self.tries.elapsed
    }

    /// How much the key may still send, if the server limits that.
    pub fn rate_limit(&self) -> Option<RateLimit> {
        RateLimit::of(&self.headers)
    }

    /// The first value of a header, whatever the case of its name; `None` when it is absent or not visible
    /// ASCII.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

impl<T> Deref for Response<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> AsRef<T> for Response<T> {
    fn as_ref(&self) -> &T {
        &self.value
    }
}

/// Without the headers: only what is known to be harmless is printed.
impl<T: fmt::Debug> fmt::Debug for Response<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("value", &self.value)
            .field("status", &self.status())
            .field("request_id", &self.request_id())
            .field("attempts", &self.attempts())
            .field("elapsed", &self.elapsed())
            .finish_non_exhaustive()
    }
}
