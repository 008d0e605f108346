//! Deployments and the agent specifications they bind.

use std::collections::{BTreeMap, BTreeSet};

use prism_types::{
    ApprovalPolicy, DeploymentId, Failure, Features, InstanceId, McpServer, Runtime, Sandbox, SecretRef,
    TenantId, ThreadId, Timestamp,
};
use serde::{Deserialize, Serialize};

use super::{Refused, tool::ToolName, words};

/// A named, owned binding of an agent specification to a sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "a record: stores build it from its columns")]
pub struct Deployment {
    /// Its id. Ids are time-ordered: a later deployment has a greater id.
    pub id: DeploymentId,
    /// Its owner.
    pub tenant_id: TenantId,
    /// The owner's own id of the customer.
    pub customer_id: String,
    /// A label for people.
    pub name: String,
    /// The harness.
    pub runtime: Runtime,
    /// The resolved model.
    pub model: String,
    /// The version of [`AgentSpec`] that new runs use.
    pub spec_version: u32,
    /// The thread for messages that name none.
    pub default_thread: ThreadId,
    /// Its sandbox.
    pub instance_id: InstanceId,
    /// Whether the workspace is kept across sessions.
    pub persistent: bool,
    /// Where it is in its life.
    pub state: DeploymentState,
    /// Why the state is `error`.
    pub error: Option<Failure>,
    /// When it was created.
    pub created_at: Timestamp,
    /// How often it was changed: the guard of every update.
    pub revision: u64,
}

/// What an agent is. A version never changes; an update makes a new one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(clippy::exhaustive_structs, reason = "a record: stores build it from its columns")]
pub struct AgentSpec {
    /// The system prompt.
    pub system_prompt: String,
    /// The model as it was asked for; `None`: the server's default.
    pub model: Option<String>,
    /// How the agent is isolated.
    pub sandbox: Sandbox,
    /// The MCP servers.
    pub mcp_servers: Vec<McpServer>,
    /// Environment variables and the secrets they stand for.
    pub secrets: BTreeMap<String, SecretRef>,
    /// The feature switches.
    pub features: Features,
    /// The tools that are switched off.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub disabled_tools: BTreeSet<ToolName>,
    /// Which tools need the approval of a human, and how long questions wait.
    #[serde(default)]
    pub approvals: ApprovalPolicy,
}

impl AgentSpec {
    /// An agent with this system prompt, and the default of everything else.
    pub fn new(system_prompt: impl Into<String>) -> Self {
        Self {
            system_prompt: system_prompt.into(),
            model: None,
            sandbox: Sandbox::default(),
            mcp_servers: Vec::new(),
            secrets: BTreeMap::new(),
            features: Features::default(),
            disabled_tools: BTreeSet::new(),
            approvals: ApprovalPolicy::default(),
        }
    }

    /// The MCP server of this name.
    pub fn mcp_server(&self, name: &str) -> Option<&McpServer> {
        self.mcp_servers.iter().find(|server| server.name == name)
    }

    /// Forgets the switches of tools whose servers are gone, so that another server of the same name starts anew.
    pub fn forget_lost_tools(&mut self) {
        let mut tools = std::mem::take(&mut self.disabled_tools);
        tools.retain(|tool| tool.server.as_deref().is_none_or(|server| self.mcp_server(server).is_some()));
        self.disabled_tools = tools;
    }
}

words! {
    /// Where a deployment is in its life.
    pub enum DeploymentState {
        /// Its sandbox is being made.
        Provisioning = "provisioning",
        /// It takes messages.
        Ready = "ready",
        /// It could not be started.
        Error = "error",
        /// It was deleted; its sandbox and rows are being removed.
        Deleted = "deleted",
    }
}

/// What can be asked of a deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "a state machine is closed")]
pub enum DeploymentCommand {
    /// The sandbox runs and the harness is prepared.
    BecomeReady,
    /// The sandbox or the harness could not be started.
    Fail(Failure),
    /// Start again, after a change that may have mended the cause.
    Reprovision,
    /// Delete.
    Delete,
}

impl Deployment {
    /// Carries out a command.
    ///
    /// | state \ command | become ready | fail | reprovision | delete |
    /// |---|---|---|---|---|
    /// | provisioning | ready | error | provisioning | deleted |
    /// | ready | - | error | provisioning | deleted |
    /// | error | - | - | provisioning | deleted |
    /// | deleted | - | - | - | - |
    ///
    /// # Errors
    /// When the table has no entry.
    pub fn apply(&mut self, command: DeploymentCommand) -> Result<(), Refused> {
        use {DeploymentCommand as C, DeploymentState as S};
        let (state, error) = match (self.state, command) {
            (S::Provisioning, C::BecomeReady) => (S::Ready, None),
            (S::Provisioning | S::Ready, C::Fail(failure)) => (S::Error, Some(failure)),
            (S::Provisioning | S::Ready | S::Error, C::Reprovision) => (S::Provisioning, None),
            (S::Provisioning | S::Ready | S::Error, C::Delete) => (S::Deleted, None),
            (state, command) => {
                return Err(Refused { command: command.name(), noun: "deployment", state: state.as_str() });
            }
        };
        self.state = state;
        self.error = error;
        Ok(())
    }
}

impl DeploymentCommand {
    fn name(&self) -> &'static str {
        match self {
            Self::BecomeReady => "become ready",
            Self::Fail(_) => "fail",
            Self::Reprovision => "reprovision",
            Self::Delete => "delete",
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) fn sample() -> Deployment {
        Deployment {
            id: "dep_1".parse().unwrap(),
            tenant_id: "ten_1".parse().unwrap(),
            customer_id: "cus_1".to_owned(),
            name: "Agent".to_owned(),
            runtime: Runtime::Scripted,
            model: "anthropic/claude-sonnet-4.5".to_owned(),
            spec_version: 1,
            default_thread: "thr_1".parse().unwrap(),
            instance_id: "ins_1".parse().unwrap(),
            persistent: true,
            state: DeploymentState::Provisioning,
            error: None,
            created_at: Timestamp::UNIX_EPOCH,
            revision: 0,
        }
    }

    fn command() -> impl Strategy<Value = DeploymentCommand> {
        prop_oneof![
            Just(DeploymentCommand::BecomeReady),
            Just(DeploymentCommand::Fail(Failure::new("x", "y"))),
            Just(DeploymentCommand::Reprovision),
            Just(DeploymentCommand::Delete),
        ]
    }

    proptest! {
        #[test]
        fn under_any_commands_an_error_has_a_reason_and_deleted_is_final(
            commands in prop::collection::vec(command(), 0..20),
        ) {
            let mut deployment = sample();
            for command in commands {
                let before = deployment.clone();
                let result = deployment.apply(command);
                prop_assert_eq!(deployment.error.is_some(), deployment.state == DeploymentState::Error);
                if result.is_err() {
                    prop_assert_eq!(&deployment, &before);
                }
                if before.state == DeploymentState::Deleted {
                    prop_assert!(result.is_err());
                }
            }
        }
    }
}
