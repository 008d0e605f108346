//! Files that an agent and its users share.

use prism_types::{EventPayload, Features, RunStatus, SnapshotStatus};

use crate::{agent::eventually, ground::Ground, kind::Kind};

const SCRIPT: &str = r#"
when user contains "work"
  tool terminal {"command": "cat brief.txt && printf more >> brief.txt && printf 1 > made.txt && mkdir -p sub && printf 2 > sub/deep.txt"}
  then
  tool write_file {"path": "written.txt", "content": "by a tool"}
  then
  tool terminal {"command": "rm made.txt && touch waiting && while [ ! -e go ]; do sleep 0.1; done; ln -s /etc/passwd link"}
  then
  say Worked.
when user contains "look"
  tool terminal {"command": "ls"}
  then
  say Looked.
"#;

/// Every change of a file that was told: by whom, what, and where.
async fn changes(agent: &crate::agent::Agent<'_>) -> Vec<(&'static str, String, String)> {
    let changes = agent.log().await.into_iter().filter_map(|event| match event.payload {
        EventPayload::Filesystem(changed) => {
            let who = if changed.run_id.is_some() { "agent" } else { "user" };
            Some((who, changed.change.to_string(), changed.path))
        }
        _ => None,
    });
    changes.collect()
}

pub(crate) async fn changes_are_told_once_whoever_made_them(kind: Kind) {
    let ground = Ground::start(kind, SCRIPT).await;
    let agent = ground.deploy_with(Features::default().filesystem_webhooks(true)).await;
    let files = agent.files();
    files.write("brief.txt", "Be quick. ").await.unwrap();
    files.write("old/a", "1").await.unwrap();
    let sent = agent.send("work").await;
    agent.has_file("waiting").await;
    files.write("go", "").await.unwrap();
    let told = agent.completed(&sent.run_id).await;
    assert!(told.results().contains("Be quick."), "the agent reads what users write: {told:#?}");
    files.delete("old").await.unwrap();
    let told = agent.ask("look").await;
    assert_eq!(told.status(), Some(RunStatus::Completed), "{told:#?}");
    let mut told = changes(&agent).await;
    // What one tool did is found in any order.
    told[2..5].sort();
    told[7..9].sort();
    let expected = [
        ("user", "created", "brief.txt"),
        ("user", "created", "old/a"),
        ("agent", "created", "made.txt"),
        ("agent", "created", "sub/deep.txt"),
        ("agent", "modified", "brief.txt"),
        ("agent", "created", "written.txt"),
        ("user", "created", "go"),
        ("agent", "created", "waiting"),
        ("agent", "deleted", "made.txt"),
        ("user", "deleted", "old"),
    ];
    let expected = expected.map(|(who, change, path)| (who, change.to_owned(), path.to_owned()));
    assert_eq!(told, expected);
    assert_eq!(files.read("brief.txt").await.unwrap().text().await.unwrap(), "Be quick. more");
    assert_eq!(files.read("sub/deep.txt").await.unwrap().text().await.unwrap(), "2");
    let listed = files.list("").await.unwrap().into_inner();
    let link = listed.entries.iter().find(|entry| entry.name == "link").unwrap();
    assert_eq!(link.kind.as_str(), "other");
    assert!(files.read("link").await.unwrap_err().is_validation(), "no link is followed");
    ground.stop().await;
}

pub(crate) async fn files_outlive_the_agent(kind: Kind) {
    let ground = Ground::start(kind, SCRIPT).await;
    let agent = ground.deploy().await;
    let files = agent.files();
    files.write("kept", vec![b'x'; 3_000_000]).await.unwrap();
    for round in 0..3 {
        agent.kill().await;
        // The agent is dead, or is being made again: whichever it is, its files are there.
        assert_eq!(files.read("kept").await.unwrap().bytes().await.unwrap().len(), 3_000_000);
        files.write(format!("round {round}"), "1").await.unwrap();
        files.delete(format!("round {round}")).await.unwrap();
        let told = agent.ask("look").await;
        assert_eq!(told.status(), Some(RunStatus::Completed), "{told:#?}");
        assert!(told.results().contains("kept"), "{told:#?}");
    }
    ground.stop().await;
}

/// A workspace goes from one agent to another, with everything that an agent can put into it, and leads nowhere else.
pub(crate) async fn a_workspace_outlives_its_deployment(kind: Kind) {
    let script = r#"
when user contains "fill"
  tool terminal {"command": "mkdir deep && echo 'by the agent' > deep/file && ln -s /etc/passwd link && ln -s .. up && mkfifo pipe && truncate -s 64M hole && echo closed > closed && chmod 000 closed && chmod 750 deep"}
  then
  say Filled.
when user contains "look"
  tool terminal {"command": "cat deep/file; readlink link up; stat -c '%n %F %a %s %U' deep pipe hole; du hole; chmod 600 closed && cat closed; touch deep/more && echo writable"}
  then
  say Looked.
"#;
    let ground = Ground::start(kind, script).await;
    let first = ground.deploy().await;
    first.files().write("by a user", "x").await.unwrap();
    assert!(first.ask("fill").await.text().contains("Filled."));
    let deleted = ground.client().deployments().delete(&first.id).retain_filesystem(true).await.unwrap();
    let snapshot = deleted.snapshot_id.clone().unwrap();
    let snapshots = ground.client().snapshots();
    eventually("the workspace is kept", async || {
        let status = snapshots.get(&snapshot).await.unwrap().status.clone();
        if status == SnapshotStatus::Ready { Ok(()) } else { Err(status.to_string()) }
    })
    .await;

    let second = ground.deploy_request(ground.request().snapshot_id(snapshot.clone())).await;
    assert_eq!(second.files().read("by a user").await.unwrap().text().await.unwrap(), "x");
    let text = second.ask("look").await.results();
    for wanted in [
        "by the agent",
        "/etc/passwd",
        "..",
        "deep directory 750",
        "pipe fifo",
        "hole regular file",
        "67108864",
        "closed",
        "writable",
    ] {
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
    assert!(text.contains("0\\thole"), "a hole stays one: {text}");
    let link = second.files().read("link").await.unwrap_err();
    assert_eq!(link.status(), Some(400), "{link}");
    snapshots.delete(&snapshot).await.unwrap();
    ground.stop().await;
}
