//! Processes in the background of machines.
//!
//! What is known of them is in the machine itself, in files below its `TMPDIR`: so they go on, and are known, when the
//! server is restarted, and they take nothing of its memory. What runs in a machine can change these files, and deceives
//! its owner alone.

use std::time::Duration;

use futures::{StreamExt as _, stream};
use prism_types::InstanceId;

use super::{
    executions::{Finished, NewExecution, admitted, execute, prepared, run, run_prepared},
    running,
};
use crate::{
    core::Core,
    domain::{limits, machine::Machine, tenant::Principal},
    error::{Error, ErrorKind, Result},
    service::{author::Author, programs::environments::Environment},
};

/// How long our own programs may take.
const TIME: Duration = Duration::from_secs(20);
/// What they answer when there is no such process.
pub(super) const MISSING: i32 = 3;

/// Runs a program in a session and a process group of its own, whose number is its own: it says what there is of it.
pub(super) const SESSION: &str = include_str!("scripts/session.sh");
/// Starts a session in the background, and tells its number.
const START: &str = include_str!("scripts/start.sh");
/// Gives a session its input.
const WRITE: &str = include_str!("scripts/write.sh");
/// What this answers when the process has ended, and when it does not read.
const ENDED: i32 = 4;
const DEAF: i32 = 5;

/// Tells of each process its number, whether it runs, and its command.
const LIST: &str = r#"cd "$TMPDIR/.processes" 2>/dev/null || exit 0
for d in *; do
    [ -e "$d/ready" ] || continue
    runs=yes
    { [ ! -e "$d/exit" ] && kill -0 "$d" 2>/dev/null; } || runs=no
    printf '%s %s %s\n' "$d" "$runs" "$(head -c 4096 "$d/command" | tr '\n' ' ')"
done"#;

/// Kills a process with its group, and waits two seconds at most until that is gone.
const KILL: &str = r#"d="$TMPDIR/.processes/$1"
[ -e "$d/ready" ] || exit 3
[ -e "$d/exit" ] && exit
kill -s KILL -- "-$1" 2>/dev/null; echo 137 >"$d/exit"
i=0; while [ "$i" -lt 100 ] && kill -s 0 -- "-$1" 2>/dev/null; do i=$((i + 1)); sleep 0.02; done"#;

/// Tells how a process ended, in a line, or `-`, and what it wrote last.
const LOGS: &str = r#"d="$TMPDIR/.processes/$1"
[ -e "$d/ready" ] || exit 3
if [ -s "$d/exit" ]; then cat "$d/exit"; else echo -; fi
told() { n="$(cat "$1.n" 2>/dev/null)"; cat "$1.$((n - 1))" "$1.$n" 2>/dev/null | tail -c "$2"; }
told "$d/out" "$2"; told "$d/err" "$2" >&2"#;

/// A process in the background.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    pub(crate) command: String,
    pub(crate) is_running: bool,
}

/// What a process in the background has written last, and how it ended.
pub(crate) struct Logs {
    pub(crate) out: Vec<u8>,
    pub(crate) errors: Vec<u8>,
    pub(crate) code: Option<i32>,
}

/// Starts a program in the background; its number.
pub(crate) async fn start(core: &Core, author: &Author, id: &InstanceId, new: NewExecution) -> Result<u32> {
    let mut arguments = script(START, &[]);
    arguments.extend(session(0, new.arguments));
    let started = execute(core, author, id, NewExecution { arguments, time: TIME, ..new }).await?;
    let pid = String::from_utf8_lossy(&started.out).trim().parse();
    pid.map_err(|_| failed("start a process", &started))
}

/// The processes that were started in the background and are still known.
pub(crate) async fn list(core: &Core, principal: &Principal, id: &InstanceId) -> Result<Vec<Process>> {
    let machine = running(core, principal, id).await?;
    let told = ours(core, &machine, script(LIST, &[])).await?;
    Ok(String::from_utf8_lossy(&told.out).lines().filter_map(process).collect())
}

/// Kills a process in the background.
pub(crate) async fn kill(core: &Core, author: &Author, id: &InstanceId, pid: u32) -> Result<()> {
    // Some numbers are no process's, but name many of them.
    if pid <= 1 {
        return Err(Error::not_found("Process"));
    }
    let arguments = script(KILL, &[&pid.to_string()]);
    let killed = execute(core, author, id, execution(arguments)).await?;
    found("kill a process", killed).map(drop)
}

/// Gives a process in the background its input, as soon as it reads it.
pub(crate) async fn write(
    core: &Core,
    author: &Author,
    id: &InstanceId,
    pid: u32,
    input: Vec<u8>,
) -> Result<()> {
    let machine = admitted(core, author, id).await?;
    let arguments = script(WRITE, &[&pid.to_string(), &limits::PROCESS_PATIENCE.as_secs().to_string()]);
    let mut execution = prepared(&machine, execution(arguments));
    execution.time = 2 * limits::PROCESS_PATIENCE + TIME;
    execution.input = Some(stream::once(async { input.into() }).boxed());
    let written = run_prepared(core, &machine, execution).await?;
    match written.code {
        ENDED => {
            let message = "The process has ended: it takes no input any more.";
            Err(Error::new(ErrorKind::InvalidState, message))
        }
        DEAF => {
            let message = format!(
                "The process did not read its input within {} s. It may have taken a part of it.",
                limits::PROCESS_PATIENCE.as_secs()
            );
            Err(Error::new(ErrorKind::TooSlow, message))
        }
        _ => found("write to a process", written).map(drop),
    }
}

/// What a process in the background wrote last.
pub(crate) async fn logs(core: &Core, principal: &Principal, id: &InstanceId, pid: u32) -> Result<Logs> {
    let machine = running(core, principal, id).await?;
    let most = limits::BACKGROUND_OUTPUT.to_string();
    let told =
        found("read a process", ours(core, &machine, script(LOGS, &[&pid.to_string(), &most])).await?)?;
    let end = told.out.iter().position(|byte| *byte == b'\n').unwrap_or(told.out.len());
    let (exit, out) = told.out.split_at(end);
    let code = std::str::from_utf8(exit).ok().and_then(|code| code.parse().ok());
    Ok(Logs { out: out.get(1..).unwrap_or_default().to_vec(), errors: told.errors, code })
}

fn process(line: &str) -> Option<Process> {
    let mut parts = line.splitn(3, ' ');
    let (pid, runs, command) = (parts.next()?.parse().ok()?, parts.next()?, parts.next()?);
    Some(Process { pid, command: command.trim_end().to_owned(), is_running: runs == "yes" })
}

/// Executes a program of ours in a machine that runs.
pub(super) async fn ours(core: &Core, machine: &Machine, arguments: Vec<String>) -> Result<Finished> {
    run(core, machine, execution(arguments)).await
}

pub(super) fn execution(arguments: Vec<String>) -> NewExecution {
    let directory = Some(super::executions::Place::Root);
    NewExecution { arguments, directory, environment: Environment::default(), time: TIME }
}

/// What starts a session, after its own arguments: of a program that may take so many seconds, or as long as it likes (0).
pub(super) fn session(seconds: u64, program: Vec<String>) -> impl Iterator<Item = String> {
    let (time, part) = (seconds.to_string(), limits::BACKGROUND_OUTPUT.to_string());
    [SESSION.to_owned(), "sh".to_owned(), time, part].into_iter().chain(program)
}

pub(super) fn script(text: &str, arguments: &[&str]) -> Vec<String> {
    ["sh", "-c", text, "sh"].iter().chain(arguments).map(|part| (*part).to_owned()).collect()
}

fn found(what: &str, finished: Finished) -> Result<Finished> {
    match finished.code {
        0 => Ok(finished),
        MISSING => Err(Error::not_found("Process")),
        _ => Err(failed(what, &finished)),
    }
}

pub(super) fn failed(what: &str, finished: &Finished) -> Error {
    let errors = String::from_utf8_lossy(&finished.errors);
    Error::internal(format_args!("{what}: status {}: {}", finished.code, errors.trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_of_a_process_and_others_of_none() {
        let server = Process { pid: 12, command: "python3 -m x".to_owned(), is_running: true };
        assert_eq!(process("12 yes python3 -m x "), Some(server));
        assert_eq!(process("7 no "), Some(Process { pid: 7, command: String::new(), is_running: false }));
        for line in ["", "x yes y", "1", "-3 yes x"] {
            assert_eq!(process(line), None, "{line:?}");
        }
    }
}
