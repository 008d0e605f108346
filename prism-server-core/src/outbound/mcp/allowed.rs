//! Which tools of an MCP server an agent may call.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use prism_types::McpServer;
use serde_json::value::RawValue;

use crate::{
    domain::{deployment::AgentSpec, limits},
    ports::ToolCall,
};

/// The tools of one server that an agent may use: those of the allowlist, if there is one, that are not switched off.
#[derive(Debug, Clone, Default)]
pub(super) struct Allowed {
    only: Option<Vec<String>>,
    off: Vec<String>,
}

impl Allowed {
    pub(super) fn of(spec: &AgentSpec, server: &McpServer) -> Self {
        let off = spec.disabled_tools.iter().filter(|tool| tool.server.as_deref() == Some(&server.name));
        Self { only: server.tools.clone(), off: off.map(|tool| tool.name.clone()).collect() }
    }

    /// Whether there is nothing that may not be used.
    pub(super) fn is_everything(&self) -> bool {
        self.only.is_none() && self.off.is_empty()
    }

    pub(super) fn has(&self, tool: &str) -> bool {
        let is_one = |names: &[String]| names.iter().any(|name| name == tool);
        self.only.as_deref().is_none_or(is_one) && !is_one(&self.off)
    }
}

#[cfg(test)]
impl Allowed {
    pub(super) fn only(tools: &[&str]) -> Self {
        Self { only: Some(tools.iter().map(|tool| (*tool).to_owned()).collect()), off: Vec::new() }
    }
}

/// A call of a tool, as it passes to a server.
#[derive(Debug)]
pub(super) struct Called {
    pub(super) tool: String,
    pub(super) arguments: Option<Box<RawValue>>,
}

/// The calls that humans have allowed one by one, and that the agent has not made yet. The oldest is forgotten when
/// there are too many: the agent has to ask once more.
#[derive(Default)]
pub(in crate::outbound) struct AllowedCalls(Mutex<VecDeque<ToolCall>>);

impl AllowedCalls {
    pub(in crate::outbound) fn allow(&self, call: ToolCall) {
        let mut calls = self.calls();
        if calls.len() >= limits::ALLOWED_CALLS {
            calls.pop_front();
        }
        calls.push_back(call);
    }

    /// Takes a call out; whether it was allowed.
    pub(in crate::outbound) fn take(&self, call: &ToolCall) -> bool {
        let mut calls = self.calls();
        let place = calls.iter().position(|allowed| allowed == call);
        place.and_then(|place| calls.remove(place)).is_some()
    }

    fn calls(&self) -> MutexGuard<'_, VecDeque<ToolCall>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::tool::ToolName;

    #[test]
    fn what_was_allowed_is_done_once_and_the_oldest_is_forgotten() {
        let call = |number: usize| ToolCall {
            tool: ToolName::of_server("acme", "publish"),
            arguments: json!({ "number": number, "a": [1, {"b": 2}] }),
        };
        let calls = AllowedCalls::default();
        assert!(!calls.take(&call(0)));
        (0..=limits::ALLOWED_CALLS).for_each(|number| calls.allow(call(number)));
        assert!(!calls.take(&call(0)), "one more than there is room for");
        assert!(calls.take(&call(1)) && !calls.take(&call(1)));
        assert!(!calls.take(&ToolCall { tool: ToolName::of_server("acme", "delete"), ..call(2) }));
        // The order of fields does not matter.
        let written = serde_json::from_str(r#"{"a":[1,{"b":2}],"number":2}"#).unwrap();
        assert!(calls.take(&ToolCall { arguments: written, ..call(2) }));
    }

    #[test]
    fn a_tool_has_to_be_on_the_list_and_not_switched_off() {
        let mut spec = AgentSpec::new("");
        let server = McpServer::new("acme", "https://x/");
        assert!(Allowed::of(&spec, &server).is_everything());
        spec.disabled_tools = [ToolName::of_server("acme", "a"), ToolName::of_server("other", "b")].into();
        let has = |server: &McpServer, tool| Allowed::of(&spec, server).has(tool);
        assert!(!has(&server, "a") && has(&server, "b"));
        let listed = server.tools(["a", "c"]);
        assert!(!has(&listed, "a") && !has(&listed, "b") && has(&listed, "c"));
        assert!(!Allowed::of(&spec, &listed).is_everything());
    }
}
