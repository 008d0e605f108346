//! MCP servers.

use prism_types::{DeletedMcpServer, DeploymentId, McpServer, McpServerInfo, McpServerList, UpdateMcpServer};

use super::{
    check,
    state::{Agent, State},
};
use crate::mock::{Answer, Refusal, Request};

impl State {
    pub(super) fn list_mcp_servers(&mut self, _: &Request, id: DeploymentId) -> Answer<McpServerList> {
        let servers = self.agents.get(&id)?.spec.mcp_servers.clone();
        Ok(McpServerList::new(servers.into_iter().map(McpServerInfo::from).collect()).into())
    }

    pub(super) fn add_mcp_server(
        &mut self,
        _: &Request,
        id: DeploymentId,
        request: McpServer,
    ) -> Answer<McpServerInfo> {
        let agent = self.agents.get_mut(&id)?;
        check::not_empty("$.name", &request.name)?;
        check::url("$.url", &request.url)?;
        if agent.mcp_server(&request.name).is_ok() {
            return Err(Refusal::conflict("There is an MCP server of this name"));
        }
        agent.revision += 1;
        agent.spec.mcp_servers.push(request.clone());
        Ok(McpServerInfo::from(request).into())
    }

    pub(super) fn get_mcp_server(
        &mut self,
        _: &Request,
        id: DeploymentId,
        name: String,
    ) -> Answer<McpServerInfo> {
        Ok(McpServerInfo::from(self.agents.get_mut(&id)?.mcp_server(&name)?.clone()).into())
    }

    pub(super) fn update_mcp_server(
        &mut self,
        _: &Request,
        id: DeploymentId,
        name: String,
        request: UpdateMcpServer,
    ) -> Answer<McpServerInfo> {
        let agent = self.agents.get_mut(&id)?;
        let server = agent.mcp_server(&name)?;
        if let Some(url) = request.url {
            check::url("$.url", &url)?;
            server.url = url;
        }
        server.tools = request.tools.apply(server.tools.take());
        for (header, value) in request.headers {
            server.headers.retain(|known, _| !known.eq_ignore_ascii_case(&header));
            server.headers.extend(value.map(|value| (header, value)));
        }
        let changed = server.clone();
        agent.revision += 1;
        Ok(McpServerInfo::from(changed).into())
    }

    pub(super) fn remove_mcp_server(
        &mut self,
        _: &Request,
        id: DeploymentId,
        name: String,
    ) -> Answer<DeletedMcpServer> {
        let agent = self.agents.get_mut(&id)?;
        agent.mcp_server(&name)?;
        agent.revision += 1;
        agent.spec.mcp_servers.retain(|server| server.name != name);
        agent.tools_off.retain(|(origin, _)| *origin != name);
        Ok(DeletedMcpServer::new(name).into())
    }
}

impl Agent {
    fn mcp_server(&mut self, name: &str) -> Result<&mut McpServer, Refusal> {
        let found = self.spec.mcp_servers.iter_mut().find(|server| server.name == name);
        found.ok_or_else(|| Refusal::not_found("MCP server"))
    }
}
