//! The archive that is written: of members that were checked, in one plain form.

use std::{
    collections::HashSet,
    io::{BufWriter, Write},
};

use tar::{EntryType, Header};

use super::{
    PIECE,
    error::BundleError,
    member::{BLOCK, padding},
};
use crate::domain::program::{manifest::Entry, path::BundlePath};

/// When everything was changed last, in seconds: the second day of 1980. Programs that pack ZIP files, such as those that
/// build packages, take nothing older than that year, in any time zone.
const MODIFIED: u64 = 315_619_200;

/// The name of a member that holds the name or the target of the next one.
const LONG: &[u8] = b"././@LongLink";

/// Whom the files of a sandbox belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "two numbers that a sandbox chooses")]
pub struct Owner {
    /// The user's number.
    pub user: u32,
    /// The group's number.
    pub group: u32,
}

/// An archive that is being written.
///
/// Its end is written by [`end`](Self::end) only: when it is dropped, what there is cannot be taken for a whole archive.
pub(super) struct CleanArchive<'a, W: Write> {
    out: BufWriter<W>,
    written: u64,
    root: &'a BundlePath,
    owner: Owner,
    /// The directories of the project that are there.
    directories: HashSet<&'a str>,
}

impl<'a, W: Write> CleanArchive<'a, W> {
    /// Begins with the directory of the project and those above it.
    pub(super) fn new(out: W, root: &'a BundlePath, owner: Owner) -> Result<Self, BundleError> {
        let out = BufWriter::with_capacity(PIECE, out);
        let mut archive = Self { out, written: 0, root, owner, directories: HashSet::new() };
        for directory in root.parents().chain([root.as_str()]) {
            archive.header(EntryType::Directory, &format!("{directory}/"), 0o755, 0, "")?;
        }
        Ok(archive)
    }

    /// A directory of the project, unless it is there.
    pub(super) fn directory(&mut self, path: &'a str, mode: u32) -> Result<(), BundleError> {
        if self.directories.insert(path) {
            self.header(EntryType::Directory, &format!("{}/{path}/", self.root), mode, 0, "")?;
        }
        Ok(())
    }

    /// A symbolic link.
    pub(super) fn link(&mut self, entry: &Entry, target: &str) -> Result<(), BundleError> {
        self.header(EntryType::Symlink, &self.name(entry), entry.permissions(), 0, target)
    }

    /// A file, of which the content has to follow, and what fills up its last block.
    pub(super) fn file(&mut self, entry: &Entry) -> Result<(), BundleError> {
        self.header(EntryType::Regular, &self.name(entry), entry.permissions(), entry.size, "")
    }

    /// A piece of the content of the last file.
    pub(super) fn content(&mut self, piece: &[u8]) -> Result<(), BundleError> {
        self.write(piece)
    }

    /// Fills up the last block of a content of so many bytes.
    pub(super) fn pad(&mut self, size: u64) -> Result<(), BundleError> {
        self.write(&[0; BLOCK][..padding(size)])
    }

    /// Writes the end; the bytes that were written.
    pub(super) fn end(mut self) -> Result<u64, BundleError> {
        self.write(&[0; 2 * BLOCK])?;
        self.out.flush().map_err(BundleError::Write)?;
        Ok(self.written)
    }

    fn name(&self, entry: &Entry) -> String {
        format!("{}/{}", self.root, entry.path)
    }

    fn header(
        &mut self,
        kind: EntryType,
        name: &str,
        mode: u32,
        size: u64,
        target: &str,
    ) -> Result<(), BundleError> {
        self.long(EntryType::GNULongLink, target)?;
        self.long(EntryType::GNULongName, name)?;
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(self.owner.user.into());
        header.set_gid(self.owner.group.into());
        header.set_mtime(MODIFIED);
        header.set_size(size);
        let fields = header.as_old_mut();
        put(&mut fields.name, name.as_bytes());
        put(&mut fields.linkname, target.as_bytes());
        header.set_cksum();
        self.write(header.as_bytes())
    }

    /// A name or a target that has no room in the header, before it.
    fn long(&mut self, kind: EntryType, text: &str) -> Result<(), BundleError> {
        if text.len() < 100 {
            return Ok(());
        }
        let text = [text.as_bytes(), &[0]].concat();
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(text.len() as u64);
        put(&mut header.as_old_mut().name, LONG);
        header.set_cksum();
        self.write(header.as_bytes())?;
        self.write(&text)?;
        self.pad(text.len() as u64)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), BundleError> {
        self.written += bytes.len() as u64;
        self.out.write_all(bytes).map_err(BundleError::Write)
    }
}

fn put(field: &mut [u8; 100], text: &[u8]) {
    let end = text.len().min(field.len() - 1);
    field[..end].copy_from_slice(&text[..end]);
}
