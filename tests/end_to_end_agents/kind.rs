//! The kinds of sandboxes, and what a test does to them from outside.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
};

use prism_server_core::{
    Builder,
    adapters::{
        harness::HermesHarness,
        sandbox::{DockerSandbox, ProcessSandbox, docker::DockerLimits},
    },
    ports::Sandbox,
};
use prism_types::{InstanceId, Runtime, SandboxType};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Command;

/// The image with the agent.
const IMAGE: &str = "prism-hermes:0.19.0";
/// What a greedy agent may take of the machine.
const MEMORY: u64 = 400 << 20;
const PROCESSES: u32 = 128;

/// A kind of sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Process,
    Docker,
}

impl Kind {
    pub(crate) fn sandbox_type(self) -> SandboxType {
        match self {
            Self::Process => SandboxType::Process,
            Self::Docker => SandboxType::Docker,
        }
    }

    /// Adds what runs real agents.
    pub(crate) fn parts(self, builder: Builder, directory: &Path) -> Builder {
        builder.harness(harness(directory)).shared_sandbox(self.sandboxes(directory))
    }

    /// The sandboxes of a gateway with data in this directory.
    pub(crate) fn sandboxes(self, directory: &Path) -> Arc<dyn Sandbox> {
        match self {
            Self::Process => {
                let python = std::env::var_os("PRISM_HERMES_PYTHON").expect(
                    "PRISM_HERMES_PYTHON must name a Python with the package hermes-agent[mcp]==0.19.0: this test \
                     runs the real agent",
                );
                let sandboxes = ProcessSandbox::new(directory.join("sandboxes"));
                Arc::new(sandboxes.interpreter(Runtime::Hermes, PathBuf::from(python)))
            }
            Self::Docker => {
                let limits = DockerLimits::default().memory(MEMORY).processes(PROCESSES);
                let sandboxes = DockerSandbox::connect(owner(directory)).unwrap();
                Arc::new(sandboxes.image(Runtime::Hermes, IMAGE).limits(limits))
            }
        }
    }

    /// Kills everything that runs in a sandbox.
    pub(crate) async fn kill(self, directory: &Path, id: &InstanceId) {
        match self {
            Self::Process => {
                let all = processes(directory, id);
                assert!(!all.is_empty(), "the agent has a process");
                for process in all {
                    // It may have ended by itself when its parent did.
                    let _ = kill_process(process, Signal::KILL);
                }
            }
            Self::Docker => {
                docker(&["kill", "--signal", "KILL", &container(id)]).await;
            }
        }
    }

    /// What there is of a sandbox: processes, containers, volumes, files.
    pub(crate) async fn left(self, directory: &Path, id: &InstanceId) -> Vec<String> {
        let mut left: Vec<String> =
            paths_named(directory, id.as_str()).iter().map(|path| path.display().to_string()).collect();
        left.extend(processes(directory, id).iter().map(|process| format!("process {process:?}")));
        if self == Self::Docker {
            let filter = format!("name={}", container(id));
            let lists: [&[&str]; 2] = [
                &["ps", "--all", "--format", "container {{.Names}}", "--filter", &filter],
                &["volume", "ls", "--format", "volume {{.Name}}", "--filter", &filter],
            ];
            for list in lists {
                let output = String::from_utf8(docker(list).await).unwrap();
                left.extend(output.lines().map(str::to_owned));
            }
        }
        left
    }

    /// Everything that the agent and the gateway have on disk, as bytes.
    pub(crate) async fn everything(self, directory: &Path, id: &InstanceId) -> Vec<(String, Vec<u8>)> {
        let mut all = Vec::new();
        for path in files_below(directory) {
            // Files come and go while an agent lives, and sockets cannot be read.
            if let Ok(content) = fs::read(&path) {
                all.push((path.display().to_string(), content));
            }
        }
        if self == Self::Docker {
            let format = "{{range .Mounts}}{{.Destination}}\n{{end}}";
            let mounts = docker(&["inspect", "--format", format, &container(id)]).await;
            for mount in String::from_utf8(mounts).unwrap().lines().filter(|line| !line.is_empty()) {
                let archive = docker(&["cp", &format!("{}:{mount}", container(id)), "-"]).await;
                all.push((format!("{mount} in the container"), archive));
            }
            all.push(("the container's output".to_owned(), docker(&["logs", &container(id)]).await));
            all.push(("the container".to_owned(), docker(&["inspect", &container(id)]).await));
        }
        all
    }

    /// A file of the workspace; `None` when there is none.
    pub(crate) async fn workspace_file(
        self,
        directory: &Path,
        id: &InstanceId,
        path: &str,
    ) -> Option<String> {
        match self {
            Self::Process => fs::read_to_string(workspace(directory, id).join(path)).ok(),
            Self::Docker => {
                let path = format!("/workspace/{path}");
                let output = docker_command(&["exec", &container(id), "cat", &path]).output().await.unwrap();
                output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
            }
        }
    }

    /// All texts of the sessions that an agent keeps; an error while it is away.
    pub(crate) async fn sessions(self, directory: &Path, id: &InstanceId) -> Result<String, String> {
        const TEXTS: &str = "SELECT coalesce(group_concat(content, char(10)), '') FROM messages";
        match self {
            Self::Process => {
                let database = workspace(directory, id).with_file_name("home").join("hermes/state.db");
                let read = rusqlite::Connection::open(database)
                    .and_then(|database| database.query_row(TEXTS, [], |row| row.get(0)));
                read.map_err(|error| error.to_string())
            }
            Self::Docker => {
                let script = format!(
                    "import os, sqlite3; path = os.environ['PRISM_HOME'] + '/hermes/state.db'; \
                     print(sqlite3.connect(path).execute(\"{TEXTS}\").fetchone()[0])"
                );
                let arguments = ["exec", &container(id), "python3", "-c", &script];
                let output = docker_command(&arguments).output().await.unwrap();
                let text = |bytes| String::from_utf8(bytes).unwrap();
                if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
            }
        }
    }

    /// Makes an empty file in the workspace.
    pub(crate) async fn touch(self, directory: &Path, id: &InstanceId, path: &str) {
        match self {
            Self::Process => fs::write(workspace(directory, id).join(path), "").unwrap(),
            Self::Docker => {
                docker(&["exec", &container(id), "touch", &format!("/workspace/{path}")]).await;
            }
        }
    }

    /// Removes what runs of a test that failed.
    pub(crate) fn abandon(self, directory: &Path) {
        for process in processes_with(&[directory.as_os_str().as_encoded_bytes()]) {
            let _ = kill_process(process, Signal::KILL);
        }
        if self == Self::Docker {
            let script = format!(
                "docker ps --all --quiet --filter label=prism.owner={owner} | xargs --no-run-if-empty docker rm --force \
                 --volumes; docker volume ls --quiet --filter label=prism.owner={owner} | xargs --no-run-if-empty \
                 docker volume rm",
                owner = owner(directory)
            );
            let _ = std::process::Command::new("sh").args(["-c", &script]).stdout(Stdio::null()).status();
        }
    }
}

/// The harness of a gateway with data in this directory.
pub(crate) fn harness(directory: &Path) -> HermesHarness {
    HermesHarness::new(directory.join("agents"))
}

/// The identity of a gateway with data in this directory.
fn owner(directory: &Path) -> String {
    let name = directory.file_name().unwrap().to_str().unwrap();
    format!("prism-test-{}", name.trim_start_matches('.'))
}

fn container(id: &InstanceId) -> String {
    format!("prism-{id}")
}

/// What the engine's command answers.
pub(crate) async fn docker(arguments: &[&str]) -> Vec<u8> {
    let output = docker_command(arguments).output().await.expect("a Docker Engine and its command are there");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "docker {arguments:?}: {errors}");
    [output.stdout, output.stderr].concat()
}

fn docker_command(arguments: &[&str]) -> Command {
    let mut command = Command::new("docker");
    command.args(arguments).stdin(Stdio::null());
    command
}

/// The workspace of a process, wherever its sandbox put it.
fn workspace(directory: &Path, id: &InstanceId) -> PathBuf {
    let found = paths_named(directory, id.as_str()).into_iter().map(|path| path.join("workspace"));
    found.into_iter().find(|path| path.is_dir()).expect("the agent has a workspace")
}

/// The topmost paths below a directory whose names contain a text.
fn paths_named(directory: &Path, text: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().contains(text) {
            found.push(entry.path());
        } else if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.extend(paths_named(&entry.path(), text));
        }
    }
    found
}

fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => found.extend(files_below(&entry.path())),
            Ok(kind) if kind.is_file() => found.push(entry.path()),
            _ => {}
        }
    }
    found
}

/// The processes of an instance: its id is in their environment, or they are somewhere in its directories.
fn processes(directory: &Path, id: &InstanceId) -> Vec<Pid> {
    processes_with(&[directory.as_os_str().as_encoded_bytes(), id.as_str().as_bytes()])
}

/// The processes whose environment, or whose directory, has all of these parts.
fn processes_with(parts: &[&[u8]]) -> Vec<Pid> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // A process can end meanwhile.
        let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
        let directory = fs::read_link(entry.path().join("cwd")).unwrap_or_default();
        let places = [environment.as_slice(), directory.as_os_str().as_encoded_bytes()];
        if places.iter().any(|place| parts.iter().all(|part| contains(place, part))) {
            found.extend(Pid::from_raw(id));
        }
    }
    found
}

/// Whether bytes are somewhere in others.
pub(crate) fn contains(bytes: &[u8], part: &[u8]) -> bool {
    memchr::memmem::find(bytes, part).is_some()
}
