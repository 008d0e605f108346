//! What users and a real agent remember, dream and forget.

use prism_types::{DreamStatus, MemorySource, RunKind, SendMessage};

use crate::{
    agent::{Agent, Told, eventually},
    ground::Ground,
    kind::Kind,
};

/// The last system prompt in which the model was asked this.
async fn prompt(ground: &Ground, asked: &str) -> String {
    let request = ground.model.request(|request| {
        let messages = request.json()["messages"].clone();
        let last = messages.as_array().and_then(|all| all.last().cloned()).unwrap_or_default();
        last["role"] == "user" && last.to_string().contains(asked)
    });
    let json = request.await.json();
    assert_eq!(json["messages"][0]["role"], "system");
    json["messages"][0]["content"].as_str().unwrap().to_owned()
}

async fn on_thread(agent: &Agent<'_>, message: &str, thread: &prism_types::ThreadId) -> Told {
    let sent = agent.send(SendMessage::new(message).thread_id(thread.clone())).await;
    agent.completed(&sent.run_id).await
}

async fn contents(agent: &Agent<'_>) -> Vec<(String, MemorySource)> {
    let all = agent.memories().list().limit(100).await.unwrap().into_inner().data;
    all.into_iter().map(|memory| (memory.content, memory.source)).collect()
}

/// Both learn, change and forget, on a thread that lives on.
pub(crate) async fn memories_go_both_ways(kind: Kind) {
    let script = r#"
when user contains "note it"
  tool memory {"action": "add", "target": "memory", "content": "The launch is on a Thursday."}
  then
  tool memory {"action": "add", "target": "user", "content": "They are called Ada."}
  then
  say Noted.
when user contains "drop it"
  tool memory {"action": "remove", "target": "memory", "old_text": "invoices"}
  then
  say Dropped.
when user contains "go on and on"
  tool memory {"action": "add", "target": "memory", "content": "LONG"}
  then
  say {{result}}
when user contains "scribble"
  tool terminal {"command": "printf 'by hand\\r\\n\\xff\\033\\n§\\nhunter2-secret-value' >> $HERMES_HOME/memories/MEMORY.md"}
  then
  say Scribbled.
otherwise
  say You said: {{message}}
"#;
    let ground = Ground::start(kind, &script.replace("LONG", &"x".repeat(2001))).await;
    let secret = "sec_memories".parse().unwrap();
    ground.set_secret(&secret, "hunter2-secret-value").await;
    let agent = ground.deploy_request(ground.request().secret("TOKEN", secret)).await;
    let sent = agent.send(SendMessage::new("first words").new_thread()).await;
    agent.completed(&sent.run_id).await;
    let thread = sent.thread_id;
    assert!(!prompt(&ground, "first words").await.contains("MEMORY (your personal notes)"));

    // What was made over the API is in the next prompt of the same thread, and of others.
    let invoices = agent.memories().create("They send invoices on Fridays.").await.unwrap().into_inner();
    let tea = agent.memories().create("They drink tea.\nBlack.").await.unwrap().into_inner();
    on_thread(&agent, "second words", &thread).await;
    let second = prompt(&ground, "second words").await;
    assert!(second.contains("They send invoices on Fridays.") && second.contains("tea.\nBlack."), "{second}");
    agent.ask("other words").await;
    assert!(prompt(&ground, "other words").await.contains("They send invoices on Fridays."));

    // What the agent learned is there with the end of its run, and in its own next prompt.
    on_thread(&agent, "note it", &thread).await;
    let all = contents(&agent).await;
    for learned in ["The launch is on a Thursday.", "They are called Ada."] {
        assert!(all.contains(&(learned.to_owned(), MemorySource::Agent)), "{all:?}");
    }
    assert_eq!(all.len(), 4, "{all:?}");

    // A change and a deletion over the API, and a removal by the agent.
    agent.memories().update(&tea.memory_id, "They drink coffee.").await.unwrap();
    let launch = agent.memories().list().q("launch").await.unwrap().into_inner().data.remove(0);
    agent.memories().delete(&launch.memory_id).await.unwrap();
    on_thread(&agent, "drop it", &thread).await;
    on_thread(&agent, "third words", &thread).await;
    let third = prompt(&ground, "third words").await;
    assert!(third.contains("They drink coffee.") && third.contains("They are called Ada."), "{third}");
    for gone in ["drink tea", "on a Thursday", "invoices"] {
        assert!(!third.contains(gone), "{gone}: {third}");
    }
    assert_eq!(agent.memories().get(&invoices.memory_id).await.unwrap_err().status(), Some(404));

    // Too long for a memory; and whatever somebody writes into the file.
    let told = on_thread(&agent, "go on and on", &thread).await;
    assert!(told.text().contains("at most 2000 characters"), "{}", told.text());
    on_thread(&agent, "scribble", &thread).await;
    let all = contents(&agent).await;
    assert!(all.iter().any(|(content, _)| content.contains("by hand")), "{all:?}");
    assert!(all.iter().any(|(content, _)| content.contains("[redacted]")), "{all:?}");
    assert!(all.iter().all(|(content, _)| !content.contains("hunter2")), "{all:?}");

    // A lost agent has what there is.
    agent.kill().await;
    on_thread(&agent, "fourth words", &thread).await;
    assert!(prompt(&ground, "fourth words").await.contains("They drink coffee."));
    assert_eq!(contents(&agent).await, all);
    ground.stop().await;
}

/// A dream merges memories, and can be taken back; messages are not held up.
pub(crate) async fn an_agent_dreams(kind: Kind) {
    let script = r#"
when user contains "put your memory in order"
  wait dream
  tool memory {"target": "memory", "operations": [{"action": "remove", "old_text": "like tea"}, {"action": "replace", "old_text": "like coffee", "content": "They like tea and coffee."}]}
  then
  say Merged two into one.
otherwise
  say You said: {{message}}
"#;
    let ground = Ground::start(kind, script).await;
    ground.set_credits(1_000_000_000).await;
    let agent = ground.deploy().await;
    for content in ["They like tea.", "They like coffee."] {
        agent.memories().create(content).await.unwrap();
    }
    let credits = ground.credits().await;
    let started = agent.dreams().start().await.unwrap().into_inner();
    assert_eq!(agent.ask("are you there?").await.text(), "You said: are you there?");
    ground.model.open("dream");
    agent.completed(&started.run_id).await;
    assert_eq!(agent.run(&started.run_id).await.kind, RunKind::Dreaming);
    assert!(ground.credits().await < credits, "a dream costs credits");
    let over = async || {
        let dream = agent.dreams().get(&started.dream_id).await.unwrap().into_inner();
        if dream.status == DreamStatus::Completed { Ok(()) } else { Err(format!("{dream:?}")) }
    };
    eventually("a dream gets its report", over).await;
    let dream = agent.dreams().get(&started.dream_id).await.unwrap().into_inner();
    let report = dream.report.unwrap();
    assert!(report.summary.contains("Merged two into one."), "{report:?}");
    assert_eq!((report.added.len(), report.removed.len()), (1, 2), "{report:?}");
    assert_eq!(contents(&agent).await, [("They like tea and coffee.".to_owned(), MemorySource::Agent)]);

    agent.dreams().revert(&started.dream_id).await.unwrap();
    agent.ask("what do I like?").await;
    let prompt = prompt(&ground, "what do I like?").await;
    assert!(prompt.contains("They like tea.") && prompt.contains("They like coffee."), "{prompt}");
    assert!(!prompt.contains("tea and coffee"), "{prompt}");
    ground.stop().await;
}

/// A deleted thread is forgotten by an agent at work, and by one that was away.
pub(crate) async fn a_deleted_thread_is_forgotten(kind: Kind) {
    let script = r#"
when user contains "work"
  token working
  tool terminal {"command": "sleep 300"}
  then
  say Never.
otherwise
  say You said: {{message}}
"#;
    let ground = Ground::start(kind, script).await;
    let agent = ground.deploy().await;
    let idle = agent.send(SendMessage::new("the word is zanzibar-1").new_thread()).await;
    agent.completed(&idle.run_id).await;
    let busy = agent.send(SendMessage::new("work on zanzibar-2").new_thread()).await;
    agent.until(&busy.run_id, |told| told.tools() == ["terminal"]).await;
    let kept = agent.send(SendMessage::new("the word is zanzibar-3").new_thread()).await;
    agent.completed(&kept.run_id).await;
    for thread in [&idle.thread_id, &busy.thread_id] {
        agent.delete_thread(thread).await;
    }
    let forgotten = |word: &'static str| {
        let agent = agent.clone();
        async move || {
            let all = agent.sessions().await?;
            if all.contains(word) { Err(format!("{word} is in {all}")) } else { Ok(()) }
        }
    };
    eventually("an idle thread is forgotten", forgotten("zanzibar-1")).await;
    eventually("a thread at work is forgotten", forgotten("zanzibar-2")).await;
    assert!(agent.sessions().await.unwrap().contains("zanzibar-3"), "other threads stay");

    // The agent is away when its thread is deleted.
    agent.kill().await;
    agent.delete_thread(&kept.thread_id).await;
    assert_eq!(agent.ask("are you there?").await.text(), "You said: are you there?");
    eventually("a thread is forgotten by an agent that was away", forgotten("zanzibar-3")).await;
    ground.stop().await;
}
