//! Files of a workspace: list, read, write, delete.
//!
//! A change is made first and told afterwards: the event is in the log once the file is as it says. A server that dies
//! between the two has answered nobody; who asked asks again, and is told then. Were it the other way around, the log
//! could tell of a file that never was.
//!
//! Changes of one deployment are placed one after the other, each with its conditions, its event and its entry of the
//! audit log. What is uploaded is staged before that, for as long as it takes.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use bytes::Bytes;
use futures::{Stream, StreamExt};
use prism_types::{DeploymentId, EventPayload, FileChange, FilesystemChanged};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{author::Author, deployments, messages};
use crate::{
    core::Core,
    domain::{
        audit::Subject,
        deployment::{AgentSpec, Deployment, DeploymentState},
        event::NewEvent,
        limits,
        machine::Machine,
        precondition::Tags,
        tenant::Principal,
        workspace::WorkspacePath,
    },
    error::{Error, ErrorKind, Result},
    ports::{
        Commit, FileInfo, Harness, Listing, OpenFile, PlacedFile, Sandbox, SandboxError, SandboxRequest,
        Workspace, Write,
    },
};

/// What a request says of the file that it is about.
#[derive(Debug, Default)]
pub(crate) struct Conditions {
    /// It has to be one of these.
    pub(crate) if_match: Option<Tags>,
    /// It must be none of these.
    pub(crate) if_none_match: Option<Tags>,
}

impl Conditions {
    /// Whether they hold for what is there.
    pub(crate) fn check(&self, found: Option<&FileInfo>) -> Result<()> {
        let etag = found.map(FileInfo::etag);
        let is_named = |tags: &Tags| etag.as_deref().is_some_and(|etag| tags.name(etag));
        let is_named_weakly = |tags: &Tags| etag.as_deref().is_some_and(|etag| tags.name_weakly(etag));
        let broken = if self.if_match.as_ref().is_some_and(|tags| !is_named(tags)) {
            "The file is not one that `If-Match` names. Read it again."
        } else if self.if_none_match.as_ref().is_some_and(is_named_weakly) {
            "There is a file that `If-None-Match` excludes. Read it, or choose another path."
        } else {
            return Ok(());
        };
        Err(Error::new(ErrorKind::PreconditionFailed, broken))
    }
}

/// A file that is read, and the right to do so.
pub(crate) struct Opened {
    pub(crate) file: Box<dyn OpenFile>,
    /// To be kept until the file was read.
    pub(crate) transfer: Transfer,
}

/// The entries of a directory, after a name, at most so many; `None`: the root.
pub(crate) async fn list(
    core: &Core,
    principal: &Principal,
    id: &DeploymentId,
    directory: Option<&WorkspacePath>,
    after: Option<&str>,
    limit: usize,
) -> Result<Listing> {
    let place = Place::of(core, principal, id).await?;
    let listed = place.workspace.list(directory, after, limit).await.map_err(refused)?;
    listed.ok_or_else(|| Error::not_found("Path"))
}

/// Opens a file.
pub(crate) async fn open(
    core: &Core,
    principal: &Principal,
    id: &DeploymentId,
    path: &WorkspacePath,
) -> Result<Opened> {
    let place = Place::of(core, principal, id).await?;
    let transfer = core.file_desks.of(id).transfer()?;
    let opened = place.workspace.open(path).await.map_err(refused)?;
    Ok(Opened { file: opened.ok_or_else(|| Error::not_found("Path"))?, transfer })
}

/// Writes a file, and the directories above it. Until all of it has come, nothing changes.
pub(crate) async fn write(
    core: &Core,
    author: &Author,
    id: &DeploymentId,
    path: &WorkspacePath,
    conditions: &Conditions,
    content: impl Stream<Item = Result<Bytes>> + Send,
) -> Result<FileInfo> {
    let place = Place::of(core, &author.principal, id).await?;
    let desk = core.file_desks.of(id);
    let _transfer = desk.transfer()?;
    // Nobody uploads what is refused in the end.
    conditions.check(place.look(path).await?.as_ref())?;
    let mut staged = place.workspace.stage().await.map_err(refused)?;
    let upload = async {
        let mut content = std::pin::pin!(content);
        while let Some(piece) = content.next().await {
            staged.write(piece?).await.map_err(refused)?;
        }
        Ok::<_, Error>(())
    };
    let uploaded = core.shutdown.run_until_cancelled(upload).await;
    uploaded.unwrap_or_else(|| Err(unavailable("The server is stopping. Try again.")))?;

    let _turn = desk.turn.lock().await;
    // The upload may have taken long.
    let place = Place::of(core, &author.principal, id).await?;
    conditions.check(place.look(path).await?.as_ref())?;
    let written_down = place.written_down(core, author, path).await?;
    let outside = place.harness.begin_change(&place.deployment.instance_id).await;
    let PlacedFile { change, info } = staged.place(path).await.map_err(refused)?;
    outside.changed(path, Some(&info));
    core.store.commit(written_down(change)).await?;
    Ok(info)
}

/// Deletes a file, or a directory with all that is in it.
pub(crate) async fn delete(
    core: &Core,
    author: &Author,
    id: &DeploymentId,
    path: &WorkspacePath,
    conditions: &Conditions,
) -> Result<()> {
    let desk = core.file_desks.of(id);
    let _turn = desk.turn.lock().await;
    let place = Place::of(core, &author.principal, id).await?;
    conditions.check(place.look(path).await?.as_ref())?;
    let written_down = place.written_down(core, author, path).await?;
    let outside = place.harness.begin_change(&place.deployment.instance_id).await;
    if !place.workspace.delete(path).await.map_err(refused)? {
        return Err(Error::not_found("Path"));
    }
    outside.changed(path, None);
    Ok(core.store.commit(written_down(FileChange::Deleted)).await?)
}

/// A deployment whose files can be used.
struct Place<'a> {
    deployment: Deployment,
    spec: Arc<AgentSpec>,
    harness: &'a Arc<dyn Harness>,
    workspace: Arc<dyn Workspace>,
}

impl<'a> Place<'a> {
    async fn of(core: &'a Core, principal: &Principal, id: &DeploymentId) -> Result<Self> {
        let deployment = deployments::get(core, principal, id).await?;
        messages::require_ready(core, &deployment)?;
        let spec = core.store.spec(id, deployment.spec_version).await?.map(Arc::new);
        let spec = spec.ok_or_else(|| Error::internal("a deployment has no specification"))?;
        let harness = core.harness(&deployment.runtime);
        let harness = harness.ok_or_else(|| unavailable("This server cannot run the deployment now."))?;
        let sandboxes = core.sandbox(&harness.sandbox_for(&spec.sandbox));
        let sandboxes = sandboxes.ok_or_else(|| unavailable("This server has no such sandbox now."))?;
        let found = sandboxes.workspace(&deployment.instance_id).await.map_err(refused)?;
        let workspace = match found {
            Some(workspace) => workspace,
            None if harness.is_resident() => {
                return Err(unavailable("The workspace is being made. Try again."));
            }
            None => make(core, sandboxes, &deployment).await?,
        };
        Ok(Self { deployment, spec, harness, workspace })
    }

    async fn look(&self, path: &WorkspacePath) -> Result<Option<FileInfo>> {
        self.workspace.stat(path).await.map_err(refused)
    }

    /// What is committed once this path was changed: an entry of the audit log, and the event, if that is wanted. No
    /// secret of the deployment is told by a path.
    async fn written_down(
        &self,
        core: &Core,
        author: &Author,
        path: &WorkspacePath,
    ) -> Result<impl FnOnce(FileChange) -> Commit> {
        let outbound = core.outbound(&self.deployment, &self.spec).await;
        let outbound = outbound.map_err(|failure| Error::internal(failure.message))?;
        let path = outbound.scrubber().text(path.as_str()).into_owned();
        let (id, now) = (self.deployment.id.clone(), core.clock.now());
        let entry = author.entry(core, Subject::in_deployment(&id, &path));
        let is_told = self.spec.features.filesystem_webhooks;
        Ok(move |change| {
            let changed = EventPayload::Filesystem(FilesystemChanged::new(change, path));
            let event = is_told.then(|| Write::Append(NewEvent::new(id, &changed, now)));
            Commit::new().with(entry).with_all(event)
        })
    }
}

/// Makes a sandbox in which nothing runs, as the next run would: one that did not outlive the last server.
async fn make(
    core: &Core,
    sandboxes: &Arc<dyn Sandbox>,
    deployment: &Deployment,
) -> Result<Arc<dyn Workspace>> {
    let (instance, id) = (deployment.instance_id.clone(), deployment.id.clone());
    let request = SandboxRequest::new(instance.clone(), id, deployment.persistent);
    sandboxes.ensure(request).await.map_err(refused)?;
    // Whoever deleted the deployment meanwhile has removed its sandbox already.
    let now = core.store.deployment(&deployment.id).await?;
    if now.is_none_or(|now| now.state == DeploymentState::Deleted) {
        sandboxes.remove(&instance).await.map_err(refused)?;
        return Err(Error::not_found("Deployment"));
    }
    sandboxes.workspace(&instance).await.map_err(refused)?.ok_or_else(|| refused(SandboxError::Gone))
}

/// What a refusal of the workspace is for the caller. The path is the only thing that can be wrong.
pub(crate) fn refused(error: SandboxError) -> Error {
    match error {
        SandboxError::NotAFile(path) => {
            let message = format!(
                "`{path}` is not what this needs: a file to be read or written, a directory to be listed; or it \
                 leads through something that is no directory. Links are not followed."
            );
            Error::new(ErrorKind::Invalid, message)
        }
        SandboxError::Denied(path) => {
            let message = format!("The agent has set permissions that do not allow this with `{path}`.");
            Error::new(ErrorKind::Invalid, message)
        }
        SandboxError::Limit(limit) => {
            Error::new(ErrorKind::TooLarge, format!("Nothing was written: {limit}."))
        }
        SandboxError::NoRoom => unavailable("The workspace has no room left. Delete files, then try again."),
        SandboxError::Gone => unavailable("The workspace is being made again. Try again."),
        SandboxError::Unavailable(cause) => {
            tracing::warn!(cause, "a workspace is out of reach");
            unavailable("The workspace is out of reach. Try again.")
        }
        SandboxError::Failed(cause) => Error::internal(cause),
        error @ SandboxError::Refused(_) => Error::internal(error),
    }
}

fn unavailable(message: &'static str) -> Error {
    Error::new(ErrorKind::Unavailable, message).retry_after(Duration::from_secs(1))
}

/// Where those wait who work with the files of a deployment.
#[derive(Default)]
pub(crate) struct FileDesks(Mutex<HashMap<DeploymentId, Weak<Desk>>>);

struct Desk {
    transfers: Arc<Semaphore>,
    /// Held by who changes something.
    turn: tokio::sync::Mutex<()>,
}

impl FileDesks {
    fn of(&self, id: &DeploymentId) -> Arc<Desk> {
        let mut desks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(desk) = desks.get(id).and_then(Weak::upgrade) {
            return desk;
        }
        // Those at which nobody is any more.
        desks.retain(|_, desk| desk.strong_count() > 0);
        let transfers = Arc::new(Semaphore::new(limits::FILE_TRANSFERS));
        let desk = Arc::new(Desk { transfers, turn: tokio::sync::Mutex::default() });
        desks.insert(id.clone(), Arc::downgrade(&desk));
        desk
    }
}

impl FileDesks {
    /// The right to have something done in a machine, which counts with those to upload files.
    pub(crate) fn transfer_in(&self, machine: &Machine) -> Result<Transfer> {
        let id = machine.deployment_id().ok_or_else(|| Error::internal("a machine has no suffix"))?;
        self.of(&id).transfer()
    }
}

impl Desk {
    /// The right to upload or download a file.
    fn transfer(self: &Arc<Self>) -> Result<Transfer> {
        let permit = self.transfers.clone().try_acquire_owned().map_err(|_| {
            let most = limits::FILE_TRANSFERS;
            let message =
                format!("{most} files or programs are under way here, which is the most. Try again.");
            Error::new(ErrorKind::RateLimited, message).retry_after(Duration::from_secs(1))
        })?;
        Ok(Transfer { _desk: self.clone(), _permit: permit })
    }
}

/// The right to upload or download a file, until it is dropped.
pub(crate) struct Transfer {
    /// Kept, so that everybody counts at the same desk.
    _desk: Arc<Desk>,
    _permit: OwnedSemaphorePermit,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_files_as_the_limit_are_on_their_way_and_not_one_more() {
        let desks = FileDesks::default();
        let (one, other) = ("dep_a".parse().unwrap(), "dep_b".parse().unwrap());
        let mut transfers: Vec<_> =
            (0..limits::FILE_TRANSFERS).map(|_| desks.of(&one).transfer().unwrap()).collect();
        let refused = desks.of(&one).transfer().err().unwrap();
        assert_eq!(
            (refused.kind(), refused.retry_hint()),
            (ErrorKind::RateLimited, Some(Duration::from_secs(1)))
        );
        assert!(desks.of(&other).transfer().is_ok(), "another deployment has its own");
        transfers.pop();
        assert!(desks.of(&one).transfer().is_ok());
    }

    #[test]
    fn every_refusal_says_what_to_do() {
        for (error, kind) in [
            (SandboxError::NotAFile("a".to_owned()), ErrorKind::Invalid),
            (SandboxError::Denied("a".to_owned()), ErrorKind::Invalid),
            (SandboxError::Limit("at most 1 byte".to_owned()), ErrorKind::TooLarge),
            (SandboxError::NoRoom, ErrorKind::Unavailable),
            (SandboxError::Gone, ErrorKind::Unavailable),
            (SandboxError::Unavailable("/var/run".to_owned()), ErrorKind::Unavailable),
            (SandboxError::Failed("/var/run".to_owned()), ErrorKind::Internal),
        ] {
            let refused = refused(error);
            assert_eq!(refused.kind(), kind);
            assert!(!refused.message().contains("/var/run"), "causes are the operator's");
        }
    }
}
