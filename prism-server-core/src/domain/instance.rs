//! Instances: the running sandboxes of deployments.

use prism_types::{DeploymentId, InstanceId, SnapshotId};

use super::{Refused, words};

/// One sandbox of a deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "a record: stores build it from its columns")]
pub struct Instance {
    /// Its id.
    pub id: InstanceId,
    /// The deployment it belongs to.
    pub deployment_id: DeploymentId,
    /// Where it is in its life.
    pub state: InstanceState,
    /// How often it was started again after it was lost.
    pub restarts: u32,
    /// The snapshot that its workspace is to begin with, until it does.
    pub restores: Option<SnapshotId>,
    /// How often it was changed: the guard of every update.
    pub revision: u64,
}

words! {
    /// Where an instance is in its life.
    pub enum InstanceState {
        /// Wanted, not started.
        Pending = "pending",
        /// It runs.
        Running = "running",
        /// It could not be started.
        Failed = "failed",
        /// It was removed.
        Stopped = "stopped",
    }
}

words! {
    /// What can happen to an instance.
    pub enum InstanceCommand {
        /// It was started.
        Started = "started",
        /// It could not be started.
        Failed = "failed",
        /// It is gone although nobody stopped it.
        Lost = "lost",
        /// It was removed.
        Stopped = "stopped",
    }
}

impl Instance {
    /// Carries out a command.
    ///
    /// | state \ command | started | failed | lost | stopped |
    /// |---|---|---|---|---|
    /// | pending | running | failed | - | stopped |
    /// | running | - | failed | pending | stopped |
    /// | failed | running | failed | - | stopped |
    /// | stopped | - | - | - | - |
    ///
    /// # Errors
    /// When the table has no entry.
    pub fn apply(&mut self, command: InstanceCommand) -> Result<(), Refused> {
        use {InstanceCommand as C, InstanceState as S};
        self.state = match (self.state, command) {
            (S::Pending | S::Failed, C::Started) => S::Running,
            (S::Pending | S::Running | S::Failed, C::Failed) => S::Failed,
            (S::Pending | S::Running | S::Failed, C::Stopped) => S::Stopped,
            (S::Running, C::Lost) => {
                self.restarts = self.restarts.saturating_add(1);
                S::Pending
            }
            (state, command) => {
                return Err(Refused { command: command.as_str(), noun: "instance", state: state.as_str() });
            }
        };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn restarts_count_exactly_the_losses_and_stopped_is_final(
            commands in prop::collection::vec(prop::sample::select(InstanceCommand::ALL), 0..30),
        ) {
            let mut instance = Instance {
                id: "ins_1".parse().unwrap(),
                deployment_id: "dep_1".parse().unwrap(),
                state: InstanceState::Pending,
                restarts: 0,
                restores: None,
                revision: 0,
            };
            let mut losses = 0;
            for command in commands {
                let before = instance.state;
                let taken = instance.apply(command).is_ok();
                losses += u32::from(taken && command == InstanceCommand::Lost);
                prop_assert_eq!(instance.restarts, losses);
                prop_assert!(before != InstanceState::Stopped || !taken);
            }
        }
    }
}
