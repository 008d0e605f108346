//! What the machine is and how noisy.

use std::{
    fs::File,
    io::Write,
    path::Path,
    time::{Duration, Instant},
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::{
    Result,
    process::cpu_times,
    statistics::{Latencies, median},
};

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

/// How fast 4 KiB can be appended to a file and synced, one after the other.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Syncs {
    /// How many fdatasync a second. On a busy machine this says more about the wait for a core than about the
    /// disk: whoever slept in a sync has to wait for its turn, some milliseconds each time.
    pub(crate) per_second: f64,
    /// What the fastest tenth took at most, in milliseconds. It waits least for a core, so the disk alone takes
    /// at most that long; on a very busy machine even this is mostly waiting.
    pub(crate) fastest: f64,
}

impl Syncs {
    /// Tries the disk of a directory.
    pub(crate) fn probe(directory: &Path) -> Result<Self> {
        let path = directory.join("syncs");
        let mut file = File::create(&path)?;
        let (started, mut times) = (Instant::now(), Vec::new());
        while started.elapsed() < PROBE {
            let began = Instant::now();
            file.write_all(&[0x5a; 4096])?;
            file.sync_data()?;
            times.push(began.elapsed());
        }
        let per_second = times.len() as f64 / started.elapsed().as_secs_f64();
        std::fs::remove_file(path)?;
        Ok(Self { per_second, fastest: times.into_iter().collect::<Latencies>().percentile(0.1) })
    }

    /// Several probes in words.
    pub(crate) fn in_words(probes: &[Self]) -> String {
        let rates = || probes.iter().map(|probe| probe.per_second);
        let (least, most) = (rates().fold(f64::MAX, f64::min), rates().fold(0.0, f64::max));
        format!(
            "{:.0} fdatasync/s beside the turns (median; {least:.0} to {most:.0}), of which the fastest \
             tenth took {:.2} ms, the most that the disk alone can have taken",
            median(rates()),
            median(probes.iter().map(|probe| probe.fastest))
        )
    }
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
