//! Dreams: what an agent does with its memories while nobody needs it.

use crate::{
    DeploymentId, DreamId, Failure, MemoryId, MemorySource, RunId, ThreadId, Timestamp, UnknownFields,
    macros::setters, open_enum::open_enum, unknown_fields::answer,
};

open_enum! {
    /// Where a dream is in its life.
    pub enum DreamStatus {
        /// The agent works on its memories.
        Running = "running",
        /// Done.
        Completed = "completed",
        /// Its run failed, was cancelled, or asked a human; `error` says why.
        Error = "error",
    }
}

open_enum! {
    /// Why a dream was started.
    pub enum DreamTrigger {
        /// The deployment was quiet for a while.
        Idle = "idle",
        /// Somebody asked for it.
        Api = "api",
    }
}

answer! {
    /// A dream.
    pub struct Dream {
        /// Its id.
        pub dream_id: DreamId,
        /// The deployment that dreams.
        pub deployment_id: DeploymentId,
        /// The thread of its own.
        pub thread_id: ThreadId,
        /// Its run, of the kind `dreaming`.
        pub run_id: RunId,
        /// Where it is in its life.
        pub status: DreamStatus,
        /// Why it was started.
        pub trigger: DreamTrigger,
        /// What came of it; absent in lists and until it is over.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub report: Option<DreamReport>,
        /// Why the status is `error`; absent otherwise.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub error: Option<Failure>,
        /// When it was started.
        pub created_at: Timestamp,
        /// When it ended; absent until then.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub ended_at: Option<Timestamp>,
        /// When its changes were taken back; absent when they were not.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub reverted_at: Option<Timestamp>,
    }
}

impl Dream {
    /// A dream that goes on.
    pub fn new(
        dream_id: DreamId,
        deployment_id: DeploymentId,
        thread_id: ThreadId,
        run_id: RunId,
        trigger: DreamTrigger,
        created_at: Timestamp,
    ) -> Self {
        Self {
            dream_id,
            deployment_id,
            thread_id,
            run_id,
            status: DreamStatus::Running,
            trigger,
            report: None,
            error: None,
            created_at,
            ended_at: None,
            reverted_at: None,
            unknown_fields: UnknownFields::default(),
        }
    }
}

setters!(Dream {
    /// Sets where it is in its life.
    status: DreamStatus,
    /// Sets what came of it.
    report: Option<DreamReport>,
    /// Sets the reason of the status `error`.
    error: Option<Failure>,
    /// Sets when it ended.
    ended_at: Option<Timestamp>,
    /// Sets when its changes were taken back.
    reverted_at: Option<Timestamp>,
});

answer! {
    /// What came of a dream: the difference of the memories before and after it, and the agent's own words.
    ///
    /// A memory that the agent changed, or merged of others, is one that was added; those that it stands for were removed.
    #[derive(Default)]
    pub struct DreamReport {
        /// What the agent said at its end, at most 16,384 bytes.
        pub summary: String,
        /// Memories that are there after it and were not before.
        pub added: Vec<DreamedMemory>,
        /// Memories that were there before it and are not after.
        pub removed: Vec<DreamedMemory>,
    }
}

setters!(DreamReport {
    /// Sets what the agent said.
    summary: String,
    /// Sets the memories that were added.
    added: Vec<DreamedMemory>,
    /// Sets the memories that were removed.
    removed: Vec<DreamedMemory>,
});

answer! {
    /// A memory that a dream added or removed.
    pub struct DreamedMemory {
        /// Its id.
        pub memory_id: MemoryId,
        /// What was remembered.
        pub content: String,
        /// Who made it.
        pub source: MemorySource,
    }
}

impl DreamedMemory {
    /// A memory.
    pub fn new(memory_id: MemoryId, content: impl Into<String>, source: MemorySource) -> Self {
        Self { memory_id, content: content.into(), source, unknown_fields: UnknownFields::default() }
    }
}
