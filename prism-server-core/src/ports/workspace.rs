//! Workspaces: the files of a sandbox, for the users of its agent.
//!
//! They are there whether the agent's program lives or not. What is in a workspace was made by an agent that is not
//! trusted and that works in it at the same time. So every operation stays inside, whatever the agent does meanwhile:
//! a symbolic link is never followed, neither at the end of a path nor on its way, and nothing but a regular file
//! is read or replaced. Nothing waits for what the agent could withhold, such as the other end of a pipe.
//!
//! Content travels in pieces, so that no file is ever in memory as a whole. A file that is written is staged out of
//! everybody's sight first, and then placed in one step: whoever reads sees the old file or the new one.

use std::{
    collections::BTreeMap,
    ops::Range,
    time::{SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use futures::stream::BoxStream;
use prism_types::{FileChange, FileType, Timestamp};

use super::{BoxFuture, SandboxError};
use crate::domain::workspace::WorkspacePath;

/// Pieces of a file in their order. It ends early, without an error, only where it was to end.
pub type ByteStream = BoxStream<'static, Result<Bytes, SandboxError>>;

/// The files of one sandbox.
pub trait Workspace: Send + Sync + 'static {
    /// What is at a path; `None` when nothing is.
    ///
    /// # Errors
    /// When the path leads through something that is no directory, or the workspace is gone.
    fn stat<'a>(&'a self, path: &'a WorkspacePath) -> BoxFuture<'a, Result<Option<FileInfo>, SandboxError>>;

    /// The first entries of a directory, by the bytes of their names, after a name; `None` when there is no such
    /// directory. `directory`: `None` is the root. Entries that no [`WorkspacePath`] can name are left out.
    ///
    /// # Errors
    /// When something else than a directory is there or on the way, or the workspace is gone.
    fn list<'a>(
        &'a self,
        directory: Option<&'a WorkspacePath>,
        after: Option<&'a str>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Option<Listing>, SandboxError>>;

    /// Opens a file to be read; `None` when nothing is there.
    ///
    /// # Errors
    /// When something else than a regular file is there or on the way, or the workspace is gone.
    fn open<'a>(
        &'a self,
        path: &'a WorkspacePath,
    ) -> BoxFuture<'a, Result<Option<Box<dyn OpenFile>>, SandboxError>>;

    /// Begins a file, which is nowhere in the workspace yet.
    ///
    /// # Errors
    /// When it cannot be begun, or the workspace is gone.
    fn stage(&self) -> BoxFuture<'_, Result<Box<dyn StagedFile>, SandboxError>>;

    /// Deletes what is at a path: a file, a link itself, or a directory with all that is in it. `false` when nothing
    /// was there.
    ///
    /// # Errors
    /// When the path leads through something that is no directory, or the workspace is gone. Of a directory,
    /// something may be left.
    fn delete<'a>(&'a self, path: &'a WorkspacePath) -> BoxFuture<'a, Result<bool, SandboxError>>;
}

/// A file that is read: the one that was opened, or none when that is not there any more.
pub trait OpenFile: Send + 'static {
    /// What it was when it was opened.
    fn info(&self) -> &FileInfo;

    /// Its bytes in a range that lies within its size. The stream fails when the file became shorter, or when it is not
    /// the same any more.
    fn read(self: Box<Self>, range: Range<u64>) -> ByteStream;
}

/// A file that is being written. It leaves nothing behind when it is dropped.
pub trait StagedFile: Send + 'static {
    /// Adds bytes at its end.
    ///
    /// # Errors
    /// When a limit of the workspace is passed, or there is no room.
    fn write(&mut self, bytes: Bytes) -> BoxFuture<'_, Result<(), SandboxError>>;

    /// Puts it at a path, in one step, in place of a file that is there; makes the directories above it.
    ///
    /// # Errors
    /// When something else than a regular file is there or on the way, a limit is passed, or the workspace is gone.
    fn place<'a>(self: Box<Self>, path: &'a WorkspacePath)
    -> BoxFuture<'a, Result<PlacedFile, SandboxError>>;
}

/// What is known of an entry without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "sandboxes of embedders build it")]
pub struct FileInfo {
    /// What it is.
    pub kind: FileType,
    /// Its size in bytes; of what is no file, 0.
    pub size: u64,
    /// When it was last changed.
    pub modified: SystemTime,
    /// Another one whenever the content may be another one: 1 to 100 of `A-Z a-z 0-9 _ -`.
    pub version: String,
}

impl FileInfo {
    /// When it was last changed.
    pub(crate) fn modified_at(&self) -> Timestamp {
        let since = self.modified.duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    /// The strong entity tag of the version.
    pub(crate) fn etag(&self) -> String {
        format!("\"{}\"", self.version)
    }
}

/// A file that was put into its place.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "sandboxes of embedders build it")]
pub struct PlacedFile {
    /// `created` or `modified`.
    pub change: FileChange,
    /// What it is now.
    pub info: FileInfo,
}

/// Some entries of a directory.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[allow(clippy::exhaustive_structs, reason = "sandboxes of embedders build it")]
pub struct Listing {
    /// The entries with their names, in order.
    pub entries: Vec<(String, FileInfo)>,
    /// Whether there are more after the last of them.
    pub more: bool,
}

/// The first names after one, of any number that come in any order; never more of them are kept than are wanted.
#[derive(Debug)]
pub struct FirstNames<'a, T> {
    after: Option<&'a str>,
    limit: usize,
    kept: BTreeMap<String, T>,
    more: bool,
}

impl<'a, T> FirstNames<'a, T> {
    /// None yet.
    pub fn new(after: Option<&'a str>, limit: usize) -> Self {
        Self { after, limit, kept: BTreeMap::new(), more: false }
    }

    /// Takes a name, unless it is one that no [`WorkspacePath`] can have.
    pub fn push(&mut self, name: &str, value: T) {
        let is_wanted = self.after.is_none_or(|after| name > after);
        if !is_wanted || name.contains('/') || name.parse::<WorkspacePath>().is_err() {
            return;
        }
        if self.kept.len() >= self.limit {
            self.more = true;
            if self.kept.last_key_value().is_none_or(|(last, _)| name >= last.as_str()) {
                return;
            }
            self.kept.pop_last();
        }
        self.kept.insert(name.to_owned(), value);
    }

    /// The names in order, and whether there are more.
    pub fn finish(self) -> (impl Iterator<Item = (String, T)>, bool) {
        (self.kept.into_iter(), self.more)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn pages_of_names_are_all_names_in_order(
            names in prop::collection::btree_set("[a-c./]{1,3}|é", 0..40),
            limit in 1_usize..6,
        ) {
            let mut found = Vec::new();
            let mut after: Option<String> = None;
            loop {
                let mut first = FirstNames::new(after.as_deref(), limit);
                for name in names.iter().rev() {
                    first.push(name, ());
                }
                let (page, more) = first.finish();
                let page: Vec<_> = page.map(|(name, ())| name).collect();
                prop_assert!(page.len() <= limit);
                found.extend(page);
                if !more {
                    break;
                }
                after = found.last().cloned();
            }
            let expected = names.into_iter().filter(|name| !name.contains('/') && name != "." && name != "..");
            prop_assert_eq!(found, expected.collect::<Vec<_>>());
        }
    }
}
