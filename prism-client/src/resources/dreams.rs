//! Dreams: what an agent does with its memories while nobody needs it.

use prism_types::{Cursor, Dream, DreamId, Page};
use reqwest::Method;

use super::deployment_collection;
use crate::call::{Call, calls, keyed, paged, query_setters, waited};

deployment_collection! {
    /// The dreams of one deployment; from [`DeploymentHandle::dreams`](super::DeploymentHandle::dreams).
    Dreams
}

impl Dreams {
    /// Lets the agent put its memories in order now. While it does so already it is a conflict.
    pub fn start(&self) -> StartDreamCall {
        StartDreamCall { call: self.all(Method::POST) }
    }

    /// Reads a dream and what came of it.
    pub fn get(&self, id: &DreamId) -> GetDreamCall {
        let path = "/v1/deployments/{deployment_id}/dreams/{dream_id}";
        GetDreamCall {
            call: Call::new(&self.client, Method::GET, path, &[self.deployment.as_str(), id.as_str()]),
        }
    }

    /// Takes back what a dream changed of the memories. One that is not over, or was taken back, is a conflict.
    pub fn revert(&self, id: &DreamId) -> RevertDreamCall {
        let path = "/v1/deployments/{deployment_id}/dreams/{dream_id}/revert";
        RevertDreamCall {
            call: Call::new(&self.client, Method::POST, path, &[self.deployment.as_str(), id.as_str()]),
        }
    }

    /// Lists dreams without their reports, a page at a time.
    pub fn list(&self) -> ListDreamsCall {
        ListDreamsCall { call: self.all(Method::GET) }
    }

    fn all(&self, method: Method) -> Call {
        Call::new(&self.client, method, "/v1/deployments/{deployment_id}/dreams", &[self.deployment.as_str()])
    }
}

calls! {
    /// `POST /v1/deployments/{deployment_id}/dreams`, from [`Dreams::start`]. Needs the scope
    /// `deployments:write`.
    StartDreamCall -> Dream;
    /// `GET /v1/deployments/{deployment_id}/dreams/{dream_id}`, from [`Dreams::get`]. Needs the scope
    /// `deployments:read`.
    GetDreamCall -> Dream;
    /// `POST /v1/deployments/{deployment_id}/dreams/{dream_id}/revert`, from [`Dreams::revert`]. Needs the scope
    /// `deployments:write`.
    RevertDreamCall -> Dream;
    /// `GET /v1/deployments/{deployment_id}/dreams`, from [`Dreams::list`]. Needs the scope
    /// `deployments:read`.
    ///
    /// A page may be empty and still not be the last: go on while it has a `next_cursor`.
    ListDreamsCall -> Page<Dream>;
}

waited!(GetDreamCall -> Dream);

keyed!(StartDreamCall, RevertDreamCall);

paged!(ListDreamsCall -> Page of Dream);

query_setters!(ListDreamsCall {
    /// Sets how many to answer at most, 1 to 100. Default: 20.
    limit: u32,
    /// Goes on where the page before ended: at its `next_cursor`.
    cursor: Cursor,
});
