//! Commands that talk to a server.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::{
    io::{BufRead, BufReader},
    process::Stdio,
};

use serde_json::Value;
use support::{Server, prism, run, run_with_input};

#[test]
fn a_conversation_is_read_along() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let script =
        "say You said {{message}}.\ntool search {\"q\": 1} => {\"found\": 3}\nask Shall I?\nsay {{answer}}!";
    let deployment = server.deployment(script);

    let asked = run(&mut server.client(&["send", &deployment, "hello there", "--follow"]));
    assert!(asked.stderr.contains("--thread thr_") && asked.stderr.contains("--follow"), "{}", asked.stderr);
    let expected = "You said hello there.\n[calls search {\"q\":1}]\n[search answers {\"found\":3}]\n\
                    [asks] Shall I?\n[waiting_on_human]\n";
    assert_eq!(asked.ok(), expected);
    let mut answer = server.client(&["send", &deployment, "-", "--follow"]);
    assert_eq!(run_with_input(&mut answer, "yes").ok(), "yes!\n");

    let runs = run(&mut server.client(&["runs", "list", &deployment, "-o", "json"])).json();
    let run_id = runs[0]["run_id"].as_str().unwrap();
    let one = run(&mut server.client(&["runs", "get", &deployment, run_id, "-o", "json"])).json();
    assert_eq!(one["status"], "completed");
    assert!(run(&mut server.client(&["runs", "get", &deployment, run_id])).ok().contains("completed"));

    let thread = one["thread_id"].as_str().unwrap();
    let text = run(&mut server.client(&["threads", "get", &deployment, thread])).ok();
    assert!(text.contains("hello there") && text.contains("yes!"), "{text}");
    assert!(run(&mut server.client(&["threads", "list", &deployment])).ok().contains(thread));
}

#[test]
fn a_run_that_fails_fails_the_command() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let deployment = server.deployment("say Oh\nfail boom It broke.");
    let failed = run(&mut server.client(&["send", &deployment, "x", "--thread", "new", "--follow"]));
    assert_eq!(failed.stdout, "Oh\n");
    let error = failed.failed(1);
    assert!(error.contains("boom: It broke."), "{error}");

    let lines = run(&mut server.client(&["send", &deployment, "x", "--follow", "--output", "json"])).stdout;
    let types: Vec<Value> =
        lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["type"].clone()).collect();
    assert_eq!(types, ["run_status", "token", "run_status"]);
}

#[test]
fn events_are_followed_from_a_place_on_to_the_end_of_a_run() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let deployment = server.deployment("say Hi");
    let told = run(&mut server.client(&["send", &deployment, "x", "--follow", "-o", "json"])).ok();
    let first: Value = serde_json::from_str(told.lines().next().unwrap()).unwrap();
    let (after, run_id) = (first["id"].as_str().unwrap(), first["run_id"].as_str().unwrap());
    let follow = ["events", &deployment, "--after", after, "--run", run_id, "--output", "json"];
    let rest = run(&mut server.client(&follow)).ok();
    let expected: Vec<_> = told.lines().skip(1).collect();
    assert_eq!(rest.lines().collect::<Vec<_>>(), expected);
    let text = run(&mut server.client(&follow[..6])).ok();
    assert!(text.contains("token") && text.contains("[completed]"), "{text}");
}

#[test]
fn deployments_are_listed_filtered_shown_and_deleted() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let list = |arguments: &[&str]| {
        run(server.client(&["deployments", "list", "-o", "json"]).args(arguments))
            .json()
            .as_array()
            .unwrap()
            .len()
    };
    let deployments: Vec<_> = (0..3).map(|_| server.deployment("say Hi")).collect();
    assert_eq!((list(&[]), list(&["--limit", "2"])), (3, 2));
    assert_eq!((list(&["--customer", "cus_2"]), list(&["--status", "ready"])), (0, 3));
    let more = run(&mut server.client(&["deployments", "list", "--limit", "2"]));
    assert!(more.stderr.contains("there are more"), "{}", more.stderr);
    let shown = run(&mut server.client(&["deployments", "get", &deployments[0]])).ok();
    assert!(shown.contains(&deployments[0]) && shown.contains("scripted"), "{shown}");
    run(&mut server.client(&["skills", "list", &deployments[0]])).ok();
    run(&mut server.client(&["deployments", "delete", &deployments[0]])).ok();
    assert!(run(&mut server.client(&["deployments", "get", &deployments[0]])).failed(1).contains("404"));
}

#[test]
fn files_are_put_listed_gotten_and_deleted() {
    let data = tempfile::tempdir().unwrap();
    let here = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let deployment = server.deployment("say Hi");
    let files = |arguments: &[&str]| {
        let mut command = server.client(&["files", arguments[0], &deployment]);
        command.args(&arguments[1..]);
        command
    };
    let local = here.path().join("local");
    std::fs::write(&local, "from a file").unwrap();
    let written = run(files(&["put", "notes/a.txt"]).arg(&local).args(["-o", "json"])).json();
    assert_eq!((written["path"].as_str(), written["size"].as_u64()), (Some("notes/a.txt"), Some(11)));
    let written = run_with_input(&mut files(&["put", "b", "-"]), "from a pipe").ok();
    assert!(written.contains("11"), "{written}");
    let refused = run_with_input(&mut files(&["put", "b", "--new"]), "x").failed(1);
    assert!(refused.contains("412") && refused.contains("--new"), "{refused}");

    let listed = run(&mut files(&["list", "-o", "json"])).json();
    assert_eq!((listed[0]["name"].as_str(), listed[1]["type"].as_str()), (Some("b"), Some("directory")));
    assert!(run(&mut files(&["list", "notes"])).ok().contains("a.txt"));
    assert!(run(&mut files(&["list", "--limit", "1"])).stderr.contains("there are more"));

    assert_eq!(run(&mut files(&["get", "notes/a.txt"])).ok(), "from a file");
    let copy = here.path().join("copy");
    assert_eq!(run(files(&["get", "b"]).arg(&copy)).ok(), "");
    assert_eq!(std::fs::read_to_string(&copy).unwrap(), "from a pipe");
    assert!(run(files(&["get", "none"]).arg(&copy)).failed(1).contains("404"));
    assert_eq!(std::fs::read_to_string(&copy).unwrap(), "from a pipe", "what was there stays");
    assert!(run(files(&["get", "b"]).arg(here.path().join("no/such"))).failed(1).contains("no/such"));
    assert_eq!(std::fs::read_dir(here.path()).unwrap().count(), 2, "nothing is left over");

    assert!(run(&mut files(&["delete", "notes"])).ok().contains("notes"));
    assert!(run(&mut files(&["delete", "notes"])).failed(1).contains("404"));
}

#[test]
fn skills_tools_and_mcp_servers_are_changed_one_by_one() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let deployment = server.deployment("tool shell {} => 1");
    let markdown = "---\nname: notes\ndescription: How to take notes\n---\n# Notes\n";
    let mut add = server.client(&["skills", "add", &deployment, "notes", "--content", "-", "-o", "json"]);
    let added: Value = serde_json::from_str(&run_with_input(&mut add, markdown).ok()).unwrap();
    let skill = added["skill_id"].as_str().unwrap();
    let shown = run(&mut server.client(&["skills", "get", &deployment, skill])).ok();
    assert!(
        shown.contains("How to take notes") && shown.trim_end().ends_with(markdown.trim_end()),
        "{shown}"
    );
    let file = data.path().join("SKILL.md");
    std::fs::write(&file, markdown.replace("How to take", "How not to take")).unwrap();
    let mut update = server.client(&["skills", "update", &deployment, skill, "--content"]);
    assert!(run(update.arg(&file)).ok().contains("How not to take notes"));
    assert!(run(&mut server.client(&["skills", "update", &deployment, skill])).ok().contains("ready"));
    run(&mut server.client(&["skills", "remove", &deployment, skill])).ok();
    assert!(run(&mut server.client(&["skills", "get", &deployment, skill])).failed(1).contains("404"));
    let error = run(&mut server.client(&["skills", "add", &deployment, "notes"])).failed(2);
    assert!(error.contains("--content, --url or --path"), "{error}");

    run(&mut server.client(&["tools", "disable", &deployment, "shell"])).ok();
    let listed = run(&mut server.client(&["tools", "list", &deployment])).ok();
    let shell = listed.lines().find(|line| line.contains("shell")).unwrap();
    assert!(shell.contains("off") && shell.contains("builtin"), "{listed}");
    assert!(run(&mut server.client(&["tools", "enable", &deployment, "shell"])).ok().contains("on"));

    let nowhere = ["mcp", "add", &deployment, "nowhere", "http://127.0.0.1:1/mcp"];
    let header = ["--header", "X-Key: literal-5f2c", "--tool", "search"];
    let added = run(server.client(&nowhere).args(header)).ok();
    assert!(
        added.contains("X-Key") && added.contains("search") && !added.contains("literal-5f2c"),
        "{added}"
    );
    assert!(run(&mut server.client(&["mcp", "list", &deployment])).ok().contains("nowhere"));
    let tools = run(&mut server.client(&["tools", "list", &deployment]));
    assert!(tools.stderr.contains("nowhere did not say which tools it has"), "{}", tools.stderr);
    tools.ok();
    run(&mut server.client(&["mcp", "remove", &deployment, "nowhere"])).ok();
}

#[test]
fn a_file_that_does_not_fit_is_named_with_its_place() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("agent.json");
    std::fs::write(&file, "{\n  \"customer\": \"c\"\n}").unwrap();
    let mut create = prism(&["deployments", "create", "-f"]);
    let error = run(create.arg(&file).env("PRISM_API_KEY", support::KEY)).failed(1);
    assert!(
        error.contains("agent.json") && error.contains("`customer`") && error.contains("line 2"),
        "{error}"
    );
}

#[test]
fn failures_say_what_to_do() {
    let error = run(&mut prism(&["deployments", "list"])).failed(2);
    assert!(error.contains("PRISM_API_KEY") && error.contains("prism keys create"), "{error}");
    let mut nowhere = prism(&["deployments", "list", "--base-url", "http://127.0.0.1:1"]);
    let error = run(nowhere.env("PRISM_API_KEY", support::KEY)).failed(1);
    assert!(error.contains("prism serve") && error.contains("PRISM_BASE_URL"), "{error}");
    assert!(!error.contains(support::KEY), "{error}");
    assert_eq!(run(&mut prism(&["send", "thr_1", "x"])).code, Some(2));
    assert!(run(&mut prism(&["--version"])).ok().starts_with("prism 0."));
}

#[test]
fn a_reader_that_goes_away_is_no_panic() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let deployment = server.deployment("repeat 20000 token more");
    let mut send = server.client(&["send", &deployment, "x", "--follow", "-o", "json"]);
    let mut child = send.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let ended = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&ended.stderr), "");
    assert_eq!(ended.status.code(), Some(0));
}

#[test]
fn automations_are_made_changed_triggered_and_removed() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let deployment = server.deployment("say Done");
    let call = |arguments: &[&str]| {
        let mut command = server.client(&["automations"]);
        run(command.args(arguments))
    };
    let create = ["create", &deployment, "--name", "Digest", "--schedule", "every Monday at 9am"];
    let mut created = server.client(&["automations"]);
    created.args(create).args(["--instructions", "-", "--timezone", "Europe/Berlin", "-o", "json"]);
    let created = run_with_input(&mut created, "Sum up.").json();
    assert_eq!((&created["cron"], &created["instructions"]), (&"0 9 * * 1".into(), &"Sum up.".into()));
    let id = created["automation_id"].as_str().unwrap();

    let text = call(&["list", &deployment]).ok();
    assert!(text.contains(id) && text.contains("every Monday at 9am"), "{text}");
    let paused = call(&["disable", &deployment, id, "-o", "json"]).json();
    assert_eq!((&paused["enabled"], &paused["next_run_at"]), (&false.into(), &Value::Null));
    let changed =
        call(&["update", &deployment, id, "--schedule", "@daily", "--name", "Daily", "-o", "json"]).json();
    assert_eq!((&changed["cron"], &changed["name"]), (&"0 0 * * *".into(), &"Daily".into()));
    assert_eq!(call(&["enable", &deployment, id, "-o", "json"]).json()["enabled"], true);
    let refused = call(&["update", &deployment, id, "--schedule", "now and then"]).failed(1);
    assert!(refused.contains("every day at 9:00"), "{refused}");

    let triggered = call(&["trigger", &deployment, id, "-o", "json"]).json();
    let runs = call(&["runs", &deployment, id, "-o", "json"]).json();
    assert_eq!((&runs[0]["run_id"], &runs[0]["trigger"]), (&triggered["run_id"], &"manual".into()));
    let shown = call(&["get", &deployment, id]).ok();
    assert!(shown.contains("Sum up.") && shown.contains(triggered["run_id"].as_str().unwrap()), "{shown}");
    assert_eq!(call(&["delete", &deployment, id]).ok(), format!("deleted {id}\n"));
    assert!(!call(&["list", &deployment]).ok().contains(id));
}

#[test]
fn memories_dreams_and_threads_are_kept_changed_and_forgotten() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let deployment = server.deployment("say {{memories}}");
    let json = |arguments: &[&str]| run(server.client(arguments).args(["-o", "json"])).json();
    let text = |arguments: &[&str]| run(&mut server.client(arguments)).ok();

    let tea =
        json(&["memories", "add", &deployment, "They like tea"])["memory_id"].as_str().unwrap().to_owned();
    let shown = text(&["memories", "add", &deployment, "They publish on\nTuesdays"]);
    assert!(shown.contains("source") && shown.ends_with("They publish on\nTuesdays\n"), "{shown}");
    assert!(text(&["send", &deployment, "x", "--follow"]).contains("They like tea"));
    assert!(text(&["memories", "update", &deployment, &tea, "They like coffee"]).contains("coffee"));
    assert_eq!(json(&["memories", "get", &deployment, &tea])["content"], "They like coffee");
    let found = json(&["memories", "list", &deployment, "--q", "COFFEE like"]);
    assert_eq!(found.as_array().unwrap().len(), 1, "{found}");
    assert!(text(&["memories", "list", &deployment]).contains("They publish on"));
    assert!(text(&["memories", "delete", &deployment, &tea]).contains("deleted"));
    let gone = run(&mut server.client(&["memories", "get", &deployment, &tea])).failed(1);
    assert!(gone.contains("Memory not found"), "{gone}");

    let dream = json(&["dreams", "start", &deployment])["dream_id"].as_str().unwrap().to_owned();
    let shown = loop {
        let shown = json(&["dreams", "get", &deployment, &dream]);
        if shown["status"] != "running" {
            break shown;
        }
    };
    assert_eq!(
        (&shown["status"], &shown["trigger"]),
        (&json_text("completed"), &json_text("api")),
        "{shown}"
    );
    assert!(text(&["dreams", "list", &deployment]).contains(&dream));
    assert!(json(&["dreams", "revert", &deployment, &dream])["reverted_at"].is_string());

    let told = run(&mut server.client(&["send", &deployment, "x", "--thread", "new", "-o", "json"])).ok();
    let receipt: Value = serde_json::from_str(told.lines().next().unwrap()).unwrap();
    let thread = receipt["thread_id"].as_str().unwrap();
    assert!(text(&["threads", "delete", &deployment, thread]).contains("deleted"));
    run(&mut server.client(&["threads", "get", &deployment, thread])).failed(1);
}

#[test]
fn a_workspace_is_kept_when_its_deployment_is_deleted() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let deployment = server.deployment("say Hi");
    let deleted =
        run(&mut server.client(&["deployments", "delete", &deployment, "--retain-filesystem"])).ok();
    let snapshot = deleted.trim().rsplit(' ').next().unwrap().to_owned();
    assert!(deleted.contains(&deployment) && snapshot.starts_with("snap_"), "{deleted}");
    let shown = run(&mut server.client(&["snapshots", "get", &snapshot])).ok();
    assert!(shown.contains(&deployment) && shown.contains("cus_1") && shown.contains("expires"), "{shown}");
    assert!(run(&mut server.client(&["snapshots", "list"])).ok().contains(&snapshot));
    assert!(run(&mut server.client(&["snapshots", "delete", &snapshot])).ok().contains("deleted"));
    let gone = run(&mut server.client(&["snapshots", "get", &snapshot])).failed(1);
    assert!(gone.contains("Snapshot not found"), "{gone}");
}

#[test]
fn what_is_there_is_changed_and_looked_at() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let deployment = server.deployment("ask Publish?");
    let json = |arguments: &[&str]| run(server.client(arguments).args(["-o", "json"])).json();

    let mut update = server.client(&["deployments", "update", &deployment, "-f", "-", "-o", "json"]);
    assert_eq!(run_with_input(&mut update, r#"{"name": "Another"}"#).json()["name"], "Another");
    let mut update = server.client(&["deployments", "update", &deployment, "-f", "-"]);
    let refused = run_with_input(&mut update, r#"{"nam": "Another"}"#).failed(1);
    assert!(refused.contains("standard input does not fit") && refused.contains("nam"), "{refused}");

    let thread = json(&["threads", "create", &deployment, "Ideas"]);
    assert_eq!(thread["title"], "Ideas");
    let thread = thread["thread_id"].as_str().unwrap();
    let sent = ["send", &deployment, "x", "--thread", thread, "--follow"];
    assert!(run(&mut server.client(&sent)).ok().contains("[asks] Publish?"));
    let asked = json(&["approvals", "list", &deployment]);
    let approval = asked[0]["approval_id"].as_str().unwrap();
    assert_eq!(json(&["approvals", "get", &deployment, approval])["summary"], "Publish?");

    let url = "https://acme.example/mcp";
    json(&["mcp", "add", &deployment, "acme", url, "--tool", "search", "--header", "X-Team: a"]);
    assert_eq!(json(&["mcp", "get", &deployment, "acme"])["tools"], serde_json::json!(["search"]));
    let change = ["mcp", "update", &deployment, "acme", "--all-tools", "--remove-header", "x-team"];
    let changed = json(&[&change[..], &["--header", "X-Region: eu"]].concat());
    assert_eq!((&changed["url"], &changed["tools"]), (&json_text(url), &Value::Null), "{changed}");
    assert_eq!(changed["headers"], serde_json::json!(["X-Region"]), "{changed}");
    let changed = json(&["mcp", "update", &deployment, "acme", "--tool", "a", "--tool", "b"]);
    assert_eq!(changed["tools"], serde_json::json!(["a", "b"]));
}

/// Whatever the API can, the command can.
#[test]
fn every_operation_has_a_command() {
    let commands = [
        ("create_deployment", "deployments create"),
        ("list_deployments", "deployments list"),
        ("get_deployment", "deployments get"),
        ("update_deployment", "deployments update"),
        ("delete_deployment", "deployments delete"),
        ("send_message", "send"),
        ("stream_events", "events"),
        ("list_files", "files list"),
        ("read_file", "files get"),
        ("write_file", "files put"),
        ("delete_file", "files delete"),
        ("list_skills", "skills list"),
        ("add_skill", "skills add"),
        ("get_skill", "skills get"),
        ("update_skill", "skills update"),
        ("remove_skill", "skills remove"),
        ("list_tools", "tools list"),
        ("update_tool", "tools disable"),
        ("list_mcp_servers", "mcp list"),
        ("add_mcp_server", "mcp add"),
        ("get_mcp_server", "mcp get"),
        ("update_mcp_server", "mcp update"),
        ("remove_mcp_server", "mcp remove"),
        ("list_threads", "threads list"),
        ("create_thread", "threads create"),
        ("get_thread", "threads get"),
        ("update_thread", "threads rename"),
        ("delete_thread", "threads delete"),
        ("list_runs", "runs list"),
        ("get_run", "runs get"),
        ("cancel_run", "runs cancel"),
        ("list_approvals", "approvals list"),
        ("get_approval", "approvals get"),
        ("answer_approval", "approvals allow"),
        ("list_memories", "memories list"),
        ("create_memory", "memories add"),
        ("get_memory", "memories get"),
        ("update_memory", "memories update"),
        ("delete_memory", "memories delete"),
        ("list_dreams", "dreams list"),
        ("start_dream", "dreams start"),
        ("get_dream", "dreams get"),
        ("revert_dream", "dreams revert"),
        ("list_snapshots", "snapshots list"),
        ("get_snapshot", "snapshots get"),
        ("delete_snapshot", "snapshots delete"),
        ("list_automations", "automations list"),
        ("create_automation", "automations create"),
        ("get_automation", "automations get"),
        ("update_automation", "automations update"),
        ("delete_automation", "automations delete"),
        ("list_automation_runs", "automations runs"),
        ("trigger_automation", "automations trigger"),
        ("list_webhooks", "webhooks list"),
        ("create_webhook", "webhooks create"),
        ("get_webhook", "webhooks get"),
        ("update_webhook", "webhooks update"),
        ("delete_webhook", "webhooks delete"),
        ("rotate_webhook_secret", "webhooks rotate"),
        ("test_webhook", "webhooks test"),
        ("redeliver_webhook", "webhooks redeliver"),
        ("redeliver_webhook_delivery", "webhooks redeliver"),
        ("list_webhook_deliveries", "webhooks deliveries"),
        ("get_webhook_delivery", "webhooks deliveries"),
        ("list_audit_entries", "audit"),
    ];
    let commands: std::collections::BTreeMap<_, _> = commands.into();
    for operation in prism_server_core::dialects::prism::OPERATIONS {
        let command = commands.get(operation.id).unwrap_or_else(|| panic!("{} has no command", operation.id));
        let words: Vec<_> = command.split(' ').chain(["--help"]).collect();
        let help = run(&mut prism(&words)).ok();
        assert!(help.contains(&format!("Usage: prism {command}")), "{command}: {help}");
    }
}

fn json_text(text: &str) -> Value {
    Value::String(text.to_owned())
}
