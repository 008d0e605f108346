//! Sandboxes that are made by themselves, in which programs are executed, and their snapshots.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Envs, JsonObject, PublicUrl, SandboxId};
use crate::{
    Secret, SnapshotId, Timestamp, UnknownFields, macros::setters, open_enum::open_enum,
    unknown_fields::answer,
};

open_enum! {
    /// Where a sandbox is in its life.
    pub enum SandboxStatus {
        /// It is being made. What is asked of it waits.
        Creating = "creating",
        /// Programs can be executed.
        Running = "running",
        /// It is put aside, to be resumed.
        Paused = "paused",
        /// It was destroyed, or its time is over.
        Destroyed = "destroyed",
        /// It could not be made, or has ended by itself; `failure_reason` says why.
        Error = "error",
    }
}

impl SandboxStatus {
    /// Whether nothing more can be executed in it: `destroyed` or `error`.
    pub fn is_terminal(&self) -> bool {
        matches!(self, Self::Destroyed | Self::Error)
    }
}

answer! {
    /// A sandbox. The environment variables that it was given are never answered.
    pub struct Sandbox {
        /// Its id.
        pub id: SandboxId,
        /// Where it is in its life.
        pub status: SandboxStatus,
        /// What it has of its machine.
        pub config: SandboxConfig,
        /// When it was created.
        pub created_at: Timestamp,
        /// What its file system has besides the workspace.
        #[serde(default)]
        pub template: Option<String>,
        /// Where programs are executed that say nothing else.
        #[serde(default)]
        pub cwd: Option<String>,
        /// What its owner keeps with it.
        #[serde(default)]
        pub metadata: JsonObject,
        /// When it was started.
        #[serde(default)]
        pub started_at: Option<Timestamp>,
        /// How long it lives from its start, or since that was last set, in milliseconds.
        #[serde(default)]
        pub timeout_ms: Option<u64>,
        /// When its time is over.
        #[serde(default)]
        pub timeout_at: Option<Timestamp>,
        /// When it is destroyed.
        #[serde(default)]
        pub expires_at: Option<Timestamp>,
        /// What happens then: `destroy`.
        #[serde(default)]
        pub timeout_action: Option<String>,
        /// The snapshot that its files began with.
        #[serde(default)]
        pub snapshot_id: Option<SnapshotId>,
        /// What requests for its ports need besides a URL, in the header `x-nullspace-traffic-access-token`; `null`: nothing.
        #[serde(default)]
        pub traffic_access_token: Option<AccessToken>,
        /// Why the status is `error`.
        #[serde(default)]
        pub failure_reason: Option<String>,
    }
}

impl Sandbox {
    /// A sandbox that is being made.
    pub fn new(id: SandboxId, config: SandboxConfig, created_at: Timestamp) -> Self {
        Self {
            id,
            status: SandboxStatus::Creating,
            config,
            created_at,
            template: None,
            cwd: None,
            metadata: JsonObject::default(),
            started_at: None,
            timeout_ms: None,
            timeout_at: None,
            expires_at: None,
            timeout_action: None,
            snapshot_id: None,
            traffic_access_token: None,
            failure_reason: None,
            unknown_fields: UnknownFields::default(),
        }
    }
}

setters!(Sandbox {
    /// Sets where it is in its life.
    status: SandboxStatus,
    /// Sets what its file system has besides the workspace.
    template: Option<String>,
    /// Sets where programs are executed.
    cwd: Option<String>,
    /// Sets what its owner keeps with it.
    metadata: JsonObject,
    /// Sets when it was started.
    started_at: Option<Timestamp>,
    /// Sets how long it lives.
    timeout_ms: Option<u64>,
    /// Sets when its time is over.
    timeout_at: Option<Timestamp>,
    /// Sets when it is destroyed.
    expires_at: Option<Timestamp>,
    /// Sets what happens then.
    timeout_action: Option<String>,
    /// Sets the snapshot that its files began with.
    snapshot_id: Option<SnapshotId>,
    /// Sets what requests for its ports need besides.
    traffic_access_token: Option<AccessToken>,
    /// Sets why the status is `error`.
    failure_reason: Option<String>,
});

/// What lets a request pass to a sandbox without public traffic. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessToken(Secret);

impl AccessToken {
    /// Wraps a token.
    pub fn new(token: impl Into<String>) -> Self {
        Self(Secret::new(token))
    }

    /// The token itself. Every call is a place to look at in a review.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

impl std::fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AccessToken([redacted])")
    }
}

impl Serialize for AccessToken {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.expose())
    }
}

impl<'de> Deserialize<'de> for AccessToken {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for AccessToken {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "AccessToken".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string" })
    }
}

answer! {
    /// What a sandbox has of its machine.
    pub struct SandboxConfig {
        /// Processors.
        pub vcpus: u32,
        /// Memory, in MiB.
        pub memory_mb: u32,
    }
}

impl SandboxConfig {
    /// So many processors, and so much memory in MiB.
    pub fn new(vcpus: u32, memory_mb: u32) -> Self {
        Self { vcpus, memory_mb, unknown_fields: UnknownFields::default() }
    }
}

answer! {
    /// The answer to `DELETE /v1/sandboxes/{sandbox_id}`.
    pub struct DestroyedSandbox {
        /// Its id.
        pub id: SandboxId,
        /// `destroyed`.
        pub status: SandboxStatus,
    }
}

impl DestroyedSandbox {
    /// It is destroyed.
    pub fn new(id: SandboxId) -> Self {
        Self { id, status: SandboxStatus::Destroyed, unknown_fields: UnknownFields::default() }
    }
}

/// The body of `POST /v1/sandboxes`. With a `snapshot_id`, what its source was is not asked for again: `template`, `vcpus`,
/// `memory_mb`, `disk_mb`, `cwd`, `internet_access` and `envs` are left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct CreateSandbox {
    /// What its file system has besides the workspace, 1 to 128 characters. Default: `base`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub template: Option<String>,
    /// The snapshot that its files begin with.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "SnapshotId"))]
    pub snapshot_id: Option<SnapshotId>,
    /// Processors, 1 to 256. Default: 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "u32"))]
    pub vcpus: Option<u32>,
    /// Memory in MiB, 1 to 1,048,576. Default: 256.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "u32"))]
    pub memory_mb: Option<u32>,
    /// Most of the disk in MiB, 512 to 131,072, and no more than the server lets one have. Default: as much as that.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "u32"))]
    pub disk_mb: Option<u32>,
    /// How long it lives from its start in milliseconds, 1,000 to 604,800,000 (7 days). Default: 300,000 (5 minutes).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "u32"))]
    pub timeout_ms: Option<u32>,
    /// Environment variables of all that is executed. Secret: they are in no answer.
    #[serde(skip_serializing_if = "Envs::is_empty")]
    pub envs: Envs,
    /// What you keep with it, at most 64 KiB of JSON. Default: empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "JsonObject"))]
    pub metadata: Option<JsonObject>,
    /// Whether it may reach the network, where the server has one to give. Default: true.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "bool"))]
    pub internet_access: Option<bool>,
    /// Where programs are executed that say nothing else, `/workspace` or below it. Default: `/workspace`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub cwd: Option<String>,
    /// How its ports are reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "SandboxNetwork"))]
    pub network: Option<SandboxNetwork>,
}

impl CreateSandbox {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// One that begins with the files of a snapshot.
    pub fn of_snapshot(id: SnapshotId) -> Self {
        Self { snapshot_id: Some(id), ..Self::default() }
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<Secret>) -> Self {
        self.envs.insert(name, value);
        self
    }
}

setters!(CreateSandbox {
    /// Sets what its file system has besides the workspace.
    template?: String,
    /// Sets how many processors it has.
    vcpus?: u32,
    /// Sets how much memory it has, in MiB.
    memory_mb?: u32,
    /// Sets how much of the disk it may have, in MiB.
    disk_mb?: u32,
    /// Sets how long it lives, in milliseconds.
    timeout_ms?: u32,
    /// Replaces the environment variables.
    envs: Envs,
    /// Sets what you keep with it.
    metadata?: JsonObject,
    /// Lets it reach the network, or not.
    internet_access?: bool,
    /// Sets where programs are executed.
    cwd?: String,
    /// Sets how its ports are reached.
    network?: SandboxNetwork,
});

/// How the ports of a sandbox are reached.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct SandboxNetwork {
    /// Whether a URL is enough; else a header is needed, too: [`Sandbox::traffic_access_token`]. Default: true.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "bool"))]
    pub allow_public_traffic: Option<bool>,
}

impl SandboxNetwork {
    /// As the server has it.
    pub fn new() -> Self {
        Self::default()
    }
}

setters!(SandboxNetwork {
    /// Whether a URL is enough.
    allow_public_traffic?: bool,
});

/// The body of `POST /v1/sandboxes/{sandbox_id}/timeout`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct SetSandboxTimeout {
    /// How long it lives from now on in milliseconds, 1,000 to 604,800,000 (7 days).
    pub timeout_ms: u32,
}

impl SetSandboxTimeout {
    /// So many milliseconds from now on.
    pub fn new(timeout_ms: u32) -> Self {
        Self { timeout_ms }
    }
}

/// The body of `POST /v1/sandboxes/{sandbox_id}/exec`. `Debug` shows neither the arguments nor the values of variables.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ExecuteProgram {
    /// The program, or with `shell` a text for the shell, at most 64 KiB.
    pub command: String,
    /// Its arguments, at most 1,000 of 1 MiB together.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// Whether `command` is for `/bin/sh -c`. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "bool"))]
    pub shell: Option<bool>,
    /// How long it may take in seconds, 1 to 3,600. Default: 30.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "u32"))]
    pub timeout_secs: Option<u32>,
    /// Where, `/workspace` or below it. Default: the `cwd` of the sandbox.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub cwd: Option<String>,
    /// Environment variables besides those of the sandbox.
    #[serde(default, skip_serializing_if = "Envs::is_empty")]
    pub envs: Envs,
    /// Whether it is only started: the answer has its number, and it takes as long as it takes. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "bool"))]
    pub background: Option<bool>,
}

impl ExecuteProgram {
    /// A program with arguments.
    pub fn new<A: Into<String>>(command: impl Into<String>, args: impl IntoIterator<Item = A>) -> Self {
        Self {
            command: command.into(),
            args: args.into_iter().map(Into::into).collect(),
            shell: None,
            timeout_secs: None,
            cwd: None,
            envs: Envs::new(),
            background: None,
        }
    }

    /// A text for the shell.
    pub fn shell(text: impl Into<String>) -> Self {
        Self { shell: Some(true), ..Self::new(text, [""; 0]) }
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<Secret>) -> Self {
        self.envs.insert(name, value);
        self
    }
}

setters!(ExecuteProgram {
    /// Sets how long it may take, in seconds.
    timeout_secs?: u32,
    /// Sets where it is executed.
    cwd?: String,
    /// Replaces the environment variables.
    envs: Envs,
    /// Only starts it, or waits for its end.
    background?: bool,
});

impl std::fmt::Debug for ExecuteProgram {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ExecuteProgram")
            .field("command", &(!self.shell.unwrap_or(false)).then_some(&self.command))
            .field("args", &self.args.len())
            .field("envs", &self.envs)
            .finish_non_exhaustive()
    }
}

answer! {
    /// What came of a program that was executed; of one in the background only its number.
    pub struct ProgramResult {
        /// Its status; 128 and the number of the signal that ended it.
        #[serde(default)]
        pub exit_code: Option<i32>,
        /// What it wrote to its standard output; what is no UTF-8 is replaced.
        #[serde(default)]
        pub stdout: String,
        /// What it wrote to its standard error, likewise.
        #[serde(default)]
        pub stderr: String,
        /// The number of a process in the background.
        #[serde(default)]
        pub pid: Option<u32>,
    }
}

impl ProgramResult {
    /// A program that has ended.
    pub fn ended(exit_code: i32, stdout: impl Into<String>, stderr: impl Into<String>) -> Self {
        let (stdout, stderr) = (stdout.into(), stderr.into());
        Self {
            exit_code: Some(exit_code),
            stdout,
            stderr,
            pid: None,
            unknown_fields: UnknownFields::default(),
        }
    }

    /// A process in the background.
    pub fn started(pid: u32) -> Self {
        Self { exit_code: None, pid: Some(pid), ..Self::ended(0, "", "") }
    }
}

answer! {
    /// A snapshot of a sandbox: a copy of its files.
    pub struct SandboxSnapshot {
        /// Its id.
        pub id: SnapshotId,
        /// The sandbox whose files it has, which need not be there any more.
        pub sandbox_id: SandboxId,
        /// How large the files are, in bytes; 0 where that took too long to find out.
        pub size_bytes: u64,
        /// When it was made.
        pub created_at: Timestamp,
        /// Nothing yet.
        #[serde(default)]
        pub metadata: JsonObject,
    }
}

impl SandboxSnapshot {
    /// A snapshot.
    pub fn new(id: SnapshotId, sandbox_id: SandboxId, size_bytes: u64, created_at: Timestamp) -> Self {
        let (metadata, unknown_fields) = (JsonObject::default(), UnknownFields::default());
        Self { id, sandbox_id, size_bytes, created_at, metadata, unknown_fields }
    }
}

answer! {
    /// Where a port of a sandbox is reached. The URLs have a token that holds for a time: do not log or store them.
    pub struct PortUrl {
        /// The place without a scheme and a token.
        pub host: String,
        /// The URL.
        #[serde(default)]
        pub url: Option<PublicUrl>,
        /// The URL for WebSockets.
        #[serde(default)]
        pub websocket_url: Option<PublicUrl>,
        /// Until when they are good.
        #[serde(default)]
        pub access_token_expires_at: Option<Timestamp>,
        /// Where the token is: `query`.
        #[serde(default)]
        pub access_token_transport: Option<String>,
    }
}

impl PortUrl {
    /// URLs that are good until then.
    pub fn new(
        host: impl Into<String>,
        (url, websocket_url): (PublicUrl, PublicUrl),
        until: Timestamp,
    ) -> Self {
        Self {
            host: host.into(),
            url: Some(url),
            websocket_url: Some(websocket_url),
            access_token_expires_at: Some(until),
            access_token_transport: Some("query".to_owned()),
            unknown_fields: UnknownFields::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_argument_and_no_value_of_a_variable() {
        let create = CreateSandbox::new().env("KEY", "canary");
        let run = ExecuteProgram::new("program", ["canary"]).env("KEY", "canary");
        let shell = ExecuteProgram::shell("echo canary");
        let token = AccessToken::new("canary");
        let debug = format!("{create:?} {create:#?} {run:?} {run:#?} {shell:?} {token:?}");
        assert!(debug.contains("KEY") && debug.contains("program") && !debug.contains("canary"), "{debug}");
    }

    #[test]
    fn the_smallest_bodies_have_what_is_required_and_no_more() {
        assert_eq!(serde_json::to_string(&CreateSandbox::new()).unwrap(), "{}");
        let run = ExecuteProgram::new("true", [""; 0]);
        assert_eq!(serde_json::to_string(&run).unwrap(), r#"{"command":"true"}"#);
        assert_eq!(serde_json::from_str::<ExecuteProgram>(r#"{"command":"true"}"#).unwrap(), run);
    }

    #[test]
    fn a_process_in_the_background_has_a_number_and_no_end() {
        let started = serde_json::to_string(&ProgramResult::started(7)).unwrap();
        assert_eq!(started, r#"{"exit_code":null,"stdout":"","stderr":"","pid":7}"#);
        assert!(SandboxStatus::Error.is_terminal() && !SandboxStatus::Creating.is_terminal());
    }
}
