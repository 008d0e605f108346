//! Tools of an agent: its own, and those of its MCP servers.

use serde::{Deserialize, Serialize};

use crate::{UnknownFields, macros::setters, unknown_fields::answer};

answer! {
    /// A tool of an agent.
    pub struct Tool {
        /// Its name: as this API calls it, or as its MCP server reports it.
        pub name: String,
        /// `builtin`, or the name of the MCP server.
        pub origin: String,
        /// Whether the model is told of it.
        pub enabled: bool,
        /// Whether a human is asked before each call.
        pub needs_approval: bool,
        /// Why the agent cannot have it, whatever its switch says; absent when it can.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub unavailable: Option<String>,
        /// What it does; of a tool of an MCP server at most the first 1,024 bytes of what the server says.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub description: Option<String>,
    }
}

impl Tool {
    /// A tool that is switched on.
    pub fn new(name: impl Into<String>, origin: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            origin: origin.into(),
            enabled: true,
            needs_approval: false,
            unavailable: None,
            description: None,
            unknown_fields: UnknownFields::default(),
        }
    }
}

setters!(Tool {
    /// Sets whether the model is told of it.
    enabled: bool,
    /// Sets whether a human is asked before each call.
    needs_approval: bool,
    /// Sets why the agent cannot have it.
    unavailable: Option<String>,
    /// Sets what it does.
    description: Option<String>,
});

answer! {
    /// The answer to `GET /v1/deployments/{deployment_id}/tools`. There are no pages.
    pub struct ToolList {
        /// Built-in tools, and then those of the MCP servers in their order.
        pub data: Vec<Tool>,
        /// The MCP servers whose tools are not known, or not all of them, because they could not be asked.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub errors: Vec<ToolListError>,
    }
}

impl ToolList {
    /// A list of these tools.
    pub fn new(data: Vec<Tool>, errors: Vec<ToolListError>) -> Self {
        Self { data, errors, unknown_fields: UnknownFields::default() }
    }
}

answer! {
    /// Why the tools of an MCP server are not listed.
    pub struct ToolListError {
        /// The name of the MCP server.
        pub origin: String,
        /// What went wrong, for people.
        pub message: String,
    }
}

impl ToolListError {
    /// An error of this server.
    pub fn new(origin: impl Into<String>, message: impl Into<String>) -> Self {
        Self { origin: origin.into(), message: message.into(), unknown_fields: UnknownFields::default() }
    }
}

/// The body of `PATCH /v1/deployments/{deployment_id}/tools/{tool_name}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct UpdateTool {
    /// Whether the model is told of the tool.
    pub enabled: bool,
}

impl UpdateTool {
    /// Switches a tool on or off.
    pub fn new(enabled: bool) -> Self {
        Self { enabled }
    }
}
