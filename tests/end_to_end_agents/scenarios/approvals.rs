//! An agent asks before it does what cannot be undone.

use prism_types::{AnswerApproval, RunStatus, SendMessage};

use crate::{
    agent::{Agent, Told},
    ground::Ground,
    kind::Kind,
};

const SCRIPT: &str = r#"
when user contains "prepare"
  tool terminal {"command": "mkdir -p danger && echo x > danger/file"}
  then
  say Prepared.
when user contains "clean up"
  tool terminal {"command": "rm -rf ./danger && echo it is gone"}
  then
  say Ended: {{result}}
otherwise
  say You said: {{message}}
"#;

pub(crate) async fn a_human_allows_or_forbids(kind: Kind) {
    let ground = Ground::start(kind, SCRIPT).await;
    let agent = ground.deploy().await;
    for (answer, allowed) in [("no", false), ("yes", true)] {
        let asked = prepared_and_asked(&agent).await;
        let answered = agent.send(SendMessage::new(answer).thread_id(asked.thread.clone())).await;
        assert_eq!(answered.run_id, asked.run, "the answer goes to the run that asked");
        let told = agent.completed(&asked.run).await;
        assert_eq!(told.results().contains("it is gone"), allowed, "{told:#?}");
        assert_eq!(agent.file("danger/file").await.is_none(), allowed, "after {answer}");
    }
    // The same by decisions.
    for (decision, allowed) in
        [(AnswerApproval::deny().reason("yes is not what I say"), false), (AnswerApproval::allow(), true)]
    {
        let asked = prepared_and_asked(&agent).await;
        agent.decide(decision).await;
        let told = agent.completed(&asked.run).await;
        assert_eq!(told.results().contains("it is gone"), allowed, "{told:#?}");
        assert_eq!(told.results().contains("yes is not what I say"), !allowed, "the agent hears the reason");
        assert_eq!(agent.file("danger/file").await.is_none(), allowed);
    }
    ground.stop().await;
}

pub(crate) async fn a_question_outlives_the_gateway(kind: Kind) {
    let mut ground = Ground::start(kind, SCRIPT).await;
    let agent = ground.deploy().await;
    let asked = prepared_and_asked(&agent).await;
    let id = agent.id.clone();
    drop(agent);
    ground.restart(async |_| {}).await;
    let agent = Agent::new(&ground, id);
    assert_eq!(agent.run(&asked.run).await.status, RunStatus::WaitingOnHuman);
    let answered = agent.send(SendMessage::new("yes").thread_id(asked.thread.clone())).await;
    assert_eq!(answered.run_id, asked.run);
    let told = agent.completed(&asked.run).await;
    assert!(told.results().contains("it is gone"), "{told:#?}");
    assert_eq!(agent.file("danger/file").await, None);
    ground.stop().await;
}

pub(crate) async fn a_question_outlives_its_agent(kind: Kind) {
    let ground = Ground::start(kind, SCRIPT).await;
    let agent = ground.deploy().await;
    let asked = prepared_and_asked(&agent).await;
    agent.kill().await;
    // Whom the answer was for is gone: the next agent begins the work again, and asks itself.
    agent.send(SendMessage::new("yes").thread_id(asked.thread.clone())).await;
    let asks_again =
        |told: &Told| told.questions().len() == 2 && told.status() == Some(RunStatus::WaitingOnHuman);
    let told = agent.until(&asked.run, asks_again).await;
    assert!(told.questions()[1].contains("rm -rf"), "{told:#?}");
    assert!(agent.file("danger/file").await.is_some(), "nothing happens before the second answer");
    agent.send(SendMessage::new("yes").thread_id(asked.thread.clone())).await;
    let told = agent.completed(&asked.run).await;
    assert!(told.results().contains("it is gone"), "{told:#?}");
    ground.stop().await;
}

struct Asked {
    run: prism_types::RunId,
    thread: prism_types::ThreadId,
}

/// An agent that has a file to delete and has asked whether it may, on a thread of its own.
async fn prepared_and_asked(agent: &Agent<'_>) -> Asked {
    let prepared = agent.ask("prepare").await;
    assert_eq!(prepared.status(), Some(RunStatus::Completed), "{prepared:#?}");
    assert!(agent.file("danger/file").await.is_some());
    let sent = agent.send(SendMessage::new("clean up").new_thread()).await;
    let waits = |told: &Told| told.status() == Some(RunStatus::WaitingOnHuman);
    let told = agent.until(&sent.run_id, |told| waits(told) && !told.questions().is_empty()).await;
    assert!(told.questions()[0].contains("rm -rf"), "the question names the command: {told:#?}");
    assert!(agent.file("danger/file").await.is_some(), "nothing happens before the answer");
    Asked { run: sent.run_id, thread: sent.thread_id }
}
