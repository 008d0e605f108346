//! Deployments, and the handle on one of them.

use prism_types::{
    CreateDeployment, Cursor, DeletedDeployment, Deployment, DeploymentId, DeploymentStatus,
    DeploymentSummary, Page, RunId, SendMessage, UpdateDeployment,
};
use reqwest::Method;

use super::{
    Approvals, Automations, Dreams, Files, McpServers, Memories, Messages, Runs, Skills, Threads, Tools,
};
use crate::{
    Client,
    call::{Call, calls, conditional, keyed, paged, query_setters, waited},
    chat::{ChatCall, FollowCall},
    events::Events,
    wait::{Ready, Wait},
};

/// The deployments that the API key owns; from [`Client::deployments`].
///
/// Cheap to clone; it sends nothing by itself.
#[derive(Debug, Clone)]
pub struct Deployments {
    client: Client,
}

impl Deployments {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    /// Creates a deployment. It may be `ready` at once or `provisioning`: wait for it with
    /// [`wait_until_ready`](Self::wait_until_ready).
    pub fn create(&self, request: CreateDeployment) -> CreateDeploymentCall {
        let call = Call::new(&self.client, Method::POST, "/v1/deployments", &[]).body(&request);
        CreateDeploymentCall { call }
    }

    /// Lists deployments, newest first, a page at a time.
    pub fn list(&self) -> ListDeploymentsCall {
        ListDeploymentsCall { call: Call::new(&self.client, Method::GET, "/v1/deployments", &[]) }
    }

    /// Reads a deployment.
    pub fn get(&self, id: &DeploymentId) -> GetDeploymentCall {
        GetDeploymentCall { call: self.one(Method::GET, id) }
    }

    /// Changes a deployment, from its next run on.
    pub fn update(&self, id: &DeploymentId, request: UpdateDeployment) -> UpdateDeploymentCall {
        UpdateDeploymentCall { call: self.one(Method::PATCH, id).body(&request) }
    }

    /// Deletes a deployment for good, with its workspace and all it learned.
    pub fn delete(&self, id: &DeploymentId) -> DeleteDeploymentCall {
        DeleteDeploymentCall { call: self.one(Method::DELETE, id) }
    }

    /// Waits until a deployment takes messages: until it is [`Ready`].
    pub fn wait_until_ready(&self, id: &DeploymentId) -> Wait<Deployment> {
        self.get(id).wait_until(Ready)
    }

    fn one(&self, method: Method, id: &DeploymentId) -> Call {
        Call::new(&self.client, method, "/v1/deployments/{deployment_id}", &[id.as_str()])
    }
}

/// One deployment; from [`Client::deployment`].
///
/// Cheap to clone; it sends nothing by itself, and does not say that the deployment exists.
#[derive(Debug, Clone)]
pub struct DeploymentHandle {
    client: Client,
    id: DeploymentId,
}

impl DeploymentHandle {
    pub(crate) fn new(client: Client, id: DeploymentId) -> Self {
        Self { client, id }
    }

    /// The deployment's id.
    pub fn id(&self) -> &DeploymentId {
        &self.id
    }

    /// Reads the deployment.
    pub fn get(&self) -> GetDeploymentCall {
        self.client.deployments().get(&self.id)
    }

    /// Changes the deployment, from its next run on.
    pub fn update(&self, request: UpdateDeployment) -> UpdateDeploymentCall {
        self.client.deployments().update(&self.id, request)
    }

    /// Deletes the deployment for good, with its workspace and all it learned.
    pub fn delete(&self) -> DeleteDeploymentCall {
        self.client.deployments().delete(&self.id)
    }

    /// Waits until the deployment takes messages: until it is [`Ready`].
    pub fn wait_until_ready(&self) -> Wait<Deployment> {
        self.client.deployments().wait_until_ready(&self.id)
    }

    /// Sends messages to the agent.
    pub fn messages(&self) -> Messages {
        Messages::new(self.client.clone(), self.id.clone())
    }

    /// Follows what the agent does in a run that was begun elsewhere, such as by an automation. See [`chat`](crate::chat).
    pub fn follow(&self, run: &RunId) -> FollowCall {
        FollowCall::new(self.clone(), run.clone())
    }

    /// Says something to the agent, and follows what it does about it: a string for the default thread, or a
    /// [`SendMessage`]. See [`chat`](crate::chat).
    pub fn chat(&self, message: impl Into<SendMessage>) -> ChatCall {
        ChatCall::new(self.clone(), message.into())
    }

    /// Follows what the agent does.
    pub fn events(&self) -> Events {
        Events::new(self.client.clone(), self.id.clone())
    }

    /// The conversations with the agent.
    pub fn threads(&self) -> Threads {
        Threads::new(self.client.clone(), self.id.clone())
    }

    /// The agent's questions to humans.
    pub fn approvals(&self) -> Approvals {
        Approvals::new(self.client.clone(), self.id.clone())
    }

    /// What the agent remembers.
    pub fn memories(&self) -> Memories {
        Memories::new(self.client.clone(), self.id.clone())
    }

    /// What the agent does with its memories while nobody needs it.
    pub fn dreams(&self) -> Dreams {
        Dreams::new(self.client.clone(), self.id.clone())
    }

    /// What the agent does on timetables.
    pub fn automations(&self) -> Automations {
        Automations::new(self.client.clone(), self.id.clone())
    }

    /// The agent's runs.
    pub fn runs(&self) -> Runs {
        Runs::new(self.client.clone(), self.id.clone())
    }

    /// The files of the workspace.
    pub fn files(&self) -> Files {
        Files::new(self.client.clone(), self.id.clone())
    }

    /// The agent's skills.
    pub fn skills(&self) -> Skills {
        Skills::new(self.client.clone(), self.id.clone())
    }

    /// The agent's tools.
    pub fn tools(&self) -> Tools {
        Tools::new(self.client.clone(), self.id.clone())
    }

    /// The MCP servers whose tools the agent has.
    pub fn mcp_servers(&self) -> McpServers {
        McpServers::new(self.client.clone(), self.id.clone())
    }
}

calls! {
    /// `POST /v1/deployments`, from [`Deployments::create`]. Needs the scope `deployments:write`.
    CreateDeploymentCall -> Deployment;
    /// `GET /v1/deployments`, from [`Deployments::list`]. Needs the scope `deployments:read`.
    ///
    /// A page may be empty and still not be the last: go on while it has a `next_cursor`, or have that done by
    /// [`items`](ListDeploymentsCall::items).
    ///
    /// ```no_run
    /// # async fn example(client: prism_client::Client) -> Result<(), prism_client::Error> {
    /// let mut deployments = client.deployments().list().customer_id("cus_123").items();
    /// while let Some(deployment) = deployments.next().await.transpose()? {
    ///     println!("{} {}", deployment.deployment_id, deployment.status);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ListDeploymentsCall -> Page<DeploymentSummary>;
    /// `GET /v1/deployments/{deployment_id}`, from [`Deployments::get`]. Needs the scope
    /// `deployments:read`.
    GetDeploymentCall -> Deployment;
    /// `PATCH /v1/deployments/{deployment_id}`, from [`Deployments::update`]. Needs the scope
    /// `deployments:write`.
    UpdateDeploymentCall -> Deployment;
    /// `DELETE /v1/deployments/{deployment_id}`, from [`Deployments::delete`]. Needs the scope
    /// `deployments:write`.
    DeleteDeploymentCall -> DeletedDeployment;
}

waited!(GetDeploymentCall -> Deployment);

keyed!(CreateDeploymentCall);
conditional!(UpdateDeploymentCall, DeleteDeploymentCall);

paged!(ListDeploymentsCall -> Page of DeploymentSummary);

query_setters!(ListDeploymentsCall {
    /// Lists only the deployments of this customer.
    customer_id: String,
    /// Lists only the deployments in this status.
    status: DeploymentStatus,
    /// Sets how many to answer at most, 1 to 100. Default: 20.
    limit: u32,
    /// Goes on where the page before ended: at its `next_cursor`.
    cursor: Cursor,
});

query_setters!(DeleteDeploymentCall {
    /// Keeps the workspace for 30 days: as the [snapshot](super::Snapshots) that the answer names. Default: false.
    retain_filesystem: bool,
});
