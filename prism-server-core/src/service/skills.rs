//! Skills: resolved when they are given, and read from the workspace before each run.
//!
//! A skill that is added, changed or removed raises the revision of its deployment. So of two such changes at once one
//! is decided anew, and neither the limit nor a name can be missed.

use futures::future::join_all;
use prism_types::{DeploymentId, Failure, Problem, SkillId, SkillSource};

use super::{Attempt, Tell, author::Author, deployments, with_retries};
use crate::{
    core::Core,
    domain::{
        audit::Subject,
        idempotency::Reply,
        limits,
        skill::{SkillRecord, SkillState, parse_skill_file},
        tenant::Principal,
        workspace::WorkspacePath,
    },
    error::{Error, ErrorKind, Result, failure},
    ids::NewId,
    ports::{Commit, SandboxError, SandboxInstance, StoreError, Write},
};

/// A skill to add; its parts were checked by themselves.
#[derive(Debug, Clone)]
pub(crate) struct SkillDraft {
    pub(crate) name: String,
    pub(crate) origin: SkillOrigin,
}

/// Where a skill is to come from.
#[derive(Debug, Clone)]
pub(crate) enum SkillOrigin {
    File(WorkspacePath),
    Inline(String),
    Url(String),
}

/// The skills of a deployment of the caller's tenant, in their order.
pub(crate) async fn list(
    core: &Core,
    principal: &Principal,
    deployment_id: &DeploymentId,
) -> Result<Vec<SkillRecord>> {
    deployments::get(core, principal, deployment_id).await?;
    Ok(core.store.skills(deployment_id).await?)
}

/// A skill of a deployment of the caller's tenant.
pub(crate) async fn get(
    core: &Core,
    principal: &Principal,
    deployment_id: &DeploymentId,
    id: &SkillId,
) -> Result<SkillRecord> {
    found(list(core, principal, deployment_id).await?, id)
}

/// Adds a skill, which is used from the next run on.
pub(crate) async fn add(
    core: &Core,
    author: &Author,
    deployment_id: &DeploymentId,
    draft: SkillDraft,
    tell: impl Tell<SkillRecord>,
) -> Result<Reply> {
    let principal = &author.principal;
    // Nothing is fetched for a skill that has no place.
    require_place(&list(core, principal, deployment_id).await?, &draft.name)?;
    let skill = resolve_one(core, deployment_id, draft).await.map_err(invalid)?;
    let reply = tell(skill.clone())?;
    with_retries(|| async {
        let deployment = deployments::get(core, principal, deployment_id).await?;
        require_place(&core.store.skills(deployment_id).await?, &skill.name)?;
        let commit = Commit::new()
            .with(deployments::touched(deployment)?)
            .with(Write::InsertSkill(skill.clone()))
            .with(author.entry(core, Subject::in_deployment(deployment_id, &skill.id)))
            .with_all(author.kept(core, &reply)?);
        core.store.commit(commit).await?;
        Ok::<_, Attempt>(())
    })
    .await?;
    core.nudges.deployment(deployment_id.clone());
    Ok(reply)
}

/// Replaces where a skill comes from; `None`: reads it again from where it does.
pub(crate) async fn update(
    core: &Core,
    author: &Author,
    deployment_id: &DeploymentId,
    id: &SkillId,
    origin: Option<SkillOrigin>,
) -> Result<SkillRecord> {
    let principal = &author.principal;
    let before = get(core, principal, deployment_id, id).await?;
    let origin = match origin {
        Some(origin) => origin,
        None => before.origin()?,
    };
    let draft = SkillDraft { name: before.name, origin };
    let resolved = resolve_one(core, deployment_id, draft).await.map_err(invalid)?;
    let updated = with_retries(|| async {
        let deployment = deployments::get(core, principal, deployment_id).await?;
        let SkillRecord { id, name, created_at, revision, .. } =
            found(core.store.skills(deployment_id).await?, id)?;
        let skill = SkillRecord { id, name, created_at, revision, ..resolved.clone() };
        let commit = Commit::new()
            .with(deployments::touched(deployment)?)
            .with(Write::UpdateSkill(skill.clone()))
            .with(author.entry(core, Subject::in_deployment(deployment_id, &skill.id)));
        core.store.commit(commit).await?;
        Ok::<_, Attempt>(skill)
    })
    .await?;
    core.nudges.deployment(deployment_id.clone());
    Ok(updated)
}

/// Removes a skill, which is not used from the next run on.
pub(crate) async fn remove(
    core: &Core,
    author: &Author,
    deployment_id: &DeploymentId,
    id: &SkillId,
) -> Result<()> {
    with_retries(|| async {
        let deployment = deployments::get(core, &author.principal, deployment_id).await?;
        found(core.store.skills(deployment_id).await?, id)?;
        let commit = Commit::new()
            .with(deployments::touched(deployment)?)
            .with(Write::RemoveSkill(deployment_id.clone(), id.clone()))
            .with(author.entry(core, Subject::in_deployment(deployment_id, id)));
        core.store.commit(commit).await?;
        Ok::<_, Attempt>(())
    })
    .await?;
    core.nudges.deployment(deployment_id.clone());
    Ok(())
}

fn found(skills: Vec<SkillRecord>, id: &SkillId) -> Result<SkillRecord> {
    skills.into_iter().find(|skill| skill.id == *id).ok_or_else(|| Error::not_found("Skill"))
}

/// Refuses one more skill of this name.
fn require_place(skills: &[SkillRecord], name: &str) -> Result<()> {
    if skills.iter().any(|skill| skill.name == name) {
        let message =
            format!("The deployment has a skill named '{name}' already. Update it, or remove it first.");
        return Err(Error::new(ErrorKind::Conflict, message));
    }
    if skills.len() >= limits::SKILLS {
        let message = format!("a deployment has at most {} skills; remove one first", limits::SKILLS);
        return Err(Error::invalid(vec![Problem::new("$", message)]));
    }
    Ok(())
}

impl SkillRecord {
    /// Where it comes from.
    fn origin(&self) -> Result<SkillOrigin> {
        Ok(match self.source {
            SkillSource::File => SkillOrigin::File(self.location.parse().map_err(Error::internal)?),
            SkillSource::Url => SkillOrigin::Url(self.location.clone()),
            _ => SkillOrigin::Inline(self.content.clone().unwrap_or_default()),
        })
    }
}

/// Fetches and parses all drafts. A file of the workspace is pending until a run finds it.
///
/// Fails with all the skills that cannot be used, each with its reason.
pub(crate) async fn resolve(
    core: &Core,
    deployment_id: &DeploymentId,
    drafts: Vec<SkillDraft>,
) -> Result<Vec<SkillRecord>> {
    let resolved = join_all(drafts.into_iter().map(|draft| resolve_one(core, deployment_id, draft))).await;
    let (records, refused): (Vec<_>, Vec<_>) = resolved.into_iter().partition(std::result::Result::is_ok);
    if refused.is_empty() {
        return Ok(records.into_iter().flatten().collect());
    }
    let reasons: Vec<_> = refused.into_iter().filter_map(std::result::Result::err).collect();
    Err(invalid(reasons.join(" ")))
}

fn invalid(reason: String) -> Error {
    Error::new(ErrorKind::InvalidSkill, reason)
}

async fn resolve_one(
    core: &Core,
    deployment_id: &DeploymentId,
    draft: SkillDraft,
) -> Result<SkillRecord, String> {
    let SkillDraft { name, origin } = draft;
    let refusal = |reason: String| format!("Skill '{name}' cannot be used: {reason}.");
    let (source, location, content) = match origin {
        SkillOrigin::File(path) => (SkillSource::File, path.to_string(), None),
        SkillOrigin::Inline(content) => (SkillSource::Inline, String::new(), Some(content)),
        SkillOrigin::Url(url) => {
            let content = core.skill_fetcher.fetch(&url).await.map_err(|e| refusal(e.to_string()))?;
            (SkillSource::Url, url, Some(content))
        }
    };
    let file = content.as_deref().map(parse_skill_file).transpose().map_err(|e| refusal(e.to_string()))?;
    Ok(SkillRecord {
        id: SkillId::generate(),
        deployment_id: deployment_id.clone(),
        state: if file.is_some() { SkillState::Ready } else { SkillState::Pending },
        description: file.map(|file| file.description),
        name,
        source,
        location,
        content,
        error: None,
        created_at: core.clock.now(),
        revision: 0,
    })
}

/// Reads the file skills of a deployment from its workspace and answers the skills that can be used.
///
/// A file that is not there, or is no skill, does not keep a run from starting: its state shows in the list.
pub(crate) async fn refresh(
    core: &Core,
    deployment_id: &DeploymentId,
    sandbox: &dyn SandboxInstance,
) -> Result<Vec<SkillRecord>> {
    let mut usable = Vec::new();
    for skill in core.store.skills(deployment_id).await? {
        let skill = match skill.source {
            SkillSource::File => refresh_one(core, skill, sandbox).await?,
            _ => skill,
        };
        if skill.state == SkillState::Ready {
            usable.push(skill);
        }
    }
    Ok(usable)
}

async fn refresh_one(
    core: &Core,
    skill: SkillRecord,
    sandbox: &dyn SandboxInstance,
) -> Result<SkillRecord, StoreError> {
    let read = match skill.location.parse::<WorkspacePath>() {
        Ok(path) => sandbox.read_file(&path).await,
        Err(error) => Err(SandboxError::NotAFile(error.to_string())),
    };
    let found = SkillRecord { ..skill.clone() };
    let found = match read {
        Ok(None) => with_state(found, SkillState::Pending, None),
        Ok(Some(bytes)) => with_file(found, bytes),
        Err(error) => with_state(found, SkillState::Invalid, Some(failure("unreadable", error.to_string()))),
    };
    if found != skill {
        match core.store.commit(Commit::new().with(Write::UpdateSkill(found.clone()))).await {
            // The store raises the revision of what it updates.
            Ok(()) => return Ok(SkillRecord { revision: found.revision + 1, ..found }),
            // The skill was changed or removed in the meantime; this run still uses what it saw.
            Err(StoreError::Missing(_) | StoreError::Conflict(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

fn with_file(skill: SkillRecord, bytes: Vec<u8>) -> SkillRecord {
    let Ok(content) = String::from_utf8(bytes) else {
        let reason = failure("invalid_skill", "the file is not UTF-8 text");
        return with_state(skill, SkillState::Invalid, Some(reason));
    };
    match parse_skill_file(&content) {
        Ok(file) => SkillRecord {
            description: Some(file.description),
            content: Some(content),
            ..with_state(skill, SkillState::Ready, None)
        },
        Err(error) => {
            with_state(skill, SkillState::Invalid, Some(failure("invalid_skill", error.to_string())))
        }
    }
}

fn with_state(skill: SkillRecord, state: SkillState, error: Option<Failure>) -> SkillRecord {
    SkillRecord { state, error, description: None, content: None, ..skill }
}
