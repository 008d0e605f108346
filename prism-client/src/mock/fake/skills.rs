//! Skills. A URL is not fetched: the skill is taken for one.

use prism_types::{
    DeletedSkill, DeploymentId, ErrorCode, Failure, Skill, SkillDetails, SkillId, SkillInfo, SkillList,
    SkillSource, SkillState, UpdateSkill,
};

use super::state::{Agent, State};
use crate::mock::{Answer, Refusal, Request};

impl State {
    pub(super) fn list_skills(&mut self, _: &Request, id: DeploymentId) -> Answer<SkillList> {
        let skills = &self.agents.get(&id)?.skills;
        Ok(SkillList::new(skills.iter().map(|skill| skill.info.clone()).collect()).into())
    }

    pub(super) fn add_skill(&mut self, _: &Request, id: DeploymentId, request: Skill) -> Answer<SkillInfo> {
        let taken =
            self.agents.get(&id)?.skills.iter().any(|skill| Some(&*skill.info.name) == request.name());
        if taken {
            return Err(Refusal::conflict("There is a skill of this name"));
        }
        let skill = self.read_skill(&request)?;
        let agent = self.agents.get_mut(&id)?;
        agent.revision += 1;
        agent.skills.push(skill.clone());
        Ok(skill.info.into())
    }

    pub(super) fn get_skill(
        &mut self,
        _: &Request,
        id: DeploymentId,
        skill: SkillId,
    ) -> Answer<SkillDetails> {
        let skills = &self.agents.get(&id)?.skills;
        let found = skills.iter().find(|found| found.info.skill_id == skill);
        Ok(found.ok_or_else(|| Refusal::not_found("Skill"))?.clone().into())
    }

    pub(super) fn update_skill(
        &mut self,
        call: &Request,
        id: DeploymentId,
        skill: SkillId,
        request: UpdateSkill,
    ) -> Answer<SkillDetails> {
        let before = self.get_skill(call, id.clone(), skill.clone())?.value;
        let name = before.info.name.clone();
        let source = match request {
            UpdateSkill { source: None, .. } => None,
            UpdateSkill { path: Some(path), .. } => Some(Skill::file(name, path)),
            UpdateSkill { content: Some(content), .. } => Some(Skill::inline(name, content)),
            UpdateSkill { url: Some(url), .. } => Some(Skill::url(name, url)),
            _ => return Err(Refusal::invalid("$.source", "needs the field that belongs to it")),
        };
        let mut after = match source {
            Some(source) => self.read_skill(&source)?,
            None => before.clone(),
        };
        after.info.skill_id = before.info.skill_id;
        after.info.created_at = before.info.created_at;
        let agent = self.agents.get_mut(&id)?;
        agent.revision += 1;
        let place = agent.skills.iter_mut().find(|found| found.info.skill_id == skill);
        *place.ok_or_else(|| Refusal::not_found("Skill"))? = after.clone();
        Ok(after.into())
    }

    pub(super) fn remove_skill(
        &mut self,
        call: &Request,
        id: DeploymentId,
        skill: SkillId,
    ) -> Answer<DeletedSkill> {
        self.get_skill(call, id.clone(), skill.clone())?;
        let agent = self.agents.get_mut(&id)?;
        agent.revision += 1;
        agent.skills.retain(|found| found.info.skill_id != skill);
        Ok(DeletedSkill::new(skill).into())
    }

    /// A skill as it is stored.
    pub(super) fn read_skill(&mut self, skill: &Skill) -> Result<SkillDetails, Refusal> {
        let name = skill.name().ok_or_else(|| Refusal::invalid("$.source", "is not known"))?;
        let (id, now): (SkillId, _) = (self.fresh.id(SkillId::PREFIX), self.fresh.now());
        let info = |state| SkillInfo::new(id, name, skill.source(), state, now);
        Ok(match skill {
            Skill::Inline { content, .. } => {
                let about = description(content).ok_or_else(|| {
                    let message =
                        format!("The skill `{name}` has no front matter with `name` and `description`");
                    Refusal::new(422, ErrorCode::InvalidSkill, message)
                })?;
                SkillDetails::new(info(SkillState::Ready).description(Some(about)), Some(content.clone()))
            }
            Skill::File { path, .. } => SkillDetails::new(info(SkillState::Pending), None).location(path),
            Skill::Url { url, .. } => {
                let about = format!("What is at {url}");
                let content = format!("---\nname: {name}\ndescription: {about}\n---\n");
                SkillDetails::new(info(SkillState::Ready).description(Some(about)), Some(content))
                    .location(url)
            }
            _ => return Err(Refusal::invalid("$.source", "is not known")),
        })
    }
}

impl Agent {
    /// Reads the skills that are files of the workspace, as the agent does before each run.
    pub(super) fn read_skill_files(&mut self) {
        for skill in self.skills.iter_mut().filter(|skill| skill.info.source == SkillSource::File) {
            let file = skill.path.as_ref().and_then(|path| self.files.get(path));
            let content = file.map(|file| String::from_utf8_lossy(&file.bytes).into_owned());
            let about = content.as_deref().and_then(description);
            let invalid = || Failure::new("invalid_skill", "The file is no skill");
            let info = &mut skill.info;
            info.state = match (&content, &about) {
                (None, _) => SkillState::Pending,
                (Some(_), None) => SkillState::Invalid,
                (Some(_), Some(_)) => SkillState::Ready,
            };
            info.error = (info.state == SkillState::Invalid).then(invalid);
            info.description = about;
            skill.content = content;
        }
    }
}

/// The `description` of a file that has one and a `name` in its front matter.
fn description(content: &str) -> Option<String> {
    let (front, _) = content.strip_prefix("---\n")?.split_once("\n---")?;
    let value = |key: &str| {
        let value = front.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?.trim();
        (!value.is_empty()).then(|| value.to_owned())
    };
    value("name")?;
    value("description")
}
