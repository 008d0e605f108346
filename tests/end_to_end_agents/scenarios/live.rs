//! Skills and MCP servers that are changed one by one while the agent lives.

use prism_server_core::testkit::mcp::{McpForm, McpTool};
use prism_types::{McpServer, RunStatus, Skill, UpdateMcpServer, UpdateSkill};

use crate::{
    ground::{Ground, MCP_URL},
    kind::Kind,
};

fn markdown(text: &str) -> String {
    format!("---\nname: storyboarding\ndescription: Create shot-by-shot storyboards\n---\n# {text}\n")
}

pub(crate) async fn skills_are_there_from_the_next_run_on(kind: Kind) {
    let script = r#"
when user contains "read"
  tool skill_view {"name": "storyboarding"}
  then
  say {{result}}
otherwise
  say Yes.
"#;
    let ground = Ground::start(kind, script).await;
    let agent = ground.deploy().await;
    let skills = agent.handle().skills();
    let prompt = async || {
        agent.ask("are you there?").await;
        let asked = ground.model.requests().last().unwrap().json();
        asked["messages"][0]["content"].as_str().unwrap().to_owned()
    };
    assert!(!prompt().await.contains("storyboarding"));
    let skill = skills.add(Skill::inline("storyboarding", markdown("Shots first"))).await.unwrap();
    assert!(prompt().await.contains("shot-by-shot"), "the agent knows of its new skill");
    let read = async || agent.ask("read it").await.results();
    assert!(read().await.contains("Shots first"));
    skills.update(&skill.skill_id, UpdateSkill::inline(markdown("Sounds first"))).await.unwrap();
    let told = read().await;
    assert!(told.contains("Sounds first") && !told.contains("Shots first"), "{told}");
    skills.remove(&skill.skill_id).await.unwrap();
    assert!(!read().await.contains("first"));
    assert!(!prompt().await.contains("shot-by-shot"));
    ground.stop().await;
}

pub(crate) async fn servers_are_there_from_the_next_run_on(kind: Kind) {
    let script = r#"
when user contains "order"
  tool mcp__acme__lookup_order {"order": 7}
  then
  say It says: {{result}}
otherwise
  say Yes.
"#;
    let tools =
        [McpTool::text("lookup_order", "order 7 is on its way"), McpTool::text("delete_order", "deleted")];
    let ground = Ground::with_tools(kind, script, McpForm::EventStream, tools).await;
    let agent = ground.deploy().await;
    let servers = agent.handle().mcp_servers();
    let offered = async |name: &str| {
        agent.ask("are you there?").await;
        let asked = ground.model.requests().last().unwrap().json();
        asked["tools"].to_string().contains(name)
    };
    assert!(!offered("mcp__acme").await);
    servers.add(McpServer::new("acme", MCP_URL)).await.unwrap();
    assert!(offered("mcp__acme__delete_order").await);
    let told = agent.ask("where is my order?").await;
    assert_eq!(told.status(), Some(RunStatus::Completed), "{told:#?}");
    assert!(told.results().contains("order 7 is on its way"), "{told:#?}");
    servers.update("acme", UpdateMcpServer::new().tools(["lookup_order"])).await.unwrap();
    assert!(!offered("mcp__acme__delete_order").await);
    servers.remove("acme").await.unwrap();
    assert!(!offered("mcp__acme").await);
    ground.stop().await;
}
