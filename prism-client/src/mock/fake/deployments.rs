//! Deployments.

use prism_types::{
    CreateDeployment, DeletedDeployment, Deployment, DeploymentId, DeploymentStatus, DeploymentSummary,
    ListDeployments, Page, Patch, Sandbox, SnapshotId, Thread, ThreadId, ThreadStatus, UpdateDeployment,
};

use tokio::time::Instant;

use super::{
    check,
    collection::Collection,
    snapshots::Kept,
    state::{Agent, Provisioning, Readiness, State},
};
use crate::{
    backoff::deadline,
    mock::{Answer, BASE_URL, Refusal, Reply, Request, query::DeleteDeployment},
};

const DEFAULT_MODEL: &str = "anthropic/claude-sonnet-4.5";

impl State {
    pub(super) fn create_deployment(&mut self, _: &Request, request: CreateDeployment) -> Answer<Deployment> {
        check::not_empty("$.customer_id", &request.customer_id)?;
        check::not_empty("$.name", &request.name)?;
        check::not_empty("$.system_prompt", &request.system_prompt)?;
        check::distinct("$.mcp_servers", request.mcp_servers.iter().map(|server| server.name.as_str()))?;
        check::distinct("$.skills", request.skills.iter().filter_map(|skill| skill.name()))?;
        let files = match &request.snapshot_id {
            Some(snapshot) => self.begin_with(snapshot, &request.customer_id)?,
            None => Default::default(),
        };
        let mut skills = Vec::new();
        for skill in &request.skills {
            skills.push(self.read_skill(skill)?);
        }
        let now = self.fresh.now();
        let fresh = &mut self.fresh;
        let (id, thread): (DeploymentId, ThreadId) =
            (fresh.id(DeploymentId::PREFIX), fresh.id(ThreadId::PREFIX));
        let model = request.model.as_deref().unwrap_or(DEFAULT_MODEL);
        let events = format!("{BASE_URL}/v1/deployments/{id}/events");
        let names = (request.customer_id.as_str(), request.name.as_str());
        let filesystem = prism_types::Filesystem::default().persistent(request.sandbox.persistent_filesystem);
        let deployment = Deployment::new(id.clone(), names.0, names.1, model, thread.clone(), events, now)
            .runtime(request.runtime.clone())
            .filesystem(filesystem);
        let mut agent = Agent {
            deployment,
            spec: request,
            revision: 1,
            readiness: Readiness::Done,
            log: Vec::new(),
            told: 0,
            active: fresh.instant(),
            threads: Collection::default(),
            runs: Collection::default(),
            approvals: Collection::default(),
            memories: Collection::default(),
            dreams: Collection::default(),
            automations: Collection::default(),
            skills,
            tools_off: Default::default(),
            files,
        };
        let title = Some("Default".to_owned());
        agent.threads.add(Thread::new(thread, id, title, ThreadStatus::Idle, now));
        agent.begin_provisioning(self.provisioning.clone(), self.fresh.instant());
        let reply = reply(&agent);
        self.agents.add(agent);
        Ok(reply)
    }

    pub(super) fn list_deployments(
        &mut self,
        _: &Request,
        query: ListDeployments,
    ) -> Answer<Page<DeploymentSummary>> {
        let matches = |agent: &Agent| {
            query.customer_id.as_ref().is_none_or(|customer| *customer == agent.deployment.customer_id)
                && query.status.as_ref().is_none_or(|status| *status == agent.deployment.status)
        };
        Ok(self.agents.page(query.limit, query.cursor.as_ref(), matches, summary)?.into())
    }

    pub(super) fn get_deployment(&mut self, call: &Request, id: DeploymentId) -> Answer<Deployment> {
        let agent = self.agents.get_mut(&id)?;
        match &mut agent.readiness {
            Readiness::AfterReads(0) => agent.become_ready(),
            Readiness::AfterReads(left) => *left -= 1,
            _ => {}
        }
        let tag = etag(agent);
        if call.header("if-none-match").is_some_and(|known| check::names(known, &tag)) {
            return Err(Refusal::without_body(304).header("etag", tag));
        }
        Ok(reply(agent))
    }

    pub(super) fn update_deployment(
        &mut self,
        call: &Request,
        id: DeploymentId,
        request: UpdateDeployment,
    ) -> Answer<Deployment> {
        check::is_what_was_read(call, &etag(self.agents.get(&id)?))?;
        for (path, text) in [("$.name", &request.name), ("$.system_prompt", &request.system_prompt)] {
            check::not_empty(path, text.as_deref().unwrap_or("kept"))?;
        }
        let mut skills = None;
        for skill in request.skills.iter().flatten() {
            skills.get_or_insert_with(Vec::new).push(self.read_skill(skill)?);
        }
        let skills = skills.or_else(|| request.skills.as_ref().map(|_| Vec::new()));
        let (provisioning, now) = (self.provisioning.clone(), self.fresh.instant());
        let agent = self.agents.get_mut(&id)?;
        agent.skills = skills.unwrap_or_else(|| std::mem::take(&mut agent.skills));
        change(agent, request);
        agent.revision += 1;
        if agent.deployment.status == DeploymentStatus::Error {
            agent.begin_provisioning(provisioning, now);
        }
        Ok(reply(agent))
    }

    pub(super) fn delete_deployment(
        &mut self,
        call: &Request,
        id: DeploymentId,
        query: DeleteDeployment,
    ) -> Answer<DeletedDeployment> {
        check::is_what_was_read(call, &etag(self.agents.get(&id)?))?;
        self.tell_webhooks();
        let agent = self.agents.remove(&id)?;
        let kept = query.retain_filesystem.unwrap_or_default().then(|| {
            let snapshot: SnapshotId = self.fresh.id(SnapshotId::PREFIX);
            self.snapshots.add(Kept::new(snapshot.clone(), agent, self.fresh.now()));
            snapshot
        });
        Ok(DeletedDeployment::new(id).snapshot_id(kept).into())
    }
}

impl Agent {
    fn begin_provisioning(&mut self, provisioning: Provisioning, now: Instant) {
        self.deployment.status = DeploymentStatus::Provisioning;
        self.deployment.error = None;
        match provisioning {
            Provisioning::After(delay) => {
                self.readiness = Readiness::At(now.checked_add(delay).unwrap_or_else(|| deadline(delay)))
            }
            Provisioning::AfterReads(reads) => self.readiness = Readiness::AfterReads(reads),
            Provisioning::Fails(failure) => {
                self.deployment.status = DeploymentStatus::Error;
                self.deployment.error = Some(failure);
            }
        }
    }
}

fn change(agent: &mut Agent, request: UpdateDeployment) {
    let (spec, deployment) = (&mut agent.spec, &mut agent.deployment);
    if let Some(name) = request.name {
        deployment.name.clone_from(&name);
        spec.name = name;
    }
    spec.system_prompt = request.system_prompt.unwrap_or_else(|| std::mem::take(&mut spec.system_prompt));
    match request.model {
        Patch::Keep => {}
        Patch::Clear => deployment.model = DEFAULT_MODEL.to_owned(),
        Patch::Set(model) => deployment.model = model,
    }
    if let Some(servers) = request.mcp_servers {
        spec.mcp_servers = servers;
    }
    for (name, reference) in request.secrets {
        match reference {
            Some(reference) => drop(spec.secrets.insert(name, reference)),
            None => drop(spec.secrets.remove(&name)),
        }
    }
    if let Some(update) = request.features {
        let features = spec.features;
        spec.features = features
            .memory(update.memory.unwrap_or(features.memory))
            .dreaming(update.dreaming.unwrap_or(features.dreaming))
            .automations(update.automations.unwrap_or(features.automations))
            .steering(update.steering.unwrap_or(features.steering))
            .filesystem_webhooks(update.filesystem_webhooks.unwrap_or(features.filesystem_webhooks));
    }
    if let Some(update) = request.sandbox {
        let Sandbox { enabled, kind, persistent_filesystem, .. } = spec.sandbox.clone();
        let persistent = update.persistent_filesystem.unwrap_or(persistent_filesystem);
        spec.sandbox = Sandbox::default()
            .enabled(update.enabled.unwrap_or(enabled))
            .kind(update.kind.unwrap_or(kind))
            .persistent_filesystem(persistent);
        deployment.filesystem.persistent = persistent;
    }
    spec.approvals = request.approvals.apply(spec.approvals.take());
}

/// A deployment with its entity tag.
fn reply(agent: &Agent) -> Reply<Deployment> {
    Reply::new(agent.deployment.clone()).etag(etag(agent))
}

fn etag(agent: &Agent) -> String {
    format!("\"r{}\"", agent.revision)
}

fn summary(agent: &Agent) -> DeploymentSummary {
    let Deployment { deployment_id, customer_id, name, runtime, status, model, created_at, .. } =
        agent.deployment.clone();
    DeploymentSummary::new(deployment_id, customer_id, name, runtime, status, model, created_at)
}
