//! Commands in a container, for what the engine's archive calls cannot do: they are those of the image, which is
//! read-only, and run with the rights of the agent.

use std::time::Duration;

use bollard::{
    Docker,
    container::LogOutput,
    errors::Error,
    exec::{CreateExecOptions, StartExecOptions, StartExecResults},
};
use bytes::Bytes;
use futures::{StreamExt, stream, stream::BoxStream};
use tokio::time;

use super::{
    container,
    engine::{Engine, Failure, failed_command},
};
use crate::ports::SandboxError;

/// How often it is looked whether a command whose output has ended has ended, too.
const END: Duration = Duration::from_millis(10);
/// How it begins what is written in the place of a command that was not started: what the engine says in its output, and what
/// the engine's helper says in its errors when there is no room for a thread of its own.
const REFUSALS: [&[u8]; 3] = [
    b"OCI runtime exec failed",
    b"runtime/cgo: pthread_create failed",
    b"runtime: failed to create new OS thread",
];
/// Most of what a command writes to its standard error that is kept.
const ERRORS: usize = 1024;

/// Why a command did not do it.
#[derive(Debug)]
pub(super) enum CommandError {
    /// It was not started: whatever runs in the container may have taken all its processes.
    NotStarted(String),
    /// It failed.
    Failed(SandboxError),
}

impl From<CommandError> for SandboxError {
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::NotStarted(text) => Self::Failed(text),
            CommandError::Failed(error) => error,
        }
    }
}

impl From<Failure> for CommandError {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure.into())
    }
}

/// Whether what was written first may say that the command was not started. If so, it has not succeeded either.
pub(super) fn may_be_refusal(first: &[u8]) -> bool {
    REFUSALS.iter().any(|begin| first.starts_with(begin))
}

/// Runs a command and gives what it writes to `take`, until that wants no more.
///
/// # Errors
/// When it cannot be run, or fails; not when `take` wanted no more. Of one that was not started `take` has got nothing.
pub(super) async fn run(
    engine: &Engine,
    container: &str,
    doing: &str,
    command: &[&str],
    mut take: impl FnMut(&[u8]) -> bool,
) -> Result<(), CommandError> {
    let ended = engine.call(doing, |docker| async {
        let exec = docker.create_exec(container, options(command)).await?;
        let (mut errors, mut refusal, mut has_written) = (Vec::new(), None, false);
        if let StartExecResults::Attached { mut output, .. } =
            docker.start_exec(&exec.id, None::<StartExecOptions>).await?
        {
            while let Some(part) = output.next().await {
                let part = match part? {
                    LogOutput::StdErr { message } => {
                        errors.extend_from_slice(&message[..message.len().min(ERRORS - errors.len())]);
                        continue;
                    }
                    part => part.into_bytes(),
                };
                // Whatever comes after it shows that it was none.
                let before = refusal.take();
                if before.is_none() && !has_written && may_be_refusal(&part) {
                    refusal = Some(part);
                    continue;
                }
                has_written = true;
                if !before.into_iter().chain([part]).all(|part| take(&part)) {
                    return Ok(Ended { status: 0, errors, refusal: None });
                }
            }
        }
        let status = status(docker, &exec.id).await?;
        if status != 0 && refusal.is_none() && !has_written && may_be_refusal(&errors) {
            refusal = Some(Bytes::copy_from_slice(&errors));
        }
        Ok(Ended { status, errors, refusal })
    });
    let Ended { status, errors, refusal } = ended.await?;
    match refusal {
        Some(refusal) if status != 0 => return Err(not_started(&refusal)),
        Some(output) => {
            take(&output);
        }
        None => {}
    }
    if status == 0 {
        return Ok(());
    }
    let errors = String::from_utf8_lossy(&errors);
    if errors.contains("Permission denied") {
        let path = command.last().copied().unwrap_or_default();
        let path = path.trim_start_matches(container::WORKSPACE).trim_matches('/');
        return Err(CommandError::Failed(SandboxError::Denied(path.to_owned())));
    }
    Err(CommandError::Failed(failed_command(doing, &errors)))
}

/// How a command ended.
struct Ended {
    status: i64,
    errors: Vec<u8>,
    /// What looks as if the engine had not started it.
    refusal: Option<Bytes>,
}

/// What a command writes, as fast as it is taken. How it ended is not told.
///
/// # Errors
/// When it cannot be run.
pub(super) async fn output(
    engine: &Engine,
    container: &str,
    doing: &str,
    command: &[&str],
) -> Result<Output, CommandError> {
    let started = engine.call(doing, |docker| async move {
        let exec = docker.create_exec(container, options(command)).await?;
        let mut output = match docker.start_exec(&exec.id, None::<StartExecOptions>).await? {
            StartExecResults::Attached { output, .. } => output,
            StartExecResults::Detached => return Ok(Ok(stream::empty().boxed())),
        };
        let (mut errors, mut first) = (Vec::new(), None);
        while let Some(part) = output.next().await.transpose()? {
            match part {
                LogOutput::StdErr { message } => {
                    errors.extend_from_slice(&message[..message.len().min(ERRORS - errors.len())]);
                }
                part => {
                    first = Some(part.into_bytes());
                    break;
                }
            }
        }
        let refusal = match &first {
            // A command that writes so much that it does not end by itself has not been refused.
            Some(first) => (may_be_refusal(first) && first.len() < ERRORS).then(|| first.clone()),
            None => may_be_refusal(&errors).then(|| errors.into()),
        };
        if let Some(refusal) = refusal
            && status(docker, &exec.id).await? != 0
        {
            return Ok(Err(refusal));
        }
        let rest = output.filter_map(|part| async {
            match part {
                Ok(LogOutput::StdErr { .. }) => None,
                part => Some(part.map(LogOutput::into_bytes)),
            }
        });
        Ok(Ok(stream::iter(first.map(Ok)).chain(rest).boxed()))
    });
    started.await?.map_err(|refusal| not_started(&refusal))
}

/// What a command writes.
pub(super) type Output = BoxStream<'static, Result<Bytes, Error>>;

/// The status of a command whose output has ended, which can be before the engine has seen it end.
async fn status(docker: &Docker, exec: &str) -> Result<i64, Error> {
    loop {
        if let Some(status) = docker.inspect_exec(exec).await?.exit_code {
            return Ok(status);
        }
        time::sleep(END).await;
    }
}

fn not_started(refusal: &[u8]) -> CommandError {
    CommandError::NotStarted(String::from_utf8_lossy(refusal).trim_end().to_owned())
}

fn options(command: &[&str]) -> CreateExecOptions<String> {
    CreateExecOptions {
        cmd: Some(command.iter().map(|part| (*part).to_owned()).collect()),
        user: Some(container::user()),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_in_the_place_of_a_command_is_known() {
        for refusal in [
            "OCI runtime exec failed: exec failed: container_linux.go:380: starting container process caused: ...",
            "runtime/cgo: pthread_create failed: Resource temporarily unavailable\nSIGABRT: abort\n",
            "runtime: failed to create new OS thread (have 2 already; errno=11)\n",
        ] {
            assert!(may_be_refusal(refusal.as_bytes()), "{refusal}");
        }
        for other in
            ["", "OCI", "find: OCI runtime exec failed", "cat: runtime: failed to create new OS thread"]
        {
            assert!(!may_be_refusal(other.as_bytes()), "{other}");
        }
    }
}
