//! The sandbox `memory`: a workspace in maps of the gateway's memory.
//!
//! It isolates nothing that executes, because nothing executes in it: it is for harnesses that only read and
//! write files, such as the scripted one. What it holds is gone when the gateway stops, so `persistent` has
//! no meaning for it. Its workspaces are bounded, because they are everybody's memory.
//!
//! A directory is there while a file is in it.

mod workspace;

use std::{
    collections::{BTreeMap, HashMap},
    ops::Bound,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use bytes::Bytes;
use futures::FutureExt;
use prism_types::{FileChange, InstanceId, SandboxType};

use crate::{
    domain::{limits, workspace::WorkspacePath},
    ports::{BoxFuture, FileWrite, Sandbox, SandboxError, SandboxInstance, SandboxRequest},
};

/// Sandboxes in memory: see the module's documentation.
#[derive(Default)]
pub struct MemorySandbox {
    instances: Mutex<HashMap<InstanceId, Arc<MemoryInstance>>>,
}

impl MemorySandbox {
    /// No sandboxes yet.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Sandbox for MemorySandbox {
    fn kind(&self) -> SandboxType {
        SandboxType::Memory
    }

    fn ensure(
        &self,
        request: SandboxRequest,
    ) -> BoxFuture<'_, Result<Arc<dyn SandboxInstance>, SandboxError>> {
        async move {
            if let Some(program) = request.program {
                return Err(SandboxError::Unavailable(format!(
                    "sandboxes of type `memory` run no programs, and the runtime `{}` needs one: choose another type",
                    program.runtime
                )));
            }
            let mut instances = lock(&self.instances);
            let instance = instances
                .entry(request.instance_id.clone())
                .or_insert_with(|| Arc::new(MemoryInstance::new(request.instance_id)));
            let instance: Arc<dyn SandboxInstance> = instance.clone();
            Ok(instance)
        }
        .boxed()
    }

    fn find<'a>(
        &'a self,
        id: &'a InstanceId,
    ) -> BoxFuture<'a, Result<Option<Arc<dyn SandboxInstance>>, SandboxError>> {
        async move {
            let found = lock(&self.instances).get(id).cloned();
            Ok(found.map(|instance| -> Arc<dyn SandboxInstance> { instance }))
        }
        .boxed()
    }

    fn workspace<'a>(
        &'a self,
        id: &'a InstanceId,
    ) -> BoxFuture<'a, Result<Option<Arc<dyn crate::ports::Workspace>>, SandboxError>> {
        async move {
            let found = lock(&self.instances).get(id).cloned();
            Ok(found.map(|instance| -> Arc<dyn crate::ports::Workspace> { instance }))
        }
        .boxed()
    }

    fn copy_workspace<'a>(
        &'a self,
        from: &'a InstanceId,
        to: &'a InstanceId,
    ) -> BoxFuture<'a, Result<(), SandboxError>> {
        async move {
            let mut instances = lock(&self.instances);
            let copied = instances.get(from).and_then(|from| lock(&from.workspace).clone());
            let copy = MemoryInstance::with(to.clone(), copied.unwrap_or_default());
            if let Some(before) = instances.insert(to.clone(), Arc::new(copy)) {
                *lock(&before.workspace) = None;
            }
            Ok(())
        }
        .boxed()
    }

    fn remove<'a>(&'a self, id: &'a InstanceId) -> BoxFuture<'a, Result<(), SandboxError>> {
        async move {
            let removed = lock(&self.instances).remove(id);
            if let Some(instance) = removed {
                *lock(&instance.workspace) = None;
            }
            Ok(())
        }
        .boxed()
    }
}

#[derive(Clone)]
struct MemoryInstance {
    id: InstanceId,
    /// `None` once it was removed.
    workspace: Arc<Mutex<Option<Workspace>>>,
}

impl MemoryInstance {
    fn new(id: InstanceId) -> Self {
        Self::with(id, Workspace::default())
    }

    fn with(id: InstanceId, workspace: Workspace) -> Self {
        Self { id, workspace: Arc::new(Mutex::new(Some(workspace))) }
    }

    fn with_workspace<'a, T>(
        &'a self,
        work: impl FnOnce(&mut Workspace) -> Result<T, SandboxError> + Send + 'a,
    ) -> BoxFuture<'a, Result<T, SandboxError>> {
        async move { lock(&self.workspace).as_mut().ok_or(SandboxError::Gone).and_then(work) }.boxed()
    }
}

impl SandboxInstance for MemoryInstance {
    fn id(&self) -> &InstanceId {
        &self.id
    }

    fn read_file<'a>(
        &'a self,
        path: &'a WorkspacePath,
    ) -> BoxFuture<'a, Result<Option<Vec<u8>>, SandboxError>> {
        self.with_workspace(|workspace| workspace.read(path))
    }

    fn write_file<'a>(
        &'a self,
        path: &'a WorkspacePath,
        content: Vec<u8>,
    ) -> BoxFuture<'a, Result<FileWrite, SandboxError>> {
        self.with_workspace(|workspace| workspace.write(path, content))
    }

    fn delete_file<'a>(&'a self, path: &'a WorkspacePath) -> BoxFuture<'a, Result<bool, SandboxError>> {
        self.with_workspace(|workspace| workspace.delete(path))
    }
}

#[derive(Clone, Default)]
struct Workspace {
    files: BTreeMap<String, MemoryFile>,
    /// The bytes of all files.
    size: usize,
    /// How many files were written.
    writes: u64,
}

#[derive(Clone)]
struct MemoryFile {
    content: Bytes,
    modified: SystemTime,
    /// The number of the write that made it.
    write: u64,
}

impl Workspace {
    fn read(&self, path: &WorkspacePath) -> Result<Option<Vec<u8>>, SandboxError> {
        self.check_kind(path)?;
        Ok(self.files.get(path.as_str()).map(|file| file.content.to_vec()))
    }

    fn write(&mut self, path: &WorkspacePath, content: impl Into<Bytes>) -> Result<FileWrite, SandboxError> {
        self.check_kind(path)?;
        let content = content.into();
        let old = self.files.get(path.as_str()).map(|file| file.content.len());
        let size = self.size - old.unwrap_or(0) + content.len();
        if content.len() > limits::MEMORY_FILE {
            return Err(too_large());
        }
        let limit = if size > limits::MEMORY_WORKSPACE {
            Some(("all files together", limits::MEMORY_WORKSPACE, "bytes"))
        } else if old.is_none() && self.files.len() >= limits::MEMORY_FILES {
            Some(("a workspace", limits::MEMORY_FILES, "files"))
        } else {
            None
        };
        if let Some((what, most, unit)) = limit {
            return Err(past(what, most, unit));
        }
        let change = if old.is_some() { FileChange::Modified } else { FileChange::Created };
        let written = FileWrite::new(change, content.len() as u64);
        self.size = size;
        self.writes += 1;
        let file = MemoryFile { content, modified: SystemTime::now(), write: self.writes };
        self.files.insert(path.as_str().to_owned(), file);
        Ok(written)
    }

    fn delete(&mut self, path: &WorkspacePath) -> Result<bool, SandboxError> {
        self.check_kind(path)?;
        let removed = self.files.remove(path.as_str());
        self.size -= removed.as_ref().map_or(0, |file| file.content.len());
        Ok(removed.is_some())
    }

    /// Refuses a path that is a directory, and one that leads through a file.
    fn check_kind(&self, path: &WorkspacePath) -> Result<(), SandboxError> {
        self.check_way(path)?;
        if self.inside(path.as_str()).next().is_some() {
            return Err(SandboxError::NotAFile(path.to_string()));
        }
        Ok(())
    }

    /// Refuses a path that leads through a file.
    fn check_way(&self, path: &WorkspacePath) -> Result<(), SandboxError> {
        let text = path.as_str();
        let through_a_file = text.match_indices('/').any(|(end, _)| self.files.contains_key(&text[..end]));
        if through_a_file { Err(SandboxError::NotAFile(text.to_owned())) } else { Ok(()) }
    }

    /// The files in a directory and below it, with their paths from there; the root is empty.
    fn inside<'a>(&'a self, directory: &str) -> impl Iterator<Item = (&'a str, &'a MemoryFile)> {
        let prefix = if directory.is_empty() { String::new() } else { format!("{directory}/") };
        let first = (Bound::Included(prefix.as_str()), Bound::Unbounded);
        let inside = self.files.range::<str, _>(first);
        inside.map_while(move |(path, file)| Some((path.strip_prefix(&prefix)?, file)))
    }
}

fn too_large() -> SandboxError {
    past("a file", limits::MEMORY_FILE, "bytes")
}

fn past(what: &str, most: usize, unit: &str) -> SandboxError {
    SandboxError::Limit(format!("in a sandbox of type `memory` {what} can have at most {most} {unit}"))
}

/// No operation leaves a map half changed, so a panic elsewhere is no reason to stop.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ports::Program, testkit};

    fn path(text: &str) -> WorkspacePath {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn a_program_is_refused() {
        let program = Program::new(prism_types::Runtime::Hermes, "files".into(), "main.py");
        let request = SandboxRequest::new("ins_a".parse().unwrap(), "dep_a".parse().unwrap(), true);
        let refused = MemorySandbox::new().ensure(request.program(Some(program))).await.err().unwrap();
        assert!(refused.to_string().contains("run no programs"), "{refused}");
    }

    fn limit_of(result: Result<FileWrite, SandboxError>) -> String {
        match result {
            Err(SandboxError::Limit(text)) => text,
            other => panic!("expected a limit, got {other:?}"),
        }
    }

    #[tokio::test]
    async fn it_passes_the_conformance_suite() {
        let sandbox = MemorySandbox::new();
        assert_eq!(sandbox.kind(), SandboxType::Memory);
        testkit::sandbox::conforms(&sandbox).await;
        testkit::workspace::conforms(&sandbox).await;
        assert!(lock(&sandbox.instances).is_empty(), "the suite removes what it made");
    }

    #[test]
    fn a_file_fits_at_the_limit_and_not_one_byte_past_it() {
        let mut workspace = Workspace::default();
        assert!(workspace.write(&path("a"), vec![0; limits::MEMORY_FILE]).is_ok());
        let text = limit_of(workspace.write(&path("a"), vec![0; limits::MEMORY_FILE + 1]));
        assert_eq!(text, "in a sandbox of type `memory` a file can have at most 1048576 bytes");
        assert_eq!(workspace.read(&path("a")).unwrap().unwrap().len(), limits::MEMORY_FILE);
    }

    #[test]
    fn a_workspace_fits_at_the_limit_and_not_one_byte_past_it() {
        let mut workspace = Workspace::default();
        for index in 0..limits::MEMORY_WORKSPACE / limits::MEMORY_FILE {
            workspace.write(&path(&format!("f{index}")), vec![0; limits::MEMORY_FILE]).unwrap();
        }
        assert_eq!(workspace.size, limits::MEMORY_WORKSPACE);
        let text = limit_of(workspace.write(&path("more"), vec![0]));
        assert_eq!(text, "in a sandbox of type `memory` all files together can have at most 16777216 bytes");
        // A replaced and a deleted file give their bytes back.
        workspace.write(&path("f0"), vec![0; limits::MEMORY_FILE - 1]).unwrap();
        workspace.write(&path("more"), vec![0]).unwrap();
        assert!(workspace.write(&path("more"), vec![0, 0]).is_err());
        assert!(workspace.delete(&path("f1")).unwrap());
        workspace.write(&path("more"), vec![0; limits::MEMORY_FILE]).unwrap();
    }

    #[test]
    fn the_number_of_files_is_limited() {
        let mut workspace = Workspace::default();
        for index in 0..limits::MEMORY_FILES {
            workspace.write(&path(&format!("f{index}")), Vec::new()).unwrap();
        }
        let text = limit_of(workspace.write(&path("more"), Vec::new()));
        assert_eq!(text, "in a sandbox of type `memory` a workspace can have at most 10000 files");
        workspace.write(&path("f0"), vec![1]).unwrap();
    }

    #[test]
    fn a_directory_is_there_while_a_file_is_in_it() {
        let mut workspace = Workspace::default();
        // `a-b` sorts between `a` and `a/b`: a neighbour must not hide the directory.
        for name in ["a-b", "a/b", "a0"] {
            workspace.write(&path(name), Vec::new()).unwrap();
        }
        assert_eq!(workspace.write(&path("a"), Vec::new()), Err(SandboxError::NotAFile("a".to_owned())));
        assert_eq!(workspace.read(&path("a/b/c/d")), Err(SandboxError::NotAFile("a/b/c/d".to_owned())));
        assert!(workspace.delete(&path("a/b")).unwrap());
        assert!(workspace.write(&path("a"), Vec::new()).is_ok());
    }
}
