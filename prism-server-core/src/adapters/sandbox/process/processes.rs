//! Processes of this machine: telling them apart for good, and ending all of a sandbox.
//!
//! A number of a process is used again. With the moment of its start and the boot of the machine it names one
//! process for ever.

use std::{
    collections::{HashMap, HashSet},
    fs, io,
    path::Path,
    time::{Duration, Instant},
};

use prism_types::InstanceId;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{
        Pid, PidfdFlags, Signal, WaitOptions, getpgrp, kill_process, kill_process_group, pidfd_open, waitpid,
    },
};
use serde::{Deserialize, Serialize};

use super::{environment, failed};
use crate::ports::SandboxError;

/// The variable by which processes of a sandbox are known; its value is the instance's id.
pub(super) const MARKER: &str = "PRISM_SANDBOX";
/// How long processes may take to end once they are killed. Those that wait for a disk can take long.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a process may be on its way from one program to the next: the one that is asked for its environment, and all
/// together that are looked through.
const BECOMING: Duration = Duration::from_secs(5);
const BECOMING_OF_ALL: Duration = Duration::from_millis(500);
/// How long to wait for one process before looking at all of them again.
const GLANCE: Duration = Duration::from_millis(50);
/// The flag of the kernel's own threads.
const PF_KTHREAD: u64 = 0x0020_0000;

/// One process, for ever.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Identity {
    pid: i32,
    /// When it started, in clock ticks since the boot.
    started: u64,
    boot: String,
}

impl Identity {
    /// The process that has this number now.
    pub(super) fn of(pid: u32) -> io::Result<Self> {
        let process = i32::try_from(pid).ok().and_then(Process::read);
        let process =
            process.ok_or_else(|| io::Error::other(format!("there is no process {pid} in /proc")))?;
        Ok(Self { pid: process.pid, started: process.started, boot: boot()? })
    }

    /// Whether it has not ended. One that has, and that nobody has waited for yet, has ended.
    pub(super) fn is_alive(&self) -> io::Result<bool> {
        let process = Process::read(self.pid);
        Ok(process.is_some_and(|process| self.is(&process) && !process.ended) && boot()? == self.boot)
    }

    /// Its environment; `None` when it has ended. Waits while it becomes another program.
    pub(super) fn environment(&self) -> io::Result<Option<Vec<u8>>> {
        let Some(pid) = self.pid() else { return Ok(None) };
        let directory = format!("/proc/{}", pid.as_raw_nonzero());
        let found = environment::read(Path::new(&directory), Instant::now() + BECOMING);
        // The number may have become another's before it was read.
        if self.is_alive()? { found.map(Some) } else { Ok(None) }
    }

    /// Takes note that a child, which nobody else waits for, has ended.
    pub(super) fn reap(&self) {
        if let Some(pid) = self.pid() {
            // It is no child of this process, or not yet at its end: both are nothing to do.
            let _ = waitpid(Some(pid), WaitOptions::NOHANG);
        }
    }

    /// Asks the group that it leads to end. One that has ended leads none.
    pub(super) fn ask_to_end(&self) -> io::Result<()> {
        match self.pid() {
            Some(pid) if self.is_alive()? => match kill_process_group(pid, Signal::TERM) {
                Err(rustix::io::Errno::SRCH) => Ok(()),
                asked => Ok(asked?),
            },
            _ => Ok(()),
        }
    }

    /// The number, if it can be one.
    pub(super) fn pid(&self) -> Option<Pid> {
        if self.pid > 1 { Pid::from_raw(self.pid) } else { None }
    }

    fn is(&self, process: &Process) -> bool {
        process.pid == self.pid && process.started == self.started
    }

    /// Whether a process is of the session or group that this one led. Their number is not given to another
    /// process while one is in them; when it is another process's, they are gone.
    fn leads(&self, process: &Process) -> bool {
        (process.session == self.pid || process.group == self.pid) && process.started >= self.started
    }
}

/// Ends all processes of a sandbox: the session of its program, whatever carries its marker, and all
/// descendants of those, until there is none.
pub(super) fn end_all(id: &InstanceId, program: Option<&Identity>) -> Result<(), SandboxError> {
    let look = || members(id, program).map_err(|error| failed("its processes cannot be listed", error));
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut found = look()?;
        let Some(first) = found.first() else {
            return Ok(());
        };
        if Instant::now() > deadline {
            let numbers: Vec<_> = found.iter().map(|process| process.pid.to_string()).collect();
            let text = format!("processes of sandbox {id} do not end: {}", numbers.join(", "));
            return Err(SandboxError::Failed(text));
        }
        // All are stopped before the first is killed: one that is stopped makes no others, and the children of
        // one that is killed are nobody's, so that they would not be known any more.
        let mut stopped = HashSet::new();
        let first = first.clone();
        loop {
            let before = stopped.len();
            stopped.extend(found.iter().map(|process| (process.pid, process.started)));
            if stopped.len() == before || Instant::now() > deadline {
                break;
            }
            signal(&found, Signal::STOP);
            found = look()?;
        }
        signal(&found, Signal::KILL);
        first.wait(GLANCE);
    }
}

/// What `/proc` tells of a process.
#[derive(Debug, Clone)]
struct Process {
    pid: i32,
    parent: i32,
    group: i32,
    session: i32,
    started: u64,
    /// Its first thread has ended; others may live.
    has_lost_first: bool,
    ended: bool,
    /// A thread of the kernel.
    is_kernel_s: bool,
}

impl Process {
    fn read(pid: i32) -> Option<Self> {
        Self::parse(pid, &fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// The name of the program, in parentheses, is chosen by the program: what counts follows the last one.
    fn parse(pid: i32, stat: &str) -> Option<Self> {
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
        let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
        let id = |index: usize| fields.get(index)?.parse::<i32>().ok();
        // The first thread can end before the others: then the process lives on.
        let has_lost_first = matches!(*fields.first()?, "Z" | "X" | "x");
        Some(Self {
            pid,
            parent: id(1)?,
            group: id(2)?,
            session: id(3)?,
            started: number(19)?,
            has_lost_first,
            ended: has_lost_first && number(17)? <= 1,
            is_kernel_s: number(6)? & PF_KTHREAD != 0,
        })
    }

    fn carries(&self, marker: &[u8], deadline: Instant) -> bool {
        if self.is_kernel_s {
            return false;
        }
        let has = |directory: &Path| {
            let found = environment::read(directory, deadline);
            found.is_ok_and(|found| found.split(|byte| *byte == 0).any(|variable| variable == marker))
        };
        let directory = format!("/proc/{}", self.pid);
        if !self.has_lost_first {
            return has(Path::new(&directory));
        }
        // A first thread that has ended has no memory to look at; the others have, and it is the same for all.
        let first = self.pid.to_string();
        let mut threads = fs::read_dir(format!("{directory}/task")).into_iter().flatten().flatten();
        threads.any(|thread| thread.file_name() != *first && has(&thread.path()))
    }

    /// Waits until it has ended, at most this long.
    fn wait(&self, most: Duration) {
        let Some(Ok(file)) = Pid::from_raw(self.pid).map(|pid| pidfd_open(pid, PidfdFlags::empty())) else {
            return;
        };
        if Self::read(self.pid).is_some_and(|now| now.started == self.started && !now.ended) {
            let timeout = Timespec { tv_sec: 0, tv_nsec: i64::from(most.subsec_nanos()) };
            // Whatever comes of it, all are looked at again.
            let _ = poll(&mut [PollFd::new(&file, PollFlags::IN)], Some(&timeout));
        }
    }
}

fn members(id: &InstanceId, program: Option<&Identity>) -> io::Result<Vec<Process>> {
    let marker = format!("{MARKER}={id}").into_bytes();
    let boot = boot()?;
    let own = std::process::id();
    let all = all()?;
    let program = program.filter(|program| {
        let is_another = |process: &Process| process.pid == program.pid && !program.is(process);
        program.pid().is_some() && program.boot == boot && !all.iter().any(is_another)
    });
    let candidates: Vec<Process> = all
        .into_iter()
        .filter(|process| !process.ended && process.pid > 1 && process.pid as u32 != own)
        .collect();
    let mut children: HashMap<i32, Vec<usize>> = HashMap::new();
    for (index, process) in candidates.iter().enumerate() {
        children.entry(process.parent).or_default().push(index);
    }
    let deadline = Instant::now() + BECOMING_OF_ALL;
    let is_root = |process: &Process| {
        program.is_some_and(|program| program.is(process) || program.leads(process))
            || process.carries(&marker, deadline)
    };
    let mut found = HashSet::new();
    let mut open: Vec<usize> = (0..candidates.len()).filter(|index| is_root(&candidates[*index])).collect();
    while let Some(index) = open.pop() {
        if found.insert(index) {
            open.extend(children.get(&candidates[index].pid).into_iter().flatten());
        }
    }
    Ok(found.into_iter().map(|index| candidates[index].clone()).collect())
}

fn all() -> io::Result<Vec<Process>> {
    let mut processes = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let pid = entry?.file_name().to_str().and_then(|name| name.parse().ok());
        processes.extend(pid.and_then(Process::read));
    }
    Ok(processes)
}

/// Whole groups get the signal, for that reaches also those that are made in the same moment. A group of the
/// sandbox has no others in it, since groups do not span sessions. That one has ended, or that another user has
/// it, is found at the next look.
fn signal(processes: &[Process], signal: Signal) {
    let own = getpgrp();
    let mut done = HashSet::new();
    for process in processes {
        let is_same = Process::read(process.pid).is_some_and(|now| now.started == process.started);
        let (Some(pid), Some(group)) = (Pid::from_raw(process.pid), Pid::from_raw(process.group)) else {
            continue;
        };
        if !is_same {
            continue;
        }
        if group == own || process.group <= 1 {
            let _ = kill_process(pid, signal);
        } else if done.insert(process.group) {
            let _ = kill_process_group(group, signal);
        }
    }
}

fn boot() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_a_program_does_not_deceive() {
        let stat = "7 (a) Z 1 1 1) S 5 6 4 0 -1 0 0 0 0 0 0 0 0 0 20 0 3 0 99 0 0";
        let process = Process::parse(7, stat).unwrap();
        assert_eq!((process.parent, process.group, process.session), (5, 6, 4));
        assert_eq!((process.has_lost_first, process.started, process.ended), (false, 99, false));
        let left = Process::parse(7, "7 (a) Z 5 6 4 0 -1 0 0 0 0 0 0 0 0 0 20 0 3 0 99 0 0").unwrap();
        assert_eq!((left.has_lost_first, left.ended), (true, false), "two of its threads live");
        for broken in ["", "7 (a", "7 (a) S 1", "7 (a) S x 6 4 0 -1 0 0 0 0 0 0 0 0 0 20 0 3 0 99"] {
            assert!(Process::parse(7, broken).is_none(), "{broken:?}");
        }
    }

    #[test]
    fn a_number_that_is_used_again_is_another_process() {
        let own = Identity::of(std::process::id()).unwrap();
        assert!(own.is_alive().unwrap());
        let earlier = Identity { started: own.started - 1, ..own.clone() };
        assert!(!earlier.is_alive().unwrap());
        let before_the_boot = Identity { boot: "another".to_owned(), ..own.clone() };
        assert!(!before_the_boot.is_alive().unwrap());
        // Nor is anything of it ended.
        let id: InstanceId = "ins_nobody".parse().unwrap();
        assert!(members(&id, Some(&earlier)).unwrap().is_empty());
        assert!(members(&id, Some(&before_the_boot)).unwrap().is_empty());
    }

    #[test]
    fn a_record_cannot_name_what_is_no_process() {
        for pid in [i32::MIN, -1, 0, 1] {
            assert!(Identity { pid, started: 0, boot: boot().unwrap() }.pid().is_none(), "{pid}");
        }
    }
}
