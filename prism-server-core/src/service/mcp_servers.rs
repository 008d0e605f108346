//! MCP servers of a live deployment: read, add, change, remove.

use std::collections::BTreeMap;

use prism_types::{DeploymentId, McpServer, Patch, Problem};

use super::{
    Tell,
    author::Author,
    deployments::{self, missing_variables},
};
use crate::{
    core::Core,
    domain::{audit::Subject, deployment::AgentSpec, idempotency::Reply, limits, tenant::Principal},
    error::{Error, ErrorKind, Result},
};

/// What to change of an MCP server; every part was checked by itself.
#[derive(Debug, Clone, Default)]
pub(crate) struct McpServerChange {
    pub(crate) url: Option<String>,
    pub(crate) tools: Patch<Vec<String>>,
    pub(crate) headers: BTreeMap<String, Option<String>>,
}

/// The MCP servers of a deployment of the caller's tenant, in their order.
pub(crate) async fn list(core: &Core, principal: &Principal, id: &DeploymentId) -> Result<Vec<McpServer>> {
    let deployment = deployments::get(core, principal, id).await?;
    Ok(deployments::spec(core, &deployment).await?.mcp_servers)
}

/// An MCP server of a deployment of the caller's tenant.
pub(crate) async fn get(
    core: &Core,
    principal: &Principal,
    id: &DeploymentId,
    name: &str,
) -> Result<McpServer> {
    list(core, principal, id).await?.into_iter().find(|server| server.name == name).ok_or_else(not_found)
}

/// Adds an MCP server, whose tools the agent has from the next run on. The server is not asked.
pub(crate) async fn add(
    core: &Core,
    author: &Author,
    id: &DeploymentId,
    server: McpServer,
    tell: impl Tell<McpServer>,
) -> Result<Reply> {
    let decide = |spec: &mut AgentSpec| {
        if spec.mcp_server(&server.name).is_some() {
            let message = format!(
                "The deployment has an MCP server named '{}' already. Change it, or remove it first.",
                server.name
            );
            return Err(Error::new(ErrorKind::Conflict, message));
        }
        if spec.mcp_servers.len() >= limits::MCP_SERVERS {
            let message =
                format!("a deployment has at most {} MCP servers; remove one first", limits::MCP_SERVERS);
            return Err(Error::invalid(vec![Problem::new("$", message)]));
        }
        require_variables(spec, &server)?;
        spec.mcp_servers.push(server.clone());
        tell(server.clone())
    };
    let beside = |reply: &Reply| {
        let entry = author.entry(core, Subject::in_deployment(id, &server.name));
        Ok([entry].into_iter().chain(author.kept(core, reply)?).collect())
    };
    deployments::change_spec(core, author, id, decide, beside).await
}

/// Changes an MCP server, from the next run on.
pub(crate) async fn update(
    core: &Core,
    author: &Author,
    id: &DeploymentId,
    name: &str,
    change: McpServerChange,
) -> Result<McpServer> {
    let decide = |spec: &mut AgentSpec| {
        let place = place(spec, name)?;
        let changed = changed(spec.mcp_servers[place].clone(), change.clone())?;
        require_variables(spec, &changed)?;
        spec.mcp_servers[place] = changed.clone();
        Ok(changed)
    };
    let beside = |_: &McpServer| Ok(vec![author.entry(core, Subject::in_deployment(id, name))]);
    deployments::change_spec(core, author, id, decide, beside).await
}

/// Removes an MCP server; the agent has its tools no longer from the next run on.
pub(crate) async fn remove(core: &Core, author: &Author, id: &DeploymentId, name: &str) -> Result<()> {
    let decide = |spec: &mut AgentSpec| {
        let place = place(spec, name)?;
        spec.mcp_servers.remove(place);
        spec.forget_lost_tools();
        Ok(())
    };
    let beside = |_: &()| Ok(vec![author.entry(core, Subject::in_deployment(id, name))]);
    deployments::change_spec(core, author, id, decide, beside).await
}

fn changed(mut server: McpServer, change: McpServerChange) -> Result<McpServer> {
    server.url = change.url.unwrap_or(server.url);
    server.tools = change.tools.apply(server.tools);
    for (name, value) in change.headers {
        server.headers.retain(|known, _| !known.eq_ignore_ascii_case(&name));
        server.headers.extend(value.map(|value| (name, value)));
    }
    if server.headers.len() > limits::MCP_HEADERS {
        let message = format!("an MCP server can have at most {} headers", limits::MCP_HEADERS);
        return Err(Error::invalid(vec![Problem::new("$.headers", message)]));
    }
    Ok(server)
}

fn place(spec: &AgentSpec, name: &str) -> Result<usize> {
    spec.mcp_servers.iter().position(|server| server.name == name).ok_or_else(not_found)
}

fn require_variables(spec: &AgentSpec, server: &McpServer) -> Result<()> {
    let problems = missing_variables(spec, server, "$");
    if problems.is_empty() { Ok(()) } else { Err(Error::invalid(problems)) }
}

fn not_found() -> Error {
    Error::not_found("MCP server")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_merged_whatever_their_case() {
        let server = McpServer::new("a", "https://x/").header("X-Key", "1").header("X-Other", "2");
        let headers = |pairs: &[(&str, Option<&str>)]| McpServerChange {
            headers: pairs
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.map(str::to_owned)))
                .collect(),
            ..McpServerChange::default()
        };
        let changed = |pairs| super::changed(server.clone(), headers(pairs)).unwrap().headers;
        assert_eq!(changed(&[]), server.headers);
        assert_eq!(changed(&[("x-key", Some("3"))])["x-key"], "3");
        assert_eq!(changed(&[("x-key", Some("3"))]).len(), 2);
        assert_eq!(changed(&[("x-key", None)]).into_keys().collect::<Vec<_>>(), ["X-Other"]);
        let many: Vec<String> = (0..19).map(|number| format!("X-{number}")).collect();
        let many: Vec<_> = many.iter().map(|name| (name.as_str(), Some("x"))).collect();
        assert_eq!(changed(&many[..18]).len(), limits::MCP_HEADERS);
        assert!(super::changed(server.clone(), headers(&many)).is_err());
    }
}
