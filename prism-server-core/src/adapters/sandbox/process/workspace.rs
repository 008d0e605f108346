//! The workspace of a process, as users of the agent see it.
//!
//! The kernel resolves every path beneath the workspace and follows no link, as for the [files](super::files) that the
//! gateway itself reads. What is not in its place yet has no name (`O_TMPFILE`), so that nothing is left of it when the
//! gateway is killed; where the file system cannot do that, it has one in the folder of the sandbox. What is
//! deleted is moved there first, so that it is gone at once, however large it is.

use std::{
    fs::File,
    io::{self, Write},
    ops::Range,
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::fs::FileExt,
    },
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use futures::{FutureExt, StreamExt, stream};
use prism_types::FileType as Kind;
use rustix::{
    fs::{
        AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, fchmod, fstat, linkat, openat, renameat, statat,
        unlinkat,
    },
    io::Errno,
};

use super::{
    blocking, failed,
    files::{self, lost, refusal},
    folder::{self, Folder, beneath},
    removal,
};
use crate::{
    domain::{limits, workspace::WorkspacePath},
    ports::{
        BoxFuture, ByteStream, FileInfo, FirstNames, Listing, OpenFile, PlacedFile, SandboxError, StagedFile,
        Workspace,
    },
};

/// The workspace in a folder, whatever becomes of the program.
pub(super) struct ProcessWorkspace(pub(super) Folder);

impl ProcessWorkspace {
    fn with_workspace<T: Send + 'static>(
        &self,
        work: impl FnOnce(&OwnedFd) -> Result<T, SandboxError> + Send + 'static,
    ) -> BoxFuture<'static, Result<T, SandboxError>> {
        let folder = self.0.clone();
        blocking(move || work(&folder.open_workspace()?.ok_or(SandboxError::Gone)?)).boxed()
    }
}

impl Workspace for ProcessWorkspace {
    fn stat<'a>(&'a self, path: &'a WorkspacePath) -> BoxFuture<'a, Result<Option<FileInfo>, SandboxError>> {
        let path = path.clone();
        self.with_workspace(move |workspace| {
            let (directories, name) = files::split(&path);
            let found = files::directory(workspace, directories)
                .and_then(|parent| statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW));
            Ok(existing(&path, found)?.map(|stat| info(&stat)))
        })
    }

    fn list<'a>(
        &'a self,
        directory: Option<&'a WorkspacePath>,
        after: Option<&'a str>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Option<Listing>, SandboxError>> {
        let (path, after) = (directory.cloned(), after.map(str::to_owned));
        self.with_workspace(move |workspace| {
            let place = path.as_ref().map_or(".", WorkspacePath::as_str);
            let opened = beneath(workspace, place, OFlags::RDONLY | OFlags::DIRECTORY);
            let unlisted = |error| match error {
                Errno::NOENT => SandboxError::Gone,
                error => failed(format_args!("{place} cannot be listed"), error),
            };
            let opened = match &path {
                Some(path) => existing(path, opened)?,
                None => Some(opened.map_err(unlisted)?),
            };
            let Some(opened) = opened else { return Ok(None) };
            list(&opened, after.as_deref(), limit).map(Some).map_err(unlisted)
        })
    }

    fn open<'a>(
        &'a self,
        path: &'a WorkspacePath,
    ) -> BoxFuture<'a, Result<Option<Box<dyn OpenFile>>, SandboxError>> {
        let path = path.clone();
        self.with_workspace(move |workspace| {
            // Looked at before it is opened, for opening a device can have effects; and once more afterwards.
            let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
            let opened =
                beneath(workspace, path.as_str(), OFlags::PATH | OFlags::NOFOLLOW).and_then(|entry| {
                    if folder::is_regular(&entry) {
                        beneath(workspace, path.as_str(), flags)
                    } else {
                        Err(Errno::ISDIR)
                    }
                });
            let Some(file) = existing(&path, opened)? else { return Ok(None) };
            let stat = fstat(&file).map_err(|error| refusal(&path, error))?;
            if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
                return Err(SandboxError::NotAFile(path.to_string()));
            }
            let opened = Content { info: info(&stat), file: Arc::new(File::from(file)) };
            Ok(Some(Box::new(opened) as Box<dyn OpenFile>))
        })
    }

    fn stage(&self) -> BoxFuture<'_, Result<Box<dyn StagedFile>, SandboxError>> {
        let folder = self.0.clone();
        blocking(move || {
            folder.open_workspace()?.ok_or(SandboxError::Gone)?;
            let directory = folder.open()?.ok_or(SandboxError::Gone)?;
            let staged = Staged::new(folder, directory).map_err(written("a file cannot be begun"))?;
            Ok(Box::new(staged) as Box<dyn StagedFile>)
        })
        .boxed()
    }

    fn delete<'a>(&'a self, path: &'a WorkspacePath) -> BoxFuture<'a, Result<bool, SandboxError>> {
        let (path, folder) = (path.clone(), self.0.clone());
        self.with_workspace(move |workspace| {
            let (directories, name) = files::split(&path);
            let deleted = || -> Result<(), Errno> {
                let parent = files::directory(workspace, directories)?;
                let stat = statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
                if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
                    return unlinkat(&parent, name, AtFlags::empty());
                }
                let aside = folder::aside();
                let beside = folder.open().ok().flatten().ok_or(Errno::NOENT)?;
                match renameat(&parent, name, &beside, &aside) {
                    Ok(()) => removal::remove(&beside, aside.as_str()),
                    // A directory that may not be written cannot be moved; it can be emptied all the same.
                    Err(Errno::ACCESS | Errno::PERM | Errno::XDEV) => removal::remove(&parent, name),
                    Err(error) => Err(error),
                }
            };
            Ok(existing(&path, deleted())?.is_some())
        })
    }
}

/// The result, or `None` when nothing is there.
fn existing<T>(path: &WorkspacePath, result: Result<T, Errno>) -> Result<Option<T>, SandboxError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Errno::NOENT | Errno::NAMETOOLONG) => Ok(None),
        Err(error) => Err(refusal(path, error)),
    }
}

fn list(directory: &OwnedFd, after: Option<&str>, limit: usize) -> rustix::io::Result<Listing> {
    let mut names = FirstNames::new(after, limit);
    for entry in Dir::read_from(directory)? {
        if let Ok(name) = entry?.file_name().to_str() {
            names.push(name, ());
        }
    }
    let (names, more) = names.finish();
    // What is gone by now is left out.
    let entries = names.filter_map(|(name, ())| {
        let stat = statat(directory, name.as_str(), AtFlags::SYMLINK_NOFOLLOW).ok()?;
        Some((name, info(&stat)))
    });
    Ok(Listing { entries: entries.collect(), more })
}

fn info(stat: &Stat) -> FileInfo {
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Kind::File,
        FileType::Directory => Kind::Directory,
        _ => Kind::Other,
    };
    let size = if kind == Kind::File { u64::try_from(stat.st_size).unwrap_or_default() } else { 0 };
    let modified = Duration::new(
        u64::try_from(stat.st_mtime).unwrap_or_default(),
        u32::try_from(stat.st_mtime_nsec).unwrap_or_default(),
    );
    // The time of the last change of any kind is the one that a program cannot set.
    let version = format!(
        "{:x}-{:x}-{:x}-{:x}-{:x}",
        stat.st_ino,
        size,
        modified.as_nanos(),
        stat.st_ctime,
        stat.st_ctime_nsec
    );
    FileInfo {
        kind,
        size,
        modified: SystemTime::UNIX_EPOCH.checked_add(modified).unwrap_or(SystemTime::UNIX_EPOCH),
        version,
    }
}

struct Content {
    info: FileInfo,
    file: Arc<File>,
}

impl OpenFile for Content {
    fn info(&self) -> &FileInfo {
        &self.info
    }

    fn read(self: Box<Self>, range: Range<u64>) -> ByteStream {
        stream::unfold(Some((*self, range)), |state| async move {
            let (content, Range { start, end }) = state?;
            if start >= end {
                return None;
            }
            let file = content.file.clone();
            let most = usize::try_from(end - start).unwrap_or(usize::MAX).min(limits::FILE_PIECE);
            let read = blocking(move || {
                let mut piece = vec![0; most];
                match file.read_at(&mut piece, start) {
                    Ok(0) => Err(failed("a file cannot be read", "it became shorter")),
                    Ok(read) => {
                        piece.truncate(read);
                        Ok(Bytes::from(piece))
                    }
                    Err(error) => Err(failed("a file cannot be read", error)),
                }
            });
            match read.await {
                Ok(piece) => {
                    let next = start + piece.len() as u64;
                    Some((Ok(piece), Some((content, next..end))))
                }
                Err(error) => Some((Err(error), None)),
            }
        })
        .boxed()
    }
}

/// A file without a place.
struct Staged {
    /// The folder of the sandbox, in which it has a name or gets one.
    directory: Arc<OwnedFd>,
    folder: Folder,
    file: Arc<File>,
    /// Its name in the folder; `None`: it has none.
    name: Option<Arc<Name>>,
}

/// A name in the folder of the sandbox that is removed with its owner.
struct Name {
    directory: Arc<OwnedFd>,
    name: String,
}

impl Drop for Name {
    fn drop(&mut self) {
        // What was moved to its place is not there any more.
        let _ = unlinkat(&self.directory, &self.name, AtFlags::empty());
    }
}

impl Staged {
    fn new(folder: Folder, directory: OwnedFd) -> io::Result<Self> {
        let directory = Arc::new(directory);
        // The program may have closed the folder; it belongs to the same user.
        let _ = fchmod(&directory, Mode::RWXU);
        let mode = Mode::from_raw_mode(0o644);
        let flags = OFlags::WRONLY | OFlags::CLOEXEC;
        let (file, name) = match openat(&directory, ".", flags | OFlags::TMPFILE, mode) {
            Ok(file) => (file, None),
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => {
                let name = Name { directory: directory.clone(), name: folder::aside() };
                let flags = flags | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
                (openat(&directory, &name.name, flags, mode)?, Some(Arc::new(name)))
            }
            Err(error) => return Err(error.into()),
        };
        // Whatever the gateway's mask is.
        fchmod(&file, mode)?;
        Ok(Self { directory, folder, file: Arc::new(File::from(file)), name })
    }

    /// Its name in the folder, from where it can be moved.
    fn named(&self) -> rustix::io::Result<Arc<Name>> {
        if let Some(name) = &self.name {
            return Ok(name.clone());
        }
        let name = Name { directory: self.directory.clone(), name: folder::aside() };
        let open = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        linkat(CWD, open, &self.directory, &name.name, AtFlags::SYMLINK_FOLLOW)?;
        Ok(Arc::new(name))
    }

    fn place(&self, path: &WorkspacePath) -> Result<PlacedFile, SandboxError> {
        let workspace = self.folder.open_workspace()?.ok_or(SandboxError::Gone)?;
        self.file.sync_data().map_err(written("a file cannot be written"))?;
        let (parent, name) = files::make_parent(&workspace, path)?;
        let change = files::change_at(&parent, name, path)?;
        let named = self.named().map_err(|error| refusal(path, error))?;
        // What the program puts there meanwhile is replaced, not followed.
        renameat(&self.directory, &named.name, &parent, name).map_err(|error| lost(path, error))?;
        // Of the file itself: at its name may be another one by now.
        let stat = fstat(self.file.as_fd()).map_err(|error| refusal(path, error))?;
        Ok(PlacedFile { change, info: info(&stat) })
    }
}

impl StagedFile for Staged {
    fn write(&mut self, bytes: Bytes) -> BoxFuture<'_, Result<(), SandboxError>> {
        async move {
            let file = self.file.clone();
            blocking(move || (&*file).write_all(&bytes).map_err(written("a file cannot be written"))).await
        }
        .boxed()
    }

    fn place<'a>(
        self: Box<Self>,
        path: &'a WorkspacePath,
    ) -> BoxFuture<'a, Result<PlacedFile, SandboxError>> {
        let path = path.clone();
        blocking(move || Self::place(&self, &path)).boxed()
    }
}

/// What a failed write comes to.
fn written(what: &'static str) -> impl Fn(io::Error) -> SandboxError {
    move |error| match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => SandboxError::NoRoom,
        io::ErrorKind::NotFound => SandboxError::Gone,
        _ => failed(what, error),
    }
}
