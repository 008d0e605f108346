//! `prism mcp`.

use clap::Subcommand;
use prism_client::types::{DeploymentId, McpServer, McpServerInfo, Patch, UpdateMcpServer};

use super::Server;
use crate::{
    failure::Failure,
    output::{Output, record, table},
};

/// List the MCP servers of a deployment, add, change and remove them.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List MCP servers.
    List {
        /// The deployment, such as dep_7xK9s2.
        deployment: DeploymentId,
        #[command(flatten)]
        server: Server,
        #[command(flatten)]
        output: Output,
    },
    /// Add an MCP server, whose tools the agent has from its next run on.
    Add {
        /// The deployment, such as dep_7xK9s2.
        deployment: DeploymentId,
        /// A name for the server.
        name: String,
        /// The server's URL.
        url: String,
        /// Allow only this tool; may be given more than once.
        #[arg(long = "tool", value_name = "NAME")]
        tools: Vec<String>,
        /// A header for requests to the server; may be given more than once. Write ${NAME} for the secret NAME of the
        /// deployment, and no credential: arguments can be seen by others.
        #[arg(long = "header", value_name = "NAME: VALUE", value_parser = header)]
        headers: Vec<(String, String)>,
        #[command(flatten)]
        server: Server,
        #[command(flatten)]
        output: Output,
    },
    /// Show an MCP server.
    Get(Named),
    /// Change an MCP server; what is not given stays.
    Update {
        #[command(flatten)]
        named: Named,
        /// The server's URL.
        #[arg(long)]
        url: Option<String>,
        /// Allow only this tool; may be given more than once, and replaces those that were allowed.
        #[arg(long = "tool", value_name = "NAME", conflicts_with = "all_tools")]
        tools: Vec<String>,
        /// Allow all tools.
        #[arg(long)]
        all_tools: bool,
        /// Set a header for requests to the server; may be given more than once. Write ${NAME} for the secret NAME of the
        /// deployment, and no credential: arguments can be seen by others.
        #[arg(long = "header", value_name = "NAME: VALUE", value_parser = header)]
        headers: Vec<(String, String)>,
        /// Remove a header; may be given more than once.
        #[arg(long = "remove-header", value_name = "NAME")]
        removed: Vec<String>,
    },
    /// Remove an MCP server.
    Remove(Named),
}

#[derive(Debug, clap::Args)]
struct Named {
    /// The deployment, such as dep_7xK9s2.
    deployment: DeploymentId,
    /// The server's name.
    name: String,
    #[command(flatten)]
    server: Server,
    #[command(flatten)]
    output: Output,
}

/// Does what the command says.
pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    match arguments.command {
        Command::List { deployment, server, output } => {
            let servers = server.with(async |client| {
                Ok(client.deployment(&deployment).mcp_servers().list().await?.into_inner().data)
            })?;
            output.print(&servers, |servers| many(servers))
        }
        Command::Add { deployment, name, url, tools, headers, server, output } => {
            let mut new = McpServer::new(name, url);
            if !tools.is_empty() {
                new = new.tools(tools);
            }
            new.headers.extend(headers);
            let added = server.with(async |client| {
                Ok(client.deployment(&deployment).mcp_servers().add(new).await?.into_inner())
            })?;
            output.print(&added, one)
        }
        Command::Get(Named { deployment, name, server, output }) => {
            let found = server.with(async |client| {
                Ok(client.deployment(&deployment).mcp_servers().get(&name).await?.into_inner())
            })?;
            output.print(&found, one)
        }
        Command::Update { named, url, tools, all_tools, headers, removed } => {
            let Named { deployment, name, server, output } = named;
            let mut change = UpdateMcpServer::default();
            change.url = url;
            change.tools = match (all_tools, tools.is_empty()) {
                (true, _) => Patch::Clear,
                (false, true) => Patch::Keep,
                (false, false) => Patch::Set(tools),
            };
            change.headers.extend(headers.into_iter().map(|(name, value)| (name, Some(value))));
            change.headers.extend(removed.into_iter().map(|name| (name, None)));
            let updated = server.with(async |client| {
                Ok(client.deployment(&deployment).mcp_servers().update(&name, change).await?.into_inner())
            })?;
            output.print(&updated, one)
        }
        Command::Remove(Named { deployment, name, server, output }) => {
            let removed = server.with(async |client| {
                Ok(client.deployment(&deployment).mcp_servers().remove(&name).await?.into_inner())
            })?;
            output.print(&removed, |removed| format!("removed {}", removed.name))
        }
    }
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("a header has the form `NAME: VALUE`")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

fn one(server: &McpServerInfo) -> String {
    let [name, url, tools, headers] = cells(server);
    record([("name", name), ("url", url), ("tools", tools), ("headers", headers)])
}

fn many(servers: &[McpServerInfo]) -> String {
    table(["name", "url", "tools", "headers"], servers.iter().map(cells))
}

fn cells(server: &McpServerInfo) -> [String; 4] {
    let tools = server.tools.as_ref().map_or_else(|| "all".to_owned(), |tools| tools.join(", "));
    let headers = if server.headers.is_empty() { "-".to_owned() } else { server.headers.join(", ") };
    [server.name.clone(), server.url.clone(), tools, headers]
}
