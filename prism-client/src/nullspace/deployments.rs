//! Agent deployments, and the handle on one of them.

use prism_types::{
    Cursor,
    nullspace::{
        AgentDeployment, AgentDeploymentId, AgentDeploymentStatus, AgentMode, CreateAgentDeployment, Page,
        UpdateAgentDeployment,
    },
};
use reqwest::Method;

use super::{AgentRuns, Services, Versions, keyed};
use crate::{
    Client,
    call::{Call, calls, paged, query_setters},
};

/// The agent deployments that the API key owns; from [`Nullspace::deployments`](super::Nullspace::deployments).
///
/// Cheap to clone; it sends nothing by itself.
#[derive(Debug, Clone)]
pub struct AgentDeployments {
    client: Client,
}

impl AgentDeployments {
    pub(super) fn new(client: Client) -> Self {
        Self { client }
    }

    /// Creates a deployment. It has nothing to run before a version was created and its bundle uploaded.
    pub fn create(&self, request: CreateAgentDeployment) -> CreateAgentDeploymentCall {
        let call = Call::new(&self.client, Method::POST, "/v1/agent-deployments", &[]).body(&request);
        CreateAgentDeploymentCall { call }
    }

    /// Lists deployments, newest first, a page at a time.
    pub fn list(&self) -> ListAgentDeploymentsCall {
        let call = Call::new(&self.client, Method::GET, "/v1/agent-deployments", &[]);
        ListAgentDeploymentsCall { call }
    }

    /// Reads a deployment.
    pub fn get(&self, id: &AgentDeploymentId) -> GetAgentDeploymentCall {
        GetAgentDeploymentCall { call: self.one(Method::GET, id) }
    }

    /// Changes a deployment.
    pub fn update(
        &self,
        id: &AgentDeploymentId,
        request: UpdateAgentDeployment,
    ) -> UpdateAgentDeploymentCall {
        UpdateAgentDeploymentCall { call: self.one(Method::PATCH, id).body(&request) }
    }

    /// Deletes a deployment.
    pub fn delete(&self, id: &AgentDeploymentId) -> DeleteAgentDeploymentCall {
        DeleteAgentDeploymentCall { call: self.one(Method::DELETE, id) }
    }

    fn one(&self, method: Method, id: &AgentDeploymentId) -> Call {
        Call::new(&self.client, method, "/v1/agent-deployments/{deployment_id}", &[id.as_str()])
    }
}

/// One agent deployment; from [`Nullspace::deployment`](super::Nullspace::deployment).
///
/// Cheap to clone; it sends nothing by itself, and does not say that the deployment exists.
#[derive(Debug, Clone)]
pub struct AgentDeploymentHandle {
    client: Client,
    id: AgentDeploymentId,
}

impl AgentDeploymentHandle {
    pub(super) fn new(client: Client, id: AgentDeploymentId) -> Self {
        Self { client, id }
    }

    /// The deployment's id.
    pub fn id(&self) -> &AgentDeploymentId {
        &self.id
    }

    /// Reads the deployment.
    pub fn get(&self) -> GetAgentDeploymentCall {
        AgentDeployments::new(self.client.clone()).get(&self.id)
    }

    /// Changes the deployment.
    pub fn update(&self, request: UpdateAgentDeployment) -> UpdateAgentDeploymentCall {
        AgentDeployments::new(self.client.clone()).update(&self.id, request)
    }

    /// Deletes the deployment.
    pub fn delete(&self) -> DeleteAgentDeploymentCall {
        AgentDeployments::new(self.client.clone()).delete(&self.id)
    }

    /// What it can run.
    pub fn versions(&self) -> Versions {
        Versions::new(self.client.clone(), self.id.clone())
    }

    /// Its runs, if its mode is `job`.
    pub fn runs(&self) -> AgentRuns {
        AgentRuns::new(self.client.clone(), self.id.clone())
    }

    /// Its instances, if its mode is `service`.
    pub fn services(&self) -> Services {
        Services::new(self.client.clone(), self.id.clone())
    }
}

calls! {
    /// `POST /v1/agent-deployments`, from [`AgentDeployments::create`]. A name that is taken is
    /// [`is_conflict`](crate::Error::is_conflict).
    CreateAgentDeploymentCall -> AgentDeployment;
    /// `GET /v1/agent-deployments`, from [`AgentDeployments::list`].
    ListAgentDeploymentsCall -> Page<AgentDeployment>;
    /// `GET /v1/agent-deployments/{deployment_id}`, from [`AgentDeployments::get`].
    GetAgentDeploymentCall -> AgentDeployment;
    /// `PATCH /v1/agent-deployments/{deployment_id}`, from [`AgentDeployments::update`].
    UpdateAgentDeploymentCall -> AgentDeployment;
    /// `DELETE /v1/agent-deployments/{deployment_id}`, from [`AgentDeployments::delete`].
    DeleteAgentDeploymentCall -> ();
}

keyed!(CreateAgentDeploymentCall);

paged!(ListAgentDeploymentsCall -> Page<AgentDeployment> of AgentDeployment);

query_setters!(ListAgentDeploymentsCall {
    /// Lists only those of this mode.
    mode: AgentMode,
    /// Lists only those in this status.
    status: AgentDeploymentStatus,
    /// Sets how many to answer at most, 1 to 200. Default: 50.
    limit: u32,
    /// Goes on where the page before ended: at its `next_cursor`.
    cursor: Cursor,
});
