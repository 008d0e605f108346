//! An agent answers, uses its tools, keeps conversations apart, and is paid for.

use prism_server_core::testkit::mcp::{McpForm, McpTool};
use prism_types::{
    EventPayload, Features, FileChange, McpServer, RunStatus, SendMessage, Skill, UpdateDeployment,
};

use crate::{
    ground::{Ground, MCP_URL},
    kind::Kind,
};

const SCRIPT: &str = r#"
when user contains "note"
  say Let me write it down.
  tool terminal {"command": "printf 'buy milk' > note.txt && cat note.txt"}
  then
  say Written: {{result}}
otherwise
  usage 1200 34
  say You said: {{message}}
"#;

pub(crate) async fn an_agent_answers_and_uses_tools(kind: Kind) {
    let ground = Ground::start(kind, SCRIPT).await;
    ground.set_credits(1_000_000).await;
    let agent = ground.deploy_with(Features::default().filesystem_webhooks(true)).await;

    let sent = agent.send("Hello, agent").await;
    let told = agent.completed(&sent.run_id).await;
    assert_eq!(told.text(), "You said: Hello, agent");
    let tokens = told.events.iter().filter(|event| matches!(event.payload, EventPayload::Token(_))).count();
    assert!(tokens > 1, "the answer is streamed: {told:#?}");
    let run = agent.run(&sent.run_id).await;
    assert_eq!((run.attempts, run.usage.input_tokens, run.usage.output_tokens), (1, 1200, 34));
    let thread = agent.thread(&sent.thread_id).await;
    let said: Vec<_> = thread.messages.iter().map(|m| (m.role.as_str(), m.content.as_str())).collect();
    assert_eq!(said, [("user", "Hello, agent"), ("agent", "You said: Hello, agent")]);
    let left = ground.credits().await;
    assert!(left < 1_000_000, "credits are debited");

    let sent = agent.send("Take a note").await;
    let told = agent.completed(&sent.run_id).await;
    assert_eq!(told.tools(), ["terminal"]);
    assert!(told.results().contains("buy milk"), "{told:#?}");
    assert!(told.text().contains("Written:") && told.text().contains("buy milk"), "{}", told.text());
    assert_eq!(agent.file("note.txt").await.as_deref(), Some("buy milk"));
    let ids = told.events.iter().filter_map(|event| match &event.payload {
        EventPayload::ToolCall(call) => call.tool_call_id.clone(),
        EventPayload::ToolResult(result) => result.tool_call_id.clone(),
        _ => None,
    });
    let ids: Vec<_> = ids.collect();
    assert!(ids.len() == 2 && ids[0] == ids[1], "a result belongs to its call: {ids:?}");
    let log = agent.log().await;
    let changed = log.iter().any(|event| match &event.payload {
        EventPayload::Filesystem(changed) => {
            changed.path == "note.txt" && changed.change == FileChange::Created
        }
        _ => false,
    });
    assert!(changed, "the log tells of the file: {log:#?}");
    assert!(ground.credits().await < left);
    ground.stop().await;
}

pub(crate) async fn an_agent_is_what_its_deployment_says(kind: Kind) {
    let script = r#"
when user contains "read"
  tool skill_view {"name": "storyboarding"}
  then
  say {{result}}
otherwise
  say Yes.
"#;
    let ground = Ground::start(kind, script).await;
    let mut request = ground.request();
    // What Hermes would take for a variable of its environment, and what YAML would take for something else.
    request.system_prompt =
        "You are ${HOME} \u{7f}: {a: [1]} # no comment\n\t- \"quoted\" 'too' \\ é🙂".to_owned();
    let prompt = request.system_prompt.clone();
    let skill =
        "---\nname: storyboarding\ndescription: Create shot-by-shot storyboards\n---\n# Shots first\n";
    let request = request
        .skills([Skill::inline("storyboarding", skill)])
        .features(Features::default().memory(false).steering(false));
    let agent = ground.deploy_request(request).await;

    assert!(agent.ask("are you there?").await.text().contains("Yes."));
    let asked = ground.model.requests().last().unwrap().json();
    assert_eq!(asked["model"], "model-1", "the provider's own name of the model");
    let system = asked["messages"][0]["content"].as_str().unwrap();
    assert!(system.contains(&prompt), "the prompt reaches the model as it is: {system}");
    assert!(system.contains("storyboarding") && system.contains("shot-by-shot"), "{system}");
    let tools: Vec<_> =
        asked["tools"].as_array().unwrap().iter().map(|tool| &tool["function"]["name"]).collect();
    for (name, expected) in [
        ("terminal", true),
        ("write_file", true),
        ("skill_view", true),
        ("memory", false),
        ("clarify", false),
        ("cronjob", false),
        ("delegate_task", false),
    ] {
        assert_eq!(tools.iter().any(|tool| **tool == name), expected, "{name} is in {tools:?}");
    }

    let told = agent.ask("read it").await;
    assert!(told.results().contains("Shots first"), "the agent reads its skill: {told:#?}");
    ground.stop().await;
}

pub(crate) async fn threads_are_apart(kind: Kind) {
    let script = r#"
when user contains "recall"
  say {{message}}
otherwise
  token one
  wait both
  token two
"#;
    let ground = Ground::start(kind, script).await;
    let agent = ground.deploy().await;
    let first = agent.send(SendMessage::new("the first secret word is apple").new_thread()).await;
    let second = agent.send(SendMessage::new("the second secret word is pear").new_thread()).await;
    for run in [&first.run_id, &second.run_id] {
        agent.until(run, |told| told.text() == "one").await;
    }
    ground.model.open("both");
    for (sent, own, other) in [(&first, "apple", "pear"), (&second, "pear", "apple")] {
        assert_eq!(agent.completed(&sent.run_id).await.text(), "onetwo");
        let recall = SendMessage::new(format!("recall {own}")).thread_id(sent.thread_id.clone());
        let recalled = agent.send(recall).await;
        agent.completed(&recalled.run_id).await;
        let request = ground.model.request(|request| {
            let last = request.json()["messages"].as_array().and_then(|all| all.last().cloned());
            last.is_some_and(|last| last.to_string().contains(&format!("recall {own}")))
        });
        let messages = request.await.json()["messages"].to_string();
        assert!(
            messages.contains(&format!("secret word is {own}")),
            "the agent knows the thread: {messages}"
        );
        assert!(!messages.contains(&format!("secret word is {other}")), "{messages}");
    }
    ground.stop().await;
}

pub(crate) async fn work_ends_without_credits(kind: Kind) {
    let script = r#"
when user contains "spend"
  usage 900000000 900000000
  tool terminal {"command": "echo spent"}
  then
  say This was not paid for.
otherwise
  say Hello.
"#;
    let ground = Ground::start(kind, script).await;
    let agent = ground.deploy().await;
    ground.set_credits(1).await;
    let sent = agent.send("spend it all").await;
    let told = agent.ended(&sent.run_id).await;
    assert_eq!(told.status(), Some(RunStatus::Error), "{told:#?}");
    assert_eq!(told.failure(), Some("insufficient_credits"), "{told:#?}");
    assert!(!told.text().contains("This was not paid for."));
    assert_eq!(ground.credits().await, 0);
    ground.set_credits(1_000_000_000_000).await;
    let sent = agent.send("hello").await;
    assert!(agent.completed(&sent.run_id).await.text().contains("Hello."));
    ground.stop().await;
}

pub(crate) async fn a_change_reaches_the_agent(kind: Kind) {
    let tools = [McpTool::text("lookup_order", "order 7 is on its way")];
    let ground = Ground::with_tools(kind, "say Yes.", McpForm::Json, tools).await;
    let agent = ground.deploy().await;
    let sent = agent.send("before").await;
    agent.completed(&sent.run_id).await;

    let skill =
        "---\nname: storyboarding\ndescription: Create shot-by-shot storyboards\n---\n# Shots first\n";
    let mut change = UpdateDeployment::new()
        .mcp_servers([McpServer::new("acme", MCP_URL)])
        .skills([Skill::inline("storyboarding", skill)]);
    change.system_prompt = Some("You are another agent now.".to_owned());
    ground.client().deployments().update(&agent.id, change).await.unwrap();
    agent.ready().await;
    let sent = agent.send("after").await;
    agent.completed(&sent.run_id).await;

    let asked = ground.model.requests().last().unwrap().json();
    let messages = asked["messages"].to_string();
    for expected in ["You are another agent now.", "storyboarding", "before", "after"] {
        assert!(messages.contains(expected), "{expected} is in {messages}");
    }
    assert!(!messages.contains("You are a test agent."), "{messages}");
    assert!(asked["tools"].to_string().contains("mcp__acme__lookup_order"), "{}", asked["tools"]);
    assert_eq!(agent.run(&sent.run_id).await.attempts, 1, "a change is no loss");
    ground.stop().await;
}
