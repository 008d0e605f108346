//! Settings that come from the environment, each in a process of its own.

use std::process::Command;

use prism_client::Client;

/// Runs [`build_from_environment`] in another process and returns what it printed.
fn build_with(variables: &[(&str, &str)]) -> String {
    let output = Command::new(std::env::current_exe().expect("the test has a path"))
        .args(["build_from_environment", "--exact", "--ignored", "--nocapture"])
        .env_remove("PRISM_API_KEY")
        .env_remove("PRISM_BASE_URL")
        .envs(variables.iter().copied())
        .output()
        .expect("the test itself can be started");
    assert!(output.status.success());
    String::from_utf8(output.stdout).expect("it prints text")
}

#[test]
#[ignore = "started by the tests below, with an environment of its own"]
fn build_from_environment() {
    match Client::from_env() {
        Ok(client) => println!("built: {}", client.base_url()),
        Err(error) => println!("refused: {error} (configuration: {})", error.is_configuration()),
    }
}

#[test]
fn a_missing_key_says_how_to_set_it() {
    for variables in [&[][..], &[("PRISM_API_KEY", "")]] {
        let printed = build_with(variables);
        assert!(printed.contains("refused: ") && printed.contains("PRISM_API_KEY"), "{printed}");
        assert!(printed.contains("configuration: true"), "{printed}");
    }
}

#[test]
fn the_base_url_has_a_default() {
    let printed = build_with(&[("PRISM_API_KEY", "key"), ("PRISM_BASE_URL", "")]);
    assert!(printed.contains("built: http://127.0.0.1:8080/"), "{printed}");
}

#[test]
fn both_are_read() {
    let printed = build_with(&[("PRISM_API_KEY", "key"), ("PRISM_BASE_URL", "https://prism.example/api/")]);
    assert!(printed.contains("built: https://prism.example/api\n"), "{printed}");
}
