//! Skills of an agent.

use prism_types::{DeletedSkill, Skill, SkillDetails, SkillId, SkillInfo, SkillList, UpdateSkill};
use reqwest::Method;

use super::deployment_collection;
use crate::call::{Call, calls, keyed};

deployment_collection! {
    /// The skills of one deployment; from [`DeploymentHandle::skills`](super::DeploymentHandle::skills).
    Skills
}

impl Skills {
    /// Lists all skills, with whether each of them can be used. They are at most 20, so there are no pages.
    pub fn list(&self) -> ListSkillsCall {
        ListSkillsCall { call: self.all(Method::GET) }
    }

    /// Adds a skill, which is used from the next run on. A name that is taken is a conflict.
    ///
    /// ```
    /// # use prism_client::Client;
    /// # use prism_types::{DeploymentId, Skill, UpdateSkill};
    /// # async fn teach(client: Client, deployment: DeploymentId) -> Result<(), prism_client::Error> {
    /// let skills = client.deployment(&deployment).skills();
    /// let skill = skills.add(Skill::url("effects", "https://example.com/skills/effects/SKILL.md")).await?;
    /// // Later, when the file behind the URL has changed:
    /// skills.update(&skill.skill_id, UpdateSkill::again()).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn add(&self, skill: Skill) -> AddSkillCall {
        AddSkillCall { call: self.all(Method::POST).body(&skill) }
    }

    /// Reads a skill with its content.
    pub fn get(&self, id: &SkillId) -> GetSkillCall {
        GetSkillCall { call: self.one(Method::GET, id) }
    }

    /// Replaces where a skill comes from, or reads it again from where it does.
    pub fn update(&self, id: &SkillId, request: UpdateSkill) -> UpdateSkillCall {
        UpdateSkillCall { call: self.one(Method::PUT, id).body(&request) }
    }

    /// Removes a skill.
    pub fn remove(&self, id: &SkillId) -> RemoveSkillCall {
        RemoveSkillCall { call: self.one(Method::DELETE, id) }
    }

    fn all(&self, method: Method) -> Call {
        Call::new(&self.client, method, "/v1/deployments/{deployment_id}/skills", &[self.deployment.as_str()])
    }

    fn one(&self, method: Method, id: &SkillId) -> Call {
        let path = "/v1/deployments/{deployment_id}/skills/{skill_id}";
        Call::new(&self.client, method, path, &[self.deployment.as_str(), id.as_str()])
    }
}

calls! {
    /// `GET /v1/deployments/{deployment_id}/skills`, from [`Skills::list`]. Needs the scope
    /// `deployments:read`.
    ListSkillsCall -> SkillList;
    /// `POST /v1/deployments/{deployment_id}/skills`, from [`Skills::add`]. Needs the scope
    /// `deployments:write`.
    AddSkillCall -> SkillInfo;
    /// `GET /v1/deployments/{deployment_id}/skills/{skill_id}`, from [`Skills::get`]. Needs the scope
    /// `deployments:read`.
    GetSkillCall -> SkillDetails;
    /// `PUT /v1/deployments/{deployment_id}/skills/{skill_id}`, from [`Skills::update`]. Needs the scope
    /// `deployments:write`.
    UpdateSkillCall -> SkillDetails;
    /// `DELETE /v1/deployments/{deployment_id}/skills/{skill_id}`, from [`Skills::remove`]. Needs the scope
    /// `deployments:write`.
    RemoveSkillCall -> DeletedSkill;
}

keyed!(AddSkillCall);
