//! Approvals: read, list, decide.

use prism_types::{ApprovalId, DeploymentId, RunId, ThreadId};

use super::{Listed, Tell, author::Author, deployments, messages};
use crate::{
    core::Core,
    domain::{
        approval::{Approval, Decision, Resolution},
        audit::Subject,
        idempotency::Reply,
        tenant::Principal,
    },
    error::{Error, ErrorKind, Result},
    ports::ListQuery,
};

/// An approval and the thread of its run.
#[derive(Clone)]
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
    let approvals = core.store.approvals(deployment_id, pending, query).await?;
    let Listed { items, next } = Listed::from_one_more(approvals, limit, |approval| approval.id.clone());
    let mut views = Vec::with_capacity(items.len());
    for approval in items {
        match view(core, approval).await {
            // Its thread was deleted meanwhile.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            view => views.push(view?),
        }
    }
    Ok(Listed { items: views, next })
}

/// Decides a question: the run that asked goes on. The decision is a message on the thread, with the reason as its text.
pub(crate) async fn decide(
    core: &Core,
    author: &Author,
    deployment_id: &DeploymentId,
    id: &ApprovalId,
    (decision, reason): (Decision, Option<String>),
    tell: impl Tell<ApprovalView>,
) -> Result<Reply> {
    let ApprovalView { approval, thread_id } = get(core, &author.principal, deployment_id, id).await?;
    messages::require_able(core, &author.principal, deployment_id).await?;
    let content = reason.unwrap_or_else(|| word(decision).to_owned());
    let Resolution { state, answer } = Resolution::by_message(Some(decision), &content);
    let at = core.clock.now();
    let decided = Approval { state, answer, resolved_at: Some(at), ..approval.clone() };
    let reply = tell(ApprovalView { approval: decided, thread_id })?;
    let beside = [author.entry(core, Subject::in_deployment(deployment_id, id))];
    let beside = beside.into_iter().chain(author.kept(core, &reply)?).collect();
    messages::resolve(core, &approval, (decision, at), content, beside).await?;
    Ok(reply)
}

/// Denies a question that nobody answered in time.
///
/// # Errors
/// A conflict, when somebody did.
pub(crate) async fn expire(core: &Core, asked: &Approval) -> Result<()> {
    let decision = (Decision::Deny, core.clock.now());
    messages::resolve(core, asked, decision, "Nobody answered in time.".to_owned(), Vec::new()).await
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
    // Both go with their thread.
    let run = core.store.run(run).await?.ok_or_else(not_found)?;
    Ok(ApprovalView { approval, thread_id: run.thread_id })
}

fn not_found() -> Error {
    Error::not_found("Approval")
}
