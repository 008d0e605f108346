//! Agents in their sandboxes: made ready for the first time, and again when they were lost.
//!
//! One task at a time works on an agent. An agent that keeps dying is started again after a wait that grows,
//! so that it cannot keep the machine busy; one that has lived for a while starts from the shortest wait.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use prism_types::{DeploymentId, Failure, SandboxType, SkillId};
use tokio::time::Instant;

use super::snapshots;
use crate::{
    core::Core,
    domain::{
        deployment::{AgentSpec, Deployment},
        instance::{Instance, InstanceCommand},
    },
    error::failure,
    ports::{
        AgentSetup, Commit, Harness, HarnessError, Preparation, Sandbox, SandboxInstance, SandboxRequest,
        StoreError, Write,
    },
    service::skills,
};

/// Waiting times before an agent is started again: the first, doubled each time, up to the second.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(60));
/// An agent that lived so long is started again without a longer wait.
const STABLE: Duration = Duration::from_secs(120);
/// No specification has this version: what was prepared for it is prepared again.
const OUTDATED: u32 = 0;

/// An agent that takes runs.
pub(super) struct Agent {
    pub(super) harness: Arc<dyn Harness>,
    pub(super) preparation: Preparation,
}

/// What is known of agents, for as long as the engine lives.
#[derive(Default)]
pub(super) struct Agents {
    known: Mutex<HashMap<DeploymentId, Arc<tokio::sync::Mutex<Known>>>>,
}

/// What is known of one agent.
#[derive(Default)]
struct Known {
    /// What this engine has last prepared it for; `None`: it has not, for an agent can outlive the engine that started it.
    prepared: Option<Prepared>,
    /// When it was last started again.
    last: Option<Instant>,
    /// How long was waited before.
    wait: Duration,
}

/// What an agent was prepared for.
#[derive(PartialEq, Eq)]
struct Prepared {
    spec_version: u32,
    skills: Vec<(SkillId, u64)>,
}

impl Prepared {
    fn of(agent: &Agent, spec_version: u32) -> Self {
        let skills = agent.preparation.skills.iter().map(|skill| (skill.id.clone(), skill.revision));
        Self { spec_version, skills: skills.collect() }
    }
}

impl Known {
    /// How long to wait before the next start, which is counted.
    fn next_wait(&mut self, now: Instant) -> Duration {
        let lived = self.last.map_or(Duration::MAX, |last| now - last);
        self.wait = if lived >= STABLE.saturating_add(self.wait) {
            BACK_OFF.0
        } else {
            (self.wait * 2).clamp(BACK_OFF.0, BACK_OFF.1)
        };
        self.last = Some(now);
        self.wait
    }
}

impl Agents {
    /// Makes the sandbox and the agent ready, whatever is there already.
    ///
    /// # Errors
    /// With the reason that the deployment is to show.
    pub(super) async fn start(
        &self,
        core: &Core,
        deployment: &Deployment,
        spec: &Arc<AgentSpec>,
    ) -> Result<Agent, Failure> {
        let known = self.known_of(&deployment.id);
        let mut known = known.lock().await;
        let agent = start(core, deployment, spec).await?;
        known.prepared = Some(Prepared::of(&agent, deployment.spec_version));
        Ok(agent)
    }

    /// The agent if it is alive; else it is started again and the restart is counted. One that was not prepared for the
    /// specification and the skills that there are now is prepared, unless `spec` is not the current one but that of a
    /// run that waited.
    ///
    /// # Errors
    /// As [`Agents::start`].
    pub(super) async fn revive(
        &self,
        core: &Core,
        deployment: &Deployment,
        spec: &Arc<AgentSpec>,
        is_current: bool,
    ) -> Result<Agent, Failure> {
        self.take_up(core, deployment, spec, is_current).await.map(|(agent, _)| agent)
    }

    /// As [`Agents::revive`]; tells whether the agent was prepared or started.
    async fn take_up(
        &self,
        core: &Core,
        deployment: &Deployment,
        spec: &Arc<AgentSpec>,
        is_current: bool,
    ) -> Result<(Agent, bool), Failure> {
        let known = self.known_of(&deployment.id);
        let mut known = known.lock().await;
        let spec_version = if is_current { deployment.spec_version } else { OUTDATED };
        let parts = Parts::of(core, deployment, spec)?;
        if let Some(sandbox) = parts.find(deployment).await? {
            let agent = parts.agent(core, deployment, spec, sandbox).await?;
            let wanted = Prepared::of(&agent, spec_version);
            let is_new = known.prepared.as_ref().is_none_or(|prepared| is_current && *prepared != wanted);
            let prepares = is_new && agent.harness.is_resident();
            if prepares {
                prepare(core, &agent.harness, agent.preparation.clone()).await?;
                known.prepared = Some(wanted);
            }
            return Ok((agent, prepares));
        }
        if parts.harness.is_resident() {
            let wait = known.next_wait(Instant::now());
            tracing::warn!(deployment = %deployment.id, ?wait, "an agent is gone; it is started again");
            tokio::time::sleep(wait).await;
        }
        record(core, deployment, &[InstanceCommand::Lost]).await;
        let started = start(core, deployment, spec).await;
        known.prepared = started.as_ref().ok().map(|agent| Prepared::of(agent, spec_version));
        let outcome = if started.is_ok() { InstanceCommand::Started } else { InstanceCommand::Failed };
        record(core, deployment, &[outcome]).await;
        started.map(|agent| (agent, true))
    }

    /// The agent, if it is alive; nothing is done about one that is not.
    ///
    /// # Errors
    /// As [`Agents::start`].
    pub(super) async fn living(
        &self,
        core: &Core,
        deployment: &Deployment,
        spec: &Arc<AgentSpec>,
    ) -> Result<Option<Agent>, Failure> {
        let parts = Parts::of(core, deployment, spec)?;
        match parts.find(deployment).await? {
            Some(sandbox) => parts.agent(core, deployment, spec, sandbox).await.map(Some),
            None => Ok(None),
        }
    }

    /// Sees to it that an agent that runs between runs does so.
    ///
    /// # Errors
    /// As [`Agents::start`].
    pub(super) async fn keep_alive(
        &self,
        core: &Core,
        deployment: &Deployment,
        spec: &Arc<AgentSpec>,
    ) -> Result<(), Failure> {
        if !Parts::of(core, deployment, spec)?.harness.is_resident() {
            return Ok(());
        }
        let (agent, is_prepared) = self.take_up(core, deployment, spec, true).await?;
        if is_prepared { Ok(()) } else { prepare(core, &agent.harness, agent.preparation).await }
    }

    /// Removes the sandbox of a deployment and what its harness keeps.
    ///
    /// # Errors
    /// When something of it may be left.
    pub(super) async fn remove(&self, core: &Core, deployment: &Deployment) -> Result<(), Failure> {
        let known = self.known_of(&deployment.id);
        let _alone = known.lock().await;
        for sandboxes in core.sandboxes.values() {
            let removed = sandboxes.remove(&deployment.instance_id).await;
            removed.map_err(|error| failure("sandbox_failed", error.to_string()))?;
        }
        for harness in core.harnesses.values() {
            let removed = harness.remove(&deployment.instance_id).await;
            removed.map_err(|error| failure(&error.code, error.message))?;
        }
        core.outbounds.forget(&deployment.id);
        self.known().remove(&deployment.id);
        Ok(())
    }

    fn known_of(&self, id: &DeploymentId) -> Arc<tokio::sync::Mutex<Known>> {
        self.known().entry(id.clone()).or_default().clone()
    }

    fn known(&self) -> MutexGuard<'_, HashMap<DeploymentId, Arc<tokio::sync::Mutex<Known>>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn start(core: &Core, deployment: &Deployment, spec: &Arc<AgentSpec>) -> Result<Agent, Failure> {
    let parts = Parts::of(core, deployment, spec)?;
    snapshots::restore(core, deployment, parts.sandboxes).await?;
    let started = async {
        let program = parts.harness.program(setup(core, deployment, spec).await?).await;
        let program = program.map_err(|error| failure(&error.code, error.message))?;
        let (instance, id) = (deployment.instance_id.clone(), deployment.id.clone());
        let request = SandboxRequest::new(instance, id, deployment.persistent).program(program);
        let sandbox = parts.sandboxes.ensure(request).await;
        let sandbox = sandbox.map_err(|error| failure("sandbox_failed", error.to_string()))?;
        let agent = parts.agent(core, deployment, spec, sandbox).await?;
        prepare(core, &agent.harness, agent.preparation.clone()).await?;
        Ok(agent)
    };
    let limit = core.settings.provisioning_timeout;
    tokio::time::timeout(limit, started).await.unwrap_or_else(|_| {
        let message = format!("the agent was not ready within {} seconds", limit.as_secs());
        Err(failure("provisioning_timeout", message))
    })
}

async fn prepare(core: &Core, harness: &Arc<dyn Harness>, preparation: Preparation) -> Result<(), Failure> {
    let scrubber = preparation.setup.outbound.scrubber();
    let limit = core.settings.provisioning_timeout;
    let prepared = tokio::time::timeout(limit, harness.prepare(preparation)).await;
    prepared
        .unwrap_or_else(|_| {
            let message = format!("the agent was not ready within {} seconds", limit.as_secs());
            Err(HarnessError { code: "provisioning_timeout".to_owned(), message })
        })
        .map_err(|error| failure(&error.code, scrubber.text(&error.message)))
}

/// The instance of a deployment after commands; those that its state does not allow change nothing.
pub(super) fn after(mut instance: Instance, commands: &[InstanceCommand]) -> Option<Instance> {
    let mut changed = false;
    for command in commands {
        changed |= instance.apply(*command).is_ok();
    }
    changed.then_some(instance)
}

/// What a deployment's runtime and sandbox are made by.
struct Parts<'a> {
    harness: &'a Arc<dyn Harness>,
    sandboxes: &'a Arc<dyn Sandbox>,
}

impl<'a> Parts<'a> {
    fn of(core: &'a Core, deployment: &Deployment, spec: &AgentSpec) -> Result<Self, Failure> {
        let runtime = &deployment.runtime;
        let harness = core.harness(runtime).ok_or_else(|| {
            failure("runtime_unavailable", format!("this server cannot run the runtime `{runtime}`"))
        })?;
        let kind = harness.sandbox_for(&spec.sandbox);
        let sandboxes = core.sandbox(&kind).ok_or_else(|| unavailable(core, &kind))?;
        Ok(Self { harness, sandboxes })
    }

    async fn find(&self, deployment: &Deployment) -> Result<Option<Arc<dyn SandboxInstance>>, Failure> {
        let found = self.sandboxes.find(&deployment.instance_id).await;
        found.map_err(|error| failure("sandbox_failed", error.to_string()))
    }

    /// The agent in its sandbox, with the skills that can be used now.
    async fn agent(
        &self,
        core: &Core,
        deployment: &Deployment,
        spec: &Arc<AgentSpec>,
        sandbox: Arc<dyn SandboxInstance>,
    ) -> Result<Agent, Failure> {
        let skills = skills::refresh(core, &deployment.id, sandbox.as_ref()).await;
        let mut preparation = Preparation::new(setup(core, deployment, spec).await?, sandbox);
        preparation.skills = skills.map_err(|error| failure("internal", error.to_string()))?;
        Ok(Agent { harness: self.harness.clone(), preparation })
    }
}

fn unavailable(core: &Core, kind: &SandboxType) -> Failure {
    let kinds: Vec<_> = core.sandboxes.keys().map(|kind| format!("`{kind}`")).collect();
    let message = format!("this server has no sandbox of the type `{kind}`; it has {}", kinds.join(", "));
    failure("sandbox_unavailable", message)
}

async fn setup(core: &Core, deployment: &Deployment, spec: &Arc<AgentSpec>) -> Result<AgentSetup, Failure> {
    // The model of this version of the specification: the deployment may name a later one's.
    let (id, instance) = (deployment.id.clone(), deployment.instance_id.clone());
    let outbound = core.outbound(deployment, spec).await?;
    Ok(AgentSetup::new(id, instance, spec.clone(), core.resolved_model(spec)).outbound(outbound))
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
