//! Memories: what an agent remembers across threads.

use prism_types::{CreateMemory, Cursor, DeletedMemory, Memory, MemoryId, Page, UpdateMemory};
use reqwest::Method;

use super::deployment_collection;
use crate::call::{Call, calls, keyed, paged, query_setters};

deployment_collection! {
    /// The memories of one deployment; from [`DeploymentHandle::memories`](super::DeploymentHandle::memories).
    Memories
}

impl Memories {
    /// Makes a memory; the agent has it from its next run on. When there is no room, or the content is there already,
    /// it is a conflict.
    ///
    /// ```
    /// # use prism_client::Client;
    /// # use prism_types::DeploymentId;
    /// # async fn remember(client: Client, deployment: DeploymentId) -> Result<(), prism_client::Error> {
    /// let memories = client.deployment(&deployment).memories();
    /// let memory = memories.create("They publish on Tuesdays").await?;
    /// memories.update(&memory.memory_id, "They publish on Fridays").await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn create(&self, request: impl Into<CreateMemory>) -> CreateMemoryCall {
        CreateMemoryCall { call: self.all(Method::POST).body(&request.into()) }
    }

    /// Reads a memory.
    pub fn get(&self, id: &MemoryId) -> GetMemoryCall {
        GetMemoryCall { call: self.one(Method::GET, id) }
    }

    /// Sets the content of a memory.
    pub fn update(&self, id: &MemoryId, request: impl Into<UpdateMemory>) -> UpdateMemoryCall {
        UpdateMemoryCall { call: self.one(Method::PATCH, id).body(&request.into()) }
    }

    /// Deletes a memory; the agent forgets it before its next run.
    pub fn delete(&self, id: &MemoryId) -> DeleteMemoryCall {
        DeleteMemoryCall { call: self.one(Method::DELETE, id) }
    }

    /// Lists memories, a page at a time.
    pub fn list(&self) -> ListMemoriesCall {
        ListMemoriesCall { call: self.all(Method::GET) }
    }

    fn all(&self, method: Method) -> Call {
        let path = "/v1/deployments/{deployment_id}/memories";
        Call::new(&self.client, method, path, &[self.deployment.as_str()])
    }

    fn one(&self, method: Method, id: &MemoryId) -> Call {
        let path = "/v1/deployments/{deployment_id}/memories/{memory_id}";
        Call::new(&self.client, method, path, &[self.deployment.as_str(), id.as_str()])
    }
}

calls! {
    /// `POST /v1/deployments/{deployment_id}/memories`, from [`Memories::create`]. Needs the scope
    /// `deployments:write`.
    CreateMemoryCall -> Memory;
    /// `GET /v1/deployments/{deployment_id}/memories/{memory_id}`, from [`Memories::get`]. Needs the scope
    /// `deployments:read`.
    GetMemoryCall -> Memory;
    /// `PATCH /v1/deployments/{deployment_id}/memories/{memory_id}`, from [`Memories::update`]. Needs the scope
    /// `deployments:write`.
    UpdateMemoryCall -> Memory;
    /// `DELETE /v1/deployments/{deployment_id}/memories/{memory_id}`, from [`Memories::delete`]. Needs the scope
    /// `deployments:write`.
    DeleteMemoryCall -> DeletedMemory;
    /// `GET /v1/deployments/{deployment_id}/memories`, from [`Memories::list`]. Needs the scope
    /// `deployments:read`.
    ///
    /// A page may be empty and still not be the last: go on while it has a `next_cursor`.
    ListMemoriesCall -> Page<Memory>;
}

keyed!(CreateMemoryCall);

paged!(ListMemoriesCall -> Page of Memory);

query_setters!(ListMemoriesCall {
    /// Sets how many to answer at most, 1 to 100. Default: 20.
    limit: u32,
    /// Goes on where the page before ended: at its `next_cursor`.
    cursor: Cursor,
    /// Sets words that the memories must have, whatever their case; at most 255 characters. Default: none.
    q: String,
});
