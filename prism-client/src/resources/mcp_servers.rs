//! MCP servers of an agent.

use prism_types::{DeletedMcpServer, McpServer, McpServerInfo, McpServerList, UpdateMcpServer};
use reqwest::Method;

use super::deployment_collection;
use crate::call::{Call, calls, keyed};

deployment_collection! {
    /// The MCP servers of one deployment; from [`DeploymentHandle::mcp_servers`](super::DeploymentHandle::mcp_servers).
    McpServers
}

impl McpServers {
    /// Lists all MCP servers. They are at most 20, so there are no pages.
    pub fn list(&self) -> ListMcpServersCall {
        ListMcpServersCall { call: self.all(Method::GET) }
    }

    /// Adds an MCP server, whose tools the agent has from its next run on. A name that is taken is a conflict.
    ///
    /// ```
    /// # use prism_client::Client;
    /// # use prism_types::{DeploymentId, McpServer};
    /// # async fn add(client: Client, deployment: DeploymentId) -> Result<(), prism_client::Error> {
    /// let server = McpServer::new("acme", "https://acme.example/mcp").header("Authorization", "Bearer ${ACME}");
    /// client.deployment(&deployment).mcp_servers().add(server).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn add(&self, server: McpServer) -> AddMcpServerCall {
        AddMcpServerCall { call: self.all(Method::POST).body(&server) }
    }

    /// Reads an MCP server, without the values of its headers.
    pub fn get(&self, name: &str) -> GetMcpServerCall {
        GetMcpServerCall { call: self.one(Method::GET, name) }
    }

    /// Changes an MCP server, from the next run on.
    pub fn update(&self, name: &str, request: UpdateMcpServer) -> UpdateMcpServerCall {
        UpdateMcpServerCall { call: self.one(Method::PATCH, name).body(&request) }
    }

    /// Removes an MCP server; the agent has its tools no longer from its next run on.
    pub fn remove(&self, name: &str) -> RemoveMcpServerCall {
        RemoveMcpServerCall { call: self.one(Method::DELETE, name) }
    }

    fn all(&self, method: Method) -> Call {
        let path = "/v1/deployments/{deployment_id}/mcp-servers";
        Call::new(&self.client, method, path, &[self.deployment.as_str()])
    }

    fn one(&self, method: Method, name: &str) -> Call {
        let path = "/v1/deployments/{deployment_id}/mcp-servers/{server_name}";
        Call::new(&self.client, method, path, &[self.deployment.as_str(), name])
    }
}

calls! {
    /// `GET /v1/deployments/{deployment_id}/mcp-servers`, from [`McpServers::list`]. Needs the scope
    /// `deployments:read`.
    ListMcpServersCall -> McpServerList;
    /// `POST /v1/deployments/{deployment_id}/mcp-servers`, from [`McpServers::add`]. Needs the scope
    /// `deployments:write`.
    AddMcpServerCall -> McpServerInfo;
    /// `GET /v1/deployments/{deployment_id}/mcp-servers/{server_name}`, from [`McpServers::get`]. Needs the scope
    /// `deployments:read`.
    GetMcpServerCall -> McpServerInfo;
    /// `PATCH /v1/deployments/{deployment_id}/mcp-servers/{server_name}`, from [`McpServers::update`]. Needs the
    /// scope `deployments:write`.
    UpdateMcpServerCall -> McpServerInfo;
    /// `DELETE /v1/deployments/{deployment_id}/mcp-servers/{server_name}`, from [`McpServers::remove`]. Needs the
    /// scope `deployments:write`.
    RemoveMcpServerCall -> DeletedMcpServer;
}

keyed!(AddMcpServerCall);
