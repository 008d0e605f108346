//! Memories: what an agent remembers across threads.

use serde::{Deserialize, Serialize};

use crate::{
    DeletedStatus, MemoryId, Timestamp, UnknownFields, macros::setters, open_enum::open_enum,
    unknown_fields::answer,
};

open_enum! {
    /// Who made a memory.
    pub enum MemorySource {
        /// The agent learned it by itself.
        Agent = "agent",
        /// It was created over the API.
        Api = "api",
    }
}

answer! {
    /// A memory: a text that the agent has before its eyes on every thread.
    pub struct Memory {
        /// Its id.
        pub memory_id: MemoryId,
        /// What is remembered.
        pub content: String,
        /// Who made it.
        pub source: MemorySource,
        /// When it was made.
        pub created_at: Timestamp,
        /// When its content was last set; at first when it was made.
        pub updated_at: Timestamp,
    }
}

impl Memory {
    /// A memory that nobody has changed.
    pub fn new(
        memory_id: MemoryId,
        content: impl Into<String>,
        source: MemorySource,
        created_at: Timestamp,
    ) -> Self {
        Self {
            memory_id,
            content: content.into(),
            source,
            created_at,
            updated_at: created_at,
            unknown_fields: UnknownFields::default(),
        }
    }
}

setters!(Memory {
    /// Sets when the content was last set.
    updated_at: Timestamp,
});

/// The body of `POST /v1/deployments/{deployment_id}/memories`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct CreateMemory {
    /// What to remember, 1 to 2,000 characters.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 2000), regex(pattern = CONTENT)))]
    pub content: String,
}

impl CreateMemory {
    /// A memory with this content.
    pub fn new(content: impl Into<String>) -> Self {
        Self { content: content.into() }
    }
}

impl<T: Into<String>> From<T> for CreateMemory {
    fn from(content: T) -> Self {
        Self::new(content)
    }
}

/// The body of `PATCH /v1/deployments/{deployment_id}/memories/{memory_id}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct UpdateMemory {
    /// What to remember instead, 1 to 2,000 characters.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 2000), regex(pattern = CONTENT)))]
    pub content: String,
}

impl UpdateMemory {
    /// Another content.
    pub fn new(content: impl Into<String>) -> Self {
        Self { content: content.into() }
    }
}

impl<T: Into<String>> From<T> for UpdateMemory {
    fn from(content: T) -> Self {
        Self::new(content)
    }
}

/// Something else than white space, and no control characters but tabs and line ends.
#[cfg(feature = "schema")]
const CONTENT: &str = r"^[^\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]*$";

answer! {
    /// The answer to a memory's delete.
    pub struct DeletedMemory {
        /// The memory that was deleted.
        pub memory_id: MemoryId,
        /// Always `deleted`.
        pub status: DeletedStatus,
    }
}

impl DeletedMemory {
    /// The answer.
    pub fn new(memory_id: MemoryId) -> Self {
        Self { memory_id, status: DeletedStatus::Deleted, unknown_fields: UnknownFields::default() }
    }
}
