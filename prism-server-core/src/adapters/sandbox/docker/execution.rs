//! Programs that are executed in the container of a command, beside it.

use std::{pin::Pin, sync::Arc, time::Duration};

use bollard::{
    container::LogOutput,
    errors::Error,
    exec::{CreateExecOptions, StartExecOptions, StartExecResults},
};
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use tokio::{
    io::{AsyncWrite, AsyncWriteExt as _},
    time::{Instant, sleep, timeout, timeout_at},
};
use tokio_util::task::AbortOnDropHandle;

use super::{
    super::bundle,
    command::may_be_refusal,
    container,
    engine::{Engine, Failure},
};
use crate::ports::{Executed, Execution, Exit, Input, OutputStream, SandboxError};

/// How long it is waited for output until it is looked whether the program has ended, which what it left in the background
/// can hide: at first, and at most.
const LOOKS: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// How often it is looked whether a program is over that says of itself that it was not started.
const REFUSED: usize = 20;

/// Executes a program, and takes its input; `None`: the container is held.
pub(super) async fn execute(
    engine: &Arc<Engine>,
    container: &str,
    execution: &mut Execution,
) -> Result<Option<BoxStream<'static, Result<Executed, SandboxError>>>, SandboxError> {
    let variables = execution.environment.iter().map(|(name, value)| format!("{name}={value}"));
    let options = CreateExecOptions {
        cmd: Some(bundle::executor(execution, container::WORKSPACE)?),
        env: Some(variables.collect()),
        user: Some(container::user()),
        working_dir: Some("/".to_owned()),
        attach_stdin: Some(execution.input.is_some()),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        ..Default::default()
    };
    let started = engine.call("execute a program", |docker| async move {
        let exec = docker.create_exec(container, options).await?;
        let attached = docker.start_exec(&exec.id, None::<StartExecOptions>).await?;
        Ok((exec.id, attached))
    });
    match started.await {
        Ok((id, StartExecResults::Attached { output, input: pipe })) => {
            let given = execution.input.take().map(|input| tokio::spawn(give(input, pipe)));
            Ok(Some(
                Running::new(engine.clone(), id, output.boxed(), given.map(AbortOnDropHandle::new)).events(),
            ))
        }
        Ok((id, StartExecResults::Detached)) => {
            Ok(Some(Running::new(engine.clone(), id, stream::empty().boxed(), None).events()))
        }
        Err(Failure::Conflict(text)) if text.contains("paused") => Ok(None),
        Err(Failure::Conflict(_) | Failure::Missing(_)) => Err(SandboxError::Gone),
        Err(failure) => Err(failure.into()),
    }
}

/// A program that runs, as far as it is known.
struct Running {
    engine: Arc<Engine>,
    id: String,
    output: BoxStream<'static, Result<LogOutput, Error>>,
    /// How long from one look whether it has ended to the next, and when that is.
    look: Duration,
    next_look: Instant,
    /// For how long it is waited for what it wrote, once it has ended.
    last_words: Duration,
    has_written: bool,
    /// Gives it its input.
    _given: Option<AbortOnDropHandle<()>>,
}

impl Running {
    fn new(
        engine: Arc<Engine>,
        id: String,
        output: BoxStream<'static, Result<LogOutput, Error>>,
        given: Option<AbortOnDropHandle<()>>,
    ) -> Self {
        let (look, next_look) = (LOOKS.0, Instant::now() + LOOKS.0);
        let last_words = bundle::LAST_WORDS.1;
        Self { engine, id, output, look, next_look, last_words, has_written: false, _given: given }
    }

    fn events(self) -> BoxStream<'static, Result<Executed, SandboxError>> {
        let next = |running: Option<(Self, Option<Exit>)>| async move {
            let (mut running, ended) = running?;
            match ended {
                None => match running.next().await {
                    Ok((Some(event), ended)) => Some((Ok(event), Some((running, ended)))),
                    Ok((None, ended)) => Some((Ok(Executed::Ended(ended.unwrap_or(Exit::Unknown))), None)),
                    Err(error) => Some((Err(error), None)),
                },
                Some(exit) => match running.last_words().await {
                    Some(event) => Some((Ok(event), Some((running, Some(exit))))),
                    None => Some((Ok(Executed::Ended(exit)), None)),
                },
            }
        };
        stream::unfold(Some((self, None)), next).boxed()
    }

    /// What it writes next, or nothing more; and how it has ended, when that is known.
    async fn next(&mut self) -> Result<(Option<Executed>, Option<Exit>), SandboxError> {
        loop {
            // Also while something is written all the time, which need not be by it.
            if self.next_look <= Instant::now() {
                self.look = (self.look * 2).min(LOOKS.1);
                self.next_look = Instant::now() + self.look;
                if let Some(exit) = self.status().await? {
                    return Ok((self.last_words().await, Some(exit)));
                }
            }
            match timeout_at(self.next_look, self.output.next()).await {
                Ok(Some(part)) => {
                    let part = part.map_err(|error| self.engine.failure("execute a program", error))?;
                    if let Some(event) = wrote(part) {
                        self.check_started(&event).await?;
                        return Ok((Some(event), None));
                    }
                }
                Ok(None) => {
                    while self.status().await?.is_none() {
                        sleep(LOOKS.0).await;
                    }
                    return Ok((None, self.status().await?));
                }
                Err(_) => {}
            }
        }
    }

    /// What a program that has ended has written and was not told.
    async fn last_words(&mut self) -> Option<Executed> {
        while !self.last_words.is_zero() {
            // Whoever takes it slowly gets it all the same.
            let asked = Instant::now();
            let part = timeout(bundle::LAST_WORDS.0.min(self.last_words), self.output.next()).await;
            self.last_words = self.last_words.saturating_sub(asked.elapsed());
            match part {
                Ok(Some(Ok(part))) => {
                    if let Some(event) = wrote(part) {
                        return Some(event);
                    }
                }
                _ => return None,
            }
        }
        None
    }

    /// Where the program would write first, it is said that it could not be started.
    async fn check_started(&mut self, event: &Executed) -> Result<(), SandboxError> {
        let Executed::Wrote(_, text) = event else { return Ok(()) };
        if std::mem::replace(&mut self.has_written, true) || !may_be_refusal(text) {
            return Ok(());
        }
        // One that was not started is over soon.
        let mut exit = self.status().await?;
        for _ in 0..REFUSED {
            if exit.is_some() {
                break;
            }
            sleep(LOOKS.0).await;
            exit = self.status().await?;
        }
        if exit.is_some_and(|exit| exit != Exit::Code(0)) {
            let text = "the sandbox starts no more programs: it may have as many processes as it can have";
            return Err(SandboxError::Limit(text.to_owned()));
        }
        Ok(())
    }

    async fn status(&mut self) -> Result<Option<Exit>, SandboxError> {
        let asked = self.engine.call("look at a program", |docker| docker.inspect_exec(&self.id)).await;
        match asked {
            Ok(found) if found.running == Some(true) => Ok(None),
            Ok(found) => {
                Ok(found.exit_code.map(|code| i32::try_from(code).map_or(Exit::Unknown, Exit::Code)))
            }
            Err(Failure::Missing(_)) => Ok(Some(Exit::Unknown)),
            Err(failure) => Err(failure.into()),
        }
    }
}

/// Gives a program its input, as far as it reads it.
async fn give(mut input: Input, mut pipe: Pin<Box<dyn AsyncWrite + Send>>) {
    while let Some(bytes) = input.next().await {
        let written = async {
            pipe.write_all(&bytes).await?;
            pipe.flush().await
        };
        if written.await.is_err() {
            return;
        }
    }
    // Its output is read on all the same.
    pipe.shutdown().await.ok();
}

fn wrote(part: LogOutput) -> Option<Executed> {
    let (stream, bytes) = match part {
        LogOutput::StdOut { message } => (OutputStream::Out, message),
        LogOutput::StdErr { message } => (OutputStream::Error, message),
        LogOutput::StdIn { .. } | LogOutput::Console { .. } => return None,
    };
    (!bytes.is_empty()).then_some(Executed::Wrote(stream, bytes))
}
