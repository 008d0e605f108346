//! Unpacking an archive into a directory in which nobody works yet.

use std::{
    fs::File,
    io::{self, Read},
    os::fd::{AsFd, OwnedFd},
};

use rustix::{
    fs::{AtFlags, Mode, OFlags, fchmod, openat, symlinkat, syncfs, unlinkat},
    io::Errno,
};

use super::{
    super::bundle::{self, Content, Member},
    failed,
    files::directory,
};
use crate::ports::SandboxError;

/// Fills a directory with what is in an archive; returns once it is on the disk.
pub(super) fn unpack(archive: &File, root: &OwnedFd) -> Result<(), SandboxError> {
    bundle::members(archive, |member| {
        let path = member.path.to_owned();
        add(root, member).map_err(|error| match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => SandboxError::NoRoom,
            _ => failed(format_args!("{path:?} cannot be unpacked"), error),
        })
    })?;
    syncfs(root).map_err(|error| failed("what was unpacked is not on the disk", error))
}

fn add(root: &OwnedFd, member: Member<'_>) -> io::Result<()> {
    let (directories, name) = member.path.rsplit_once('/').unwrap_or(("", member.path));
    let parent = make_directories(root, directories)?;
    match member.content {
        Content::Directory { mode } => {
            let made = make_directories(&parent, name)?;
            let made = openat(&made, ".", OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
            Ok(fchmod(made, Mode::from_raw_mode(mode))?)
        }
        Content::File { mode, size, bytes } => {
            make_way(&parent, name)?;
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let mut file = File::from(openat(&parent, name, flags, Mode::RUSR | Mode::WUSR)?);
            if io::copy(&mut bytes.take(size), &mut file)? < size {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            fchmod(&file, Mode::from_raw_mode(mode))?;
            file.set_modified(member.modified)
        }
        Content::Link { target } => {
            make_way(&parent, name)?;
            Ok(symlinkat(target, &parent, name)?)
        }
    }
}

/// A later member takes the place of an earlier one, unless that is a directory.
fn make_way(parent: impl AsFd, name: &str) -> io::Result<()> {
    match unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// A directory beneath another, made with those above it. No link is followed.
fn make_directories(root: impl AsFd, path: &str) -> io::Result<OwnedFd> {
    let mut made = openat(root, ".", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    for part in path.split('/').filter(|part| !part.is_empty()) {
        match rustix::fs::mkdirat(&made, part, Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        made = directory(&made, part)?;
    }
    Ok(made)
}
