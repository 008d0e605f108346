//! Sandboxes: where agents run.

use std::sync::Arc;

use prism_types::{DeploymentId, FileChange, InstanceId, SandboxType};

use super::BoxFuture;
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
}

impl SandboxRequest {
    /// A request.
    pub fn new(instance_id: InstanceId, deployment_id: DeploymentId, persistent: bool) -> Self {
        Self { instance_id, deployment_id, persistent }
    }
}

/// Makes, finds and removes sandboxes of one kind.
pub trait Sandbox: Send + Sync + 'static {
    /// The kind.
    fn kind(&self) -> SandboxType;

    /// Makes the sandbox, or returns the one that already exists under its id.
    ///
    /// # Errors
    /// When it cannot be made.
    fn ensure(
        &self,
        request: SandboxRequest,
    ) -> BoxFuture<'_, Result<Arc<dyn SandboxInstance>, SandboxError>>;

    /// The sandbox, if it is alive.
    ///
    /// # Errors
    /// When that cannot be found out.
    fn find<'a>(
        &'a self,
        id: &'a InstanceId,
    ) -> BoxFuture<'a, Result<Option<Arc<dyn SandboxInstance>>, SandboxError>>;

    /// Removes the sandbox and everything in it. Removing what is not there is no error.
    ///
    /// # Errors
    /// When something of it may be left.
    fn remove<'a>(&'a self, id: &'a InstanceId) -> BoxFuture<'a, Result<(), SandboxError>>;
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
    /// The sandbox is not alive.
    #[error("the sandbox is gone")]
    Gone,
    /// This kind of sandbox cannot be had on this machine; the text says why and what to do.
    #[error("{0}")]
    Unavailable(String),
    /// It failed.
    #[error("the sandbox failed: {0}")]
    Failed(String),
}
