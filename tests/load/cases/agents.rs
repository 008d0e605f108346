//! Real agents: from the request that creates one until it is ready, from a message to its first token, and the
//! memory that it has, in each kind of sandbox.
//!
//! The model answers at once, from this process. "Cold" is after the page cache was dropped, which needs root:
//! nothing of the agent, its libraries or its image is in memory. Beside it is what the agent needs by itself until
//! it can take a message, as a bare process and under `docker run`, and a container of the same image that does
//! nothing.

use std::{
    io::{BufRead, BufReader, Lines, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use prism_server_core::testkit::model::ScriptedModel;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::Setting;
use crate::{
    Result,
    client::{Connection, events::EventStream, get, post},
    process::Server,
    report::{Report, Row},
    statistics::{Latencies, median},
};

/// The image of agents in containers.
const IMAGE: &str = "prism-hermes:0.19.0";
/// Names the Python with the agent, for agents that are processes.
const PYTHON: &str = "PRISM_HERMES_PYTHON";
/// Messages to an agent after the first one.
const MESSAGES: u32 = 20;
/// How long an agent may take until it is ready.
const READY: Duration = Duration::from_secs(120);
/// What a container may do, as in the sandbox.
const CONTAINER: &[&str] = &[
    "run",
    "--rm",
    "--interactive",
    "--network",
    "none",
    "--cap-drop",
    "ALL",
    "--read-only",
    "--memory",
    "1g",
    "--security-opt",
    "no-new-privileges",
    "--pids-limit",
    "512",
    "--cpus",
    "2",
    "--tmpfs",
    "/workspace:mode=1777",
];

pub(super) async fn measure(setting: &mut Setting<'_>) -> Result<()> {
    let model = ScriptedModel::start("otherwise\n  token Hello").await?;
    let can_drop = drop_caches().is_ok();
    for sandbox in ["process", "docker"] {
        let directory = setting.place(&format!("agents-{sandbox}"))?;
        link_runtime(&directory)?;
        let server = setting.prism.serve_agents(&directory, sandbox, &model.base_url())?;
        let mut connection = Connection::open(server.address).await?;
        let mut agents = Vec::new();
        for cold in [false, true].into_iter().filter(|cold| can_drop || !cold) {
            let mut turns = Turns::default();
            for _ in 0..setting.options.pairs {
                turns.take(sandbox, cold, &model.base_url(), &server, &mut connection).await?;
            }
            turns.report(sandbox, cold, &mut setting.report);
            agents.append(&mut turns.agents);
        }
        let memory = proportional_memory()? / agents.len() as f64;
        let what = format!("{sandbox}: memory of a deployment, {} alike", agents.len());
        setting.report.row(Row::new(what, format!("{:.0} MB", memory / 1e6)));
        for agent in &agents {
            connection.exchange(&delete(&agent.id)).await?.json(200)?;
        }
        gone(sandbox, &directory).await?;
    }
    if !can_drop {
        setting
            .report
            .remark("`agents`: the page cache cannot be dropped here, so nothing was measured cold.");
    }
    setting.report.remark(
        "`agents`: memory is the proportional share (PSS) of all processes of the agents after their messages; \
         ratios above 1 are slower than what stands beside.",
    );
    Ok(())
}

/// Prism and what stands beside it, taking turns.
#[derive(Default)]
struct Turns {
    agents: Vec<Agent>,
    /// The agent by itself: until it is ready, its first message, and the others.
    own: Vec<f64>,
    own_first: Vec<f64>,
    own_later: Vec<Duration>,
    /// A container that does nothing.
    empty: Vec<f64>,
}

impl Turns {
    async fn take(
        &mut self,
        sandbox: &str,
        cold: bool,
        model: &str,
        server: &Server,
        connection: &mut Connection,
    ) -> Result<()> {
        let before = || if cold { drop_caches() } else { Ok(()) };
        before()?;
        // The model is served by this thread.
        let (place, model) = (sandbox.to_owned(), model.to_owned());
        let own = tokio::task::spawn_blocking(move || own_times(&place, &model)).await??;
        self.own.push(own[0].as_secs_f64());
        self.own_first.extend(own.get(1).map(|first| first.as_secs_f64() * 1e3));
        self.own_later.extend(own.iter().skip(2));
        if sandbox == "docker" {
            before()?;
            self.empty.push(empty_container()?.as_secs_f64());
        }
        before()?;
        self.agents.push(Agent::measure(server, connection).await?);
        Ok(())
    }

    fn report(&self, sandbox: &str, cold: bool, report: &mut Report) {
        let heat = if cold { "cold" } else { "warm" };
        let row = |what: &str, figure: String| Row::new(format!("{sandbox}, {heat}: {what}"), figure);
        let times: Vec<f64> = self.agents.iter().map(|agent| agent.ready.as_secs_f64()).collect();
        let ready = median(times.iter().copied());
        let ratios =
            |beside: &[f64]| times.iter().zip(beside).map(|(time, beside)| time / beside).collect::<Vec<_>>();
        let own = format!("the agent by itself: {:.2} s", median(self.own.iter().copied()));
        report.row(row("create to ready", format!("{ready:.2} s")).baseline(own).ratios(&ratios(&self.own)));
        if !self.empty.is_empty() {
            let empty = format!("`docker run` of nothing: {:.2} s", median(self.empty.iter().copied()));
            let row = row("create to ready", format!("{ready:.2} s"));
            report.row(row.baseline(empty).ratios(&ratios(&self.empty)));
        }
        let first = median(self.agents.iter().map(|agent| agent.first.as_secs_f64() * 1e3));
        let mut first_row = row("first message to first token", format!("{first:.0} ms"));
        let later: Latencies = self.agents.iter().flat_map(|agent| agent.later.iter().copied()).collect();
        let figure = |later: &Latencies| format!("p50 {:.0} ms, p99 {:.0} ms", later.p50(), later.p99());
        let what = format!("later messages to first token, {} samples", later.count());
        let mut later_row = row(&what, figure(&later));
        if !self.own_later.is_empty() {
            let own_first = median(self.own_first.iter().copied());
            first_row = first_row
                .baseline(format!("the agent by itself: {own_first:.0} ms"))
                .ratio(first / own_first);
            let own: Latencies = self.own_later.iter().copied().collect();
            let beside = format!("the agent by itself: {}", figure(&own));
            later_row = later_row.baseline(beside).ratio(later.p50() / own.p50());
        }
        report.row(first_row);
        report.row(later_row);
    }
}

/// What one deployment took.
struct Agent {
    id: String,
    ready: Duration,
    first: Duration,
    later: Vec<Duration>,
}

impl Agent {
    async fn measure(server: &Server, connection: &mut Connection) -> Result<Self> {
        let body = json!({"customer_id": "customer_1", "name": "Load", "runtime": "hermes",
            "system_prompt": "Be brief.", "model": "scripted/model"});
        let started = Instant::now();
        let created = connection.exchange(&post("/v1/deployments", &body)).await?.json(201)?;
        let id = created["deployment_id"].as_str().ok_or("a deployment without an id")?.to_owned();
        let read = get(&format!("/v1/deployments/{id}"));
        loop {
            let deployment = connection.exchange(&read).await?.json(200)?;
            match deployment["status"].as_str() {
                Some("ready") => break,
                Some("provisioning") if started.elapsed() < READY => {}
                _ => return Err(format!("the deployment does not become ready: {deployment}").into()),
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let ready = started.elapsed();
        let mut events = EventStream::open(server.address, &id).await?;
        let message = post(&format!("/v1/deployments/{id}/messages"), &json!({"content": "Hello"}));
        let mut times = Vec::new();
        for _ in 0..=MESSAGES {
            let sent = Instant::now();
            connection.exchange(&message).await?.json(200)?;
            let mut token = None;
            loop {
                let frame = events.next().await?;
                if frame.event == "token" {
                    token.get_or_insert(sent.elapsed());
                }
                if frame.is_end() {
                    break;
                }
            }
            times.push(token.ok_or("no token came")?);
        }
        let later = times.split_off(1);
        Ok(Self { id, ready, first: times[0], later })
    }
}

fn delete(id: &str) -> Vec<u8> {
    String::from_utf8_lossy(&get(&format!("/v1/deployments/{id}"))).replacen("GET", "DELETE", 1).into_bytes()
}

/// Waits until nothing of the agents is left.
async fn gone(sandbox: &str, directory: &std::path::Path) -> Result<()> {
    let deadline = Instant::now() + READY;
    while Instant::now() < deadline {
        let left = match sandbox {
            "docker" => {
                let label = format!(
                    "label=prism.owner={}",
                    std::fs::read_to_string(directory.join("identity"))?.trim()
                );
                let ps = Command::new("docker").args(["ps", "-aq", "--filter", &label]).output()?;
                !ps.stdout.is_empty()
            }
            _ => std::fs::read_dir(directory.join("processes"))?.next().is_some(),
        };
        if !left {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Err("agents are left after they were deleted".into())
}

/// The runtime that is installed for all is the data directory's, too.
fn link_runtime(directory: &std::path::Path) -> Result<()> {
    let python = std::env::var_os(PYTHON).ok_or_else(|| format!("{PYTHON} is not set"))?;
    let runtime = std::path::Path::new(&python).ancestors().nth(2).ok_or("the Python is not in a runtime")?;
    let runtimes = directory.join("runtimes");
    std::fs::create_dir(&runtimes)?;
    let name = runtime.file_name().ok_or("the runtime has no name")?;
    Ok(std::os::unix::fs::symlink(runtime, runtimes.join(name))?)
}

/// A container of the agents' image, with the same limits, that does nothing.
fn empty_container() -> Result<Duration> {
    let mut command = Command::new("docker");
    command.args(CONTAINER).args([IMAGE, "-c", "pass"]).stdin(Stdio::null()).stdout(Stdio::null());
    let started = Instant::now();
    let ended = command.status()?;
    if ended.success() { Ok(started.elapsed()) } else { Err("an empty container cannot be run".into()) }
}

/// What the agent by itself takes until it is ready, and then for each message.
fn own_times(sandbox: &str, model: &str) -> Result<Vec<Duration>> {
    let mut own = OwnAgent::start(sandbox, model)?;
    let mut times = vec![own.ready];
    // A container without a network has no way to this model but the gateway's.
    if sandbox == "process" {
        for _ in 0..=MESSAGES {
            times.push(own.message()?);
        }
    }
    own.end()?;
    Ok(times)
}

/// The agent by itself: its own interface over standard input and output.
struct OwnAgent {
    child: Child,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    session: Value,
    /// How long it took until a session could take a message.
    ready: Duration,
    _home: TempDir,
}

impl OwnAgent {
    fn start(sandbox: &str, model: &str) -> Result<Self> {
        let home = tempfile::tempdir()?;
        let config = json!({
            "model": {"provider": "custom", "default": "model", "base_url": model, "api_key": "none",
                "context_length": 128_000},
            "auxiliary": {"title_generation": {"enabled": false}},
        });
        std::fs::write(home.path().join("config.yaml"), config.to_string())?;
        let mut command = if sandbox == "docker" {
            make_writable(home.path())?;
            let mut command = Command::new("docker");
            command.args(CONTAINER).args(["--env", "HERMES_HOME=/home/agent", "--volume"]);
            command.arg(format!("{}:/home/agent", home.path().display())).arg(IMAGE);
            command
        } else {
            let mut command =
                Command::new(std::env::var_os(PYTHON).ok_or_else(|| format!("{PYTHON} is not set"))?);
            command.env("HERMES_HOME", home.path()).current_dir(home.path());
            command
        };
        command.args(["-m", "tui_gateway.entry"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let started = Instant::now();
        let mut child = command.stderr(Stdio::null()).spawn()?;
        let stdin = child.stdin.take().ok_or("no input")?;
        let lines = BufReader::new(child.stdout.take().ok_or("no output")?).lines();
        let mut agent =
            Self { child, stdin, lines, session: Value::Null, ready: Duration::ZERO, _home: home };
        agent.until("gateway.ready")?;
        agent.call("session.create", json!({}))?;
        agent.session = agent.until("session.info")?["session_id"].clone();
        agent.ready = started.elapsed();
        Ok(agent)
    }

    /// From a message to the first piece of its answer.
    fn message(&mut self) -> Result<Duration> {
        let sent = Instant::now();
        self.call("prompt.submit", json!({"session_id": self.session, "text": "Hello"}))?;
        self.until("message.delta")?;
        let first = sent.elapsed();
        self.until("message.complete")?;
        Ok(first)
    }

    fn call(&mut self, method: &str, params: Value) -> Result<()> {
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        Ok(writeln!(self.stdin, "{call}")?)
    }

    /// The next event of a kind.
    fn until(&mut self, kind: &str) -> Result<Value> {
        for line in self.lines.by_ref() {
            let mut said: Value = serde_json::from_str(&line?)?;
            if said["params"]["type"] == kind {
                return Ok(said["params"].take());
            }
        }
        Err(format!("the agent ends without {kind}").into())
    }

    /// It ends when nobody talks to it any more.
    fn end(mut self) -> Result<()> {
        drop(self.stdin);
        self.child.wait()?;
        Ok(())
    }
}

/// The agent in a container is another user.
fn make_writable(directory: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;

    std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o777))?;
    Ok(std::fs::set_permissions(directory.join("config.yaml"), std::fs::Permissions::from_mode(0o666))?)
}

/// Forgets what the kernel keeps of files.
fn drop_caches() -> Result<()> {
    if !Command::new("sync").status()?.success() {
        return Err("files cannot be synced".into());
    }
    Ok(std::fs::write("/proc/sys/vm/drop_caches", "3")?)
}

/// The proportional share of memory of all processes of all agents, in bytes. They are known by the variable with
/// which every sandbox tells its program where its files are.
fn proportional_memory() -> Result<f64> {
    let mut kibibytes = 0.0;
    for entry in std::fs::read_dir("/proc")?.flatten() {
        // A process can end meanwhile, and that of another user is no agent.
        let environment = std::fs::read(entry.path().join("environ")).unwrap_or_default();
        if environment.split(|byte| *byte == 0).any(|variable| variable.starts_with(b"PRISM_FILES=")) {
            let rollup = std::fs::read_to_string(entry.path().join("smaps_rollup")).unwrap_or_default();
            let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
            let share = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
            kibibytes += share.unwrap_or_default();
        }
    }
    Ok(kibibytes * 1024.0)
}
