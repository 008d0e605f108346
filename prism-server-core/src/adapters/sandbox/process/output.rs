//! What a program wrote to its standard output and error. The module above says what bounds it.

use std::{fs::File, os::unix::fs::FileExt};

use rustix::fs::OFlags;

use super::folder::{Folder, beneath, is_regular, replace};
use crate::ports::SandboxError;

/// The file that the program appends to.
pub(super) const FILE: &str = "output";
/// The end of what was in it before.
const OLD_FILE: &str = "output.old";
/// How long each of the two gets, in bytes.
const LONGEST_FILE: u64 = 512 * 1024;
/// The most that is told, in bytes.
const TOLD: usize = 64 * 1024;

/// The end of the output, as text.
pub(super) fn tail(folder: &Folder) -> Result<String, SandboxError> {
    let directory = folder.open()?.ok_or(SandboxError::Gone)?;
    let read =
        |name: &str| open(&directory, name, OFlags::RDONLY).and_then(|file| end_of(&file, TOLD as u64));
    let mut bytes = read(FILE).unwrap_or_default();
    if bytes.len() < TOLD {
        let mut both = read(OLD_FILE).unwrap_or_default();
        both.append(&mut bytes);
        bytes = both;
    }
    let text = String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(TOLD)..]).into_owned();
    // What was not text has become longer.
    let start = text.ceil_char_boundary(text.len().saturating_sub(TOLD));
    Ok(text[start..].to_owned())
}

/// Whether there is something to [`trim`]; quick.
pub(super) fn is_long(folder: &Folder) -> bool {
    let Ok(Some(directory)) = folder.open() else {
        return false;
    };
    let file = rustix::fs::statat(&directory, FILE, rustix::fs::AtFlags::SYMLINK_NOFOLLOW);
    file.is_ok_and(|file| file.st_size.cast_unsigned() > LONGEST_FILE)
}

/// Moves the end of a long output to the other file. The program goes on at the start of its own, since it can
/// only append. A failure is told to the operator, and no reason to stop an agent.
pub(super) fn trim(folder: &Folder) {
    let trimmed = || -> Result<(), Box<dyn std::error::Error>> {
        let Some(directory) = folder.open()? else {
            return Ok(());
        };
        let Some(file) = open(&directory, FILE, OFlags::RDWR) else {
            return Ok(());
        };
        if file.metadata()?.len() > LONGEST_FILE {
            let end = end_of(&file, LONGEST_FILE).unwrap_or_default();
            replace(&directory, OLD_FILE, &end)?;
            file.set_len(0)?;
        }
        Ok(())
    };
    if let Err(error) = trimmed() {
        tracing::warn!(?folder, %error, "the output of a sandbox cannot be shortened");
    }
}

fn open(directory: impl std::os::fd::AsFd, name: &str, flags: OFlags) -> Option<File> {
    let file = beneath(directory, name, flags | OFlags::NONBLOCK).ok()?;
    is_regular(&file).then(|| File::from(file))
}

/// The last bytes of a file that may change meanwhile.
fn end_of(file: &File, most: u64) -> Option<Vec<u8>> {
    let length = file.metadata().ok()?.len();
    let mut bytes = vec![0; length.min(most) as usize];
    let mut filled = 0;
    while filled < bytes.len() {
        match file.read_at(&mut bytes[filled..], length.saturating_sub(most) + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
    bytes.truncate(filled);
    Some(bytes)
}
