//! Snapshots of machines, and machines that are copies of others.
//!
//! Files are copied while somebody waits, and recorded when that is done. What is being copied is noted in memory: what a
//! server leaves that is killed meanwhile is a sandbox that nobody knows, and the next one removes it.

use std::{collections::BTreeMap, sync::Arc};

use prism_types::{InstanceId, SnapshotId};

use super::{Machines, hosting, insert, processes, refused, running, sandboxes};
use crate::{
    core::Core,
    domain::{
        audit::Subject,
        idempotency::Reply,
        limits,
        machine::{Machine, MachineState, Origin, after, snapshot::MachineSnapshot},
        program::config,
        tenant::Principal,
    },
    error::{Error, Result},
    ids::NewId,
    ports::{Commit, StoreError, Write},
    service::{Tell, author::Author, programs::environments::Environment},
};

/// Makes a snapshot of a machine, which runs on.
pub(crate) async fn create(
    core: &Core,
    author: &Author,
    id: &InstanceId,
    tell: impl Tell<MachineSnapshot>,
) -> Result<Reply> {
    let machine = running(core, &author.principal, id).await?;
    if core.store.machine_snapshots(&machine.tenant_id).await?.len() >= limits::MACHINE_SNAPSHOTS as usize {
        return Err(StoreError::Full("snapshots").into());
    }
    let size = size(core, &machine).await;
    let copy = Copy::of(core, &machine).await?;
    let snapshot = MachineSnapshot {
        id: SnapshotId::generate(),
        tenant_id: machine.tenant_id,
        machine_id: machine.id,
        instance_id: copy.id.clone(),
        model: machine.model,
        size,
        created_at: core.clock.now(),
    };
    let reply = tell(snapshot.clone())?;
    let commit = Commit::new()
        .with(author.entry(core, Subject::of_tenant(&snapshot.id)))
        .with(Write::InsertMachineSnapshot(snapshot.clone(), limits::MACHINE_SNAPSHOTS))
        .with_all(author.kept(core, &reply)?);
    copy.recorded(core, &snapshot.model, core.store.commit(commit).await).await?;
    Ok(reply)
}

/// Makes another machine of a machine, with a copy of its files, and its environment. Nothing that runs is copied.
pub(crate) async fn fork(
    core: &Core,
    author: &Author,
    id: &InstanceId,
    tell: impl Tell<Machine>,
) -> Result<Reply> {
    let machine = running(core, &author.principal, id).await?;
    if core.store.machines(&machine.tenant_id).await?.len() >= limits::MACHINES as usize {
        return Err(StoreError::Full("sandboxes").into());
    }
    let environment = environment(core, &machine).await?;
    let copy = Copy::of(core, &machine).await?;
    let now = core.clock.now();
    let model = machine.model.clone();
    let fork = Machine {
        id: copy.id.clone(),
        has_environment: !environment.is_empty(),
        origin: Origin::Machine(machine.id.clone()),
        state: MachineState::Creating,
        expires_at: after(now, machine.life),
        created_at: now,
        started_at: None,
        revision: 0,
        ..machine
    };
    let inserted = insert(core, author, fork, environment, tell).await;
    copy.recorded(core, &model, inserted).await
}

/// A snapshot of the caller's tenant.
pub(crate) async fn get(core: &Core, principal: &Principal, id: &SnapshotId) -> Result<MachineSnapshot> {
    let snapshot = core.store.machine_snapshot(id).await?;
    let owned = snapshot.filter(|found| found.tenant_id == principal.tenant_id);
    owned.ok_or_else(|| Error::not_found("Snapshot"))
}

/// All snapshots of the caller's tenant, newest first.
pub(crate) async fn list(core: &Core, principal: &Principal) -> Result<Vec<MachineSnapshot>> {
    Ok(core.store.machine_snapshots(&principal.tenant_id).await?)
}

/// Removes a snapshot. Machines that were made of it have what they have; one that is being made of it fails.
pub(crate) async fn delete(core: &Arc<Core>, author: &Author, id: &SnapshotId) -> Result<()> {
    let snapshot = get(core, &author.principal, id).await?;
    let commit = Commit::new()
        .with(Write::DeleteMachineSnapshot(id.clone()))
        .with(author.entry(core, Subject::of_tenant(id)));
    core.store.commit(commit).await?;
    let sandboxes = sandboxes(core, &snapshot.model)?;
    core.tasks.spawn(async move {
        if let Err(error) = sandboxes.remove(&snapshot.instance_id).await {
            // The next server finds that nobody knows it.
            tracing::warn!(%error, instance = %snapshot.instance_id, "what there is of a snapshot was not removed");
        }
    });
    Ok(())
}

/// A copy of the files of a machine, of which there is no record yet.
struct Copy<'a> {
    machines: &'a Machines,
    id: InstanceId,
}

impl<'a> Copy<'a> {
    async fn of(core: &'a Core, machine: &Machine) -> Result<Self> {
        let sandboxes = sandboxes(core, &machine.model)?;
        let _permit = core.machines.copies.acquire().await.map_err(Error::internal)?;
        let copy = Self { machines: &core.machines, id: InstanceId::generate() };
        copy.machines.unborn().insert(copy.id.clone());
        let copied = hosting(sandboxes.as_ref())?.copy_running(&machine.id, &copy.id).await;
        let copied = copied.map_err(|error| refused(core, &machine.id, error));
        match copied {
            Ok(()) => Ok(copy),
            Err(error) => copy.recorded(core, &machine.model, Err(error)).await,
        }
    }

    /// Removes it unless it was recorded.
    async fn recorded<T, E: Into<Error>>(
        self,
        core: &Core,
        model: &crate::domain::machine::Model,
        recorded: Result<T, E>,
    ) -> Result<T> {
        if recorded.is_err()
            && let Err(error) = sandboxes(core, model)?.remove(&self.id).await
        {
            tracing::warn!(%error, instance = %self.id, "a copy that is not wanted was not removed");
        }
        recorded.map_err(Into::into)
    }
}

impl Drop for Copy<'_> {
    fn drop(&mut self) {
        self.machines.unborn().remove(&self.id);
    }
}

/// How large the files of a machine are, in bytes, as its own tools tell; 0 where they take too long.
async fn size(core: &Core, machine: &Machine) -> u64 {
    let arguments = ["du", "-sb", "."].map(str::to_owned).into();
    let told = processes::ours(core, machine, arguments).await.unwrap_or_default();
    let text = String::from_utf8_lossy(&told.out);
    text.split_whitespace().next().and_then(|size| size.parse().ok()).unwrap_or_default()
}

/// The environment that a machine was made with, which nobody but its own processes has.
async fn environment(core: &Core, machine: &Machine) -> Result<Environment> {
    if !machine.has_environment {
        return Ok(Environment::default());
    }
    let told = processes::ours(core, machine, ["env", "-0"].map(str::to_owned).into()).await?;
    let text = String::from_utf8_lossy(&told.out);
    let variables = text.split('\0').filter_map(|variable| variable.split_once('='));
    let own: BTreeMap<_, _> = variables
        .filter(|(name, _)| {
            config::variable(name).is_ok() && *name != "_" && *name != "PWD" && *name != "OLDPWD"
        })
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    Ok(Environment::new(own))
}
