//! The API of agent deployments, driven by its vendor's own client: `nullspace-sdk` 0.1.9 from PyPI, as it is, with
//! nothing set but `NULLSPACE_API_URL` and `NULLSPACE_API_KEY`.
//!
//! The tests named `stock_...` need a Python with that client and with `requests`, named by `PRISM_NULLSPACE_PYTHON`;
//! those named `stock_docker_...` need a Docker Engine with the image of commands as well. They run when they are asked for,
//! with `-- --ignored stock_`, and fail where these are missing. What they do is in the scripts beside this file.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

use std::{path::Path, process::Stdio, time::Duration};

use prism_tests::PrismServe;
use tokio::process::Command;

/// How long a script may take.
const DEADLINE: Duration = Duration::from_secs(300);

#[tokio::test]
#[ignore = "needs the vendor's client: PRISM_NULLSPACE_PYTHON"]
async fn stock_process_sdk() {
    drive("process", "sdk.py").await;
}

#[tokio::test]
#[ignore = "needs the vendor's client, and a Docker Engine with the image of commands"]
async fn stock_docker_sdk() {
    drive("docker", "sdk.py").await;
}

#[tokio::test]
#[ignore = "needs the vendor's client: PRISM_NULLSPACE_PYTHON"]
async fn stock_process_cli() {
    drive("process", "cli.py").await;
}

#[tokio::test]
#[ignore = "needs the vendor's client, and a Docker Engine with the image of commands"]
async fn stock_docker_cli() {
    drive("docker", "cli.py").await;
}

#[tokio::test]
#[ignore = "needs the vendor's client, and the library that it speaks WebSockets with: PRISM_NULLSPACE_PYTHON"]
async fn stock_process_sockets() {
    drive("process", "sockets.py").await;
}

#[tokio::test]
#[ignore = "needs the vendor's client, and a Docker Engine with the image of commands"]
async fn stock_docker_sockets() {
    drive("docker", "sockets.py").await;
}

#[tokio::test]
#[ignore = "needs the vendor's client: PRISM_NULLSPACE_PYTHON"]
async fn stock_process_sandboxes() {
    drive("process", "sandboxes.py").await;
}

#[tokio::test]
#[ignore = "needs the vendor's client, and a Docker Engine with the image of commands"]
async fn stock_docker_sandboxes() {
    drive("docker", "sandboxes.py").await;
}

#[tokio::test]
#[ignore = "needs the vendor's client, and the library that it speaks WebSockets with: PRISM_NULLSPACE_PYTHON"]
async fn stock_process_live() {
    drive("process", "live.py").await;
}

#[tokio::test]
#[ignore = "needs the vendor's client, and a Docker Engine with the image of commands"]
async fn stock_docker_live() {
    drive("docker", "live.py").await;
}

#[tokio::test]
#[ignore = "needs the vendor's client: PRISM_NULLSPACE_PYTHON"]
async fn stock_process_uploads() {
    drive("process", "uploads.py").await;
}

#[tokio::test]
#[ignore = "needs the vendor's client, and a Docker Engine with the image of commands"]
async fn stock_docker_uploads() {
    drive("docker", "uploads.py").await;
}

#[tokio::test]
#[ignore = "needs the vendor's client: PRISM_NULLSPACE_PYTHON"]
async fn stock_published_snippet() {
    drive("process", "snippet.py").await;
}

/// Runs a script against a server of its own. It has to leave nothing behind.
async fn drive(sandboxes: &str, script: &str) {
    let directory = tempfile::tempdir().unwrap();
    let server = PrismServe::start_with(directory.path(), &["--sandboxes", sandboxes]).await;
    let python = std::env::var("PRISM_NULLSPACE_PYTHON").expect("PRISM_NULLSPACE_PYTHON names no Python");
    let home = tempfile::tempdir().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("nullspace").join(script);
    let mut command = Command::new(&python);
    command.arg(&script).current_dir(home.path()).env_clear();
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", home.path());
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    // Without the prefix, `/v1/snapshots` is the native API's; all else is the same.
    let prefix = if script.ends_with("sandboxes.py") { "/nullspace" } else { "" };
    command.env("NULLSPACE_API_URL", format!("{}{prefix}", server.base_url));
    command.env("NULLSPACE_API_KEY", PrismServe::KEY).env("PORT_TO_USE", free_port().to_string());
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output();
    let output = tokio::time::timeout(DEADLINE, output).await.expect("the script takes too long").unwrap();
    let told = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, error) = (told(&output.stdout), told(&output.stderr));
    assert!(output.status.success(), "{}:\n{out}\n{error}", script.display());
    nothing_is_kept(directory.path(), &out).await;
    server.kill().await;
}

/// A port of this machine that nothing listens at, nor at the next one.
fn free_port() -> u16 {
    let free = |port| std::net::TcpListener::bind(("127.0.0.1", port));
    let ports = std::iter::repeat_with(|| free(0).unwrap().local_addr().unwrap().port());
    ports.take(100).find(|port| free(*port).is_ok() && free(port + 1).is_ok()).expect("two free ports")
}

/// No secret of a script's is anywhere in the data of the server. A script prints each of them, after the word `secret`.
async fn nothing_is_kept(data: &Path, out: &str) {
    let secrets: Vec<_> = out.lines().filter_map(|line| line.strip_prefix("secret ")).collect();
    assert!(!secrets.is_empty(), "the script told of no secret:\n{out}");
    let mut folders = vec![data.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else if let Ok(content) = std::fs::read(entry.path()) {
                for secret in &secrets {
                    let found = memchr::memmem::find(&content, secret.as_bytes());
                    assert!(found.is_none(), "{} has {secret}", entry.path().display());
                }
            }
        }
    }
}
