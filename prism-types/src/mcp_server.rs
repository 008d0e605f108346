//! Changing the MCP servers of a deployment one by one.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use crate::{DeletedStatus, McpServer, Patch, UnknownFields, macros::setters, unknown_fields::answer};

answer! {
    /// An MCP server of a deployment, as it is told. Values of headers are never told, because they may be credentials.
    pub struct McpServerInfo {
        /// Its name.
        pub name: String,
        /// Its URL.
        pub url: String,
        /// The tools that the agent may use; absent: all of them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub tools: Option<Vec<String>>,
        /// The names of the headers that it gets, in alphabetical order.
        pub headers: Vec<String>,
    }
}

impl From<McpServer> for McpServerInfo {
    fn from(server: McpServer) -> Self {
        let McpServer { name, url, tools, headers } = server;
        Self {
            name,
            url,
            tools,
            headers: headers.into_keys().collect(),
            unknown_fields: UnknownFields::default(),
        }
    }
}

answer! {
    /// The answer to `GET /v1/deployments/{deployment_id}/mcp-servers`: at most 20, so there are no pages.
    pub struct McpServerList {
        /// The servers in the order in which they were given.
        pub data: Vec<McpServerInfo>,
    }
}

impl McpServerList {
    /// A list of these servers.
    pub fn new(data: Vec<McpServerInfo>) -> Self {
        Self { data, unknown_fields: UnknownFields::default() }
    }
}

/// The body of `PATCH /v1/deployments/{deployment_id}/mcp-servers/{name}`. Changes apply from the next run on.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct UpdateMcpServer {
    /// Replaces the URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "schema",
        schemars(
            with = "String",
            length(max = 2048),
            regex(pattern = r"^https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[!-~]*)?$")
        )
    )]
    pub url: Option<String>,
    /// Replaces the tools that the agent may use; `null`: all of them.
    #[serde(skip_serializing_if = "Patch::is_keep")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<Vec<String>>", length(max = 200)))]
    pub tools: Patch<Vec<String>>,
    /// Merged name by name; `null` removes a header. The names are compared without case.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[cfg_attr(
        feature = "schema",
        schemars(extend(
            "maxProperties" = 20,
            "propertyNames" = { "pattern": "^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$" },
            "additionalProperties" = {
                "type": ["string", "null"], "maxLength": 4096, "pattern": "^[!-~]([ -~]*[!-~])?$"
            }
        ))
    )]
    pub headers: BTreeMap<String, Option<String>>,
}

impl UpdateMcpServer {
    /// A request that changes nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Allows only these tools.
    #[must_use]
    pub fn tools<T: Into<String>>(mut self, tools: impl IntoIterator<Item = T>) -> Self {
        self.tools = Patch::Set(tools.into_iter().map(Into::into).collect());
        self
    }

    /// Allows all tools.
    #[must_use]
    pub fn all_tools(mut self) -> Self {
        self.tools = Patch::Clear;
        self
    }

    /// Adds or replaces a header. Do not write a credential into `value`: write `${NAME}`, and set the secret NAME.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.insert(name.into(), Some(value.into()));
        self
    }

    /// Removes a header.
    #[must_use]
    pub fn remove_header(mut self, name: impl Into<String>) -> Self {
        self.headers.insert(name.into(), None);
        self
    }
}

setters!(UpdateMcpServer {
    /// Replaces the URL.
    url?: String,
});

/// Leaves out the values of headers, which may be credentials.
impl fmt::Debug for UpdateMcpServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { url, tools, headers } = self;
        let headers: Vec<_> = headers.keys().collect();
        let mut update = f.debug_struct("UpdateMcpServer");
        update.field("url", url).field("tools", tools).field("headers", &headers).finish()
    }
}

answer! {
    /// The answer to `DELETE /v1/deployments/{deployment_id}/mcp-servers/{name}`.
    pub struct DeletedMcpServer {
        /// The server that is gone.
        pub name: String,
        /// Always `deleted`.
        pub status: DeletedStatus,
    }
}

impl DeletedMcpServer {
    /// The answer for this server.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), status: DeletedStatus::Deleted, unknown_fields: UnknownFields::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_of_a_header_is_told() {
        let server = McpServer::new("acme", "https://x/").header("B", "hunter2").header("A", "hunter2");
        let info = McpServerInfo::from(server);
        assert_eq!(info.headers, ["A", "B"]);
        let update = UpdateMcpServer::new().header("A", "hunter2").remove_header("B").all_tools();
        let (debug, written) = (format!("{info:?}{update:?}"), serde_json::to_string(&info).unwrap());
        assert!(!debug.contains("hunter2") && !written.contains("hunter2"), "{debug}{written}");
        let written = serde_json::to_string(&update).unwrap();
        assert_eq!(written, r#"{"tools":null,"headers":{"A":"hunter2","B":null}}"#);
        assert_eq!(serde_json::from_str::<UpdateMcpServer>(&written).unwrap(), update);
    }
}
