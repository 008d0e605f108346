//! Deleting a tree that somebody hostile made.
//!
//! A tree can be deeper than a stack or the table of open files allows. So it is not walked: the directories in
//! a directory are moved up to the top before it is deleted, until the top is empty. That takes a few open files
//! and no recursion, whatever the tree is like. Nothing is followed, and what cannot be entered is opened first.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::{
    fs::{
        AtFlags, Dir, FileType, IFlags, Mode, OFlags, chmod, fstat, ioctl_getflags, ioctl_setflags, openat,
        renameat, unlinkat,
    },
    io::{Errno, Result},
    path::Arg,
};
use uuid::Uuid;

/// Deletes what is at a name in a directory, and all that is in it. That nothing is there is no error.
pub(super) fn remove<Name: Arg + Copy>(parent: impl AsFd, name: Name) -> Result<()> {
    let parent = parent.as_fd();
    loop {
        let Some(top) = remove_unless_directory(parent, name)? else {
            return Ok(());
        };
        empty(&top)?;
        match unlinkat(parent, name, AtFlags::REMOVEDIR) {
            // Somebody still writes a file; the directory is gone before the next one.
            Err(Errno::NOTEMPTY) => {}
            Err(Errno::NOENT) => return Ok(()),
            removed => return removed,
        }
    }
}

fn empty(top: &OwnedFd) -> Result<()> {
    let unique = Uuid::now_v7().simple();
    let mut moved = 0_u64;
    loop {
        let mut is_empty = true;
        for entry in Dir::read_from(top)? {
            let entry = entry?;
            let name = entry.file_name();
            if is_itself_or_parent(name) {
                continue;
            }
            is_empty = false;
            let Some(directory) = remove_unless_directory(top, name)? else {
                continue;
            };
            for entry in Dir::read_from(&directory)? {
                let entry = entry?;
                let child = entry.file_name();
                if !is_itself_or_parent(child) && remove_unless_directory(&directory, child)?.is_some() {
                    moved += 1;
                    renameat(&directory, child, top, format!(".removed-{unique}-{moved}"))?;
                }
            }
            match unlinkat(top, name, AtFlags::REMOVEDIR) {
                // A listing of what changes can leave something out; the next one has it.
                Ok(()) | Err(Errno::NOTEMPTY | Errno::NOENT) => {}
                Err(error) => return Err(error),
            }
        }
        if is_empty {
            return Ok(());
        }
    }
}

/// A directory, opened and made its owner's to change. Everything else is deleted.
fn remove_unless_directory<Name: Arg + Copy>(parent: impl AsFd, name: Name) -> Result<Option<OwnedFd>> {
    let parent = parent.as_fd();
    let entry = match openat(parent, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()) {
        Ok(entry) => entry,
        Err(Errno::NOENT) => return Ok(None),
        Err(error) => return Err(error),
    };
    let stat = fstat(&entry)?;
    let is_directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
    if is_directory {
        let is_open = Mode::from_raw_mode(stat.st_mode).contains(Mode::RWXU);
        // By the open entry, for its name could lead elsewhere by now.
        let open_up = || chmod(format!("/proc/self/fd/{}", entry.as_raw_fd()), Mode::RWXU);
        let opened = if is_open { Ok(()) } else { open_up() };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = openat(&entry, c".", flags, Mode::empty())?;
        if unlock(&directory) || opened.is_err() {
            open_up()?;
        }
        return Ok(Some(directory));
    }
    match unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(None),
        // The file may be immutable.
        Err(Errno::PERM) if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile => {
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            unlock(&openat(parent, name, flags, Mode::empty())?);
            unlinkat(parent, name, AtFlags::empty()).map(|()| None)
        }
        Err(error) => Err(error),
    }
}

/// Takes off the attributes with which root keeps even itself from changing a file. Whether they were there.
fn unlock(file: &OwnedFd) -> bool {
    let locks = IFlags::IMMUTABLE | IFlags::APPEND;
    let Ok(flags) = ioctl_getflags(file) else {
        return false;
    };
    flags.intersects(locks) && ioctl_setflags(file, flags - locks).is_ok()
}

fn is_itself_or_parent(name: &std::ffi::CStr) -> bool {
    matches!(name.to_bytes(), b"." | b"..")
}
