//! `prism audit`.

use prism_client::types::{AuditEntry, DeploymentId};

use super::{Listing, Server};
use crate::{
    failure::Failure,
    output::{Output, or_dash, table},
};

/// List who changed what, newest first.
///
/// The API key needs the scope audit:read. Values are never in the log, only the names of the fields that were set.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Only changes of this deployment, which need not exist any more.
    #[arg(long)]
    deployment: Option<DeploymentId>,
    #[command(flatten)]
    listing: Listing,
    #[command(flatten)]
    server: Server,
    #[command(flatten)]
    output: Output,
}

/// Does what the command says.
pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    let Arguments { deployment, listing, server, output } = arguments;
    let entries = server.with(async |client| {
        let mut call = client.audit_log().list().limit(listing.page());
        if let Some(deployment) = &deployment {
            call = call.deployment_id(deployment.clone());
        }
        listing.read(call.items()).await
    })?;
    output.print(&entries, |entries| many(entries))
}

fn many(entries: &[AuditEntry]) -> String {
    let cells = |entry: &AuditEntry| {
        let fields = Some(entry.fields.join(",")).filter(|fields| !fields.is_empty());
        [
            entry.created_at.to_string(),
            entry.actor.clone(),
            entry.operation.clone(),
            entry.subject.clone(),
            or_dash(fields.as_ref()),
        ]
    };
    table(["at", "who", "what", "of", "fields"], entries.iter().map(cells))
}
