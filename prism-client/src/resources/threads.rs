//! Threads: conversations with an agent.

use prism_types::{CreateThread, Cursor, DeletedThread, Page, Thread, ThreadId, ThreadSummary, UpdateThread};
use reqwest::Method;

use super::deployment_collection;
use crate::call::{Call, calls, keyed, paged, query_setters};

deployment_collection! {
    /// The threads of one deployment; from [`DeploymentHandle::threads`](super::DeploymentHandle::threads).
    Threads
}

impl Threads {
    /// Creates a thread. It starts no work: send a message to it.
    pub fn create(&self, request: CreateThread) -> CreateThreadCall {
        CreateThreadCall { call: self.all(Method::POST).body(&request) }
    }

    /// Reads a thread with its messages.
    pub fn get(&self, id: &ThreadId) -> GetThreadCall {
        let path = "/v1/deployments/{deployment_id}/threads/{thread_id}";
        GetThreadCall {
            call: Call::new(&self.client, Method::GET, path, &[self.deployment.as_str(), id.as_str()]),
        }
    }

    /// Changes the title of a thread.
    pub fn update(&self, id: &ThreadId, request: UpdateThread) -> UpdateThreadCall {
        let path = "/v1/deployments/{deployment_id}/threads/{thread_id}";
        UpdateThreadCall {
            call: Call::new(&self.client, Method::PATCH, path, &[self.deployment.as_str(), id.as_str()])
                .body(&request),
        }
    }

    /// Deletes a thread with its messages, runs and questions; the agent forgets it. The default thread cannot be deleted.
    pub fn delete(&self, id: &ThreadId) -> DeleteThreadCall {
        let path = "/v1/deployments/{deployment_id}/threads/{thread_id}";
        DeleteThreadCall {
            call: Call::new(&self.client, Method::DELETE, path, &[self.deployment.as_str(), id.as_str()]),
        }
    }

    /// Lists threads, a page at a time.
    pub fn list(&self) -> ListThreadsCall {
        ListThreadsCall { call: self.all(Method::GET) }
    }

    fn all(&self, method: Method) -> Call {
        let path = "/v1/deployments/{deployment_id}/threads";
        Call::new(&self.client, method, path, &[self.deployment.as_str()])
    }
}

calls! {
    /// `POST /v1/deployments/{deployment_id}/threads`, from [`Threads::create`]. Needs the scope
    /// `deployments:write`.
    CreateThreadCall -> Thread;
    /// `GET /v1/deployments/{deployment_id}/threads/{thread_id}`, from [`Threads::get`]. Needs the scope
    /// `deployments:read`.
    GetThreadCall -> Thread;
    /// `PATCH /v1/deployments/{deployment_id}/threads/{thread_id}`, from [`Threads::update`]. Needs the scope
    /// `deployments:write`.
    UpdateThreadCall -> Thread;
    /// `DELETE /v1/deployments/{deployment_id}/threads/{thread_id}`, from [`Threads::delete`]. Needs the scope
    /// `deployments:write`.
    DeleteThreadCall -> DeletedThread;
    /// `GET /v1/deployments/{deployment_id}/threads`, from [`Threads::list`]. Needs the scope
    /// `deployments:read`.
    ///
    /// A page may be empty and still not be the last: go on while it has a `next_cursor`.
    ListThreadsCall -> Page<ThreadSummary>;
}

keyed!(CreateThreadCall);

paged!(ListThreadsCall -> Page of ThreadSummary);

query_setters!(ListThreadsCall {
    /// Sets how many to answer at most, 1 to 100. Default: 20.
    limit: u32,
    /// Goes on where the page before ended: at its `next_cursor`.
    cursor: Cursor,
});
