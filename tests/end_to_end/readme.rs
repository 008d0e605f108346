//! Every command and every snippet of the README does what it says.

use std::path::Path;

use prism_tests::PrismServe;
use prism_types::DeploymentStatus;
use tokio::process::Command;

const README: &str = include_str!("../../README.md");
const HELLO: &str = include_str!("../../examples/hello.rs");

/// The fenced blocks of a language, in order.
fn blocks(language: &str) -> Vec<&'static str> {
    let fence = format!("```{language}\n");
    README.split(fence.as_str()).skip(1).map(|rest| rest.split("```\n").next().unwrap()).collect()
}

/// Runs a block in a shell, in the root of the project, and answers what it prints.
async fn run(block: &str, prism: &PrismServe, data_directory: &Path) -> String {
    let binary = PrismServe::binary();
    let script = block
        .replace("cargo run --quiet --bin prism --", &format!("'{}'", binary.display()))
        .replace("http://127.0.0.1:8080", &prism.base_url);
    let output = Command::new("sh")
        .args(["-ec", &script])
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
        .env("PRISM_API_KEY", PrismServe::KEY)
        .env("PRISM_BASE_URL", &prism.base_url)
        .env("PRISM_DATA_DIR", data_directory)
        .output()
        .await
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}\n{text}\n{errors}");
    text
}

#[test]
fn the_program_is_the_one_in_examples() {
    let (_, program) = HELLO.split_once("\n\n").unwrap();
    assert_eq!(blocks("rust"), [program]);
    assert!(program.lines().count() <= 24);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_commands_work_in_their_order() {
    let [two_commands, real_agents, serve, secrets, curl, create, send] = blocks("sh")[..] else {
        panic!("{README}")
    };
    assert_eq!(two_commands, "cargo run --bin quickstart\ncargo test --workspace\n");
    // CI runs these three as steps of its own.
    assert!(real_agents.contains("--bin quickstart -- --runtime hermes"));
    assert!(serve.contains("--config examples/prism.toml"));

    let directory = tempfile::tempdir().unwrap();
    let skills = prism_tests::serve_directory("examples").await;
    let config = include_str!("../../examples/prism.toml").replace("http://127.0.0.1:9000", &skills);
    let config_file = directory.path().join("prism.toml");
    std::fs::write(&config_file, config).unwrap();
    let data = directory.path().join("data");
    let prism = PrismServe::start_with(&data, &["--config", config_file.to_str().unwrap()]).await;

    run(secrets, &prism, &data).await;
    let created = run(curl, &prism, &data).await;
    let created: prism_types::Deployment = serde_json::from_str(&created).unwrap();
    assert_eq!(created.status, DeploymentStatus::Provisioning);

    let hello = format!("'{}' run --quiet --bin hello", env!("CARGO"));
    let told = run(&hello, &prism, &data).await;
    assert!(told.contains("Plan a launch video"), "{told}");

    let table = run(create, &prism, &data).await;
    let id = table.split_whitespace().find(|word| word.starts_with("dep_")).unwrap();
    let told = run(&send.replace("DEPLOYMENT_ID", id), &prism, &data).await;
    assert!(told.contains("You said: a launch video."), "{told}");
    assert!(told.contains("Shall I publish it?"), "{told}");
}
