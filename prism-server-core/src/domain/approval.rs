//! Approvals: questions to a human that a run waits on.

use prism_types::{ApprovalId, DeploymentId, RunId, Timestamp};

/// A question of the agent, kept until a human answers.
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
    /// What was answered; `None`: nothing yet.
    pub answer: Option<String>,
    /// When it was asked.
    pub created_at: Timestamp,
    /// When it was answered, or when the run ended without an answer.
    pub resolved_at: Option<Timestamp>,
}
