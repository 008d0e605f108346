//! Jobs: programs that run until they end.

use prism_types::{RunId, Timestamp};
use serde::{Deserialize, Serialize};

use super::hosted::Hosted;
use crate::domain::{Refused, words};

/// One run of a program to its end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(clippy::exhaustive_structs, reason = "a record: stores build it")]
pub struct Job {
    /// Its id. Ids are time-ordered: a later job has a greater id.
    pub id: RunId,
    /// Its sandbox.
    pub hosted: Hosted,
    /// Where it is in its life.
    pub state: JobState,
    /// What it is given, as it was handed in: a JSON object.
    pub input: String,
    /// Whether its sandbox is kept when it fails; `None`: as the version says.
    pub retain_on_failure: Option<bool>,
    /// For how long, in seconds; `None`: as the version says.
    pub retention_seconds: Option<u32>,
    /// The idempotency key of its creation.
    pub idempotency_key: String,
    /// What the process ended with.
    pub exit_code: Option<i32>,
    /// What it left of the outputs that its version names.
    pub outputs: Vec<Output>,
    /// When its process was started.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// How often it was changed: the guard of every update.
    pub revision: u64,
}

/// A file or a directory that a version names as an output of its jobs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(clippy::exhaustive_structs, reason = "a part of a record: stores build it")]
pub struct Output {
    /// The path as the version names it.
    pub configured_path: String,
    /// The path in the workspace.
    pub path: String,
    /// What is there; `None`: nothing is.
    pub found: Option<OutputFound>,
}

/// What a job left at the path of an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[allow(clippy::exhaustive_structs, reason = "a part of a record: stores build it")]
pub struct OutputFound {
    /// Whether it is a directory, and not a file.
    pub is_directory: bool,
    /// The size in bytes of a file, 0 of a directory.
    pub size: u64,
}

words! {
    /// Where a job is in its life.
    pub enum JobState {
        /// It waits for its turn.
        Queued = "queued",
        /// Its sandbox is being filled.
        Starting = "starting",
        /// What it needs is being installed.
        Installing = "installing",
        /// Its process runs.
        Running = "running",
        /// It ended well: with status 0.
        Succeeded = "succeeded",
        /// It could not be started, or ended otherwise.
        Failed = "failed",
        /// Somebody cancelled it.
        Cancelled = "cancelled",
        /// It took too long and was ended.
        TimedOut = "timed_out",
    }
}

/// What can happen to a job.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "a state machine is closed")]
pub enum JobCommand {
    /// Its turn has come.
    Begin,
    /// What it needs is being installed.
    Install,
    /// Its process was started.
    Run,
    /// Its process has ended with status 0.
    Succeed,
    /// It could not be started, or ended otherwise.
    Fail(String),
    /// It took too long.
    TimeOut(String),
    /// Somebody cancels it, perhaps with a reason.
    Cancel(Option<String>),
}

impl JobState {
    /// Whether nothing more happens to it.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled | Self::TimedOut)
    }
}

impl Job {
    /// Carries out a command.
    ///
    /// | state \ command | begin | install | run | succeed | fail | time out | cancel |
    /// |---|---|---|---|---|---|---|---|
    /// | queued | starting | - | - | - | failed | - | cancelled |
    /// | starting | starting | installing | running | - | failed | timed out | cancelled |
    /// | installing | - | installing | running | - | failed | timed out | cancelled |
    /// | running | - | - | running | succeeded | failed | timed out | cancelled |
    /// | others | - | - | - | - | - | - | - |
    ///
    /// # Errors
    /// When the table has no entry.
    pub fn apply(&mut self, command: JobCommand, now: Timestamp) -> Result<(), Refused> {
        use {JobCommand as C, JobState as S};
        let (state, failure) = match (self.state, command) {
            (S::Queued | S::Starting, C::Begin) => (S::Starting, None),
            (S::Starting | S::Installing, C::Install) => (S::Installing, None),
            (S::Starting | S::Installing | S::Running, C::Run) => {
                self.started_at = self.started_at.or(Some(now));
                (S::Running, None)
            }
            (S::Running, C::Succeed) => (S::Succeeded, None),
            (S::Queued | S::Starting | S::Installing | S::Running, C::Fail(reason)) => {
                (S::Failed, Some(reason))
            }
            (S::Starting | S::Installing | S::Running, C::TimeOut(reason)) => (S::TimedOut, Some(reason)),
            (S::Queued | S::Starting | S::Installing | S::Running, C::Cancel(reason)) => {
                (S::Cancelled, reason)
            }
            (state, command) => {
                return Err(Refused { command: command.name(), noun: "run", state: state.as_str() });
            }
        };
        self.state = state;
        self.updated_at = now;
        if state.is_terminal() {
            self.hosted.failure = failure;
            self.ended_at = Some(now);
        }
        Ok(())
    }
}

impl JobCommand {
    fn name(&self) -> &'static str {
        match self {
            Self::Begin => "begin",
            Self::Install => "install",
            Self::Run => "run",
            Self::Succeed => "succeed",
            Self::Fail(_) => "fail",
            Self::TimeOut(_) => "time out",
            Self::Cancel(_) => "cancel",
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) fn sample() -> Job {
        let ids = ("ins_1".parse().unwrap(), "dep_1".parse().unwrap(), "ver_1".parse().unwrap());
        Job {
            id: "run_1".parse().unwrap(),
            hosted: Hosted::new(ids.0, ids.1, ids.2),
            state: JobState::Queued,
            input: "{}".to_owned(),
            retain_on_failure: None,
            retention_seconds: None,
            idempotency_key: "key".to_owned(),
            exit_code: None,
            outputs: Vec::new(),
            started_at: None,
            ended_at: None,
            created_at: Timestamp::UNIX_EPOCH,
            updated_at: Timestamp::UNIX_EPOCH,
            revision: 0,
        }
    }

    fn command() -> impl Strategy<Value = JobCommand> {
        prop_oneof![
            Just(JobCommand::Begin),
            Just(JobCommand::Install),
            Just(JobCommand::Run),
            Just(JobCommand::Succeed),
            Just(JobCommand::Fail("it ended".to_owned())),
            Just(JobCommand::TimeOut("too long".to_owned())),
            Just(JobCommand::Cancel(None)),
        ]
    }

    proptest! {
        #[test]
        fn under_any_commands_an_end_is_final_and_success_comes_after_a_process(
            commands in prop::collection::vec(command(), 0..20),
        ) {
            let mut job = sample();
            for command in commands {
                let before = job.clone();
                let taken = job.apply(command, Timestamp::from_millis(1));
                prop_assert!(!(before.state.is_terminal() && taken.is_ok()));
                if taken.is_err() {
                    prop_assert_eq!(&job, &before);
                }
                prop_assert_eq!(job.ended_at.is_some(), job.state.is_terminal());
                prop_assert!(job.state != JobState::Succeeded || job.started_at.is_some());
                prop_assert!(job.state != JobState::Failed || job.hosted.failure.is_some());
            }
        }
    }
}
