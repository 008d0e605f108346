//! Files of machines, and of the sandboxes of jobs and services.

use std::sync::Arc;

use bytes::Bytes;
use futures::{Stream, StreamExt};
use prism_types::{FileType, InstanceId};

use super::{get, processes, running, sandboxes};
use crate::{
    core::Core,
    domain::{audit::Subject, limits, machine::MachineState, tenant::Principal, workspace::WorkspacePath},
    error::{Error, ErrorKind, Result},
    ports::{Commit, FileInfo, OpenFile, SandboxError, Workspace},
    service::{
        author::Author,
        files::{Transfer, refused},
        programs,
    },
};

/// Most entries that are read at a time.
const PAGE: usize = 1000;

/// An entry of a workspace, with its path.
pub(crate) struct Entry {
    pub(crate) path: WorkspacePath,
    pub(crate) info: FileInfo,
}

/// The workspace of a machine, or of the sandbox of a job or a service.
pub(crate) async fn workspace(
    core: &Core,
    principal: &Principal,
    id: &InstanceId,
) -> Result<Arc<dyn Workspace>> {
    if core.store.machine(id).await?.is_none() {
        return Ok(programs::sandboxes::get(core, principal, id).await?.workspace);
    }
    let machine = get(core, principal, id).await?;
    let machine = match machine.state {
        // What it has left can be rescued.
        MachineState::Failed => machine,
        _ => running(core, principal, id).await?,
    };
    let found = sandboxes(core, &machine.model)?.workspace(id).await.map_err(refused)?;
    found.ok_or_else(|| Error::not_found("Sandbox"))
}

/// What is at a path.
pub(crate) async fn stat(
    core: &Core,
    principal: &Principal,
    id: &InstanceId,
    path: &WorkspacePath,
) -> Result<Option<FileInfo>> {
    workspace(core, principal, id).await?.stat(path).await.map_err(refused)
}

/// Opens a file.
pub(crate) async fn open(
    core: &Core,
    principal: &Principal,
    id: &InstanceId,
    path: &WorkspacePath,
) -> Result<Box<dyn OpenFile>> {
    let opened = workspace(core, principal, id).await?.open(path).await.map_err(refused)?;
    opened.ok_or_else(|| Error::not_found("File"))
}

/// A file as text.
pub(crate) async fn read(
    core: &Core,
    principal: &Principal,
    id: &InstanceId,
    path: &WorkspacePath,
) -> Result<Vec<u8>> {
    let file = open(core, principal, id, path).await?;
    let size = file.info().size;
    if size > limits::MACHINE_TEXT as u64 {
        let message = format!(
            "The file has {size} bytes, and as text at most {} are read. Read its bytes: \
             `GET /v1/sandboxes/{{sandbox_id}}/file`.",
            limits::MACHINE_TEXT
        );
        return Err(Error::new(ErrorKind::TooLarge, message));
    }
    let (mut pieces, mut content) = (file.read(0..size), Vec::new());
    while let Some(piece) = pieces.next().await {
        content.extend_from_slice(&piece.map_err(refused)?);
    }
    Ok(content)
}

/// The entries of a directory, `None` the root, and of those in it so many levels down.
pub(crate) async fn list(
    core: &Core,
    principal: &Principal,
    id: &InstanceId,
    directory: Option<WorkspacePath>,
    depth: u32,
) -> Result<Vec<Entry>> {
    let workspace = workspace(core, principal, id).await?;
    let mut entries = Vec::new();
    let mut open = vec![(directory, 1)];
    while let Some((directory, level)) = open.pop() {
        let mut after: Option<String> = None;
        loop {
            let listed = workspace.list(directory.as_ref(), after.as_deref(), PAGE).await.map_err(refused)?;
            let Some(listed) = listed else {
                // What is below the first may have been removed meanwhile.
                if level == 1 {
                    return Err(Error::not_found("File"));
                }
                break;
            };
            after = listed.entries.last().map(|(name, _)| name.clone());
            for (name, info) in listed.entries {
                let path = match &directory {
                    Some(directory) => format!("{directory}/{name}").parse(),
                    None => name.parse(),
                };
                let Ok(path): Result<WorkspacePath, _> = path else { continue };
                if info.kind == FileType::Directory && level < depth {
                    open.push((Some(path.clone()), level + 1));
                }
                entries.push(Entry { path, info });
                if entries.len() > limits::MACHINE_LISTING {
                    return Err(too_many());
                }
            }
            if !listed.more {
                break;
            }
        }
    }
    entries.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(entries)
}

/// Writes a file of a machine, and the directories above it. Until all of it has come, nothing changes.
pub(crate) async fn write(
    core: &Core,
    author: &Author,
    id: &InstanceId,
    path: &WorkspacePath,
    content: impl Stream<Item = Result<Bytes>> + Send,
) -> Result<FileInfo> {
    let (workspace, _transfer) = writable(core, author, id).await?;
    let mut staged = workspace.stage().await.map_err(refused)?;
    let upload = async {
        let mut content = std::pin::pin!(content);
        while let Some(piece) = content.next().await {
            staged.write(piece?).await.map_err(refused)?;
        }
        Ok::<_, Error>(())
    };
    let stopping = || Error::new(ErrorKind::Unavailable, "The server is stopping. Try again.");
    core.shutdown.run_until_cancelled(upload).await.ok_or_else(stopping)??;
    let placed = staged.place(path).await.map_err(refused)?;
    note(core, author, id).await?;
    Ok(placed.info)
}

/// Removes a file, or a directory with all that is in it.
pub(crate) async fn remove(
    core: &Core,
    author: &Author,
    id: &InstanceId,
    path: &WorkspacePath,
) -> Result<()> {
    let (workspace, _transfer) = writable(core, author, id).await?;
    if !workspace.delete(path).await.map_err(refused)? {
        return Err(Error::not_found("File"));
    }
    note(core, author, id).await
}

/// Makes a directory, and those above it. One that is there is no error.
pub(crate) async fn make_directory(
    core: &Core,
    author: &Author,
    id: &InstanceId,
    path: &WorkspacePath,
) -> Result<()> {
    change(core, author, id, &[path], &["mkdir", "-p", "--", &inside(path)]).await
}

/// Gives a file or a directory another path, in place of a file that is there.
pub(crate) async fn rename(
    core: &Core,
    author: &Author,
    id: &InstanceId,
    from: &WorkspacePath,
    to: &WorkspacePath,
) -> Result<FileInfo> {
    change(core, author, id, &[from, to], &["mv", "-T", "--", &inside(from), &inside(to)]).await?;
    let info = stat(core, &author.principal, id, to).await?;
    info.ok_or_else(|| Error::not_found("File"))
}

/// Sets the permissions of a file or a directory, in octal digits.
pub(crate) async fn set_permissions(
    core: &Core,
    author: &Author,
    id: &InstanceId,
    path: &WorkspacePath,
    permissions: &str,
) -> Result<()> {
    let found = stat(core, &author.principal, id, path).await?.ok_or_else(|| Error::not_found("File"))?;
    if !matches!(found.kind, FileType::File | FileType::Directory) {
        return Err(refused(SandboxError::NotAFile(path.to_string())));
    }
    change(core, author, id, &[path], &["chmod", "--", permissions, &inside(path)]).await
}

/// The workspace of a machine, with the right to write to it.
async fn writable(core: &Core, author: &Author, id: &InstanceId) -> Result<(Arc<dyn Workspace>, Transfer)> {
    let machine = running(core, &author.principal, id).await?;
    let transfer = core.file_desks.transfer_in(&machine)?;
    Ok((workspace(core, &author.principal, id).await?, transfer))
}

/// Writes an entry of the audit log for a change that was made.
async fn note(core: &Core, author: &Author, id: &InstanceId) -> Result<()> {
    let entry = author.entry(core, Subject::of_tenant(id));
    Ok(core.store.commit(Commit::new().with(entry)).await?)
}

/// Has a tool of the machine change something at paths, none of which leads through a link, with the machine's rights.
async fn change(
    core: &Core,
    author: &Author,
    id: &InstanceId,
    paths: &[&WorkspacePath],
    arguments: &[&str],
) -> Result<()> {
    for path in paths {
        stat(core, &author.principal, id, path).await?;
    }
    let machine = running(core, &author.principal, id).await?;
    let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
    let changed = processes::ours(core, &machine, arguments).await?;
    if changed.code != 0 {
        let errors = String::from_utf8_lossy(&changed.errors);
        if errors.contains("No such file or directory") {
            return Err(Error::not_found("File"));
        }
        return Err(Error::new(ErrorKind::Invalid, format!("It was refused: {}", errors.trim_end())));
    }
    note(core, author, id).await
}

/// A path as tools in the workspace take it.
fn inside(path: &WorkspacePath) -> String {
    format!("./{path}")
}

fn too_many() -> Error {
    let message = format!(
        "There are more than {} entries. List directories further down, or less deep (`depth`).",
        limits::MACHINE_LISTING
    );
    Error::new(ErrorKind::TooLarge, message)
}
