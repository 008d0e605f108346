//! The files of a workspace in memory, as users of the agent see them.

use std::{ops::Range, time::SystemTime};

use bytes::Bytes;
use futures::{FutureExt, StreamExt, stream};
use prism_types::FileType;

use super::{MemoryFile, MemoryInstance, Workspace};
use crate::{
    domain::{limits, workspace::WorkspacePath},
    ports::{
        self, BoxFuture, ByteStream, FileInfo, FirstNames, Listing, OpenFile, PlacedFile, SandboxError,
        StagedFile,
    },
};

impl ports::Workspace for MemoryInstance {
    fn stat<'a>(&'a self, path: &'a WorkspacePath) -> BoxFuture<'a, Result<Option<FileInfo>, SandboxError>> {
        self.with_workspace(|workspace| {
            workspace.check_way(path)?;
            let file = workspace.files.get(path.as_str()).map(MemoryFile::info);
            Ok(file.or_else(|| workspace.directory(path.as_str())))
        })
    }

    fn list<'a>(
        &'a self,
        directory: Option<&'a WorkspacePath>,
        after: Option<&'a str>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Option<Listing>, SandboxError>> {
        self.with_workspace(move |workspace| {
            let path = directory.map_or("", WorkspacePath::as_str);
            if let Some(directory) = directory {
                workspace.check_way(directory)?;
                if workspace.files.contains_key(path) {
                    return Err(SandboxError::NotAFile(path.to_owned()));
                }
                if workspace.directory(path).is_none() {
                    return Ok(None);
                }
            }
            let mut names = FirstNames::new(after, limit);
            let mut last = None;
            for (below, file) in workspace.inside(path) {
                let (name, is_directory) =
                    below.split_once('/').map_or((below, false), |(name, _)| (name, true));
                // The files of a directory follow each other.
                if last.replace(name) != Some(name) {
                    names.push(name, (!is_directory).then(|| file.info()));
                }
            }
            let (names, more) = names.finish();
            let entries = names.filter_map(|(name, info)| {
                let place = if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
                Some((name, info.or_else(|| workspace.directory(&place))?))
            });
            Ok(Some(Listing { entries: entries.collect(), more }))
        })
    }

    fn open<'a>(
        &'a self,
        path: &'a WorkspacePath,
    ) -> BoxFuture<'a, Result<Option<Box<dyn OpenFile>>, SandboxError>> {
        self.with_workspace(|workspace| {
            workspace.check_kind(path)?;
            let file = workspace.files.get(path.as_str());
            Ok(file.map(|file| -> Box<dyn OpenFile> {
                Box::new(MemoryContent { info: file.info(), content: file.content.clone() })
            }))
        })
    }

    fn stage(&self) -> BoxFuture<'_, Result<Box<dyn StagedFile>, SandboxError>> {
        let staged: Box<dyn StagedFile> = Box::new(Staged { instance: self.clone(), content: Vec::new() });
        self.with_workspace(|_| Ok(staged))
    }

    fn delete<'a>(&'a self, path: &'a WorkspacePath) -> BoxFuture<'a, Result<bool, SandboxError>> {
        self.with_workspace(move |workspace| {
            workspace.check_way(path)?;
            let inside = workspace.inside(path.as_str()).map(|(below, _)| format!("{path}/{below}"));
            let mut all: Vec<String> = inside.collect();
            all.push(path.to_string());
            let mut is_deleted = false;
            for path in all {
                if let Some(file) = workspace.files.remove(&path) {
                    workspace.size -= file.content.len();
                    is_deleted = true;
                }
            }
            Ok(is_deleted)
        })
    }
}

impl Workspace {
    /// A directory, if there is one: it was changed when the last file in it was.
    fn directory(&self, path: &str) -> Option<FileInfo> {
        let newest = self.inside(path).map(|(_, file)| file).max_by_key(|file| file.write)?;
        Some(FileInfo { kind: FileType::Directory, size: 0, ..newest.info() })
    }
}

impl MemoryFile {
    fn info(&self) -> FileInfo {
        FileInfo {
            kind: FileType::File,
            size: self.content.len() as u64,
            modified: self.modified,
            version: self.version(),
        }
    }

    /// With the time, so that it is another one when the workspace was made again.
    fn version(&self) -> String {
        let time = self.modified.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        format!("{:x}-{:x}", time.as_nanos(), self.write)
    }
}

struct MemoryContent {
    info: FileInfo,
    content: Bytes,
}

impl OpenFile for MemoryContent {
    fn info(&self) -> &FileInfo {
        &self.info
    }

    fn read(self: Box<Self>, range: Range<u64>) -> ByteStream {
        let within = |place: u64| usize::try_from(place).unwrap_or(usize::MAX).min(self.content.len());
        let content = self.content.slice(within(range.start)..within(range.end));
        stream::iter((!content.is_empty()).then_some(Ok(content))).boxed()
    }
}

struct Staged {
    instance: MemoryInstance,
    content: Vec<u8>,
}

impl StagedFile for Staged {
    fn write(&mut self, bytes: Bytes) -> BoxFuture<'_, Result<(), SandboxError>> {
        async move {
            if self.content.len() + bytes.len() > limits::MEMORY_FILE {
                return Err(super::too_large());
            }
            self.content.extend_from_slice(&bytes);
            Ok(())
        }
        .boxed()
    }

    fn place<'a>(
        self: Box<Self>,
        path: &'a WorkspacePath,
    ) -> BoxFuture<'a, Result<PlacedFile, SandboxError>> {
        async move {
            let Self { instance, content } = *self;
            let placed = instance.with_workspace(|workspace| {
                let change = workspace.write(path, content)?.change;
                let file = workspace.files.get(path.as_str()).ok_or(SandboxError::Gone)?;
                Ok(PlacedFile { change, info: file.info() })
            });
            placed.await
        }
        .boxed()
    }
}
