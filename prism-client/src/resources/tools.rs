//! Tools of an agent.

use prism_types::{Tool, ToolList, UpdateTool};
use reqwest::Method;

use super::deployment_collection;
use crate::call::{Call, calls, query_setters};

deployment_collection! {
    /// The tools of one deployment; from [`DeploymentHandle::tools`](super::DeploymentHandle::tools).
    Tools
}

impl Tools {
    /// Lists the built-in tools, and those that the MCP servers report now. Servers that do not answer are told in
    /// `errors`.
    pub fn list(&self) -> ListToolsCall {
        let path = "/v1/deployments/{deployment_id}/tools";
        ListToolsCall { call: Call::new(&self.client, Method::GET, path, &[self.deployment.as_str()]) }
    }

    /// Switches a tool on or off, from the next run on: the model is not told of one that is off. Without an
    /// [`origin`](UpdateToolCall::origin) the built-in tool of this name is meant, or else the one of an MCP server.
    ///
    /// ```
    /// # use prism_client::Client;
    /// # use prism_types::{DeploymentId, UpdateTool};
    /// # async fn restrict(client: Client, deployment: DeploymentId) -> Result<(), prism_client::Error> {
    /// let tools = client.deployment(&deployment).tools();
    /// tools.update("shell", UpdateTool::new(false)).await?;
    /// tools.update("delete_order", UpdateTool::new(false)).origin("acme").await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn update(&self, name: &str, request: UpdateTool) -> UpdateToolCall {
        let path = "/v1/deployments/{deployment_id}/tools/{tool_name}";
        UpdateToolCall {
            call: Call::new(&self.client, Method::PATCH, path, &[self.deployment.as_str(), name])
                .body(&request),
        }
    }
}

calls! {
    /// `GET /v1/deployments/{deployment_id}/tools`, from [`Tools::list`]. Needs the scope `deployments:read`.
    ListToolsCall -> ToolList;
    /// `PATCH /v1/deployments/{deployment_id}/tools/{tool_name}`, from [`Tools::update`]. Needs the scope
    /// `deployments:write`.
    UpdateToolCall -> Tool;
}

query_setters!(UpdateToolCall {
    /// Sets which MCP server has the tool; `builtin`: none.
    origin: String,
});
