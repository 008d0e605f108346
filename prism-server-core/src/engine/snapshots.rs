//! Snapshots: the workspace of a deployment that is removed is copied into one, and one into the workspace of a deployment
//! that begins with it.
//!
//! A copy that is cut off is made again from its start. That it was made is stored before anything follows from it: before
//! the workspace that was copied is removed, and before an agent starts in the copy.

use std::sync::Arc;

use prism_types::{Failure, SandboxType, SnapshotId};

use super::workers::Workers;
use crate::{
    core::Core,
    domain::{
        deployment::Deployment,
        snapshot::{Snapshot, SnapshotState},
    },
    error::{Error, Result, failure},
    ports::{Commit, Sandbox, SandboxError, StoreError, Write},
};

/// Most snapshots that are removed at the same time.
const AT_ONCE: u32 = 16;

/// Keeps the workspace of a deployment that is about to be removed, if it is to be kept.
///
/// # Errors
/// When it is not kept yet.
pub(super) async fn keep(core: &Core, deployment: &Deployment) -> Result<()> {
    let Some(mut snapshot) = core.store.snapshot_of(&deployment.id).await? else { return Ok(()) };
    if snapshot.state == SnapshotState::Ready || snapshot.expires_at <= core.clock.now() {
        return Ok(());
    }
    let (sandboxes, copy) = (sandboxes(core, &snapshot.sandbox)?, snapshot.instance_id.clone());
    if let Some(alive) = sandboxes.find(&deployment.instance_id).await.map_err(Error::internal)? {
        alive.end().await.map_err(Error::internal)?;
    }
    sandboxes.copy_workspace(&deployment.instance_id, &copy).await.map_err(Error::internal)?;
    snapshot.state = SnapshotState::Ready;
    match core.store.commit(Commit::new().with(Write::UpdateSnapshot(snapshot))).await {
        // It was deleted and removed meanwhile.
        Err(StoreError::Missing(_)) => Ok(sandboxes.remove(&copy).await.map_err(Error::internal)?),
        kept => Ok(kept?),
    }
}

/// Makes the workspace of a deployment what its snapshot has, if it is to begin with one and has not yet.
///
/// # Errors
/// With the reason that the deployment is to show.
pub(super) async fn restore(
    core: &Core,
    deployment: &Deployment,
    sandboxes: &Arc<dyn Sandbox>,
) -> Result<(), Failure> {
    let internal = |error: StoreError| failure("internal", error.to_string());
    let instance = core.store.instance(&deployment.instance_id).await.map_err(internal)?;
    let Some(mut instance) = instance else { return Ok(()) };
    let Some(id) = instance.restores.take() else { return Ok(()) };
    let snapshot = core.store.snapshot(&id).await.map_err(internal)?;
    let snapshot = snapshot.filter(|snapshot| snapshot.expires_at > core.clock.now()).ok_or_else(|| {
        let message = format!("the snapshot {id} was deleted before the deployment began with it");
        failure("snapshot_gone", message)
    })?;
    let (kind, made_in) = (sandboxes.kind(), &snapshot.sandbox);
    if kind != *made_in {
        let message = format!(
            "the snapshot {id} was made in a sandbox of type `{made_in}`, and this is one of type `{kind}`"
        );
        return Err(failure("sandbox_failed", message));
    }
    let failed = |error: SandboxError| failure("sandbox_failed", error.to_string());
    if sandboxes.workspace(&snapshot.instance_id).await.map_err(failed)?.is_none() {
        return Err(failure(
            "snapshot_gone",
            format!("the files of the snapshot {id} are not there any more"),
        ));
    }
    sandboxes.copy_workspace(&snapshot.instance_id, &instance.id).await.map_err(failed)?;
    core.store.commit(Commit::new().with(Write::UpdateInstance(instance))).await.map_err(internal)
}

/// Removes snapshots whose time has come.
pub(super) struct Remover {
    core: Arc<Core>,
    workers: Workers<SnapshotId>,
}

impl Remover {
    pub(super) fn new(core: Arc<Core>) -> Self {
        Self { core, workers: Workers::new(AT_ONCE as usize) }
    }

    /// Looks for snapshots to remove. Those that find no place wait for the next sweep.
    pub(super) async fn sweep(self: &Arc<Self>) -> Result<()> {
        for snapshot in self.core.store.expired_snapshots(self.core.clock.now(), 2 * AT_ONCE).await? {
            if self.workers.start(&snapshot.id).is_some() {
                self.spawn(snapshot);
            }
        }
        Ok(())
    }

    fn spawn(self: &Arc<Self>, snapshot: Snapshot) {
        let this = self.clone();
        self.core.tasks.spawn(async move {
            let removed = this.core.shutdown.run_until_cancelled(remove(&this.core, &snapshot)).await;
            // The next sweep tries again.
            if let Some(Err(error)) = removed {
                tracing::warn!(snapshot = %snapshot.id, %error, cause = error.cause(), "a snapshot was not removed");
            }
            this.workers.finish(&snapshot.id);
        });
    }
}

async fn remove(core: &Core, snapshot: &Snapshot) -> Result<()> {
    let sandboxes = sandboxes(core, &snapshot.sandbox)?;
    sandboxes.remove(&snapshot.instance_id).await.map_err(Error::internal)?;
    Ok(core.store.commit(Commit::new().with(Write::DeleteSnapshot(snapshot.id.clone()))).await?)
}

fn sandboxes<'a>(core: &'a Core, kind: &SandboxType) -> Result<&'a Arc<dyn Sandbox>> {
    core.sandbox(kind)
        .ok_or_else(|| Error::internal(format!("this server has no sandbox of the type `{kind}`")))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use prism_types::{CreateDeployment, Runtime};

    use super::*;
    use crate::{
        ControlPlane,
        adapters::{
            secret_box::{MasterKey, SealedBox},
            store::MemoryStore,
        },
        domain::limits,
        engine::tests::{call, until},
        testkit::clock::TestClock,
    };

    #[tokio::test(start_paused = true)]
    async fn a_snapshot_goes_when_its_time_has_come_and_not_before() {
        let clock = TestClock::at("2026-06-01T08:30:00Z".parse().unwrap());
        let plane = ControlPlane::builder(SealedBox::new(MasterKey::from_bytes([7; 32])))
            .store(Arc::new(MemoryStore::new()))
            .clock(clock.clone())
            .build()
            .await
            .unwrap();
        let tenant = plane.admin().create_tenant("acme").await.unwrap();
        let _engine = tokio::spawn(plane.run());
        let request = CreateDeployment::new("cus_1", "Agent", "Be brief.").runtime(Runtime::Scripted);
        let created = call(&plane, &tenant, "POST", "/v1/deployments", request).await;
        let path =
            format!("/v1/deployments/{}?retain_filesystem=true", created["deployment_id"].as_str().unwrap());
        let deleted = call(&plane, &tenant, "DELETE", &path, ()).await;
        let path = format!("/v1/snapshots/{}", deleted["snapshot_id"].as_str().unwrap());
        let found = async || call(&plane, &tenant, "GET", &path, ()).await;
        until(async || (found().await["status"] == "ready").then_some(())).await;

        let month = i64::try_from(limits::SNAPSHOT_RETENTION.as_millis()).unwrap();
        let begun: prism_types::Timestamp = found().await["created_at"].as_str().unwrap().parse().unwrap();
        let now = crate::ports::Clock::now(&clock).as_millis();
        clock.put(begun.as_millis() + month - now - 60_000);
        tokio::time::sleep(Duration::from_secs(30)).await;
        assert_eq!(found().await["status"], "ready");
        tokio::time::sleep(Duration::from_secs(31)).await;
        assert_eq!(found().await["error"], "not_found");
    }
}
