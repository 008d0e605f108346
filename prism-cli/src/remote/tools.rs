//! `prism tools`.

use clap::Subcommand;
use prism_client::types::{DeploymentId, Tool, ToolList, UpdateTool};

use super::Server;
use crate::{
    failure::Failure,
    output::{self, Output, or_dash, table},
};

/// List the tools of a deployment, and switch them on and off.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the built-in tools, and ask the MCP servers for theirs.
    List {
        /// The deployment, such as dep_7xK9s2.
        deployment: DeploymentId,
        #[command(flatten)]
        server: Server,
        #[command(flatten)]
        output: Output,
    },
    /// Let the model know of a tool, from the next run on.
    Enable(Switch),
    /// Hide a tool from the model, from the next run on.
    Disable(Switch),
}

#[derive(Debug, clap::Args)]
struct Switch {
    /// The deployment, such as dep_7xK9s2.
    deployment: DeploymentId,
    /// The tool, such as shell.
    tool: String,
    /// The MCP server that has the tool; `builtin`: none.
    #[arg(long, value_name = "SERVER")]
    origin: Option<String>,
    #[command(flatten)]
    server: Server,
    #[command(flatten)]
    output: Output,
}

/// Does what the command says.
pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    match arguments.command {
        Command::List { deployment, server, output } => {
            let listed = server
                .with(async |client| Ok(client.deployment(&deployment).tools().list().await?.into_inner()))?;
            for error in &listed.errors {
                output::note(&format!("{} did not say which tools it has: {}", error.origin, error.message));
            }
            output.print(&listed, many)
        }
        Command::Enable(switch) => switch.send(true),
        Command::Disable(switch) => switch.send(false),
    }
}

impl Switch {
    fn send(self, enabled: bool) -> Result<(), Failure> {
        let tool = self.server.with(async |client| {
            let mut call =
                client.deployment(&self.deployment).tools().update(&self.tool, UpdateTool::new(enabled));
            if let Some(origin) = self.origin {
                call = call.origin(origin);
            }
            Ok(call.await?.into_inner())
        })?;
        self.output.print(&tool, |tool| rows(std::slice::from_ref(tool)))
    }
}

fn many(listed: &ToolList) -> String {
    rows(&listed.data)
}

fn rows(tools: &[Tool]) -> String {
    let cells = |tool: &Tool| {
        let state = match (&tool.unavailable, tool.enabled) {
            (Some(_), _) => "unavailable",
            (None, true) => "on",
            (None, false) => "off",
        };
        let approval = if tool.needs_approval { "each call" } else { "-" };
        let about = tool.unavailable.as_ref().or(tool.description.as_ref());
        let about = about.map(|about| about.lines().next().unwrap_or_default().to_owned());
        [
            tool.name.clone(),
            tool.origin.clone(),
            state.to_owned(),
            approval.to_owned(),
            or_dash(about.as_ref()),
        ]
    };
    table(["tool", "origin", "state", "approval", "description"], tools.iter().map(cells))
}
