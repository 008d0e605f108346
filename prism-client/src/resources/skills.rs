//! Skills of an agent.

use prism_types::SkillList;
use reqwest::Method;

use super::deployment_collection;
use crate::call::{Call, calls};

deployment_collection! {
    /// The skills of one deployment; from [`DeploymentHandle::skills`](super::DeploymentHandle::skills).
    Skills
}

impl Skills {
    /// Lists all skills, with whether each of them can be used. They are at most 20, so there are no pages.
    pub fn list(&self) -> ListSkillsCall {
        let path = ["v1", "deployments", self.deployment.as_str(), "skills"];
        ListSkillsCall { call: Call::new(&self.client, Method::GET, &path) }
    }
}

calls! {
    /// `GET /v1/deployments/{deployment_id}/skills`, from [`Skills::list`]. Needs the scope
    /// `deployments:read`.
    ListSkillsCall -> SkillList;
}
