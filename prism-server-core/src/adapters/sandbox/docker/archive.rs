//! The archive of one file, the form in which the engine takes it: what stands before its content, and what follows. The
//! content itself is never in memory as a whole.

use std::{
    io,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tar::{Builder, EntryType, Header};

use super::container::USER;

const BLOCK: usize = 512;

/// The head of an archive of one file, without the content: directories that are to be made first, and the file, with its
/// times to the nanosecond. Paths are relative to where it is unpacked.
pub(super) fn head(directories: &[&str], path: &str, size: u64, modified: SystemTime) -> io::Result<Vec<u8>> {
    let since = modified.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let mut archive = Builder::new(Vec::new());
    let mut append = |path: &str, kind: EntryType, mode: u32, size: u64| {
        // The fraction of a second, and a path of any length, stand before the header.
        let time = format!("{}.{:09}", since.as_secs(), since.subsec_nanos());
        archive.append_pax_extensions([("path", path.as_bytes()), ("mtime", time.as_bytes())])?;
        let mut header = Header::new_ustar();
        header.set_entry_type(kind);
        header.set_path("entry")?;
        header.set_mode(mode);
        header.set_uid(USER);
        header.set_gid(USER);
        header.set_mtime(since.as_secs());
        header.set_size(size);
        header.set_cksum();
        archive.append(&header, io::empty())
    };
    for directory in directories {
        append(directory, EntryType::Directory, 0o755, 0)?;
    }
    append(path, EntryType::Regular, 0o644, size)?;
    Ok(archive.get_ref().clone())
}

/// What follows the content of the last file: it is filled up, and two empty blocks are the end.
pub(super) fn tail(size: u64) -> Vec<u8> {
    let padding = (BLOCK - (size % BLOCK as u64) as usize) % BLOCK;
    vec![0; padding + 2 * BLOCK]
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use proptest::prelude::*;
    use tar::Archive;

    use super::*;

    proptest! {
        #[test]
        fn another_reader_understands_what_is_packed(
            content in prop::collection::vec(any::<u8>(), 0..1500),
            path in "[a-zü ]{1,20}(/[a-z*#'-]{1,100}){0,5}",
            directories in prop::collection::vec("[a-z]{1,10}(/[a-z]{1,100}){0,3}", 0..3),
        ) {
            let time = UNIX_EPOCH + Duration::new(1_700_000_000, 123_456_789);
            let size = content.len() as u64;
            let parents: Vec<_> = directories.iter().map(String::as_str).collect();
            let packed = [head(&parents, &path, size, time).unwrap(), content.clone(), tail(size)].concat();
            prop_assert_eq!(packed.len() % BLOCK, 0);
            let mut archive = Archive::new(packed.as_slice());
            let mut found = Vec::new();
            for entry in archive.entries().unwrap() {
                let mut entry = entry.unwrap();
                let mut content = Vec::new();
                entry.read_to_end(&mut content).unwrap();
                let (kind, name) = (entry.header().entry_type(), entry.path_bytes().into_owned());
                found.push((kind, String::from_utf8(name).unwrap(), content));
            }
            let mut expected: Vec<_> =
                directories.into_iter().map(|name| (EntryType::Directory, name, Vec::new())).collect();
            expected.push((EntryType::Regular, path, content));
            prop_assert_eq!(found, expected);
        }
    }
}
