//! The folder of one sandbox, and the record in it that tells which process is its program.
//!
//! The program can do in it what it likes. So nothing in it is opened by its path: names are resolved beneath
//! the folder, and no symbolic link is followed.

use std::{
    fs::{DirBuilder, File},
    io::{Read, Write},
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::DirBuilderExt,
    },
    path::{Path, PathBuf},
};

use prism_types::InstanceId;
use rustix::{
    fs::{
        AtFlags, CWD, Dir, FileType, Mode, OFlags, ResolveFlags, fchmod, fstat, mkdirat, openat, openat2,
        renameat, statat, unlinkat,
    },
    io::Errno,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::streams;
use super::{failed, output, processes::Identity, removal};
use crate::ports::SandboxError;
use rustix::fs::{RenameFlags, renameat_with};

const WORKSPACE: &str = "workspace";
const HOME: &str = "home";
const TEMPORARY: &str = "tmp";
const RECORD: &str = "program.json";
const EXIT: &str = "exit";
/// How names begin of what is on its way into the workspace or out of it.
const ASIDE: &str = ".aside-";
/// More than any record has, in bytes.
const LONGEST_RECORD: u64 = 4096;

/// Where a sandbox is on the disk. It need not be there.
#[derive(Debug, Clone)]
pub(super) struct Folder {
    directory: PathBuf,
    /// The id, which has letters, digits, `_` and `-` only, and so is the name of one entry.
    name: String,
}

/// What is known of a sandbox that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    /// Another one each time it is made.
    made: String,
    /// `None`: nothing runs in it.
    pub(super) program: Option<Identity>,
    /// Of a sandbox that runs commands: the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) command: Option<LastCommand>,
}

/// The last command of a sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LastCommand {
    pub(super) token: String,
    /// Its status, where the gateway found that out and not its shell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) exit: Option<i32>,
}

impl Record {
    pub(super) fn new(program: Option<Identity>) -> Self {
        Self { made: Uuid::now_v7().simple().to_string(), program, command: None }
    }

    /// Tells starts of a sandbox apart.
    pub(super) fn made(&self) -> &str {
        &self.made
    }

    /// What another one says, made when this one was.
    #[cfg(test)]
    pub(super) fn with(self, other: &Self) -> Self {
        Self { made: self.made, ..other.clone() }
    }

    pub(super) fn of_command(program: Identity, token: String) -> Self {
        Self { command: Some(LastCommand { token, exit: None }), ..Self::new(Some(program)) }
    }
}

impl Folder {
    pub(super) fn new(directory: &Path, id: &InstanceId) -> Self {
        Self { directory: directory.to_owned(), name: id.as_str().to_owned() }
    }

    pub(super) fn workspace(&self) -> PathBuf {
        self.path().join(WORKSPACE)
    }

    pub(super) fn home(&self) -> PathBuf {
        self.path().join(HOME)
    }

    pub(super) fn temporary(&self) -> PathBuf {
        self.path().join(TEMPORARY)
    }

    /// Where the status of a command is written.
    pub(super) fn exit(&self) -> PathBuf {
        self.path().join(EXIT)
    }

    /// The status that is written there, or what the command or another has made of it.
    pub(super) fn exit_status(&self) -> Result<Option<i32>, SandboxError> {
        let Some(folder) = self.open()? else {
            return Ok(None);
        };
        let text = read_short(&folder, EXIT).map_err(|error| self.failed(error))?;
        let text = text.and_then(|text| String::from_utf8(text).ok());
        let status = text.as_deref().and_then(|text| text.strip_suffix('\n')?.parse().ok());
        Ok(status.filter(|status| (0..=255).contains(status)))
    }

    /// Empties what is known of the last command, and makes the files for the output of the next one.
    pub(super) fn prepare_command(&self, longest: u64) -> Result<[File; 2], SandboxError> {
        let folder = self.open()?.ok_or(SandboxError::Gone)?;
        let removed = removal::remove(&folder, EXIT);
        removed
            .map_err(std::io::Error::from)
            .and_then(|()| streams::begin(&folder, longest))
            .map_err(|error| self.failed(error))
    }

    pub(super) fn path(&self) -> PathBuf {
        self.directory.join(&self.name)
    }

    /// The record, if the sandbox is alive.
    pub(super) fn living(&self) -> Result<Option<Record>, SandboxError> {
        let Some(record) = self.record()? else {
            return Ok(None);
        };
        let is_alive = match &record.program {
            Some(program) => {
                program.is_alive().map_err(|error| failed("its program cannot be looked for", error))?
            }
            None => true,
        };
        let is_there = is_alive && self.open_workspace()?.is_some();
        Ok(is_there.then_some(record))
    }

    /// The record; `None` when there is none that can be read: whoever wrote it, it was not the gateway.
    pub(super) fn record(&self) -> Result<Option<Record>, SandboxError> {
        let Some(folder) = self.open()? else {
            return Ok(None);
        };
        let text = read_short(&folder, RECORD).map_err(|error| self.failed(error))?;
        Ok(text.and_then(|text| serde_json::from_slice(&text).ok()))
    }

    /// Writes the record, whole or not at all.
    pub(super) fn keep(&self, record: &Record) -> Result<(), SandboxError> {
        let text = serde_json::to_vec(record).map_err(|error| self.failed(error))?;
        let folder = self.open()?.ok_or(SandboxError::Gone)?;
        replace(&folder, RECORD, &text).map_err(|error| self.failed(error))
    }

    /// Makes what is missing of it, after its program has ended. The home is kept.
    pub(super) fn prepare(&self, keep_workspace: bool) -> Result<(), SandboxError> {
        let new = |path: &Path| DirBuilder::new().recursive(true).mode(0o700).create(path);
        new(&self.directory).and_then(|()| new(&self.path())).map_err(|error| self.failed(error))?;
        let prepared = || -> rustix::io::Result<()> {
            let folder = beneath(&self.open_directory()?, &self.name, OFlags::RDONLY | OFlags::DIRECTORY)?;
            fchmod(&folder, Mode::RWXU)?;
            removal::remove(&folder, RECORD)?;
            removal::remove(&folder, TEMPORARY)?;
            if !keep_workspace {
                removal::remove(&folder, WORKSPACE)?;
            }
            remove_what_is_aside(&folder)?;
            for name in [WORKSPACE, HOME, TEMPORARY] {
                make_directory(&folder, name)?;
            }
            if !matches!(kind(&folder, output::FILE)?, None | Some(FileType::RegularFile)) {
                removal::remove(&folder, output::FILE)?;
            }
            Ok(())
        };
        prepared().map_err(|error| self.failed(error))?;
        output::trim(self);
        Ok(())
    }

    /// Makes an empty directory for what is to become the workspace; its name.
    pub(super) fn make_aside(&self) -> Result<(String, OwnedFd), SandboxError> {
        let made = || -> rustix::io::Result<(String, OwnedFd)> {
            let folder = beneath(&self.open_directory()?, &self.name, OFlags::DIRECTORY)?;
            let name = aside();
            mkdirat(&folder, &name, Mode::RWXU)?;
            let directory = beneath(&folder, &name, OFlags::DIRECTORY)?;
            Ok((name, directory))
        };
        made().map_err(|error| self.failed(error))
    }

    /// Puts such a directory into the place of the workspace, in one step, and deletes the old one.
    pub(super) fn place_workspace(&self, name: &str) -> Result<(), SandboxError> {
        let folder = self.open()?.ok_or(SandboxError::Gone)?;
        let placed = match renameat_with(&folder, name, &folder, WORKSPACE, RenameFlags::EXCHANGE) {
            // A file system that cannot do that, or a workspace that somebody deleted.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOENT) => {
                removal::remove(&folder, WORKSPACE).and_then(|()| renameat(&folder, name, &folder, WORKSPACE))
            }
            exchanged => exchanged.and_then(|()| removal::remove(&folder, name)),
        };
        placed.map_err(|error| self.failed(error))
    }

    /// Deletes what was to become the workspace.
    pub(super) fn remove_aside(&self, name: &str) -> Result<(), SandboxError> {
        match self.open()? {
            Some(folder) => removal::remove(&folder, name).map_err(|error| self.failed(error)),
            None => Ok(()),
        }
    }

    /// Deletes all of it.
    pub(super) fn remove(&self) -> Result<(), SandboxError> {
        match self.open_directory().and_then(|directory| removal::remove(&directory, &self.name)) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(failed(format_args!("{} cannot be deleted", self.path().display()), error)),
        }
    }

    /// The file for the program's output, to which it can only append.
    pub(super) fn output_file(&self) -> std::io::Result<File> {
        let folder =
            self.open_directory().and_then(|directory| beneath(&directory, &self.name, OFlags::DIRECTORY))?;
        let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(File::from(openat(&folder, output::FILE, flags, Mode::RUSR | Mode::WUSR)?))
    }

    /// The folder; `None` when there is none.
    pub(super) fn open(&self) -> Result<Option<OwnedFd>, SandboxError> {
        self.existing(
            self.open_directory().and_then(|directory| beneath(&directory, &self.name, OFlags::DIRECTORY)),
        )
    }

    /// The workspace; `None` when there is none.
    pub(super) fn open_workspace(&self) -> Result<Option<OwnedFd>, SandboxError> {
        let Some(folder) = self.open()? else {
            return Ok(None);
        };
        self.existing(beneath(&folder, WORKSPACE, OFlags::DIRECTORY | OFlags::PATH))
    }

    fn open_directory(&self) -> rustix::io::Result<OwnedFd> {
        // The way to the directory is the operator's, with links or without.
        openat(CWD, &self.directory, OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
    }

    fn existing(&self, opened: rustix::io::Result<OwnedFd>) -> Result<Option<OwnedFd>, SandboxError> {
        match opened {
            Ok(file) => Ok(Some(file)),
            // Something else than a directory is there: what was made is gone.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
            Err(Errno::NOSYS) => {
                let text = "sandboxes of type `process` need Linux 5.6: use another type of sandbox";
                Err(SandboxError::Unavailable(text.to_owned()))
            }
            Err(error) => Err(self.failed(error)),
        }
    }

    fn failed(&self, error: impl std::fmt::Display) -> SandboxError {
        failed(self.path().display(), error)
    }
}

/// Opens what is at a path beneath a directory, and nothing that a link leads to.
pub(super) fn beneath(directory: impl AsFd, path: &str, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    openat2(directory, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve)
}

/// A new name in the folder for what is on its way into the workspace or out of it.
pub(super) fn aside() -> String {
    format!("{ASIDE}{}", Uuid::now_v7().simple())
}

/// Removes what a gateway that was killed left on its way.
fn remove_what_is_aside(folder: &OwnedFd) -> rustix::io::Result<()> {
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        if entry.file_name().to_bytes().starts_with(ASIDE.as_bytes()) {
            removal::remove(folder, entry.file_name())?;
        }
    }
    Ok(())
}

/// The start of a short file of a folder; `None` when there is no regular file.
pub(super) fn read_short(folder: impl AsFd, name: &str) -> std::io::Result<Option<Vec<u8>>> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = match openat(folder, name, flags, Mode::empty()) {
        Ok(file) => file,
        Err(Errno::NOENT | Errno::LOOP | Errno::NXIO) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    if !is_regular(&file) {
        return Ok(None);
    }
    let mut text = Vec::new();
    File::from(file).take(LONGEST_RECORD).read_to_end(&mut text)?;
    Ok(Some(text))
}

/// Writes a file of a folder under another name and then gives it the right one.
pub(super) fn replace(folder: impl AsFd, name: &str, content: &[u8]) -> std::io::Result<()> {
    let folder = folder.as_fd();
    let other = format!(".{}.new", Uuid::now_v7().simple());
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = openat(folder, &other, flags, Mode::RUSR | Mode::WUSR)?;
    let written = File::from(file).write_all(content);
    let renamed = written.and_then(|()| Ok(renameat(folder, &other, folder, name)?));
    if renamed.is_err() {
        let _ = unlinkat(folder, &other, AtFlags::empty());
    }
    renamed
}

/// What an open file is.
pub(super) fn is_regular(file: impl AsFd) -> bool {
    fstat(file).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile)
}

/// What is at a name, without following it; `None` when nothing is.
pub(super) fn kind(directory: impl AsFd, name: &str) -> rustix::io::Result<Option<FileType>> {
    match statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(FileType::from_raw_mode(stat.st_mode))),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Makes a directory, in place of whatever else the program has put there.
fn make_directory(folder: &OwnedFd, name: &str) -> rustix::io::Result<()> {
    if !matches!(kind(folder, name)?, None | Some(FileType::Directory)) {
        removal::remove(folder, name)?;
    }
    match mkdirat(folder, name, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(error) => Err(error),
    }
}
