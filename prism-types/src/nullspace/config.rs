//! How a version is run: what `nullspace.agent.toml` says, without its part `bundle`.

use serde::{Deserialize, Deserializer};

use super::EnvSpec;
use crate::{UnknownFields, macros::setters, open_enum::open_enum, unknown_fields::answer};

open_enum! {
    /// How a deployment is run. `worker`, `triggered`, `workspace` and `interactive` are reserved, and refused by servers.
    pub enum AgentMode {
        /// As runs: each has an input, works, and ends.
        Job = "job",
        /// As services: each listens on a port until it is stopped.
        Service = "service",
    }
}

open_enum! {
    /// What shows that a service is ready.
    pub enum ReadinessType {
        /// A `GET` of a path is answered with 2xx or 3xx.
        Http = "http",
        /// Connections to the port are taken.
        Tcp = "tcp",
        /// A time has passed.
        Timeout = "timeout",
    }
}

answer! {
    /// How a version is run.
    ///
    /// It has the sections of `nullspace.agent.toml` but `bundle`, which stays with the
    /// [`BundleManifest`](super::BundleManifest). A section that is `null` is read as one that is left out.
    pub struct AgentConfig {
        /// The name of the deployment, 1 to 128 characters. A version does not need it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub name: Option<String>,
        /// Whether it is run as jobs or as services: the mode of the deployment. Default: `job`.
        #[serde(default = "default_mode")]
        pub mode: AgentMode,
        /// The template of its sandboxes. Default: `base`.
        #[serde(default = "default_template")]
        pub template: String,
        /// The directory in which its commands are run, absolute. Default: `/workspace/project`.
        #[serde(default = "default_workdir")]
        pub workdir: String,
        /// The shell command that installs its dependencies.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub install: Option<String>,
        /// The shell command that is the agent.
        pub entrypoint: String,
        /// The names of the environment variables that it takes. Literal values are refused.
        #[serde(default, deserialize_with = "or_default")]
        pub env: EnvSpec,
        /// The resources of its sandboxes.
        #[serde(default, deserialize_with = "or_default")]
        pub resources: Resources,
        /// What it may do.
        #[serde(default, deserialize_with = "or_default")]
        pub permissions: Permissions,
        /// How it is reached as a service.
        #[serde(default, deserialize_with = "or_default")]
        pub service: ServiceSettings,
        /// What is kept of it when it failed.
        #[serde(default, deserialize_with = "or_default")]
        pub debug: DebugSettings,
        /// What a run leaves behind.
        #[serde(default, deserialize_with = "or_default")]
        pub outputs: Outputs,
    }
}

impl AgentConfig {
    /// An agent that is run as jobs, with every optional field at its default.
    pub fn job(name: impl Into<String>, entrypoint: impl Into<String>) -> Self {
        Self {
            name: Some(name.into()),
            mode: default_mode(),
            template: default_template(),
            workdir: default_workdir(),
            install: None,
            entrypoint: entrypoint.into(),
            env: EnvSpec::default(),
            resources: Resources::default(),
            permissions: Permissions::default(),
            service: ServiceSettings::default(),
            debug: DebugSettings::default(),
            outputs: Outputs::default(),
            unknown_fields: UnknownFields::default(),
        }
    }

    /// An agent that is run as services, which listen on `0.0.0.0` and this port, 1 to 65535.
    pub fn service(name: impl Into<String>, entrypoint: impl Into<String>, port: u16) -> Self {
        let mut config = Self::job(name, entrypoint);
        config.mode = AgentMode::Service;
        config.service.port = Some(port);
        config
    }

    /// Names the environment variables without which it is not started.
    #[must_use]
    pub fn requires<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.env = self.env.required(names);
        self
    }

    /// Says what shows that a service is ready.
    #[must_use]
    pub fn readiness(mut self, probe: ReadinessProbe) -> Self {
        self.service.readiness = Some(probe);
        self
    }
}

setters!(AgentConfig {
    /// Sets the template of its sandboxes.
    template: String,
    /// Sets the directory in which its commands are run, absolute.
    workdir: String,
    /// Sets the shell command that installs its dependencies.
    install?: String,
    /// Sets the names of the environment variables that it takes.
    env: EnvSpec,
    /// Sets the resources of its sandboxes.
    resources: Resources,
    /// Sets what it may do.
    permissions: Permissions,
    /// Sets what is kept of it when it failed.
    debug: DebugSettings,
    /// Sets what a run leaves behind.
    outputs: Outputs,
});

answer! {
    /// The resources of a sandbox; what is not set is the server's choice. All numbers are positive.
    #[derive(Default)]
    pub struct Resources {
        /// Virtual processors.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub vcpus: Option<u32>,
        /// Memory, in megabytes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub memory_mb: Option<u64>,
        /// Disk, in megabytes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub disk_mb: Option<u64>,
        /// How long a run may take, in seconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub timeout_seconds: Option<u64>,
    }
}

setters!(Resources {
    /// Sets the virtual processors.
    vcpus?: u32,
    /// Sets the memory, in megabytes.
    memory_mb?: u64,
    /// Sets the disk, in megabytes.
    disk_mb?: u64,
    /// Sets how long a run may take, in seconds.
    timeout_seconds?: u64,
});

answer! {
    /// What an agent may do; what is not set is the server's choice. `volumes`, `pty` and `debug` are reserved.
    #[derive(Default)]
    pub struct Permissions {
        /// Reach the internet.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub internet_access: Option<bool>,
        /// Have a public URL while it is a service that is ready.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub public_url: Option<bool>,
        /// Be reached at its public URL without a token of its sandbox.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub allow_public_traffic: Option<bool>,
        /// Hosts that it may reach, where that is limited.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub allow_out: Vec<String>,
        /// Hosts that it may not reach.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub deny_out: Vec<String>,
        /// Have its sandbox kept when it failed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub retain_on_failure: Option<bool>,
        /// Have a desktop.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub desktop: Option<bool>,
        /// At most so many virtual processors.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub max_vcpus: Option<u32>,
        /// At most so much memory, in megabytes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub max_memory_mb: Option<u64>,
        /// At most so much disk, in megabytes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub max_disk_mb: Option<u64>,
        /// At most so many seconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub max_timeout_seconds: Option<u64>,
    }
}

setters!(Permissions {
    /// Lets it reach the internet, or not.
    internet_access?: bool,
    /// Gives it a public URL, or none.
    public_url?: bool,
    /// Lets it be reached there without a token of its sandbox, or not.
    allow_public_traffic?: bool,
    /// Replaces the hosts that it may reach.
    allow_out[
        /// Adds a host that it may reach.
        allow_host
    ]: String,
    /// Replaces the hosts that it may not reach.
    deny_out[
        /// Adds a host that it may not reach.
        deny_host
    ]: String,
    /// Has its sandbox kept when it failed, or not.
    retain_on_failure?: bool,
    /// Gives it a desktop, or none.
    desktop?: bool,
    /// Sets the most virtual processors.
    max_vcpus?: u32,
    /// Sets the most memory, in megabytes.
    max_memory_mb?: u64,
    /// Sets the most disk, in megabytes.
    max_disk_mb?: u64,
    /// Sets the most seconds.
    max_timeout_seconds?: u64,
});

answer! {
    /// How a service is reached.
    #[derive(Default)]
    pub struct ServiceSettings {
        /// The port on which it listens, 1 to 65535; required in the mode `service`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub port: Option<u16>,
        /// What shows that it is ready.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub readiness: Option<ReadinessProbe>,
    }
}

answer! {
    /// What shows that a service is ready.
    #[derive(Default)]
    pub struct ReadinessProbe {
        /// What is looked at; read from `kind` as well.
        #[serde(rename = "type", alias = "kind", default, skip_serializing_if = "Option::is_none")]
        pub probe: Option<ReadinessType>,
        /// The path of an HTTP probe; it begins with `/`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub path: Option<String>,
        /// How long it may take to become ready, in seconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub timeout_seconds: Option<u64>,
    }
}

impl ReadinessProbe {
    /// A `GET` of this path is answered with 2xx or 3xx.
    pub fn http(path: impl Into<String>) -> Self {
        Self { probe: Some(ReadinessType::Http), path: Some(path.into()), ..Self::default() }
    }

    /// Connections to the port are taken.
    pub fn tcp() -> Self {
        Self { probe: Some(ReadinessType::Tcp), ..Self::default() }
    }

    /// So many seconds have passed.
    pub fn after(seconds: u64) -> Self {
        Self { probe: Some(ReadinessType::Timeout), timeout_seconds: Some(seconds), ..Self::default() }
    }
}

setters!(ReadinessProbe {
    /// Sets how long it may take, in seconds.
    timeout_seconds?: u64,
});

answer! {
    /// What is kept of an agent when it failed.
    #[derive(Default)]
    pub struct DebugSettings {
        /// Keep the sandbox.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub retain_on_failure: Option<bool>,
        /// For how long, in seconds; a server that is not told keeps it for 3,600.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub retain_seconds: Option<u64>,
    }
}

setters!(DebugSettings {
    /// Keeps the sandbox, or not.
    retain_on_failure?: bool,
    /// Sets for how long, in seconds.
    retain_seconds?: u64,
});

answer! {
    /// What a run leaves behind.
    #[derive(Default)]
    pub struct Outputs {
        /// Files and directories, absolute or below the working directory, without `.` and `..`.
        #[serde(default)]
        pub paths: Vec<String>,
    }
}

setters!(Outputs {
    /// Replaces the files and directories.
    paths[
        /// Adds a file or a directory.
        path
    ]: String,
});

fn default_mode() -> AgentMode {
    AgentMode::Job
}

fn default_template() -> String {
    "base".to_owned()
}

fn default_workdir() -> String {
    "/workspace/project".to_owned()
}

/// Reads `null` as nothing.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_section_is_written_as_the_vendors_sdk_writes_it() {
        let written = serde_json::to_value(AgentConfig::job("demo", "python main.py")).unwrap();
        let expected = json!({
            "name": "demo", "mode": "job", "template": "base", "workdir": "/workspace/project",
            "entrypoint": "python main.py", "env": { "required": [], "optional": [] }, "resources": {},
            "permissions": {}, "service": {}, "debug": {}, "outputs": { "paths": [] },
        });
        assert_eq!(written, expected);
    }

    #[test]
    fn the_vendors_null_is_read_as_nothing_and_reserved_fields_are_kept() {
        let text = r#"{"name":null,"mode":"worker","install":null,"entrypoint":"x","env":null,"permissions":{"pty":true},
            "service":{"port":80,"readiness":{"kind":"http","path":"/","every":2}}}"#;
        let config: AgentConfig = serde_json::from_str(text).unwrap();
        assert!(config.name.is_none() && config.install.is_none() && !config.mode.is_known());
        assert_eq!(config.permissions.unknown_fields().get("pty").unwrap().get(), "true");
        let probe = config.service.readiness.unwrap();
        assert_eq!(probe.probe, Some(ReadinessType::Http));
        assert_eq!(probe.unknown_fields().get("every").unwrap().get(), "2");
    }

    #[test]
    fn a_port_is_one_to_65535() {
        for (port, fits) in [("0", true), ("65535", true), ("65536", false), ("-1", false)] {
            let text = format!(r#"{{"port":{port}}}"#);
            assert_eq!(serde_json::from_str::<ServiceSettings>(&text).is_ok(), fits, "{port}");
        }
    }
}
