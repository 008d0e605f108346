//! Automations: work that an agent does on a timetable.

use serde::{Deserialize, Deserializer, Serialize, de::Error};

use crate::{
    AutomationId, AutomationRunId, DeletedStatus, DeploymentId, Failure, RunId, RunStatus, ThreadId,
    Timestamp, UnknownFields, macros::setters, open_enum::open_enum, unknown_fields::answer,
};

open_enum! {
    /// What became of an instant at which an automation was due, or of a trigger.
    pub enum AutomationRunStatus {
        /// Its run works.
        Running = "running",
        /// Its run waits for a human.
        WaitingOnHuman = "waiting_on_human",
        /// Its run is done.
        Completed = "completed",
        /// Its run failed.
        Error = "error",
        /// No run was started, and none was called for: the thread was busy, or it was too late.
        Skipped = "skipped",
        /// No run could be started.
        Failed = "failed",
    }
}

open_enum! {
    /// Why an automation ran.
    pub enum AutomationTrigger {
        /// It was due.
        Schedule = "schedule",
        /// Somebody asked for it.
        Manual = "manual",
    }
}

/// The body of `POST /v1/deployments/{deployment_id}/automations`.
///
/// ```
/// use prism_types::CreateAutomation;
///
/// let request = CreateAutomation::new("Digest", "every weekday at 9am", "Sum up what is new.")
///     .timezone("Europe/Berlin");
/// assert_eq!(serde_json::to_value(&request)?["schedule"], "every weekday at 9am");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct CreateAutomation {
    /// A label for people, 1 to 255 characters.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 255), regex(pattern = r"^[^\u0000]*$")))]
    pub name: String,
    /// When it is due, 1 to 255 characters: cron of five fields, a macro such as `@daily`, or natural language such as
    /// `every Monday at 9am`.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 255), regex(pattern = r"^[^\u0000]*$")))]
    pub schedule: String,
    /// What the agent is to do each time, 1 to 32,768 bytes.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 32768), regex(pattern = r"^[^\u0000]*$")))]
    pub instructions: String,
    /// The IANA time zone by whose clock it is due. Default: `UTC`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 64)))]
    pub timezone: Option<String>,
    /// The thread that it works on. Default: a thread of its own, which is made with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread_id: Option<ThreadId>,
    /// Whether it is due at all. Default: true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
}

impl CreateAutomation {
    /// An automation in UTC, on a thread of its own.
    pub fn new(
        name: impl Into<String>,
        schedule: impl Into<String>,
        instructions: impl Into<String>,
    ) -> Self {
        Self {
            name: name.into(),
            schedule: schedule.into(),
            instructions: instructions.into(),
            timezone: None,
            thread_id: None,
            enabled: None,
        }
    }
}

setters!(CreateAutomation {
    /// Sets the time zone.
    timezone?: String,
    /// Sets the thread.
    thread_id?: ThreadId,
    /// Sets whether it is due at all.
    enabled?: bool,
});

/// The body of `PATCH /v1/deployments/{deployment_id}/automations/{automation_id}`. What is left out stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct UpdateAutomation {
    /// Replaces the label.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "schema",
        schemars(with = "String", length(min = 1, max = 255), regex(pattern = r"^[^\u0000]*$"))
    )]
    pub name: Option<String>,
    /// Replaces the schedule.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "schema",
        schemars(with = "String", length(min = 1, max = 255), regex(pattern = r"^[^\u0000]*$"))
    )]
    pub schedule: Option<String>,
    /// Replaces what the agent is to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "schema",
        schemars(with = "String", length(min = 1, max = 32768), regex(pattern = r"^[^\u0000]*$"))
    )]
    pub instructions: Option<String>,
    /// Replaces the time zone.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "String", length(min = 1, max = 64)))]
    pub timezone: Option<String>,
    /// Moves it to another thread.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "ThreadId"))]
    pub thread_id: Option<ThreadId>,
    /// Pauses it (`false`) or lets it go on (`true`).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "bool"))]
    pub enabled: Option<bool>,
}

impl UpdateAutomation {
    /// A change of nothing.
    pub fn new() -> Self {
        Self::default()
    }
}

setters!(UpdateAutomation {
    /// Replaces the label.
    name?: String,
    /// Replaces the schedule.
    schedule?: String,
    /// Replaces what the agent is to do.
    instructions?: String,
    /// Replaces the time zone.
    timezone?: String,
    /// Moves it to another thread.
    thread_id?: ThreadId,
    /// Pauses it (`false`) or lets it go on (`true`).
    enabled?: bool,
});

/// An automation with its newest runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Automation {
    /// What a list tells of it.
    #[serde(flatten)]
    pub summary: AutomationSummary,
    /// What the agent is to do each time.
    pub instructions: String,
    /// What became of the newest times, newest first, at most 10.
    #[serde(default)]
    pub recent_runs: Vec<AutomationRun>,
}

impl Automation {
    /// An automation that has not run yet.
    pub fn new(summary: AutomationSummary, instructions: impl Into<String>) -> Self {
        Self { summary, instructions: instructions.into(), recent_runs: Vec::new() }
    }
}

setters!(Automation {
    /// Sets the newest runs.
    recent_runs[
        /// Adds a run.
        recent_run
    ]: AutomationRun,
});

impl<'de> Deserialize<'de> for Automation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut summary = AutomationSummary::deserialize(deserializer)?;
        let beside = &mut summary.unknown_fields;
        let instructions =
            beside.take("instructions")?.ok_or_else(|| D::Error::missing_field("instructions"))?;
        let recent_runs = beside.take("recent_runs")?.unwrap_or_default();
        Ok(Self { summary, instructions, recent_runs })
    }
}

impl std::ops::Deref for Automation {
    type Target = AutomationSummary;

    fn deref(&self) -> &AutomationSummary {
        &self.summary
    }
}

answer! {
    /// An automation in a list.
    pub struct AutomationSummary {
        /// Its id.
        pub automation_id: AutomationId,
        /// The deployment it belongs to.
        pub deployment_id: DeploymentId,
        /// A label for people.
        pub name: String,
        /// The schedule as it was given.
        pub schedule: String,
        /// What the schedule was understood as: cron of five fields.
        pub cron: String,
        /// The IANA time zone by whose clock it is due.
        pub timezone: String,
        /// The thread that it works on.
        pub thread_id: ThreadId,
        /// Whether it is due at all.
        pub enabled: bool,
        /// When it last ran, or was to run and did not; `null`: never.
        pub last_run_at: Option<Timestamp>,
        /// What became of that; `null`: it never ran.
        pub last_run_status: Option<AutomationRunStatus>,
        /// When it is due next; `null` while it is paused, or the deployment's automations are off.
        pub next_run_at: Option<Timestamp>,
        /// When it was created.
        pub created_at: Timestamp,
    }
}

impl AutomationSummary {
    /// An automation in UTC that is not due and has not run.
    pub fn new(
        automation_id: AutomationId,
        deployment_id: DeploymentId,
        thread_id: ThreadId,
        name: impl Into<String>,
        schedule: impl Into<String>,
        cron: impl Into<String>,
        created_at: Timestamp,
    ) -> Self {
        Self {
            automation_id,
            deployment_id,
            name: name.into(),
            schedule: schedule.into(),
            cron: cron.into(),
            timezone: "UTC".to_owned(),
            thread_id,
            enabled: true,
            last_run_at: None,
            last_run_status: None,
            next_run_at: None,
            created_at,
            unknown_fields: UnknownFields::default(),
        }
    }
}

setters!(AutomationSummary {
    /// Sets the time zone.
    timezone: String,
    /// Sets whether it is due at all.
    enabled: bool,
    /// Sets when it last ran.
    last_run_at: Option<Timestamp>,
    /// Sets what became of that.
    last_run_status: Option<AutomationRunStatus>,
    /// Sets when it is due next.
    next_run_at: Option<Timestamp>,
});

answer! {
    /// What became of an instant at which an automation was due, or of a trigger.
    pub struct AutomationRun {
        /// The entry's id.
        pub automation_run_id: AutomationRunId,
        /// Why it ran.
        pub trigger: AutomationTrigger,
        /// The instant at which it was due; `null`: it was triggered by hand.
        pub scheduled_at: Option<Timestamp>,
        /// When the server acted on it.
        pub created_at: Timestamp,
        /// What became of it: the status of its run, or why there is none.
        pub status: AutomationRunStatus,
        /// The run that was started; `null`: none was.
        pub run_id: Option<RunId>,
        /// Why it was skipped or failed; present in these statuses, and in `error`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub error: Option<Failure>,
    }
}

impl AutomationRun {
    /// An entry without a run.
    pub fn new(
        automation_run_id: AutomationRunId,
        trigger: AutomationTrigger,
        status: AutomationRunStatus,
        created_at: Timestamp,
    ) -> Self {
        Self {
            automation_run_id,
            trigger,
            scheduled_at: None,
            created_at,
            status,
            run_id: None,
            error: None,
            unknown_fields: UnknownFields::default(),
        }
    }
}

setters!(AutomationRun {
    /// Sets the instant at which it was due.
    scheduled_at: Option<Timestamp>,
    /// Sets the run.
    run_id: Option<RunId>,
    /// Sets why there is no run, or why it failed.
    error: Option<Failure>,
});

answer! {
    /// The answer to `POST /v1/deployments/{deployment_id}/automations/{automation_id}/trigger`: this run works. Output
    /// comes over the event stream.
    pub struct TriggeredAutomation {
        /// The automation.
        pub automation_id: AutomationId,
        /// The entry in its history.
        pub automation_run_id: AutomationRunId,
        /// The run that was started.
        pub run_id: RunId,
        /// The deployment.
        pub deployment_id: DeploymentId,
        /// The thread.
        pub thread_id: ThreadId,
        /// The run's status.
        pub status: RunStatus,
    }
}

impl TriggeredAutomation {
    /// The answer for this run.
    pub fn new(
        automation_id: AutomationId,
        automation_run_id: AutomationRunId,
        run_id: RunId,
        deployment_id: DeploymentId,
        thread_id: ThreadId,
        status: RunStatus,
    ) -> Self {
        Self {
            automation_id,
            automation_run_id,
            run_id,
            deployment_id,
            thread_id,
            status,
            unknown_fields: UnknownFields::default(),
        }
    }
}

answer! {
    /// The answer to `DELETE /v1/deployments/{deployment_id}/automations/{automation_id}`.
    pub struct DeletedAutomation {
        /// The automation that is gone.
        pub automation_id: AutomationId,
        /// Always `deleted`.
        pub status: DeletedStatus,
    }
}

impl DeletedAutomation {
    /// The answer for this automation.
    pub fn new(automation_id: AutomationId) -> Self {
        Self { automation_id, status: DeletedStatus::Deleted, unknown_fields: UnknownFields::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_automation_is_one_flat_object() {
        let body = r#"{
            "automation_id": "auto_1", "deployment_id": "dep_1", "name": "Digest", "schedule": "every Monday at 9am",
            "cron": "0 9 * * 1", "timezone": "UTC", "thread_id": "thr_1", "enabled": true, "last_run_at": null,
            "last_run_status": "skipped", "next_run_at": "2026-06-15T09:00:00Z", "created_at": "2026-06-11T20:55:03Z",
            "instructions": "Sum up.", "a_field_of_tomorrow": 1
        }"#;
        let automation: Automation = serde_json::from_str(body).unwrap();
        assert_eq!(automation.last_run_status, Some(AutomationRunStatus::Skipped));
        assert_eq!(automation.cron, "0 9 * * 1");
        let written = serde_json::to_value(&automation).unwrap();
        assert_eq!(written["next_run_at"], "2026-06-15T09:00:00.000Z");
        assert_eq!(written["recent_runs"], serde_json::json!([]));
    }

    #[test]
    fn an_update_says_only_what_changes() {
        let update = UpdateAutomation::new().enabled(false);
        assert_eq!(serde_json::to_string(&update).unwrap(), r#"{"enabled":false}"#);
    }
}
