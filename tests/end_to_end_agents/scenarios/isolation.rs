//! What an agent in a container cannot do, tried by the agent itself.

use prism_types::RunStatus;

use crate::{ground::Ground, kind::Kind};

pub(crate) async fn an_agent_cannot_look_outside() {
    // The parts of the commands that differ come in the message, so that one script is enough.
    let script = r#"
when user contains "run: "
  tool terminal {"command": "bash look.sh"}
  then
  say {{result}}
when user contains "hide"
  tool write_file {"path": "hidden.txt", "content": "{{message}}"}
  then
  say Hidden.
when user contains "every way out"
  tool write_file {"path": "look.sh", "content": "{{message}}"}
  then
  say Written.
"#;
    let ground = Ground::start(Kind::Docker, script).await;
    let neighbour = ground.deploy().await;
    assert_eq!(neighbour.ask("hide word-of-the-neighbour").await.status(), Some(RunStatus::Completed));
    let agent = ground.deploy().await;
    assert_eq!(agent.ask("hide word-of-its-own").await.status(), Some(RunStatus::Completed));
    // Not the agent's own records of the conversation, where its commands are.
    let search = |word: &str| {
        let places = "--include=hidden.txt --exclude-dir=proc --exclude-dir=sys";
        format!("grep -rIl {places} {word} / 2> /dev/null; true")
    };
    let look = |name: &str, command: &str| format!("echo '[{name}]'; ({command}) 2>&1");
    let directory = ground.directory().display().to_string();
    let instance = neighbour.instance().await;
    let parts = [
        look("own files", &search("word-of-its''-own")),
        look("files", &search("word-of-the''-neighbour")),
        look("database", &format!("cat {} && echo readable", ground.database().display())),
        look("directory", &format!("ls {directory} && echo readable")),
        look(
            "volume",
            &format!("ls /var/lib/docker/volumes/prism-{instance}-workspace/_data && echo readable"),
        ),
        look("gateway", &format!("exec 3<>/dev/tcp/127.0.0.1/{} && echo connected", ground.port())),
        look(
            "bridge",
            &format!("timeout 2 bash -c 'exec 3<>/dev/tcp/172.17.0.1/{}' && echo connected", ground.port()),
        ),
        look("world", "timeout 2 bash -c 'exec 3<>/dev/tcp/1.1.1.1/443' && echo connected"),
        look("interfaces", "tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' '"),
        look("engine", "ls /var/run/docker.sock && echo readable"),
        look("processes", "grep -l dockerd /proc/[0-9]*/comm; true"),
        look(
            "mounts",
            &format!(
                "grep -c -e '{directory}/prism.db' -e '{instance}' -e docker.sock /proc/mounts /proc/self/mountinfo; true"
            ),
        ),
        look("root", "touch /x && echo writable; id -u; grep CapEff /proc/self/status"),
    ];
    let prepared = agent.ask(&format!("# every way out\n{}\necho '[end]'", parts.join("\n"))).await;
    assert_eq!(prepared.status(), Some(RunStatus::Completed), "{prepared:#?}");
    let told = agent.ask("run: look around").await;
    assert_eq!(told.status(), Some(RunStatus::Completed), "{told:#?}");
    let results = told.results().replace("\\n", "\n");
    assert!(results.contains("[end]"), "everything was tried: {results}");
    for wrong in ["readable", "connected", "writable"] {
        assert!(!results.contains(wrong), "{results}");
    }
    let section = |name: &str| {
        let heading = format!("[{name}]");
        let (_, after) = results.split_once(&heading).unwrap_or_else(|| panic!("no {name}: {results}"));
        let lines = after.trim_start().lines().take_while(|line| !line.starts_with('['));
        lines.collect::<Vec<_>>().join("\n")
    };
    assert_eq!(section("own files"), "/workspace/hidden.txt", "the search finds what is there: {results}");
    assert_eq!(section("files"), "", "{results}");
    assert_eq!(section("interfaces"), "lo", "{results}");
    assert_eq!(section("processes"), "", "{results}");
    assert!(section("mounts").lines().all(|line| line.ends_with(":0")), "{results}");
    assert!(section("root").contains("10001") && section("root").contains("0000000000000000"), "{results}");
    ground.stop().await;
}

pub(crate) async fn a_greedy_agent_harms_nobody_else() {
    let script = r#"
when user contains "fork"
  tool write_file {"path": "fork.sh", "content": "fork() { fork | fork & }\nfork\nsleep 5\n"}
  then
  tool terminal {"command": "bash fork.sh", "timeout": 15}
  then
  say Forked.
when user contains "hog"
  tool write_file {"path": "hog.py", "content": "taken = []\nwhile True:\n    taken.append(bytearray(16 << 20))\n"}
  then
  tool terminal {"command": "python3 hog.py; echo status $?", "timeout": 30}
  then
  say Hogged.
otherwise
  say You said: {{message}}
"#;
    let ground = Ground::start(Kind::Docker, script).await;
    let (greedy, neighbour) = tokio::join!(ground.deploy(), ground.deploy());
    for greed in ["fork", "hog"] {
        let sent = greedy.send(greed).await;
        greedy.until(&sent.run_id, |told| told.tools().contains(&"terminal")).await;
        let told = neighbour.ask("are you well?").await;
        assert_eq!(told.text(), "You said: are you well?", "while the other one tries {greed}");
        // The tool fails, or all of the agent does and is started again: the run has an end, and so has the harm.
        let told = greedy.ended(&sent.run_id).await;
        assert!(told.status() == Some(RunStatus::Completed) || told.failure().is_some(), "{told:#?}");
        let told = greedy.ask("are you well?").await;
        // When the harm shows only now, the agent is started again during this run, and is told so with the message.
        assert_eq!(told.status(), Some(RunStatus::Completed), "after {greed}: {told:#?}");
        assert!(told.text().ends_with("are you well?"), "after {greed}: {told:#?}");
    }
    ground.stop().await;
}
