//! Machines: sandboxes in which users execute what they like.
//!
//! What is made and removed is recorded here, and the engine ([`crate::engine::programs`]) makes it so. What is done in a
//! machine is done here and now: programs, files, ports, copies. A machine that is being made is waited for.

pub(crate) mod executions;
pub(crate) mod files;
pub(crate) mod live;
pub(crate) mod ports;
pub(crate) mod processes;
pub(crate) mod snapshots;
pub(crate) mod uploads;

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use prism_types::{InstanceId, Problem};
use tokio::{
    sync::{Notify, Semaphore},
    time::{Instant, timeout},
};

use super::{Attempt, Tell, author::Author, programs::environments::Environment, with_retries};
use crate::{
    core::Core,
    domain::{
        audit::Subject,
        idempotency::Reply,
        limits,
        machine::{Machine, MachineCommand, MachineState, Model, Origin, after},
        tenant::Principal,
    },
    error::{Error, ErrorKind, Result},
    ids::NewId,
    ports::{Commit, Hosting, Sandbox, SandboxError, Write},
};

/// How long it is waited for news of a machine until it is looked at again: news can be lost.
const LOOK: Duration = Duration::from_secs(1);
/// Most machines whose files are copied at the same time, while others wait.
const COPIES: usize = 8;

/// What becomes of machines while somebody waits for it.
pub(crate) struct Machines {
    /// A machine was started or has failed.
    changed: Notify,
    /// Sandboxes that are being filled, of which there is no record yet.
    unborn: Mutex<HashSet<InstanceId>>,
    /// Pieces of memory for what executed programs write.
    room: Arc<Semaphore>,
    /// Those who copy files: it is work for the disk.
    copies: Semaphore,
    /// Those who work with uploads in parts.
    pub(crate) uploads: uploads::Desks,
    /// How many channels are open.
    channels: Arc<live::Channels>,
}

impl Default for Machines {
    fn default() -> Self {
        let room = Arc::new(Semaphore::new(executions::PIECES));
        let copies = Semaphore::new(COPIES);
        let (changed, unborn, uploads) = (Notify::new(), Mutex::default(), uploads::Desks::default());
        Self { changed, unborn, room, copies, uploads, channels: Arc::default() }
    }
}

impl Machines {
    /// Tells those who wait for a machine to look at it.
    pub(crate) fn changed(&self) {
        self.changed.notify_waiters();
    }

    /// Whether a sandbox that nobody knows is about to be known.
    pub(crate) fn is_unborn(&self, id: &InstanceId) -> bool {
        self.unborn().contains(id)
    }

    fn unborn(&self) -> MutexGuard<'_, HashSet<InstanceId>> {
        self.unborn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A machine to create; every part was checked by itself.
#[derive(Debug, Clone)]
pub(crate) struct NewMachine {
    pub(crate) beginning: Beginning,
    pub(crate) metadata: String,
    pub(crate) allows_public_traffic: bool,
    /// In milliseconds.
    pub(crate) life: u64,
}

/// What a machine begins as.
#[derive(Debug, Clone)]
pub(crate) enum Beginning {
    /// An empty one.
    Empty {
        template: String,
        vcpus: u32,
        memory_mb: u32,
        disk_mb: Option<u32>,
        directory: Option<String>,
        network: bool,
        environment: Environment,
    },
    /// One with the files of a snapshot.
    Snapshot(prism_types::SnapshotId),
}

/// Creates a machine; it is made in the background.
pub(crate) async fn create(
    core: &Core,
    author: &Author,
    new: NewMachine,
    tell: impl Tell<Machine>,
) -> Result<Reply> {
    let (model, origin, environment) = match new.beginning {
        Beginning::Empty { template, vcpus, memory_mb, disk_mb, directory, network, environment } => {
            let most = core.settings.program_disk >> 20;
            if let Some(asked) = disk_mb.filter(|asked| u64::from(*asked) > most) {
                let message = format!("must be at most {most} on this server, and is {asked}");
                return Err(Error::invalid(vec![Problem::new("$.disk_mb", message)]));
            }
            let sandbox = super::programs::versions::hosting_sandbox(core)?;
            let model = Model { sandbox, template, vcpus, memory_mb, disk_mb, directory, network };
            (model, Origin::Nothing, environment)
        }
        Beginning::Snapshot(id) => {
            let snapshot = snapshots::get(core, &author.principal, &id).await?;
            (snapshot.model, Origin::Snapshot(id), Environment::default())
        }
    };
    let now = core.clock.now();
    let machine = Machine {
        id: InstanceId::generate(),
        tenant_id: author.principal.tenant_id.clone(),
        model,
        metadata: new.metadata,
        allows_public_traffic: new.allows_public_traffic,
        has_environment: !environment.is_empty(),
        origin,
        state: MachineState::Creating,
        failure: None,
        life: new.life,
        expires_at: after(now, new.life),
        created_at: now,
        started_at: None,
        revision: 0,
    };
    insert(core, author, machine, environment, tell).await
}

async fn insert(
    core: &Core,
    author: &Author,
    machine: Machine,
    environment: Environment,
    tell: impl Tell<Machine>,
) -> Result<Reply> {
    let (id, reply) = (machine.id.clone(), tell(machine.clone())?);
    core.environments.keep(&id, START, environment);
    let commit = Commit::new()
        .with(author.entry(core, Subject::of_tenant(&id)))
        .with(Write::InsertMachine(machine, limits::MACHINES))
        .with_all(author.kept(core, &reply)?);
    if let Err(error) = core.store.commit(commit).await {
        core.environments.forget(&id, START);
        return Err(error.into());
    }
    core.nudges.hosted(id);
    Ok(reply)
}

/// Under which number the environment of a machine is kept: it is started once.
pub(crate) const START: u32 = 1;

/// A machine of the caller's tenant.
pub(crate) async fn get(core: &Core, principal: &Principal, id: &InstanceId) -> Result<Machine> {
    let machine = core.store.machine(id).await?;
    machine
        .filter(|found| found.tenant_id == principal.tenant_id && found.state != MachineState::Destroyed)
        .ok_or_else(|| Error::not_found("Sandbox"))
}

/// All machines of the caller's tenant, newest first.
pub(crate) async fn list(core: &Core, principal: &Principal) -> Result<Vec<Machine>> {
    Ok(core.store.machines(&principal.tenant_id).await?)
}

/// A machine in which programs can be executed, once it is made.
pub(crate) async fn running(core: &Core, principal: &Principal, id: &InstanceId) -> Result<Machine> {
    let deadline = Instant::now() + limits::MACHINE_WAIT;
    loop {
        let changed = core.machines.changed.notified();
        let machine = get(core, principal, id).await?;
        match (machine.state, &machine.failure) {
            (MachineState::Running, _) => return Ok(machine),
            (MachineState::Creating, _) if Instant::now() < deadline && !core.shutdown.is_cancelled() => {
                // Whatever came of it, it is looked at again.
                let _ = core.shutdown.run_until_cancelled(timeout(LOOK, changed)).await;
            }
            (MachineState::Creating, _) => {
                let message = "The sandbox is still being created. Try again.";
                return Err(Error::new(ErrorKind::NotReady, message).retry_after(LOOK));
            }
            (_, reason) => {
                let reason = reason.as_deref().unwrap_or("nobody knows why");
                let message = format!("The sandbox has failed: {reason}. Delete it, and create another one.");
                return Err(Error::new(ErrorKind::NotReady, message));
            }
        }
    }
}

/// Sets how long a machine lives from now on, in milliseconds.
pub(crate) async fn prolong(core: &Core, author: &Author, id: &InstanceId, life: u64) -> Result<Machine> {
    apply(core, author, id, MachineCommand::Prolong(life)).await
}

/// Destroys a machine: from now on it is not found; what there is of it is removed in the background.
pub(crate) async fn destroy(core: &Core, author: &Author, id: &InstanceId) -> Result<Machine> {
    let machine = apply(core, author, id, MachineCommand::Destroy).await?;
    core.nudges.hosted(id.clone());
    Ok(machine)
}

async fn apply(core: &Core, author: &Author, id: &InstanceId, command: MachineCommand) -> Result<Machine> {
    with_retries(|| async {
        let mut machine = get(core, &author.principal, id).await?;
        machine.apply(command.clone(), core.clock.now())?;
        let commit = Commit::new()
            .with(Write::UpdateMachine(machine.clone()))
            .with(author.entry(core, Subject::of_tenant(id)));
        core.store.commit(commit).await?;
        Ok::<_, Attempt>(machine)
    })
    .await
}

/// The sandboxes of machines.
fn sandboxes(core: &Core, model: &Model) -> Result<Arc<dyn Sandbox>> {
    let found = core.sandbox(&model.sandbox).cloned();
    found.ok_or_else(|| unavailable(format!("This server has no sandboxes of type `{}` now.", model.sandbox)))
}

fn hosting(sandboxes: &dyn Sandbox) -> Result<&dyn Hosting> {
    sandboxes.hosting().ok_or_else(|| unavailable("These sandboxes run no programs.".to_owned()))
}

fn unavailable(message: String) -> Error {
    Error::new(ErrorKind::Unavailable, message)
}

/// Why a machine did not do it.
fn refused(core: &Core, id: &InstanceId, error: SandboxError) -> Error {
    match error {
        SandboxError::Gone => {
            // The engine looks why.
            core.nudges.hosted(id.clone());
            let message = "Nothing runs in the sandbox any more. Delete it, and create another one.";
            Error::new(ErrorKind::NotReady, message)
        }
        SandboxError::Limit(limit) => Error::new(ErrorKind::Full, format!("Not executed: {limit}.")),
        SandboxError::NoRoom => {
            unavailable("There is no room left. Delete files, then try again.".to_owned())
        }
        SandboxError::Unavailable(cause) => unavailable(cause),
        error => Error::internal(error),
    }
}
