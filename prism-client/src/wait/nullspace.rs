//! Waiting for versions, runs and services of agent deployments, and for sandboxes.

use prism_types::{
    Failure,
    nullspace::{
        AgentDeploymentVersion, AgentRun, AgentRunStatus, AgentVersionStatus, Sandbox, SandboxStatus,
        ServiceInstance, ServiceStatus,
    },
};

use super::{
    Completed, Condition, Look, Over, Ready,
    subject::{Subject, sealed::Sealed},
};
use crate::{Error, error::Kind};

impl Subject for AgentDeploymentVersion {}

impl Sealed for AgentDeploymentVersion {
    const PATH: &'static str = "/v1/agent-deployments/{deployment_id}/versions/{version_id}";
    const NOUN: &'static str = "the version";

    fn status(&self) -> String {
        self.status.to_string()
    }

    fn failure(self) -> Option<Error> {
        hopeless(Self::NOUN, self.status.as_str(), self.failure_reason)
    }
}

impl Subject for AgentRun {}

impl Sealed for AgentRun {
    const PATH: &'static str = "/v1/agent-deployments/{deployment_id}/runs/{run_id}";
    const NOUN: &'static str = "the run";

    fn status(&self) -> String {
        self.status.to_string()
    }

    fn failure(self) -> Option<Error> {
        hopeless(Self::NOUN, self.status.as_str(), self.failure_reason)
    }
}

impl Subject for Sandbox {}

impl Sealed for Sandbox {
    const PATH: &'static str = "/v1/sandboxes/{sandbox_id}";
    const NOUN: &'static str = "the sandbox";

    fn status(&self) -> String {
        self.status.to_string()
    }

    fn failure(self) -> Option<Error> {
        hopeless(Self::NOUN, self.status.as_str(), self.failure_reason)
    }
}

impl Subject for ServiceInstance {}

impl Sealed for ServiceInstance {
    const PATH: &'static str = "/v1/agent-deployments/{deployment_id}/services/{service_id}";
    const NOUN: &'static str = "the service";

    fn status(&self) -> String {
        self.status.to_string()
    }

    fn failure(self) -> Option<Error> {
        hopeless(Self::NOUN, self.status.as_str(), self.failure_reason)
    }
}

/// The error for what says why it failed; the code is its status.
fn hopeless(noun: &'static str, status: &str, reason: Option<String>) -> Option<Error> {
    let failure = Some(Failure::new(status, reason?));
    Some(Error::new(Kind::Hopeless { noun, status: status.to_owned(), failure }))
}

impl Condition<AgentDeploymentVersion> for Ready {
    fn look(&self, version: &AgentDeploymentVersion) -> Look {
        match version.status {
            AgentVersionStatus::Ready => Look::Met,
            AgentVersionStatus::Failed | AgentVersionStatus::Superseded => Look::Hopeless,
            _ => Look::NotYet,
        }
    }
}

impl Condition<Sandbox> for Ready {
    fn look(&self, sandbox: &Sandbox) -> Look {
        match &sandbox.status {
            SandboxStatus::Running => Look::Met,
            status if status.is_terminal() => Look::Hopeless,
            _ => Look::NotYet,
        }
    }
}

impl Condition<ServiceInstance> for Ready {
    fn look(&self, service: &ServiceInstance) -> Look {
        match &service.status {
            ServiceStatus::Ready => Look::Met,
            status if status.is_terminal() => Look::Hopeless,
            _ => Look::NotYet,
        }
    }
}

impl Condition<ServiceInstance> for Over {
    fn look(&self, service: &ServiceInstance) -> Look {
        if service.status.is_terminal() { Look::Met } else { Look::NotYet }
    }
}

impl Condition<AgentRun> for Over {
    fn look(&self, run: &AgentRun) -> Look {
        if run.status.is_terminal() { Look::Met } else { Look::NotYet }
    }
}

impl Condition<AgentRun> for Completed {
    fn look(&self, run: &AgentRun) -> Look {
        match &run.status {
            AgentRunStatus::Succeeded => Look::Met,
            status if status.is_terminal() => Look::Hopeless,
            _ => Look::NotYet,
        }
    }
}
