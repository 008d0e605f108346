//! Records of the core as the native API tells them.

use http::{HeaderMap, header::HOST};
use prism_types::{
    Approval, AuditEntry, Deployment, DeploymentStatus, DeploymentSummary, Filesystem, Run, SkillInfo,
    Thread, ThreadMessage, ThreadStatus, ThreadSummary,
};

use crate::{
    core::Core,
    domain::{self, deployment::DeploymentState, message::Message, run::RunState, skill::SkillRecord},
    service::{approvals::ApprovalView, threads::ThreadView},
};

/// Where the caller reaches the API: the operator's word, or else the `Host` that the request names.
pub(super) fn base_url(core: &Core, headers: &HeaderMap) -> String {
    if let Some(url) = &core.settings.public_url {
        return url.trim_end_matches('/').to_owned();
    }
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
    format!("http://{host}")
}

pub(super) fn deployment(record: domain::deployment::Deployment, base_url: &str) -> Deployment {
    let events_url = format!("{base_url}/v1/deployments/{}/events", record.id);
    Deployment::new(
        record.id,
        record.customer_id,
        record.name,
        record.model,
        record.default_thread,
        events_url,
        record.created_at,
    )
    .runtime(record.runtime)
    .status(status(record.state))
    .filesystem(Filesystem::default().persistent(record.persistent))
    .error(record.error)
}

pub(super) fn summary(record: domain::deployment::Deployment) -> DeploymentSummary {
    DeploymentSummary::new(
        record.id,
        record.customer_id,
        record.name,
        record.runtime,
        status(record.state),
        record.model,
        record.created_at,
    )
}

/// The status on the wire. Deleted deployments are never told.
fn status(state: DeploymentState) -> DeploymentStatus {
    match state {
        DeploymentState::Provisioning => DeploymentStatus::Provisioning,
        DeploymentState::Ready => DeploymentStatus::Ready,
        DeploymentState::Error | DeploymentState::Deleted => DeploymentStatus::Error,
    }
}

pub(super) fn run(record: domain::run::Run) -> Run {
    Run::new(record.id, record.deployment_id, record.thread_id, record.state.status(), record.created_at)
        .kind(record.kind)
        .attempts(record.attempts)
        .usage(record.usage)
        .error(record.error)
        .ended_at(record.ended_at)
}

pub(super) fn approval(view: ApprovalView) -> Approval {
    let ApprovalView { approval, thread_id } = view;
    let (id, deployment, run) = (approval.id, approval.deployment_id, approval.run_id);
    Approval::new(id, deployment, thread_id, run, approval.summary, approval.created_at)
        .status(approval.state.status())
        .answer(approval.answer)
        .expires_at(approval.expires_at)
        .resolved_at(approval.resolved_at)
}

pub(super) fn audit_entry(entry: domain::audit::AuditEntry) -> AuditEntry {
    AuditEntry::new(entry.id, entry.created_at, entry.actor, entry.operation, entry.subject)
        .deployment_id(entry.deployment_id)
        .fields(entry.fields)
        .request_id(entry.request_id)
}

pub(super) fn thread(view: ThreadView, messages: Vec<Message>) -> Thread {
    let ThreadView { thread, activity } = view;
    Thread::new(thread.id, thread.deployment_id, thread.title, thread_status(activity), thread.created_at)
        .messages(messages.into_iter().map(|message| {
            ThreadMessage::new(message.role, message.content, message.created_at).run_id(message.run_id)
        }))
}

pub(super) fn thread_summary(view: ThreadView) -> ThreadSummary {
    let ThreadView { thread, activity } = view;
    ThreadSummary::new(
        thread.id,
        thread.title,
        thread_status(activity),
        thread.message_count,
        thread.last_activity_at,
    )
}

fn thread_status(activity: Option<RunState>) -> ThreadStatus {
    match activity {
        Some(RunState::Running) => ThreadStatus::Running,
        Some(RunState::WaitingOnHuman) => ThreadStatus::WaitingOnHuman,
        Some(RunState::Completed | RunState::Error) | None => ThreadStatus::Idle,
    }
}

pub(super) fn skill(record: SkillRecord) -> SkillInfo {
    let state = record.state.as_str().into();
    SkillInfo::new(record.id, record.name, record.source, state, record.created_at)
        .description(record.description)
        .error(record.error)
}
