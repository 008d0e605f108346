//! The real `prism` binary as a process.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    sync::LazyLock,
};

use prism_client::Client;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, ChildStdout, Command},
};

use crate::Http;

/// `prism serve` on a free port.
pub struct PrismServe {
    /// Where it is served.
    pub base_url: String,
    child: Child,
    /// Kept open, so that the server can go on writing.
    _stdout: tokio::io::Lines<BufReader<ChildStdout>>,
}

impl PrismServe {
    /// The key of every server that is started here.
    pub const KEY: &str = "prism_test_key_0123456789abcdef";

    /// The binary, built by cargo if it is missing or stale.
    pub fn binary() -> PathBuf {
        static BINARY: LazyLock<PathBuf> = LazyLock::new(|| {
            let test = std::env::current_exe().unwrap();
            let profile = test.ancestors().nth(2).unwrap();
            let mut build = std::process::Command::new(env!("CARGO"));
            build.args(["build", "--quiet", "--package", "prism-cli"]);
            if profile.ends_with("release") {
                build.arg("--release");
            }
            build.current_dir(env!("CARGO_MANIFEST_DIR"));
            assert!(build.status().unwrap().success(), "prism-cli cannot be built");
            profile.join("prism")
        });
        BINARY.clone()
    }

    /// Starts a server on a data directory and waits until it says where it listens.
    pub async fn start(data_directory: &Path) -> Self {
        Self::start_with(data_directory, &[]).await
    }

    /// As [`PrismServe::start`], with more arguments.
    pub async fn start_with(data_directory: &Path, arguments: &[&str]) -> Self {
        let mut child = Command::new(Self::binary())
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(data_directory)
            .args(arguments)
            .env("PRISM_BOOTSTRAP_API_KEY", Self::KEY)
            .env("PRISM_LOG", "warn")
            // A container would outlive the test.
            .env("PRISM_SANDBOXES", "process")
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap()).lines();
        loop {
            let line = stdout.next_line().await.unwrap().expect("prism serve ended before it listened");
            if let Some(url) = line.strip_prefix("prism listening on ") {
                return Self { base_url: url.to_owned(), child, _stdout: stdout };
            }
        }
    }

    /// Plain HTTP with the server's key.
    pub fn http(&self) -> Http {
        Http::new(&self.base_url, Some(Self::KEY))
    }

    /// The client with the server's key.
    pub fn client(&self) -> Client {
        Client::builder().base_url(&self.base_url).api_key(Self::KEY).build().unwrap()
    }

    /// The process's id.
    pub fn pid(&self) -> u32 {
        self.child.id().unwrap()
    }

    /// Kills the process with SIGKILL and waits until it is gone.
    pub async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }
}
