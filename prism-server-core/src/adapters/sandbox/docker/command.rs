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
/// How the engine begins what it writes in the place of a command that it could not start.
pub(super) const REFUSAL: &[u8] = b"OCI runtime exec failed";
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
        let (mut errors, mut refusal) = (Vec::new(), None);
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
                if before.is_none() && part.starts_with(REFUSAL) {
                    refusal = Some(part);
                } else if !before.into_iter().chain([part]).all(|part| take(&part)) {
                    return Ok(Ended { status: 0, errors, refusal: None });
                }
            }
        }
        Ok(Ended { status: status(docker, &exec.id).await?, errors, refusal })
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
            StartExecResults::Attached { output, .. } => output
                .filter_map(|part| async {
                    match part {
                        Ok(LogOutput::StdErr { .. }) => None,
                        part => Some(part.map(LogOutput::into_bytes)),
                    }
                })
                .boxed(),
            StartExecResults::Detached => stream::empty().boxed(),
        };
        match output.next().await.transpose()? {
            // A command that writes so much that it does not end by itself has not been refused.
            Some(first) if first.starts_with(REFUSAL) && first.len() < ERRORS => {
                match status(docker, &exec.id).await? {
                    0 => Ok(Ok(stream::iter([Ok(first)]).chain(output).boxed())),
                    _ => Ok(Err(first)),
                }
            }
            first => Ok(Ok(stream::iter(first.map(Ok)).chain(output).boxed())),
        }
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
