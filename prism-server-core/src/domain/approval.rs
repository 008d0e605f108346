//! Approvals: questions to a human that a run waits on.

use prism_types::{ApprovalId, ApprovalStatus, DeploymentId, RunId, Timestamp};

use super::words;

/// A question of the agent, kept until a human answers, and after that.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "a record: stores build it from its columns")]
pub struct Approval {
    /// Its id.
    pub id: ApprovalId,
    /// The deployment that asks.
    pub deployment_id: DeploymentId,
    /// The run that waits.
    pub run_id: RunId,
    /// The question.
    pub summary: String,
    /// Whether it was answered, and how.
    pub state: ApprovalState,
    /// What was answered; `None`: nothing.
    pub answer: Option<String>,
    /// When it was asked.
    pub created_at: Timestamp,
    /// When it is denied if nobody answers; `None`: as the server says.
    pub expires_at: Option<Timestamp>,
    /// When it was answered, or when the run ended without an answer.
    pub resolved_at: Option<Timestamp>,
}

words! {
    /// Whether a question was answered, and how. Each end is final: a store resolves an approval once.
    pub enum ApprovalState {
        /// Its run waits for an answer.
        Pending = "pending",
        /// It was allowed.
        Allowed = "allowed",
        /// It was denied.
        Denied = "denied",
        /// It was answered by words that the agent understands as it can.
        Answered = "answered",
        /// Its run ended without an answer.
        Closed = "closed",
    }
}

words! {
    /// What a human decided.
    pub enum Decision {
        /// The agent may go on.
        Allow = "allow",
        /// It must not do what it asked for.
        Deny = "deny",
    }
}

/// How a question ends.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "a part of a change: services build it")]
pub struct Resolution {
    /// The final state.
    pub state: ApprovalState,
    /// What was answered.
    pub answer: Option<String>,
}

impl Resolution {
    /// A message was sent: with a decision, or with words alone.
    pub fn by_message(decision: Option<Decision>, content: &str) -> Self {
        let state = match decision {
            Some(Decision::Allow) => ApprovalState::Allowed,
            Some(Decision::Deny) => ApprovalState::Denied,
            None => ApprovalState::Answered,
        };
        Self { state, answer: Some(content.to_owned()) }
    }

    /// The run ended.
    pub fn closed() -> Self {
        Self { state: ApprovalState::Closed, answer: None }
    }
}

impl ApprovalState {
    /// The status on the wire.
    pub fn status(self) -> ApprovalStatus {
        match self {
            Self::Pending => ApprovalStatus::Pending,
            Self::Allowed => ApprovalStatus::Allowed,
            Self::Denied => ApprovalStatus::Denied,
            Self::Answered => ApprovalStatus::Answered,
            Self::Closed => ApprovalStatus::Closed,
        }
    }
}
