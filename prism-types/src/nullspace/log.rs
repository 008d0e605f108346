//! The logs of runs and services.

use super::{AgentDeploymentId, AgentRunId, AgentVersionId, JsonObject, SandboxId, ServiceInstanceId};
use crate::{
    Cursor, Timestamp, UnknownFields, macros::setters, open_enum::open_enum, unknown_fields::answer,
};

open_enum! {
    /// Where a line of a log comes from.
    pub enum LogSource {
        /// What becomes of the run or the service.
        Lifecycle = "lifecycle",
        /// Looking whether a service is ready.
        Readiness = "readiness",
        /// The standard output of the agent.
        Stdout = "stdout",
        /// The standard error of the agent.
        Stderr = "stderr",
        /// The server.
        System = "system",
    }
}

open_enum! {
    /// How important a line of a log is.
    pub enum LogLevel {
        /// Every step.
        Trace = "trace",
        /// For those who look for a fault.
        Debug = "debug",
        /// What happens.
        Info = "info",
        /// What may be a fault.
        Warn = "warn",
        /// What failed.
        Error = "error",
    }
}

answer! {
    /// A line of a log.
    pub struct LogEvent {
        /// Its id, a UUID.
        pub id: String,
        /// The deployment.
        pub deployment_id: AgentDeploymentId,
        /// The version that is run.
        #[serde(default)]
        pub version_id: Option<AgentVersionId>,
        /// The run, if it is the line of one.
        #[serde(default)]
        pub run_id: Option<AgentRunId>,
        /// The service instance, if it is the line of one.
        #[serde(default)]
        pub service_instance_id: Option<ServiceInstanceId>,
        /// The sandbox.
        #[serde(default)]
        pub sandbox_id: Option<SandboxId>,
        /// The process in the sandbox.
        #[serde(default)]
        pub process_id: Option<u32>,
        /// Where it comes from.
        #[serde(default)]
        pub source: Option<LogSource>,
        /// How important it is.
        pub level: LogLevel,
        /// What it tells of, such as `stdout`, `service_ready` or `run_failed`; new ones may come at any time.
        pub event_type: String,
        /// The line, for people.
        pub message: String,
        /// More about it: its source, and in which phase something failed (`failure_phase`).
        #[serde(default)]
        pub metadata: JsonObject,
        /// When it was written.
        pub created_at: Timestamp,
    }
}

impl LogEvent {
    /// A line of a deployment's log that is of no run and no service.
    pub fn new(
        id: impl Into<String>,
        deployment_id: AgentDeploymentId,
        (source, level): (LogSource, LogLevel),
        event_type: impl Into<String>,
        message: impl Into<String>,
        created_at: Timestamp,
    ) -> Self {
        Self {
            id: id.into(),
            deployment_id,
            version_id: None,
            run_id: None,
            service_instance_id: None,
            sandbox_id: None,
            process_id: None,
            source: Some(source),
            level,
            event_type: event_type.into(),
            message: message.into(),
            metadata: JsonObject::default(),
            created_at,
            unknown_fields: UnknownFields::default(),
        }
    }
}

setters!(LogEvent {
    /// Sets the version that is run.
    version_id: Option<AgentVersionId>,
    /// Sets the run.
    run_id: Option<AgentRunId>,
    /// Sets the service instance.
    service_instance_id: Option<ServiceInstanceId>,
    /// Sets the sandbox.
    sandbox_id: Option<SandboxId>,
    /// Sets the process in the sandbox.
    process_id: Option<u32>,
    /// Sets more about it.
    metadata: JsonObject,
});

answer! {
    /// A part of a log, oldest line first.
    pub struct LogPage {
        /// The lines.
        pub events: Vec<LogEvent>,
        /// How many lines are before this part.
        pub offset: u64,
        /// How many lines were asked for.
        pub limit: u64,
        /// Whether there are more lines already.
        pub has_more: bool,
        /// Where to go on, also for lines that are yet to come.
        #[serde(default)]
        pub next_cursor: Option<Cursor>,
    }
}

impl LogPage {
    /// A part of a log after which there is nothing yet.
    pub fn new(events: Vec<LogEvent>, offset: u64, limit: u64) -> Self {
        Self {
            events,
            offset,
            limit,
            has_more: false,
            next_cursor: None,
            unknown_fields: UnknownFields::default(),
        }
    }
}

setters!(LogPage {
    /// Sets whether there are more lines already.
    has_more: bool,
    /// Sets where to go on.
    next_cursor: Option<Cursor>,
});
