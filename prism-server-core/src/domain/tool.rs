//! Tools of agents: which there are, which are switched off, and which need the approval of a human.

use std::fmt;

use prism_types::ApprovalPolicy;
use serde::{Deserialize, Serialize};

/// The origin of the tools that agents have by themselves. No MCP server can have this name.
pub const BUILTIN: &str = "builtin";

/// Every built-in tool that a runtime may have, by the name that this API gives it: the published ones first.
pub const BUILTIN_TOOLS: [&str; 12] = [
    "shell",
    "read_file",
    "write_file",
    "edit_file",
    "web_search",
    "browser",
    "subagents",
    "skills",
    "todo",
    "session_search",
    "memory",
    "clarify",
];

/// The built-in tool that asks a human. It never needs an approval: that would be a question whether to ask.
const ASKING: &str = "clarify";

/// How many of [`BUILTIN_TOOLS`] are published.
pub const PUBLISHED_TOOLS: usize = 7;

/// A built-in tool, as the harness of a runtime knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BuiltinTool {
    /// Its name, one of [`BUILTIN_TOOLS`].
    pub name: &'static str,
    /// What it does, in a line.
    pub description: &'static str,
    /// Why the agent cannot have it; `None`: it can.
    pub unavailable: Option<&'static str>,
}

impl BuiltinTool {
    /// A tool that the agent can have.
    pub fn new(name: &'static str, description: &'static str) -> Self {
        Self { name, description, unavailable: None }
    }

    /// The tool, which the agent cannot have if there is a reason.
    #[must_use]
    pub fn unavailable(self, reason: Option<&'static str>) -> Self {
        Self { unavailable: reason, ..self }
    }
}

/// The name of a tool among all tools of a deployment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[allow(clippy::exhaustive_structs, reason = "a name: services build it")]
pub struct ToolName {
    /// The MCP server that has it; `None`: it is built in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// Its name there.
    pub name: String,
}

impl ToolName {
    /// A built-in tool.
    pub fn builtin(name: impl Into<String>) -> Self {
        Self { server: None, name: name.into() }
    }

    /// A tool of an MCP server.
    pub fn of_server(server: impl Into<String>, name: impl Into<String>) -> Self {
        Self { server: Some(server.into()), name: name.into() }
    }

    /// `builtin`, or the name of the MCP server.
    pub fn origin(&self) -> &str {
        self.server.as_deref().unwrap_or(BUILTIN)
    }

    /// Whether each call of it needs the approval of a human.
    pub fn needs_approval(&self, policy: &ApprovalPolicy) -> bool {
        policy.tools.iter().any(|pattern| match (pattern.split_once('/'), &self.server) {
            (None, None) => self.name != ASKING && matches(pattern, &self.name),
            (Some((server, tool)), Some(name)) => matches(server, name) && matches(tool, &self.name),
            _ => false,
        })
    }
}

/// Whether a pattern without a server can match a built-in tool.
pub(super) fn matches_builtin(pattern: &str) -> bool {
    BUILTIN_TOOLS.iter().any(|name| *name != ASKING && matches(pattern, name))
}

/// As patterns name it: `shell`, or `acme/publish_post`.
impl fmt::Display for ToolName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.server {
            Some(server) => write!(f, "{server}/{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// Whether a text has the form of a pattern in which `*` stands for any characters.
pub fn matches(pattern: &str, text: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut left) = text.strip_prefix(start) else { return false };
    let mut pieces = rest.split('*').peekable();
    while let Some(piece) = pieces.next() {
        if pieces.peek().is_none() {
            return left.ends_with(piece);
        }
        // The first place where a piece fits leaves the most for those after it.
        match left.find(piece) {
            Some(place) => left = &left[place + piece.len()..],
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The definition: a star is nothing, or one character and the same star.
    fn by_definition(pattern: &[char], text: &[char]) -> bool {
        match (pattern.split_first(), text.split_first()) {
            (None, None) => true,
            (Some(('*', rest)), None) => by_definition(rest, text),
            (Some(('*', rest)), Some((_, tail))) => by_definition(rest, text) || by_definition(pattern, tail),
            (Some((a, rest)), Some((b, tail))) => a == b && by_definition(rest, tail),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn a_star_stands_for_any_characters(pattern in "[ab*é]{0,7}", text in "[abé]{0,9}") {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(matches(&pattern, &text), by_definition(&chars(&pattern), &chars(&text)));
        }
    }

    #[test]
    fn a_pattern_of_servers_never_means_a_built_in_tool() {
        let needs = |pattern: &str, tool: &ToolName| tool.needs_approval(&ApprovalPolicy::new([pattern]));
        let (shell, publish) = (ToolName::builtin("shell"), ToolName::of_server("acme", "posts/publish"));
        for (pattern, of_shell, of_publish) in [
            ("shell", true, false),
            ("*", true, false),
            ("*/*", false, true),
            ("acme/*", false, true),
            ("a*e/posts/p*", false, true),
            ("acme/publish", false, false),
            ("Shell", false, false),
            ("other/*", false, false),
        ] {
            assert_eq!(
                (needs(pattern, &shell), needs(pattern, &publish)),
                (of_shell, of_publish),
                "{pattern}"
            );
        }
        assert!(!shell.needs_approval(&ApprovalPolicy::default()));
        assert!(!needs("*", &ToolName::builtin("clarify")) && !matches_builtin("clarify"));
        assert_eq!(
            (shell.to_string(), publish.to_string()),
            ("shell".to_owned(), "acme/posts/publish".to_owned())
        );
    }
}
