//! Files of a workspace, through the engine's archive calls: they work whatever the program does.
//!
//! What is in a workspace is the agent's, and hostile. A path is followed step by step, and ends at the first
//! that is neither a directory nor, as the last, a regular file: no symbolic link is followed. Between two
//! steps the agent can put a link in the place of a directory. The engine resolves it inside the container and
//! refuses to write where that is read-only: it leads to what the agent can reach anyway, and never to the
//! machine's files.

use std::{
    fmt,
    io::{self, Read},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bollard::{
    body_full,
    query_parameters::{
        ContainerArchiveInfoOptionsBuilder, DownloadFromContainerOptionsBuilder,
        UploadToContainerOptionsBuilder,
    },
};
use futures::StreamExt;
use prism_types::{FileChange, Timestamp};

use tar::{Archive, Builder, EntryType, Header};

use super::{
    command,
    container::{USER, WORKSPACE},
    engine::{Engine, Failure},
    workspace::nanoseconds,
};
use crate::{
    domain::{limits, workspace::WorkspacePath},
    ports::{FileWrite, SandboxError},
};

/// What an archive of one file has beside the file: headers, long names, padding.
const AROUND: usize = 64 * 1024;

/// Reads a file of the container's workspace.
pub(super) async fn read(
    engine: &Engine,
    container: &str,
    path: &WorkspacePath,
) -> Result<Option<Vec<u8>>, SandboxError> {
    let Some(size) = walk(engine, container, path).await?.file(path)? else { return Ok(None) };
    if size > limits::WORKSPACE_FILE as u64 {
        return Err(too_large());
    }
    let options = DownloadFromContainerOptionsBuilder::new().path(&absolute(path.as_str())).build();
    let archive = engine
        .call("read the file", |docker| async move {
            let mut archive = Vec::new();
            let mut parts = docker.download_from_container(container, Some(options));
            while let Some(part) = parts.next().await {
                archive.extend_from_slice(&part?);
                if archive.len() > limits::WORKSPACE_FILE + AROUND {
                    break;
                }
            }
            Ok(archive)
        })
        .await;
    match archive {
        Ok(archive) => unpack(path, &archive).map(Some),
        Err(Failure::Missing(_)) => Ok(None),
        Err(failure) => Err(failure.into()),
    }
}

/// Writes a file of the container's workspace, and the directories above it.
pub(super) async fn write(
    engine: &Engine,
    container: &str,
    path: &WorkspacePath,
    content: Vec<u8>,
) -> Result<FileWrite, SandboxError> {
    if content.len() > limits::WORKSPACE_FILE {
        return Err(too_large());
    }
    let found = walk(engine, container, path).await?;
    let change = if found.file(path)?.is_some() { FileChange::Modified } else { FileChange::Created };
    let written = FileWrite::new(change, content.len() as u64);
    // Unpacked in the deepest directory that is there: the engine checks that it may be written, and resolves
    // no link below it.
    let directory = parents(path).take(found.directories).last().unwrap_or_default();
    let archive = pack(path, directory, &content).map_err(|error| failed("pack the file", &error))?;
    let options = UploadToContainerOptionsBuilder::new()
        .path(&absolute(directory))
        .no_overwrite_dir_non_dir("true")
        .build();
    let archive = body_full(archive.into());
    engine
        .call("write the file", |docker| docker.upload_to_container(container, Some(options), archive))
        .await?;
    Ok(written)
}

/// Deletes a file of the container's workspace. The archive calls cannot, so this runs `rm` in the container.
pub(super) async fn delete(
    engine: &Engine,
    container: &str,
    path: &WorkspacePath,
) -> Result<bool, SandboxError> {
    if walk(engine, container, path).await?.file(path)?.is_none() {
        return Ok(false);
    }
    let delete = ["/bin/rm", "-f", "--", &absolute(path.as_str())];
    command::run(engine, container, "delete the file", &delete, |_| true).await?;
    Ok(true)
}

/// What is at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    Missing,
    File {
        size: u64,
        modified: SystemTime,
    },
    Directory {
        modified: SystemTime,
    },
    /// A link, a device or a socket.
    Other {
        modified: SystemTime,
    },
}

/// Where following a path ended.
pub(super) struct Found {
    /// How many of the directories above it are there.
    pub(super) directories: usize,
    /// What is at the path, or else at the step on the way where it ended.
    pub(super) entry: Entry,
}

impl Found {
    /// The size of the file, if there is one.
    pub(super) fn file(&self, path: &WorkspacePath) -> Result<Option<u64>, SandboxError> {
        match self.entry {
            Entry::Missing => Ok(None),
            Entry::File { size, .. } if self.directories == parents(path).count() => Ok(Some(size)),
            _ => Err(SandboxError::NotAFile(path.as_str().to_owned())),
        }
    }
}

/// Follows a path step by step.
pub(super) async fn walk(
    engine: &Engine,
    container: &str,
    path: &WorkspacePath,
) -> Result<Found, SandboxError> {
    for (directories, directory) in parents(path).enumerate() {
        match look(engine, container, directory).await? {
            Entry::Directory { .. } => {}
            entry => return Ok(Found { directories, entry }),
        }
    }
    let entry = look(engine, container, path.as_str()).await?;
    Ok(Found { directories: parents(path).count(), entry })
}

async fn look(engine: &Engine, container: &str, path: &str) -> Result<Entry, SandboxError> {
    /// The bits with which the engine, a Go program, tells directories, and all that are no regular files.
    const DIRECTORY: u32 = 1 << 31;
    const SPECIAL: u32 = DIRECTORY | 1 << 27 | 1 << 26 | 1 << 25 | 1 << 24 | 1 << 21 | 1 << 19;
    let options = ContainerArchiveInfoOptionsBuilder::new().path(&absolute(path)).build();
    let found = engine
        .call("look for the file", |docker| docker.get_container_archive_info(container, Some(options)))
        .await;
    match found {
        Ok(found) => {
            let modified = time(found.modification_time.as_deref().unwrap_or_default());
            Ok(match found.file_mode {
                mode if mode & DIRECTORY != 0 => Entry::Directory { modified },
                mode if mode & SPECIAL != 0 => Entry::Other { modified },
                _ => Entry::File { size: u64::try_from(found.size).unwrap_or(u64::MAX), modified },
            })
        }
        Err(Failure::Missing(_)) => Ok(Entry::Missing),
        // The engine follows a link to tell where it leads, and fails when that has no end.
        Err(failure) => match is_link(engine, container, path).await {
            Ok(true) => Ok(Entry::Other { modified: UNIX_EPOCH }),
            _ => Err(failure.into()),
        },
    }
}

async fn is_link(engine: &Engine, container: &str, path: &str) -> Result<bool, SandboxError> {
    let path = absolute(path);
    let find = ["/usr/bin/find", "-P", &path, "-maxdepth", "0", "-type", "l", "-printf", "l"];
    let mut found = false;
    command::run(engine, container, "look for a link", &find, |part| {
        found |= part == b"l";
        true
    })
    .await?;
    Ok(found)
}

/// An instant as the engine tells it, in RFC 3339 with a fraction of nine digits at most.
fn time(text: &str) -> SystemTime {
    let millis = text.parse::<Timestamp>().map_or(0, Timestamp::as_millis);
    let seconds = Duration::from_secs(u64::try_from(millis.div_euclid(1000)).unwrap_or_default());
    let fraction = text.split_once('.').and_then(|(_, fraction)| nanoseconds(fraction)).unwrap_or_default();
    UNIX_EPOCH + seconds + Duration::from_nanos(u64::from(fraction))
}

/// The directories above a path, from the top.
pub(super) fn parents(path: &WorkspacePath) -> impl Iterator<Item = &str> {
    path.as_str().match_indices('/').map(|(end, _)| &path.as_str()[..end])
}

/// Where it is in a container.
pub(super) fn absolute(path: &str) -> String {
    format!("{WORKSPACE}/{path}")
}

/// An archive of the file, and of the directories above it that are not there, to be unpacked in one that is.
fn pack(path: &WorkspacePath, directory: &str, content: &[u8]) -> io::Result<Vec<u8>> {
    let start = if directory.is_empty() { 0 } else { directory.len() + 1 };
    let mut archive = Builder::new(Vec::with_capacity(content.len() + AROUND));
    for missing in parents(path).filter(|parent| parent.len() > directory.len()) {
        archive.append_data(&mut header(EntryType::Directory, 0o755, 0), &missing[start..], &[][..])?;
    }
    let mut file = header(EntryType::Regular, 0o644, content.len() as u64);
    archive.append_data(&mut file, &path.as_str()[start..], content)?;
    archive.into_inner()
}

fn header(kind: EntryType, mode: u32, size: u64) -> Header {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_uid(USER);
    header.set_gid(USER);
    header.set_mtime(now.as_secs());
    header
}

/// The content of the only file in an archive.
fn unpack(path: &WorkspacePath, archive: &[u8]) -> Result<Vec<u8>, SandboxError> {
    let reading = |error: io::Error| failed("read the file", &error);
    let mut archive = Archive::new(archive);
    let Some(entry) = archive.entries().map_err(reading)?.next() else {
        return Err(failed("read the file", &"the engine's archive is empty"));
    };
    let mut entry = entry.map_err(reading)?;
    if entry.header().entry_type() != EntryType::Regular {
        return Err(SandboxError::NotAFile(path.as_str().to_owned()));
    }
    let size = usize::try_from(entry.size()).unwrap_or(usize::MAX);
    if size > limits::WORKSPACE_FILE {
        return Err(too_large());
    }
    let mut content = Vec::with_capacity(size);
    entry.read_to_end(&mut content).map_err(reading)?;
    if content.len() == size { Ok(content) } else { Err(failed("read the file", &"it ended too early")) }
}

fn too_large() -> SandboxError {
    SandboxError::Limit(format!(
        "in a sandbox of type `docker` a file can have at most {} bytes",
        limits::WORKSPACE_FILE
    ))
}

pub(super) fn failed(doing: &str, cause: &dyn fmt::Display) -> SandboxError {
    SandboxError::Failed(format!("{doing}: {cause}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> WorkspacePath {
        text.parse().unwrap()
    }

    fn archive_of(kind: EntryType, size: u64, content: &[u8]) -> Vec<u8> {
        let mut header = header(kind, 0o644, size);
        header.set_path("file").unwrap();
        header.set_link_name("/etc/passwd").unwrap();
        header.set_cksum();
        [header.as_bytes(), content].concat()
    }

    #[test]
    fn times_are_read_to_the_nanosecond() {
        for (text, seconds, nanoseconds) in [
            ("2023-11-14T22:13:20.123456789Z", 1_700_000_000, 123_456_789),
            ("2023-11-14T22:13:20.5Z", 1_700_000_000, 500_000_000),
            ("2023-11-14T22:13:20Z", 1_700_000_000, 0),
            ("2023-11-15T00:13:20.000000001+02:00", 1_700_000_000, 1),
            ("", 0, 0),
        ] {
            assert_eq!(time(text), UNIX_EPOCH + Duration::new(seconds, nanoseconds), "{text}");
        }
    }

    #[test]
    fn a_packed_file_is_unpacked_whatever_its_name() {
        let long = "long/".repeat(60) + &"name".repeat(60);
        for name in ["a", "a b/ü\n#", &long] {
            let path = path(name);
            let directory = parents(&path).last().unwrap_or_default();
            for content in [&b""[..], b"text", &[0; 5000]] {
                let archive = pack(&path, directory, content).unwrap();
                assert_eq!(unpack(&path, &archive).unwrap(), content, "{name:?}");
            }
        }
    }

    #[test]
    fn directories_that_are_not_there_are_packed_with_the_file_and_belong_to_the_agent() {
        let archive = pack(&path("a/b/c/d"), "a", b"1").unwrap();
        let mut archive = Archive::new(archive.as_slice());
        let entries = archive.entries().unwrap().map(|entry| {
            let header = entry.unwrap().header().clone();
            let name = header.path().unwrap().to_string_lossy().into_owned();
            (name, header.entry_type(), header.uid().unwrap(), header.gid().unwrap())
        });
        let expected = [
            ("b".to_owned(), EntryType::Directory, USER, USER),
            ("b/c".to_owned(), EntryType::Directory, USER, USER),
            ("b/c/d".to_owned(), EntryType::Regular, USER, USER),
        ];
        assert_eq!(entries.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn an_archive_of_anything_but_a_whole_regular_file_is_refused() {
        let unpack = |archive: &[u8]| unpack(&path("file"), archive);
        for kind in
            [EntryType::Symlink, EntryType::Link, EntryType::Directory, EntryType::Fifo, EntryType::Char]
        {
            let refused = unpack(&archive_of(kind, 0, b""));
            assert_eq!(refused, Err(SandboxError::NotAFile("file".to_owned())), "{kind:?}");
        }
        let most = limits::WORKSPACE_FILE as u64;
        assert_eq!(unpack(&archive_of(EntryType::Regular, most + 1, b"x")), Err(too_large()));
        for broken in [
            Vec::new(),
            vec![0; 1024],
            vec![b'x'; 2048],
            archive_of(EntryType::Regular, most, b"ends too early"),
            archive_of(EntryType::Regular, u64::MAX, b"x"),
        ] {
            assert!(unpack(&broken).is_err());
        }
    }
}
