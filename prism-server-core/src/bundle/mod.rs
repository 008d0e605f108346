//! Archives of programs, which come from whoever deploys one, and may be made to break what unpacks them.
//!
//! It is a room of its own because it is neither a rule of the domain, for it reads and writes, nor an adapter, for there is
//! only one way to do it: whatever sandbox a program is put into, nobody unpacks what was not checked. [`check`] reads an
//! archive once, holds each member to the [`Manifest`], and writes an archive of its own making with what it has found. Only
//! that one is kept and unpacked, so that tricks of the archive end here:
//!
//! * A member has to be an entry of the manifest, with its kind, size, mode, digest and target, and each entry is there once.
//!   The manifest in turn has no path twice, none below a file or a link, and no link that leads out of the project.
//! * Extended headers say paths, targets and sizes, and win over what the header says. Hard links, devices, pipes, sparse files,
//!   attributes, global headers and names in the way of GNU tar are refused, as are numbers in other forms than octal.
//! * What follows the two empty blocks of the end has to be zeros, and not more than 1 MiB of them. An archive without these
//!   blocks is cut off.
//! * Memory is bounded: a member is hashed and written while it is read. Its bytes are those that the manifest promised,
//!   so the archive cannot be longer than [`Manifest::most_archive_bytes`].
//!
//! The archive that is written has the directory of the project, and in it, after the directories above them, the members in
//! the order in which they came. Their permissions are those of user, group and others only, they belong to the user who is
//! given, and have one time. Names and targets of 100 bytes and more are written in the way of GNU tar, which every common
//! program reads, also when they have line breaks in them.

mod clean;
mod error;
mod member;
mod pax;
#[cfg(test)]
mod tests;
pub(crate) mod tree;

use std::{
    collections::HashMap,
    io::{BufReader, Read, Write},
};

use sha2::{Digest as _, Sha256};

use self::{
    clean::CleanArchive,
    member::{Member, Members},
};
pub use self::{
    clean::Owner,
    error::{BundleError, Fault},
};
use crate::domain::program::{
    digest::Digest,
    manifest::{BundleLimits, Entry, EntryKind, Manifest},
    path::BundlePath,
};

/// Bytes that are read and written at a time.
const PIECE: usize = 64 * 1024;

/// What an archive is and was made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Checked {
    /// The bytes of the archive that was read.
    pub read: u64,
    /// The bytes of the archive that was written.
    pub written: u64,
}

/// Holds an archive to a manifest, and writes a clean one, in which everything is in `directory` and belongs to `owner`.
///
/// The manifest has to be one that [`Manifest::parse`] has taken. It blocks for as long as reader and writer do.
///
/// # Errors
/// When the archive is not what the manifest says, or is larger than `limits` allow, with the member and the rule; and when
/// reading or writing fails. What has been written until then has no end, and is to be thrown away.
pub fn check(
    archive: impl Read,
    manifest: &Manifest,
    limits: BundleLimits,
    directory: &BundlePath,
    owner: Owner,
    clean: impl Write,
) -> Result<Checked, BundleError> {
    // The limits may have been lowered since the manifest was taken.
    if manifest.total_size > limits.bytes || manifest.file_count > limits.files {
        return Err(BundleError::TooLarge { bytes: limits.bytes, files: limits.files });
    }
    let mut entries = Entries::of(manifest);
    let mut members = Members::new(BufReader::with_capacity(PIECE, archive));
    let mut clean = CleanArchive::new(clean, directory, owner)?;
    let mut piece = vec![0; PIECE];
    while let Some(member) = members.next()? {
        let entry = entries.take(&member).map_err(|fault| BundleError::member(&member.name, fault))?;
        for parent in entry.path.parents() {
            clean.directory(parent, entries.permissions_of_directory(parent))?;
        }
        match (entry.kind, entry.symlink_target.as_deref()) {
            (EntryKind::Dir, _) => clean.directory(entry.path.as_str(), entry.permissions())?,
            (EntryKind::Symlink, target) => clean.link(entry, target.unwrap_or_default())?,
            (EntryKind::File, _) => {
                clean.file(entry)?;
                let mut hash = Sha256::new();
                let mut left = member.size;
                while left > 0 {
                    let most = usize::try_from(left).map_or(PIECE, |left| left.min(PIECE));
                    let read = members.content(&mut piece[..most], &member.name)?;
                    hash.update(&piece[..read]);
                    clean.content(&piece[..read])?;
                    left -= read as u64;
                }
                members.pad(member.size)?;
                clean.pad(member.size)?;
                if entry.digest != Some(Digest::end(hash)) {
                    return Err(BundleError::member(&member.name, Fault::Digest));
                }
            }
        }
    }
    entries.all_taken()?;
    Ok(Checked { read: members.position(), written: clean.end()? })
}

/// The entries of a manifest, and whether their members were there.
struct Entries<'m> {
    of_paths: HashMap<&'m str, (&'m Entry, bool)>,
    manifest: &'m Manifest,
}

impl<'m> Entries<'m> {
    fn of(manifest: &'m Manifest) -> Self {
        let of_paths = manifest.entries.iter().map(|entry| (entry.path.as_str(), (entry, false))).collect();
        Self { of_paths, manifest }
    }

    /// The entry that a member is, if it is as the entry says.
    fn take(&mut self, member: &Member) -> Result<&'m Entry, Fault> {
        let path = member.path()?;
        let Some((entry, taken)) = self.of_paths.get_mut(path.as_str()) else { return Err(Fault::Unknown) };
        let fault = if !entry.included {
            Fault::LeftOut
        } else if *taken {
            Fault::Twice
        } else if member.kind != entry.kind {
            Fault::Kind { is: member.kind, wanted: entry.kind }
        } else if member.size != entry.size {
            Fault::Size { is: member.size, wanted: entry.size }
        } else if member.mode & 0o777 != entry.permissions() {
            Fault::Mode { is: member.mode & 0o777, wanted: entry.permissions() }
        } else if entry.kind == EntryKind::Symlink
            && entry.symlink_target.as_deref().map(str::as_bytes) != Some(member.target.as_slice())
        {
            Fault::Target
        } else {
            *taken = true;
            return Ok(entry);
        };
        Err(fault)
    }

    /// The permissions of a directory, also of one that is no entry of the bundle, such as one that was left out and has
    /// files that were not.
    fn permissions_of_directory(&self, path: &str) -> u32 {
        let entry = self.of_paths.get(path).filter(|(entry, _)| entry.included);
        entry.map_or(0o755, |(entry, _)| entry.permissions())
    }

    fn all_taken(&self) -> Result<(), BundleError> {
        let taken = |entry: &&Entry| self.of_paths.get(entry.path.as_str()).is_some_and(|(_, taken)| *taken);
        let mut missing = self.manifest.included().filter(|entry| !taken(entry));
        match missing.next() {
            None => Ok(()),
            Some(first) => Err(BundleError::Missing { path: first.path.to_string(), more: missing.count() }),
        }
    }
}
