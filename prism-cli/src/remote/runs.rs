//! `prism runs`.

use clap::Subcommand;
use prism_client::types::{DeploymentId, Run, RunId};

use super::{Listing, Server};
use crate::{
    failure::Failure,
    output::{Output, or_dash, record, table},
};

/// List the runs of a deployment, look at one, or end one.
///
/// A run is one unit of work of the agent: what it does about a message.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List runs, newest first.
    List {
        /// The deployment, such as dep_7xK9s2.
        deployment: DeploymentId,
        #[command(flatten)]
        listing: Listing,
        #[command(flatten)]
        server: Server,
        #[command(flatten)]
        output: Output,
    },
    /// End a run, with the code `cancelled`.
    Cancel {
        /// The deployment, such as dep_7xK9s2.
        deployment: DeploymentId,
        /// The run, such as run_Zz9.
        run: RunId,
        #[command(flatten)]
        server: Server,
        #[command(flatten)]
        output: Output,
    },
    /// Show a run.
    Get {
        /// The deployment, such as dep_7xK9s2.
        deployment: DeploymentId,
        /// The run, such as run_Zz9.
        run: RunId,
        #[command(flatten)]
        server: Server,
        #[command(flatten)]
        output: Output,
    },
}

/// Does what the command says.
pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    match arguments.command {
        Command::List { deployment, listing, server, output } => {
            let runs = server.with(async |client| {
                listing.read(client.deployment(&deployment).runs().list().limit(listing.page()).items()).await
            })?;
            output.print(&runs, |runs| many(runs))
        }
        Command::Cancel { deployment, run, server, output } => {
            let run = server.with(async |client| {
                Ok(client.deployment(&deployment).runs().cancel(&run).await?.into_inner())
            })?;
            output.print(&run, one)
        }
        Command::Get { deployment, run, server, output } => {
            let run = server.with(async |client| {
                Ok(client.deployment(&deployment).runs().get(&run).await?.into_inner())
            })?;
            output.print(&run, one)
        }
    }
}

fn one(run: &Run) -> String {
    let error = run.error.as_ref().map(|error| format!("{}: {}", error.code, error.message));
    record([
        ("run", run.run_id.to_string()),
        ("thread", run.thread_id.to_string()),
        ("status", run.status.to_string()),
        ("error", or_dash(error.as_ref())),
        ("attempts", run.attempts.to_string()),
        ("input tokens", run.usage.input_tokens.to_string()),
        ("output tokens", run.usage.output_tokens.to_string()),
        ("created", run.created_at.to_string()),
        ("ended", or_dash(run.ended_at.as_ref())),
    ])
}

fn many(runs: &[Run]) -> String {
    let cells = |run: &Run| {
        [
            run.run_id.to_string(),
            run.thread_id.to_string(),
            run.status.to_string(),
            run.created_at.to_string(),
            or_dash(run.ended_at.as_ref()),
        ]
    };
    table(["run", "thread", "status", "created", "ended"], runs.iter().map(cells))
}
