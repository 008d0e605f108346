//! `prism dreams`.

use clap::Subcommand;
use prism_client::types::{DeploymentId, Dream, DreamId, DreamedMemory};

use super::{Listing, Server};
use crate::{
    failure::Failure,
    output::{Output, harmless, or_dash, record, table},
};

/// List what an agent did with its memories while nobody needed it, start it now, or take it back.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List dreams, newest first.
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
    /// Show a dream and what came of it.
    Get(Named),
    /// Let the agent put its memories in order now.
    Start {
        /// The deployment, such as dep_7xK9s2.
        deployment: DeploymentId,
        #[command(flatten)]
        server: Server,
        #[command(flatten)]
        output: Output,
    },
    /// Take back what a dream changed of the memories.
    Revert(Named),
}

#[derive(Debug, clap::Args)]
struct Named {
    /// The deployment, such as dep_7xK9s2.
    deployment: DeploymentId,
    /// The dream, such as drm_Zz9.
    dream: DreamId,
    #[command(flatten)]
    server: Server,
    #[command(flatten)]
    output: Output,
}

/// Does what the command says.
pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    match arguments.command {
        Command::List { deployment, listing, server, output } => {
            let dreams = server.with(async |client| {
                listing
                    .read(client.deployment(&deployment).dreams().list().limit(listing.page()).items())
                    .await
            })?;
            output.print(&dreams, |dreams| many(dreams))
        }
        Command::Get(Named { deployment, dream, server, output }) => {
            let dream = server.with(async |client| {
                Ok(client.deployment(&deployment).dreams().get(&dream).await?.into_inner())
            })?;
            output.print(&dream, one)
        }
        Command::Start { deployment, server, output } => {
            let dream = server.with(async |client| {
                Ok(client.deployment(&deployment).dreams().start().await?.into_inner())
            })?;
            output.print(&dream, one)
        }
        Command::Revert(Named { deployment, dream, server, output }) => {
            let dream = server.with(async |client| {
                Ok(client.deployment(&deployment).dreams().revert(&dream).await?.into_inner())
            })?;
            output.print(&dream, one)
        }
    }
}

fn one(dream: &Dream) -> String {
    let mut text = record([
        ("dream", dream.dream_id.to_string()),
        ("thread", dream.thread_id.to_string()),
        ("run", dream.run_id.to_string()),
        ("status", dream.status.to_string()),
        ("error", or_dash(dream.error.as_ref().map(|error| &error.message))),
        ("trigger", dream.trigger.to_string()),
        ("created", dream.created_at.to_string()),
        ("ended", or_dash(dream.ended_at.as_ref())),
        ("reverted", or_dash(dream.reverted_at.as_ref())),
    ]);
    if let Some(report) = &dream.report {
        let line = |sign: char, memory: &DreamedMemory| format!("\n{sign} {}", harmless(&memory.content));
        text.push('\n');
        text.extend(report.removed.iter().map(|memory| line('-', memory)));
        text.extend(report.added.iter().map(|memory| line('+', memory)));
        text.push_str(&format!("\n\n{}", harmless(&report.summary)));
    }
    text
}

fn many(dreams: &[Dream]) -> String {
    let cells = |dream: &Dream| {
        [
            dream.dream_id.to_string(),
            dream.status.to_string(),
            dream.trigger.to_string(),
            dream.created_at.to_string(),
            or_dash(dream.ended_at.as_ref()),
            or_dash(dream.reverted_at.as_ref()),
        ]
    };
    table(["dream", "status", "trigger", "created", "ended", "reverted"], dreams.iter().map(cells))
}
