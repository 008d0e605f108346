//! Machines: sandboxes that users make for themselves, and in which they execute what they like.
//!
//! A machine belongs to a tenant and to no deployment. A command that does nothing keeps it alive until it is destroyed, or
//! its time is over. A [snapshot] of it is a copy of its files, from which others are made.

pub mod snapshot;
pub mod upload;

use std::time::Duration;

use prism_types::{DeploymentId, InstanceId, SandboxType, SnapshotId, TenantId, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Refused, words};

/// One machine. Its id is that of its sandbox; its files, its processes and its ports are the sandbox's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(clippy::exhaustive_structs, reason = "a record: stores build it")]
pub struct Machine {
    /// Its id. Ids are time-ordered: a later machine has a greater id.
    pub id: InstanceId,
    /// Its owner.
    pub tenant_id: TenantId,
    /// What it is.
    pub model: Model,
    /// What its owner keeps with it: a JSON object.
    pub metadata: String,
    /// Whether requests for its ports need nothing but a token.
    pub allows_public_traffic: bool,
    /// Whether it was made with an environment of its own. That is kept nowhere, so that it cannot be made again.
    pub has_environment: bool,
    /// What its files begin with.
    pub origin: Origin,
    /// Where it is in its life.
    pub state: MachineState,
    /// Why it failed.
    pub failure: Option<String>,
    /// How long it lives from its start, or since that was last set, in milliseconds.
    pub life: u64,
    /// When its life is over.
    pub expires_at: Timestamp,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was started.
    pub started_at: Option<Timestamp>,
    /// How often it was changed: the guard of every update.
    pub revision: u64,
}

/// What a machine is made as, and what is made from a snapshot of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(clippy::exhaustive_structs, reason = "a part of a record: stores build it")]
pub struct Model {
    /// The kind of its sandbox.
    pub sandbox: SandboxType,
    /// What its file system has besides the workspace.
    pub template: String,
    /// Most processors.
    pub vcpus: u32,
    /// Most memory, in mebibytes.
    pub memory_mb: u32,
    /// Most of the disk, in mebibytes, where that is less than the operator lets all have.
    #[serde(default)]
    pub disk_mb: Option<u32>,
    /// Where programs are executed that say nothing else, in the workspace; `None`: its root.
    pub directory: Option<String>,
    /// Whether it may reach the network, where the sandbox has one to give.
    pub network: bool,
}

/// What the files of a machine begin with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(clippy::exhaustive_enums, reason = "a part of a record: stores build it")]
pub enum Origin {
    /// With none.
    Nothing,
    /// With those of a snapshot, which are copied when it is started.
    Snapshot(SnapshotId),
    /// With those of another machine, which were copied before it was made.
    Machine(InstanceId),
}

words! {
    /// Where a machine is in its life.
    pub enum MachineState {
        /// It is being made.
        Creating = "creating",
        /// Programs can be executed.
        Running = "running",
        /// It could not be made, or ended by itself. Its files may be there.
        Failed = "failed",
        /// Somebody destroyed it, or its life is over: what there is of it is being removed.
        Destroyed = "destroyed",
    }
}

/// What can happen to a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "a state machine is closed")]
pub enum MachineCommand {
    /// It was started.
    Start,
    /// It could not be made, or has ended.
    Fail(String),
    /// Its life is to last so long from now on, in milliseconds.
    Prolong(u64),
    /// It is destroyed.
    Destroy,
}

impl Machine {
    /// What its sandbox takes for the deployment that it serves.
    pub fn deployment_id(&self) -> Option<DeploymentId> {
        DeploymentId::from_suffix(self.id.suffix()).ok()
    }

    /// Whether its life is over.
    pub fn has_expired(&self, now: Timestamp) -> bool {
        self.expires_at <= now
    }

    /// From when on there is something to be done for it.
    pub fn due_at(&self) -> Timestamp {
        match self.state {
            MachineState::Creating | MachineState::Destroyed => Timestamp::from_millis(i64::MIN),
            MachineState::Running | MachineState::Failed => self.expires_at,
        }
    }

    /// Carries out a command.
    ///
    /// | state \ command | start | fail | prolong | destroy |
    /// |---|---|---|---|---|
    /// | creating | running | failed | creating | destroyed |
    /// | running | running | failed | running | destroyed |
    /// | failed | - | failed | failed | destroyed |
    /// | destroyed | - | - | - | destroyed |
    ///
    /// Its life begins with its start. It failed for the first reason that is told.
    ///
    /// # Errors
    /// When the table has no entry.
    pub fn apply(&mut self, command: MachineCommand, now: Timestamp) -> Result<(), Refused> {
        use {MachineCommand as C, MachineState as S};
        match (self.state, command) {
            (S::Creating, C::Start) => {
                self.state = S::Running;
                self.started_at = Some(now);
                self.expires_at = after(now, self.life);
            }
            (S::Running, C::Start) | (S::Failed, C::Fail(_)) => {}
            (S::Creating | S::Running, C::Fail(reason)) => {
                self.state = S::Failed;
                self.failure = Some(reason);
            }
            (S::Creating | S::Running | S::Failed, C::Prolong(life)) => {
                self.life = life;
                self.expires_at = after(now, life);
            }
            (_, C::Destroy) => self.state = S::Destroyed,
            (state, command) => {
                return Err(Refused { command: command.name(), noun: "sandbox", state: state.as_str() });
            }
        }
        Ok(())
    }
}

impl MachineCommand {
    fn name(&self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Fail(_) => "fail",
            Self::Prolong(_) => "prolong",
            Self::Destroy => "destroy",
        }
    }
}

/// The moment so many milliseconds after another.
pub fn after(now: Timestamp, millis: u64) -> Timestamp {
    let millis = Duration::from_millis(millis).as_millis();
    Timestamp::from_millis(now.as_millis().saturating_add(i64::try_from(millis).unwrap_or(i64::MAX)))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) fn sample() -> Machine {
        Machine {
            id: "ins_1".parse().unwrap(),
            tenant_id: "ten_1".parse().unwrap(),
            model: Model {
                sandbox: SandboxType::Docker,
                template: "base".to_owned(),
                vcpus: 1,
                memory_mb: 256,
                disk_mb: None,
                directory: None,
                network: true,
            },
            metadata: "{}".to_owned(),
            allows_public_traffic: true,
            has_environment: false,
            origin: Origin::Nothing,
            state: MachineState::Creating,
            failure: None,
            life: 1000,
            expires_at: Timestamp::from_millis(1000),
            created_at: Timestamp::UNIX_EPOCH,
            started_at: None,
            revision: 0,
        }
    }

    fn command() -> impl Strategy<Value = MachineCommand> {
        prop_oneof![
            Just(MachineCommand::Start),
            Just(MachineCommand::Fail("it ended".to_owned())),
            (0..5000_u64).prop_map(MachineCommand::Prolong),
            Just(MachineCommand::Destroy),
        ]
    }

    proptest! {
        #[test]
        fn under_any_commands_a_destruction_is_final_and_a_life_is_counted_from_its_last_change(
            commands in prop::collection::vec(command(), 0..20),
        ) {
            let (mut machine, mut ends) = (sample(), Timestamp::from_millis(1000));
            for (at, command) in commands.into_iter().enumerate() {
                let (before, now) = (machine.clone(), Timestamp::from_millis(at as i64 * 10));
                let taken = machine.apply(command.clone(), now).is_ok();
                if !taken {
                    prop_assert_eq!(&machine, &before);
                }
                match command {
                    MachineCommand::Prolong(life) if taken => ends = after(now, life),
                    MachineCommand::Start if before.state == MachineState::Creating => ends = after(now, before.life),
                    _ => {}
                }
                prop_assert_eq!(machine.expires_at, ends);
                prop_assert!(before.state != MachineState::Destroyed || machine.state == MachineState::Destroyed);
                prop_assert!(machine.state != MachineState::Failed || machine.failure.is_some());
                prop_assert!(machine.state != MachineState::Running || machine.started_at.is_some());
                let is_due = machine.due_at() <= now;
                let has_work = matches!(machine.state, MachineState::Creating | MachineState::Destroyed);
                prop_assert_eq!(is_due, has_work || machine.has_expired(now));
            }
        }
    }
}
