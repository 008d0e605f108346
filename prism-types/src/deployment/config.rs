//! How a deployment is configured: runtime, sandbox, MCP servers, features; whole, and as changes.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use crate::{macros::setters, open_enum::open_enum};

open_enum! {
    /// The agent harness that runs in a deployment. Default: `hermes`.
    pub enum Runtime {
        /// The Hermes agent.
        Hermes = "hermes",
        /// A deterministic script instead of an agent, for tests and demonstrations.
        Scripted = "scripted",
    }
}

open_enum! {
    /// What isolates an agent. Default: `docker`.
    pub enum SandboxType {
        /// A container of a Docker Engine.
        Docker = "docker",
        /// A child process in a directory of its own; for development and trusted use.
        Process = "process",
        /// Memory of the gateway; only for the runtime `scripted`, which executes nothing.
        Memory = "memory",
    }
}

#[allow(clippy::derivable_impls, reason = "the enum is made by a macro that knows no default")]
impl Default for Runtime {
    fn default() -> Self {
        Self::Hermes
    }
}

#[allow(clippy::derivable_impls, reason = "the enum is made by a macro that knows no default")]
impl Default for SandboxType {
    fn default() -> Self {
        Self::Docker
    }
}

/// How an agent is isolated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Sandbox {
    /// Run the agent in a sandbox at all. Default: true.
    pub enabled: bool,
    /// The kind of sandbox. Default: `docker`.
    #[serde(rename = "type")]
    pub kind: SandboxType,
    /// Keep the workspace across sessions. Default: true.
    pub persistent_filesystem: bool,
}

impl Default for Sandbox {
    fn default() -> Self {
        Self { enabled: true, kind: SandboxType::default(), persistent_filesystem: true }
    }
}

setters!(Sandbox {
    /// Switches the sandbox on or off.
    enabled: bool,
    /// Sets the kind of sandbox.
    kind: SandboxType,
    /// Sets whether the workspace is kept.
    persistent_filesystem: bool,
});

/// An MCP server whose tools the agent may use.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct McpServer {
    /// A name, unique in the deployment, 1 to 64 characters of `A-Z a-z 0-9 _ -`.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = "^[A-Za-z0-9_-]{1,64}$")))]
    pub name: String,
    /// The server's `http` or `https` URL.
    #[cfg_attr(
        feature = "schema",
        schemars(length(max = 2048), regex(pattern = r"^https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[!-~]*)?$"))
    )]
    pub url: String,
    /// The tools that the agent may use, at most 200; omitted: all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "schema",
        schemars(length(max = 200), inner(length(min = 1, max = 255), regex(pattern = r"^[^\u0000]*$")))
    )]
    pub tools: Option<Vec<String>>,
    /// Headers for requests to the server, at most 20. A value has 1 to 4,096 printable ASCII characters;
    /// `${NAME}` in it stands for the secret NAME of the deployment's `secrets`. The agent never sees the values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[cfg_attr(
        feature = "schema",
        schemars(extend(
            "maxProperties" = 20,
            "propertyNames" = { "pattern": "^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$" },
            "additionalProperties" = { "type": "string", "maxLength": 4096, "pattern": "^[!-~]([ -~]*[!-~])?$" }
        ))
    )]
    pub headers: BTreeMap<String, String>,
}

impl McpServer {
    /// A server all of whose tools may be used.
    pub fn new(name: impl Into<String>, url: impl Into<String>) -> Self {
        Self { name: name.into(), url: url.into(), tools: None, headers: BTreeMap::new() }
    }

    /// Allows only these tools.
    #[must_use]
    pub fn tools<T: Into<String>>(mut self, tools: impl IntoIterator<Item = T>) -> Self {
        self.tools = Some(tools.into_iter().map(Into::into).collect());
        self
    }

    /// Adds a header. Do not write a credential into `value`: write `${NAME}`, and set the secret NAME.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.insert(name.into(), value.into());
        self
    }
}

/// Leaves out the values of headers, which may be credentials.
impl fmt::Debug for McpServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, url, tools, headers } = self;
        let headers: Vec<_> = headers.keys().collect();
        let mut server = f.debug_struct("McpServer");
        server.field("name", name).field("url", url).field("tools", tools).field("headers", &headers).finish()
    }
}

/// The feature switches of a deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Features {
    /// Observational memory across sessions. Default: true.
    pub memory: bool,
    /// Idle-time self-learning between sessions. Default: false.
    pub dreaming: bool,
    /// Scheduled and recurring runs. Default: true.
    pub automations: bool,
    /// Human-in-the-loop approvals in a run; without it a run never pauses. Default: true.
    pub steering: bool,
    /// `filesystem` events for changes of the workspace. Default: false.
    pub filesystem_webhooks: bool,
}

impl Default for Features {
    fn default() -> Self {
        Self { memory: true, dreaming: false, automations: true, steering: true, filesystem_webhooks: false }
    }
}

setters!(Features {
    /// Switches memory.
    memory: bool,
    /// Switches dreaming.
    dreaming: bool,
    /// Switches automations.
    automations: bool,
    /// Switches steering.
    steering: bool,
    /// Switches `filesystem` events.
    filesystem_webhooks: bool,
});

/// The part of a sandbox to change.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct SandboxUpdate {
    /// See [`Sandbox::enabled`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// See [`Sandbox::kind`].
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<SandboxType>,
    /// See [`Sandbox::persistent_filesystem`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub persistent_filesystem: Option<bool>,
}

setters!(SandboxUpdate {
    /// Switches the sandbox on or off.
    enabled?: bool,
    /// Sets the kind of sandbox.
    kind?: SandboxType,
    /// Sets whether the workspace is kept.
    persistent_filesystem?: bool,
});

/// The features to change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct FeaturesUpdate {
    /// See [`Features::memory`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<bool>,
    /// See [`Features::dreaming`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dreaming: Option<bool>,
    /// See [`Features::automations`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub automations: Option<bool>,
    /// See [`Features::steering`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steering: Option<bool>,
    /// See [`Features::filesystem_webhooks`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filesystem_webhooks: Option<bool>,
}

setters!(FeaturesUpdate {
    /// Switches memory.
    memory?: bool,
    /// Switches dreaming.
    dreaming?: bool,
    /// Switches automations.
    automations?: bool,
    /// Switches steering.
    steering?: bool,
    /// Switches `filesystem` events.
    filesystem_webhooks?: bool,
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_may_be_left_out_and_debug_tells_no_value() {
        let server: McpServer = serde_json::from_str(r#"{"name": "a", "url": "https://x/"}"#).unwrap();
        assert_eq!(server, McpServer::new("a", "https://x/"));
        assert_eq!(serde_json::to_string(&server).unwrap(), r#"{"name":"a","url":"https://x/"}"#);
        let server = server.header("X-Key", "hunter2");
        let debug = format!("{server:?}");
        assert!(debug.contains("X-Key") && !debug.contains("hunter2"), "{debug}");
        let written = serde_json::to_string(&server).unwrap();
        assert_eq!(serde_json::from_str::<McpServer>(&written).unwrap(), server);
    }
}
