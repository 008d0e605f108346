//! Snapshots: workspaces that outlive their deployments.

use prism_types::{DeploymentId, InstanceId, SandboxType, SnapshotId, SnapshotStatus, TenantId, Timestamp};

use super::words;

/// A workspace that is kept after its deployment was deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "a record: stores build it from its columns")]
pub struct Snapshot {
    /// Its id. Ids are time-ordered: a later snapshot has a greater id.
    pub id: SnapshotId,
    /// Its owner.
    pub tenant_id: TenantId,
    /// The deployment whose workspace it was.
    pub deployment_id: DeploymentId,
    /// The customer of that deployment.
    pub customer_id: String,
    /// The name of that deployment.
    pub name: String,
    /// The sandbox in which it is kept: it has a workspace, and nothing runs in it.
    pub instance_id: InstanceId,
    /// The kind of that sandbox.
    pub sandbox: SandboxType,
    /// Where it is in its life.
    pub state: SnapshotState,
    /// When the deployment was deleted.
    pub created_at: Timestamp,
    /// When it goes. From then on nobody is shown it.
    pub expires_at: Timestamp,
    /// How often it was changed: the guard of every update.
    pub revision: u64,
}

words! {
    /// Where a snapshot is in its life.
    pub enum SnapshotState {
        /// The workspace is still that of the deployment.
        Creating = "creating",
        /// It has a copy of the workspace.
        Ready = "ready",
    }
}

impl SnapshotState {
    /// The status on the wire.
    pub fn status(self) -> SnapshotStatus {
        match self {
            Self::Creating => SnapshotStatus::Creating,
            Self::Ready => SnapshotStatus::Ready,
        }
    }
}
