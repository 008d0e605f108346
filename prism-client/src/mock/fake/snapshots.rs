//! Snapshots. Each is ready at once.

use std::collections::BTreeMap;

use prism_types::{DeletedSnapshot, ListPage, Page, Runtime, SandboxType, Snapshot, SnapshotId, Timestamp};

use super::{
    collection::Item,
    state::{Agent, File, State},
};
use crate::mock::{Answer, Refusal, Request};

const KEPT_FOR: i64 = 30 * 24 * 60 * 60 * 1000;

/// A workspace that outlives its deployment.
pub(super) struct Kept {
    snapshot: Snapshot,
    files: BTreeMap<String, File>,
}

impl Kept {
    pub(super) fn new(id: SnapshotId, agent: Agent, now: Timestamp) -> Self {
        let Agent { deployment, spec, files, .. } = agent;
        let times = (now, Timestamp::from_millis(now.as_millis() + KEPT_FOR));
        let (customer, name) = (deployment.customer_id, deployment.name);
        // Whatever was asked for, a scripted agent has no other sandbox.
        let is_scripted = deployment.runtime == Runtime::Scripted;
        let sandbox = if is_scripted { SandboxType::Memory } else { spec.sandbox.kind };
        let snapshot = Snapshot::new(id, deployment.deployment_id, customer, name, sandbox, times);
        Self { snapshot, files }
    }
}

impl Item for Kept {
    const NOUN: &'static str = "Snapshot";

    fn id(&self) -> &str {
        self.snapshot.snapshot_id.as_str()
    }
}

impl State {
    pub(super) fn list_snapshots(&mut self, _: &Request, query: ListPage) -> Answer<Page<Snapshot>> {
        let view = |kept: &Kept| kept.snapshot.clone();
        Ok(self.snapshots.page(query.limit, query.cursor.as_ref(), |_| true, view)?.into())
    }

    pub(super) fn get_snapshot(&mut self, _: &Request, id: SnapshotId) -> Answer<Snapshot> {
        Ok(self.snapshots.get(&id)?.snapshot.clone().into())
    }

    pub(super) fn delete_snapshot(&mut self, _: &Request, id: SnapshotId) -> Answer<DeletedSnapshot> {
        self.snapshots.remove(&id)?;
        Ok(DeletedSnapshot::new(id).into())
    }

    /// The files that a deployment of a customer begins with.
    pub(super) fn begin_with(
        &self,
        id: &SnapshotId,
        customer: &str,
    ) -> Result<BTreeMap<String, File>, Refusal> {
        let found = self.snapshots.get(id).ok().filter(|kept| kept.snapshot.customer_id == customer);
        let missing = || Refusal::invalid("$.snapshot_id", "must be a snapshot of the same customer");
        Ok(found.ok_or_else(missing)?.files.clone())
    }
}
