//! Commands in a container, for what the engine's archive calls cannot do: they are those of the image, which is
//! read-only, and run with the rights of the agent.

use bollard::{
    container::LogOutput,
    errors::Error,
    exec::{CreateExecOptions, StartExecOptions, StartExecResults},
};
use bytes::Bytes;
use futures::{StreamExt, stream::BoxStream};

use super::{container, engine::Engine};
use crate::ports::SandboxError;

/// Most of what a command writes to its standard error that is kept.
const ERRORS: usize = 1024;

/// Runs a command and gives what it writes to `take`, until that wants no more.
///
/// # Errors
/// When it cannot be run, or fails; not when `take` wanted no more.
pub(super) async fn run(
    engine: &Engine,
    container: &str,
    doing: &str,
    command: &[&str],
    mut take: impl FnMut(&[u8]) -> bool,
) -> Result<(), SandboxError> {
    let (status, errors) = engine
        .call(doing, |docker| async move {
            let exec = docker.create_exec(container, options(command)).await?;
            let mut errors = Vec::new();
            if let StartExecResults::Attached { mut output, .. } =
                docker.start_exec(&exec.id, None::<StartExecOptions>).await?
            {
                while let Some(part) = output.next().await {
                    match part? {
                        LogOutput::StdErr { message } => {
                            errors.extend_from_slice(&message[..message.len().min(ERRORS - errors.len())]);
                        }
                        part => {
                            if !take(&part.into_bytes()) {
                                return Ok((Some(0), errors));
                            }
                        }
                    }
                }
            }
            Ok((docker.inspect_exec(&exec.id).await?.exit_code, errors))
        })
        .await?;
    if status == Some(0) {
        return Ok(());
    }
    let errors = String::from_utf8_lossy(&errors);
    if errors.contains("No space left on device") || errors.contains("Disk quota exceeded") {
        return Err(SandboxError::NoRoom);
    }
    if errors.contains("Permission denied") {
        let path = command.last().copied().unwrap_or_default();
        return Err(SandboxError::Denied(
            path.trim_start_matches(container::WORKSPACE).trim_matches('/').to_owned(),
        ));
    }
    Err(SandboxError::Failed(format!("{doing}: {}", errors.trim_end())))
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
) -> Result<BoxStream<'static, Result<Bytes, Error>>, SandboxError> {
    let started = engine.call(doing, |docker| async move {
        let exec = docker.create_exec(container, options(command)).await?;
        docker.start_exec(&exec.id, None::<StartExecOptions>).await
    });
    match started.await? {
        StartExecResults::Attached { output, .. } => {
            let content = output.filter_map(|part| async {
                match part {
                    Ok(LogOutput::StdErr { .. }) => None,
                    part => Some(part.map(LogOutput::into_bytes)),
                }
            });
            Ok(content.boxed())
        }
        StartExecResults::Detached => Err(SandboxError::Failed(format!("{doing}: nothing is told"))),
    }
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
