//! Threads: conversations with an agent.

use serde::{Deserialize, Serialize};

use crate::{
    DeletedStatus, DeploymentId, Patch, RunId, ThreadId, Timestamp, UnknownFields, macros::setters,
    open_enum::open_enum, unknown_fields::answer,
};

open_enum! {
    /// What happens on a thread.
    pub enum ThreadStatus {
        /// No run is in flight.
        Idle = "idle",
        /// A run works.
        Running = "running",
        /// A run waits for a human.
        WaitingOnHuman = "waiting_on_human",
    }
}

open_enum! {
    /// Who wrote a message.
    pub enum MessageRole {
        /// The customer or your application.
        User = "user",
        /// The agent.
        Agent = "agent",
    }
}

/// The body of `POST /v1/deployments/{deployment_id}/threads`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct CreateThread {
    /// A title, at most 255 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(max = 255), regex(pattern = r"^[^\u0000]*$")))]
    pub title: Option<String>,
}

setters!(CreateThread {
    /// Sets the title.
    title?: String,
});

/// The body of `PATCH /v1/deployments/{deployment_id}/threads/{thread_id}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct UpdateThread {
    /// Replaces the title; `null` removes it.
    #[serde(skip_serializing_if = "Patch::is_keep")]
    #[cfg_attr(feature = "schema", schemars(length(max = 255), regex(pattern = r"^[^\u0000]*$")))]
    pub title: Patch<String>,
}

setters!(UpdateThread {
    /// Sets the title; [`Patch::Clear`] removes it.
    title: Patch<String>,
});

answer! {
    /// A thread with its messages.
    pub struct Thread {
        /// The thread's id.
        pub thread_id: ThreadId,
        /// The deployment it belongs to.
        pub deployment_id: DeploymentId,
        /// The title; the default thread's is `Default`.
        pub title: Option<String>,
        /// What happens on it.
        pub status: ThreadStatus,
        /// When it was created.
        pub created_at: Timestamp,
        /// What was said, oldest first: the newest 1,000 messages, and of them at most 4 MiB of text.
        #[serde(default)]
        pub messages: Vec<ThreadMessage>,
    }
}

impl Thread {
    /// A thread without messages.
    pub fn new(
        thread_id: ThreadId,
        deployment_id: DeploymentId,
        title: Option<String>,
        status: ThreadStatus,
        created_at: Timestamp,
    ) -> Self {
        Self {
            thread_id,
            deployment_id,
            title,
            status,
            created_at,
            messages: Vec::new(),
            unknown_fields: UnknownFields::default(),
        }
    }
}

setters!(Thread {
    /// Sets the messages.
    messages[
        /// Adds a message.
        message
    ]: ThreadMessage,
});

answer! {
    /// A message of a thread.
    pub struct ThreadMessage {
        /// Who wrote it.
        pub role: MessageRole,
        /// The text.
        pub content: String,
        /// When it was stored.
        pub created_at: Timestamp,
        /// The run that it started, steered or came from.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub run_id: Option<RunId>,
    }
}

impl ThreadMessage {
    /// A message.
    pub fn new(role: MessageRole, content: impl Into<String>, created_at: Timestamp) -> Self {
        Self {
            role,
            content: content.into(),
            created_at,
            run_id: None,
            unknown_fields: UnknownFields::default(),
        }
    }
}

setters!(ThreadMessage {
    /// Sets the run.
    run_id: Option<RunId>,
});

answer! {
    /// A thread in a list.
    pub struct ThreadSummary {
        /// The thread's id.
        pub thread_id: ThreadId,
        /// The title; the default thread's is `Default`.
        pub title: Option<String>,
        /// What happens on it.
        pub status: ThreadStatus,
        /// How many messages it has.
        pub message_count: u64,
        /// When the last message was stored, or else when the thread was created.
        pub last_activity_at: Timestamp,
    }
}

impl ThreadSummary {
    /// A row of a list.
    pub fn new(
        thread_id: ThreadId,
        title: Option<String>,
        status: ThreadStatus,
        message_count: u64,
        last_activity_at: Timestamp,
    ) -> Self {
        Self {
            thread_id,
            title,
            status,
            message_count,
            last_activity_at,
            unknown_fields: UnknownFields::default(),
        }
    }
}

answer! {
    /// The answer to a thread's delete.
    pub struct DeletedThread {
        /// The thread that was deleted.
        pub thread_id: ThreadId,
        /// Always `deleted`.
        pub status: DeletedStatus,
    }
}

impl DeletedThread {
    /// The answer.
    pub fn new(thread_id: ThreadId) -> Self {
        Self { thread_id, status: DeletedStatus::Deleted, unknown_fields: UnknownFields::default() }
    }
}
