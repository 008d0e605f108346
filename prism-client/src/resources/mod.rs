//! What the server has, one file a noun: handles, which send nothing, and the builders of their operations.

mod approvals;
mod audit;
mod automations;
mod deployments;
mod dreams;
mod files;
mod mcp_servers;
mod memories;
mod messages;
mod runs;
mod skills;
mod snapshots;
mod threads;
mod tools;
mod webhooks;

pub use approvals::{AnswerApprovalCall, Approvals, GetApprovalCall, ListApprovalsCall};
pub use audit::{AuditLog, ListAuditEntriesCall};
pub use automations::{
    Automations, CreateAutomationCall, DeleteAutomationCall, GetAutomationCall, ListAutomationRunsCall,
    ListAutomationsCall, TriggerAutomationCall, UpdateAutomationCall,
};
pub use deployments::{
    CreateDeploymentCall, DeleteDeploymentCall, DeploymentHandle, Deployments, GetDeploymentCall,
    ListDeploymentsCall, UpdateDeploymentCall,
};
pub use dreams::{Dreams, GetDreamCall, ListDreamsCall, RevertDreamCall, StartDreamCall};
pub(crate) use files::Upload;
pub use files::{
    DeleteFileCall, FileBody, FileContent, Files, ListFilesCall, Progress, ReadFileCall, WriteFileCall,
};
#[cfg(feature = "nullspace")]
pub(crate) use files::{Listener, uploads};
pub use mcp_servers::{
    AddMcpServerCall, GetMcpServerCall, ListMcpServersCall, McpServers, RemoveMcpServerCall,
    UpdateMcpServerCall,
};
pub use memories::{
    CreateMemoryCall, DeleteMemoryCall, GetMemoryCall, ListMemoriesCall, Memories, UpdateMemoryCall,
};
pub use messages::{Messages, SendMessageCall};
pub use runs::{CancelRunCall, GetRunCall, ListRunsCall, Runs};
pub use skills::{AddSkillCall, GetSkillCall, ListSkillsCall, RemoveSkillCall, Skills, UpdateSkillCall};
pub use snapshots::{DeleteSnapshotCall, GetSnapshotCall, ListSnapshotsCall, Snapshots};
pub use threads::{
    CreateThreadCall, DeleteThreadCall, GetThreadCall, ListThreadsCall, Threads, UpdateThreadCall,
};
pub use tools::{ListToolsCall, Tools, UpdateToolCall};
pub use webhooks::{
    CreateWebhookCall, DeleteWebhookCall, GetWebhookCall, GetWebhookDeliveryCall, ListWebhookDeliveriesCall,
    ListWebhooksCall, RedeliverWebhookCall, RedeliverWebhookDeliveryCall, RotateWebhookSecretCall,
    TestWebhookCall, UpdateWebhookCall, Webhooks,
};

/// Declares a handle on a collection of one deployment.
macro_rules! deployment_collection {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        ///
        /// Cheap to clone; it sends nothing by itself.
        #[derive(Debug, Clone)]
        pub struct $name {
            client: crate::Client,
            deployment: prism_types::DeploymentId,
        }

        impl $name {
            pub(crate) fn new(client: crate::Client, deployment: prism_types::DeploymentId) -> Self {
                Self { client, deployment }
            }
        }
    };
}

pub(crate) use deployment_collection;
