//! Real agents: from the request that creates one until it is ready, from a message to its first token, and the
//! memory that it has, in each kind of sandbox.
//!
//! The model answers at once, from this process. The first agent of a data directory finds nothing in the caches
//! of the file system that another left there only moments ago, so "cold" means a new deployment; "warm" is the
//! first message after it is ready, and each one after that. Beside it is what the engine takes to run a container
//! of the same image that does nothing, and what the agent's own interface takes until it says that it is ready,
//! as a bare process.

use std::{
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use prism_server_core::testkit::model::ScriptedModel;
use serde_json::json;

use super::Setting;
use crate::{
    Result,
    client::{Connection, events::EventStream, get, post},
    process::Server,
    report::Row,
    statistics::{Latencies, median},
};

/// The image of agents in containers.
const IMAGE: &str = "prism-hermes:0.19.0";
/// Names the Python with the agent, for agents that are processes.
pub(crate) const PYTHON: &str = "PRISM_HERMES_PYTHON";
/// Messages to an agent after the first one.
const MESSAGES: u32 = 20;
/// How long an agent may take until it is ready.
const READY: Duration = Duration::from_secs(120);

pub(super) async fn measure(setting: &mut Setting<'_>) -> Result<()> {
    let model = ScriptedModel::start("otherwise\n  token Hello").await?;
    for sandbox in ["process", "docker"] {
        let directory = setting.place(&format!("agents-{sandbox}"))?;
        link_runtime(&directory)?;
        let server = setting.prism.serve_agents(&directory, sandbox, &model.base_url())?;
        let mut connection = Connection::open(server.address).await?;
        let (mut agents, mut bare, mut memory) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..setting.options.pairs {
            bare.push(match sandbox {
                "docker" => empty_container()?,
                _ => bare_agent()?,
            });
            let before = used_memory()?;
            agents.push(Agent::measure(&server, &mut connection).await?);
            memory.push((used_memory()? - before) / 1e6);
        }
        for agent in &agents {
            connection.exchange(&delete(&agent.id)).await?.json(200)?;
        }
        gone(sandbox, &directory).await?;
        let seconds = |times: &[Duration]| median(times.iter().map(Duration::as_secs_f64));
        let ready = seconds(&agents.iter().map(|agent| agent.ready).collect::<Vec<_>>());
        let first = seconds(&agents.iter().map(|agent| agent.first).collect::<Vec<_>>());
        let later: Latencies = agents.iter().flat_map(|agent| agent.later.iter().copied()).collect();
        let bare = seconds(&bare);
        let beside = if sandbox == "docker" { "`docker run`, nothing in it" } else { "the agent's own start" };
        let row = Row::new(format!("{sandbox}: create to ready"), format!("{ready:.2} s"));
        setting.report.row(row.baseline(format!("{beside}: {bare:.2} s")).ratio(ready / bare));
        let row = Row::new(format!("{sandbox}: first message to first token"), format!("{:.0} ms", first * 1e3));
        setting.report.row(row);
        let what = format!("{sandbox}: each later message to first token, {} samples", later.count());
        setting.report.row(Row::new(what, format!("p50 {:.0} ms, p99 {:.0} ms", later.p50(), later.p99())));
        let memory = median(memory);
        setting.report.row(Row::new(format!("{sandbox}: memory of a deployment"), format!("{memory:.0} MB")));
    }
    setting.report.remark(
        "`agents`: memory is what the machine has less of after a deployment has answered all messages, \
         the gateway's part included; ratios above 1 are slower than what stands beside.",
    );
    Ok(())
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
                let label = format!("label=prism.owner={}", std::fs::read_to_string(directory.join("identity"))?.trim());
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
    command.args(["run", "--rm", "--network", "none", "--cap-drop", "ALL", "--read-only", "--memory", "1g"]);
    command.args(["--security-opt", "no-new-privileges", "--pids-limit", "512", "--cpus", "2", IMAGE, "-c", "pass"]);
    let started = Instant::now();
    let ended = command.stdout(Stdio::null()).status()?;
    if ended.success() { Ok(started.elapsed()) } else { Err("an empty container cannot be run".into()) }
}

/// The agent's own interface, from its start until it says that it is ready.
fn bare_agent() -> Result<Duration> {
    use std::io::BufRead;

    let home = tempfile::tempdir()?;
    let python = std::env::var_os(PYTHON).ok_or_else(|| format!("{PYTHON} is not set"))?;
    let mut command = Command::new(python);
    command.args(["-m", "tui_gateway.entry"]).env("HERMES_HOME", home.path()).current_dir(home.path());
    let started = Instant::now();
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let stdout = child.stdout.take().ok_or("no output")?;
    let ready = std::io::BufReader::new(stdout)
        .lines()
        .map_while(std::io::Result::ok)
        .any(|line| line.contains("gateway.ready"))
        .then(|| started.elapsed());
    child.kill()?;
    child.wait()?;
    ready.ok_or_else(|| "the agent does not become ready".into())
}

/// The memory of the machine that is in use, in bytes.
fn used_memory() -> Result<f64> {
    let text = std::fs::read_to_string("/proc/meminfo")?;
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim_start_matches(':').split_whitespace().next()?.parse::<f64>().ok()
    };
    let (total, available) = field("MemTotal").zip(field("MemAvailable")).ok_or("no memory in /proc/meminfo")?;
    Ok((total - available) * 1024.0)
}
