//! Snapshots: list, read, delete; begin a deployment with one, and end a deployment with one.
//!
//! One that is deleted goes like one whose time has come: from then on nobody is shown it, and the engine removes it.

use prism_types::{InstanceId, Problem, SnapshotId, Timestamp};

use super::{Attempt, Listed, author::Author, deployments::NewDeployment, with_retries};
use crate::{
    core::Core,
    domain::{
        audit::Subject,
        deployment::{AgentSpec, Deployment},
        limits,
        snapshot::{Snapshot, SnapshotState},
        tenant::Principal,
    },
    error::{Error, ErrorKind, Result},
    ids::NewId,
    ports::{Commit, ListQuery, Write},
};

/// A snapshot of the caller's tenant.
pub(crate) async fn get(core: &Core, principal: &Principal, id: &SnapshotId) -> Result<Snapshot> {
    let snapshot = core.store.snapshot(id).await?;
    snapshot
        .filter(|snapshot| {
            snapshot.tenant_id == principal.tenant_id && snapshot.expires_at > core.clock.now()
        })
        .ok_or_else(|| Error::not_found("Snapshot"))
}

/// The snapshots of the caller's tenant, newest first.
pub(crate) async fn list(
    core: &Core,
    principal: &Principal,
    query: ListQuery<SnapshotId>,
) -> Result<Listed<Snapshot, SnapshotId>> {
    let limit = query.limit;
    let one_more = ListQuery { limit: limit + 1, ..query };
    let items = core.store.snapshots(&principal.tenant_id, core.clock.now(), one_more).await?;
    Ok(Listed::from_one_more(items, limit, |snapshot| snapshot.id.clone()))
}

/// Deletes a snapshot, also one that is being made. A deployment that was to begin with it, and has not, fails.
pub(crate) async fn delete(core: &Core, author: &Author, id: &SnapshotId) -> Result<()> {
    with_retries(|| async {
        let mut snapshot = get(core, &author.principal, id).await?;
        snapshot.expires_at = core.clock.now();
        let commit = Commit::new()
            .with(Write::UpdateSnapshot(snapshot))
            .with(author.entry(core, Subject::of_tenant(id)));
        core.store.commit(commit).await?;
        Ok::<_, Attempt>(())
    })
    .await
}

/// Refuses a snapshot that a new deployment cannot begin with.
pub(super) async fn require_usable(
    core: &Core,
    principal: &Principal,
    id: &SnapshotId,
    new: &NewDeployment,
) -> Result<()> {
    let refused = |message: String| Err(Error::invalid(vec![Problem::new("$.snapshot_id", message)]));
    let snapshot = match get(core, principal, id).await {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return refused(format!("there is no snapshot `{id}`; `GET /v1/snapshots` lists those that are"));
        }
        snapshot => snapshot?,
    };
    if snapshot.customer_id != new.customer_id {
        return refused(format!(
            "is of the customer `{}`, and can be used for that one only",
            snapshot.customer_id
        ));
    }
    let kind = core.harness(&new.runtime).map(|harness| harness.sandbox_for(&new.spec.sandbox));
    if let Some(kind) = kind.filter(|kind| *kind != snapshot.sandbox) {
        return refused(format!(
            "was made in a sandbox of type `{}`, and this deployment runs in one of type `{kind}`: both must be the same",
            snapshot.sandbox
        ));
    }
    if !new.spec.sandbox.persistent_filesystem {
        return refused(
            "needs `sandbox.persistent_filesystem`, for without it no workspace is kept".to_owned(),
        );
    }
    if snapshot.state == SnapshotState::Creating {
        let message = "The snapshot is being made. Try again in a moment.";
        return Err(Error::new(ErrorKind::Conflict, message));
    }
    Ok(())
}

/// The snapshot that a deployment leaves.
pub(super) fn of(core: &Core, deployment: &Deployment, spec: &AgentSpec) -> Result<Snapshot> {
    let harness = core.harness(&deployment.runtime);
    let sandbox = harness.map(|harness| harness.sandbox_for(&spec.sandbox)).ok_or_else(|| {
        let message =
            "This server cannot run the runtime of the deployment, and so cannot keep its workspace.";
        Error::new(ErrorKind::Conflict, message)
    })?;
    let now = core.clock.now();
    let time = i64::try_from(limits::SNAPSHOT_RETENTION.as_millis()).unwrap_or(i64::MAX);
    Ok(Snapshot {
        id: SnapshotId::generate(),
        tenant_id: deployment.tenant_id.clone(),
        deployment_id: deployment.id.clone(),
        customer_id: deployment.customer_id.clone(),
        name: deployment.name.clone(),
        instance_id: InstanceId::generate(),
        sandbox,
        state: SnapshotState::Creating,
        created_at: now,
        expires_at: Timestamp::from_millis(now.as_millis().saturating_add(time)),
        revision: 0,
    })
}
