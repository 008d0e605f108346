//! Archives that have no manifest: a directory, as a client has packed it.
//!
//! Such an archive is unpacked as it is by the tools of the sandbox that is to have it, with that sandbox's rights. It is held
//! to the same rules as a bundle all the same, so that what is refused is refused by name, before anything is changed.

use std::io::{BufReader, Read};

use super::{BundleError, Fault, PIECE, member::Members};
use crate::domain::{
    limits,
    program::manifest::{self, BundleLimits, Entry, EntryKind, Misplaced},
};

/// What is in an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Contents {
    /// The bytes of its files.
    pub(crate) bytes: u64,
    /// Its files and links.
    pub(crate) files: u64,
}

/// Reads an archive to its end, and counts what is in it. It blocks for as long as the reader does.
///
/// # Errors
/// When it is no archive, or has something that cannot be in a workspace: see [`crate::bundle`].
pub(crate) fn look(archive: impl Read, limits: BundleLimits) -> Result<Contents, BundleError> {
    let mut members = Members::new(BufReader::with_capacity(PIECE, archive));
    let (mut entries, mut names) = (Vec::new(), Vec::new());
    let mut contents = Contents::default();
    let mut piece = vec![0; PIECE];
    while let Some(member) = members.next()? {
        let refuse = |fault| BundleError::member(&member.name, fault);
        let path = member.path().map_err(refuse)?;
        let target = match member.kind {
            EntryKind::Symlink => Some(target(&member.target).map_err(refuse)?),
            EntryKind::File | EntryKind::Dir => None,
        };
        contents.bytes = contents.bytes.saturating_add(member.size);
        contents.files += u64::from(member.kind != EntryKind::Dir);
        let is_too_much = contents.bytes > limits.bytes || contents.files > limits.files;
        if is_too_much || entries.len() >= limits::MANIFEST_ENTRIES {
            return Err(BundleError::TooLarge { bytes: limits.bytes, files: limits.files });
        }
        entries.push(Entry {
            path,
            kind: member.kind,
            included: true,
            reason: Box::default(),
            size: member.size,
            mode: None,
            digest: None,
            symlink_target: target.map(Box::from),
        });
        let mut left = member.size;
        while left > 0 {
            let most = usize::try_from(left).map_or(PIECE, |left| left.min(PIECE));
            left -= members.content(&mut piece[..most], &member.name)? as u64;
        }
        members.pad(member.size)?;
        names.push(member.name);
    }
    manifest::check_tree(&entries).map_err(|Misplaced { index, is_link, rule }| {
        let name = names.get(index).map(Vec::as_slice).unwrap_or_default();
        BundleError::member(name, if is_link { Fault::Astray(rule) } else { Fault::Path(rule) })
    })?;
    Ok(contents)
}

/// Where a link leads, if it leads anywhere below.
fn target(bytes: &[u8]) -> Result<&str, Fault> {
    let text = std::str::from_utf8(bytes).map_err(|_| Fault::Encoding)?;
    let is_relative = !text.is_empty() && !text.starts_with('/') && !text.contains(['\\', '\0']);
    if is_relative && text.len() <= limits::PATH {
        return Ok(text);
    }
    let rule =
        "must lead to a place in the archive, by a relative path of at most 1024 bytes without backslashes";
    Err(Fault::Astray(rule.to_owned()))
}

#[cfg(test)]
mod tests {
    use tar::{Builder, EntryType, Header};

    use super::*;

    const LIMITS: BundleLimits = BundleLimits { bytes: 1000, files: 3 };

    fn archive(members: &[(&str, EntryType, &str)]) -> Vec<u8> {
        let mut archive = Builder::new(Vec::new());
        for (name, kind, content) in members {
            let mut header = Header::new_ustar();
            header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_entry_type(*kind);
            header.set_mode(0o644);
            let bytes = if *kind == EntryType::Regular { content.as_bytes() } else { b"" };
            header.set_size(bytes.len() as u64);
            if *kind == EntryType::Symlink {
                header.as_old_mut().linkname[..content.len()].copy_from_slice(content.as_bytes());
            }
            header.set_cksum();
            archive.append(&header, bytes).unwrap();
        }
        archive.into_inner().unwrap()
    }

    #[test]
    fn what_is_in_an_archive_is_counted() {
        use EntryType::{Directory, Regular, Symlink};
        let whole = archive(&[("d", Directory, ""), ("d/f", Regular, "12345"), ("d/l", Symlink, "../d/f")]);
        assert_eq!(look(whole.as_slice(), LIMITS).unwrap(), Contents { bytes: 5, files: 2 });
        assert_eq!(look(archive(&[]).as_slice(), LIMITS).unwrap(), Contents::default());
        let most = ["x".repeat(333), "x".repeat(334)];
        let files =
            |last| archive(&[("a", Regular, &most[0]), ("b", Regular, &most[0]), ("c", Regular, last)]);
        assert_eq!(look(files(&most[1]).as_slice(), LIMITS).unwrap(), Contents { bytes: 1000, files: 3 });
        let more = "x".repeat(335);
        assert!(matches!(look(files(&more).as_slice(), LIMITS), Err(BundleError::TooLarge { .. })));
        let four =
            archive(&[("a", Regular, ""), ("b", Regular, ""), ("c", Regular, ""), ("d", Symlink, "a")]);
        assert!(matches!(look(four.as_slice(), LIMITS), Err(BundleError::TooLarge { .. })));
        assert!(look(&whole[..whole.len() - 700], LIMITS).is_err(), "it is cut off");
        assert!(look([b'x'; 2000].as_slice(), LIMITS).is_err());
    }

    #[test]
    fn what_would_leave_the_directory_is_refused_by_name() {
        use EntryType::{Char, Directory, Fifo, Link, Regular, Symlink};
        type Is = fn(&Fault) -> bool;
        let (path, link, kind): (Is, Is, Is) = (
            |fault| matches!(fault, Fault::Path(_)),
            |fault| matches!(fault, Fault::Astray(_)),
            |fault| matches!(fault, Fault::Forbidden(_)),
        );
        for (members, name, is) in [
            (vec![("../a", Regular, "")], "../a", path),
            (vec![("/a", Regular, "")], "/a", path),
            (vec![("a/../../b", Directory, "")], "a/../../b", path),
            (vec![("a", Regular, ""), ("a", Regular, "")], "a", path),
            (vec![("a", Symlink, "b"), ("a/c", Regular, "")], "a/c", path),
            (vec![("a", Symlink, "../b")], "a", link),
            (vec![("a", Symlink, "/etc")], "a", link),
            (vec![("d", Directory, ""), ("d/r", Symlink, ".."), ("l", Symlink, "d/r/..")], "l", link),
            (vec![("a", Symlink, "a")], "a", link),
            (vec![("a", Link, "b")], "a", kind),
            (vec![("a", Char, "")], "a", kind),
            (vec![("a", Fifo, "")], "a", kind),
        ] {
            let refused = look(archive(&members).as_slice(), LIMITS).unwrap_err();
            let BundleError::Member { name: found, fault } = &refused else {
                panic!("{members:?}: {refused}")
            };
            assert!(found == name && is(fault), "{members:?}: {refused}");
        }
    }
}
