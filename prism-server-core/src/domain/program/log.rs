//! Lines of the logs of jobs and services.

use prism_types::{RunId, Timestamp, VersionId};
use serde::{Deserialize, Serialize};

use super::hosted::Hosted;
use crate::domain::{event::NewEvent, words};

/// The name of the events.
pub const NAME: &str = "program_log";

/// A line of the log of a job or a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(clippy::exhaustive_structs, reason = "a record: the engine builds it")]
pub struct Line {
    /// The version that ran.
    pub version_id: VersionId,
    /// Where it comes from.
    pub source: Source,
    /// How much it matters.
    pub level: Level,
    /// What kind of line it is, such as `stdout` or `service_ready`.
    pub kind: String,
    /// What it says.
    pub message: String,
    /// In what a failure happened, if it tells one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// Behind what of the output it is; nobody is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
}

/// A place in the output of a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(clippy::exhaustive_structs, reason = "a part of a record")]
pub struct Place {
    /// The token of the command.
    pub token: String,
    /// What its sandbox calls the place.
    pub after: String,
}

words! {
    /// Where a line comes from.
    pub enum Source {
        /// What was done with the job or the service.
        Lifecycle = "lifecycle",
        /// A look at the service.
        Readiness = "readiness",
        /// The standard output.
        Stdout = "stdout",
        /// The standard error.
        Stderr = "stderr",
        /// The platform.
        System = "system",
    }
}

words! {
    /// How much a line matters.
    pub enum Level {
        /// As expected.
        Info = "info",
        /// Perhaps not as expected.
        Warn = "warn",
        /// A failure.
        Error = "error",
    }
}

words! {
    /// In what a job or a service failed.
    pub enum Phase {
        /// The installation.
        Install = "install",
        /// The start of its process.
        Entrypoint = "entrypoint",
        /// The time until a service answers.
        Readiness = "readiness",
        /// The end that somebody asked for.
        Cancel = "cancel",
        /// The work of its process.
        Runtime = "runtime",
        /// The removal of its sandbox.
        Cleanup = "cleanup",
    }
}

impl Line {
    /// What was done with a job or a service.
    pub fn lifecycle(hosted: &Hosted, kind: &str, message: impl Into<String>) -> Self {
        Self {
            version_id: hosted.version_id.clone(),
            source: Source::Lifecycle,
            level: Level::Info,
            kind: kind.to_owned(),
            message: message.into(),
            phase: None,
            place: None,
        }
    }

    /// What failed.
    pub fn failure(hosted: &Hosted, kind: &str, phase: Phase, message: impl Into<String>) -> Self {
        Self { level: Level::Error, phase: Some(phase), ..Self::lifecycle(hosted, kind, message) }
    }

    /// The line as one of the output of a command.
    pub fn at_place(self, token: &str, after: String) -> Self {
        Self { place: Some(Place { token: token.to_owned(), after }), ..self }
    }

    /// The line of an event, if it is one.
    pub fn of(event: &NewEvent) -> Option<Self> {
        if event.name == NAME { serde_json::from_str(&event.data).ok() } else { None }
    }

    /// The line as an event of the log.
    pub fn event(&self, hosted: &Hosted, run: Option<&RunId>, at: Timestamp) -> NewEvent {
        NewEvent {
            deployment_id: hosted.deployment_id.clone(),
            run_id: run.cloned(),
            thread_id: None,
            instance_id: Some(hosted.instance_id.clone()),
            name: NAME.to_owned(),
            // Text and words: nothing in it cannot be JSON.
            data: serde_json::to_string(self).unwrap_or_else(|_| "{}".to_owned()),
            created_at: at,
        }
    }
}

/// How much of a log is kept. What is too much goes from its start, a sixteenth of the bound at a time.
#[derive(Debug, Clone, Copy)]
#[allow(clippy::exhaustive_structs, reason = "a value")]
pub struct Bound {
    /// How many bytes of lines there may be.
    pub most: u64,
    /// How many there are.
    pub held: u64,
}

impl Bound {
    /// Counts bytes that are appended. Says how many are to go, if it is time for that.
    pub fn append(&mut self, bytes: u64) -> Option<u64> {
        self.held = self.held.saturating_add(bytes);
        let excess = self.held.saturating_sub(self.most);
        if excess <= self.most / 16 {
            return None;
        }
        self.held -= excess;
        Some(excess)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_log_is_never_much_longer_than_its_bound_and_never_cut_below_it(
            most in 0_u64..10_000,
            held in 0_u64..100_000,
            lines in prop::collection::vec(0_u64..2000, 0..200),
        ) {
            let mut bound = Bound { most, held };
            let mut kept = held;
            for line in lines {
                kept += line;
                let gone = bound.append(line).unwrap_or(0);
                kept -= gone;
                prop_assert_eq!(kept, bound.held);
                prop_assert!(gone == 0 || kept == most);
                prop_assert!(kept <= most + most / 16);
            }
        }
    }
}
