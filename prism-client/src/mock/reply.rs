//! Answers of a stub.

use std::{fmt, time::Duration};

use bytes::Bytes;
use prism_types::ErrorCode;
use serde::Serialize;

use super::{Content, Events, Refusal, Request};

/// What a method of a [`Stub`](super::Stub) returns.
pub type Answer<T> = Result<Reply<T>, Refusal>;

/// A value, and what goes around it: status, headers, and how long it takes.
///
/// A value alone becomes one by `into`:
///
/// ```
/// use prism_client::{mock::{Answer, Reply}, types::{DeletedWebhook, WebhookId}};
///
/// fn deleted(id: WebhookId) -> Answer<DeletedWebhook> {
///     Ok(DeletedWebhook::new(id).into())
/// }
///
/// fn deleted_slowly(id: WebhookId) -> Answer<DeletedWebhook> {
///     Ok(Reply::new(DeletedWebhook::new(id)).after(std::time::Duration::from_secs(5)))
/// }
/// # deleted("whe_1".parse().unwrap()).unwrap();
/// # deleted_slowly("whe_1".parse().unwrap()).unwrap();
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply<T> {
    pub(super) value: T,
    pub(super) status: Option<u16>,
    pub(super) headers: Vec<(String, String)>,
    pub(super) delay: Duration,
    /// Nothing was changed by what was asked, though it could have been.
    pub(super) is_idle: bool,
}

impl<T> Reply<T> {
    /// This value, with the status that the operation has by default, at once.
    pub fn new(value: T) -> Self {
        Self { value, status: None, headers: Vec::new(), delay: Duration::ZERO, is_idle: false }
    }

    /// Sets the status. Default: that of the operation's success, 200 or 201.
    #[must_use]
    pub fn status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }

    /// Adds a header. One that HTTP does not allow is left out.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Adds the header `etag`, such as `"r7"`, with the quotes.
    #[must_use]
    pub fn etag(self, etag: impl Into<String>) -> Self {
        self.header("etag", etag)
    }

    /// Tells it so long after the request came, by tokio's time. Default: at once.
    #[must_use]
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// The value.
    pub fn value(&self) -> &T {
        &self.value
    }

    pub(super) fn map<U>(self, map: impl FnOnce(T) -> U) -> Reply<U> {
        let Self { value, status, headers, delay, is_idle } = self;
        Reply { value: map(value), status, headers, delay, is_idle }
    }

    pub(super) fn with<U>(self, value: U) -> Reply<U> {
        self.map(|_| value)
    }
}

impl<T> From<T> for Reply<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

/// A body of any form: what [`Stub::intercept`](super::Stub::intercept) answers in place of a method.
pub struct Raw(pub(super) Form);

pub(super) enum Form {
    /// A body of this type.
    Whole(&'static str, Bytes),
    Events(Events),
}

impl Raw {
    /// JSON, whether it is what the operation answers or not.
    ///
    /// # Panics
    /// When the value cannot be JSON, such as a map whose keys are not strings.
    pub fn json(value: &impl Serialize) -> Self {
        let json = serde_json::to_vec(value);
        Self::bytes(
            "application/json",
            json.unwrap_or_else(|error| panic!("the value cannot be JSON: {error}")),
        )
    }

    /// Bytes of this content type.
    pub fn bytes(content_type: &'static str, bytes: impl Into<Bytes>) -> Self {
        Self(Form::Whole(content_type, bytes.into()))
    }

    /// The bytes and their type; `None` when it is a stream of events.
    pub(super) fn whole(&self) -> Option<(&'static str, &Bytes)> {
        match &self.0 {
            Form::Whole(content_type, bytes) => Some((content_type, bytes)),
            Form::Events(_) => None,
        }
    }
}

/// Without the content.
impl fmt::Debug for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Raw").finish_non_exhaustive()
    }
}

/// What an operation can answer.
pub(super) trait Tell: Sized {
    /// The answer as it travels, to this request.
    fn tell(reply: Reply<Self>, request: &Request) -> Answer<Raw>;
}

impl<T: Serialize> Tell for T {
    fn tell(reply: Reply<Self>, _: &Request) -> Answer<Raw> {
        let json = serde_json::to_vec(&reply.value).map_err(|error| {
            Refusal::new(500, ErrorCode::ServerError, format!("the answer cannot be JSON: {error}"))
        })?;
        Ok(reply.with(Raw::bytes("application/json", json)))
    }
}

impl Tell for Content {
    fn tell(reply: Reply<Self>, request: &Request) -> Answer<Raw> {
        Content::part(reply, request)
    }
}

impl Tell for Events {
    fn tell(reply: Reply<Self>, _: &Request) -> Answer<Raw> {
        Ok(reply.map(|events| Raw(Form::Events(events))))
    }
}
