//! `prism doctor`: what agents can run on this machine, and what to do about the rest.

use prism_server_core::adapters::harness::hermes;
use prism_types::{Runtime, SandboxType};
use serde::Serialize;

use crate::{
    config::{Config, Flags},
    data_dir::DataDir,
    failure::Failure,
    output::{Output, table},
    runtime::{self, Hermes},
    serve::sandboxes,
};

/// Say which agents can run on this machine, and for each part that is missing what installs it.
///
/// Looks at the same configuration as `serve`. Ends with code 1 when no real agent can run.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    flags: Flags,
    #[command(flatten)]
    output: Output,
}

/// What was found.
#[derive(Serialize)]
struct Report {
    parts: Vec<Part>,
    agents: Vec<Agent>,
}

/// A part that agents need.
#[derive(Serialize)]
struct Part {
    name: String,
    works: bool,
    /// What is there, or what is wrong.
    found: String,
    /// What to do when it does not work.
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<String>,
}

/// A runtime in a sandbox.
#[derive(Serialize)]
struct Agent {
    runtime: Runtime,
    sandbox: SandboxType,
    works: bool,
    /// Whether deployments that name no type of sandbox get this one.
    default: bool,
}

impl Part {
    fn works(name: impl Into<String>, found: impl Into<String>) -> Self {
        Self { name: name.into(), works: true, found: found.into(), advice: None }
    }

    fn fails(name: impl Into<String>, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { name: name.into(), works: false, found: found.into(), advice: Some(advice.into()) }
    }
}

/// Looks and tells.
pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    let config = Config::resolve(arguments.flags)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new(error.to_string()))?;
    let report = runtime.block_on(look(&config));
    arguments.output.print(&report, text)?;
    let real = |agent: &&Agent| agent.runtime == Runtime::Hermes && agent.works;
    match report.agents.iter().find(real) {
        Some(_) => Ok(()),
        None => Err(Failure::new("no real agent can run on this machine")
            .advice("Install what is missing for one of the sandboxes, see above.")),
    }
}

async fn look(config: &Config) -> Report {
    let data = DataDir::at(&config.data_dir);
    let (container, engine_reached) = containers(config).await;
    let process = processes(&data);
    let all_work = |parts: &[Part]| parts.iter().all(|part| part.works);
    let default = sandboxes::kinds(config, engine_reached).first().copied();
    let agent = |runtime: Runtime, sandbox: SandboxType, works: bool| {
        let default = default.is_some_and(|kind| SandboxType::from(kind) == sandbox);
        Agent { runtime, sandbox, works, default }
    };
    let agents = vec![
        agent(Runtime::Hermes, SandboxType::Docker, all_work(&container)),
        agent(Runtime::Hermes, SandboxType::Process, all_work(&process)),
        agent(Runtime::Scripted, SandboxType::Memory, true),
    ];
    let parts = container.into_iter().chain(process).chain([providers(config)]).collect();
    Report { parts, agents }
}

/// What agents in containers need, and whether there is an engine at all.
async fn containers(config: &Config) -> (Vec<Part>, bool) {
    let engine = "docker: engine";
    let check = match sandboxes::docker(config, "doctor") {
        Ok(docker) => docker.check().await,
        Err(error) => Err(error),
    };
    match check {
        Err(error) => {
            let advice = "apt-get install docker.io, and start it: systemctl start docker";
            (vec![Part::fails(engine, error.to_string(), advice)], false)
        }
        Ok(check) => {
            let mut parts = vec![if check.missing_limits.is_empty() {
                Part::works(engine, format!("version {}", check.version))
            } else {
                let missing = check.missing_limits.join(", ");
                let found = format!("version {}, which cannot limit: {missing}", check.version);
                Part::fails(
                    engine,
                    found,
                    "switch the control groups of these on in the kernel's command line",
                )
            }];
            parts.extend(check.images.into_iter().map(|image| {
                let name = format!("docker: image of {}", image.runtime);
                if image.present {
                    Part::works(name, image.image)
                } else {
                    let advice = "just image, in the source tree; or set `docker.image` to one that is there";
                    Part::fails(name, format!("there is no {}", image.image), advice)
                }
            }));
            (parts, true)
        }
    }
}

/// What agents that are processes need.
fn processes(data: &DataDir) -> Vec<Part> {
    let hermes = Hermes::of(data);
    let name = "process: runtime hermes";
    let installed = if hermes.is_installed() {
        vec![Part::works(name, format!("{hermes} in {}", hermes.directory().display()))]
    } else {
        let python = match runtime::find_python(None) {
            Ok(python) => Part::works("process: Python", python.to_string()),
            Err(_) => Part::fails(
                "process: Python",
                "no Python 3.11 to 3.13 with the module `venv`",
                "apt-get install python3 python3-venv",
            ),
        };
        let found = format!("{} is not installed", hermes::REQUIREMENT);
        vec![python, Part::fails(name, found, "prism runtime install hermes")]
    };
    let tools = ["setsid", "prlimit"].map(|tool| {
        let name = format!("process: {tool}");
        match on_the_path(tool) {
            Some(path) => Part::works(name, path.display().to_string()),
            None => Part::fails(name, "not on the PATH", "apt-get install util-linux"),
        }
    });
    installed.into_iter().chain(tools).collect()
}

fn providers(config: &Config) -> Part {
    let name = "model providers";
    let names: Vec<_> = config.providers.keys().map(String::as_str).collect();
    if names.is_empty() {
        let advice =
            "set PRISM_MODEL_BASE_URL and PRISM_MODEL_API_KEY, or `providers` in the configuration file";
        return Part::fails(name, "none: agents have no model", advice);
    }
    let missing: Vec<_> = config
        .providers
        .iter()
        .filter_map(|(name, provider)| provider.resolve(name).err())
        .map(|failure| failure.to_string())
        .collect();
    match missing.as_slice() {
        [] => Part::works(name, names.join(", ")),
        missing => Part::fails(name, missing.join("; "), "bring the keys to where the configuration says"),
    }
}

fn on_the_path(program: &str) -> Option<std::path::PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|directory| directory.join(program)).find(|file| file.is_file())
}

fn text(report: &Report) -> String {
    let mark = |works: bool| if works { "yes" } else { "NO" }.to_owned();
    let parts = table(
        ["part", "works", "found", "what to do"],
        report.parts.iter().map(|part| {
            [part.name.clone(), mark(part.works), part.found.clone(), part.advice.clone().unwrap_or_default()]
        }),
    );
    let agents = table(
        ["agent", "sandbox", "works", ""],
        report.agents.iter().map(|agent| {
            let default = if agent.default { "the default" } else { "" };
            [agent.runtime.to_string(), agent.sandbox.to_string(), mark(agent.works), default.to_owned()]
        }),
    );
    format!("{parts}\n\n{agents}")
}
