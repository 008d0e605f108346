//! Every example of the client is run against a server, and prints what it should.

use std::{
    collections::BTreeSet,
    net::TcpListener,
    path::{Path, PathBuf},
    sync::LazyLock,
    time::Duration,
};

use futures::future::join_all;
use prism_tests::{ServerOptions, TestServer};
use tokio::process::Command;

/// What takes longer than this has failed.
const DEADLINE: Duration = Duration::from_secs(60);

/// The examples, and lines that each of them prints. `…` stands for what differs from run to run.
const EXAMPLES: &[(&str, &[&str])] = &[
    ("approvals", &["The agent wants to use shell: {\"command\":\"rm -rf drafts\"}", "it is denied"]),
    ("audit_log", &["… create_deployment", "… delete_deployment"]),
    ("automations", &["\"every weekday at 9am\" is \"0 9 * * 1-5\"", "by manual: completed", "paused: None"]),
    ("blocking", &["completed: true", "a run is completed"]),
    ("chat", &["[search with {\"query\":\"a launch video\"}]", "the agent asks: …", "it is through"]),
    ("deployments", &["renamed to Acme Video Agent", "not renamed again: …", "deleted: true"]),
    ("dreams", &["I merged two notes.", "+ They like hot drinks", "taken back: 2 memories"]),
    ("files", &["sent 300000 of 300000 bytes", "read 200000 bytes", "not written: …"]),
    (
        "jobs",
        &["the run has succeeded with Some(0)", "stdout: a report for cus_123", "report.txt has 3 words"],
    ),
    ("lists_that_resume", &["Note 5", "-- stopped here", "Note 1"]),
    ("mcp_servers", &["ads may use Some([\"list_campaigns\"]), with the headers [\"X-Team\"]"]),
    ("memories", &["I know: They publish on Fridays.", "They publish on Fridays (from the api)"]),
    ("messages_and_events", &["connected", "run_status completed", "the run had … events"]),
    ("middleware", &["GET /v1/deployments, attempt 1: 200 OK after …", "2 requests"]),
    ("retries_and_errors", &["the same deployment: true", "no connection: true, after 3 attempts"]),
    ("runs", &["the run is waiting_on_human", "it will not be completed: cancelled", "2 runs in all"]),
    ("sandboxes", &["for cus_123", "running: true", "/workspace/notes/plan.md has 7 bytes", "# Plan"]),
    (
        "services",
        &["the service is ready", "Hello, cus_123!", "Hello, cus_456!", "… the process was started"],
    ),
    ("skills", &["I know storyboarding.", "house-style is pending", "there is one of this name"]),
    ("snapshots", &["# The plan", "deleted: true"]),
    ("threads", &["user: the first idea", "Spring has 2 messages", "deleted: true"]),
    ("tools", &["shell of builtin is on: false", "off shell"]),
    ("wait_in_another_process", &["process … sees that the run is completed"]),
    ("webhooks", &["whe_… was tried out", "run_… is completed", "refused: …"]),
];

/// Those that want sandboxes which run programs.
const OF_PROGRAMS: [&str; 3] = ["jobs", "sandboxes", "services"];

#[test]
fn no_example_is_left_out() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../prism-client/examples");
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let programs = files.filter(|file| file.extension().is_some_and(|extension| extension == "rs"));
    let there: BTreeSet<_> =
        programs.map(|file| file.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    let run: BTreeSet<_> = EXAMPLES.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(there, run);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_examples_do_what_they_say() {
    let address = free_address();
    let webhooks = ("https://example.com".to_owned(), format!("http://{address}"));
    let options = ServerOptions { development_origins: vec![webhooks], ..ServerOptions::default() };
    let server = TestServer::with(options).await;
    let of_programs = TestServer::with(ServerOptions { on_disk: true, ..ServerOptions::default() }).await;
    let examples = EXAMPLES.iter().map(async |(name, lines)| {
        let server = if OF_PROGRAMS.contains(name) { &of_programs } else { &server };
        let output = run(name, server, &address).await;
        for line in *lines {
            assert!(output.lines().any(|told| fits(told, line)), "{name} does not print {line:?}:\n{output}");
        }
    });
    join_all(examples).await;
    let client = server.client();
    assert_eq!(client.deployments().list().await.unwrap().data, [], "each deletes what it makes");
    assert_eq!(client.snapshots().list().await.unwrap().data, []);
    assert_eq!(client.webhooks().list().await.unwrap().data, []);
    let nullspace = of_programs.client().nullspace();
    assert_eq!(nullspace.deployments().list().await.unwrap().items, []);
    assert_eq!(nullspace.sandboxes().list().await.unwrap().into_inner(), []);
    server.stop().await;
    of_programs.stop().await;
}

/// Runs an example and answers what it prints.
async fn run(name: &str, server: &TestServer, webhook_address: &str) -> String {
    let example = Command::new(folder().join(name))
        .env("PRISM_BASE_URL", &server.base_url)
        .env("PRISM_API_KEY", server.account.key.expose())
        .env("PRISM_WEBHOOK_LISTEN", webhook_address)
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(DEADLINE, example).await.expect(name).expect(name);
    let text = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name} failed:\n{text}\n{errors}");
    text
}

/// Where the examples are, built by cargo where they are missing or stale.
///
/// They are built with the whole workspace, and so with the features and the dependencies that `cargo test --workspace` has
/// just built: then there is nothing to do.
fn folder() -> PathBuf {
    static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
        let test = std::env::current_exe().unwrap();
        let profile = test.ancestors().nth(2).unwrap();
        let mut build = std::process::Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--workspace", "--examples"]);
        if profile.ends_with("release") {
            build.arg("--release");
        }
        build.current_dir(env!("CARGO_MANIFEST_DIR"));
        assert!(build.status().unwrap().success(), "the examples cannot be built");
        profile.join("examples")
    });
    FOLDER.clone()
}

/// An address that nobody listens at: the server is told of it before the example that does.
fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// Whether a line is this pattern, in which `…` stands for anything.
fn fits(line: &str, pattern: &str) -> bool {
    let Some((begin, end)) = pattern.split_once('…') else { return line == pattern };
    line.strip_prefix(begin).is_some_and(|rest| rest.ends_with(end))
}
