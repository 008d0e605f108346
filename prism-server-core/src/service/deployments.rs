//! Deployments: create, read, list, change, delete.

use std::collections::BTreeMap;

use prism_types::{
    ApprovalPolicy, DeploymentId, FeaturesUpdate, InstanceId, McpServer, Patch, Problem, Runtime,
    SandboxUpdate, SecretRef, SnapshotId, TenantId, ThreadId,
};

use super::{
    Attempt, Listed, Tell, author::Author, require_match, skills, skills::SkillDraft, snapshots, with_retries,
};
use crate::{
    core::Core,
    domain::{
        audit::Subject,
        deployment::{AgentSpec, Deployment, DeploymentCommand, DeploymentState},
        idempotency::Reply,
        instance::{Instance, InstanceState},
        limits,
        precondition::Tags,
        tenant::Principal,
        thread::Thread,
        variables::variables,
    },
    error::{Error, ErrorKind, Result},
    ids::NewId,
    ports::{Commit, DeploymentFilter, ListQuery, Write},
};

/// A deployment to create; every part was checked by itself.
#[derive(Debug, Clone)]
pub(crate) struct NewDeployment {
    pub(crate) customer_id: String,
    pub(crate) name: String,
    pub(crate) runtime: Runtime,
    pub(crate) spec: AgentSpec,
    pub(crate) skills: Vec<SkillDraft>,
    /// What the workspace begins with.
    pub(crate) snapshot: Option<SnapshotId>,
}

/// What to change of a deployment; every part was checked by itself.
#[derive(Debug, Clone, Default)]
pub(crate) struct DeploymentChange {
    pub(crate) name: Option<String>,
    pub(crate) system_prompt: Option<String>,
    pub(crate) model: Patch<String>,
    pub(crate) sandbox: SandboxUpdate,
    pub(crate) mcp_servers: Option<Vec<McpServer>>,
    pub(crate) skills: Option<Vec<SkillDraft>>,
    pub(crate) secrets: BTreeMap<String, Option<SecretRef>>,
    pub(crate) features: FeaturesUpdate,
    pub(crate) approvals: Patch<ApprovalPolicy>,
}

/// Creates a deployment; its agent is made ready in the background.
pub(crate) async fn create(
    core: &Core,
    author: &Author,
    new: NewDeployment,
    tell: impl Tell<Deployment>,
) -> Result<Reply> {
    let principal = &author.principal;
    require_variables(&new.spec)?;
    require_credits(core, &principal.tenant_id).await?;
    require_secrets(core, &principal.tenant_id, new.spec.secrets.values()).await?;
    if let Some(snapshot) = &new.snapshot {
        snapshots::require_usable(core, principal, snapshot, &new).await?;
    }
    let now = core.clock.now();
    let id = DeploymentId::generate();
    let skills = skills::resolve(core, &id, new.skills).await?;
    let deployment = Deployment {
        id: id.clone(),
        tenant_id: principal.tenant_id.clone(),
        customer_id: new.customer_id,
        name: new.name,
        runtime: new.runtime,
        model: core.resolved_model(&new.spec),
        spec_version: 1,
        default_thread: ThreadId::generate(),
        instance_id: InstanceId::generate(),
        persistent: new.spec.sandbox.persistent_filesystem,
        state: DeploymentState::Provisioning,
        error: None,
        created_at: now,
        revision: 0,
    };
    let thread = Thread::new(deployment.default_thread.clone(), id.clone(), Some("Default".to_owned()), now);
    let instance = Instance {
        id: deployment.instance_id.clone(),
        deployment_id: id.clone(),
        state: InstanceState::Pending,
        restarts: 0,
        restores: new.snapshot,
        revision: 0,
    };
    let mut commit = Commit::new()
        .with(Write::InsertDeployment(deployment.clone()))
        .with(Write::InsertSpec(id.clone(), 1, new.spec))
        .with(Write::InsertThread(thread))
        .with(Write::InsertInstance(instance));
    if !skills.is_empty() {
        commit = commit.with(Write::ReplaceSkills(id.clone(), skills));
    }
    let reply = tell(deployment)?;
    let entry = author.entry(core, Subject::deployment(&id));
    core.store.commit(commit.with(entry).with_all(author.kept(core, &reply)?)).await?;
    core.nudges.deployment(id);
    Ok(reply)
}

/// A deployment of the caller's tenant.
pub(crate) async fn get(core: &Core, principal: &Principal, id: &DeploymentId) -> Result<Deployment> {
    let deployment = core.store.deployment(id).await?;
    deployment
        .filter(|d| d.tenant_id == principal.tenant_id && d.state != DeploymentState::Deleted)
        .ok_or_else(|| Error::not_found("Deployment"))
}

/// Deployments of the caller's tenant, newest first.
pub(crate) async fn list(
    core: &Core,
    principal: &Principal,
    filter: DeploymentFilter,
    query: ListQuery<DeploymentId>,
) -> Result<Listed<Deployment, DeploymentId>> {
    let limit = query.limit;
    let one_more = ListQuery { limit: limit + 1, ..query };
    let items = core.store.deployments(&principal.tenant_id, &filter, one_more).await?;
    Ok(Listed::from_one_more(items, limit, |deployment| deployment.id.clone()))
}

/// Changes a deployment; the change applies from the next run on. With `seen`, only if it is still that.
pub(crate) async fn update(
    core: &Core,
    author: &Author,
    id: &DeploymentId,
    seen: Option<&Tags>,
    change: DeploymentChange,
) -> Result<Deployment> {
    let principal = &author.principal;
    require_match(seen, get(core, principal, id).await?.revision)?;
    require_secrets(core, &principal.tenant_id, change.secrets.values().flatten()).await?;
    let skills = match change.skills.clone() {
        Some(drafts) => Some(skills::resolve(core, id, drafts).await?),
        None => None,
    };
    let deployment = with_retries(|| async {
        let mut deployment = get(core, principal, id).await?;
        require_match(seen, deployment.revision)?;
        let spec = spec(core, &deployment).await?;
        let changed = changed_spec(spec.clone(), &change)?;
        if let Some(name) = change.name.clone() {
            deployment.name = name;
        }
        deployment.model = core.resolved_model(&changed);
        deployment.persistent = changed.sandbox.persistent_filesystem;
        start_again(&mut deployment)?;
        let mut commit = Commit::new();
        if changed != spec {
            deployment.spec_version += 1;
            commit = commit.with(Write::InsertSpec(id.clone(), deployment.spec_version, changed));
        }
        if let Some(skills) = skills.clone() {
            commit = commit.with(Write::ReplaceSkills(id.clone(), skills));
        }
        let commit = commit
            .with(Write::UpdateDeployment(deployment.clone()))
            .with(author.entry(core, Subject::deployment(id)));
        core.store.commit(commit).await?;
        // The store raises the revision of what it updates.
        deployment.revision += 1;
        Ok::<_, Attempt>(deployment)
    })
    .await?;
    // One that is ready gets its agent changed now, and not only by the next run.
    core.nudges.deployment(id.clone());
    Ok(deployment)
}

/// Changes the specification of a deployment; the change applies from the next run on. Gives what `decide` gives; what
/// `beside` makes of that is written in the same commit.
pub(super) async fn change_spec<T>(
    core: &Core,
    author: &Author,
    id: &DeploymentId,
    decide: impl Fn(&mut AgentSpec) -> Result<T>,
    beside: impl Fn(&T) -> Result<Vec<Write>>,
) -> Result<T> {
    let done = with_retries(|| async {
        let mut deployment = get(core, &author.principal, id).await?;
        let spec = spec(core, &deployment).await?;
        let mut changed = spec.clone();
        let done = decide(&mut changed)?;
        let mut commit = Commit::new();
        if changed != spec {
            deployment.spec_version += 1;
            commit = commit
                .with(Write::InsertSpec(id.clone(), deployment.spec_version, changed))
                .with(touched(deployment)?);
        }
        core.store.commit(commit.with_all(beside(&done)?)).await?;
        Ok::<_, Attempt>(done)
    })
    .await?;
    core.nudges.deployment(id.clone());
    Ok(done)
}

/// The specification that new runs of a deployment use.
pub(super) async fn spec(core: &Core, deployment: &Deployment) -> Result<AgentSpec> {
    let spec = core.store.spec(&deployment.id, deployment.spec_version).await?;
    spec.ok_or_else(|| Error::internal("a deployment has no specification"))
}

/// A change of something that belongs to a deployment: whoever has read the deployment before finds it changed.
pub(super) fn touched(mut deployment: Deployment) -> Result<Write> {
    start_again(&mut deployment)?;
    Ok(Write::UpdateDeployment(deployment))
}

/// A change may have mended what kept the agent from starting.
fn start_again(deployment: &mut Deployment) -> Result<()> {
    if deployment.state == DeploymentState::Error {
        deployment.apply(DeploymentCommand::Reprovision)?;
    }
    Ok(())
}

/// Deletes a deployment: from now on it is not found; its sandbox and rows are removed in the background. With `seen`,
/// only if it is still that. With `retains`, its workspace becomes the snapshot that is answered.
pub(crate) async fn delete(
    core: &Core,
    author: &Author,
    id: &DeploymentId,
    retains: bool,
    seen: Option<&Tags>,
) -> Result<Option<SnapshotId>> {
    let snapshot = with_retries(|| async {
        let mut deployment = get(core, &author.principal, id).await?;
        require_match(seen, deployment.revision)?;
        let mut commit = Commit::new();
        let mut snapshot = None;
        if retains {
            let retained = snapshots::of(core, &deployment, &spec(core, &deployment).await?)?;
            snapshot = Some(retained.id.clone());
            commit = commit.with(Write::InsertSnapshot(retained, limits::SNAPSHOTS));
        }
        deployment.apply(DeploymentCommand::Delete)?;
        let commit = commit
            .with(Write::UpdateDeployment(deployment))
            .with(author.entry(core, Subject::deployment(id)));
        core.store.commit(commit).await?;
        Ok::<_, Attempt>(snapshot)
    })
    .await?;
    core.event_log.close(id);
    core.nudges.deployment(id.clone());
    Ok(snapshot)
}

/// The specification after a change.
fn changed_spec(mut spec: AgentSpec, change: &DeploymentChange) -> Result<AgentSpec> {
    if let Some(system_prompt) = change.system_prompt.clone() {
        spec.system_prompt = system_prompt;
    }
    spec.model = change.model.clone().apply(spec.model);
    if let Some(servers) = change.mcp_servers.clone() {
        spec.mcp_servers = servers;
        spec.forget_lost_tools();
    }
    spec.approvals = match change.approvals.clone() {
        Patch::Keep => spec.approvals,
        Patch::Clear => ApprovalPolicy::default(),
        Patch::Set(policy) => policy,
    };
    for (name, reference) in change.secrets.clone() {
        match reference {
            Some(reference) => spec.secrets.insert(name, reference),
            None => spec.secrets.remove(&name),
        };
    }
    if spec.secrets.len() > limits::SECRETS {
        let message = format!("a deployment can have at most {} secrets", limits::SECRETS);
        return Err(Error::invalid(vec![Problem::new("$.secrets", message)]));
    }
    require_variables(&spec)?;
    let SandboxUpdate { enabled, kind, persistent_filesystem, .. } = change.sandbox.clone();
    set(&mut spec.sandbox.enabled, enabled);
    set(&mut spec.sandbox.kind, kind);
    set(&mut spec.sandbox.persistent_filesystem, persistent_filesystem);
    let FeaturesUpdate { memory, dreaming, automations, steering, filesystem_webhooks, .. } = change.features;
    set(&mut spec.features.memory, memory);
    set(&mut spec.features.dreaming, dreaming);
    set(&mut spec.features.automations, automations);
    set(&mut spec.features.steering, steering);
    set(&mut spec.features.filesystem_webhooks, filesystem_webhooks);
    Ok(spec)
}

fn set<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}

/// Refuses headers of MCP servers that need a secret that the deployment does not name.
fn require_variables(spec: &AgentSpec) -> Result<()> {
    let mut problems = Vec::new();
    for (index, server) in spec.mcp_servers.iter().enumerate() {
        problems.extend(missing_variables(spec, server, &format!("$.mcp_servers[{index}]")));
    }
    if problems.is_empty() { Ok(()) } else { Err(Error::invalid(problems)) }
}

/// Headers of an MCP server, which is at this path of a body, that need a secret that the deployment does not name.
pub(super) fn missing_variables(spec: &AgentSpec, server: &McpServer, path: &str) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (header, value) in &server.headers {
        for variable in variables(value).filter(|variable| !spec.secrets.contains_key(*variable)) {
            let message = format!("uses `${{{variable}}}`, but `secrets` has no `{variable}`");
            problems.push(Problem::new(format!("{path}.headers[{header:?}]"), message));
        }
    }
    problems
}

/// Refuses to start work for a tenant without credits.
pub(super) async fn require_credits(core: &Core, tenant_id: &TenantId) -> Result<()> {
    let tenant = core.store.tenant(tenant_id).await?;
    let tenant = tenant.ok_or_else(|| Error::new(ErrorKind::Unauthorized, "The tenant does not exist."))?;
    if tenant.has_credits() {
        return Ok(());
    }
    let message = "The account does not have enough credits. Add credits and try again.";
    Err(Error::new(ErrorKind::InsufficientCredits, message))
}

/// Refuses references to secrets that do not exist, naming all of them.
async fn require_secrets(
    core: &Core,
    tenant_id: &TenantId,
    references: impl Iterator<Item = &SecretRef>,
) -> Result<()> {
    let mut missing = Vec::new();
    for reference in references {
        if core.store.secret(tenant_id, reference).await?.is_none() {
            missing.push(format!("'{reference}'"));
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let (noun, verb) =
        if missing.len() == 1 { ("Secret reference", "does") } else { ("Secret references", "do") };
    let message = format!("{noun} {} {verb} not exist. Set the secret first.", missing.join(", "));
    Err(Error::new(ErrorKind::InvalidSecretRef, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_need_their_secrets_also_after_a_change() {
        let server = McpServer::new("a", "https://x/").header("X-Key", "${A} ${B}");
        let named = |names: &[&str]| -> BTreeMap<String, SecretRef> {
            names.iter().map(|name| ((*name).to_owned(), SecretRef::from_suffix("x").unwrap())).collect()
        };
        let spec = AgentSpec {
            mcp_servers: vec![server.clone()],
            secrets: named(&["A", "B"]),
            ..AgentSpec::new("Be brief.")
        };
        assert!(require_variables(&spec).is_ok());
        let without_b = DeploymentChange { secrets: [("B".to_owned(), None)].into(), ..Default::default() };
        let error = changed_spec(spec.clone(), &without_b).unwrap_err();
        let [problem] = error.problems() else { panic!("{error}") };
        assert_eq!(problem.path, "$.mcp_servers[0].headers[\"X-Key\"]");
        assert_eq!(problem.message, "uses `${B}`, but `secrets` has no `B`");
        let replaced = DeploymentChange { mcp_servers: Some(vec![server]), ..Default::default() };
        let error = changed_spec(AgentSpec { secrets: named(&[]), ..spec.clone() }, &replaced).unwrap_err();
        assert_eq!(error.problems().len(), 2);
        let removed = DeploymentChange { mcp_servers: Some(Vec::new()), ..without_b };
        assert!(changed_spec(spec, &removed).is_ok());
    }
}
