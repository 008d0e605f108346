//! Runs the real binary.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used, reason = "each test uses a part; a test may panic")]

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

/// What takes longer has failed.
pub const DEADLINE: Duration = Duration::from_secs(30);
/// A key that is brought along.
pub const KEY: &str = "prism_test_key_0123456789abcdef";

/// The binary with no variables but those that a test sets.
pub fn prism(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_prism"));
    command.args(arguments).env_clear();
    command
}

/// How a command ended.
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    /// The standard output of a command that must have succeeded.
    pub fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "{}{}", self.stdout, self.stderr);
        self.stdout
    }

    /// The standard error of a command that must have failed with this code, in one line.
    pub fn failed(self, code: i32) -> String {
        assert_eq!(self.code, Some(code), "{}{}", self.stdout, self.stderr);
        assert!(self.stderr.starts_with("error: "), "{}", self.stderr);
        assert_eq!(self.stderr.lines().count(), 1, "{}", self.stderr);
        self.stderr
    }

    /// The JSON of a command that must have succeeded.
    pub fn json(self) -> Value {
        serde_json::from_str(&self.ok()).unwrap()
    }
}

/// Runs a command to its end.
pub fn run(command: &mut Command) -> Ended {
    run_with_input(command, "")
}

/// Runs a command with this standard input to its end.
pub fn run_with_input(command: &mut Command, input: &str) -> Ended {
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A command that does not read its input may be gone already.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    Ended {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A running `prism serve`, killed when it goes out of scope.
pub struct Server {
    pub url: String,
    child: Child,
    lines: Receiver<String>,
}

impl Server {
    /// Starts on a free port with [`KEY`], and waits until it listens.
    pub fn start(data_dir: &Path) -> Self {
        let mut command = prism(&["serve", "--listen", "127.0.0.1:0"]);
        command.arg("--data-dir").arg(data_dir).env("PRISM_BOOTSTRAP_API_KEY", KEY);
        Self::start_as(command)
    }

    /// Starts a `prism serve` and waits until it listens.
    pub fn start_as(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stdin(Stdio::null()).spawn().unwrap();
        let (sender, lines) = channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let mut server = Self { url: String::new(), child, lines };
        let line = server.line();
        server.url = line.strip_prefix("prism listening on ").unwrap_or_else(|| panic!("{line}")).to_owned();
        server
    }

    /// The next line of standard output.
    pub fn line(&self) -> String {
        self.lines.recv_timeout(DEADLINE).expect("a line within the deadline")
    }

    /// A command of a client of this server.
    pub fn client(&self, arguments: &[&str]) -> Command {
        let mut command = prism(arguments);
        command.env("PRISM_BASE_URL", &self.url).env("PRISM_API_KEY", KEY);
        command
    }

    /// The JSON at a path, asked for without a key.
    pub fn get(&self, path: &str) -> Value {
        let mut stream = TcpStream::connect(self.url.strip_prefix("http://").unwrap()).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: prism\r\nconnection: close\r\n\r\n").unwrap();
        let answer = read_to_end(&mut stream);
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        assert!(head.contains("content-type: application/json"), "{head}");
        serde_json::from_str(body).unwrap()
    }

    /// Creates a scripted deployment and waits until it is ready.
    pub fn deployment(&self, script: &str) -> String {
        let body = serde_json::json!({
            "customer_id": "cus_1", "name": "Agent", "runtime": "scripted",
            "system_prompt": format!("Test.\n```script\n{script}\n```"),
        });
        let mut create = self.client(&["deployments", "create", "-f", "-", "--wait", "-o", "json"]);
        let created = run_with_input(&mut create, &body.to_string()).json();
        assert_eq!(created["status"], "ready");
        created["deployment_id"].as_str().unwrap().to_owned()
    }

    /// Opens the event stream of a deployment, and returns when it has begun.
    pub fn events(&self, deployment: &str) -> BufReader<TcpStream> {
        let mut stream = TcpStream::connect(self.url.strip_prefix("http://").unwrap()).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        write!(
            stream,
            "GET /v1/deployments/{deployment}/events HTTP/1.1\r\nhost: prism\r\nauthorization: Bearer {KEY}\r\n\r\n"
        )
        .unwrap();
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        assert_eq!(line, "HTTP/1.1 200 OK\r\n");
        while !line.starts_with("id: ") {
            line.clear();
            assert_ne!(reader.read_line(&mut line).unwrap(), 0, "the stream ended before it began");
        }
        reader
    }

    /// Sends a signal.
    #[cfg(unix)]
    pub fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for the end of the process.
    pub fn ended(&mut self) -> ExitStatus {
        let deadline = Instant::now() + DEADLINE;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => return self.child.wait().unwrap(),
                Err(RecvTimeoutError::Timeout) => panic!("the server is still there"),
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads until the other side closes.
pub fn read_to_end(reader: &mut impl Read) -> String {
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    text
}
