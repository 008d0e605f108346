//! What the machine is and how noisy.

use std::{
    fs::File,
    io::Write,
    path::Path,
    time::{Duration, Instant},
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::{Result, process::cpu_times};

/// How long the disk is tried at a time.
const PROBE: Duration = Duration::from_millis(300);

/// Allows as many open files as may be; children inherit it. Each stream is one in the server and one here.
pub(crate) fn raise_open_files() -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    Ok(setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?)
}

/// The machine in a line.
pub(crate) fn description() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let processors = read("/proc/cpuinfo");
    let model = processors.lines().find(|line| line.starts_with("model name"));
    let model = model.and_then(|line| line.split(": ").nth(1)).unwrap_or("unknown processor").to_owned();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory = read("/proc/meminfo");
    let kibibytes = memory.split_whitespace().nth(1).and_then(|text| text.parse::<f64>().ok());
    let gibibytes = kibibytes.unwrap_or(0.0) / 1024.0 / 1024.0;
    let kernel = read("/proc/sys/kernel/osrelease");
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    format!(
        "{cores} cores of {model}, {gibibytes:.0} GiB, Linux {}, at most {files} open files",
        kernel.trim()
    )
}

/// How often a second 4 KiB can be appended to a file in this directory and synced, one after the other.
pub(crate) fn syncs_per_second(directory: &Path) -> Result<f64> {
    let path = directory.join("syncs");
    let mut file = File::create(&path)?;
    let (started, mut syncs) = (Instant::now(), 0_u32);
    while started.elapsed() < PROBE {
        file.write_all(&[0x5a; 4096])?;
        file.sync_data()?;
        syncs += 1;
    }
    let per_second = f64::from(syncs) / started.elapsed().as_secs_f64();
    std::fs::remove_file(path)?;
    Ok(per_second)
}

/// Measures what others do on the machine while a case runs.
pub(crate) struct Noise {
    machine: Processors,
    ours: Duration,
}

impl Noise {
    /// Begins. Servers that run already would be taken for others.
    pub(crate) fn begin() -> Self {
        Self { machine: Processors::now(), ours: ours() }
    }

    /// What share of the machine others had, in words.
    pub(crate) fn end(&self) -> String {
        let now = Processors::now();
        let all = (now.all - self.machine.all).max(f64::MIN_POSITIVE);
        let second = rustix::param::clock_ticks_per_second() as f64;
        let ours = (ours() - self.ours).as_secs_f64() * second;
        let others = ((now.busy - self.machine.busy - ours) / all).max(0.0);
        let stolen = (now.stolen - self.machine.stolen) / all;
        format!("others used {:.0} % of the machine, {:.0} % was stolen", others * 100.0, stolen * 100.0)
    }
}

/// The CPU time of this process and of its children that have ended.
fn ours() -> Duration {
    cpu_times("/proc/self/stat").iter().sum()
}

/// The machine's counters, in clock ticks.
struct Processors {
    all: f64,
    busy: f64,
    stolen: f64,
}

impl Processors {
    fn now() -> Self {
        let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
        let line = stat.lines().next().unwrap_or_default();
        let times: Vec<f64> =
            line.split_whitespace().skip(1).take(8).map(|text| text.parse().unwrap_or(0.0)).collect();
        let at = |index: usize| times.get(index).copied().unwrap_or(0.0);
        // user nice system idle iowait irq softirq steal, see proc(5)
        let (idle, stolen) = (at(3) + at(4), at(7));
        let all: f64 = times.iter().sum();
        Self { all, busy: all - idle - stolen, stolen }
    }
}
