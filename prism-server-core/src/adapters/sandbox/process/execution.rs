//! Programs that are executed beside a command, in its folder.

use std::{
    ffi::{OsStr, OsString},
    os::{fd::AsRawFd, unix::ffi::OsStrExt},
    process::Stdio,
    time::Duration,
};

use bytes::Bytes;
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use tokio::{
    io::AsyncWriteExt as _,
    process::{Child, ChildStdin, Command},
    time::{Instant, timeout},
};
use tokio_util::{io::ReaderStream, task::AbortOnDropHandle};

use super::{super::bundle, Settings, failed, folder::Folder, launch::tool};
use crate::ports::{Executed, Execution, Exit, Input, OutputStream, SandboxError};

/// A program that can be executed.
pub(super) struct Prepared {
    command: Command,
    input: Option<Input>,
    /// Where it is executed, open until then.
    _workspace: std::os::fd::OwnedFd,
}

impl Prepared {
    /// Looks for all that the program needs. Waits for files.
    pub(super) fn new(
        settings: &Settings,
        folder: &Folder,
        mut execution: Execution,
    ) -> Result<Self, SandboxError> {
        let environment = environment_of_command(folder)?;
        let workspace = folder.open_workspace()?.ok_or(SandboxError::Gone)?;
        let mut command = Command::new(tool("setsid")?);
        command.arg(tool("prlimit")?).args(settings.limits.arguments()).arg("--");
        command.args(bundle::executor(&execution, ".")?);
        command.env_clear().envs(environment).envs(&execution.environment);
        let input = execution.input.take();
        command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        // The child is still this program when it enters the directory, and has its open files.
        command.current_dir(format!("/proc/self/fd/{}", workspace.as_raw_fd()));
        Ok(Self { command, input, _workspace: workspace })
    }

    /// Executes it.
    pub(super) fn start(
        mut self,
    ) -> Result<BoxStream<'static, Result<Executed, SandboxError>>, SandboxError> {
        let mut child =
            self.command.spawn().map_err(|error| failed("a program cannot be executed", error))?;
        let out = child.stdout.take().map(|pipe| told(OutputStream::Out, pipe));
        let error = child.stderr.take().map(|pipe| told(OutputStream::Error, pipe));
        let output = stream::select_all([out, error].into_iter().flatten()).boxed();
        let given = child.stdin.take().zip(self.input);
        let given = given.map(|(pipe, input)| AbortOnDropHandle::new(tokio::spawn(give(input, pipe))));
        let next = |running: Option<Running>| async move {
            let mut running = running?;
            Some(match running.next().await {
                Ok(end @ Executed::Ended(_)) => (Ok(end), None),
                Ok(event) => (Ok(event), Some(running)),
                Err(error) => (Err(error), None),
            })
        };
        Ok(stream::unfold(Some(Running { child, output, ended: None, _given: given }), next).boxed())
    }
}

/// A program that runs, as far as it is known.
struct Running {
    child: Child,
    output: BoxStream<'static, std::io::Result<Executed>>,
    /// How it has ended, and for how long it is waited for what it wrote after that.
    ended: Option<(Exit, Duration)>,
    /// Gives it its input.
    _given: Option<AbortOnDropHandle<()>>,
}

impl Running {
    async fn next(&mut self) -> Result<Executed, SandboxError> {
        let lost = |error| failed("an executed program is lost", error);
        let (exit, left) = match &mut self.ended {
            Some(ended) => ended,
            None => tokio::select! {
                // In no order: something can be written all the time, which need not be by it.
                Some(event) = self.output.next() => return event.map_err(lost),
                status = self.child.wait() => {
                    self.ended.insert((exit(status.map_err(lost)?), bundle::LAST_WORDS.1))
                }
            },
        };
        // Whoever takes it slowly gets it all the same.
        let asked = Instant::now();
        let event = timeout(bundle::LAST_WORDS.0.min(*left), self.output.next()).await;
        *left = left.saturating_sub(asked.elapsed());
        match event {
            Ok(Some(event)) if !left.is_zero() => event.map_err(lost),
            _ => Ok(Executed::Ended(*exit)),
        }
    }
}

/// Gives a program its input, as far as it reads it.
async fn give(mut input: Input, mut pipe: ChildStdin) {
    while let Some(bytes) = input.next().await {
        if pipe.write_all(&bytes).await.is_err() {
            return;
        }
    }
}

fn told(
    stream: OutputStream,
    pipe: impl tokio::io::AsyncRead + Send + Unpin + 'static,
) -> BoxStream<'static, std::io::Result<Executed>> {
    ReaderStream::new(pipe).map(move |read| read.map(|bytes: Bytes| Executed::Wrote(stream, bytes))).boxed()
}

fn exit(status: std::process::ExitStatus) -> Exit {
    let signal = std::os::unix::process::ExitStatusExt::signal(&status).map(|signal| 128 + signal);
    status.code().or(signal).map_or(Exit::Unknown, Exit::Code)
}

/// What the command of a folder has in its environment, which nobody else keeps. Waits for the process.
fn environment_of_command(folder: &Folder) -> Result<Vec<(OsString, OsString)>, SandboxError> {
    let command = folder.living()?.filter(|record| record.command.is_some());
    let program = command.and_then(|record| record.program).ok_or(SandboxError::Gone)?;
    let environment =
        program.environment().map_err(|error| failed("its program cannot be looked for", error))?;
    let environment = environment.ok_or(SandboxError::Gone)?;
    let variables = environment.split(|byte| *byte == 0).filter_map(|variable| {
        let at = variable.iter().position(|byte| *byte == b'=')?;
        let text = |bytes: &[u8]| OsStr::from_bytes(bytes).to_owned();
        Some((text(&variable[..at]), text(&variable[at + 1..])))
    });
    Ok(variables.collect())
}
