//! The sandboxes and the harness of a server, as the configuration and the machine have them.

use std::sync::Arc;

use prism_server_core::{
    Builder,
    adapters::{
        harness::hermes::{self, HermesHarness},
        sandbox::{DockerSandbox, ProcessSandbox, docker::DockerLimits},
    },
    ports::SandboxError,
};
use prism_types::{Runtime, SandboxType};

use crate::{
    config::{Config, SandboxKind},
    data_dir::DataDir,
    failure::Failure,
    runtime::Hermes,
};

/// Adds what runs real agents, and answers the kind of sandbox of deployments that name none.
///
/// # Errors
/// When the configuration asks for a part that this machine does not have.
pub(super) async fn equip(
    mut builder: Builder,
    config: &Config,
    data: &DataDir,
) -> Result<(Builder, SandboxType), Failure> {
    let docker = docker(config, &data.identity()?).map(Arc::new);
    let check = match &docker {
        Ok(docker) => docker.check().await,
        Err(error) => Err(SandboxError::Unavailable(error.to_string())),
    };
    let kinds = kinds(config, check.is_ok());
    for kind in &kinds {
        builder = match kind {
            SandboxKind::Docker => {
                let refused = |error: SandboxError| {
                    Failure::new(error.to_string()).advice("`prism doctor` says what this machine lacks.")
                };
                for image in check.as_ref().map_err(|error| refused(error.clone()))?.images.iter() {
                    if !image.present {
                        tracing::warn!(
                            image = image.image,
                            "the image of an agent is missing; `just image` builds it"
                        );
                    }
                }
                builder.shared_sandbox(docker.as_ref().map_err(|error| refused(error.clone()))?.clone())
            }
            SandboxKind::Process => {
                tracing::warn!("agents can run as processes, which are not isolated from this machine");
                let python = Hermes::of(data).python();
                builder.sandbox(ProcessSandbox::new(data.processes()).interpreter(Runtime::Hermes, python))
            }
        };
    }
    let default = kinds.first().copied().map_or_else(SandboxType::default, SandboxType::from);
    Ok((builder.harness(HermesHarness::new(data.agents())), default))
}

/// The kinds of sandboxes, the default first.
pub(crate) fn kinds(config: &Config, engine_reached: bool) -> Vec<SandboxKind> {
    let found = if engine_reached { SandboxKind::Docker } else { SandboxKind::Process };
    config.sandboxes.clone().unwrap_or_else(|| vec![found])
}

/// The sandboxes of the engine that the environment names, or else of the one of this machine.
///
/// # Errors
/// When its address cannot be used.
pub(crate) fn docker(config: &Config, identity: &str) -> Result<DockerSandbox, SandboxError> {
    let settings = &config.docker;
    let image = settings.image.clone().unwrap_or_else(|| format!("prism-hermes:{}", hermes::VERSION));
    let mut limits = DockerLimits::default();
    if let Some(mebibytes) = settings.memory {
        limits = limits.memory(u64::from(mebibytes.get()) << 20);
    }
    if let Some(cpus) = settings.cpus {
        limits = limits.cpus(f64::from(cpus.get()));
    }
    if let Some(processes) = settings.processes {
        limits = limits.processes(processes.get());
    }
    let mut docker = DockerSandbox::connect(identity)?.image(Runtime::Hermes, image).limits(limits);
    if let Some(image) = &settings.base_image {
        docker = docker.template("base", image);
    }
    if let Some(network) = &settings.network {
        docker = docker.network(network);
    }
    Ok(docker)
}

impl From<SandboxKind> for SandboxType {
    fn from(kind: SandboxKind) -> Self {
        match kind {
            SandboxKind::Docker => Self::Docker,
            SandboxKind::Process => Self::Process,
        }
    }
}
