//! Messages to an agent.

use std::{convert::Infallible, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{
    DeploymentId, IdError, RunId, RunStatus, ThreadId, UnknownFields,
    macros::{setters, string_on_the_wire},
    open_enum::open_enum,
    unknown_fields::answer,
};

open_enum! {
    /// What an attachment is.
    pub enum AttachmentType {
        /// A picture.
        Image = "image",
        /// A film.
        Video = "video",
        /// A recording.
        Audio = "audio",
    }
}

/// The thread of a message: one that exists, or `"new"` for a fresh one.
///
/// A fresh thread shares memory and files with the others, but not their history.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "every string is one of these")]
pub enum ThreadTarget {
    /// The literal `"new"`.
    New,
    /// A thread that exists.
    Existing(ThreadId),
}

impl From<ThreadId> for ThreadTarget {
    fn from(id: ThreadId) -> Self {
        Self::Existing(id)
    }
}

impl FromStr for ThreadTarget {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        if text == "new" { Ok(Self::New) } else { text.parse().map(Self::Existing) }
    }
}

impl fmt::Display for ThreadTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::New => f.write_str("new"),
            Self::Existing(id) => id.fmt(f),
        }
    }
}

string_on_the_wire!(ThreadTarget, schema: schemars::json_schema!({
    "type": "string",
    "pattern": "^(new|thr_[A-Za-z0-9_-]{1,100})$",
}));

/// The body of `POST /v1/deployments/{deployment_id}/messages`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct SendMessage {
    /// The text, 1 to 131,072 bytes.
    #[cfg_attr(
        feature = "schema",
        schemars(length(min = 1, max = 131_072), regex(pattern = r"^[^\u0000]*$"))
    )]
    pub content: String,
    /// The thread; omitted: the default thread; `"new"`: a fresh one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread_id: Option<ThreadTarget>,
    /// Media for the agent to fetch, at most 20.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schemars(length(max = 20)))]
    pub attachments: Vec<Attachment>,
}

impl SendMessage {
    /// A message to the default thread.
    pub fn new(content: impl Into<String>) -> Self {
        Self { content: content.into(), thread_id: None, attachments: Vec::new() }
    }

    /// Opens a fresh thread for the message.
    #[must_use]
    pub fn new_thread(self) -> Self {
        self.thread_id(ThreadTarget::New)
    }
}

impl From<&str> for SendMessage {
    fn from(content: &str) -> Self {
        Self::new(content)
    }
}

impl From<String> for SendMessage {
    fn from(content: String) -> Self {
        Self::new(content)
    }
}

impl FromStr for SendMessage {
    type Err = Infallible;

    fn from_str(content: &str) -> Result<Self, Infallible> {
        Ok(Self::new(content))
    }
}

setters!(SendMessage {
    /// Sets the thread.
    thread_id?: ThreadTarget,
    /// Replaces the attachments.
    attachments[
        /// Adds an attachment.
        attachment
    ]: Attachment,
});

/// Media for the agent to fetch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Attachment {
    /// What it is.
    #[serde(rename = "type")]
    pub kind: AttachmentType,
    /// A publicly fetchable `http` or `https` URL.
    #[cfg_attr(
        feature = "schema",
        schemars(length(max = 2048), regex(pattern = r"^https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[!-~]*)?$"))
    )]
    pub url: String,
}

impl Attachment {
    /// An attachment of this kind at this URL.
    pub fn new(kind: AttachmentType, url: impl Into<String>) -> Self {
        Self { kind, url: url.into() }
    }
}

answer! {
    /// The answer to a message: it was stored, and this run works on it. Output comes over the event stream.
    pub struct MessageReceipt {
        /// The run that works on the message: a new one, or the one that was already in flight on the thread
        /// and takes the message as steering input.
        pub run_id: RunId,
        /// The deployment.
        pub deployment_id: DeploymentId,
        /// The thread.
        pub thread_id: ThreadId,
        /// The run's status.
        pub status: RunStatus,
    }
}

impl MessageReceipt {
    /// A receipt.
    pub fn new(run_id: RunId, deployment_id: DeploymentId, thread_id: ThreadId, status: RunStatus) -> Self {
        Self { run_id, deployment_id, thread_id, status, unknown_fields: UnknownFields::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_new_or_an_id() {
        let message: SendMessage = serde_json::from_str(r#"{"content":"Hi","thread_id":"new"}"#).unwrap();
        assert_eq!(message, SendMessage::new("Hi").new_thread());
        assert!(serde_json::from_str::<SendMessage>(r#"{"content":"Hi","thread_id":"old"}"#).is_err());
    }
}
