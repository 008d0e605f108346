//! Machines: made, looked at, and taken away.
//!
//! A machine that runs has no worker: it is looked at when its sandbox tells that it ended, when it has too much on the disk,
//! when its life is over, and once when the engine begins.

use std::{sync::Arc, time::Duration};

use prism_types::{InstanceId, Timestamp};

use super::Programs;
use crate::{
    domain::machine::{Machine, MachineCommand, MachineState, Origin},
    engine::{SWEEP_PAGE, uploads},
    error::{Error, Result},
    ports::{Command, Commit, Hosting, Sandbox, SandboxError, StoreError, Write},
    service::machines::START,
};

/// The token of the command that keeps a machine alive, and its line.
const KEEPER: (&str, &str) = ("keeper", "exec sleep infinity");

impl Programs {
    /// A sandbox died. Those of jobs and services are followed by their workers.
    pub(in crate::engine) async fn died(self: &Arc<Self>, instance: InstanceId) {
        match self.core.store.machine(&instance).await {
            Ok(Some(_)) => self.nudge(instance),
            Ok(None) => {}
            Err(error) => tracing::warn!(%instance, %error, "the machine of a dead sandbox was not found"),
        }
    }

    /// Looks at all machines, once: some may have ended while nobody listened, or are to be ended.
    pub(in crate::engine) async fn recover(&self) {
        let mut last = None;
        loop {
            let page = self.machines_after(&mut last).await.unwrap_or_else(|error| {
                tracing::warn!(%error, "machines were not looked at; programs that are executed find out");
                Vec::new()
            });
            if page.is_empty() {
                return;
            }
            for machine in page {
                if let Err(error) = self.mind_machine(&machine.id).await {
                    tracing::warn!(%error, machine = %machine.id, "a machine was not looked at");
                }
            }
        }
    }

    /// The next page of all machines; empty at the end.
    pub(super) async fn machines_after(&self, last: &mut Option<InstanceId>) -> Result<Vec<Machine>> {
        let always = Timestamp::from_millis(i64::MAX);
        let page = self.core.store.machines_to_mind(always, last.as_ref(), SWEEP_PAGE).await?;
        if let Some(machine) = page.last() {
            *last = Some(machine.id.clone());
        }
        Ok(page)
    }

    /// Does what is to be done for a machine now.
    pub(super) async fn mind_machine(&self, id: &InstanceId) -> Result<()> {
        loop {
            let Some(machine) = self.core.store.machine(id).await? else { return Ok(()) };
            let has_expired = machine.has_expired(self.core.clock.now());
            match machine.state {
                MachineState::Creating => self.make_machine(&machine).await?,
                MachineState::Running | MachineState::Failed if has_expired => {
                    self.change_machine(id, MachineCommand::Destroy).await?;
                }
                MachineState::Running => match self.has_keeper(&machine).await? {
                    true => return Ok(()),
                    false => {
                        let reason = "what keeps it alive has ended: it was killed, or the machine went down";
                        self.change_machine(id, MachineCommand::Fail(reason.to_owned())).await?;
                    }
                },
                MachineState::Failed => {
                    let Ok((_, hosting)) = self.hosting_of(&machine) else { return Ok(()) };
                    return hosting.stop(id, Duration::ZERO).await.map_err(Error::internal);
                }
                MachineState::Destroyed => {
                    self.core.environments.forget(id, START);
                    if let Some(sandboxes) = self.core.sandbox(&machine.model.sandbox) {
                        sandboxes.remove(id).await.map_err(Error::internal)?;
                    }
                    // None is added any more.
                    let uploads = self.core.store.open_uploads(id).await?;
                    self.core.store.commit(Commit::new().with(Write::DeleteMachine(id.clone()))).await?;
                    uploads::discard(&self.core, uploads.into_iter().map(|upload| upload.id)).await;
                    return Ok(());
                }
            }
        }
    }

    /// Fills and starts a machine, unless that was done.
    async fn make_machine(&self, machine: &Machine) -> Result<()> {
        let id = &machine.id;
        let made = if self.has_keeper(machine).await? { Ok(()) } else { self.start_machine(machine).await? };
        let command = match made {
            Ok(()) => MachineCommand::Start,
            Err(reason) => MachineCommand::Fail(reason),
        };
        self.change_machine(id, command).await?;
        self.core.environments.forget(id, START);
        Ok(())
    }

    /// Starts a machine; or why it cannot be.
    async fn start_machine(&self, machine: &Machine) -> Result<Result<(), String>> {
        let (sandboxes, hosting) = self.hosting_of(machine)?;
        let environment = self.core.environments.of(&machine.id, START);
        if machine.has_environment && environment.is_none() {
            let reason = "its environment was lost when the server was restarted, since it is kept nowhere";
            return Ok(Err(reason.to_owned()));
        }
        if let Origin::Snapshot(snapshot) = &machine.origin {
            let _permit = self.filling.acquire().await.map_err(Error::internal)?;
            let found = self.core.store.machine_snapshot(snapshot).await?;
            if let Some(found) = &found
                && let Err(error) = sandboxes.copy_workspace(&found.instance_id, &machine.id).await
            {
                return Ok(Err(told("the snapshot was not copied", &error)));
            }
            // What is removed while it is copied is copied in part.
            if self.core.store.machine_snapshot(snapshot).await?.is_none() {
                return Ok(Err("its snapshot was deleted before it was made".to_owned()));
            }
        }
        let deployment = machine.deployment_id().ok_or_else(|| Error::internal("a machine has no suffix"))?;
        let mut command = Command::new(machine.id.clone(), deployment, KEEPER.0, KEEPER.1);
        command.environment = environment.unwrap_or_default().expose();
        command.directory = machine.model.directory.as_deref().and_then(|path| path.parse().ok());
        command.template = machine.model.template.clone();
        command.network = machine.model.network;
        command.cpus = Some(machine.model.vcpus.into());
        command.memory = Some(u64::from(machine.model.memory_mb) << 20);
        let started = hosting.start(command).await;
        Ok(started.map_err(|error| told("it was not started", &error)))
    }

    async fn has_keeper(&self, machine: &Machine) -> Result<bool> {
        let (_, hosting) = self.hosting_of(machine)?;
        let status = hosting.status(&machine.id).await.map_err(Error::internal)?;
        Ok(status.is_some_and(|status| status.token == KEEPER.0 && status.exit.is_none()))
    }

    pub(super) fn hosting_of(&self, machine: &Machine) -> Result<(&dyn Sandbox, &dyn Hosting)> {
        let kind = &machine.model.sandbox;
        let sandboxes = self.core.sandbox(kind).map(AsRef::as_ref);
        let hosting = sandboxes.and_then(|sandboxes| Some((sandboxes, sandboxes.hosting()?)));
        hosting.ok_or_else(|| Error::internal(format_args!("sandboxes of type {kind} run no programs here")))
    }

    /// Changes a machine, unless it is past that.
    pub(super) async fn change_machine(&self, id: &InstanceId, command: MachineCommand) -> Result<()> {
        loop {
            let Some(mut machine) = self.core.store.machine(id).await? else { return Ok(()) };
            if machine.apply(command.clone(), self.core.clock.now()).is_err() {
                return Ok(());
            }
            match self.core.store.commit(Commit::new().with(Write::UpdateMachine(machine))).await {
                Ok(()) => {
                    self.core.machines.changed();
                    return Ok(());
                }
                Err(StoreError::Conflict(_)) => {}
                Err(StoreError::Missing(_)) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Why a sandbox did not do it. What it says of itself is for the operator.
fn told(what: &str, error: &SandboxError) -> String {
    tracing::warn!(%error, what, "a sandbox did not do it");
    match error {
        SandboxError::Limit(_) | SandboxError::NoRoom | SandboxError::Unavailable(_) => {
            format!("{what}: {error}")
        }
        _ => format!("{what}; the server's log says why"),
    }
}
