//! `prism files`.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use clap::Subcommand;
use futures::{Stream, stream};
use prism_client::{
    resources::{FileBody, Files},
    types::{DeletedFile, DeploymentId, FileEntry, FileWritten},
};
use tokio::task::spawn_blocking;

use super::Server;
use crate::{
    failure::Failure,
    output::{self, Output, or_dash, record, table},
};

/// What stands for standard input or output.
const STANDARD: &str = "-";
/// Most bytes of a file that are read at once.
const PIECE: usize = 256 << 10;

/// List, get, put and delete files of a deployment's workspace.
///
/// Paths are relative to the root of the workspace.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List a directory, by name.
    List {
        /// The deployment, such as dep_7xK9s2.
        deployment: DeploymentId,
        /// The directory; left out: the root.
        #[arg(default_value = "", hide_default_value = true)]
        path: String,
        /// Print at most so many.
        #[arg(long, value_name = "NUMBER", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
        limit: u32,
        #[command(flatten)]
        server: Server,
        #[command(flatten)]
        output: Output,
    },
    /// Read a file of the workspace.
    Get {
        /// The deployment, such as dep_7xK9s2.
        deployment: DeploymentId,
        /// The file, such as notes/plan.md.
        path: String,
        /// The file to write here; `-` or left out: standard output.
        #[arg(default_value = STANDARD, hide_default_value = true)]
        to: PathBuf,
        #[command(flatten)]
        server: Server,
    },
    /// Write a file of the workspace, in place of one that is there.
    Put {
        /// The deployment, such as dep_7xK9s2.
        deployment: DeploymentId,
        /// The file, such as notes/plan.md; directories above it are made.
        path: String,
        /// The file to read here; `-` or left out: standard input.
        #[arg(default_value = STANDARD, hide_default_value = true)]
        from: PathBuf,
        /// Fail if there is a file already.
        #[arg(long)]
        new: bool,
        #[command(flatten)]
        server: Server,
        #[command(flatten)]
        output: Output,
    },
    /// Delete a file of the workspace, or a directory with all that is in it.
    Delete {
        /// The deployment, such as dep_7xK9s2.
        deployment: DeploymentId,
        /// The file or directory, such as notes.
        path: String,
        #[command(flatten)]
        server: Server,
        #[command(flatten)]
        output: Output,
    },
}

/// Does what the command says.
pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    match arguments.command {
        Command::List { deployment, path, limit, server, output } => {
            let entries = server
                .with(async |client| list(&client.deployment(&deployment).files(), &path, limit).await)?;
            output.print(&entries, |entries| many(entries))
        }
        Command::Get { deployment, path, to, server } => {
            server.with(async |client| get(&client.deployment(&deployment).files(), &path, &to).await)
        }
        Command::Put { deployment, path, from, new, server, output } => {
            let written = server.with(async |client| {
                let content = FileBody::stream(pieces(open(&from)?));
                let call = client.deployment(&deployment).files().write(path, content);
                let call = if new { call.only_if_new() } else { call };
                Ok(call.await?.into_inner())
            })?;
            output.print(&written, one)
        }
        Command::Delete { deployment, path, server, output } => {
            let deleted = server.with(async |client| {
                Ok(client.deployment(&deployment).files().delete(path).await?.into_inner())
            })?;
            output.print(&deleted, |deleted: &DeletedFile| {
                format!("{} is deleted", output::harmless(&deleted.path))
            })
        }
    }
}

async fn list(files: &Files, path: &str, limit: u32) -> Result<Vec<FileEntry>, Failure> {
    let (mut entries, mut cursor) = (Vec::new(), None);
    loop {
        let missing = limit.saturating_sub(u32::try_from(entries.len()).unwrap_or(u32::MAX));
        let call = files.list(path).limit(missing.clamp(1, 10_000));
        let call = match cursor {
            Some(cursor) => call.cursor(cursor),
            None => call,
        };
        let page = call.await?.into_inner();
        entries.extend(page.entries);
        cursor = page.next_cursor;
        if cursor.is_none() {
            return Ok(entries);
        }
        if entries.len() >= limit as usize {
            output::note(&format!("there are more; print them with --limit {}", limit.saturating_mul(10)));
            return Ok(entries);
        }
    }
}

async fn get(files: &Files, path: &str, to: &Path) -> Result<(), Failure> {
    let mut content = files.read(path).await?;
    let mut place = Place::new(to)?;
    while let Some(piece) = content.next().await {
        place.write(&piece?)?;
    }
    place.finish()
}

/// Where a file goes: standard output, or a file that is there once all of it has come.
enum Place<'a> {
    Output,
    File { file: File, fresh: PathBuf, to: &'a Path },
}

impl<'a> Place<'a> {
    fn new(to: &'a Path) -> Result<Self, Failure> {
        if to.as_os_str() == STANDARD {
            return Ok(Self::Output);
        }
        let mut name = to.as_os_str().to_owned();
        name.push(format!(".{}.new", std::process::id()));
        let fresh = PathBuf::from(name);
        let file = File::create_new(&fresh).map_err(|error| failed(to, "written", &error))?;
        Ok(Self::File { file, fresh, to })
    }

    fn write(&mut self, piece: &[u8]) -> Result<(), Failure> {
        match self {
            Self::Output => io::stdout().lock().write_all(piece).map_err(|error| Failure::output(&error)),
            Self::File { file, to, .. } => {
                file.write_all(piece).map_err(|error| failed(to, "written", &error))
            }
        }
    }

    fn finish(self) -> Result<(), Failure> {
        match &self {
            Self::Output => io::stdout().lock().flush().map_err(|error| Failure::output(&error)),
            Self::File { fresh, to, .. } => {
                fs::rename(fresh, to).map_err(|error| failed(to, "written", &error))
            }
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Self::File { fresh, .. } = self {
            // What was finished is not there any more.
            let _ = fs::remove_file(fresh);
        }
    }
}

fn open(from: &Path) -> Result<Box<dyn Read + Send>, Failure> {
    if from.as_os_str() == STANDARD {
        return Ok(Box::new(io::stdin()));
    }
    let file = File::open(from).map_err(|error| failed(from, "read", &error))?;
    Ok(Box::new(file))
}

/// What is read, piece by piece, on a thread that may wait.
fn pieces(source: Box<dyn Read + Send>) -> impl Stream<Item = io::Result<Vec<u8>>> + Send {
    stream::try_unfold(source, |mut source| async move {
        let read = spawn_blocking(move || {
            let mut piece = Vec::new();
            source.by_ref().take(PIECE as u64).read_to_end(&mut piece)?;
            Ok::<_, io::Error>((piece, source))
        });
        let (piece, source) = read.await.map_err(io::Error::other)??;
        Ok((!piece.is_empty()).then_some((piece, source)))
    })
}

fn failed(path: &Path, done: &str, error: &io::Error) -> Failure {
    Failure::new(format!("{} cannot be {done}: {error}", path.display()))
}

fn one(written: &FileWritten) -> String {
    record([
        ("path", written.path.clone()),
        ("size", written.size.to_string()),
        ("modified", written.modified_at.to_string()),
    ])
}

fn many(entries: &[FileEntry]) -> String {
    let cells = |entry: &FileEntry| {
        let (size, modified) = (or_dash(entry.size.as_ref()), entry.modified_at.to_string());
        [entry.name.clone(), entry.kind.to_string(), size, modified]
    };
    table(["name", "type", "size", "modified"], entries.iter().map(cells))
}
