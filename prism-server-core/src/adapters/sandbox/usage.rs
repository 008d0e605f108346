//! How much of the disk a tree takes that somebody hostile made.
//!
//! A tree is walked with one open directory for each level, nothing is followed, and what changes meanwhile is counted as it
//! is found. The walk ends early: with more bytes than are asked for, and below the deepest level that is looked into.

use std::{collections::HashSet, os::fd::OwnedFd};

use rustix::{
    fs::{AtFlags, Dir, FileType, Mode, OFlags, openat, statat},
    io::{Errno, Result},
};

/// What each file and directory counts besides its blocks: a disk has no endless number of them, however empty.
const ENTRY: u64 = 4096;
/// The unit of blocks, whatever those of the disk are.
const BLOCK: u64 = 512;
/// How deep it is looked. A tree that is deeper counts as more than anything.
const DEPTH: usize = 512;

/// How many bytes the files in a directory take, those of one with several names once; no further once it is more than `most`.
pub(super) fn of(top: OwnedFd, most: u64) -> Result<u64> {
    let mut used = 0_u64;
    // Files that have been counted and have other names.
    let mut counted = HashSet::new();
    let mut open = vec![Dir::new(top)?];
    loop {
        let depth = open.len();
        let Some(directory) = open.last_mut() else { return Ok(used) };
        let Some(entry) = directory.read() else {
            open.pop();
            continue;
        };
        let entry = match entry {
            Ok(entry) => entry,
            // It was removed meanwhile.
            Err(Errno::NOENT) => continue,
            Err(error) => return Err(error),
        };
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let stat = match statat(directory.fd()?, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => continue,
            Err(error) => return Err(error),
        };
        let is_directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        if is_directory || stat.st_nlink < 2 || counted.insert((stat.st_dev, stat.st_ino)) {
            let blocks = u64::try_from(stat.st_blocks).unwrap_or(0);
            used = used.saturating_add(ENTRY).saturating_add(blocks.saturating_mul(BLOCK));
        }
        if used > most {
            return Ok(used);
        }
        if is_directory {
            if depth == DEPTH {
                return Ok(u64::MAX);
            }
            let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            match openat(directory.fd()?, name, flags, Mode::empty()) {
                Ok(child) => open.push(Dir::new(child)?),
                // Something else is there now, or nobody but its owner may look into it.
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::ACCESS) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs::{self, File},
        io::Write,
        os::unix::fs::symlink,
        path::Path,
    };

    use super::*;

    fn used(path: &Path, most: u64) -> u64 {
        of(File::open(path).unwrap().into(), most).unwrap()
    }

    #[test]
    fn what_is_on_the_disk_counts_and_what_only_looks_like_it_does_not() {
        let directory = tempfile::tempdir().unwrap();
        let (tree, outside) = (directory.path().join("tree"), directory.path().join("outside"));
        fs::create_dir_all(tree.join("a/b")).unwrap();
        let empty = used(&tree, u64::MAX);
        assert!((2 * ENTRY..=2 * ENTRY + 64 * 1024).contains(&empty), "{empty}");

        let large = vec![1; 3 << 20];
        fs::write(&outside, &large).unwrap();
        symlink(&outside, tree.join("link")).unwrap();
        symlink(directory.path(), tree.join("up")).unwrap();
        File::create(tree.join("sparse")).unwrap().set_len(1 << 40).unwrap();
        let nothing = used(&tree, u64::MAX);
        assert!(nothing < empty + (1 << 20), "links and holes take no room: {nothing}");

        let mut file = File::create(tree.join("a/b/large")).unwrap();
        file.write_all(&large).unwrap();
        file.sync_all().unwrap();
        fs::hard_link(tree.join("a/b/large"), tree.join("again")).unwrap();
        let more = used(&tree, u64::MAX) - nothing;
        assert!((3 << 20..=4 << 20).contains(&more), "a file with two names takes its room once: {more}");
        let cut = used(&tree, nothing + 1);
        assert!(cut > nothing + 1, "more than it may be is told as such: {cut}");
    }

    #[test]
    fn empty_files_count_and_so_does_depth() {
        let directory = tempfile::tempdir().unwrap();
        for number in 0..1000 {
            File::create(directory.path().join(number.to_string())).unwrap();
        }
        assert!(used(directory.path(), u64::MAX) >= 1000 * ENTRY);
        assert!((100 * ENTRY..102 * ENTRY).contains(&used(directory.path(), 100 * ENTRY - 1)));

        let mut top = tempfile::tempdir().unwrap().keep();
        let tree = top.clone();
        for _ in 1..DEPTH {
            top.push("d");
        }
        fs::create_dir_all(&top).unwrap();
        assert!(used(&tree, u64::MAX) < 1 << 30, "as deep as it is looked");
        fs::create_dir(top.join("d")).unwrap();
        assert_eq!(used(&tree, u64::MAX), u64::MAX, "deeper than that");
        fs::remove_dir_all(tree).unwrap();
    }
}
