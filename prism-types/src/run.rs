//! Runs: units of work of an agent.

use crate::{
    DeploymentId, Failure, RunId, ThreadId, Timestamp, UnknownFields, macros::setters, open_enum::open_enum,
    unknown_fields::answer,
};

open_enum! {
    /// Where a run is in its life.
    pub enum RunStatus {
        /// The agent reasons or calls tools.
        Running = "running",
        /// The agent asked a human and waits for the answer.
        WaitingOnHuman = "waiting_on_human",
        /// Done.
        Completed = "completed",
        /// Failed; `error` says why.
        Error = "error",
    }
}

impl RunStatus {
    /// Whether the run is over: `completed` or `error`.
    pub fn is_terminal(&self) -> bool {
        matches!(self, Self::Completed | Self::Error)
    }
}

open_enum! {
    /// What a run is for.
    pub enum RunKind {
        /// It answers messages.
        Message = "message",
        /// It works on the agent's memories.
        Dreaming = "dreaming",
    }
}

#[allow(clippy::derivable_impls, reason = "the enum is made by a macro that knows no default")]
impl Default for RunKind {
    fn default() -> Self {
        Self::Message
    }
}

answer! {
    /// A run.
    pub struct Run {
        /// The run's id.
        pub run_id: RunId,
        /// The deployment it works for.
        pub deployment_id: DeploymentId,
        /// The thread it works on.
        pub thread_id: ThreadId,
        /// What it is for. Default: `message`.
        #[serde(default)]
        pub kind: RunKind,
        /// Where it is in its life.
        pub status: RunStatus,
        /// How often it was started: 1, and 1 more for each restart of the gateway that it survived.
        pub attempts: u32,
        /// What it used so far.
        pub usage: Usage,
        /// Why the status is `error`; absent otherwise.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub error: Option<Failure>,
        /// When it was started.
        pub created_at: Timestamp,
        /// When it ended; absent until then.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub ended_at: Option<Timestamp>,
    }
}

impl Run {
    /// A run in its first attempt.
    pub fn new(
        run_id: RunId,
        deployment_id: DeploymentId,
        thread_id: ThreadId,
        status: RunStatus,
        created_at: Timestamp,
    ) -> Self {
        Self {
            run_id,
            deployment_id,
            thread_id,
            kind: RunKind::Message,
            status,
            attempts: 1,
            usage: Usage::default(),
            error: None,
            created_at,
            ended_at: None,
            unknown_fields: UnknownFields::default(),
        }
    }
}

setters!(Run {
    /// Sets what the run is for.
    kind: RunKind,
    /// Sets how often the run was started.
    attempts: u32,
    /// Sets what the run used.
    usage: Usage,
    /// Sets the reason of the status `error`.
    error: Option<Failure>,
    /// Sets when the run ended.
    ended_at: Option<Timestamp>,
});

answer! {
    /// What a run used of its model.
    #[derive(Default)]
    pub struct Usage {
        /// Tokens sent to the model.
        #[serde(default)]
        pub input_tokens: u64,
        /// Tokens that the model answered.
        #[serde(default)]
        pub output_tokens: u64,
    }
}

setters!(Usage {
    /// Sets the tokens sent to the model.
    input_tokens: u64,
    /// Sets the tokens that the model answered.
    output_tokens: u64,
});
