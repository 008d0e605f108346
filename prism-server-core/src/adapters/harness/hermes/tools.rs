//! The agent's own tools, under the names that this API gives them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::domain::{
    deployment::AgentSpec,
    tool::{BuiltinTool, ToolName},
};

const NO_NETWORK: &str =
    "it needs a provider of searches, and the sandbox has no network; add an MCP server that searches";
const NO_BROWSER: &str = "the agent's image has no browser, and its sandbox no network";
const NO_SUBAGENTS: &str =
    "subagents work on after their run has ended, where nobody can steer, cancel or ask them";

/// A tool and those of the agent that it stands for.
struct Known {
    name: &'static str,
    description: &'static str,
    /// None: the agent cannot have it.
    tools: &'static [&'static str],
    unavailable: fn(&AgentSpec) -> Option<&'static str>,
}

const fn known(name: &'static str, description: &'static str, tools: &'static [&'static str]) -> Known {
    Known { name, description, tools, unavailable: |_| None }
}

const TOOLS: [Known; 12] = [
    known("shell", "Runs commands in the sandbox, also in the background.", &["terminal", "process"]),
    known("read_file", "Reads and searches files.", &["read_file", "search_files"]),
    known("write_file", "Writes whole files.", &["write_file"]),
    known("edit_file", "Changes parts of files.", &["patch"]),
    Known { unavailable: |_| Some(NO_NETWORK), ..known("web_search", "Searches the web.", &[]) },
    Known { unavailable: |_| Some(NO_BROWSER), ..known("browser", "Uses web pages.", &[]) },
    Known { unavailable: |_| Some(NO_SUBAGENTS), ..known("subagents", "Hands work to other agents.", &[]) },
    known(
        "skills",
        "Lists and reads skills, and keeps skills of the agent's own.",
        &["skills_list", "skill_view", "skill_manage"],
    ),
    known("todo", "Keeps a list of things to do.", &["todo"]),
    known("session_search", "Searches earlier conversations.", &["session_search"]),
    Known {
        unavailable: |spec| (!spec.features.memory).then_some("`features.memory` is off"),
        ..known("memory", "Keeps notes for later conversations.", &["memory"])
    },
    Known {
        unavailable: |spec| (!spec.features.steering).then_some("`features.steering` is off"),
        ..known("clarify", "Asks a human what is meant.", &["clarify"])
    },
];

/// The tools as the API lists them.
pub(super) fn builtin(spec: &AgentSpec) -> Vec<BuiltinTool> {
    let tool = |known: &Known| {
        BuiltinTool::new(known.name, known.description).unavailable((known.unavailable)(spec))
    };
    TOOLS.iter().map(tool).collect()
}

/// What the agent is told: which of its tools it does not have, and about which it has to ask. Tools of MCP servers that
/// are switched off are there only because the agent has to look for tools again when they change: the gateway hides
/// them.
pub(super) fn policy(spec: &AgentSpec) -> Value {
    let mut hidden = Vec::new();
    let mut asks = BTreeMap::new();
    for Known { name, tools, .. } in &TOOLS {
        let tool = ToolName::builtin(*name);
        if spec.disabled_tools.contains(&tool) {
            hidden.extend_from_slice(tools);
        } else if tool.needs_approval(&spec.approvals) {
            asks.extend(tools.iter().map(|tool| (*tool, *name)));
        }
    }
    let servers: Vec<_> = spec.approvals.tools.iter().filter_map(|pattern| pattern.split_once('/')).collect();
    let off: Vec<_> = spec.disabled_tools.iter().filter(|tool| tool.server.is_some()).collect();
    json!({ "hidden": hidden, "asks": asks, "servers": servers, "off": off })
}

#[cfg(test)]
mod tests {
    use prism_types::{ApprovalPolicy, Features};

    use super::*;
    use crate::domain::tool::BUILTIN_TOOLS;

    #[test]
    fn every_built_in_tool_is_listed_and_what_is_not_there_says_why() {
        let spec = AgentSpec { features: Features::default().memory(false), ..AgentSpec::new("") };
        let listed = builtin(&spec);
        assert!(listed.iter().map(|tool| tool.name).eq(BUILTIN_TOOLS));
        let missing: Vec<_> =
            listed.iter().filter(|tool| tool.unavailable.is_some()).map(|tool| tool.name).collect();
        assert_eq!(missing, ["web_search", "browser", "subagents", "memory"]);
    }

    #[test]
    fn a_policy_is_told_in_the_names_of_the_agent() {
        let spec = AgentSpec {
            disabled_tools: [ToolName::builtin("edit_file"), ToolName::of_server("acme", "drop")].into(),
            approvals: ApprovalPolicy::new(["shell", "*_file", "acme/pub*", "*/x/y"]),
            ..AgentSpec::new("")
        };
        let expected = json!({
            "hidden": ["patch"],
            "asks": {
                "process": "shell", "terminal": "shell",
                "read_file": "read_file", "search_files": "read_file", "write_file": "write_file",
            },
            "servers": [["acme", "pub*"], ["*", "x/y"]],
            "off": [{"server": "acme", "name": "drop"}],
        });
        assert_eq!(policy(&spec), expected);
    }
}
