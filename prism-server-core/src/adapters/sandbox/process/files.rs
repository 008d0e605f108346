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
    let (parent, name) = make_parent(workspace, path)?;
    let change = change_at(&parent, name, path)?;
    let other = format!(".prism-{}.new", Uuid::now_v7().simple());
    let written = write_new(&parent, &other, content).and_then(|()| {
        // What the program puts there meanwhile is replaced, not followed.
        renameat(&parent, &other, &parent, name).map_err(|error| lost(path, error))
    });
    if let Err(error) = written {
        let _ = unlinkat(&parent, &other, AtFlags::empty());
        return Err(error);
    }
    Ok(FileWrite::new(change, content.len() as u64))
}

pub(super) fn delete(workspace: &OwnedFd, path: &WorkspacePath) -> Result<bool, SandboxError> {
    let (directories, name) = split(path);
    let deleted = || -> Result<bool, Errno> {
        let parent = directory(workspace, directories)?;
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
pub(super) fn split(path: &WorkspacePath) -> (&str, &str) {
    path.as_str().rsplit_once('/').unwrap_or(("", path.as_str()))
}

/// A directory beneath the workspace; empty: the workspace itself.
pub(super) fn directory(workspace: &OwnedFd, path: &str) -> Result<OwnedFd, Errno> {
    beneath(workspace, if path.is_empty() { "." } else { path }, OFlags::PATH | OFlags::DIRECTORY)
}

/// The directory that a file is to be in, made with those above it, and the name of the file.
pub(super) fn make_parent<'a>(
    workspace: &OwnedFd,
    path: &'a WorkspacePath,
) -> Result<(OwnedFd, &'a str), SandboxError> {
    let (directories, name) = split(path);
    Ok((make_directories(workspace, directories, path)?, name))
}

fn make_directories(
    workspace: &OwnedFd,
    directories: &str,
    path: &WorkspacePath,
) -> Result<OwnedFd, SandboxError> {
    let mut parent = directory(workspace, "").map_err(|error| lost(path, error))?;
    for part in directories.split('/').filter(|part| !part.is_empty()) {
        match mkdirat(&parent, part, Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(lost(path, error)),
        }
        parent = directory(&parent, part).map_err(|error| lost(path, error))?;
    }
    Ok(parent)
}

/// A directory beneath the workspace, made with those above it.
pub(super) fn make_directory(workspace: &OwnedFd, path: &WorkspacePath) -> Result<OwnedFd, SandboxError> {
    make_directories(workspace, path.as_str(), path)
}

/// What writing a file here comes to.
pub(super) fn change_at(
    parent: &OwnedFd,
    name: &str,
    path: &WorkspacePath,
) -> Result<FileChange, SandboxError> {
    match kind(parent, name).map_err(|error| lost(path, error))? {
        None => Ok(FileChange::Created),
        Some(FileType::RegularFile) => Ok(FileChange::Modified),
        Some(_) => Err(not_a_file(path)),
    }
}

/// What is missing while it is written: the workspace itself was deleted, or the program deletes what is being made.
pub(super) fn lost(path: &WorkspacePath, error: Errno) -> SandboxError {
    if error == Errno::NOENT { SandboxError::Gone } else { refusal(path, error) }
}

fn check_size(content: &[u8]) -> Result<(), SandboxError> {
    let most = limits::WORKSPACE_FILE;
    if content.len() <= most {
        return Ok(());
    }
    Err(SandboxError::Limit(format!("in a sandbox of type `process` a file can have at most {most} bytes")))
}

pub(super) fn refusal(path: &WorkspacePath, error: Errno) -> SandboxError {
    match error {
        // A link, a way out, a socket, or a directory or file where the other should be.
        Errno::NOTDIR | Errno::ISDIR | Errno::LOOP | Errno::XDEV | Errno::NXIO | Errno::NODEV => {
            not_a_file(path)
        }
        Errno::ACCESS | Errno::PERM => SandboxError::Denied(path.to_string()),
        Errno::NOSPC | Errno::DQUOT => SandboxError::NoRoom,
        Errno::NAMETOOLONG => SandboxError::Limit(
            "in a sandbox of type `process` each part of a path can have at most 255 bytes".to_owned(),
        ),
        error => failed(format_args!("{path} cannot be opened or changed"), error),
    }
}

fn not_a_file(path: &WorkspacePath) -> SandboxError {
    SandboxError::NotAFile(path.to_string())
}
