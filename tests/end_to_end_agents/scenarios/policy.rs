//! Tools that are switched off, and tools that wait for a human.

use prism_server_core::testkit::mcp::{McpForm, McpTool};
use prism_types::{
    AnswerApproval, ApprovalPolicy, Features, McpServer, RunStatus, SendMessage, UpdateDeployment, UpdateTool,
};

use crate::{
    agent::{Agent, Told},
    ground::{Ground, MCP_URL},
    kind::Kind,
};

/// The names of the tools that a call of the model offered.
fn offered(request: &serde_json::Value) -> Vec<String> {
    let tools = request["tools"].as_array().cloned().unwrap_or_default();
    tools.iter().filter_map(|tool| tool["function"]["name"].as_str().map(str::to_owned)).collect()
}

pub(crate) async fn a_tool_that_is_switched_off_is_not_offered(kind: Kind) {
    let script = r#"
when user contains "edit"
  tool patch {"mode": "replace", "path": "note.txt", "old_string": "a", "new_string": "b"}
  then
  say It says: {{result}}
otherwise
  say You said: {{message}}
"#;
    let tools = [McpTool::text("lookup_order", "on its way"), McpTool::text("delete_order", "deleted")];
    let ground = Ground::with_tools(kind, script, McpForm::EventStream, tools).await;
    let request = ground.request().mcp_servers([McpServer::new("acme", MCP_URL)]);
    let agent = ground.deploy_request(request).await;
    let last = || offered(&ground.model.requests().last().unwrap().json());
    agent.ask("hello").await;
    let all = last();
    for name in ["terminal", "process", "patch", "mcp__acme__lookup_order", "mcp__acme__delete_order"] {
        assert!(all.iter().any(|offered| offered == name), "{name} is in {all:?}");
    }

    let tools = agent.handle().tools();
    let listed = tools.list().await.unwrap().into_inner();
    let states: Vec<_> = listed.data.iter().map(|tool| (tool.name.as_str(), tool.enabled)).collect();
    for (name, enabled) in [
        ("shell", true),
        ("web_search", false),
        ("browser", false),
        ("subagents", false),
        ("memory", true),
        ("delete_order", true),
    ] {
        assert!(states.contains(&(name, enabled)), "{name} is {enabled} in {states:?}");
    }
    let refused = tools.update("browser", UpdateTool::new(true)).await.unwrap_err();
    assert!(refused.to_string().contains("has no browser"), "{refused}");

    for (name, origin) in [("shell", "builtin"), ("edit_file", "builtin"), ("delete_order", "acme")] {
        tools.update(name, UpdateTool::new(false)).origin(origin).await.unwrap();
    }
    let told = agent.ask("edit it all the same").await;
    assert!(!told.results().contains("success"), "{told:#?}");
    let fewer = last();
    for name in ["terminal", "process", "patch", "mcp__acme__delete_order"] {
        assert!(!fewer.iter().any(|offered| offered == name), "{name} is in {fewer:?}");
    }
    assert_eq!(fewer.len(), all.len() - 4, "the others are still there: {fewer:?}");

    for (name, origin) in [("shell", "builtin"), ("edit_file", "builtin"), ("delete_order", "acme")] {
        tools.update(name, UpdateTool::new(true)).origin(origin).await.unwrap();
    }
    agent.ask("hello again").await;
    assert_eq!(last(), all);
    ground.stop().await;
}

const SCRIPT: &str = r##"
when user contains "# around"
  tool write_file {"path": "around.py", "content": "{{message}}"}
  then
  tool terminal {"command": "python3 around.py"}
  then
  say Ended: {{result}}
when user contains "write"
  tool write_file {"path": "note.txt", "content": "{{message}}"}
  then
  say Ended: {{result}}
when user contains "publish"
  tool mcp__acme__publish_post {"title": "Hello", "tags": ["a", 1.5, null]}
  then
  say Ended: {{result}}
when user contains "clean up"
  tool terminal {"command": "mkdir -p danger && rm -rf ./danger && echo it is gone"}
  then
  say Ended: {{result}}
when user contains "both"
  tool mcp__acme__publish_post {"title": "One"}
  tool mcp__acme__publish_post {"title": "Two"}
  then
  say Ended: {{result}}
otherwise
  say You said: {{message}}
"##;

async fn publisher(kind: Kind, steering: bool, patterns: &[&str]) -> Ground {
    let tools = [McpTool::echo("publish_post"), McpTool::text("lookup_order", "on its way")];
    let ground = Ground::with_tools(kind, SCRIPT, McpForm::Json, tools).await;
    let request = ground
        .request()
        .mcp_servers([McpServer::new("acme", MCP_URL)])
        .features(Features::default().steering(steering))
        .approvals(ApprovalPolicy::new(patterns.iter().copied()));
    ground.deploy_request(request).await;
    ground
}

async fn only_agent(ground: &Ground) -> Agent<'_> {
    let deployments = ground.client().deployments().list().await.unwrap().into_inner().data;
    let [deployment] = &deployments[..] else { panic!("one agent: {deployments:?}") };
    Agent::new(ground, deployment.deployment_id.clone())
}

/// Sends a message on a thread of its own and waits until its run asks.
async fn asked(agent: &Agent<'_>, message: &str, questions: usize) -> Told {
    let sent = agent.send(SendMessage::new(message).new_thread()).await;
    let waits =
        |told: &Told| told.status() == Some(RunStatus::WaitingOnHuman) && told.questions().len() == questions;
    agent.until(&sent.run_id, waits).await
}

fn run_of(told: &Told) -> prism_types::RunId {
    told.events[0].payload.run_id().unwrap().clone()
}

pub(crate) async fn what_needs_approval_waits_for_a_human(kind: Kind) {
    let ground = publisher(kind, true, &["write_file", "shell", "acme/publish_*"]).await;
    let agent = only_agent(&ground).await;

    // A tool of the agent's own.
    let told = asked(&agent, "write this", 1).await;
    assert!(
        told.questions()[0]
            .contains(r#"wants to use write_file: {"content":"write this","path":"note.txt"}"#),
        "{told:#?}"
    );
    assert_eq!(agent.file("note.txt").await, None, "nothing is done before the answer");
    agent.decide(AnswerApproval::deny().reason("The file is mine")).await;
    let told = agent.completed(&run_of(&told)).await;
    assert!(told.results().contains("The file is mine"), "{told:#?}");
    let request = ground.model.requests().last().unwrap().json()["messages"].to_string();
    assert!(request.contains("The file is mine"), "the model hears the reason: {request}");
    assert_eq!(agent.file("note.txt").await, None);
    let told = asked(&agent, "write that", 1).await;
    agent.decide(AnswerApproval::allow()).await;
    agent.completed(&run_of(&told)).await;
    assert_eq!(agent.file("note.txt").await.as_deref(), Some("write that"));

    // What the agent finds dangerous itself is asked about once, and not twice.
    let told = asked(&agent, "clean up", 1).await;
    agent.decide(AnswerApproval::allow()).await;
    let told = agent.completed(&run_of(&told)).await;
    assert!(told.results().contains("it is gone"), "{told:#?}");
    assert_eq!(told.questions().len(), 1, "{told:#?}");

    // A tool of an MCP server: each call is asked about, whatever was said before.
    let told = asked(&agent, "publish", 1).await;
    assert!(
        told.questions()[0].contains(r#"acme/publish_post: {"tags":["a",1.5,null],"title":"Hello"}"#),
        "{told:#?}"
    );
    assert!(ground.mcp.calls("publish_post").is_empty());
    agent.decide(AnswerApproval::deny().reason("Not before May")).await;
    let told = agent.completed(&run_of(&told)).await;
    assert!(told.results().contains("Not before May"), "{told:#?}");
    assert!(ground.mcp.calls("publish_post").is_empty());
    for published in 1..=2 {
        let sent = agent.send(SendMessage::new("publish").new_thread()).await;
        agent.until(&sent.run_id, |told| told.status() == Some(RunStatus::WaitingOnHuman)).await;
        agent.send(SendMessage::new("always").thread_id(sent.thread_id.clone())).await;
        let told = agent.completed(&sent.run_id).await;
        assert!(told.results().contains("Hello"), "{told:#?}");
        assert_eq!(ground.mcp.calls("publish_post").len(), published);
    }

    // Two calls at once are two questions.
    let told = asked(&agent, "both", 1).await;
    let run = run_of(&told);
    agent.decide(AnswerApproval::allow()).await;
    let waits = |told: &Told| told.questions().len() == 2 && told.status() == Some(RunStatus::WaitingOnHuman);
    agent.until(&run, waits).await;
    agent.decide(AnswerApproval::deny().reason("One is enough")).await;
    let told = agent.completed(&run).await;
    assert!(told.results().contains("One is enough"), "{told:#?}");
    assert_eq!(ground.mcp.calls("publish_post").len(), 3);

    // Without the policy nobody is asked.
    agent.handle().update(UpdateDeployment::new().approvals(ApprovalPolicy::default())).await.unwrap();
    let told = agent.ask("publish").await;
    assert_eq!((told.status(), told.questions().len()), (Some(RunStatus::Completed), 0), "{told:#?}");
    assert_eq!(ground.mcp.calls("publish_post").len(), 4);
    ground.stop().await;
}

pub(crate) async fn without_steering_what_needs_approval_is_refused_and_nothing_waits(kind: Kind) {
    let ground = publisher(kind, false, &["write_file", "*/*"]).await;
    let agent = only_agent(&ground).await;
    for message in ["write this", "publish"] {
        let told = agent.ask(message).await;
        assert_eq!((told.status(), told.questions().len()), (Some(RunStatus::Completed), 0), "{told:#?}");
        assert!(told.results().contains("decide yourself"), "{told:#?}");
    }
    assert_eq!(agent.file("note.txt").await, None);
    assert!(ground.mcp.calls("publish_post").is_empty());
    ground.stop().await;
}

/// The gateway looks at what was approved, whatever runs in the sandbox.
pub(crate) async fn the_gateway_refuses_what_nobody_approved(kind: Kind) {
    let ground = publisher(kind, true, &["acme/publish_*"]).await;
    let agent = only_agent(&ground).await;
    // What a hostile agent could run: it calls the server past the agent's own rules.
    let program = r#"# around
import json, os, urllib.request
process, found = os.getpid(), {}
while "PRISM_PORT" not in found or "HERMES_HOME" not in found:
    environment = open(f"/proc/{process}/environ").read().split("\0")
    found.update(line.split("=", 1) for line in environment if "=" in line)
    process = int(open(f"/proc/{process}/stat").read().rsplit(")", 1)[1].split()[1])
config = json.load(open(os.path.join(found["HERMES_HOME"], "config.yaml")))
server = config["mcp_servers"]["acme"]
def send(message, session=None):
    headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream", **server["headers"]}
    if session:
        headers["Mcp-Session-Id"] = session
    url = server["url"].replace("${PRISM_PORT}", found["PRISM_PORT"])
    with urllib.request.urlopen(urllib.request.Request(url, json.dumps(message).encode(), headers)) as answer:
        return answer.headers.get("Mcp-Session-Id"), answer.read().decode()
session, _ = send({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": "2025-06-18"}})
for tool in ("lookup_order", "publish_post"):
    call = {"name": tool, "arguments": {"title": "Hello", "tags": ["a", 1.5, None]}}
    print(send({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": call}, session)[1])
"#;
    let told = agent.ask(program).await;
    assert!(told.results().contains("on its way"), "it reaches the server: {told:#?}");
    assert!(told.results().contains("has not approved this one"), "{told:#?}");
    assert!(ground.mcp.calls("publish_post").is_empty());
    ground.stop().await;
}

pub(crate) async fn an_approval_outlives_the_gateway_and_the_agent(kind: Kind) {
    let mut ground = publisher(kind, true, &["acme/publish_*"]).await;
    let agent = only_agent(&ground).await;
    let told = asked(&agent, "publish", 1).await;
    let run = run_of(&told);
    drop(agent);
    ground.restart(async |_| {}).await;
    let agent = only_agent(&ground).await;
    assert_eq!(agent.run(&run).await.status, RunStatus::WaitingOnHuman);
    agent.decide(AnswerApproval::allow()).await;
    let told = agent.completed(&run).await;
    assert!(told.results().contains("Hello"), "{told:#?}");
    assert_eq!(ground.mcp.calls("publish_post").len(), 1);

    // Whom the answer was for is gone: the next agent asks itself, and nothing is done before that is answered.
    let told = asked(&agent, "publish", 1).await;
    let run = run_of(&told);
    agent.kill().await;
    agent.decide(AnswerApproval::allow()).await;
    let asks_again =
        |told: &Told| told.questions().len() == 2 && told.status() == Some(RunStatus::WaitingOnHuman);
    agent.until(&run, asks_again).await;
    assert_eq!(ground.mcp.calls("publish_post").len(), 1);
    agent.decide(AnswerApproval::allow()).await;
    agent.completed(&run).await;
    assert_eq!(ground.mcp.calls("publish_post").len(), 2);
    ground.stop().await;
}
