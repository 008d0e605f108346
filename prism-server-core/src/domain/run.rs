//! Runs: units of work of an agent, and their life.

use prism_types::{DeploymentId, Failure, RunId, RunKind, RunStatus, ThreadId, Timestamp, Usage};

use super::{Refused, words};

/// One unit of work on a thread.
///
/// A run is durable: everything needed to go on after a crash is in this record, the thread's messages and
/// the event log.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "a record: stores build it from its columns")]
pub struct Run {
    /// Its id.
    pub id: RunId,
    /// The deployment it works for.
    pub deployment_id: DeploymentId,
    /// The thread it works on. At most one run of a thread is unfinished.
    pub thread_id: ThreadId,
    /// What it is for.
    pub kind: RunKind,
    /// The version of the agent's specification it started with.
    pub spec_version: u32,
    /// Where it is in its life.
    pub state: RunState,
    /// How often it was started: 1, and 1 more for each restart of the gateway it survived.
    pub attempts: u32,
    /// Where the harness goes on after a restart; the harness alone reads it.
    pub checkpoint: Option<String>,
    /// The position of the last message of the thread that the harness has taken.
    pub read_position: u64,
    /// What it used so far.
    pub usage: Usage,
    /// Why the state is `error`.
    pub error: Option<Failure>,
    /// When it was started.
    pub created_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Whether it is to end, as soon as whoever works on it sees this. Set by itself, never by an update.
    pub cancelled: bool,
    /// How often it was changed: the guard of every update.
    pub revision: u64,
}

words! {
    /// Where a run is in its life.
    pub enum RunState {
        /// The harness works, or is about to.
        Running = "running",
        /// It waits for a human and holds no task, connection or worker.
        WaitingOnHuman = "waiting_on_human",
        /// Done.
        Completed = "completed",
        /// Failed.
        Error = "error",
    }
}

/// What can be asked of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "a state machine is closed")]
pub enum RunCommand {
    /// A message came for it: steering input while it works, the answer while it waits.
    Message,
    /// The agent asks a human.
    Ask,
    /// The gateway restarted and takes it up again.
    Resume,
    /// The agent is done.
    Complete(Timestamp),
    /// The agent failed.
    Fail(Failure, Timestamp),
}

impl RunState {
    /// Whether the run is over.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Error)
    }

    /// The status on the wire.
    pub fn status(self) -> RunStatus {
        match self {
            Self::Running => RunStatus::Running,
            Self::WaitingOnHuman => RunStatus::WaitingOnHuman,
            Self::Completed => RunStatus::Completed,
            Self::Error => RunStatus::Error,
        }
    }
}

impl Run {
    /// Carries out a command.
    ///
    /// | state \ command | message | ask | resume | complete | fail |
    /// |---|---|---|---|---|---|
    /// | running | running | waiting | running | completed | error |
    /// | waiting | running | - | - | - | error |
    /// | completed, error | - | - | - | - | - |
    ///
    /// # Errors
    /// When the table has no entry.
    pub fn apply(&mut self, command: RunCommand) -> Result<(), Refused> {
        use {RunCommand as C, RunState as S};
        match (self.state, command) {
            (S::Running | S::WaitingOnHuman, C::Message) => self.state = S::Running,
            (S::Running, C::Ask) => self.state = S::WaitingOnHuman,
            (S::Running, C::Resume) => self.attempts = self.attempts.saturating_add(1),
            (S::Running, C::Complete(at)) => {
                self.state = S::Completed;
                self.ended_at = Some(at);
            }
            (S::Running | S::WaitingOnHuman, C::Fail(failure, at)) => {
                self.state = S::Error;
                self.error = Some(failure);
                self.ended_at = Some(at);
            }
            (state, command) => {
                return Err(Refused { command: command.name(), noun: "run", state: state.as_str() });
            }
        }
        Ok(())
    }
}

impl RunCommand {
    fn name(&self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Ask => "ask",
            Self::Resume => "resume",
            Self::Complete(_) => "complete",
            Self::Fail(..) => "fail",
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) fn sample() -> Run {
        Run {
            id: "run_1".parse().unwrap(),
            deployment_id: "dep_1".parse().unwrap(),
            thread_id: "thr_1".parse().unwrap(),
            kind: RunKind::Message,
            spec_version: 1,
            state: RunState::Running,
            attempts: 1,
            checkpoint: None,
            read_position: 0,
            usage: Usage::default(),
            error: None,
            created_at: Timestamp::UNIX_EPOCH,
            ended_at: None,
            cancelled: false,
            revision: 0,
        }
    }

    fn command() -> impl Strategy<Value = RunCommand> {
        let at = Timestamp::UNIX_EPOCH;
        prop_oneof![
            Just(RunCommand::Message),
            Just(RunCommand::Ask),
            Just(RunCommand::Resume),
            Just(RunCommand::Complete(at)),
            Just(RunCommand::Fail(Failure::new("x", "y"), at)),
        ]
    }

    proptest! {
        #[test]
        fn under_any_commands_the_end_is_final_and_dated(
            commands in prop::collection::vec(command(), 0..20),
        ) {
            let mut run = sample();
            for command in commands {
                let before = run.clone();
                let result = run.apply(command);
                if result.is_err() || before.state.is_terminal() {
                    prop_assert!(result.is_err());
                    prop_assert_eq!(&run, &before);
                }
                prop_assert_eq!(run.ended_at.is_some(), run.state.is_terminal());
                prop_assert_eq!(run.error.is_some(), run.state == RunState::Error);
            }
        }
    }
}
