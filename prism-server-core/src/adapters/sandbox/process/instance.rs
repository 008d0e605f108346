//! A living sandbox, as those see it who work with its files.

use std::os::fd::OwnedFd;

use futures::FutureExt;
use prism_types::InstanceId;

use super::{
    ProcessSandbox, blocking, files,
    folder::{Folder, Record},
    output,
};
use crate::{
    domain::workspace::WorkspacePath,
    ports::{BoxFuture, FileWrite, SandboxError, SandboxInstance},
};

/// A sandbox as it was made: once it is dead or was made again, this is [`SandboxError::Gone`].
pub(super) struct ProcessInstance {
    sandbox: ProcessSandbox,
    id: InstanceId,
    folder: Folder,
    record: Record,
}

impl ProcessInstance {
    pub(super) fn new(sandbox: ProcessSandbox, id: InstanceId, folder: Folder, record: Record) -> Self {
        Self { sandbox, id, folder, record }
    }

    fn with_workspace<T: Send + 'static>(
        &self,
        work: impl FnOnce(&OwnedFd) -> Result<T, SandboxError> + Send + 'static,
    ) -> BoxFuture<'static, Result<T, SandboxError>> {
        let (folder, record) = (self.folder.clone(), self.record.clone());
        blocking(move || {
            let is_this = folder.living()?.is_some_and(|living| living == record);
            let workspace = if is_this { folder.open_workspace()? } else { None };
            work(&workspace.ok_or(SandboxError::Gone)?)
        })
        .boxed()
    }
}

impl SandboxInstance for ProcessInstance {
    fn id(&self) -> &InstanceId {
        &self.id
    }

    fn read_file<'a>(
        &'a self,
        path: &'a WorkspacePath,
    ) -> BoxFuture<'a, Result<Option<Vec<u8>>, SandboxError>> {
        let path = path.clone();
        self.with_workspace(move |workspace| files::read(workspace, &path))
    }

    fn write_file<'a>(
        &'a self,
        path: &'a WorkspacePath,
        content: Vec<u8>,
    ) -> BoxFuture<'a, Result<FileWrite, SandboxError>> {
        let path = path.clone();
        self.with_workspace(move |workspace| files::write(workspace, &path, &content))
    }

    fn delete_file<'a>(&'a self, path: &'a WorkspacePath) -> BoxFuture<'a, Result<bool, SandboxError>> {
        let path = path.clone();
        self.with_workspace(move |workspace| files::delete(workspace, &path))
    }

    fn end(&self) -> BoxFuture<'_, Result<(), SandboxError>> {
        let (id, record) = (self.id.clone(), self.record.clone());
        self.sandbox.exclusively(&self.id, move |sandbox| sandbox.end_if(&id, &record))
    }

    fn output(&self) -> BoxFuture<'_, Result<String, SandboxError>> {
        // Also of a dead one, for that is when it is asked for.
        let folder = self.folder.clone();
        blocking(move || output::tail(&folder)).boxed()
    }
}
