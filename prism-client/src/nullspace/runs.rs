//! Runs of an agent deployment whose mode is `job`.

use prism_types::{
    Cursor,
    nullspace::{
        AgentRun, AgentRunId, AgentRunStatus, AgentVersionId, CancelRun, CreateRun, LogPage, Page, RunOutputs,
    },
};
use reqwest::Method;

use super::{collection, keyed, logs::logged};
use crate::{
    call::{calls, paged, query_setters, waited},
    wait::{Completed, Wait},
};

collection! {
    /// The runs of one agent deployment; from [`AgentDeploymentHandle::runs`](super::AgentDeploymentHandle::runs).
    AgentRuns
}

impl AgentRuns {
    /// Starts a run.
    ///
    /// ```no_run
    /// use prism_client::types::nullspace::{CreateRun, JsonObject};
    ///
    /// # async fn example(runs: prism_client::nullspace::AgentRuns) -> Result<(), Box<dyn std::error::Error>> {
    /// let input = JsonObject::parse(r#"{"question": "What is new?"}"#)?;
    /// let run = runs.create(CreateRun::new().input(input).env("MODEL_API_KEY", "…")).await?;
    /// let done = runs.wait_until_completed(&run.id).await?;
    /// for output in &runs.outputs(&done.id).await?.outputs {
    ///     println!("{} is {}", output.path, output.status);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn create(&self, request: CreateRun) -> CreateAgentRunCall {
        let call = self.all(Method::POST, "/v1/agent-deployments/{deployment_id}/runs").body(&request);
        CreateAgentRunCall { call }
    }

    /// Lists runs, newest first, a page at a time.
    pub fn list(&self) -> ListAgentRunsCall {
        ListAgentRunsCall { call: self.all(Method::GET, "/v1/agent-deployments/{deployment_id}/runs") }
    }

    /// Reads a run.
    pub fn get(&self, id: &AgentRunId) -> GetAgentRunCall {
        let path = "/v1/agent-deployments/{deployment_id}/runs/{run_id}";
        GetAgentRunCall { call: self.one(Method::GET, path, id) }
    }

    /// Cancels a run that is not over.
    pub fn cancel(&self, id: &AgentRunId, request: CancelRun) -> CancelAgentRunCall {
        let path = "/v1/agent-deployments/{deployment_id}/runs/{run_id}/cancel";
        CancelAgentRunCall { call: self.one(Method::POST, path, id).takes_key(false).body(&request) }
    }

    /// Reads the log of a run, a part at a time, or follows it.
    pub fn logs(&self, id: &AgentRunId) -> ReadRunLogsCall {
        let path = "/v1/agent-deployments/{deployment_id}/runs/{run_id}/logs";
        ReadRunLogsCall { call: self.one(Method::GET, path, id) }
    }

    /// Reads what a run left behind.
    pub fn outputs(&self, id: &AgentRunId) -> GetRunOutputsCall {
        let path = "/v1/agent-deployments/{deployment_id}/runs/{run_id}/outputs";
        GetRunOutputsCall { call: self.one(Method::GET, path, id) }
    }

    /// Waits until a run has succeeded: until it is [`Completed`]. One that is over and has not is
    /// [`is_hopeless`](crate::Error::is_hopeless).
    pub fn wait_until_completed(&self, id: &AgentRunId) -> Wait<AgentRun> {
        self.get(id).wait_until(Completed)
    }
}

calls! {
    /// `POST /v1/agent-deployments/{deployment_id}/runs`, from [`AgentRuns::create`]. Where there is no room, it is
    /// [`is_quota_exceeded`](crate::Error::is_quota_exceeded).
    CreateAgentRunCall -> AgentRun;
    /// `GET /v1/agent-deployments/{deployment_id}/runs`, from [`AgentRuns::list`].
    ListAgentRunsCall -> Page<AgentRun>;
    /// `GET /v1/agent-deployments/{deployment_id}/runs/{run_id}`, from [`AgentRuns::get`].
    GetAgentRunCall -> AgentRun;
    /// `POST /v1/agent-deployments/{deployment_id}/runs/{run_id}/cancel`, from [`AgentRuns::cancel`]. It has no key, and
    /// is sent again only after a 429, or if there was no connection.
    CancelAgentRunCall -> AgentRun;
    /// `GET /v1/agent-deployments/{deployment_id}/runs/{run_id}/outputs`, from [`AgentRuns::outputs`].
    GetRunOutputsCall -> RunOutputs;
    /// `GET /v1/agent-deployments/{deployment_id}/runs/{run_id}/logs`, from [`AgentRuns::logs`].
    ReadRunLogsCall -> LogPage;
}

logged!(ReadRunLogsCall of AgentRun);

waited!(GetAgentRunCall -> AgentRun);

keyed!(CreateAgentRunCall);

paged!(ListAgentRunsCall -> Page<AgentRun> of AgentRun);

query_setters!(ListAgentRunsCall {
    /// Lists only those in this status.
    status: AgentRunStatus,
    /// Lists only those of this version.
    version_id: AgentVersionId,
    /// Sets how many to answer at most, 1 to 200. Default: 50.
    limit: u32,
    /// Goes on where the page before ended: at its `next_cursor`.
    cursor: Cursor,
});
