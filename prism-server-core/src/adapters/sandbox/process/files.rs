//! The files of a workspace, in which a program that is not trusted works at the same time.
//!
//! Every path is resolved beneath the workspace, and a symbolic link on the way or at its end is refused: the
//! kernel does that in one step, so there is no moment between a check and its use. Nothing but a regular file
//! is read, replaced or deleted.

use std::{
    fs::File,
    io::{Read, Write},
    os::fd::OwnedFd,
};

use prism_types::FileChange;
use rustix::{
    fs::{AtFlags, FileType, Mode, OFlags, fchmod, mkdirat, openat, renameat, unlinkat},
    io::Errno,
};
use uuid::Uuid;

use super::{
    failed,
    folder::{beneath, is_regular, kind},
};
use crate::{
    domain::{limits, workspace::WorkspacePath},
    ports::{FileWrite, SandboxError},
};

pub(super) fn read(workspace: &OwnedFd, path: &WorkspacePath) -> Result<Option<Vec<u8>>, SandboxError> {
    // Without waiting: a pipe has perhaps nobody at its other end.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = match beneath(workspace, path.as_str(), flags) {
        Ok(file) => file,
        Err(Errno::NOENT | Errno::NAMETOOLONG) => return Ok(None),
        Err(error) => return Err(refusal(path, error)),
    };
    if !is_regular(&file) {
        return Err(not_a_file(path));
    }
    let mut content = Vec::new();
    let most = limits::WORKSPACE_FILE as u64;
    let read = File::from(file).take(most + 1).read_to_end(&mut content);
    read.map_err(|error| failed(format_args!("{path} cannot be read"), error))?;
    check_size(&content)?;
    Ok(Some(content))
}

pub(super) fn write(
    workspace: &OwnedFd,
    path: &WorkspacePath,
    content: &[u8],
) -> Result<FileWrite, SandboxError> {
    check_size(content)?;
    let refused = |error| match error {
        // The workspace itself was deleted, or the program deletes what is being made.
        Errno::NOENT => SandboxError::Gone,
        error => refusal(path, error),
    };
    let (directories, name) = split(path);
    let mut parent = beneath(workspace, ".", OFlags::PATH | OFlags::DIRECTORY).map_err(refused)?;
    for part in directories.split('/').filter(|part| !part.is_empty()) {
        match mkdirat(&parent, part, Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(refused(error)),
        }
        parent = beneath(&parent, part, OFlags::PATH | OFlags::DIRECTORY).map_err(refused)?;
    }
    let change = match kind(&parent, name).map_err(refused)? {
        None => FileChange::Created,
        Some(FileType::RegularFile) => FileChange::Modified,
        Some(_) => return Err(not_a_file(path)),
    };
    let other = format!(".prism-{}.new", Uuid::now_v7().simple());
    let written = write_new(&parent, &other, content).and_then(|()| {
        // What the program puts there meanwhile is replaced, not followed.
        renameat(&parent, &other, &parent, name).map_err(refused)
    });
    if let Err(error) = written {
        let _ = unlinkat(&parent, &other, AtFlags::empty());
        return Err(error);
    }
    Ok(FileWrite::new(change, content.len() as u64))
}

pub(super) fn delete(workspace: &OwnedFd, path: &WorkspacePath) -> Result<bool, SandboxError> {
    let (directories, name) = split(path);
    let directories = if directories.is_empty() { "." } else { directories };
    let deleted = || -> Result<bool, Errno> {
        let parent = beneath(workspace, directories, OFlags::PATH | OFlags::DIRECTORY)?;
        match kind(&parent, name)? {
            None => return Ok(false),
            Some(FileType::RegularFile) => {}
            Some(_) => return Err(Errno::ISDIR),
        }
        unlinkat(&parent, name, AtFlags::empty()).map(|()| true)
    };
    match deleted() {
        Ok(deleted) => Ok(deleted),
        Err(Errno::NOENT | Errno::NAMETOOLONG) => Ok(false),
        Err(error) => Err(refusal(path, error)),
    }
}

fn write_new(parent: &OwnedFd, name: &str, content: &[u8]) -> Result<(), SandboxError> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mode = Mode::from_raw_mode(0o644);
    let written = openat(parent, name, flags, mode).map_err(std::io::Error::from).and_then(|file| {
        // Whatever the gateway's mask is.
        fchmod(&file, mode)?;
        File::from(file).write_all(content)
    });
    written.map_err(|error| failed("a file cannot be written", error))
}

/// The directories of a path, and its last part.
fn split(path: &WorkspacePath) -> (&str, &str) {
    path.as_str().rsplit_once('/').unwrap_or(("", path.as_str()))
}

fn check_size(content: &[u8]) -> Result<(), SandboxError> {
    let most = limits::WORKSPACE_FILE;
    if content.len() <= most {
        return Ok(());
    }
    Err(SandboxError::Limit(format!("in a sandbox of type `process` a file can have at most {most} bytes")))
}

fn refusal(path: &WorkspacePath, error: Errno) -> SandboxError {
    match error {
        // A link, a way out, a socket, or a directory or file where the other should be.
        Errno::NOTDIR | Errno::ISDIR | Errno::LOOP | Errno::XDEV | Errno::NXIO | Errno::NODEV => {
            not_a_file(path)
        }
        Errno::NAMETOOLONG => SandboxError::Limit(
            "in a sandbox of type `process` each part of a path can have at most 255 bytes".to_owned(),
        ),
        error => failed(format_args!("{path} cannot be opened or changed"), error),
    }
}

fn not_a_file(path: &WorkspacePath) -> SandboxError {
    SandboxError::NotAFile(path.to_string())
}
