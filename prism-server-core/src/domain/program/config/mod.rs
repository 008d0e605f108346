//! The config of a program: how it is installed and started, what it asks for, and what it may.
//!
//! It is what `nullspace.agent.toml` says without its part `bundle`. The names of fields are those of that file.

mod parse;
#[cfg(test)]
mod tests;

use std::time::Duration;

use prism_types::Problem;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::path::{OutputPath, SandboxPath};
use crate::domain::words;

/// How a program is run. A version never changes its config.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(clippy::exhaustive_structs, reason = "a record: stores build it from its columns")]
pub struct ProgramConfig {
    /// The name in the file, 1 to 128 characters. The deployment has one of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether it ends by itself. `job` when it is left out.
    #[serde(default)]
    pub mode: Mode,
    /// What the sandbox is made from, `base` when it is left out.
    #[serde(default = "base")]
    pub template: String,
    /// The directory that it works in, `/workspace/project` when it is left out.
    #[serde(default = "SandboxPath::project")]
    pub workdir: SandboxPath,
    /// A command of the shell that is run before the entrypoint, at most 64 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub install: Option<String>,
    /// The command of the shell that is the program, at most 64 KiB.
    pub entrypoint: String,
    /// The names of the variables that it asks for.
    #[serde(default)]
    pub env: EnvNames,
    /// What it asks for.
    #[serde(default)]
    pub resources: Resources,
    /// What it may.
    #[serde(default)]
    pub permissions: Permissions,
    /// Where it listens; always there when the mode is `service`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceSpec>,
    /// What is done for whoever looks for a mistake.
    #[serde(default)]
    pub debug: Debugging,
    /// What it leaves.
    #[serde(default)]
    pub outputs: OutputPaths,
}

words! {
    /// Whether a program ends by itself.
    #[derive(Default)]
    pub enum Mode {
        /// It is run, and ends.
        #[default]
        Job = "job",
        /// It listens on a port until it is stopped.
        Service = "service",
    }
}

/// The names of the environment variables that a program asks for. Values are never part of a config.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(clippy::exhaustive_structs, reason = "a record: stores build it from its columns")]
pub struct EnvNames {
    /// Those that each run and service has to be given.
    #[serde(default)]
    pub required: Vec<String>,
    /// Those that it can be given.
    #[serde(default)]
    pub optional: Vec<String>,
}

/// What a program asks for. What is left out is the server's default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(clippy::exhaustive_structs, reason = "a record: stores build it from its columns")]
pub struct Resources {
    /// Processors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vcpus: Option<u32>,
    /// Memory, in MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_mb: Option<u32>,
    /// Disk, in MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_mb: Option<u32>,
    /// How long it may run, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<u32>,
}

/// What a program may. What it asks for in [`Resources`] is within the maxima, where there are some.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(clippy::exhaustive_structs, reason = "a record: stores build it from its columns")]
pub struct Permissions {
    /// Whether it reaches the internet; `None`: the server's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub internet_access: Option<bool>,
    /// Whether a ready service has a public URL. Not when it is left out.
    #[serde(default)]
    pub public_url: bool,
    /// Whether whoever has that URL may use it without another token. So it is when it is left out.
    #[serde(default = "yes")]
    pub allow_public_traffic: bool,
    /// Whether the sandbox is kept when it fails; see [`ProgramConfig::retain_on_failure`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retain_on_failure: Option<bool>,
    /// Most processors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_vcpus: Option<u32>,
    /// Most memory, in MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_memory_mb: Option<u32>,
    /// Largest disk, in MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_disk_mb: Option<u32>,
    /// Longest time, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_timeout_seconds: Option<u32>,
}

/// Where a service listens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(clippy::exhaustive_structs, reason = "a record: stores build it from its columns")]
pub struct ServiceSpec {
    /// The port, not 0.
    pub port: u16,
    /// How it is found out whether it is ready; [`ServiceSpec::readiness`] has the default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub readiness: Option<Readiness>,
}

/// How it is found out whether a service is ready.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(clippy::exhaustive_structs, reason = "a record: stores build it from its columns")]
pub struct Readiness {
    /// What is looked at.
    #[serde(rename = "type")]
    pub kind: ReadinessKind,
    /// What is asked for by HTTP; see [`Readiness::path`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// How long it may take to become ready, in seconds; see [`Readiness::timeout`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<u32>,
    /// The time between two looks, in seconds; see [`Readiness::interval`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval_seconds: Option<u32>,
    /// The time before the first look, in seconds; see [`Readiness::initial_delay`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initial_delay_seconds: Option<u32>,
    /// How many looks in a row have to fail; see [`Readiness::failures`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_threshold: Option<u32>,
    /// Fields that are not known. They are kept, and nothing else.
    #[serde(flatten)]
    pub further: Map<String, Value>,
}

words! {
    /// What is looked at to find out whether a service is ready.
    pub enum ReadinessKind {
        /// A `GET` of its path is answered with a status from 200 to 399.
        Http = "http",
        /// Its port takes a connection.
        Tcp = "tcp",
        /// It is still there when the time is over.
        Timeout = "timeout",
    }
}

/// What is done for whoever looks for a mistake.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(clippy::exhaustive_structs, reason = "a record: stores build it from its columns")]
pub struct Debugging {
    /// Whether the sandbox is kept when it fails; see [`ProgramConfig::retain_on_failure`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retain_on_failure: Option<bool>,
    /// For how long it is kept then, in seconds; see [`ProgramConfig::retention`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retain_seconds: Option<u32>,
}

/// What a program leaves.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(clippy::exhaustive_structs, reason = "a record: stores build it from its columns")]
pub struct OutputPaths {
    /// Files and directories.
    #[serde(default)]
    pub paths: Vec<OutputPath>,
}

/// The mode that a word names, or why it names none.
pub(crate) fn mode(word: &str) -> Result<Mode, String> {
    parse::mode(word)
}

/// The name of a variable that a program can be given, or why it cannot.
pub(crate) fn variable(name: &str) -> Result<String, String> {
    parse::variable(name)
}

impl ProgramConfig {
    /// How long a sandbox is kept after a failure, when the config does not say.
    pub const RETENTION: Duration = Duration::from_secs(60 * 60);

    /// Reads the `config` of a request. A field that may be left out may be `null` as well.
    ///
    /// # Errors
    /// With every rule that is broken, 50 at most, each with its path from `$.config` on.
    pub fn parse(config: &Value) -> Result<Self, Vec<Problem>> {
        parse::config(config)
    }

    /// Whether the sandbox is kept when the program fails: what `debug` says, or else `permissions`. Not, when both
    /// say nothing.
    pub fn retain_on_failure(&self) -> bool {
        self.debug.retain_on_failure.or(self.permissions.retain_on_failure).unwrap_or(false)
    }

    /// For how long it is kept then, an hour when the config does not say.
    pub fn retention(&self) -> Duration {
        self.debug.retain_seconds.map_or(Self::RETENTION, |seconds| Duration::from_secs(seconds.into()))
    }
}

impl Default for Permissions {
    fn default() -> Self {
        Self {
            internet_access: None,
            public_url: false,
            allow_public_traffic: true,
            retain_on_failure: None,
            max_vcpus: None,
            max_memory_mb: None,
            max_disk_mb: None,
            max_timeout_seconds: None,
        }
    }
}

impl ServiceSpec {
    /// How it is found out whether it is ready: by connecting to its port, when the config does not say.
    pub fn readiness(&self) -> Readiness {
        self.readiness.clone().unwrap_or_else(|| Readiness::of(ReadinessKind::Tcp))
    }
}

impl Readiness {
    /// A check with the defaults of its kind.
    pub fn of(kind: ReadinessKind) -> Self {
        Self {
            kind,
            path: None,
            timeout_seconds: None,
            interval_seconds: None,
            initial_delay_seconds: None,
            failure_threshold: None,
            further: Map::new(),
        }
    }

    /// What is asked for by HTTP, `/` when the config does not say. Other kinds do not look at it.
    pub fn path(&self) -> &str {
        self.path.as_deref().unwrap_or("/")
    }

    /// How long the service may take to become ready, 60 s when the config does not say. For the kind `timeout`, how
    /// long it has to live until it counts as ready, 10 s then.
    pub fn timeout(&self) -> Duration {
        let default = if self.kind == ReadinessKind::Timeout { 10 } else { 60 };
        seconds(self.timeout_seconds, default)
    }

    /// The time between two looks, 1 s when the config does not say.
    pub fn interval(&self) -> Duration {
        seconds(self.interval_seconds, 1)
    }

    /// The time before the first look, none when the config does not say. It is part of [`timeout`](Self::timeout).
    pub fn initial_delay(&self) -> Duration {
        seconds(self.initial_delay_seconds, 0)
    }

    /// How many looks in a row have to fail for a ready service to be unhealthy, 3 when the config does not say.
    pub fn failures(&self) -> u32 {
        self.failure_threshold.unwrap_or(3)
    }
}

fn seconds(given: Option<u32>, default: u32) -> Duration {
    Duration::from_secs(given.unwrap_or(default).into())
}

fn base() -> String {
    "base".to_owned()
}

fn yes() -> bool {
    true
}
