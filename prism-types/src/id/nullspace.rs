//! Ids of agent deployments and of what belongs to them.

use super::*;

ids! {
    /// An agent deployment: a name under which versions of an agent's code are run.
    AgentDeploymentId = "adpl_";
    /// A version of an agent deployment: a bundle and a configuration.
    AgentVersionId = "adpv_";
    /// A run of a deployment whose mode is `job`.
    AgentRunId = "adrun_";
    /// An instance of a deployment whose mode is `service`.
    ServiceInstanceId = "adsvc_";
    /// A build of a version: its bundle with its dependencies installed.
    BuildId = "adpb_";
    /// The sandbox in which a run or a service works.
    SandboxId = "sb_";
}
