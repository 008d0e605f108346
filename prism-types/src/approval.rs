//! Approvals: questions of an agent to a human, and their answers.

use serde::{Deserialize, Serialize};

use crate::{
    ApprovalId, DeploymentId, RunId, ThreadId, Timestamp, UnknownFields, macros::setters,
    open_enum::open_enum, unknown_fields::answer,
};

open_enum! {
    /// Whether a question was answered, and how.
    pub enum ApprovalStatus {
        /// The run waits for an answer.
        Pending = "pending",
        /// It was allowed.
        Allowed = "allowed",
        /// It was denied.
        Denied = "denied",
        /// It was answered by a message on the thread, which the agent understands as it can.
        Answered = "answered",
        /// The run ended before anybody answered.
        Closed = "closed",
    }
}

open_enum! {
    /// What a human decides.
    pub enum Decision {
        /// The agent may go on.
        Allow = "allow",
        /// It must not do what it asked for.
        Deny = "deny",
    }
}

/// The body of `POST /v1/deployments/{deployment_id}/approvals/{approval_id}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct AnswerApproval {
    /// Whether the agent may go on.
    pub decision: Decision,
    /// Why, for the agent and for the thread, 1 to 4,096 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 4096), regex(pattern = r"^[^\u0000]*$")))]
    pub reason: Option<String>,
}

impl AnswerApproval {
    /// This decision, without a reason.
    pub fn new(decision: Decision) -> Self {
        Self { decision, reason: None }
    }

    /// Lets the agent go on.
    pub fn allow() -> Self {
        Self::new(Decision::Allow)
    }

    /// Forbids what the agent asked for.
    pub fn deny() -> Self {
        Self::new(Decision::Deny)
    }
}

setters!(AnswerApproval {
    /// Sets the reason.
    reason?: String,
});

answer! {
    /// A question of an agent, kept after it was answered.
    pub struct Approval {
        /// Its id.
        pub approval_id: ApprovalId,
        /// The deployment that asks.
        pub deployment_id: DeploymentId,
        /// The thread of the run.
        pub thread_id: ThreadId,
        /// The run that waits.
        pub run_id: RunId,
        /// Whether it was answered, and how.
        pub status: ApprovalStatus,
        /// The question.
        pub summary: String,
        /// What was answered; absent while nothing was.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub answer: Option<String>,
        /// When it was asked.
        pub created_at: Timestamp,
        /// When it is denied if nobody answers; absent: when the deployment has no limit of its own.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub expires_at: Option<Timestamp>,
        /// When it was answered or closed; absent until then.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub resolved_at: Option<Timestamp>,
    }
}

impl Approval {
    /// A question that nobody has answered.
    pub fn new(
        approval_id: ApprovalId,
        deployment_id: DeploymentId,
        thread_id: ThreadId,
        run_id: RunId,
        summary: impl Into<String>,
        created_at: Timestamp,
    ) -> Self {
        Self {
            approval_id,
            deployment_id,
            thread_id,
            run_id,
            status: ApprovalStatus::Pending,
            summary: summary.into(),
            answer: None,
            created_at,
            expires_at: None,
            resolved_at: None,
            unknown_fields: UnknownFields::default(),
        }
    }
}

setters!(Approval {
    /// Sets whether it was answered.
    status: ApprovalStatus,
    /// Sets the answer.
    answer: Option<String>,
    /// Sets when it is denied if nobody answers.
    expires_at: Option<Timestamp>,
    /// Sets when it was answered or closed.
    resolved_at: Option<Timestamp>,
});
