//! What is in a sandbox: files, processes, and whether a port answers.

use serde::{Deserialize, Serialize};

use super::SandboxId;
use crate::{Timestamp, UnknownFields, macros::setters, open_enum::open_enum, unknown_fields::answer};

open_enum! {
    /// What is at a path of a sandbox.
    pub enum SandboxFileType {
        /// A file.
        File = "file",
        /// A directory.
        Directory = "dir",
        /// A link, a socket, or something else that is neither.
        Other = "other",
    }
}

answer! {
    /// A file, a directory or a link of a sandbox.
    pub struct SandboxFile {
        /// Its name.
        pub name: String,
        /// Its path, which begins with `/workspace`.
        pub path: String,
        /// Whether it is a directory.
        #[serde(default)]
        pub is_dir: bool,
        /// How long a file is, in bytes.
        #[serde(default)]
        pub size: u64,
        /// What it is.
        #[serde(rename = "type", default)]
        pub kind: Option<SandboxFileType>,
        /// When it was changed last.
        #[serde(default)]
        pub modified_time: Option<Timestamp>,
    }
}

impl SandboxFile {
    /// What is at a path.
    pub fn new(path: impl Into<String>, kind: SandboxFileType, size: u64, modified_time: Timestamp) -> Self {
        let path = path.into();
        Self {
            name: path.rsplit('/').next().unwrap_or_default().to_owned(),
            is_dir: kind == SandboxFileType::Directory,
            path,
            size,
            kind: Some(kind),
            modified_time: Some(modified_time),
            unknown_fields: UnknownFields::default(),
        }
    }
}

answer! {
    /// Whether something is at a path.
    pub struct SandboxFileExists {
        /// Whether it is there.
        pub exists: bool,
    }
}

impl SandboxFileExists {
    /// Whether it is there.
    pub fn new(exists: bool) -> Self {
        Self { exists, unknown_fields: UnknownFields::default() }
    }
}

answer! {
    /// A process that was started in the background of a sandbox.
    pub struct SandboxProcess {
        /// Its number, which is that of its process group.
        pub pid: u32,
        /// What it was started as.
        #[serde(default)]
        pub command: String,
        /// Whether it has not ended.
        #[serde(default)]
        pub running: bool,
    }
}

impl SandboxProcess {
    /// A process.
    pub fn new(pid: u32, command: impl Into<String>, running: bool) -> Self {
        Self { pid, command: command.into(), running, unknown_fields: UnknownFields::default() }
    }
}

answer! {
    /// What a process in the background wrote last, at most a mebibyte of each, and how it ended.
    pub struct SandboxProcessLogs {
        /// Both, first what it wrote to its standard output.
        #[serde(default)]
        pub output: String,
        /// What it wrote to its standard output; what is no UTF-8 is replaced.
        #[serde(default)]
        pub stdout: String,
        /// What it wrote to its standard error, likewise.
        #[serde(default)]
        pub stderr: String,
        /// Its status; `null` while it runs.
        #[serde(default)]
        pub exit_code: Option<i32>,
    }
}

impl SandboxProcessLogs {
    /// What it wrote, and how it ended.
    pub fn new(stdout: impl Into<String>, stderr: impl Into<String>, exit_code: Option<i32>) -> Self {
        let (stdout, stderr) = (stdout.into(), stderr.into());
        let output = format!("{stdout}{stderr}");
        Self { output, stdout, stderr, exit_code, unknown_fields: UnknownFields::default() }
    }
}

open_enum! {
    /// What is looked for at a port.
    pub enum PortProbeKind {
        /// That it takes connections.
        Tcp = "tcp",
        /// That it answers a `GET` with 2xx or 3xx.
        Http = "http",
    }
}

/// The body of `POST /v1/sandboxes/{sandbox_id}/ports/{port}/readiness`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct ProbePort {
    /// What is looked for. Default: `tcp`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "PortProbeKind"))]
    pub kind: Option<PortProbeKind>,
    /// What is read with `http`. Default: `/`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub path: Option<String>,
    /// How long it is looked, in seconds, 1 to 300. Default: 30.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "u32"))]
    pub timeout_secs: Option<u32>,
    /// The time between two looks, in milliseconds, 50 to 60,000. Default: 500.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "u32"))]
    pub interval_ms: Option<u32>,
}

impl ProbePort {
    /// Looks whether it takes connections.
    pub fn tcp() -> Self {
        Self { kind: Some(PortProbeKind::Tcp), ..Self::default() }
    }

    /// Looks whether it answers a `GET` of this path.
    pub fn http(path: impl Into<String>) -> Self {
        Self { kind: Some(PortProbeKind::Http), path: Some(path.into()), ..Self::default() }
    }
}

setters!(ProbePort {
    /// Sets how long it is looked, in seconds.
    timeout_secs?: u32,
    /// Sets the time between two looks, in milliseconds.
    interval_ms?: u32,
});

answer! {
    /// What was found at a port.
    pub struct PortReadiness {
        /// Whether it was as it was looked for.
        pub ready: bool,
        /// Whether the server reaches the sandbox.
        #[serde(default)]
        pub route_ready: bool,
        /// Whether the port answers.
        #[serde(default)]
        pub service_ready: bool,
        /// The sandbox.
        pub sandbox_id: SandboxId,
        /// The port.
        pub port: u16,
        /// What was looked for.
        #[serde(default)]
        pub kind: Option<PortProbeKind>,
        /// What was read with `http`.
        #[serde(default)]
        pub path: Option<String>,
        /// When it was looked last.
        #[serde(default)]
        pub checked_at: Option<Timestamp>,
        /// How long it was looked, in milliseconds.
        #[serde(default)]
        pub elapsed_ms: u64,
        /// How often it was looked.
        #[serde(default)]
        pub attempts: u32,
        /// What the last look found instead.
        #[serde(default)]
        pub error: Option<String>,
    }
}

impl PortReadiness {
    /// Whether a port of a sandbox is ready.
    pub fn new(sandbox_id: SandboxId, port: u16, ready: bool) -> Self {
        Self {
            ready,
            route_ready: true,
            service_ready: ready,
            sandbox_id,
            port,
            kind: None,
            path: None,
            checked_at: None,
            elapsed_ms: 0,
            attempts: 0,
            error: None,
            unknown_fields: UnknownFields::default(),
        }
    }
}

setters!(PortReadiness {
    /// Sets what was looked for.
    kind: Option<PortProbeKind>,
    /// Sets what was read.
    path: Option<String>,
    /// Sets when it was looked last.
    checked_at: Option<Timestamp>,
    /// Sets how long it was looked, in milliseconds.
    elapsed_ms: u64,
    /// Sets how often it was looked.
    attempts: u32,
    /// Sets what the last look found instead.
    error: Option<String>,
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_the_name_at_the_end_of_its_path() {
        let file = SandboxFile::new("/workspace/a/b", SandboxFileType::File, 3, Timestamp::UNIX_EPOCH);
        assert_eq!((&*file.name, file.is_dir), ("b", false));
        let told = serde_json::to_value(&file).unwrap();
        assert_eq!((&told["type"], &told["path"]), (&"file".into(), &"/workspace/a/b".into()));
        let directory =
            SandboxFile::new("/workspace/d", SandboxFileType::Directory, 0, Timestamp::UNIX_EPOCH);
        assert!(directory.is_dir);
    }

    #[test]
    fn a_probe_says_what_is_looked_for_and_nothing_else() {
        assert_eq!(serde_json::to_string(&ProbePort::tcp()).unwrap(), r#"{"kind":"tcp"}"#);
        let http = ProbePort::http("/healthz").timeout_secs(5_u32);
        assert_eq!(
            serde_json::to_string(&http).unwrap(),
            r#"{"kind":"http","path":"/healthz","timeout_secs":5}"#
        );
    }
}
