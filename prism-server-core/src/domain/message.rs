//! Messages of threads.

use prism_types::{Attachment, MessageRole, RunId, ThreadId, Timestamp};

use super::approval::Decision;

/// What somebody said on a thread.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "a record: stores build it from its columns")]
pub struct Message {
    /// The thread.
    pub thread_id: ThreadId,
    /// Its place on the thread, from 1 without gaps. The store gives it on insertion.
    pub position: u64,
    /// Who said it.
    pub role: MessageRole,
    /// The text.
    pub content: String,
    /// Media for the agent to fetch.
    pub attachments: Vec<Attachment>,
    /// The run that it started, steered or came from.
    pub run_id: Option<RunId>,
    /// What it decides of the question that the run waits on; `None`: the words have to tell.
    pub decision: Option<Decision>,
    /// When it was stored.
    pub created_at: Timestamp,
}
