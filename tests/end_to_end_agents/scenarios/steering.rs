//! A message reaches an agent that is at work.

use prism_types::{SendMessage, ThreadId};

use crate::{agent::Agent, ground::Ground, kind::Kind};

const SCRIPT: &str = r#"
when user contains "use a tool" and step 1
  tool terminal {"command": "touch started; until [ -e go ]; do sleep 0.1; done; echo tool ended"}
when user contains "think" and step 1
  token thinking
  wait thought
  token " thought"
otherwise
  say Noted.
"#;

pub(crate) async fn a_message_reaches_an_agent_at_work(kind: Kind) {
    let ground = Ground::start(kind, SCRIPT).await;
    let agent = ground.deploy().await;

    // While a tool runs.
    let sent = agent.send(SendMessage::new("use a tool").new_thread()).await;
    agent.until(&sent.run_id, |told| !told.tools().is_empty()).await;
    crate::agent::eventually("the tool runs", async || {
        agent.file("started").await.map(drop).ok_or_else(|| "it does not".to_owned())
    })
    .await;
    let steered = steer(&agent, &sent.thread_id, "and paint it red").await;
    assert_eq!(steered, sent.run_id, "the message belongs to the run at work");
    agent.touch("go").await;
    let told = agent.completed(&sent.run_id).await;
    assert!(told.results().contains("tool ended") && told.text().contains("Noted."), "{told:#?}");
    model_was_told(&ground, "and paint it red").await;

    // While the model answers.
    let sent = agent.send(SendMessage::new("think").new_thread()).await;
    agent.until(&sent.run_id, |told| told.text().contains("thinking")).await;
    let steered = steer(&agent, &sent.thread_id, "and paint it blue").await;
    assert_eq!(steered, sent.run_id);
    ground.model.open("thought");
    agent.completed(&sent.run_id).await;
    model_was_told(&ground, "and paint it blue").await;
    ground.stop().await;
}

async fn steer(agent: &Agent<'_>, thread: &ThreadId, message: &str) -> prism_types::RunId {
    agent.send(SendMessage::new(message).thread_id(thread.clone())).await.run_id
}

async fn model_was_told(ground: &Ground, text: &str) {
    ground.model.request(|request| request.json()["messages"].to_string().contains(text)).await;
}
