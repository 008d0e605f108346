//! Hosting: sandboxes that run what users bring along.
//!
//! Such a sandbox is one of [`Sandbox`](super::Sandbox): it has the same workspace and home, and is copied, removed and
//! listed by the same calls. Only what runs in it is not a program of a harness but a *command*: a line for the shell,
//! with the files of its workspace. Commands follow each other in a sandbox, one at a time, such as an installation and
//! then a service; the workspace stays. Beside a command that runs, programs can be [executed](Hosting::execute), any number
//! at a time. What is hosted is hostile.
//!
//! | variable | what a command finds there |
//! |---|---|
//! | `PRISM_WORKSPACE` | the workspace |
//! | `HOME` | a directory in the workspace, so that what is installed there is copied with it |
//! | `PATH`, `LANG`, `TMPDIR` | the sandbox's own |
//!
//! # Starting once
//! A start has a token. A sandbox remembers the token of its last command, also when that has ended, and starting it again
//! with the same token does nothing. So whoever is not sure whether a command was started starts it again.

use std::{collections::BTreeMap, fs::File, time::Duration};

use bytes::Bytes;
use futures::stream::BoxStream;
use prism_types::{DeploymentId, InstanceId, Timestamp};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{BoxFuture, SandboxError};
use crate::domain::workspace::WorkspacePath;

/// Runs commands of users in sandboxes of one kind.
pub trait Hosting: Send + Sync + 'static {
    /// Makes the workspace of a sandbox, in which nothing runs and which need not be there, what is in an archive: an
    /// uncompressed tar that was checked, with files, directories and symbolic links. What it had before is gone. What
    /// was cut off is unpacked again from its start. The last command of the sandbox is forgotten, with its output.
    ///
    /// # Errors
    /// When it was not unpacked as a whole, or something runs there.
    fn unpack<'a>(
        &'a self,
        deployment: &'a DeploymentId,
        id: &'a InstanceId,
        archive: File,
    ) -> BoxFuture<'a, Result<(), SandboxError>>;

    /// Starts a command, unless the last one of the sandbox has the same token. Another one is ended before. The sandbox
    /// is made when it is not there; its workspace and its home stay.
    ///
    /// # Errors
    /// When it cannot be started.
    fn start(&self, command: Command) -> BoxFuture<'_, Result<(), SandboxError>>;

    /// How the last command of a sandbox stands; `None`: there was none, or it is not remembered. A command has ended when its
    /// line has; what that left in the background is ended with it.
    ///
    /// # Errors
    /// When that cannot be found out.
    fn status<'a>(&'a self, id: &'a InstanceId)
    -> BoxFuture<'a, Result<Option<CommandStatus>, SandboxError>>;

    /// What the command of a token writes, line by line, from its beginning or after a place. The stream ends when the
    /// command has ended and all of it was told, or when there is no such command any more. What nobody took in time may be
    /// lost, oldest first: at least the last mebibyte is kept.
    ///
    /// # Errors
    /// When it cannot be read, or the place is none.
    fn output<'a>(
        &'a self,
        id: &'a InstanceId,
        token: &'a str,
        after: Option<&'a str>,
    ) -> BoxFuture<'a, Result<BoxStream<'static, Result<OutputLine, SandboxError>>, SandboxError>>;

    /// Asks the command and what it started to end (`SIGTERM` to its process group) and ends it, with all that it started, after the grace; returns when nothing of
    /// it runs any more. The sandbox stays, with the status (137 where the grace was over) and the output. Nobody is told that
    /// it died. Where nothing runs it does nothing.
    ///
    /// # Errors
    /// When something of it may still run.
    fn stop<'a>(&'a self, id: &'a InstanceId, grace: Duration) -> BoxFuture<'a, Result<(), SandboxError>>;

    /// Executes a program beside the command of a sandbox, with that one's environment and its own. What it writes is told
    /// as it comes, and its end last; what it leaves in the background lives on until the command ends. After its time it
    /// is asked to end, and a second later ended, with its process group: its status is then 124, or 137. Whoever takes what
    /// it writes slowly slows it down. A stream that is dropped leaves the program to its time, and ends its input.
    ///
    /// # Errors
    /// [`SandboxError::Gone`] when no command runs there; others when it cannot be executed. A program or a directory that
    /// is not there is no error, but a status and a text of the shell's.
    fn execute<'a>(
        &'a self,
        id: &'a InstanceId,
        execution: Execution,
    ) -> BoxFuture<'a, Result<BoxStream<'static, Result<Executed, SandboxError>>, SandboxError>>;

    /// Makes the workspace of a sandbox in which nothing runs a copy of another's, as
    /// [`Sandbox::copy_workspace`](super::Sandbox::copy_workspace) does, while a command may run in that one. Where the sandbox can, the
    /// copy is of one moment.
    ///
    /// # Errors
    /// When it was not copied as a whole.
    fn copy_running<'a>(
        &'a self,
        from: &'a InstanceId,
        to: &'a InstanceId,
    ) -> BoxFuture<'a, Result<(), SandboxError>>;

    /// How much of the disk the files of a sandbox take, in bytes: their blocks, and 4 KiB for each file and directory
    /// besides. It is looked no further once that is more than `most`. Files that are nested deeper than 512 directories are
    /// more than any number. A sandbox that is not there has none.
    ///
    /// # Errors
    /// [`SandboxError::Unavailable`] where the gateway cannot see the disk, and others when it cannot be read.
    fn disk_usage<'a>(&'a self, id: &'a InstanceId, most: u64) -> BoxFuture<'a, Result<u64, SandboxError>>;

    /// Connects to a port of the sandbox by TCP, as if from within.
    ///
    /// # Errors
    /// [`SandboxError::Gone`] when nothing runs there, [`SandboxError::Refused`] when nothing listens,
    /// [`SandboxError::Unavailable`] where the gateway may not.
    fn connect<'a>(
        &'a self,
        id: &'a InstanceId,
        port: u16,
    ) -> BoxFuture<'a, Result<Box<dyn Connection>, SandboxError>>;
}

/// A connection to a port of a sandbox.
pub trait Connection: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Connection for T {}

/// A command to start. Its environment may have secrets, so that nothing shows it.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct Command {
    /// The sandbox.
    pub instance_id: InstanceId,
    /// The deployment it serves.
    pub deployment_id: DeploymentId,
    /// Another one for each start: 1 to 64 of `A-Z a-z 0-9 _ -`.
    pub token: String,
    /// The line for `/bin/sh -c`.
    pub line: String,
    /// The working directory; `None`: the workspace. It is made when it is missing.
    pub directory: Option<WorkspacePath>,
    /// Its environment, besides the variables of the sandbox itself. There are no others.
    pub environment: BTreeMap<String, String>,
    /// What the file system has besides the workspace, by the name that users give it, such as `base`. One that the sandbox
    /// does not know is [`SandboxError::Unavailable`], unless all are alike to it.
    pub template: String,
    /// Whether it may reach the network, where the sandbox has one to give.
    pub network: bool,
    /// Most processors, where the sandbox has less by itself that stays.
    pub cpus: Option<f64>,
    /// Most memory, in bytes; as [`Command::cpus`].
    pub memory: Option<u64>,
}

impl Command {
    /// A command with an empty environment in the template `base`, without a network.
    pub fn new(
        instance_id: InstanceId,
        deployment_id: DeploymentId,
        token: impl Into<String>,
        line: impl Into<String>,
    ) -> Self {
        Self {
            instance_id,
            deployment_id,
            token: token.into(),
            line: line.into(),
            directory: None,
            environment: BTreeMap::new(),
            template: "base".to_owned(),
            network: false,
            cpus: None,
            memory: None,
        }
    }
}

/// Without the values of the environment, and without the line, which can have anything in it.
impl std::fmt::Debug for Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Command")
            .field("instance_id", &self.instance_id)
            .field("token", &self.token)
            .field("environment", &self.environment.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

/// What a program reads from its standard input: it ends when this does. What the program does not read is dropped when it
/// has ended.
pub type Input = BoxStream<'static, Bytes>;

/// A program to execute in a sandbox. Its arguments and its environment may have secrets, so that nothing shows them.
#[non_exhaustive]
pub struct Execution {
    /// The program, found by `PATH` where it has no `/`, and its arguments. There has to be a program.
    pub arguments: Vec<String>,
    /// The working directory; `None`: the workspace.
    pub directory: Option<WorkspacePath>,
    /// Its environment, besides that of the command, of which it replaces variables of the same name.
    pub environment: BTreeMap<String, String>,
    /// How long it may take; whole seconds, at least one.
    pub time: Duration,
    /// Its input; `None`: it is empty.
    pub input: Option<Input>,
}

impl Execution {
    /// A program in the workspace, with the environment of the command and an empty input.
    pub fn new(arguments: Vec<String>, time: Duration) -> Self {
        Self { arguments, directory: None, environment: BTreeMap::new(), time, input: None }
    }
}

impl std::fmt::Debug for Execution {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Execution").field("time", &self.time).finish_non_exhaustive()
    }
}

/// What is told of a program that is executed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "there is nothing else")]
pub enum Executed {
    /// It has written something.
    Wrote(OutputStream, Bytes),
    /// It has ended: nothing follows.
    Ended(Exit),
}

/// How a command stands.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "sandboxes of embedders build it")]
pub struct CommandStatus {
    /// Which one.
    pub token: String,
    /// Its end; `None`: it runs.
    pub exit: Option<Exit>,
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "there is nothing else")]
pub enum Exit {
    /// By itself, with this status. Of one that a signal ended it is 128 and the signal's number, as in a shell.
    Code(i32),
    /// Nobody knows: the machine went down, or somebody removed it.
    Unknown,
}

/// A line that a command wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "sandboxes of embedders build it")]
pub struct OutputLine {
    /// Where it was written to.
    pub stream: OutputStream,
    /// The line without its end, at most 16 KiB; longer ones come in several.
    pub text: Bytes,
    /// When it was written, as well as that is known.
    pub at: Timestamp,
    /// The place after it, for [`Hosting::output`].
    pub place: String,
}

/// Where a command writes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_enums, reason = "a process has two")]
pub enum OutputStream {
    /// The standard output.
    Out,
    /// The standard error.
    Error,
}
