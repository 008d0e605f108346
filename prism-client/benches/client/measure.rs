//! Turns, CPU time, and medians of paired ratios.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// How long a turn should take at least, so that its start does not count.
const TURN: Duration = Duration::from_millis(20);

/// One of several that do the same work.
pub(crate) struct Contestant<'a> {
    pub(crate) name: &'static str,
    work: Box<dyn FnMut() + 'a>,
}

impl<'a> Contestant<'a> {
    /// The work checks its own result.
    pub(crate) fn new(name: &'static str, work: impl FnMut() + 'a) -> Self {
        Self { name, work: Box::new(work) }
    }
}

/// The CPU seconds that the work took in every round; the contestants take turns within a round.
pub(crate) fn take_turns(rounds: usize, contestants: &mut [Contestant<'_>]) -> Vec<Vec<f64>> {
    let repeats: Vec<u32> = contestants
        .iter_mut()
        .map(|contestant| {
            (contestant.work)();
            let once = cpu_time(&mut contestant.work);
            (TURN.as_secs_f64() / once).ceil().clamp(1.0, 1e6) as u32
        })
        .collect();
    let mut times = vec![Vec::with_capacity(rounds); contestants.len()];
    for _ in 0..rounds {
        for ((contestant, &repeats), times) in contestants.iter_mut().zip(&repeats).zip(&mut times) {
            let time = cpu_time(|| (0..repeats).for_each(|_| (contestant.work)()));
            times.push(time / f64::from(repeats));
        }
    }
    times
}

/// The CPU time that this thread spends on something, in seconds.
pub(crate) fn cpu_time(work: impl FnOnce()) -> f64 {
    let began = thread_time();
    work();
    (thread_time() - began).as_secs_f64()
}

/// The CPU time of this thread so far.
pub(crate) fn thread_time() -> Duration {
    // A running thread's time is in /proc only as of the last tick, so the clock is asked.
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}

/// The ratios of two contestants, round by round.
pub(crate) fn ratios(above: &[f64], below: &[f64]) -> Vec<f64> {
    above.iter().zip(below).map(|(above, below)| above / below).collect()
}

/// The middle of some figures; of two in the middle, their mean.
pub(crate) fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

/// The machine in a line.
pub(crate) fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let processors = read("/proc/cpuinfo");
    let model = processors.lines().find(|line| line.starts_with("model name"));
    let model = model.and_then(|line| line.split(": ").nth(1)).unwrap_or("unknown processor").to_owned();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let load = read("/proc/loadavg");
    let load = load.split(' ').next().unwrap_or_default();
    format!("{cores} cores of {model}, Linux {}, load {load}", read("/proc/sys/kernel/osrelease").trim())
}
