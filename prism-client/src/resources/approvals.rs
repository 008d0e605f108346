//! Approvals: questions of the agent and their answers.

use prism_types::{AnswerApproval, Approval, ApprovalId, Cursor, Page};
use reqwest::Method;

use super::deployment_collection;
use crate::call::{Call, calls, keyed, paged, query_setters, waited};

deployment_collection! {
    /// The approvals of one deployment; from [`DeploymentHandle::approvals`](super::DeploymentHandle::approvals).
    Approvals
}

impl Approvals {
    /// Reads a question and its answer.
    pub fn get(&self, id: &ApprovalId) -> GetApprovalCall {
        GetApprovalCall { call: self.one(Method::GET, id) }
    }

    /// Allows or denies what the agent asked for; its run goes on. A question that was answered already is a conflict.
    ///
    /// ```
    /// # use prism_client::Client;
    /// # use prism_types::{AnswerApproval, DeploymentId, ApprovalId};
    /// # async fn deny(client: Client, deployment: DeploymentId, asked: ApprovalId) -> Result<(), prism_client::Error> {
    /// let approvals = client.deployment(&deployment).approvals();
    /// approvals.answer(&asked, AnswerApproval::deny().reason("Not before the launch")).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn answer(&self, id: &ApprovalId, request: AnswerApproval) -> AnswerApprovalCall {
        AnswerApprovalCall { call: self.one(Method::POST, id).body(&request) }
    }

    /// Lists questions, a page at a time.
    pub fn list(&self) -> ListApprovalsCall {
        let path = "/v1/deployments/{deployment_id}/approvals";
        ListApprovalsCall { call: Call::new(&self.client, Method::GET, path, &[self.deployment.as_str()]) }
    }

    fn one(&self, method: Method, id: &ApprovalId) -> Call {
        let path = "/v1/deployments/{deployment_id}/approvals/{approval_id}";
        Call::new(&self.client, method, path, &[self.deployment.as_str(), id.as_str()])
    }
}

calls! {
    /// `GET /v1/deployments/{deployment_id}/approvals/{approval_id}`, from [`Approvals::get`]. Needs the scope
    /// `deployments:read`.
    GetApprovalCall -> Approval;
    /// `POST /v1/deployments/{deployment_id}/approvals/{approval_id}`, from [`Approvals::answer`]. Needs the scope
    /// `deployments:write`.
    AnswerApprovalCall -> Approval;
    /// `GET /v1/deployments/{deployment_id}/approvals`, from [`Approvals::list`]. Needs the scope
    /// `deployments:read`.
    ///
    /// A page may be empty and still not be the last: go on while it has a `next_cursor`.
    ListApprovalsCall -> Page<Approval>;
}

waited!(GetApprovalCall -> Approval);

keyed!(AnswerApprovalCall);

paged!(ListApprovalsCall -> Page of Approval);

query_setters!(ListApprovalsCall {
    /// Sets how many to answer at most, 1 to 100. Default: 20.
    limit: u32,
    /// Goes on where the page before ended: at its `next_cursor`.
    cursor: Cursor,
    /// Sets whether to answer only those that wait. Default: no.
    pending: bool,
});
