//! The audit log.

use prism_types::{AuditEntry, AuditEntryId, DeploymentId, Page};
use serde_json::Value;

use super::{state::State, tools::BUILTIN};
use crate::mock::{Answer, Request, query::ListAuditEntries};

impl State {
    pub(super) fn list_audit_entries(
        &mut self,
        _: &Request,
        query: ListAuditEntries,
    ) -> Answer<Page<AuditEntry>> {
        let deployment = &query.deployment_id;
        let matches = |entry: &AuditEntry| deployment.is_none() || entry.deployment_id == *deployment;
        Ok(self.audit.page(query.limit, query.cursor.as_ref(), matches, AuditEntry::clone)?.into())
    }

    /// Writes down that a change was carried out, and was answered with this.
    pub(super) fn note(&mut self, call: &Request, answer: &Value) {
        let text = |field: &str| answer.get(field).and_then(Value::as_str);
        let deployment = text("deployment_id").or_else(|| call.values.first().map(String::as_str));
        let deployment: Option<DeploymentId> = deployment.and_then(|id| id.parse().ok());
        let subject = text(subject(call.operation())).or_else(|| call.values.last().map(String::as_str));
        let subject = match (call.operation(), text("origin"), subject) {
            ("update_tool", Some(server), Some(tool)) if server != BUILTIN => format!("{server}/{tool}"),
            (_, _, subject) => subject.unwrap_or_default().to_owned(),
        };
        let fields = match call.json() {
            Some(Value::Object(fields)) => fields.into_iter().map(|(name, _)| name).collect(),
            _ => Vec::new(),
        };
        let (id, now): (AuditEntryId, _) = (self.fresh.id(AuditEntryId::PREFIX), self.fresh.now());
        let entry = AuditEntry::new(id, now, "key_mock", call.operation(), subject);
        let request = format!("req_{}", self.fresh.number());
        self.audit.add(entry.deployment_id(deployment).fields(fields).request_id(Some(request)));
    }
}

/// The field of an answer that names what was changed.
fn subject(operation: &str) -> &'static str {
    match operation {
        "send_message" | "cancel_run" => "run_id",
        "create_thread" | "update_thread" | "delete_thread" => "thread_id",
        "answer_approval" => "approval_id",
        "write_file" | "delete_file" => "path",
        "start_dream" | "revert_dream" => "dream_id",
        "update_tool" | "add_mcp_server" => "name",
        "delete_snapshot" => "snapshot_id",
        "test_webhook" | "redeliver_webhook_delivery" => "delivery_id",
        operation if operation.contains("skill") => "skill_id",
        operation if operation.contains("memory") => "memory_id",
        operation if operation.contains("automation") => "automation_id",
        operation if operation.contains("webhook") => "webhook_id",
        _ => "deployment_id",
    }
}
