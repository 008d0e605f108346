//! Threads: conversations.

use prism_types::{DeploymentId, ThreadId, Timestamp};

/// A conversation with a deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "a record: stores build it from its columns")]
pub struct Thread {
    /// Its id. Ids are time-ordered: a later thread has a greater id.
    pub id: ThreadId,
    /// The deployment it belongs to.
    pub deployment_id: DeploymentId,
    /// Its title.
    pub title: Option<String>,
    /// How many messages it has. The store keeps it.
    pub message_count: u64,
    /// When the last message was stored, or else when it was created. The store keeps it.
    pub last_activity_at: Timestamp,
    /// When it was created.
    pub created_at: Timestamp,
}

/// A thread that was deleted, and that the agent has yet to forget.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "a record: stores build it from its columns")]
pub struct ForgottenThread {
    /// The thread that was.
    pub thread_id: ThreadId,
    /// The deployment it belonged to.
    pub deployment_id: DeploymentId,
}

impl Thread {
    /// A thread on which nothing was said yet.
    pub fn new(id: ThreadId, deployment_id: DeploymentId, title: Option<String>, now: Timestamp) -> Self {
        Self { id, deployment_id, title, message_count: 0, last_activity_at: now, created_at: now }
    }
}
