//! What is wrong with an archive.

use std::io;

use crate::domain::{limits, program::manifest::EntryKind};

/// Most characters of a name that are told.
const NAME: usize = 200;

/// Why there is no clean archive.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// A member is not what it has to be.
    #[error("the member `{name}` of the archive {fault}")]
    Member {
        /// Its name, as far as it can be told.
        name: String,
        /// What is wrong with it.
        fault: Fault,
    },
    /// Something at a place of the archive is not what it has to be.
    #[error("what is at byte {at} of the archive {fault}")]
    Place {
        /// Where it begins.
        at: u64,
        /// What is wrong with it.
        fault: Fault,
    },
    /// Entries of the bundle are not in the archive.
    #[error("the archive must have all entries of the manifest, but has not `{path}`{}", others(*.more))]
    Missing {
        /// The first of them.
        path: String,
        /// How many others there are.
        more: usize,
    },
    /// The bundle is larger than the operator allows.
    #[error(
        "the bundle must have at most {bytes} bytes in {files} files and links; leave something out of it"
    )]
    TooLarge {
        /// Most bytes.
        bytes: u64,
        /// Most files and links.
        files: u64,
    },
    /// The archive could not be read.
    #[error("the archive could not be read")]
    Read(#[source] io::Error),
    /// The clean archive could not be written.
    #[error("the clean archive could not be written")]
    Write(#[source] io::Error),
}

/// What is wrong with a member or a part of an archive. Its text follows what it is said of.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// No entry has this path.
    #[error("is not an entry of the manifest")]
    Unknown,
    /// An entry has this path, and is not part of the bundle.
    #[error("must not be there: the manifest leaves it out of the bundle")]
    LeftOut,
    /// It was there before.
    #[error("must not be there twice")]
    Twice,
    /// It is something else.
    #[error("must be {}, as the manifest says, but is {}", wanted.noun(), is.noun())]
    Kind {
        /// What it is.
        is: EntryKind,
        /// What the manifest says.
        wanted: EntryKind,
    },
    /// It has another size.
    #[error("must have {wanted} bytes, as the manifest says, but has {is}")]
    Size {
        /// Its bytes.
        is: u64,
        /// What the manifest says.
        wanted: u64,
    },
    /// It has other permissions.
    #[error("must have the mode {wanted:o}, as the manifest says, but has {is:o}")]
    Mode {
        /// Its permissions.
        is: u32,
        /// What the manifest says.
        wanted: u32,
    },
    /// Its content is another.
    #[error(
        "must have the content whose digest the manifest has: it was changed, or the archive is of another bundle"
    )]
    Digest,
    /// It leads elsewhere.
    #[error("must lead where the manifest says")]
    Target,
    /// It is a link that leads out of the archive.
    #[error("{0}")]
    Astray(String),
    /// Its name is no path of a bundle.
    #[error("{0}")]
    Path(String),
    /// Its name or target is not text.
    #[error("must have a name and a target in UTF-8")]
    Encoding,
    /// It is something that no bundle has.
    #[error("must be a file, a directory or a symbolic link, but is {0}")]
    Forbidden(&'static str),
    /// It has content, and is no file.
    #[error("must have no content, for it is no file")]
    NotEmpty,
    /// It is not the header of a member.
    #[error("must be a header of a pax archive, not compressed, as of `tar --format=pax`: {0}")]
    Header(&'static str),
    /// It is an extended header that is not understood.
    #[error("must be an extended header with paths, sizes, times and owners only: {0}")]
    Extended(&'static str),
    /// It is an extended header that is too long.
    #[error("must be an extended header of at most {} bytes", limits::ARCHIVE_HEADER)]
    ExtendedSize,
    /// There is nothing more, where there has to be.
    #[error("is cut off: the archive must end with two empty blocks")]
    CutOff,
    /// Something follows the end.
    #[error(
        "must be zeros, and at most {} of them: nothing may follow the end of the archive",
        limits::ARCHIVE_PADDING
    )]
    Trailing,
}

impl BundleError {
    /// Whether another archive can make it right: it is the client's mistake. Else it is that of a disk or a connection.
    pub fn is_refusal(&self) -> bool {
        !matches!(self, Self::Read(_) | Self::Write(_))
    }

    pub(super) fn member(name: &[u8], fault: Fault) -> Self {
        let text = String::from_utf8_lossy(name);
        let mut name: String = text.chars().take(NAME).flat_map(char::escape_debug).collect();
        if text.chars().nth(NAME).is_some() {
            name.push('…');
        }
        Self::Member { name, fault }
    }
}

fn others(more: usize) -> String {
    if more == 0 { String::new() } else { format!(" and {more} others") }
}
