//! Sandboxes: where agents run.
//!
//! A sandbox has a workspace, and one program that runs in it for as long as it lives. What the program needs
//! of the gateway lies in a directory of the gateway's that the program can read and not write; sockets in it
//! are how the two talk, since a sandbox has no network. What runs in a sandbox is hostile.
//!
//! | variable | what the program finds there |
//! |---|---|
//! | `PRISM_WORKSPACE` | its working directory, which users see |
//! | `PRISM_HOME` | a directory of its own, kept for as long as the deployment lives |
//! | `PRISM_FILES` | [`Program::files`], read-only |

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use prism_types::{DeploymentId, FileChange, InstanceId, Runtime, SandboxType};

use super::{BoxFuture, Hosting, Workspace};
use crate::domain::workspace::WorkspacePath;

/// What a sandbox is made for.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SandboxRequest {
    /// The id under which it is found again.
    pub instance_id: InstanceId,
    /// The deployment it serves.
    pub deployment_id: DeploymentId,
    /// Whether its workspace is kept when it is made again.
    pub persistent: bool,
    /// What runs in it; `None`: nothing.
    pub program: Option<Program>,
}

impl SandboxRequest {
    /// A request for a sandbox in which nothing runs.
    pub fn new(instance_id: InstanceId, deployment_id: DeploymentId, persistent: bool) -> Self {
        Self { instance_id, deployment_id, persistent, program: None }
    }

    /// Runs a program in it.
    #[must_use]
    pub fn program(mut self, program: Option<Program>) -> Self {
        self.program = program;
        self
    }
}

/// The program of a sandbox: a script, run by the interpreter that the sandbox has for a runtime.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Program {
    /// The runtime, for which the sandbox has an interpreter with its libraries.
    pub runtime: Runtime,
    /// A directory of the gateway's, which the program can read and not write.
    pub files: PathBuf,
    /// The name of the script, a file in that directory.
    pub script: String,
    /// Its environment, besides the variables of the sandbox itself. There are no others.
    pub environment: BTreeMap<String, String>,
}

impl Program {
    /// A script with an empty environment.
    pub fn new(runtime: Runtime, files: PathBuf, script: impl Into<String>) -> Self {
        Self { runtime, files, script: script.into(), environment: BTreeMap::new() }
    }

    /// Sets a variable of its environment.
    #[must_use]
    pub fn variable(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.environment.insert(name.into(), value.into());
        self
    }
}

/// Makes, finds and removes sandboxes of one kind.
pub trait Sandbox: Send + Sync + 'static {
    /// The kind.
    fn kind(&self) -> SandboxType;

    /// Makes the sandbox and starts its program, or returns the living one under its id. A sandbox whose program
    /// has ended is made again: with its home, and with its workspace when that is persistent.
    ///
    /// # Errors
    /// When it cannot be made.
    fn ensure(
        &self,
        request: SandboxRequest,
    ) -> BoxFuture<'_, Result<Arc<dyn SandboxInstance>, SandboxError>>;

    /// The sandbox, if it is alive: it exists, and its program runs.
    ///
    /// # Errors
    /// When that cannot be found out.
    fn find<'a>(
        &'a self,
        id: &'a InstanceId,
    ) -> BoxFuture<'a, Result<Option<Arc<dyn SandboxInstance>>, SandboxError>>;

    /// The workspace of a sandbox, alive or not; `None` when there is none, as before the sandbox was made.
    ///
    /// # Errors
    /// When that cannot be found out.
    fn workspace<'a>(
        &'a self,
        id: &'a InstanceId,
    ) -> BoxFuture<'a, Result<Option<Arc<dyn Workspace>>, SandboxError>>;

    /// Makes the workspace of a sandbox in which nothing runs, and which need not be there, a copy of another's, in which
    /// nothing runs either: links are copied as links, owners and times as they are. What it had before is gone. A
    /// workspace that is not there is copied as an empty one. What was cut off is copied again from its start.
    ///
    /// # Errors
    /// When it was not copied as a whole.
    fn copy_workspace<'a>(
        &'a self,
        from: &'a InstanceId,
        to: &'a InstanceId,
    ) -> BoxFuture<'a, Result<(), SandboxError>>;

    /// Removes the sandbox and everything in it. Removing what is not there is no error.
    ///
    /// # Errors
    /// When something of it may be left.
    fn remove<'a>(&'a self, id: &'a InstanceId) -> BoxFuture<'a, Result<(), SandboxError>>;

    /// The ids of all sandboxes of this gateway, alive or not, so that those that nobody knows any more can be
    /// removed. Default: none, for sandboxes that do not outlive the gateway.
    ///
    /// # Errors
    /// When that cannot be found out.
    fn list(&self) -> BoxFuture<'_, Result<Vec<InstanceId>, SandboxError>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    /// What runs commands of users in these sandboxes, if anything does. Default: nothing does.
    fn hosting(&self) -> Option<&dyn Hosting> {
        None
    }

    /// Sets who is told of sandboxes that died. Called once, before the first sandbox is made or found.
    /// Default: nobody is, for sandboxes that do not die.
    fn set_listener(&self, listener: Arc<dyn SandboxListener>) {
        drop(listener);
    }
}

/// Is told when sandboxes die.
pub trait SandboxListener: Send + Sync + 'static {
    /// The program of this sandbox has ended, and nobody asked for it. It is a hint: it may come late, twice, or
    /// for a sandbox that is alive again. It must be quick.
    fn died(&self, id: &InstanceId);
}

/// A living sandbox.
pub trait SandboxInstance: Send + Sync + 'static {
    /// Its id.
    fn id(&self) -> &InstanceId;

    /// Reads a file of the workspace; `None` when there is none.
    ///
    /// # Errors
    /// When the path is a directory, or the sandbox is gone.
    fn read_file<'a>(
        &'a self,
        path: &'a WorkspacePath,
    ) -> BoxFuture<'a, Result<Option<Vec<u8>>, SandboxError>>;

    /// Writes a file of the workspace and its parent directories.
    ///
    /// # Errors
    /// When a limit is passed, a directory is in the way, or the sandbox is gone.
    fn write_file<'a>(
        &'a self,
        path: &'a WorkspacePath,
        content: Vec<u8>,
    ) -> BoxFuture<'a, Result<FileWrite, SandboxError>>;

    /// Deletes a file of the workspace; `false` when there was none.
    ///
    /// # Errors
    /// When the path is a directory, or the sandbox is gone.
    fn delete_file<'a>(&'a self, path: &'a WorkspacePath) -> BoxFuture<'a, Result<bool, SandboxError>>;

    /// Ends the program at once, with all that it started: the sandbox is dead afterwards, and whoever listens is
    /// told. For a program that does not answer any more. On a dead sandbox it does nothing. Default: nothing, for
    /// sandboxes that run no program.
    ///
    /// # Errors
    /// When something of it may still run.
    fn end(&self) -> BoxFuture<'_, Result<(), SandboxError>> {
        Box::pin(async { Ok(()) })
    }

    /// The last of what the program wrote to its standard output and error, at most 64 KiB, for an operator who
    /// wants to know why it failed. Default: nothing.
    ///
    /// # Errors
    /// When that cannot be found out.
    fn output(&self) -> BoxFuture<'_, Result<String, SandboxError>> {
        Box::pin(async { Ok(String::new()) })
    }
}

/// What a write did.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FileWrite {
    /// `created` or `modified`.
    pub change: FileChange,
    /// The size now, in bytes.
    pub size: u64,
}

impl FileWrite {
    /// The result of a write.
    pub fn new(change: FileChange, size: u64) -> Self {
        Self { change, size }
    }
}

/// Why a sandbox did not do it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SandboxError {
    /// A limit was passed; the text names it.
    #[error("{0}")]
    Limit(String),
    /// Something else than a file is at the path, or on the way to it.
    #[error("{0} is a directory, or a part of it is a file")]
    NotAFile(String),
    /// The agent has taken the right to use what is at the path away.
    #[error("the permissions of {0} do not allow it")]
    Denied(String),
    /// The disk of the sandbox is full.
    #[error("the sandbox has no room left")]
    NoRoom,
    /// The sandbox is not alive.
    #[error("the sandbox is gone")]
    Gone,
    /// Nothing listens at the port.
    #[error("nothing in the sandbox listens at port {0}")]
    Refused(u16),
    /// This kind of sandbox cannot be had on this machine; the text says why and what to do.
    #[error("{0}")]
    Unavailable(String),
    /// It failed.
    #[error("the sandbox failed: {0}")]
    Failed(String),
}
