//! Runs: units of work of an agent.

use prism_types::{Cursor, Page, Run, RunId};
use reqwest::Method;

use super::deployment_collection;
use crate::call::{Call, calls, keyed, paged, query_setters, waited};

deployment_collection! {
    /// The runs of one deployment; from [`DeploymentHandle::runs`](super::DeploymentHandle::runs).
    Runs
}

impl Runs {
    /// Reads a run.
    pub fn get(&self, id: &RunId) -> GetRunCall {
        let path = "/v1/deployments/{deployment_id}/runs/{run_id}";
        GetRunCall {
            call: Call::new(&self.client, Method::GET, path, &[self.deployment.as_str(), id.as_str()]),
        }
    }

    /// Ends a run, with the code `cancelled`; it is over when this answers. One that was over stays as it is.
    pub fn cancel(&self, id: &RunId) -> CancelRunCall {
        let path = "/v1/deployments/{deployment_id}/runs/{run_id}/cancel";
        CancelRunCall {
            call: Call::new(&self.client, Method::POST, path, &[self.deployment.as_str(), id.as_str()]),
        }
    }

    /// Lists runs, a page at a time.
    pub fn list(&self) -> ListRunsCall {
        let path = "/v1/deployments/{deployment_id}/runs";
        ListRunsCall { call: Call::new(&self.client, Method::GET, path, &[self.deployment.as_str()]) }
    }
}

calls! {
    /// `GET /v1/deployments/{deployment_id}/runs/{run_id}`, from [`Runs::get`]. Needs the scope
    /// `deployments:read`.
    GetRunCall -> Run;
    /// `POST /v1/deployments/{deployment_id}/runs/{run_id}/cancel`, from [`Runs::cancel`]. Needs the scope
    /// `deployments:write`.
    CancelRunCall -> Run;
    /// `GET /v1/deployments/{deployment_id}/runs`, from [`Runs::list`]. Needs the scope `deployments:read`.
    ///
    /// A page may be empty and still not be the last: go on while it has a `next_cursor`.
    ListRunsCall -> Page<Run>;
}

waited!(GetRunCall -> Run);

keyed!(CancelRunCall);

paged!(ListRunsCall -> Page of Run);

query_setters!(ListRunsCall {
    /// Sets how many to answer at most, 1 to 100. Default: 20.
    limit: u32,
    /// Goes on where the page before ended: at its `next_cursor`.
    cursor: Cursor,
});
