//! The manifest of a bundle: what is in it, and what was left out.
//!
//! The manifest comes first and says what the archive has to be; [`crate::bundle`] holds the archive to it. So every rule of
//! paths, links and sizes is checked here, where it costs the server nothing but the manifest itself. What holds of a
//! [`Manifest`] afterwards:
//!
//! * No path is there twice, and what is above an entry is a directory, or not an entry.
//! * Links of the bundle stay in the project, also where they lead through other links.
//! * The digest of the bundle fits the entries, and so do the totals, which are within the limits.

mod parse;
#[cfg(test)]
pub(crate) mod tests;
mod tree;

use prism_types::Problem;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{
    digest::Digest,
    path::{BundlePath, SandboxPath},
};
use crate::domain::{decode::decode, limits, words};

/// What is in a bundle. A version never changes its manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(clippy::exhaustive_structs, reason = "a record: stores build it from its columns")]
pub struct Manifest {
    /// The digest of what is in the bundle, which is not that of the archive; see [`Manifest::digest`].
    pub bundle_digest: Digest,
    /// The digest of the config in the form that the client has it. It is part of the digest of the bundle, and not checked.
    pub config_digest: Digest,
    /// The form of the archive.
    pub archive_format: ArchiveFormat,
    /// The bytes of all files of the bundle.
    pub total_size: u64,
    /// The number of files and links of the bundle.
    pub file_count: u64,
    /// When it was made, as the client says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generated_at: Option<String>,
    /// Where the files are to be in the sandbox, below `/workspace`.
    #[serde(default = "SandboxPath::project")]
    pub materialization_path: SandboxPath,
    /// What was to be taken.
    #[serde(default)]
    pub include_patterns: Vec<String>,
    /// What was to be left out.
    #[serde(default)]
    pub exclude_patterns: Vec<String>,
    /// What is left out in any case.
    #[serde(default)]
    pub default_exclude_patterns: Vec<String>,
    /// What is in the bundle and what was left out, in the order of the client.
    pub entries: Vec<Entry>,
}

words! {
    /// The form of an archive.
    #[derive(Default)]
    pub enum ArchiveFormat {
        /// An archive of POSIX.1-2001 (pax), not compressed.
        #[default]
        Tar = "tar",
    }
}

/// A file, a directory or a link of a project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(clippy::exhaustive_structs, reason = "a record: stores build it from its columns")]
pub struct Entry {
    /// Where it is in the project.
    pub path: BundlePath,
    /// What it is.
    pub kind: EntryKind,
    /// Whether it is in the bundle.
    pub included: bool,
    /// Why, in words of the client.
    #[serde(default)]
    pub reason: Box<str>,
    /// Its bytes; 0 for what is no file.
    #[serde(default)]
    pub size: u64,
    /// Its permissions, at most `0o7777`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<u32>,
    /// The digest of a file's content or of a link's target; always there for those of the bundle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// Where a link leads; always there for those of the bundle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub symlink_target: Option<Box<str>>,
}

words! {
    /// What an entry of a manifest is.
    pub enum EntryKind {
        /// A regular file.
        File = "file",
        /// A directory.
        Dir = "dir",
        /// A symbolic link.
        Symlink = "symlink",
    }
}

/// How large a bundle may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "an operator's choice: whoever serves builds it")]
pub struct BundleLimits {
    /// Most bytes of all files together.
    pub bytes: u64,
    /// Most files and links.
    pub files: u64,
}

impl Manifest {
    /// Reads the `bundle_manifest` of a request, as JSON. Fields that are not known are passed over; one that may be left out
    /// may be `null` as well.
    ///
    /// It takes time with the number of entries, up to about a second: not a thing for a thread that others wait for.
    ///
    /// # Errors
    /// With every rule that is broken, 50 at most, each with its path from `$.bundle_manifest` on.
    pub fn parse(json: &str, limits: BundleLimits) -> Result<Self, Vec<Problem>> {
        parse::manifest(json, limits)
    }

    /// What is in the bundle.
    pub fn included(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| entry.included)
    }

    /// The digest of a bundle with these entries: SHA-256 of `config:` and the config's digest, and for each entry of the
    /// bundle, in the order of their paths, of its path, kind, mode, size and digest.
    pub fn digest(config_digest: Digest, entries: &[Entry]) -> Digest {
        let mut included: Vec<_> = entries.iter().filter(|entry| entry.included).collect();
        // The order of bytes in UTF-8 is that of code points.
        included.sort_unstable_by(|one, other| one.path.cmp(&other.path));
        let mut hash = Sha256::new();
        hash.update(format!("config:{config_digest}\n"));
        for entry in included {
            let digest = entry.digest.map(String::from).unwrap_or_default();
            let (kind, mode) = (entry.kind.as_str(), entry.mode.unwrap_or(0));
            hash.update(format!("{}\0{kind}\0{mode}\0{}\0{digest}\n", entry.path, entry.size));
        }
        Digest::end(hash)
    }

    /// The most bytes that an archive of this bundle can have: an upload with more is refused before it is read.
    pub fn most_archive_bytes(&self) -> u64 {
        const BLOCK: u64 = 512;
        // A header, and an extended one with its own.
        let headers = 2 * BLOCK + limits::ARCHIVE_HEADER as u64;
        let members = self.included().map(|entry| {
            let content = entry.size.checked_next_multiple_of(BLOCK).unwrap_or(u64::MAX);
            content.saturating_add(headers)
        });
        members.fold(2 * BLOCK + limits::ARCHIVE_PADDING, u64::saturating_add)
    }
}

/// An entry that is not where it may be, or leads elsewhere.
pub(crate) struct Misplaced {
    /// Which one.
    pub(crate) index: usize,
    /// Whether it is the target of a link.
    pub(crate) is_link: bool,
    /// What it must or must not be.
    pub(crate) rule: String,
}

/// Holds entries that come without a manifest to what holds of those of a manifest: none is there twice or below what is no
/// directory, and no link leads out.
pub(crate) fn check_tree(entries: &[Entry]) -> Result<(), Misplaced> {
    let checked = decode(&serde_json::Value::Null, |node| {
        tree::Tree::of(node, entries)?.holds_links(node, entries).then_some(())
    });
    let Err(problems) = checked else { return Ok(()) };
    // Such as `$[3].path`.
    let first = problems.into_iter().next().unwrap_or_else(|| Problem::new("$", "must be a tree"));
    let index = first.path.strip_prefix("$[").and_then(|path| path.split(']').next()?.parse().ok());
    Err(Misplaced {
        index: index.unwrap_or_default(),
        is_link: first.path.ends_with(".symlink_target"),
        rule: first.message,
    })
}

impl Entry {
    /// The permissions that it has in an archive and in a sandbox: those of user, group and others. What has none in the
    /// manifest gets the usual ones of its kind, as the stock client does it.
    pub fn permissions(&self) -> u32 {
        match (self.mode.unwrap_or(0), self.kind) {
            (0, EntryKind::File) => 0o644,
            (0, EntryKind::Dir) => 0o755,
            (0, EntryKind::Symlink) => 0o777,
            (mode, _) => mode & 0o777,
        }
    }
}

impl EntryKind {
    /// What people call it.
    pub(crate) fn noun(self) -> &'static str {
        match self {
            Self::File => "a file",
            Self::Dir => "a directory",
            Self::Symlink => "a symbolic link",
        }
    }
}

impl Default for BundleLimits {
    /// 8 GiB and 100,000 files.
    fn default() -> Self {
        Self { bytes: limits::BUNDLE, files: limits::BUNDLE_FILES }
    }
}
