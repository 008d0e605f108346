//! `prism skills`.

use clap::Subcommand;
use prism_client::types::{DeploymentId, SkillInfo};

use super::Server;
use crate::{
    failure::Failure,
    output::{Output, or_dash, table},
};

/// List the skills of a deployment.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List skills, and whether each can be used.
    List {
        /// The deployment, such as dep_7xK9s2.
        deployment: DeploymentId,
        #[command(flatten)]
        server: Server,
        #[command(flatten)]
        output: Output,
    },
}

/// Does what the command says.
pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    let Command::List { deployment, server, output } = arguments.command;
    let skills = server
        .with(async |client| Ok(client.deployment(&deployment).skills().list().await?.into_inner().data))?;
    output.print(&skills, |skills| many(skills))
}

fn many(skills: &[SkillInfo]) -> String {
    let cells = |skill: &SkillInfo| {
        let about = skill.error.as_ref().map(|error| format!("{}: {}", error.code, error.message));
        let about = about.or_else(|| skill.description.clone());
        [skill.name.clone(), skill.source.to_string(), skill.state.to_string(), or_dash(about.as_ref())]
    };
    table(["name", "source", "state", "description"], skills.iter().map(cells))
}
