//! `prism skills`.

use std::{fs, io, io::Read, path::PathBuf};

use clap::Subcommand;
use prism_client::types::{DeploymentId, Skill, SkillDetails, SkillId, SkillInfo, UpdateSkill};

use super::Server;
use crate::{
    failure::Failure,
    output::{Output, harmless, or_dash, record, table},
};

/// List the skills of a deployment, add, read, update and remove them.
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
    /// Add a skill, which is used from the next run on.
    Add {
        /// The deployment, such as dep_7xK9s2.
        deployment: DeploymentId,
        /// The skill's name.
        name: String,
        #[command(flatten)]
        from: From,
        #[command(flatten)]
        server: Server,
        #[command(flatten)]
        output: Output,
    },
    /// Print a skill with its content.
    Get(One),
    /// Replace where a skill comes from; without a source, read it again from where it does.
    Update {
        #[command(flatten)]
        from: From,
        #[command(flatten)]
        one: One,
    },
    /// Remove a skill.
    Remove(One),
}

#[derive(Debug, clap::Args)]
struct One {
    /// The deployment, such as dep_7xK9s2.
    deployment: DeploymentId,
    /// The skill, such as skl_Zz9.
    skill: SkillId,
    #[command(flatten)]
    server: Server,
    #[command(flatten)]
    output: Output,
}

/// Where a skill comes from.
#[derive(Debug, clap::Args)]
#[group(multiple = false)]
struct From {
    /// A file on this machine, whose content is sent; `-`: standard input.
    #[arg(long, value_name = "FILE")]
    content: Option<PathBuf>,
    /// A public URL that the server fetches.
    #[arg(long)]
    url: Option<String>,
    /// A file of the deployment's workspace.
    #[arg(long, value_name = "PATH")]
    path: Option<String>,
}

/// Does what the command says.
pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    match arguments.command {
        Command::List { deployment, server, output } => {
            let skills = server.with(async |client| {
                Ok(client.deployment(&deployment).skills().list().await?.into_inner().data)
            })?;
            output.print(&skills, |skills| many(skills))
        }
        Command::Add { deployment, name, from, server, output } => {
            let skill = from.new_skill(name)?;
            let added = server.with(async |client| {
                Ok(client.deployment(&deployment).skills().add(skill).await?.into_inner())
            })?;
            output.print(&added, one)
        }
        Command::Get(One { deployment, skill, server, output }) => {
            let read = server.with(async |client| {
                Ok(client.deployment(&deployment).skills().get(&skill).await?.into_inner())
            })?;
            output.print(&read, details)
        }
        Command::Update { from, one: One { deployment, skill, server, output } } => {
            let update = from.update()?;
            let updated = server.with(async |client| {
                Ok(client.deployment(&deployment).skills().update(&skill, update).await?.into_inner())
            })?;
            output.print(&updated, |updated| one(&updated.info))
        }
        Command::Remove(One { deployment, skill, server, output }) => {
            let removed = server.with(async |client| {
                Ok(client.deployment(&deployment).skills().remove(&skill).await?.into_inner())
            })?;
            output.print(&removed, |removed| format!("removed {}", removed.skill_id))
        }
    }
}

impl From {
    fn new_skill(self, name: String) -> Result<Skill, Failure> {
        match self {
            Self { content: Some(file), .. } => Ok(Skill::inline(name, read(&file)?)),
            Self { url: Some(url), .. } => Ok(Skill::url(name, url)),
            Self { path: Some(path), .. } => Ok(Skill::file(name, path)),
            _ => Err(Failure::usage("a skill needs --content, --url or --path")),
        }
    }

    fn update(self) -> Result<UpdateSkill, Failure> {
        Ok(match self {
            Self { content: Some(file), .. } => UpdateSkill::inline(read(&file)?),
            Self { url: Some(url), .. } => UpdateSkill::url(url),
            Self { path: Some(path), .. } => UpdateSkill::file(path),
            _ => UpdateSkill::again(),
        })
    }
}

fn read(file: &PathBuf) -> Result<String, Failure> {
    let read = if file.as_os_str() == "-" {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        fs::read_to_string(file)
    };
    read.map_err(|error| Failure::new(format!("{} cannot be read: {error}", file.display())))
}

fn one(skill: &SkillInfo) -> String {
    record(fields(skill))
}

fn details(skill: &SkillDetails) -> String {
    let [id, name, source, state, description, created] = fields(&skill.info);
    let from = ("from", or_dash(skill.path.as_ref().or(skill.url.as_ref())));
    let head = record([id, name, source, from, state, description, created]);
    format!("{head}\n\n{}", harmless(skill.content.as_deref().unwrap_or_default()).trim_end())
}

fn fields(skill: &SkillInfo) -> [(&'static str, String); 6] {
    [
        ("skill", skill.skill_id.to_string()),
        ("name", skill.name.clone()),
        ("source", skill.source.to_string()),
        ("state", skill.state.to_string()),
        ("description", or_dash(about(skill).as_ref())),
        ("created", skill.created_at.to_string()),
    ]
}

fn many(skills: &[SkillInfo]) -> String {
    let cells = |skill: &SkillInfo| {
        [
            skill.skill_id.to_string(),
            skill.name.clone(),
            skill.source.to_string(),
            skill.state.to_string(),
            or_dash(about(skill).as_ref()),
        ]
    };
    table(["skill", "name", "source", "state", "description"], skills.iter().map(cells))
}

/// Why it cannot be used, or else what it is for.
fn about(skill: &SkillInfo) -> Option<String> {
    let error = skill.error.as_ref().map(|error| format!("{}: {}", error.code, error.message));
    error.or_else(|| skill.description.clone())
}
