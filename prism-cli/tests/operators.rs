//! `prism tenants`, `prism keys` and `prism secrets`, on the directory of a running server.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use support::{Server, prism, run, run_with_input};

fn on(data: &Path, arguments: &[&str]) -> Command {
    let mut command = prism(arguments);
    command.env("PRISM_DATA_DIR", data);
    command
}

#[test]
fn a_key_works_at_once_and_soon_no_more_when_it_is_revoked() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let created = run(&mut on(data.path(), &["keys", "create", "--name", "second", "-o", "json"])).json();
    let (id, key) = (created["key_id"].as_str().unwrap(), created["key"].as_str().unwrap());
    let list = || run(server.client(&["deployments", "list"]).env("PRISM_API_KEY", key));
    list().ok();

    let keys = run(&mut on(data.path(), &["keys", "list"])).ok();
    assert!(keys.contains(id) && keys.contains("second") && !keys.contains(key), "{keys}");

    run(&mut on(data.path(), &["keys", "revoke", id])).ok();
    // The server, another process, believes a key that it has seen for at most a second.
    let deadline = Instant::now() + Duration::from_secs(20);
    while list().code == Some(0) {
        assert!(Instant::now() < deadline, "the key still works");
    }
    let error = list().failed(1);
    assert!(error.contains("401 unauthorized") && error.contains("PRISM_API_KEY"), "{error}");
    assert!(error.contains("(request req_"), "{error}");

    let error = run(&mut on(data.path(), &["keys", "revoke", "key_none"])).failed(1);
    assert!(error.contains("key_none"), "{error}");
}

#[test]
fn a_key_may_only_what_its_scopes_say() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let create = ["keys", "create", "--name", "reader", "--scopes", "deployments:read"];
    let key = run(&mut on(data.path(), &create)).ok();
    run(server.client(&["deployments", "list"]).env("PRISM_API_KEY", key.trim())).ok();
    let mut delete = server.client(&["deployments", "delete", "dep_x"]);
    let error = run(delete.env("PRISM_API_KEY", key.trim())).failed(1);
    assert!(error.contains("403") && error.contains("deployments:write"), "{error}");
    let unknown = run(&mut on(data.path(), &["keys", "create", "--name", "x", "--scopes", "all"]));
    assert_eq!(unknown.code, Some(2));
}

#[test]
fn tenants_are_apart_and_have_credits() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let deployment = server.deployment("say Hi");
    let acme = run(&mut on(data.path(), &["tenants", "create", "acme", "-o", "json"])).json();
    assert_eq!((&acme["name"], &acme["credits"]), (&"acme".into(), &serde_json::Value::Null));
    let error = run(&mut on(data.path(), &["tenants", "create", "acme"])).failed(1);
    assert!(error.contains("`acme` exists"), "{error}");

    let key = run(&mut on(data.path(), &["keys", "create", "--tenant", "acme", "--name", "k"])).ok();
    let mut get = server.client(&["deployments", "get", &deployment]);
    assert!(run(get.env("PRISM_API_KEY", key.trim())).failed(1).contains("404"));

    run(&mut on(data.path(), &["tenants", "credits", "default", "0"])).ok();
    assert!(run(&mut server.client(&["send", &deployment, "Hi"])).failed(1).contains("402"));
    run(&mut on(data.path(), &["tenants", "credits", "default", "unlimited"])).ok();
    run(&mut server.client(&["send", &deployment, "Hi"])).ok();

    let tenants = run(&mut on(data.path(), &["tenants", "list", "-o", "json"])).json();
    assert_eq!(tenants.as_array().unwrap().len(), 2);
    let error = run(&mut on(data.path(), &["keys", "list", "--tenant", "nobody"])).failed(1);
    assert!(error.contains("`nobody`") && error.contains("prism tenants list"), "{error}");
}

#[test]
fn secrets_are_set_from_where_nobody_sees_them() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let body = r#"{"customer_id":"c","name":"n","system_prompt":"s","runtime":"scripted",
                   "secrets":{"TOKEN":"sec_token"}}"#;
    let create = || run_with_input(&mut server.client(&["deployments", "create", "-f", "-"]), body);
    let error = create().failed(1);
    assert!(error.contains("sec_token") && error.contains("prism secrets set"), "{error}");

    run_with_input(&mut on(data.path(), &["secrets", "set", "sec_token"]), "canary\n").ok();
    create().ok();
    let mut from_env = on(data.path(), &["secrets", "set", "sec_other", "--from-env", "VALUE"]);
    run(from_env.env("VALUE", "canary")).ok();
    let listed = run(&mut on(data.path(), &["secrets", "list", "-o", "json"])).json();
    let names: Vec<_> = listed.as_array().unwrap().iter().map(|secret| &secret["reference"]).collect();
    assert_eq!(names, ["sec_other", "sec_token"]);
    assert!(!listed.to_string().contains("canary"));

    run(&mut on(data.path(), &["secrets", "delete", "sec_token"])).ok();
    assert!(run(&mut on(data.path(), &["secrets", "delete", "sec_token"])).failed(1).contains("sec_token"));
    let empty = run(&mut on(data.path(), &["secrets", "set", "sec_token"])).failed(1);
    assert!(empty.contains("1 to 65536 bytes"), "{empty}");
    let unset = run(&mut on(data.path(), &["secrets", "set", "sec_token", "--from-env", "UNSET"])).failed(2);
    assert!(unset.contains("UNSET"), "{unset}");
}

#[test]
fn another_directory_is_not_made_into_a_data_directory() {
    let empty = tempfile::tempdir().unwrap();
    let error = run(&mut on(empty.path(), &["tenants", "list"])).failed(1);
    assert!(error.contains("no Prism database") && error.contains("--data-dir"), "{error}");
    assert_eq!(std::fs::read_dir(empty.path()).unwrap().count(), 0);
}

#[test]
fn a_command_finds_the_directory_in_the_configuration_file() {
    let root = tempfile::tempdir().unwrap();
    let (data, config) = (root.path().join("data"), root.path().join("prism.toml"));
    let _server = Server::start(&data);
    std::fs::write(&config, format!("data_dir = {data:?}\n")).unwrap();
    run(prism(&["tenants", "list", "--config"]).arg(&config)).ok();
}
