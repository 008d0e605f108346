//! What operators see of the control plane, as metrics.
//!
//! Figures go to whatever recorder the process has installed for the [`metrics`] facade; without one they cost next to
//! nothing. What agents do is counted where events are told of after their commit, so that a figure is never ahead of the
//! log. No label has a value that a user chooses, so the number of series is bounded. `docs/reference/metrics.md` tells
//! users the names.

use std::time::{Duration, Instant};

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use prism_types::EventPayload;

use crate::domain::{
    automation::{AutomationRun, OutcomeKind},
    event::LoggedEvent,
};
#[cfg(feature = "sqlite")]
use crate::ports::StoreResult;

const REQUESTS: &str = "prism_http_requests_total";
const REQUEST_DURATION: &str = "prism_http_request_duration_seconds";
const STREAMS: &str = "prism_event_streams";
const EVENTS: &str = "prism_events_total";
const RUNS: &str = "prism_run_transitions_total";
const WORKING: &str = "prism_runs_working";
const PROVISIONED: &str = "prism_provisioning_duration_seconds";
const AUTOMATIONS: &str = "prism_automations_total";
const AUTOMATION_LATENESS: &str = "prism_automation_lateness_seconds";
const AGENTS_LOST: &str = "prism_agents_lost_total";
const COMMITS: &str = "prism_store_commits_total";
const COMMIT_DURATION: &str = "prism_store_transaction_duration_seconds";
const MODEL_CALLS: &str = "prism_model_calls_total";
const MODEL_TOKENS: &str = "prism_model_tokens_total";
const MCP_CALLS: &str = "prism_mcp_calls_total";
const WEBHOOK_ATTEMPTS: &str = "prism_webhook_attempts_total";

/// Tells the recorder of this process what each metric is. Called by whoever installs one, once.
pub fn describe_metrics() {
    describe_counter!(REQUESTS, "Requests that were answered, by operation and status.");
    describe_histogram!(REQUEST_DURATION, Unit::Seconds, "Time until the head of an answer, by operation.");
    describe_gauge!(STREAMS, "Event streams that are open.");
    describe_counter!(EVENTS, "Events that were appended to logs, by type.");
    describe_counter!(RUNS, "Statuses that runs came to, by status.");
    describe_gauge!(WORKING, "Runs that are worked on.");
    describe_histogram!(PROVISIONED, Unit::Seconds, "Time that an agent took to be made ready, by outcome.");
    describe_counter!(AUTOMATIONS, "Automations that were due, by outcome.");
    describe_histogram!(
        AUTOMATION_LATENESS,
        Unit::Seconds,
        "Time from when an automation was due until its run."
    );
    describe_counter!(AGENTS_LOST, "Losses of an agent that works on a run.");
    describe_counter!(COMMITS, "Commits of the store, by outcome.");
    describe_histogram!(COMMIT_DURATION, Unit::Seconds, "Time of a transaction of the embedded store.");
    describe_counter!(MODEL_CALLS, "Calls of models by agents, by outcome.");
    describe_counter!(MODEL_TOKENS, "Tokens that agents used, by direction.");
    describe_counter!(MCP_CALLS, "Requests of agents to MCP servers, by outcome.");
    describe_counter!(WEBHOOK_ATTEMPTS, "Tries to deliver to webhooks, by outcome.");
}

/// A request was answered.
pub(crate) fn answered(operation: &'static str, status: u16, begun: Instant) {
    counter!(REQUESTS, "operation" => operation, "status" => status_label(status)).increment(1);
    histogram!(REQUEST_DURATION, "operation" => operation).record(begun.elapsed());
}

/// Events are in the log.
pub(crate) fn appended(events: &[LoggedEvent]) {
    for LoggedEvent { event, .. } in events {
        counter!(EVENTS, "type" => event.name.clone()).increment(1);
        if event.name == "run_status"
            && let Ok(EventPayload::RunStatus(changed)) = EventPayload::decode(&event.name, &event.data)
        {
            counter!(RUNS, "status" => changed.status.to_string()).increment(1);
        }
    }
}

/// Something that is counted for as long as it lasts.
#[must_use = "it is over when this is dropped"]
pub(crate) struct Lasting(&'static str);

impl Lasting {
    pub(crate) fn stream() -> Self {
        Self::begin(STREAMS)
    }

    pub(crate) fn run() -> Self {
        Self::begin(WORKING)
    }

    fn begin(name: &'static str) -> Self {
        gauge!(name).increment(1);
        Self(name)
    }
}

impl Drop for Lasting {
    fn drop(&mut self) {
        gauge!(self.0).decrement(1);
    }
}

/// An agent was made ready, or not.
pub(crate) fn provisioned(is_ready: bool, took: Duration) {
    let outcome = if is_ready { "ready" } else { "error" };
    histogram!(PROVISIONED, "outcome" => outcome).record(took);
}

/// An automation was due, and this came of it.
pub(crate) fn came_due(entry: &AutomationRun) {
    let outcome = entry.outcome.kind();
    counter!(AUTOMATIONS, "outcome" => outcome.as_str()).increment(1);
    if let (OutcomeKind::Started, Some(due)) = (outcome, entry.scheduled_at) {
        let late = entry.created_at.as_millis().saturating_sub(due.as_millis());
        histogram!(AUTOMATION_LATENESS).record(Duration::from_millis(late.unsigned_abs()));
    }
}

/// A run lost its agent.
pub(crate) fn agent_lost() {
    counter!(AGENTS_LOST).increment(1);
}

/// A commit was answered.
#[cfg(feature = "sqlite")]
pub(crate) fn committed(result: &StoreResult<()>) {
    use crate::ports::StoreError;
    let outcome = match result {
        Ok(()) => "ok",
        Err(StoreError::Conflict(_) | StoreError::Full(_)) => "conflict",
        Err(StoreError::Missing(_)) => "missing",
        Err(_) => "error",
    };
    counter!(COMMITS, "outcome" => outcome).increment(1);
}

/// A transaction of the embedded store ended.
#[cfg(feature = "sqlite")]
pub(crate) fn transaction_ended(begun: Instant) {
    histogram!(COMMIT_DURATION).record(begun.elapsed());
}

/// A model was called, and answered with this status or not at all.
pub(crate) fn model_called(status: Option<u16>) {
    counter!(MODEL_CALLS, "outcome" => outcome(status)).increment(1);
}

/// A model was paid for.
pub(crate) fn metered(input_tokens: u64, output_tokens: u64) {
    counter!(MODEL_TOKENS, "direction" => "input").increment(input_tokens);
    counter!(MODEL_TOKENS, "direction" => "output").increment(output_tokens);
}

/// An MCP server was asked, and answered with this status or not at all.
pub(crate) fn mcp_called(status: Option<u16>) {
    counter!(MCP_CALLS, "outcome" => outcome(status)).increment(1);
}

/// A delivery to a webhook was tried, and answered with this status or not at all.
pub(crate) fn webhook_tried(status: Option<u16>) {
    counter!(WEBHOOK_ATTEMPTS, "outcome" => outcome(status)).increment(1);
}

fn outcome(status: Option<u16>) -> &'static str {
    match status {
        Some(200..=299) => "ok",
        Some(_) => "refused",
        None => "unreachable",
    }
}

/// The status of an answer as a label; those that no endpoint has are one.
fn status_label(status: u16) -> &'static str {
    match status {
        200 => "200",
        201 => "201",
        204 => "204",
        206 => "206",
        304 => "304",
        400 => "400",
        401 => "401",
        402 => "402",
        403 => "403",
        404 => "404",
        405 => "405",
        409 => "409",
        412 => "412",
        413 => "413",
        416 => "416",
        422 => "422",
        429 => "429",
        500 => "500",
        503 => "503",
        _ => "other",
    }
}
