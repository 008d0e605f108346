//! Services: programs that run until they are stopped, and listen at a port.

use prism_types::{InstanceId, Timestamp};
use serde::{Deserialize, Serialize};

use super::hosted::Hosted;
use crate::domain::{Refused, words};

/// One running service of a deployment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(clippy::exhaustive_structs, reason = "a record: stores build it")]
pub struct Service {
    /// Its sandbox, whose id is its own.
    pub hosted: Hosted,
    /// Where it is in its life.
    pub state: ServiceState,
    /// The port at which it listens in its sandbox.
    pub port: u16,
    /// What the last look at it found.
    pub readiness: Option<Readiness>,
    /// The idempotency key of its creation.
    pub idempotency_key: String,
    /// Whether the sandbox is to be kept when it has stopped.
    pub keeps_sandbox: bool,
    /// When its process was last started.
    pub started_at: Option<Timestamp>,
    /// When it last stopped or failed.
    pub stopped_at: Option<Timestamp>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// How often it was changed: the guard of every update.
    pub revision: u64,
}

/// What a look at a service found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(clippy::exhaustive_structs, reason = "a part of a record: stores build it")]
pub struct Readiness {
    /// Whether it answered as it should.
    pub is_ready: bool,
    /// What it answered, or why not.
    pub message: String,
    /// When the first look found that, in a row.
    pub since: Timestamp,
}

words! {
    /// Where a service is in its life.
    pub enum ServiceState {
        /// Its sandbox is made, the program is installed and started, and it is not ready yet.
        Starting = "starting",
        /// It answers.
        Ready = "ready",
        /// It runs and does not answer as it should.
        Unhealthy = "unhealthy",
        /// It was asked to stop.
        Stopping = "stopping",
        /// It was stopped.
        Stopped = "stopped",
        /// It could not be started, or ended by itself.
        Failed = "failed",
    }
}

/// What can happen to a service.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "a state machine is closed")]
pub enum ServiceCommand {
    /// It answers.
    Answer,
    /// It does not answer any more.
    FallSilent,
    /// It could not be started, or has ended.
    Fail(String),
    /// Somebody asks it to stop.
    Stop,
    /// It has stopped.
    Rest,
    /// Somebody asks it to start again.
    Restart,
}

impl ServiceState {
    /// Whether nothing more happens to it unless somebody asks.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Stopped | Self::Failed)
    }

    /// Whether its process is to run.
    pub fn is_up(self) -> bool {
        matches!(self, Self::Starting | Self::Ready | Self::Unhealthy)
    }
}

impl Service {
    /// Its id: that of its sandbox.
    pub fn id(&self) -> &InstanceId {
        &self.hosted.instance_id
    }

    /// Carries out a command.
    ///
    /// | state \ command | answer | fall silent | fail | stop | rest | restart |
    /// |---|---|---|---|---|---|---|
    /// | starting | ready | - | failed | stopping | - | starting |
    /// | ready | ready | unhealthy | failed | stopping | - | starting |
    /// | unhealthy | ready | unhealthy | failed | stopping | - | starting |
    /// | stopping | - | - | - | stopping | stopped | starting |
    /// | stopped | - | - | - | stopped | - | starting |
    /// | failed | - | - | - | failed | - | starting |
    ///
    /// A restart is another start: it forgets how the last one ended.
    ///
    /// # Errors
    /// When the table has no entry.
    pub fn apply(&mut self, command: ServiceCommand, now: Timestamp) -> Result<(), Refused> {
        use {ServiceCommand as C, ServiceState as S};
        self.state = match (self.state, command) {
            (S::Starting | S::Ready | S::Unhealthy, C::Answer) => S::Ready,
            (S::Ready | S::Unhealthy, C::FallSilent) => S::Unhealthy,
            (S::Starting | S::Ready | S::Unhealthy, C::Fail(reason)) => {
                self.hosted.failure = Some(reason);
                self.stopped_at = Some(now);
                S::Failed
            }
            (S::Starting | S::Ready | S::Unhealthy | S::Stopping, C::Stop) => S::Stopping,
            (state @ (S::Stopped | S::Failed), C::Stop) => state,
            (S::Stopping, C::Rest) => {
                self.stopped_at = Some(now);
                S::Stopped
            }
            (_, C::Restart) => {
                self.hosted.starts = self.hosted.starts.saturating_add(1);
                self.hosted.failure = None;
                self.hosted.kept_until = None;
                self.hosted.has_environment = false;
                self.readiness = None;
                self.keeps_sandbox = false;
                self.started_at = None;
                self.stopped_at = None;
                S::Starting
            }
            (state, command) => {
                return Err(Refused { command: command.name(), noun: "service", state: state.as_str() });
            }
        };
        self.updated_at = now;
        Ok(())
    }
}

impl ServiceCommand {
    fn name(&self) -> &'static str {
        match self {
            Self::Answer => "answer",
            Self::FallSilent => "fall silent",
            Self::Fail(_) => "fail",
            Self::Stop => "stop",
            Self::Rest => "rest",
            Self::Restart => "restart",
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) fn sample() -> Service {
        let ids = ("ins_1".parse().unwrap(), "dep_1".parse().unwrap(), "ver_1".parse().unwrap());
        Service {
            hosted: Hosted::new(ids.0, ids.1, ids.2),
            state: ServiceState::Starting,
            port: 8000,
            readiness: None,
            idempotency_key: "key".to_owned(),
            keeps_sandbox: false,
            started_at: None,
            stopped_at: None,
            created_at: Timestamp::UNIX_EPOCH,
            updated_at: Timestamp::UNIX_EPOCH,
            revision: 0,
        }
    }

    fn command() -> impl Strategy<Value = ServiceCommand> {
        prop_oneof![
            Just(ServiceCommand::Answer),
            Just(ServiceCommand::FallSilent),
            Just(ServiceCommand::Fail("it ended".to_owned())),
            Just(ServiceCommand::Stop),
            Just(ServiceCommand::Rest),
            Just(ServiceCommand::Restart),
        ]
    }

    proptest! {
        #[test]
        fn under_any_commands_only_a_restart_leaves_an_end_and_a_failure_has_a_reason(
            commands in prop::collection::vec(command(), 0..40),
        ) {
            let (mut service, mut restarts) = (sample(), 1);
            for (at, command) in commands.into_iter().enumerate() {
                let before = service.clone();
                let now = Timestamp::from_millis(i64::try_from(at).unwrap());
                let taken = service.apply(command.clone(), now);
                if taken.is_err() {
                    prop_assert_eq!(&service, &before);
                    continue;
                }
                restarts += u32::from(command == ServiceCommand::Restart);
                prop_assert_eq!(service.hosted.starts, restarts);
                prop_assert_eq!(service.hosted.failure.is_some(), service.state == ServiceState::Failed);
                prop_assert_eq!(service.stopped_at.is_some(), service.state.is_terminal());
                if before.state.is_terminal() && command != ServiceCommand::Restart {
                    prop_assert_eq!(service.state, before.state);
                }
                if service.state == ServiceState::Stopped && before.state != ServiceState::Stopped {
                    prop_assert_eq!(before.state, ServiceState::Stopping);
                }
                if service.state == ServiceState::Unhealthy {
                    prop_assert!(matches!(before.state, ServiceState::Ready | ServiceState::Unhealthy));
                }
            }
        }
    }
}
