//! Snapshots of machines.

use prism_types::{InstanceId, SnapshotId, TenantId, Timestamp};
use serde::{Deserialize, Serialize};

use super::Model;

/// A copy of the files of a machine. It never changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(clippy::exhaustive_structs, reason = "a record: stores build it")]
pub struct MachineSnapshot {
    /// Its id. Ids are time-ordered: a later snapshot has a greater id.
    pub id: SnapshotId,
    /// Its owner.
    pub tenant_id: TenantId,
    /// The machine whose files it has. That need not be there any more.
    pub machine_id: InstanceId,
    /// The sandbox in which they are kept, in which nothing runs.
    pub instance_id: InstanceId,
    /// What the machine is, and what is made of the snapshot.
    pub model: Model,
    /// How large the files are, in bytes; 0 where that took too long to find out.
    pub size: u64,
    /// When it was made.
    pub created_at: Timestamp,
}
