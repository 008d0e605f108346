//! What is left when an agent or the gateway is lost, and when an agent is deleted.

use prism_types::{RunStatus, SendMessage};

use crate::{
    agent::Agent,
    ground::Ground,
    kind::{Kind, contains},
};

pub(crate) async fn memory_outlives_the_agent(kind: Kind) {
    let script = r#"
when user contains "remember"
  tool memory {"action": "add", "target": "memory", "content": "The launch is on a Thursday."}
  then
  say Noted.
otherwise
  say You said: {{message}}
"#;
    let ground = Ground::start(kind, script).await;
    let agent = ground.deploy().await;
    let told = agent.ask("remember when the launch is").await;
    assert_eq!(told.tools(), ["memory"], "{told:#?}");
    agent.kill().await;
    let told = agent.ask("when is the launch?").await;
    assert_eq!(told.status(), Some(RunStatus::Completed), "{told:#?}");
    let request = ground.model.request(|request| {
        let messages = request.json()["messages"].clone();
        messages.to_string().contains("when is the launch?")
    });
    let system = request.await.json()["messages"][0].clone();
    assert_eq!(system["role"], "system");
    assert!(system.to_string().contains("The launch is on a Thursday."), "{system}");
    ground.stop().await;
}

pub(crate) async fn a_killed_agent_comes_back(kind: Kind) {
    let script = r#"
when user contains "work"
  token working
  wait never
otherwise
  say You said: {{message}}
"#;
    let ground = Ground::start(kind, script).await;
    let agent = ground.deploy().await;
    let sent = agent.send("work").await;
    agent.until(&sent.run_id, |told| told.text().contains("working")).await;
    agent.kill().await;
    ground.model.open("never");
    let told = agent.ended(&sent.run_id).await;
    assert_eq!(told.status(), Some(RunStatus::Completed), "{told:#?}");
    assert_eq!(told.text(), "working\n\nworking", "the work is begun once more");
    assert_eq!(agent.run(&sent.run_id).await.attempts, 2);
    let sent = agent.send("are you there?").await;
    let told = agent.completed(&sent.run_id).await;
    assert_eq!(told.text(), "You said: are you there?");
    let asked = ground.model.requests().last().unwrap().json();
    let messages = asked["messages"].as_array().unwrap();
    let said = messages.iter().filter(|message| message["role"] == "user").map(|message| &message["content"]);
    let said: Vec<_> = said.filter_map(|content| content.as_str()).collect();
    let times = said.iter().filter(|said| said.contains("are you there?")).count();
    assert_eq!(times, 1, "{said:?}");
    assert!(said[0].contains("work"), "the thread is resumed from the agent's disk: {said:?}");
    ground.stop().await;
}

pub(crate) async fn work_that_kills_its_agent_ends(kind: Kind) {
    let script = r#"
when user contains "end yourself"
  token going
  wait killed
otherwise
  say You said: {{message}}
"#;
    let ground = Ground::start(kind, script).await;
    let agent = ground.deploy().await;
    let sent = agent.send("end yourself").await;
    for (times, attempts) in [("going", 1), ("going\n\ngoing", 2)] {
        agent.until(&sent.run_id, |told| told.text() == times).await;
        assert_eq!(agent.run(&sent.run_id).await.attempts, attempts);
        agent.kill().await;
    }
    let told = agent.ended(&sent.run_id).await;
    assert_eq!((told.status(), told.failure()), (Some(RunStatus::Error), Some("agent_lost")), "{told:#?}");
    let tries =
        ground.model.requests().iter().filter(|request| contains(&request.body, b"end yourself")).count();
    assert_eq!(tries, 2, "work is handed over once more, and not again");
    assert_eq!(agent.ask("are you there?").await.text(), "You said: are you there?");
    ground.stop().await;
}

pub(crate) async fn a_restart_tells_every_token_once(kind: Kind) {
    let words: Vec<String> = (0..40).map(|number| format!("word{number:02} ")).collect();
    let (first, second) = (words[..20].concat(), words[20..].concat());
    let text = |words: &str| serde_json::to_string(words).unwrap();
    let script = format!("say {}\nwait second half\nsay {}", text(&first), text(&second));
    let script = script.replace("second half", "half");
    let mut ground = Ground::start(kind, &script).await;
    let agent = ground.deploy().await;
    let id = agent.id.clone();
    let sent = agent.send("tell me").await;
    agent.until(&sent.run_id, |told| told.text().contains("word18")).await;
    drop(agent);
    ground.restart(async |model| model.open("half")).await;
    let agent = Agent::new(&ground, id);
    let told = agent.completed(&sent.run_id).await;
    assert_eq!(told.text().trim_end(), words.concat().trim_end());
    assert_eq!(agent.run(&sent.run_id).await.attempts, 2);
    let thread = agent.thread(&sent.thread_id).await;
    assert_eq!(thread.messages.last().unwrap().content, told.text());
    ground.stop().await;
}

pub(crate) async fn nothing_is_left_of_a_deleted_agent(kind: Kind) {
    let script = r#"
when user contains "leave"
  tool write_file {"path": "leave.sh", "content": "setsid sleep 300 > /dev/null 2>&1 &\necho left\n"}
  then
  tool terminal {"command": "bash leave.sh"}
  then
  say Left.
when user contains "work"
  token working
  wait never
"#;
    let ground = Ground::start(kind, script).await;
    let agent = ground.deploy().await;
    assert_eq!(agent.ask("leave something").await.status(), Some(RunStatus::Completed));
    let sent = agent.send(SendMessage::new("work").new_thread()).await;
    agent.until(&sent.run_id, |told| told.text().contains("working")).await;
    let instance = agent.instance().await;
    assert_ne!(kind.left(ground.directory(), &instance).await, Vec::<String>::new());
    agent.delete().await;
    let gone = ground.client().deployments().get(&agent.id).await.unwrap_err();
    assert!(gone.is_not_found(), "{gone}");
    drop(agent);
    ground.stop().await;
}
