//! `prism threads`.

use clap::Subcommand;
use prism_client::types::{CreateThread, DeploymentId, Patch, Thread, ThreadId, ThreadSummary, UpdateThread};

use super::{Listing, Server};
use crate::{
    failure::Failure,
    output::{Output, harmless, or_dash, record, table},
};

/// List the threads of a deployment, open one, read it, change its title, or delete it.
///
/// A thread is one conversation with the agent.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List threads, newest first.
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
    /// Open a thread.
    Create {
        /// The deployment, such as dep_7xK9s2.
        deployment: DeploymentId,
        /// Its title, at most 255 characters; left out: no title.
        title: Option<String>,
        #[command(flatten)]
        server: Server,
        #[command(flatten)]
        output: Output,
    },
    /// Change the title of a thread.
    Rename {
        /// The deployment, such as dep_7xK9s2.
        deployment: DeploymentId,
        /// The thread, such as thr_default_8a1.
        thread: ThreadId,
        /// The new title, at most 255 characters; left out: no title.
        title: Option<String>,
        #[command(flatten)]
        server: Server,
        #[command(flatten)]
        output: Output,
    },
    /// Delete a thread with its messages, runs and questions; the agent forgets it. The default thread stays.
    Delete {
        /// The deployment, such as dep_7xK9s2.
        deployment: DeploymentId,
        /// The thread, such as thr_Zz9.
        thread: ThreadId,
        #[command(flatten)]
        server: Server,
        #[command(flatten)]
        output: Output,
    },
    /// Show a thread with its newest 1,000 messages, oldest first.
    Get {
        /// The deployment, such as dep_7xK9s2.
        deployment: DeploymentId,
        /// The thread, such as thr_default_8a1.
        thread: ThreadId,
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
            let threads = server.with(async |client| {
                listing
                    .read(client.deployment(&deployment).threads().list().limit(listing.page()).items())
                    .await
            })?;
            output.print(&threads, |threads| many(threads))
        }
        Command::Create { deployment, title, server, output } => {
            let mut new = CreateThread::default();
            new.title = title;
            let thread = server.with(async |client| {
                Ok(client.deployment(&deployment).threads().create(new).await?.into_inner())
            })?;
            output.print(&thread, one)
        }
        Command::Rename { deployment, thread, title, server, output } => {
            let change = UpdateThread::default().title(title.map_or(Patch::Clear, Patch::Set));
            let thread = server.with(async |client| {
                Ok(client.deployment(&deployment).threads().update(&thread, change).await?.into_inner())
            })?;
            output.print(&thread, one)
        }
        Command::Delete { deployment, thread, server, output } => {
            let deleted = server.with(async |client| {
                Ok(client.deployment(&deployment).threads().delete(&thread).await?.into_inner())
            })?;
            output.print(&deleted, |deleted| {
                record([("thread", deleted.thread_id.to_string()), ("status", deleted.status.to_string())])
            })
        }
        Command::Get { deployment, thread, server, output } => {
            let thread = server.with(async |client| {
                Ok(client.deployment(&deployment).threads().get(&thread).await?.into_inner())
            })?;
            output.print(&thread, one)
        }
    }
}

fn one(thread: &Thread) -> String {
    let mut text = record([
        ("thread", thread.thread_id.to_string()),
        ("title", or_dash(thread.title.as_ref())),
        ("status", thread.status.to_string()),
        ("created", thread.created_at.to_string()),
    ]);
    for message in &thread.messages {
        let content = harmless(&message.content);
        text.push_str(&format!("\n\n{} {}\n{}", message.created_at, message.role, content.trim_end()));
    }
    text
}

fn many(threads: &[ThreadSummary]) -> String {
    let cells = |thread: &ThreadSummary| {
        [
            thread.thread_id.to_string(),
            or_dash(thread.title.as_ref()),
            thread.status.to_string(),
            thread.message_count.to_string(),
            thread.last_activity_at.to_string(),
        ]
    };
    table(["thread", "title", "status", "messages", "last activity"], threads.iter().map(cells))
}
