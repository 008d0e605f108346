//! `prism memories`.

use clap::Subcommand;
use prism_client::types::{DeploymentId, Memory, MemoryId};

use super::{Listing, Server};
use crate::{
    failure::Failure,
    output::{Output, harmless, record, table},
};

/// List what an agent remembers, and change it.
///
/// The agent has its memories before its eyes on every thread. It makes some by itself.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List memories, newest first.
    List {
        /// The deployment, such as dep_7xK9s2.
        deployment: DeploymentId,
        /// Only memories that have all these words, whatever their case.
        #[arg(long, value_name = "WORDS")]
        q: Option<String>,
        #[command(flatten)]
        listing: Listing,
        #[command(flatten)]
        server: Server,
        #[command(flatten)]
        output: Output,
    },
    /// Show a memory.
    Get(Named),
    /// Make a memory; the agent has it from its next run on.
    Add {
        /// The deployment, such as dep_7xK9s2.
        deployment: DeploymentId,
        /// What to remember, at most 2,000 characters.
        content: String,
        #[command(flatten)]
        server: Server,
        #[command(flatten)]
        output: Output,
    },
    /// Set the content of a memory.
    Update {
        #[command(flatten)]
        named: Named,
        /// What to remember instead, at most 2,000 characters.
        content: String,
    },
    /// Delete a memory; the agent forgets it before its next run.
    Delete(Named),
}

#[derive(Debug, clap::Args)]
struct Named {
    /// The deployment, such as dep_7xK9s2.
    deployment: DeploymentId,
    /// The memory, such as mem_Zz9.
    memory: MemoryId,
    #[command(flatten)]
    server: Server,
    #[command(flatten)]
    output: Output,
}

/// Does what the command says.
pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    match arguments.command {
        Command::List { deployment, q, listing, server, output } => {
            let memories = server.with(async |client| {
                let mut call = client.deployment(&deployment).memories().list().limit(listing.page());
                if let Some(words) = &q {
                    call = call.q(words.clone());
                }
                listing.read(call.items()).await
            })?;
            output.print(&memories, |memories| many(memories))
        }
        Command::Get(Named { deployment, memory, server, output }) => {
            let memory = server.with(async |client| {
                Ok(client.deployment(&deployment).memories().get(&memory).await?.into_inner())
            })?;
            output.print(&memory, one)
        }
        Command::Add { deployment, content, server, output } => {
            let memory = server.with(async |client| {
                Ok(client.deployment(&deployment).memories().create(content).await?.into_inner())
            })?;
            output.print(&memory, one)
        }
        Command::Update { named: Named { deployment, memory, server, output }, content } => {
            let memory = server.with(async |client| {
                Ok(client.deployment(&deployment).memories().update(&memory, content).await?.into_inner())
            })?;
            output.print(&memory, one)
        }
        Command::Delete(Named { deployment, memory, server, output }) => {
            let deleted = server.with(async |client| {
                Ok(client.deployment(&deployment).memories().delete(&memory).await?.into_inner())
            })?;
            output.print(&deleted, |deleted| {
                record([("memory", deleted.memory_id.to_string()), ("status", deleted.status.to_string())])
            })
        }
    }
}

fn one(memory: &Memory) -> String {
    let about = record([
        ("memory", memory.memory_id.to_string()),
        ("source", memory.source.to_string()),
        ("created", memory.created_at.to_string()),
        ("updated", memory.updated_at.to_string()),
    ]);
    format!("{about}\n\n{}", harmless(&memory.content))
}

fn many(memories: &[Memory]) -> String {
    let cells = |memory: &Memory| {
        [
            memory.memory_id.to_string(),
            memory.source.to_string(),
            memory.content.clone(),
            memory.updated_at.to_string(),
        ]
    };
    table(["memory", "source", "content", "updated"], memories.iter().map(cells))
}
