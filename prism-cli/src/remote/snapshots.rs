//! `prism snapshots`.

use clap::Subcommand;
use prism_client::types::{Snapshot, SnapshotId};

use super::{Listing, Server};
use crate::{
    failure::Failure,
    output::{Output, record, table},
};

/// List the workspaces that were kept of deleted deployments, and delete them.
///
/// `prism deployments delete --retain-filesystem` makes one. A deployment begins with it when the field `snapshot_id` of
/// its JSON file names it.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List snapshots, newest first.
    List {
        #[command(flatten)]
        listing: Listing,
        #[command(flatten)]
        server: Server,
        #[command(flatten)]
        output: Output,
    },
    /// Show a snapshot.
    Get(Named),
    /// Delete a snapshot before its time.
    Delete(Named),
}

#[derive(Debug, clap::Args)]
struct Named {
    /// The snapshot, such as snap_4kT.
    snapshot: SnapshotId,
    #[command(flatten)]
    server: Server,
    #[command(flatten)]
    output: Output,
}

/// Does what the command says.
pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    match arguments.command {
        Command::List { listing, server, output } => {
            let snapshots = server.with(async |client| {
                listing.read(client.snapshots().list().limit(listing.page()).items()).await
            })?;
            output.print(&snapshots, |snapshots| many(snapshots))
        }
        Command::Get(Named { snapshot, server, output }) => {
            let snapshot =
                server.with(async |client| Ok(client.snapshots().get(&snapshot).await?.into_inner()))?;
            output.print(&snapshot, one)
        }
        Command::Delete(Named { snapshot, server, output }) => {
            let deleted =
                server.with(async |client| Ok(client.snapshots().delete(&snapshot).await?.into_inner()))?;
            output.print(&deleted, |deleted| {
                record([
                    ("snapshot", deleted.snapshot_id.to_string()),
                    ("status", deleted.status.to_string()),
                ])
            })
        }
    }
}

fn one(snapshot: &Snapshot) -> String {
    record([
        ("snapshot", snapshot.snapshot_id.to_string()),
        ("status", snapshot.status.to_string()),
        ("deployment", snapshot.deployment_id.to_string()),
        ("customer", snapshot.customer_id.clone()),
        ("name", snapshot.name.clone()),
        ("sandbox", snapshot.sandbox_type.to_string()),
        ("created", snapshot.created_at.to_string()),
        ("expires", snapshot.expires_at.to_string()),
    ])
}

fn many(snapshots: &[Snapshot]) -> String {
    let cells = |snapshot: &Snapshot| {
        [
            snapshot.snapshot_id.to_string(),
            snapshot.status.to_string(),
            snapshot.customer_id.clone(),
            snapshot.name.clone(),
            snapshot.expires_at.to_string(),
        ]
    };
    table(["snapshot", "status", "customer", "name", "expires"], snapshots.iter().map(cells))
}
