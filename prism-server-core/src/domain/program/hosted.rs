//! What a job and a service have in common: a sandbox in which a version of a program runs.

use std::time::Duration;

use prism_types::{DeploymentId, InstanceId, Timestamp, VersionId};
use serde::{Deserialize, Serialize};

use crate::domain::words;

/// The sandbox of a job or a service, and how far it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(clippy::exhaustive_structs, reason = "a part of a record: stores build it")]
pub struct Hosted {
    /// The sandbox.
    pub instance_id: InstanceId,
    /// The deployment.
    pub deployment_id: DeploymentId,
    /// What runs.
    pub version_id: VersionId,
    /// What is in the sandbox.
    pub stage: Stage,
    /// How often it was to be started: each start has commands of its own, and what was given out for a former one is void.
    pub starts: u32,
    /// Whether it was started with an environment of its own. That is kept nowhere, so that it cannot be started again
    /// without being given it again.
    pub has_environment: bool,
    /// Why it failed.
    pub failure: Option<String>,
    /// Until when the sandbox is kept after the end; `None`: it is not.
    pub kept_until: Option<Timestamp>,
}

words! {
    /// What is in the sandbox of a job or a service.
    pub enum Stage {
        /// There is none.
        Empty = "empty",
        /// Nobody knows: it is being filled, or removed.
        Unsettled = "unsettled",
        /// The files of the version, or what its build made of them.
        Filled = "filled",
        /// Those, and what was installed.
        Installed = "installed",
    }
}

impl Hosted {
    /// To be started for the first time.
    pub fn new(instance_id: InstanceId, deployment_id: DeploymentId, version_id: VersionId) -> Self {
        Self {
            instance_id,
            deployment_id,
            version_id,
            stage: Stage::Empty,
            starts: 1,
            has_environment: false,
            failure: None,
            kept_until: None,
        }
    }

    /// The token of the command that installs, in this start.
    pub fn install_token(&self) -> String {
        format!("install-{}", self.starts)
    }

    /// The token of the command that runs the program, in this start.
    pub fn run_token(&self) -> String {
        format!("run-{}", self.starts)
    }

    /// Keeps the sandbox for so long after now.
    pub fn keep(&mut self, now: Timestamp, time: Duration) {
        let millis = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        self.kept_until = Some(Timestamp::from_millis(now.as_millis().saturating_add(millis)));
    }

    /// Whether there is a sandbox that is not to be kept any longer, once nothing runs in it.
    pub fn is_to_be_removed(&self, now: Timestamp) -> bool {
        self.stage != Stage::Empty && self.kept_until.is_none_or(|until| until <= now)
    }
}
