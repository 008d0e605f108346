//! Agents in their sandboxes: made ready for the first time, and again when they were lost.

use std::sync::Arc;

use prism_types::Failure;

use crate::{
    core::Core,
    domain::{
        deployment::{AgentSpec, Deployment},
        instance::{Instance, InstanceCommand},
    },
    error::failure,
    ports::{Commit, Harness, Preparation, Sandbox, SandboxInstance, SandboxRequest, StoreError, Write},
};

/// An agent that takes runs.
pub(super) struct Agent {
    pub(super) harness: Arc<dyn Harness>,
    pub(super) preparation: Preparation,
}

/// Makes the sandbox and the agent ready, whatever is there already.
///
/// # Errors
/// With the reason that the deployment is to show.
pub(super) async fn start(
    core: &Core,
    deployment: &Deployment,
    spec: &Arc<AgentSpec>,
) -> Result<Agent, Failure> {
    let (harness, sandboxes) = parts(core, deployment, spec)?;
    let request =
        SandboxRequest::new(deployment.instance_id.clone(), deployment.id.clone(), deployment.persistent);
    let started = async {
        let sandbox = sandboxes.ensure(request).await;
        let sandbox = sandbox.map_err(|error| failure("sandbox_failed", error.to_string()))?;
        let preparation = preparation(core, deployment, spec, sandbox);
        let prepared = harness.prepare(preparation.clone()).await;
        prepared.map_err(|error| failure(&error.code, error.message))?;
        Ok(Agent { harness: harness.clone(), preparation })
    };
    let limit = core.settings.provisioning_timeout;
    tokio::time::timeout(limit, started).await.unwrap_or_else(|_| {
        let message = format!("the agent was not ready within {} seconds", limit.as_secs());
        Err(failure("provisioning_timeout", message))
    })
}

/// The agent if it is alive; else it is started again and the restart is counted.
///
/// # Errors
/// As [`start`].
pub(super) async fn revive(
    core: &Core,
    deployment: &Deployment,
    spec: &Arc<AgentSpec>,
) -> Result<Agent, Failure> {
    let (harness, sandboxes) = parts(core, deployment, spec)?;
    let found = sandboxes.find(&deployment.instance_id).await;
    if let Some(sandbox) = found.map_err(|error| failure("sandbox_failed", error.to_string()))? {
        let preparation = preparation(core, deployment, spec, sandbox);
        return Ok(Agent { harness: harness.clone(), preparation });
    }
    record(core, deployment, &[InstanceCommand::Lost]).await;
    let started = start(core, deployment, spec).await;
    let outcome = if started.is_ok() { InstanceCommand::Started } else { InstanceCommand::Failed };
    record(core, deployment, &[outcome]).await;
    started
}

/// The instance of a deployment after commands; those that its state does not allow change nothing.
pub(super) fn after(mut instance: Instance, commands: &[InstanceCommand]) -> Option<Instance> {
    let mut changed = false;
    for command in commands {
        changed |= instance.apply(*command).is_ok();
    }
    changed.then_some(instance)
}

/// Removes the sandbox of a deployment.
///
/// # Errors
/// When something of it may be left.
pub(super) async fn remove(core: &Core, deployment: &Deployment) -> Result<(), Failure> {
    for sandboxes in core.sandboxes.values() {
        let removed = sandboxes.remove(&deployment.instance_id).await;
        removed.map_err(|error| failure("sandbox_failed", error.to_string()))?;
    }
    Ok(())
}

/// What a deployment's runtime and sandbox are made by.
type Parts<'a> = (&'a Arc<dyn Harness>, &'a Arc<dyn Sandbox>);

fn parts<'a>(core: &'a Core, deployment: &Deployment, spec: &AgentSpec) -> Result<Parts<'a>, Failure> {
    let runtime = &deployment.runtime;
    let harness = core.harness(runtime).ok_or_else(|| {
        failure("runtime_unavailable", format!("this server cannot run the runtime `{runtime}`"))
    })?;
    let kind = harness.sandbox_for(&spec.sandbox.kind);
    let sandboxes = core.sandbox(&kind).ok_or_else(|| {
        failure("sandbox_unavailable", format!("this server has no sandbox of the type `{kind}`"))
    })?;
    Ok((harness, sandboxes))
}

fn preparation(
    core: &Core,
    deployment: &Deployment,
    spec: &Arc<AgentSpec>,
    sandbox: Arc<dyn SandboxInstance>,
) -> Preparation {
    // The model of this version of the specification: the deployment may name a later one's.
    Preparation::new(deployment.id.clone(), spec.clone(), core.resolved_model(spec), sandbox)
}

/// Writes what happened to an instance. It is for the operator: nothing waits on it, so a failure is only
/// logged, and a conflict means that another run has written the same.
async fn record(core: &Core, deployment: &Deployment, commands: &[InstanceCommand]) {
    let written = async {
        let Some(instance) = core.store.instance(&deployment.instance_id).await? else { return Ok(()) };
        match after(instance, commands) {
            Some(instance) => core.store.commit(Commit::new().with(Write::UpdateInstance(instance))).await,
            None => Ok(()),
        }
    };
    match written.await {
        Ok(()) | Err(StoreError::Conflict(_) | StoreError::Missing(_)) => {}
        Err(error) => tracing::warn!(deployment = %deployment.id, %error, "an instance was not recorded"),
    }
}
