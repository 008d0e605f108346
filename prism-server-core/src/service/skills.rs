//! Skills: resolved when they are given, and read from the workspace before each run.

use futures::future::join_all;
use prism_types::{DeploymentId, Failure, SkillId, SkillSource};

use super::deployments;
use crate::{
    core::Core,
    domain::{
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

/// Fetches and parses all drafts. A file of the workspace is pending until a run finds it.
///
/// Fails with all the skills that cannot be used, each with its reason.
pub(crate) async fn resolve(
    core: &Core,
    deployment_id: &DeploymentId,
    drafts: Vec<SkillDraft>,
) -> Result<Vec<SkillRecord>> {
    let resolved = join_all(drafts.into_iter().map(|draft| resolve_one(core, deployment_id, draft))).await;
    let (records, invalid): (Vec<_>, Vec<_>) = resolved.into_iter().partition(std::result::Result::is_ok);
    if invalid.is_empty() {
        return Ok(records.into_iter().flatten().collect());
    }
    let reasons: Vec<_> = invalid.into_iter().filter_map(std::result::Result::err).collect();
    Err(Error::new(ErrorKind::InvalidSkill, reasons.join(" ")))
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
            // The skill was replaced in the meantime; this run still uses what it saw.
            Ok(()) | Err(StoreError::Missing(_)) => {}
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
