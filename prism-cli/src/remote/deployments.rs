//! `prism deployments`.

use std::{io::Read, path::PathBuf, time::Duration};

use clap::{Subcommand, builder::PossibleValuesParser};
use prism_client::types::{
    CreateDeployment, Deployment, DeploymentId, DeploymentStatus, DeploymentSummary, UpdateDeployment,
};
use serde::de::DeserializeOwned;

use super::{Listing, Server};
use crate::{
    failure::Failure,
    output::{Output, or_dash, record, table},
};

/// Create deployments, list them, look at them, change and delete them.
///
/// A deployment is one agent for one customer.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Create a deployment from a JSON file.
    ///
    /// The smallest one: {"customer_id": "cus_1", "name": "My agent", "system_prompt": "Help."}. With
    /// "runtime": "scripted" it needs no model and no sandbox.
    Create {
        /// The file with the body of the request; `-` is standard input.
        #[arg(short, long, value_name = "FILE")]
        file: PathBuf,
        /// Wait until the agent takes messages; fail when it cannot be started.
        #[arg(long)]
        wait: bool,
        /// How long to wait, in seconds.
        #[arg(long, value_name = "SECONDS", default_value_t = 300, requires = "wait")]
        wait_timeout: u64,
        #[command(flatten)]
        server: Server,
        #[command(flatten)]
        output: Output,
    },
    /// List deployments, newest first.
    List {
        /// Only those of this customer.
        #[arg(long, value_name = "CUSTOMER_ID")]
        customer: Option<String>,
        /// Only those in this status.
        #[arg(long, value_parser = PossibleValuesParser::new(DeploymentStatus::KNOWN.iter().copied()))]
        status: Option<String>,
        #[command(flatten)]
        listing: Listing,
        #[command(flatten)]
        server: Server,
        #[command(flatten)]
        output: Output,
    },
    /// Show a deployment.
    Get {
        /// The deployment, such as dep_7xK9s2.
        id: DeploymentId,
        #[command(flatten)]
        server: Server,
        #[command(flatten)]
        output: Output,
    },
    /// Change a deployment by a JSON file with the fields to change; its next run works with the change.
    ///
    /// To change the prompt: {"system_prompt": "Help, and be brief."}.
    Update {
        /// The deployment, such as dep_7xK9s2.
        id: DeploymentId,
        /// The file with the change; `-` is standard input.
        #[arg(long, short, value_name = "FILE")]
        file: PathBuf,
        #[command(flatten)]
        server: Server,
        #[command(flatten)]
        output: Output,
    },
    /// Delete a deployment for good, with its workspace, threads, runs and events.
    Delete {
        /// The deployment, such as dep_7xK9s2.
        id: DeploymentId,
        /// Keep the workspace for 30 days, as a snapshot that another deployment can begin with.
        #[arg(long)]
        retain_filesystem: bool,
        #[command(flatten)]
        server: Server,
        #[command(flatten)]
        output: Output,
    },
}

/// Does what the command says.
pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    match arguments.command {
        Command::Create { file, wait, wait_timeout, server, output } => {
            let request: CreateDeployment = read(&file)?;
            let deployment = server.with(async |client| {
                let created = client.deployments().create(request).await?.into_inner();
                if !wait {
                    return Ok(created);
                }
                let ready = client.deployments().wait_until_ready(&created.deployment_id);
                let ready = ready.timeout(Duration::from_secs(wait_timeout)).await;
                ready.map_err(|error| {
                    let advice =
                        format!("It was created: `prism deployments get {}`.", created.deployment_id);
                    Failure::from(error).advice(advice)
                })
            })?;
            output.print(&deployment, one)
        }
        Command::List { customer, status, listing, server, output } => {
            let deployments = server.with(async |client| {
                let mut call = client.deployments().list().limit(listing.page());
                if let Some(customer) = &customer {
                    call = call.customer_id(customer);
                }
                if let Some(status) = &status {
                    call = call.status(status.as_str());
                }
                listing.read(call.items()).await
            })?;
            output.print(&deployments, |deployments| many(deployments))
        }
        Command::Get { id, server, output } => {
            let deployment =
                server.with(async |client| Ok(client.deployments().get(&id).await?.into_inner()))?;
            output.print(&deployment, one)
        }
        Command::Update { id, file, server, output } => {
            let change: UpdateDeployment = read(&file)?;
            let updated = server
                .with(async |client| Ok(client.deployments().update(&id, change).await?.into_inner()))?;
            output.print(&updated, one)
        }
        Command::Delete { id, retain_filesystem, server, output } => {
            let deleted = server.with(async |client| {
                let call = client.deployments().delete(&id).retain_filesystem(retain_filesystem);
                Ok(call.await?.into_inner())
            })?;
            output.print(&deleted, |deleted| match &deleted.snapshot_id {
                Some(snapshot) => format!("deleted {}, kept {snapshot}", deleted.deployment_id),
                None => format!("deleted {}", deleted.deployment_id),
            })
        }
    }
}

/// Reads the body of a request. What is wrong is named with its place in the file.
fn read<T: DeserializeOwned>(path: &PathBuf) -> Result<T, Failure> {
    let (name, text) = if path.as_os_str() == "-" {
        let mut text = String::new();
        ("standard input".to_owned(), std::io::stdin().lock().read_to_string(&mut text).map(|_| text))
    } else {
        (path.display().to_string(), std::fs::read_to_string(path))
    };
    let text = text.map_err(|error| Failure::new(format!("{name} cannot be read: {error}")))?;
    let mut json = serde_json::Deserializer::from_str(&text);
    let refused = |path: &str, error: &serde_json::Error| {
        let place = if path == "." { String::new() } else { format!(" at `{path}`") };
        Failure::new(format!("{name} does not fit{place}: {error}"))
    };
    let request = serde_path_to_error::deserialize(&mut json)
        .map_err(|error| refused(&error.path().to_string(), error.inner()))?;
    json.end().map_err(|error| refused(".", &error))?;
    Ok(request)
}

fn one(deployment: &Deployment) -> String {
    let error = deployment.error.as_ref().map(|error| format!("{}: {}", error.code, error.message));
    record([
        ("deployment", deployment.deployment_id.to_string()),
        ("name", deployment.name.clone()),
        ("customer", deployment.customer_id.clone()),
        ("status", deployment.status.to_string()),
        ("error", or_dash(error.as_ref())),
        ("runtime", deployment.runtime.to_string()),
        ("model", deployment.model.clone()),
        ("thread", deployment.thread_id.to_string()),
        ("events", deployment.events.url.clone()),
        ("created", deployment.created_at.to_string()),
    ])
}

fn many(deployments: &[DeploymentSummary]) -> String {
    let cells = |deployment: &DeploymentSummary| {
        [
            deployment.deployment_id.to_string(),
            deployment.customer_id.clone(),
            deployment.name.clone(),
            deployment.status.to_string(),
            deployment.runtime.to_string(),
            deployment.model.clone(),
            deployment.created_at.to_string(),
        ]
    };
    let head = ["deployment", "customer", "name", "status", "runtime", "model", "created"];
    table(head, deployments.iter().map(cells))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_in_a_file_is_named_with_its_place() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("agent.json");
        std::fs::write(&path, r#"{"customer_id":"c","name":"n","system_prompt":"s","sandbox":{"typ":1}}"#)
            .unwrap();
        let error = read::<CreateDeployment>(&path).unwrap_err().to_string();
        assert!(error.contains("agent.json") && error.contains("`sandbox.typ`"), "{error}");
        assert!(error.contains("line 1"), "{error}");
        std::fs::write(&path, r#"{"customer_id":"c","name":"n","system_prompt":"s"} x"#).unwrap();
        assert!(read::<CreateDeployment>(&path).is_err());
    }
}
