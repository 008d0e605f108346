//! Servers as child processes.
//!
//! A server has a process of its own, so that its CPU time and its memory, both as the kernel counts them in
//! `/proc`, are the server's alone.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use crate::{Result, options::Options};

/// The API key of every server that is measured.
pub(crate) const KEY: &str = "prism_load_key_0123456789abcdef0123456789";

/// How long a server may take until it is ready.
const READY: Duration = Duration::from_secs(30);

/// What the line of a ready server has before its address.
pub(crate) const LISTENING: &str = " listening on http://";

/// The binary `prism`.
#[derive(Debug, Clone)]
pub(crate) struct Prism(PathBuf);

impl Prism {
    /// The binary that the options name, or else the one beside this program, which is built first when cargo
    /// runs this: what is measured is then this source.
    pub(crate) fn find(options: &Options) -> Result<Self> {
        if let Some(binary) = &options.prism {
            return Ok(Self(binary.clone()));
        }
        build_prism()?;
        Ok(Self(std::env::current_exe()?.with_file_name("prism")))
    }

    /// Starts `prism serve` on a data directory.
    pub(crate) fn serve(&self, data_directory: &Path) -> Result<Server> {
        let mut command = Command::new(&self.0);
        command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(data_directory);
        command.env("PRISM_BOOTSTRAP_API_KEY", KEY).env("PRISM_LOG", "warn");
        Server::start(command)
    }

    /// Starts `prism serve` with programs as processes of this machine.
    pub(crate) fn serve_programs(&self, data_directory: &Path) -> Result<Server> {
        let mut command = Command::new(&self.0);
        command.args(["serve", "--listen", "127.0.0.1:0", "--sandboxes", "process", "--data-dir"]);
        command.arg(data_directory).env("PRISM_BOOTSTRAP_API_KEY", KEY).env("PRISM_LOG", "error");
        Server::start(command)
    }

    /// Starts `prism serve` with one kind of sandbox and a model.
    pub(crate) fn serve_agents(&self, data_directory: &Path, sandbox: &str, model: &str) -> Result<Server> {
        let mut command = Command::new(&self.0);
        command.args(["serve", "--listen", "127.0.0.1:0", "--sandboxes", sandbox, "--data-dir"]);
        command.arg(data_directory).env("PRISM_BOOTSTRAP_API_KEY", KEY).env("PRISM_LOG", "error");
        command.env("PRISM_MODEL_BASE_URL", model);
        Server::start(command)
    }
}

fn build_prism() -> Result<()> {
    let Some(cargo) = std::env::var_os("CARGO") else { return Ok(()) };
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "-p", "prism-cli"]);
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    if command.status()?.success() { Ok(()) } else { Err("prism-cli does not build".into()) }
}

/// The control plane of this program, with a harness that stamps its tokens.
pub(crate) fn start_stamped(data_directory: &Path) -> Result<Server> {
    let mut command = role("stamped")?;
    command.arg("--data-dir").arg(data_directory);
    Server::start(command)
}

/// This program in another role.
fn role(name: &str) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(name);
    Ok(command)
}

/// The line of the shell that serves what programs are compared to, at the port that its environment names. Nobody else
/// ends it when this program is killed. It stays in the group of its shell, for that is asked to end when it is stopped.
pub(crate) fn hosted_line() -> Result<String> {
    let program = std::env::current_exe()?;
    let program =
        program.to_str().filter(|path| !path.contains('\'')).ok_or("this program has no plain path")?;
    Ok(format!("exec timeout --foreground 600 '{program}' baseline --port \"$PORT\""))
}

/// The same as a child of this process.
pub(crate) fn start_hosted(port: u16) -> Result<Child> {
    let mut command = Command::new("/bin/sh");
    command.arg("-c").arg(hosted_line()?).env("PORT", port.to_string());
    Ok(command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?)
}

/// The baseline as a process, with a database if there is one.
pub(crate) fn start_baseline(database: Option<&Path>) -> Result<Server> {
    let mut command = role("baseline")?;
    if let Some(database) = database {
        command.arg("--database").arg(database);
    }
    Server::start(command)
}

/// What load is put on: where it answers, and the CPU time that it has used.
pub(crate) trait Loaded {
    /// Where it listens.
    fn address(&self) -> SocketAddr;
    /// The CPU time that it has used, in user and kernel mode, all threads.
    fn cpu(&self) -> Duration;
}

impl Loaded for Server {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn cpu(&self) -> Duration {
        self.cpu()
    }
}

/// A server that somebody else has started.
#[derive(Debug, Clone)]
pub(crate) struct Guest {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// Its processes.
    pub(crate) processes: Vec<u32>,
}

impl Loaded for Guest {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn cpu(&self) -> Duration {
        self.processes.iter().map(|process| cpu_of(*process)).sum()
    }
}

/// A server that is ready; killed when it is dropped.
pub(crate) struct Server {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// How long it took from the start of the process to the line that says where it listens.
    pub(crate) ready_after: Duration,
    child: Child,
}

impl Server {
    /// Starts a server and waits until it says where it listens.
    pub(crate) fn start(mut command: Command) -> Result<Self> {
        let started = Instant::now();
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let stdout = child.stdout.take().unwrap();
        // From here on the child is killed whatever happens.
        let mut server =
            Self { address: SocketAddr::from(([127, 0, 0, 1], 0)), ready_after: Duration::ZERO, child };
        let (found, address) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(std::io::Result::ok) {
                if let Some((_, address)) = line.split_once(LISTENING) {
                    let _ = found.send((address.trim().to_owned(), started.elapsed()));
                }
            }
        });
        let (address, ready_after) =
            address.recv_timeout(READY).map_err(|_| "the server did not say where it listens")?;
        server.address = address.parse()?;
        server.ready_after = ready_after;
        Ok(server)
    }

    /// The CPU time that the process has used, in user and kernel mode, all threads.
    pub(crate) fn cpu(&self) -> Duration {
        cpu_of(self.child.id())
    }

    /// The same, with that of the processes which it has started, as far as they have ended.
    pub(crate) fn cpu_with_children(&self) -> Duration {
        cpu_times(&format!("/proc/{}/stat", self.child.id())).iter().sum()
    }

    /// The resident memory in bytes.
    pub(crate) fn resident(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
        kibibytes.map_or(f64::NAN, |kibibytes| kibibytes * 1024.0)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn cpu_of(process: u32) -> Duration {
    let [user, system, ..] = cpu_times(&format!("/proc/{process}/stat"));
    user + system
}

/// User, system, and both of the children that have ended, of a process's `stat` file (proc(5)).
pub(crate) fn cpu_times(stat: &str) -> [Duration; 4] {
    let stat = std::fs::read_to_string(stat).unwrap_or_default();
    // The name, in parentheses, can have spaces; field 3 follows it, and the times are fields 14 to 17.
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let mut times = fields.split_whitespace().skip(11).map(|ticks| ticks.parse::<f64>().unwrap_or(0.0));
    let second = rustix::param::clock_ticks_per_second() as f64;
    std::array::from_fn(|_| Duration::from_secs_f64(times.next().unwrap_or(0.0) / second))
}
