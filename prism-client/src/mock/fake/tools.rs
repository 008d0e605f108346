//! Tools: the seven of the API, and those in the allowlists of the MCP servers, which are not asked.

use prism_types::{DeploymentId, Tool, ToolList, UpdateTool};

use super::state::{Agent, State};
use crate::mock::{Answer, Refusal, Request, query::ToolOrigin};

/// The origin of the agent's own tools.
pub(super) const BUILTIN: &str = "builtin";
const BUILTIN_TOOLS: [(&str, &str); 7] = [
    ("shell", "Runs commands"),
    ("read_file", "Reads files"),
    ("write_file", "Writes files"),
    ("edit_file", "Edits files"),
    ("web_search", "Searches the web"),
    ("browser", "Opens pages of the web"),
    ("subagents", "Has others do parts of the work"),
];

impl State {
    pub(super) fn list_tools(&mut self, _: &Request, id: DeploymentId) -> Answer<ToolList> {
        let agent = self.agents.get(&id)?;
        let builtin = BUILTIN_TOOLS.iter().map(|(name, about)| agent.tool(name, BUILTIN, Some(about)));
        let servers = agent.spec.mcp_servers.iter().flat_map(|server| {
            server.tools.iter().flatten().map(|name| agent.tool(name, &server.name, None))
        });
        Ok(ToolList::new(builtin.chain(servers).collect(), Vec::new()).into())
    }

    pub(super) fn update_tool(
        &mut self,
        call: &Request,
        id: DeploymentId,
        name: String,
        query: ToolOrigin,
        request: UpdateTool,
    ) -> Answer<Tool> {
        let tools = self.list_tools(call, id.clone())?.value.data;
        let agent = self.agents.get_mut(&id)?;
        let fits = |tool: &&Tool| {
            tool.name == name && query.origin.as_ref().is_none_or(|origin| tool.origin == *origin)
        };
        let listed = tools.iter().find(fits).map(|tool| tool.origin.clone());
        // A tool of a server can be switched off before the server has it.
        let has_server = |origin: &String| agent.spec.mcp_servers.iter().any(|server| server.name == *origin);
        let named = query.origin.clone().filter(has_server);
        let origin = listed.or(named).ok_or_else(|| Refusal::not_found("Tool"))?;
        agent.revision += 1;
        let key = (origin.clone(), name.clone());
        match request.enabled {
            true => agent.tools_off.remove(&key),
            false => agent.tools_off.insert(key),
        };
        let about = BUILTIN_TOOLS.iter().find(|(known, _)| origin == BUILTIN && *known == name);
        Ok(agent.tool(&name, &origin, about.map(|(_, about)| *about)).into())
    }
}

impl Agent {
    fn tool(&self, name: &str, origin: &str, about: Option<&str>) -> Tool {
        let policy = self.spec.approvals.iter().flat_map(|policy| &policy.tools);
        let full = if origin == BUILTIN { name.to_owned() } else { format!("{origin}/{name}") };
        Tool::new(name, origin)
            .enabled(!self.tools_off.contains(&(origin.to_owned(), name.to_owned())))
            .needs_approval(policy.into_iter().any(|pattern| matches(pattern, &full)))
            .description(about.map(str::to_owned))
    }
}

/// Whether a pattern, in which `*` stands for any characters, is that of a name. One without `/` is of built-in tools.
fn matches(pattern: &str, name: &str) -> bool {
    if pattern.contains('/') != name.contains('/') {
        return false;
    }
    let mut pieces = pattern.split('*');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let mut pieces = pieces.peekable();
    if pieces.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(piece) = pieces.next() {
        if pieces.peek().is_none() {
            return rest.ends_with(piece);
        }
        match rest.find(piece) {
            Some(place) => rest = &rest[place + piece.len()..],
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn a_star_stands_for_any_characters() {
        for (pattern, name, expected) in [
            ("shell", "shell", true),
            ("shell", "shells", false),
            ("*_file", "read_file", true),
            ("*", "shell", true),
            ("*", "ads/publish", false),
            ("ads/publish_*", "ads/publish_post", true),
            ("*/publish_*", "crm/publish_post", true),
            ("ads/p*h_p*t", "ads/publish_post", true),
            ("ads/p*x*t", "ads/publish_post", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }
}
