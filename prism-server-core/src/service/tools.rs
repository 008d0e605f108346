//! Tools of a deployment: listed with their switches, and switched.

use std::time::Duration;

use prism_types::{DeploymentId, Problem};

use super::{author::Author, deployments};
use crate::{
    core::Core,
    domain::{
        audit::Subject,
        deployment::{AgentSpec, Deployment},
        limits,
        tenant::Principal,
        tool::{BUILTIN, BUILTIN_TOOLS, BuiltinTool, ToolName},
    },
    error::{Error, ErrorKind, Result},
    outbound::{ListedServer, ListedTool},
};

/// A tool and what is set for it.
#[derive(Debug, Clone)]
pub(crate) struct ToolView {
    pub(crate) tool: ToolName,
    pub(crate) enabled: bool,
    pub(crate) needs_approval: bool,
    pub(crate) unavailable: Option<String>,
    pub(crate) description: Option<String>,
}

/// All tools of a deployment, as far as they are known.
#[derive(Debug, Clone)]
pub(crate) struct ToolsView {
    pub(crate) tools: Vec<ToolView>,
    /// Servers that could not be asked, with the reason.
    pub(crate) errors: Vec<(String, String)>,
}

/// The tools of a deployment of the caller's tenant: built-in ones, and those that its MCP servers report now.
pub(crate) async fn list(core: &Core, principal: &Principal, id: &DeploymentId) -> Result<ToolsView> {
    let deployment = deployments::get(core, principal, id).await?;
    let spec = deployments::spec(core, &deployment).await?;
    let servers = servers(core, &deployment, &spec).await?;
    let builtin = builtin(core, &deployment, &spec);
    let mut tools: Vec<_> = builtin.into_iter().map(|tool| builtin_view(&spec, tool)).collect();
    let mut errors = Vec::new();
    for ListedServer { server, tools: reported, error } in servers {
        tools.extend(reported.into_iter().map(|tool| server_view(&spec, &server, tool)));
        errors.extend(error.map(|error| (server, error)));
    }
    Ok(ToolsView { tools, errors })
}

/// Switches a tool on or off, from the next run on.
///
/// Without an `origin` a built-in tool of the name is meant, or else the one MCP server that reports such a tool.
pub(crate) async fn switch(
    core: &Core,
    author: &Author,
    id: &DeploymentId,
    name: String,
    origin: Option<String>,
    enabled: bool,
) -> Result<ToolView> {
    let deployment = deployments::get(core, &author.principal, id).await?;
    let spec = deployments::spec(core, &deployment).await?;
    let tool = match origin {
        None if BUILTIN_TOOLS.contains(&name.as_str()) => ToolName::builtin(name),
        Some(origin) if origin == BUILTIN => ToolName::builtin(name),
        Some(origin) => ToolName::of_server(origin, name),
        None => ToolName::of_server(reporting(core, &deployment, &spec, &name).await?, name),
    };
    let builtin = builtin(core, &deployment, &spec);
    let decide = |spec: &mut AgentSpec| {
        let view = |spec: &AgentSpec| match &tool.server {
            Some(server) => {
                spec.mcp_server(server).ok_or_else(|| Error::not_found("MCP server"))?;
                Ok(server_view(spec, server, ListedTool { name: tool.name.clone(), description: None }))
            }
            None => {
                let found = builtin.iter().find(|known| known.name == tool.name);
                found.map(|found| builtin_view(spec, found.clone())).ok_or_else(not_found)
            }
        };
        if enabled && let Some(reason) = view(spec)?.unavailable {
            let message = format!("cannot be true: the agent cannot have this tool, because {reason}");
            return Err(Error::invalid(vec![Problem::new("$.enabled", message)]));
        }
        view(spec)?;
        if enabled {
            spec.disabled_tools.remove(&tool);
        } else {
            spec.disabled_tools.insert(tool.clone());
        }
        if spec.disabled_tools.len() > limits::DISABLED_TOOLS {
            let message = format!(
                "at most {} tools can be switched off; use `tools` of the MCP server to allow a few instead",
                limits::DISABLED_TOOLS
            );
            return Err(Error::invalid(vec![Problem::new("$.enabled", message)]));
        }
        view(spec)
    };
    let beside = |view: &ToolView| Ok(vec![author.entry(core, Subject::in_deployment(id, &view.tool))]);
    deployments::change_spec(core, author, id, decide, beside).await
}

/// The one MCP server that reports a tool of this name.
async fn reporting(core: &Core, deployment: &Deployment, spec: &AgentSpec, name: &str) -> Result<String> {
    let mut found = Vec::new();
    let mut unknown = Vec::new();
    for ListedServer { server, tools, error } in servers(core, deployment, spec).await? {
        if tools.iter().any(|tool| tool.name == name) {
            found.push(server);
        } else if error.is_some() {
            unknown.push(server);
        }
    }
    let problem = |message: String| Error::invalid(vec![Problem::new("query.origin", message)]);
    match (&found[..], &unknown[..]) {
        ([one], []) => Ok(one.clone()),
        ([], []) => Err(not_found()),
        ([], unknown) => Err(problem(format!(
            "is required, because {} did not say which tools it has",
            unknown.join(" and ")
        ))),
        (found, _) => Err(problem(format!(
            "is required, because more than one MCP server has such a tool or may have it: {}",
            [found, &unknown[..]].concat().join(", ")
        ))),
    }
}

async fn servers(core: &Core, deployment: &Deployment, spec: &AgentSpec) -> Result<Vec<ListedServer>> {
    core.outbounds.list_tools(deployment, spec.clone()).await.ok_or_else(|| {
        let message = format!(
            "The tools of this deployment are being listed {} times already, which is the most. Try again.",
            limits::MCP_LISTINGS
        );
        Error::new(ErrorKind::RateLimited, message).retry_after(Duration::from_secs(1))
    })
}

fn builtin(core: &Core, deployment: &Deployment, spec: &AgentSpec) -> Vec<BuiltinTool> {
    match core.harness(&deployment.runtime) {
        Some(harness) => harness.tools(spec),
        None => Vec::new(),
    }
}

fn builtin_view(spec: &AgentSpec, tool: BuiltinTool) -> ToolView {
    let BuiltinTool { name, description, unavailable } = tool;
    ToolView {
        unavailable: unavailable.map(str::to_owned),
        description: Some(description.to_owned()),
        ..view(spec, ToolName::builtin(name), unavailable.is_none())
    }
}

fn server_view(spec: &AgentSpec, server: &str, tool: ListedTool) -> ToolView {
    let ListedTool { name, description } = tool;
    ToolView { description, ..view(spec, ToolName::of_server(server, name), true) }
}

fn view(spec: &AgentSpec, tool: ToolName, available: bool) -> ToolView {
    ToolView {
        enabled: available && !spec.disabled_tools.contains(&tool),
        needs_approval: tool.needs_approval(&spec.approvals),
        tool,
        unavailable: None,
        description: None,
    }
}

fn not_found() -> Error {
    Error::not_found("Tool")
}
