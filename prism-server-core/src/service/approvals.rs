//! Approvals: read, list, decide.

use prism_types::{ApprovalId, DeploymentId, RunId, ThreadId};

use super::{Listed, deployments, messages};
use crate::{
    core::Core,
    domain::{
        approval::{Approval, Decision},
        tenant::Principal,
    },
    error::{Error, Result},
    ports::ListQuery,
};

/// An approval and the thread of its run.
pub(crate) struct ApprovalView {
    pub(crate) approval: Approval,
    pub(crate) thread_id: ThreadId,
}

/// An approval of a deployment.
pub(crate) async fn get(
    core: &Core,
    principal: &Principal,
    deployment_id: &DeploymentId,
    id: &ApprovalId,
) -> Result<ApprovalView> {
    deployments::get(core, principal, deployment_id).await?;
    let approval = core.store.approval(id).await?.filter(|approval| approval.deployment_id == *deployment_id);
    view(core, approval.ok_or_else(not_found)?).await
}

/// The approvals of a deployment, newest first; `pending`: only those that wait.
pub(crate) async fn list(
    core: &Core,
    principal: &Principal,
    deployment_id: &DeploymentId,
    pending: bool,
    query: ListQuery<ApprovalId>,
) -> Result<Listed<ApprovalView, ApprovalId>> {
    deployments::get(core, principal, deployment_id).await?;
    let limit = query.limit;
    let query = ListQuery { limit: limit + 1, ..query };
    let mut views = Vec::new();
    for approval in core.store.approvals(deployment_id, pending, query).await? {
        views.push(view(core, approval).await?);
    }
    Ok(Listed::from_one_more(views, limit, |view| view.approval.id.clone()))
}

/// Decides a question: the run that asked goes on. The decision is a message on the thread, with the reason as its text.
pub(crate) async fn decide(
    core: &Core,
    principal: &Principal,
    deployment_id: &DeploymentId,
    id: &ApprovalId,
    decision: Decision,
    reason: Option<String>,
) -> Result<ApprovalView> {
    let view = get(core, principal, deployment_id, id).await?;
    let content = reason.unwrap_or_else(|| word(decision).to_owned());
    messages::decide(core, principal, &view.approval, decision, content).await?;
    get(core, principal, deployment_id, id).await
}

/// Denies a question that nobody answered in time.
///
/// # Errors
/// A conflict, when somebody did.
pub(crate) async fn expire(core: &Core, asked: &Approval) -> Result<()> {
    messages::resolve(core, asked, Decision::Deny, "Nobody answered in time.".to_owned()).await
}

/// What a decision without a reason says.
fn word(decision: Decision) -> &'static str {
    match decision {
        Decision::Allow => "Yes.",
        Decision::Deny => "No.",
    }
}

async fn view(core: &Core, approval: Approval) -> Result<ApprovalView> {
    let run: &RunId = &approval.run_id;
    // Both go with their deployment only.
    let run = core.store.run(run).await?.ok_or_else(not_found)?;
    Ok(ApprovalView { approval, thread_id: run.thread_id })
}

fn not_found() -> Error {
    Error::not_found("Approval")
}
