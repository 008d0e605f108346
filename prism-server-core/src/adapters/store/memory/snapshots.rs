//! Snapshots, in memory.

use prism_types::Timestamp;

use super::state::{Change, State, current};
use crate::{
    adapters::store::storable,
    domain::snapshot::Snapshot,
    ports::{StoreError, StoreResult},
};

impl State {
    /// The snapshots that go at `now` or went before, those that went first before the others.
    pub(super) fn expired_snapshots(&self, now: Timestamp, limit: u32) -> Vec<Snapshot> {
        let expired = self.snapshots.values().filter(|snapshot| snapshot.expires_at <= now);
        let mut expired: Vec<_> = expired.cloned().collect();
        expired.sort_by(|one, other| (one.expires_at, &one.id).cmp(&(other.expires_at, &other.id)));
        expired.truncate(limit as usize);
        expired
    }
}

impl Change<'_> {
    pub(super) fn insert_snapshot(&mut self, snapshot: Snapshot, most: u32) -> StoreResult<()> {
        storable(snapshot.revision, "snapshots.revision")?;
        let others = || self.state.snapshots.values();
        if others().filter(|other| other.tenant_id == snapshot.tenant_id).count() >= most as usize {
            return Err(StoreError::Full("snapshots"));
        }
        if others().any(|other| {
            other.deployment_id == snapshot.deployment_id || other.instance_id == snapshot.instance_id
        }) {
            return Err(StoreError::Conflict("snapshot"));
        }
        self.insert("snapshot", |state| &mut state.snapshots, snapshot.id.clone(), snapshot)
    }

    pub(super) fn update_snapshot(&mut self, snapshot: Snapshot) -> StoreResult<()> {
        storable(snapshot.revision, "snapshots.revision")?;
        let before = self.state.snapshots.get(&snapshot.id);
        let before = current("snapshot", before, snapshot.revision, |s| s.revision)?;
        let Snapshot { state, expires_at, revision, .. } = snapshot;
        let snapshot = Snapshot { state, expires_at, revision: revision + 1, ..before.clone() };
        self.put(|state| &mut state.snapshots, snapshot.id.clone(), snapshot);
        Ok(())
    }
}
