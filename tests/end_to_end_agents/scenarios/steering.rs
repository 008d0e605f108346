//! A message reaches an agent that is at work.

use prism_types::{RunStatus, SendMessage, ThreadId};

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
    agent.has_file("started").await;
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

pub(crate) async fn a_cancelled_run_stops_the_agent(kind: Kind) {
    let script = r#"
when user contains "work"
  tool terminal {"command": "touch started; until [ -e go ]; do sleep 0.1; done; touch ended"}
  then
  say The work is done.
when user contains "clean up"
  tool terminal {"command": "rm -rf started"}
  then
  say It is gone.
otherwise
  say You said: {{message}}
"#;
    let ground = Ground::start(kind, script).await;
    let agent = ground.deploy().await;

    // While a tool runs: it ends, and the thread takes new work at once.
    let sent = agent.send("work").await;
    agent.has_file("started").await;
    agent.cancel(&sent.run_id).await;
    let next = agent.send("are you there?").await;
    assert_ne!(next.run_id, sent.run_id);
    let told = agent.ended(&sent.run_id).await;
    assert_eq!((told.status(), told.failure()), (Some(RunStatus::Error), Some("cancelled")), "{told:#?}");
    let told = agent.completed(&next.run_id).await;
    assert_eq!(told.text(), "You said: are you there?", "the next run tells only its own");
    agent.touch("go").await;
    assert_eq!(agent.ask("still there?").await.text(), "You said: still there?");
    assert_eq!(agent.file("ended").await, None, "the tool was stopped");

    // While it waits for a human: nothing happens any more.
    let sent = agent.send(SendMessage::new("clean up").new_thread()).await;
    agent.until(&sent.run_id, |told| told.status() == Some(RunStatus::WaitingOnHuman)).await;
    agent.cancel(&sent.run_id).await;
    let told = agent.ended(&sent.run_id).await;
    assert_eq!(told.failure(), Some("cancelled"), "{told:#?}");
    let again = SendMessage::new("and now?").thread_id(sent.thread_id.clone());
    let told = agent.completed(&agent.send(again).await.run_id).await;
    assert_eq!(told.text(), "You said: and now?");
    assert!(agent.file("started").await.is_some(), "what was not allowed was not done");
    ground.stop().await;
}
