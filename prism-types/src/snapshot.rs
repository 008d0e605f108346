//! Snapshots: workspaces that outlive their deployments.

use crate::{
    DeletedStatus, DeploymentId, SandboxType, SnapshotId, Timestamp, UnknownFields, macros::setters,
    open_enum::open_enum, unknown_fields::answer,
};

open_enum! {
    /// Where a snapshot is in its life.
    pub enum SnapshotStatus {
        /// The workspace is being copied.
        Creating = "creating",
        /// A deployment can begin with it.
        Ready = "ready",
    }
}

answer! {
    /// A workspace that was kept when its deployment was deleted.
    pub struct Snapshot {
        /// Its id.
        pub snapshot_id: SnapshotId,
        /// The deployment whose workspace it was; it is gone.
        pub deployment_id: DeploymentId,
        /// The customer of that deployment. Only a deployment of the same customer can begin with it.
        pub customer_id: String,
        /// The name of that deployment.
        pub name: String,
        /// The type of sandbox that it was made in. Only a deployment in a sandbox of this type can begin with it.
        pub sandbox_type: SandboxType,
        /// Where it is in its life.
        pub status: SnapshotStatus,
        /// When the deployment was deleted.
        pub created_at: Timestamp,
        /// When it is deleted itself.
        pub expires_at: Timestamp,
    }
}

impl Snapshot {
    /// A snapshot that can be used.
    pub fn new(
        snapshot_id: SnapshotId,
        deployment_id: DeploymentId,
        customer_id: impl Into<String>,
        name: impl Into<String>,
        sandbox_type: SandboxType,
        (created_at, expires_at): (Timestamp, Timestamp),
    ) -> Self {
        let (customer_id, name, status) = (customer_id.into(), name.into(), SnapshotStatus::Ready);
        Self {
            snapshot_id,
            deployment_id,
            customer_id,
            name,
            sandbox_type,
            status,
            created_at,
            expires_at,
            unknown_fields: UnknownFields::default(),
        }
    }
}

setters!(Snapshot {
    /// Sets where it is in its life.
    status: SnapshotStatus,
});

answer! {
    /// The answer to a snapshot's delete.
    pub struct DeletedSnapshot {
        /// The snapshot that was deleted.
        pub snapshot_id: SnapshotId,
        /// Always `deleted`.
        pub status: DeletedStatus,
    }
}

impl DeletedSnapshot {
    /// The answer.
    pub fn new(snapshot_id: SnapshotId) -> Self {
        Self { snapshot_id, status: DeletedStatus::Deleted, unknown_fields: UnknownFields::default() }
    }
}
