//! What can wait: things that have a status.

use prism_types::{
    Approval, Deployment, DeploymentId, DeploymentStatus, Dream, DreamStatus, Run, RunId, RunStatus, Snapshot,
};
use serde::de::DeserializeOwned;

use crate::{
    Error,
    error::{Kind, unnamed},
};

/// Something that can be waited for: a [`Deployment`], a [`Run`], an [`Approval`], a [`Dream`] or a [`Snapshot`]; with the
/// feature `nullspace` also a version, a run or a service of an agent deployment.
pub trait Subject: sealed::Sealed + Send + Sync + 'static {}

pub(crate) mod sealed {
    use super::{DeploymentId, DeserializeOwned, Error, RunId};

    pub trait Sealed: DeserializeOwned {
        /// Where it is read.
        const PATH: &'static str;
        /// How errors name it.
        const NOUN: &'static str;

        /// Its status, as it travels.
        fn status(&self) -> String;

        /// The run whose events say that it may have changed.
        fn run(&self) -> Option<(&DeploymentId, &RunId)> {
            None
        }

        /// The error for one that failed; `None` for another one.
        fn failure(self) -> Option<Error>
        where
            Self: Sized,
        {
            None
        }
    }
}

impl Subject for Deployment {}

impl sealed::Sealed for Deployment {
    const PATH: &'static str = "/v1/deployments/{deployment_id}";
    const NOUN: &'static str = "the deployment";

    fn status(&self) -> String {
        self.status.to_string()
    }

    fn failure(self) -> Option<Error> {
        (self.status == DeploymentStatus::Error).then(|| Error::new(Kind::DeploymentFailed(self.error)))
    }
}

impl Subject for Run {}

impl sealed::Sealed for Run {
    const PATH: &'static str = "/v1/deployments/{deployment_id}/runs/{run_id}";
    const NOUN: &'static str = "the run";

    fn status(&self) -> String {
        self.status.to_string()
    }

    fn run(&self) -> Option<(&DeploymentId, &RunId)> {
        Some((&self.deployment_id, &self.run_id))
    }

    fn failure(self) -> Option<Error> {
        (self.status == RunStatus::Error)
            .then(|| Error::new(Kind::RunFailed(self.error.unwrap_or_else(unnamed))))
    }
}

impl Subject for Approval {}

impl sealed::Sealed for Approval {
    const PATH: &'static str = "/v1/deployments/{deployment_id}/approvals/{approval_id}";
    const NOUN: &'static str = "the question";

    fn status(&self) -> String {
        self.status.to_string()
    }

    fn run(&self) -> Option<(&DeploymentId, &RunId)> {
        Some((&self.deployment_id, &self.run_id))
    }
}

impl Subject for Dream {}

impl sealed::Sealed for Dream {
    const PATH: &'static str = "/v1/deployments/{deployment_id}/dreams/{dream_id}";
    const NOUN: &'static str = "the dream";

    fn status(&self) -> String {
        self.status.to_string()
    }

    fn run(&self) -> Option<(&DeploymentId, &RunId)> {
        Some((&self.deployment_id, &self.run_id))
    }

    fn failure(self) -> Option<Error> {
        (self.status == DreamStatus::Error)
            .then(|| Error::new(Kind::RunFailed(self.error.unwrap_or_else(unnamed))))
    }
}

impl Subject for Snapshot {}

impl sealed::Sealed for Snapshot {
    const PATH: &'static str = "/v1/snapshots/{snapshot_id}";
    const NOUN: &'static str = "the snapshot";

    fn status(&self) -> String {
        self.status.to_string()
    }
}
