//! Programs that are executed in machines, while somebody waits for their end.

use std::time::Duration;

use futures::StreamExt;
use prism_types::InstanceId;
use tokio::sync::OwnedSemaphorePermit;

use super::{hosting, refused, running, sandboxes};
use crate::{
    core::Core,
    domain::{audit::Subject, limits, machine::Machine, workspace::WorkspacePath},
    error::{Error, ErrorKind, Result},
    ports::{Commit, Executed, Execution, Exit, OutputStream},
    service::{author::Author, programs::environments::Environment},
};

/// What a program that its time has ended has for a status: of `timeout`, or of the signal that nobody survives.
const TIMED_OUT: [i32; 2] = [124, 137];
/// In which pieces memory is taken for what programs write, in bytes, and how many of them there are for all.
const PIECE: usize = 64 * 1024;
pub(super) const PIECES: usize = limits::EXECUTION_MEMORY / PIECE;

/// A program to execute; every part was checked by itself. Its arguments may have secrets.
pub(crate) struct NewExecution {
    /// The program and its arguments.
    pub(crate) arguments: Vec<String>,
    /// Where; `None`: where the machine says.
    pub(crate) directory: Option<Place>,
    pub(crate) environment: Environment,
    pub(crate) time: Duration,
}

/// A directory of the workspace.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    Root,
    Below(WorkspacePath),
}

/// What came of a program.
#[derive(Default)]
pub(crate) struct Finished {
    pub(crate) code: i32,
    pub(crate) out: Vec<u8>,
    pub(crate) errors: Vec<u8>,
    /// The memory that it takes, in pieces.
    room: Vec<OwnedSemaphorePermit>,
}

impl Finished {
    /// What came of one that has only failed.
    pub(super) fn of(code: i32, errors: Vec<u8>) -> Self {
        Self { code, errors, ..Self::default() }
    }

    fn take(&mut self, core: &Core, stream: OutputStream, bytes: &[u8]) -> Result<()> {
        let length = self.out.len() + self.errors.len() + bytes.len();
        if length > limits::EXECUTION_OUTPUT {
            return Err(too_much());
        }
        while self.room.len() * PIECE < length {
            let room = core.machines.room.clone().try_acquire_owned().map_err(|_| no_room())?;
            self.room.push(room);
        }
        match stream {
            OutputStream::Out => self.out.extend_from_slice(bytes),
            OutputStream::Error => self.errors.extend_from_slice(bytes),
        }
        Ok(())
    }
}

/// Executes a program to its end.
pub(crate) async fn execute(
    core: &Core,
    author: &Author,
    id: &InstanceId,
    new: NewExecution,
) -> Result<Finished> {
    let machine = admitted(core, author, id).await?;
    run(core, &machine, new).await
}

/// A machine that runs, in which somebody is about to execute something: it is written down before.
pub(super) async fn admitted(core: &Core, author: &Author, id: &InstanceId) -> Result<Machine> {
    let machine = running(core, &author.principal, id).await?;
    let entry = Commit::new().with(author.entry(core, Subject::of_tenant(id)));
    core.store.commit(entry).await?;
    Ok(machine)
}

/// What a machine is told to execute.
pub(super) fn prepared(machine: &Machine, new: NewExecution) -> Execution {
    let mut execution = Execution::new(new.arguments, new.time);
    execution.environment = new.environment.expose();
    execution.directory = match new.directory {
        Some(Place::Root) => None,
        Some(Place::Below(path)) => Some(path),
        None => machine.model.directory.as_deref().and_then(|path| path.parse().ok()),
    };
    execution
}

/// Executes a program of a user's or of ours in a machine that runs.
pub(super) async fn run(core: &Core, machine: &Machine, new: NewExecution) -> Result<Finished> {
    run_prepared(core, machine, prepared(machine, new)).await
}

pub(super) async fn run_prepared(core: &Core, machine: &Machine, execution: Execution) -> Result<Finished> {
    let (id, time) = (&machine.id, execution.time);
    let _turn = core.file_desks.transfer_in(machine)?;
    let sandboxes = sandboxes(core, &machine.model)?;
    let begun = tokio::time::Instant::now();
    let followed = async {
        let mut events = hosting(sandboxes.as_ref())?
            .execute(id, execution)
            .await
            .map_err(|error| refused(core, id, error))?;
        let mut finished = Finished::default();
        while let Some(event) = events.next().await {
            match event.map_err(|error| refused(core, id, error))? {
                Executed::Wrote(stream, bytes) => finished.take(core, stream, &bytes)?,
                Executed::Ended(Exit::Code(code)) => {
                    finished.code = code;
                    return Ok(finished);
                }
                Executed::Ended(Exit::Unknown) => break,
            }
        }
        Err(lost())
    };
    let stopped = || Error::new(ErrorKind::Unavailable, "The server is stopping; the program goes on.");
    let finished = core.shutdown.run_until_cancelled(followed).await.ok_or_else(stopped)??;
    in_time(begun, time, finished.code)?;
    Ok(finished)
}

/// Refuses the status of a program that its time has ended.
pub(super) fn in_time(begun: tokio::time::Instant, time: Duration, code: i32) -> Result<()> {
    if begun.elapsed() < time || !TIMED_OUT.contains(&code) {
        return Ok(());
    }
    let message = format!(
        "The program was ended, because it took longer than {} s. Give it more time (`timeout_secs`), or run it in the \
         background.",
        time.as_secs()
    );
    Err(Error::new(ErrorKind::TooSlow, message))
}

/// Nobody knows how a program ended.
pub(super) fn lost() -> Error {
    Error::new(ErrorKind::NotReady, "How the program ended is not known: the sandbox ended with it.")
}

fn no_room() -> Error {
    let message = "The server holds as much output of programs as it may, and the program goes on until its time is over. \
                   Try again, or let it write to a file.";
    Error::new(ErrorKind::Unavailable, message).retry_after(Duration::from_secs(1))
}

fn too_much() -> Error {
    let message = format!(
        "The program writes more than {} bytes, and goes on until its time is over. Let it write to a file, and read that.",
        limits::EXECUTION_OUTPUT
    );
    Error::new(ErrorKind::TooLarge, message)
}
