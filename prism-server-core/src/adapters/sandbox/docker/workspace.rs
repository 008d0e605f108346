//! The workspace of a container, as users of the agent see it.
//!
//! While the agent's container lives, it is used: the engine's archive calls for what is written, and commands of the
//! image for the rest. When it is dead, a container that does nothing takes its place for a while: it has the workspace
//! and nothing else.
//!
//! Paths are followed as for the [files](super::files) that the gateway itself reads: step by step, and no link is. What an
//! agent puts in the way between two steps leads to what it can reach anyway, and never to the machine's files.

use std::{
    fs::{self, File},
    io::{self, Seek, Write},
    ops::Range,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bollard::{body_try_stream, query_parameters::UploadToContainerOptionsBuilder};
use bytes::{Bytes, BytesMut};
use futures::{
    FutureExt, StreamExt,
    stream::{self},
};
use prism_types::{FileChange, FileType, InstanceId};
use tokio::task::spawn_blocking;
use uuid::Uuid;

use super::{
    Turns, archive,
    command::{self, CommandError, Output},
    container::{self, WORKSPACE},
    engine::{Engine, Failure},
    files::{Entry, absolute, failed, parents, walk},
};
use crate::{
    domain::{limits, workspace::WorkspacePath},
    ports::{
        BoxFuture, ByteStream, FileInfo, FirstNames, Listing, OpenFile, PlacedFile, SandboxError, StagedFile,
        Workspace,
    },
};

/// Most bytes of a file that one command reads.
const PART: u64 = 64 << 20;
/// Most entries of a directory that are looked at.
const MOST_ENTRIES: usize = 1_000_000;

/// The workspace of an instance, whatever becomes of its container.
#[derive(Clone)]
pub(super) struct DockerWorkspace {
    pub(super) engine: Arc<Engine>,
    pub(super) turns: Arc<Turns>,
    pub(super) owner: String,
    /// What the container that takes the other's place is made of.
    pub(super) image: String,
    pub(super) id: InstanceId,
}

impl DockerWorkspace {
    /// Whether there is one.
    pub(super) async fn is_there(&self) -> Result<bool, SandboxError> {
        self.engine.has_volume(&self.owner, &container::workspace_volume(&self.id)).await
    }

    /// A container that lives and has the workspace.
    async fn container(&self) -> Result<String, SandboxError> {
        if let Some(living) = self.living().await? {
            return Ok(living);
        }
        let turn = self.turns.of(&self.id);
        let _turn = turn.lock().await;
        // It may have been made again meanwhile.
        match self.living().await? {
            Some(living) => Ok(living),
            None => self.keeper().await,
        }
    }

    /// The container that stands for the agent's.
    async fn keeper(&self) -> Result<String, SandboxError> {
        if !self.is_there().await? {
            return Err(SandboxError::Gone);
        }
        let name = container::keeper(&self.id);
        let found = self.engine.container(&name).await?;
        if let Some(keeper) = found.filter(|found| found.owner.as_ref() == Some(&self.owner)) {
            if keeper.running {
                return Ok(keeper.id);
            }
            self.engine.remove_container(&keeper.id).await?;
        }
        let specification = container::keeper_specification(&self.owner, &self.image, &self.id);
        Ok(self.engine.start(&name, specification).await?)
    }

    async fn living(&self) -> Result<Option<String>, SandboxError> {
        let found = self.engine.container(&container::name(&self.id)).await?;
        let ours = found.filter(|found| found.running && found.owner.as_ref() == Some(&self.owner));
        Ok(ours.map(|found| found.id))
    }

    /// Runs a command in a container that has the workspace, or in the one that stands for it when the agent leaves no
    /// process for others.
    async fn run(
        &self,
        container: &str,
        doing: &str,
        command: &[&str],
        mut take: impl FnMut(&[u8]) -> bool,
    ) -> Result<(), SandboxError> {
        match command::run(&self.engine, container, doing, command, &mut take).await {
            Err(CommandError::NotStarted(reason)) => {
                let keeper = self.instead(&reason).await?;
                Ok(command::run(&self.engine, &keeper, doing, command, take).await?)
            }
            done => Ok(done?),
        }
    }

    /// What a command writes that is run as [`run`](Self::run) does.
    async fn output(&self, container: &str, doing: &str, command: &[&str]) -> Result<Output, SandboxError> {
        match command::output(&self.engine, container, doing, command).await {
            Err(CommandError::NotStarted(reason)) => {
                let keeper = self.instead(&reason).await?;
                Ok(command::output(&self.engine, &keeper, doing, command).await?)
            }
            output => Ok(output?),
        }
    }

    async fn instead(&self, reason: &str) -> Result<String, SandboxError> {
        tracing::debug!(instance = %self.id, reason, "a command is run beside the agent's container");
        let turn = self.turns.of(&self.id);
        let _turn = turn.lock().await;
        self.keeper().await
    }

    /// Removes what is left of a file that did not get to its place.
    async fn give_up(&self, container: &str, path: &str) {
        let remove = ["/bin/rm", "-f", "--", &absolute(path)];
        let removed = self.run(container, "remove what is left", &remove, |_| true).await;
        if let Err(error) = removed {
            tracing::warn!(instance = %self.id, %error, "something is left of a file that was not written");
        }
    }

    async fn look(&self, container: &str, path: &WorkspacePath) -> Result<Option<FileInfo>, SandboxError> {
        let found = walk(&self.engine, container, path).await?;
        if found.directories < parents(path).count() && found.entry != Entry::Missing {
            return Err(SandboxError::NotAFile(path.to_string()));
        }
        Ok(info(&found.entry))
    }
}

impl Workspace for DockerWorkspace {
    fn stat<'a>(&'a self, path: &'a WorkspacePath) -> BoxFuture<'a, Result<Option<FileInfo>, SandboxError>> {
        async move { self.look(&self.container().await?, path).await }.boxed()
    }

    fn list<'a>(
        &'a self,
        directory: Option<&'a WorkspacePath>,
        after: Option<&'a str>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Option<Listing>, SandboxError>> {
        async move {
            let container = self.container().await?;
            let place = match directory {
                None => WORKSPACE.to_owned(),
                Some(path) => match self.look(&container, path).await? {
                    None => return Ok(None),
                    Some(info) if info.kind == FileType::Directory => absolute(path.as_str()),
                    Some(_) => return Err(SandboxError::NotAFile(path.to_string())),
                },
            };
            let mut entries = Entries::new(after, limit);
            // The place itself is not followed should it be a link by now.
            let find = ["/usr/bin/find", "-P", &place, "-mindepth", "1", "-maxdepth", "1", "-printf", FORMAT];
            self.run(&container, "list the directory", &find, |part| entries.push(part)).await?;
            Ok(Some(entries.finish()))
        }
        .boxed()
    }

    fn open<'a>(
        &'a self,
        path: &'a WorkspacePath,
    ) -> BoxFuture<'a, Result<Option<Box<dyn OpenFile>>, SandboxError>> {
        async move {
            let container = self.container().await?;
            match self.look(&container, path).await? {
                None => Ok(None),
                Some(info) if info.kind == FileType::File => {
                    let content = Content { workspace: self.clone(), container, path: path.clone(), info };
                    Ok(Some(Box::new(content) as Box<dyn OpenFile>))
                }
                Some(_) => Err(SandboxError::NotAFile(path.to_string())),
            }
        }
        .boxed()
    }

    fn stage(&self) -> BoxFuture<'_, Result<Box<dyn StagedFile>, SandboxError>> {
        async move {
            if !self.is_there().await? {
                return Err(SandboxError::Gone);
            }
            let spool = blocking(spool).await?;
            let staged = Staged { workspace: self.clone(), spool: Arc::new(spool), size: 0 };
            Ok(Box::new(staged) as Box<dyn StagedFile>)
        }
        .boxed()
    }

    fn delete<'a>(&'a self, path: &'a WorkspacePath) -> BoxFuture<'a, Result<bool, SandboxError>> {
        async move {
            let container = self.container().await?;
            let Some(info) = self.look(&container, path).await? else { return Ok(false) };
            let path = absolute(path.as_str());
            let delete = ["/bin/rm", "-rf", "--", &path];
            let deleted = self.run(&container, "delete", &delete, |_| true).await;
            if deleted.is_err() && info.kind == FileType::Directory {
                // What of it may not be changed is made so, by its owner. No link in it is followed.
                let open = ["/bin/chmod", "-R", "u+rwX", "--", &path];
                self.run(&container, "open the directory", &open, |_| true).await.ok();
                self.run(&container, "delete", &delete, |_| true).await?;
                return Ok(true);
            }
            deleted.map(|()| true)
        }
        .boxed()
    }
}

fn info(entry: &Entry) -> Option<FileInfo> {
    let (kind, size, modified) = match entry {
        Entry::Missing => return None,
        Entry::File { size, modified } => (FileType::File, *size, *modified),
        Entry::Directory { modified } => (FileType::Directory, 0, *modified),
        Entry::Other { modified } => (FileType::Other, 0, *modified),
    };
    Some(about(kind, size, modified))
}

fn about(kind: FileType, size: u64, modified: SystemTime) -> FileInfo {
    let nanoseconds = modified.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    FileInfo { kind, size, modified, version: format!("{size:x}-{nanoseconds:x}") }
}

/// Kind, size, time and name of an entry, each in a form of its own.
const FORMAT: &str = "%y %s %T@ %f\\0";

/// What the command lists, which is no better than what the agent made of it.
struct Entries<'a> {
    first: FirstNames<'a, FileInfo>,
    line: BytesMut,
    seen: usize,
}

impl<'a> Entries<'a> {
    /// More than any line has: a name has at most 255 bytes.
    const LONGEST: usize = 1024;

    fn new(after: Option<&'a str>, limit: usize) -> Self {
        Self { first: FirstNames::new(after, limit), line: BytesMut::new(), seen: 0 }
    }

    /// Takes what was listed; `false` when there is no end of it.
    fn push(&mut self, part: &[u8]) -> bool {
        for byte in part {
            if *byte != 0 {
                if self.line.len() < Self::LONGEST {
                    self.line.extend_from_slice(&[*byte]);
                }
                continue;
            }
            let line = self.line.split();
            if let Some((name, info)) = std::str::from_utf8(&line).ok().and_then(entry) {
                self.first.push(name, info);
            }
            self.seen += 1;
            if self.seen >= MOST_ENTRIES {
                return false;
            }
        }
        true
    }

    fn finish(self) -> Listing {
        let is_cut = self.seen >= MOST_ENTRIES;
        let (entries, more) = self.first.finish();
        let entries: Vec<_> = entries.collect();
        Listing { more: more || (is_cut && !entries.is_empty()), entries }
    }
}

fn entry(line: &str) -> Option<(&str, FileInfo)> {
    let mut parts = line.splitn(4, ' ');
    let (kind, size, time, name) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let (seconds, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let since = Duration::new(seconds.parse().ok()?, nanoseconds(fraction)?);
    let kind = match kind {
        "f" => FileType::File,
        "d" => FileType::Directory,
        _ => FileType::Other,
    };
    let size = if kind == FileType::File { size.parse().ok()? } else { 0 };
    Some((name, about(kind, size, UNIX_EPOCH.checked_add(since)?)))
}

/// The first nine digits of a fraction.
pub(super) fn nanoseconds(fraction: &str) -> Option<u32> {
    let digits: String =
        fraction.chars().take_while(char::is_ascii_digit).chain("000000000".chars()).collect();
    digits[..9].parse().ok()
}

struct Content {
    workspace: DockerWorkspace,
    container: String,
    path: WorkspacePath,
    info: FileInfo,
}

impl Content {
    /// Has a part read, and says how long it is. It is bounded, for what nobody takes any more is still read to its end.
    async fn begin(&self, place: u64, end: u64) -> Result<(Output, u64), SandboxError> {
        let length = (end - place).min(PART);
        let file = format!("if={}", absolute(self.path.as_str()));
        let (skip, count) = (format!("skip={place}"), format!("count={length}"));
        let flags = "iflag=skip_bytes,count_bytes,nofollow,nonblock";
        let read = ["/bin/dd", &file, flags, &skip, &count, "bs=256K", "status=none"];
        Ok((self.workspace.output(&self.container, "read the file", &read).await?, length))
    }
}

impl OpenFile for Content {
    fn info(&self) -> &FileInfo {
        &self.info
    }

    /// By a command, which reads no faster than its output is taken. The engine's archives are whole files, and while one
    /// is on its way the engine does nothing else with the container.
    ///
    /// The command follows the path once more. So it is looked whether the file is still the same, before the last piece
    /// is handed on.
    fn read(self: Box<Self>, range: Range<u64>) -> ByteStream {
        let reading =
            Reading { content: *self, place: range.start, end: range.end, output: None, last: None };
        stream::unfold(Some(reading), |reading| async {
            let mut reading = reading?;
            match reading.next().await {
                Ok(Some(piece)) => Some((Ok(piece), Some(reading))),
                Ok(None) => None,
                Err(error) => Some((Err(error), None)),
            }
        })
        .boxed()
    }
}

/// A file that comes.
struct Reading {
    content: Content,
    /// How much of the file has come, and how much is to come.
    place: u64,
    end: u64,
    /// What is under way, and how many bytes of it are missing.
    output: Option<(Output, u64)>,
    /// What is handed on once it is sure that there is more, or that the file is still the same.
    last: Option<Bytes>,
}

impl Reading {
    async fn next(&mut self) -> Result<Option<Bytes>, SandboxError> {
        while self.place < self.end {
            let (mut output, missing) = match self.output.take() {
                Some(output) => output,
                None => self.content.begin(self.place, self.end).await?,
            };
            let piece = tokio::time::timeout(limits::FILE_PAUSE, output.next()).await;
            let piece = piece.map_err(|_| failed("read the file", &"the engine stopped"))?;
            let piece = piece.ok_or_else(|| failed("read the file", &"it became shorter"))?;
            let mut piece = piece.map_err(|error| failed("read the file", &error))?;
            piece.truncate(usize::try_from(missing).unwrap_or(usize::MAX));
            self.place += piece.len() as u64;
            let missing = missing - piece.len() as u64;
            self.output = (missing > 0).then_some((output, missing));
            if let Some(before) = self.last.replace(piece) {
                return Ok(Some(before));
            }
        }
        let Some(last) = self.last.take() else { return Ok(None) };
        let Content { workspace, container, path, info } = &self.content;
        if workspace.look(container, path).await?.as_ref() != Some(info) {
            return Err(failed("read the file", &"it was changed meanwhile"));
        }
        Ok(Some(last))
    }
}

/// A file of the gateway's that has no name, so that it goes with the gateway.
fn spool() -> io::Result<File> {
    let path = std::env::temp_dir().join(format!("prism-{}", Uuid::now_v7().simple()));
    let file = File::options().read(true).write(true).create_new(true).open(&path)?;
    fs::remove_file(&path)?;
    Ok(file)
}

/// A file that the gateway has, and the container not yet.
struct Staged {
    workspace: DockerWorkspace,
    spool: Arc<File>,
    size: u64,
}

impl StagedFile for Staged {
    fn write(&mut self, bytes: Bytes) -> BoxFuture<'_, Result<(), SandboxError>> {
        self.size += bytes.len() as u64;
        let spool = self.spool.clone();
        blocking(move || (&*spool).write_all(&bytes)).boxed()
    }

    fn place<'a>(
        self: Box<Self>,
        path: &'a WorkspacePath,
    ) -> BoxFuture<'a, Result<PlacedFile, SandboxError>> {
        async move {
            let engine = &self.workspace.engine;
            let container = self.workspace.container().await?;
            let found = walk(engine, &container, path).await?;
            let change = if found.file(path)?.is_some() { FileChange::Modified } else { FileChange::Created };
            let directories: Vec<_> = parents(path).collect();
            let there = directories[..found.directories].last().copied().unwrap_or_default();
            let parent = directories.last().copied().unwrap_or_default();
            let name = format!(".prism-{}.new", Uuid::now_v7().simple());
            let fresh = if parent.is_empty() { name } else { format!("{parent}/{name}") };
            self.upload(&container, there, &directories[found.directories..], &fresh).await?;
            let (from, to) = (absolute(&fresh), absolute(path.as_str()));
            // What the agent puts there meanwhile is replaced, not followed.
            let place = ["/bin/mv", "-fT", "--", &from, &to];
            let placed =
                self.workspace.run(&container, "put the file into its place", &place, |_| true).await;
            if let Err(error) = placed {
                self.workspace.give_up(&container, &fresh).await;
                return Err(error);
            }
            let info = self.workspace.look(&container, path).await?.ok_or(SandboxError::Gone)?;
            Ok(PlacedFile { change, info })
        }
        .boxed()
    }
}

impl Staged {
    /// Unpacks the file in a directory that is there, with those above it that are not.
    async fn upload(
        &self,
        container: &str,
        there: &str,
        missing: &[&str],
        path: &str,
    ) -> Result<(), SandboxError> {
        let start = if there.is_empty() { 0 } else { there.len() + 1 };
        let missing: Vec<_> = missing.iter().map(|directory| &directory[start..]).collect();
        let head = archive::head(&missing, &path[start..], self.size, SystemTime::now());
        let head = head.map_err(|error| failed("pack the file", &error))?;
        let content = stream::try_unfold((self.spool.clone(), 0), |(spool, place)| async move {
            let reading = spool.clone();
            let read = spawn_blocking(move || piece(&reading, place)).await.map_err(io::Error::other)??;
            let next = place + read.len() as u64;
            Ok((!read.is_empty()).then_some((read, (spool, next))))
        });
        let parts = stream::iter([Ok(Bytes::from(head))])
            .chain(content)
            .chain(stream::iter([Ok(Bytes::from(archive::tail(self.size)))]));
        let options = UploadToContainerOptionsBuilder::new()
            .path(&absolute(there))
            .no_overwrite_dir_non_dir("true")
            .build();
        let engine = &self.workspace.engine;
        let body = body_try_stream(parts);
        let uploaded = engine.transfers().upload_to_container(container, Some(options), body).await;
        match uploaded.map_err(|error| engine.failure("write the file", error)) {
            Ok(()) => Ok(()),
            Err(Failure::Missing(_)) => Err(SandboxError::Gone),
            Err(failure) => {
                self.workspace.give_up(container, path).await;
                Err(no_room(failure.into()))
            }
        }
    }
}

/// The piece of the spool at a place; empty at its end.
fn piece(spool: &File, place: u64) -> io::Result<Bytes> {
    use io::Read;
    let mut spool = spool;
    spool.seek(io::SeekFrom::Start(place))?;
    let mut piece = Vec::new();
    spool.take(limits::FILE_PIECE as u64).read_to_end(&mut piece)?;
    Ok(piece.into())
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, SandboxError> {
    let done = spawn_blocking(work).await.map_err(io::Error::other).and_then(|done| done);
    done.map_err(|error| match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => SandboxError::NoRoom,
        _ => failed("keep the file", &error),
    })
}

fn no_room(error: SandboxError) -> SandboxError {
    match error {
        SandboxError::Failed(text) if text.contains("no space left on device") => SandboxError::NoRoom,
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_listed_is_taken_as_far_as_it_makes_sense() {
        let mut entries = Entries::new(None, 10);
        let listed = "f 3 1700000000.1234567890 a b\0d 4096 1.5 dir\0p 0 1.0 pipe\0l 4 0.0 link\0\
                      f x 1.0 bad\0nonsense\0f 1 -1.0 old\0f 1 1.0 ../up\0";
        for part in listed.as_bytes().chunks(7) {
            assert!(entries.push(part));
        }
        let listing = entries.finish();
        let told: Vec<_> = listing
            .entries
            .iter()
            .map(|(name, info)| (name.as_str(), info.kind.as_str(), info.size))
            .collect();
        assert_eq!(
            told,
            [("a b", "file", 3), ("dir", "directory", 0), ("link", "other", 0), ("pipe", "other", 0)]
        );
        let time = listing.entries[0].1.modified.duration_since(UNIX_EPOCH).unwrap();
        assert_eq!(time, Duration::new(1_700_000_000, 123_456_789));
        assert!(!listing.more);
    }

    #[test]
    fn a_listing_without_an_end_is_cut() {
        let mut entries = Entries::new(None, 2);
        let part = "f 1 1.0 a\0f 1 1.0 b\0".repeat(MOST_ENTRIES / 2 - 1);
        assert!(entries.push(part.as_bytes()));
        assert!(!entries.push(b"f 1 1.0 c\0f 1 1.0 d\0f 1 1.0 e\0"));
        assert!(entries.finish().more);
        let mut entries = Entries::new(None, 2);
        assert!(entries.push(&vec![b'x'; 10_000_000]));
        assert!(entries.line.len() <= Entries::LONGEST);
    }
}
