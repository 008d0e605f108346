//! Copying a workspace that somebody hostile filled.
//!
//! The tree is walked by the system's `cp`, which follows no links, keeps holes as holes, and shares blocks where the file
//! system can. It begins in a directory that was opened without following links, so its path leads nowhere else.

use std::{
    io::Read,
    os::fd::{AsFd, AsRawFd},
    process::{Command, Stdio},
};

use super::{failed, folder::Folder, launch::tool};
use crate::ports::SandboxError;

/// Most of what a command writes to its standard error that is told, in bytes.
const ERRORS: u64 = 1024;

/// Fills the workspace of `to`, which is empty, with all that is in the directory.
pub(super) fn copy(from: impl AsFd, to: &Folder) -> Result<(), SandboxError> {
    // What its owner may not read would not be copied.
    run(&from, Command::new(tool("chmod")?).args(["-R", "u+rwX", "--", "."]))?;
    let mut copy = Command::new(tool("cp")?);
    run(&from, copy.args(["-a", "--sparse=auto", "--reflink=auto", "--", "."]).arg(to.workspace()))?;
    // On the disk before anything is removed because it was copied.
    run(&from, Command::new(tool("sync")?).arg("-f").arg(to.workspace()))
}

/// Runs a command in a directory.
fn run(directory: impl AsFd, command: &mut Command) -> Result<(), SandboxError> {
    let cannot = |error: std::io::Error| failed("a workspace cannot be copied", error);
    // The child is still this program when it enters the directory, and has its open files.
    let directory = format!("/proc/self/fd/{}", directory.as_fd().as_raw_fd());
    command.current_dir(directory).env_clear().stdin(Stdio::null()).stdout(Stdio::null());
    let mut child = command.stderr(Stdio::piped()).spawn().map_err(cannot)?;
    let mut errors = Vec::new();
    if let Some(written) = child.stderr.take() {
        written.take(ERRORS).read_to_end(&mut errors).map_err(cannot)?;
    }
    if child.wait().map_err(cannot)?.success() {
        return Ok(());
    }
    let errors = String::from_utf8_lossy(&errors);
    if errors.contains("No space left on device") || errors.contains("Disk quota exceeded") {
        return Err(SandboxError::NoRoom);
    }
    Err(failed("a workspace was not copied", errors.trim_end()))
}
