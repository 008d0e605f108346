//! Uploads in parts: parts wait in a place of the server until all have come, and are put into the machine then.
//!
//! What is known of an upload is in its record, with the digest of each part; a part waits under a name that has its number
//! and its digest. So a part is there once its record says so, whatever happened in between, and one that is sent again
//! takes the place of the other in one step. An upload that is being completed is open in its record: where that is
//! interrupted, it is completed again.

mod archive;
mod desks;

use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt};
use prism_types::{FileType, InstanceId, UploadId};
use sha2::{Digest as _, Sha256};

pub(crate) use self::desks::Desks;
use super::{files::workspace, get, running};
use crate::{
    core::Core,
    domain::{
        audit::Subject,
        idempotency::Reply,
        limits,
        machine::upload::{
            Collision, Upload, UploadContent, UploadFault, UploadReason as Reason, UploadRoom, UploadSource,
            UploadState,
        },
        tenant::Principal,
        workspace::WorkspacePath,
    },
    error::{Error, ErrorKind, Result},
    ids::NewId,
    ports::{Commit, PartFile, SandboxError, StagingError, StoreError, Write},
    service::{Attempt, Tell, author::Author, files::refused, with_retries},
};

/// An upload to create; every part was checked by itself.
#[derive(Debug)]
pub(crate) struct NewUpload {
    pub(crate) content: UploadContent,
    pub(crate) source: UploadSource,
    /// `None`: the workspace itself.
    pub(crate) target: Option<WorkspacePath>,
    pub(crate) collision: Collision,
    pub(crate) size: u64,
    pub(crate) digest: Option<String>,
}

/// An upload, and whether it is being put into its place.
pub(crate) struct Seen {
    pub(crate) upload: Upload,
    pub(crate) is_completing: bool,
}

/// An upload that is in its place.
#[derive(Clone)]
pub(crate) struct Completed {
    pub(crate) upload: Upload,
    pub(crate) written: Written,
}

/// What was written to a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) bytes: u64,
    pub(crate) files: u64,
}

/// Creates an upload, which has no part yet.
pub(crate) async fn create(
    core: &Core,
    author: &Author,
    id: &InstanceId,
    new: NewUpload,
    tell: impl Tell<Upload>,
) -> Result<Reply> {
    let machine = running(core, &author.principal, id).await?;
    let now = core.clock.now();
    let mut upload = Upload {
        id: UploadId::generate(),
        tenant_id: machine.tenant_id,
        machine_id: machine.id,
        content: new.content,
        source: new.source,
        target: new.target.as_ref().map(ToString::to_string).unwrap_or_default(),
        collision: new.collision,
        size: new.size,
        part_size: Upload::part_size_of(new.size),
        digest: new.digest,
        parts: Default::default(),
        state: UploadState::Open,
        created_at: now,
        updated_at: now,
        expires_at: now,
        revision: 0,
    };
    upload.touch(now);
    let most = core.settings.largest_file;
    if upload.size > most {
        let message = format!("An upload can have at most {most} bytes, but this has {}.", upload.size);
        return Err(unnamed(&upload, Reason::TooLarge, message));
    }
    require_room(core, &upload, upload.size).await?;
    // Nobody uploads what is refused in the end.
    if let (UploadContent::File, Some(path)) = (new.content, &new.target) {
        require_target(core, author, &upload, path).await?;
    }
    let reply = tell(upload.clone())?;
    let commit = Commit::new()
        .with(author.entry(core, Subject::of_tenant(&upload.id)))
        .with(Write::InsertUpload(upload.clone(), room(core)))
        .with_all(author.kept(core, &reply)?);
    match core.store.commit(commit).await {
        Ok(()) => Ok(reply),
        Err(StoreError::Full("bytes of uploads")) => {
            let message =
                "Uploads that have not ended have as many bytes as they may. Complete or abort one first.";
            Err(unnamed(&upload, Reason::NoRoom, message))
        }
        Err(StoreError::Missing(_)) => Err(Error::not_found("Sandbox")),
        Err(error) => Err(error.into()),
    }
}

/// An upload to a machine.
pub(crate) async fn see(
    core: &Core,
    principal: &Principal,
    id: &InstanceId,
    upload: &UploadId,
) -> Result<Seen> {
    let upload = owned(core, principal, id, upload).await?;
    let is_completing = core.machines.uploads.of(&upload.id).is_completing();
    Ok(Seen { upload, is_completing })
}

/// Takes a part, in place of one of that number that came before. `digest`: what its SHA-256 has to be.
pub(crate) async fn put_part(
    core: &Core,
    author: &Author,
    id: &InstanceId,
    upload: &UploadId,
    number: Option<u32>,
    digest: Option<String>,
    content: impl Stream<Item = Result<Bytes>> + Send,
) -> Result<Upload> {
    let machine = running(core, &author.principal, id).await?;
    let upload = open(core, &author.principal, id, upload).await?;
    let part = number.and_then(|number| Some(Part { number, size: upload.size_of_part(number)? }));
    let Some(part) = part else {
        let message = format!("The upload has {} parts, counted from 0.", upload.part_count());
        return Err(refuse(&upload, Reason::PartNumber, message));
    };
    let desk = core.machines.uploads.of(&upload.id);
    let _transfer = core.file_desks.transfer_in(&machine)?;
    let _place = desk.place_for_part()?;
    require_room(core, &upload, part.size).await?;
    let received = core.shutdown.run_until_cancelled(receive(core, &upload, part, digest, content)).await;
    let (file, digest) = received.ok_or_else(stopping)??;
    let _turn = desk.turn().await;
    let kept = async {
        file.keep(&name(part.number, &digest)).await.map_err(|error| staged(&upload, error))?;
        note_part(core, author, &upload, part.number, Some(&digest)).await
    };
    match kept.await {
        Ok((upload, Some(before))) if before != digest => {
            discard(core.staging.remove_part(&upload.id, &name(part.number, &before)).await, &upload.id);
            Ok(upload)
        }
        Ok((upload, _)) => Ok(upload),
        // It may have ended meanwhile, and what is kept for it was removed before this part.
        Err(error) => match open(core, &author.principal, id, &upload.id).await {
            Ok(_) => Err(error),
            Err(ended) => {
                discard(core.staging.remove(&upload.id).await, &upload.id);
                Err(ended)
            }
        },
    }
}

/// Gives an upload up. One that was given up, or has expired, is no error.
pub(crate) async fn abort(core: &Core, author: &Author, id: &InstanceId, upload: &UploadId) -> Result<()> {
    owned(core, &author.principal, id, upload).await?;
    let desk = core.machines.uploads.of(upload);
    let _turn = desk.turn().await;
    with_retries(|| async {
        let mut upload = owned(core, &author.principal, id, upload).await?;
        match upload.state {
            UploadState::Completed => return Err(has_ended(&upload, UploadState::Completed).into()),
            UploadState::Aborted | UploadState::Expired => return Ok(()),
            UploadState::Open => upload.state = UploadState::Aborted,
        }
        upload.updated_at = core.clock.now();
        let entry = author.entry(core, Subject::of_tenant(&upload.id));
        core.store.commit(Commit::new().with(Write::UpdateUpload(upload)).with(entry)).await?;
        Ok::<_, Attempt>(())
    })
    .await?;
    discard(core.staging.remove(upload).await, upload);
    Ok(())
}

/// Puts an upload into its place, once all its parts have come. `digest`: what the SHA-256 of all of it has to be.
pub(crate) async fn complete(
    core: &Core,
    author: &Author,
    id: &InstanceId,
    upload: &UploadId,
    digest: Option<String>,
    tell: impl Tell<Completed>,
) -> Result<Reply> {
    owned(core, &author.principal, id, upload).await?;
    let desk = core.machines.uploads.of(upload);
    let _turn = desk.turn().await;
    let machine = running(core, &author.principal, id).await?;
    let upload = open(core, &author.principal, id, upload).await?;
    let digest = match (&upload.digest, digest) {
        (Some(first), Some(last)) if *first != last => {
            let message = "The checksum is not the one that the upload was created with.";
            return Err(refuse(&upload, Reason::Digest, message));
        }
        (first, last) => last.or_else(|| first.clone()),
    };
    if let Some(first) = upload.next_part() {
        let message = format!(
            "{} of {} parts have not come, the first of them is {first}. Send them, then complete the upload.",
            upload.missing().count(),
            upload.part_count()
        );
        return Err(of_part(&upload, Reason::Missing, first, message));
    }
    let _transfer = core.file_desks.transfer_in(&machine)?;
    let _mark = desk.complete();
    let written = async {
        match upload.content {
            UploadContent::File => place_file(core, author, &upload, digest.as_deref()).await,
            UploadContent::Archive => {
                archive::place(core, author, &machine, &upload, digest.as_deref()).await
            }
        }
    };
    let written = core.shutdown.run_until_cancelled(written).await.ok_or_else(stopping)??;
    let reply = with_retries(|| async {
        let mut upload = owned(core, &author.principal, id, &upload.id).await?;
        // Nobody else ends it meanwhile, nor does its time.
        upload.state = UploadState::Completed;
        upload.updated_at = core.clock.now();
        let reply = tell(Completed { upload: upload.clone(), written })?;
        let commit = Commit::new()
            .with(author.entry(core, Subject::of_tenant(&upload.id)))
            .with(Write::UpdateUpload(upload))
            .with_all(author.kept(core, &reply)?);
        core.store.commit(commit).await?;
        Ok::<_, Attempt>(reply)
    })
    .await?;
    discard(core.staging.remove(&upload.id).await, &upload.id);
    Ok(reply)
}

/// A part that is on its way.
#[derive(Clone, Copy)]
struct Part {
    number: u32,
    size: u64,
}

/// Writes a part to where it waits; with its digest.
async fn receive(
    core: &Core,
    upload: &Upload,
    part: Part,
    digest: Option<String>,
    content: impl Stream<Item = Result<Bytes>> + Send,
) -> Result<(Box<dyn PartFile>, String)> {
    let mut file = core.staging.begin(&upload.id).await.map_err(|error| staged(upload, error))?;
    let (mut hash, mut size) = (Sha256::new(), 0);
    let mut content = std::pin::pin!(content);
    let wrong_size = |size| {
        let message = format!("The part must have {} bytes, but has {size}.", part.size);
        of_part(upload, Reason::PartSize, part.number, message)
    };
    while let Some(piece) = content.next().await {
        let piece = piece?;
        size += piece.len() as u64;
        if size > part.size {
            return Err(wrong_size(format!("more, such as {size}")));
        }
        hash.update(&piece);
        file.write(piece).await.map_err(|error| staged(upload, error))?;
    }
    if size != part.size {
        return Err(wrong_size(size.to_string()));
    }
    let found = hex(hash);
    if digest.is_some_and(|digest| digest != found) {
        let message = "The part is not what its checksum says. Send it again.";
        return Err(of_part(upload, Reason::PartDigest, part.number, message));
    }
    Ok((file, found))
}

/// Writes down that a part has come, or that it is lost; what it was before.
async fn note_part(
    core: &Core,
    author: &Author,
    upload: &Upload,
    number: u32,
    digest: Option<&str>,
) -> Result<(Upload, Option<String>)> {
    with_retries(|| async {
        let mut upload = open(core, &author.principal, &upload.machine_id, &upload.id).await?;
        let before = match digest {
            Some(digest) => upload.parts.insert(number, digest.to_owned()),
            None => upload.parts.remove(&number),
        };
        upload.touch(core.clock.now());
        let entry = author.entry(core, Subject::of_tenant(&upload.id));
        core.store.commit(Commit::new().with(Write::UpdateUpload(upload.clone())).with(entry)).await?;
        Ok::<_, Attempt>((upload, before))
    })
    .await
}

/// Puts the bytes of an upload to where its file is to be.
async fn place_file(core: &Core, author: &Author, upload: &Upload, digest: Option<&str>) -> Result<Written> {
    let path: WorkspacePath = upload.target.parse().map_err(Error::internal)?;
    let workspace = workspace(core, &author.principal, &upload.machine_id).await?;
    require_target(core, author, upload, &path).await?;
    let mut staged = workspace.stage().await.map_err(refused)?;
    let mut whole = Sha256::new();
    for (number, part_digest) in &upload.parts {
        let mut pieces = Pieces::of(core, author, upload, *number, part_digest).await?;
        while let Some(piece) = pieces.next().await? {
            whole.update(&piece);
            staged.write(piece).await.map_err(refused)?;
        }
    }
    require_digest(upload, digest, whole)?;
    let found = workspace.stat(&path).await.map_err(refused)?;
    if upload.collision == Collision::Replace && found.is_some_and(|found| found.kind != FileType::File) {
        workspace.delete(&path).await.map_err(refused)?;
    }
    match staged.place(&path).await {
        Ok(_) => Ok(Written { bytes: upload.size, files: 1 }),
        Err(SandboxError::NotAFile(_)) => Err(taken(upload)),
        Err(error) => Err(refused(error)),
    }
}

/// A part that is read, and has to be what came.
struct Pieces<'a> {
    core: &'a Core,
    author: &'a Author,
    upload: &'a Upload,
    number: u32,
    digest: &'a str,
    left: futures::stream::BoxStream<'static, Result<Bytes, StagingError>>,
    hash: Option<Sha256>,
}

impl<'a> Pieces<'a> {
    async fn of(
        core: &'a Core,
        author: &'a Author,
        upload: &'a Upload,
        number: u32,
        digest: &'a str,
    ) -> Result<Self> {
        let read = core.staging.read(&upload.id, &name(number, digest)).await;
        let left = match read {
            Ok(pieces) => pieces,
            Err(error) => return Err(lost(core, author, upload, number, &error).await),
        };
        Ok(Self { core, author, upload, number, digest, left, hash: Some(Sha256::new()) })
    }

    async fn next(&mut self) -> Result<Option<Bytes>> {
        let error = match self.left.next().await {
            Some(Ok(piece)) => {
                if let Some(hash) = &mut self.hash {
                    hash.update(&piece);
                }
                return Ok(Some(piece));
            }
            None if self.hash.take().is_none_or(|hash| hex(hash) == self.digest) => return Ok(None),
            None => StagingError::Failed("it is not what came".to_owned()),
            Some(Err(error)) => error,
        };
        Err(lost(self.core, self.author, self.upload, self.number, &error).await)
    }
}

/// A part is not there as it came: it has to be sent again.
async fn lost(core: &Core, author: &Author, upload: &Upload, number: u32, error: &StagingError) -> Error {
    tracing::error!(upload = %upload.id, number, %error, "a part of an upload was lost");
    if let Err(error) = note_part(core, author, upload, number, None).await {
        return error;
    }
    let message = format!("The server has lost part {number}. Send it again, then complete the upload.");
    of_part(upload, Reason::PartDigest, number, message)
}

/// An upload of the caller's tenant.
async fn owned(core: &Core, principal: &Principal, id: &InstanceId, upload: &UploadId) -> Result<Upload> {
    let machine = get(core, principal, id).await?;
    let found = core.store.upload(upload).await?;
    found.filter(|upload| upload.machine_id == machine.id).ok_or_else(|| Error::not_found("Upload"))
}

/// An upload that has not ended.
async fn open(core: &Core, principal: &Principal, id: &InstanceId, upload: &UploadId) -> Result<Upload> {
    let upload = owned(core, principal, id, upload).await?;
    match upload.state_at(core.clock.now()) {
        UploadState::Open => Ok(upload),
        ended => Err(has_ended(&upload, ended)),
    }
}

fn has_ended(upload: &Upload, ended: UploadState) -> Error {
    let (reason, message) = match ended {
        UploadState::Completed => (Reason::Completed, "The upload was completed before."),
        UploadState::Aborted => (Reason::Aborted, "The upload was aborted. Create another one."),
        UploadState::Expired | UploadState::Open => {
            (Reason::Expired, "The upload has expired. Create another one.")
        }
    };
    refuse(upload, reason, message)
}

/// Refuses a target at which something is, where that matters.
async fn require_target(core: &Core, author: &Author, upload: &Upload, path: &WorkspacePath) -> Result<()> {
    let workspace = workspace(core, &author.principal, &upload.machine_id).await?;
    match workspace.stat(path).await {
        Ok(None) => Ok(()),
        Ok(Some(_)) if upload.collision == Collision::Refuse => Err(taken(upload)),
        Ok(Some(found)) if upload.collision == Collision::Merge && found.kind != FileType::File => {
            Err(taken(upload))
        }
        Ok(Some(_)) => Ok(()),
        Err(SandboxError::NotAFile(_)) => Err(taken(upload)),
        Err(error) => Err(refused(error)),
    }
}

fn taken(upload: &Upload) -> Error {
    let message = format!(
        "Something is at `{}` that is not to be replaced, or on the way there. Remove it, choose another path, or \
         send another `conflict`.",
        shown(upload)
    );
    refuse(upload, Reason::Target, message)
}

/// Refuses bytes that are not what their digest says.
fn require_digest(upload: &Upload, digest: Option<&str>, found: Sha256) -> Result<()> {
    if digest.is_none_or(|digest| digest == hex(found)) {
        return Ok(());
    }
    let message = "All parts together are not what the checksum says. Send the parts that are wrong again, or abort the upload.";
    Err(refuse(upload, Reason::Digest, message))
}

/// Refuses what would leave too little of the disk.
async fn require_room(core: &Core, upload: &Upload, bytes: u64) -> Result<()> {
    let room = core.staging.room().await.map_err(Error::internal)?;
    if room.is_none_or(|room| room >= limits::UPLOAD_RESERVE.saturating_add(bytes)) {
        return Ok(());
    }
    Err(no_room(upload))
}

fn no_room(upload: &Upload) -> Error {
    unnamed(upload, Reason::NoRoom, "The disk of the server has no room for the upload now. Try again later.")
}

/// What there may be of uploads.
fn room(core: &Core) -> UploadRoom {
    let largest = core.settings.largest_file;
    let (of_machine, of_tenant) = limits::UPLOADS;
    let (machine, tenant) = limits::UPLOAD_ROOM;
    UploadRoom {
        of_machine,
        of_tenant,
        machine_bytes: largest.saturating_mul(machine),
        tenant_bytes: largest.saturating_mul(tenant),
    }
}

fn refuse(upload: &Upload, reason: Reason, message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    let (path, upload) = (Some(shown(upload)), Some(upload.id.clone()));
    Error::of_upload(UploadFault { reason, upload, path, part: None }, message)
}

fn of_part(
    upload: &Upload,
    reason: Reason,
    part: u32,
    message: impl Into<std::borrow::Cow<'static, str>>,
) -> Error {
    let (path, upload) = (Some(shown(upload)), Some(upload.id.clone()));
    Error::of_upload(UploadFault { reason, upload, path, part: Some(part) }, message)
}

/// Refuses an upload that there is not, or may not be.
fn unnamed(upload: &Upload, reason: Reason, message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    let path = Some(shown(upload));
    Error::of_upload(UploadFault { reason, upload: None, path, part: None }, message)
}

/// The target as users write it.
fn shown(upload: &Upload) -> String {
    match upload.target.as_str() {
        "" => "/workspace".to_owned(),
        path => format!("/workspace/{path}"),
    }
}

fn staged(upload: &Upload, error: StagingError) -> Error {
    match error {
        StagingError::NoRoom => no_room(upload),
        StagingError::Failed(_) => Error::internal(error),
    }
}

/// What was not removed is removed by the next server.
fn discard(removed: Result<(), StagingError>, upload: &UploadId) {
    if let Err(error) = removed {
        tracing::warn!(%upload, %error, "parts of an upload were not removed");
    }
}

/// What a part is kept under.
fn name(number: u32, digest: &str) -> String {
    format!("{number}-{digest}")
}

fn hex(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn stopping() -> Error {
    Error::new(ErrorKind::Unavailable, "The server is stopping. Try again.")
        .retry_after(Duration::from_secs(1))
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt, stream::BoxStream};

    use super::*;
    use crate::{
        ControlPlane,
        adapters::secret_box::{MasterKey, SealedBox},
        domain::machine::upload::tests::sample,
        ports::{BoxFuture, Staging},
    };

    /// A disk with room for so many bytes, which keeps nothing.
    struct Disk(Option<u64>);

    fn nothing<T>() -> Result<T, StagingError> {
        Err(StagingError::NoRoom)
    }

    impl Staging for Disk {
        fn begin<'a>(&'a self, _: &'a UploadId) -> BoxFuture<'a, Result<Box<dyn PartFile>, StagingError>> {
            async { nothing() }.boxed()
        }

        fn read<'a>(
            &'a self,
            _: &'a UploadId,
            _: &'a str,
        ) -> BoxFuture<'a, Result<BoxStream<'static, Result<Bytes, StagingError>>, StagingError>> {
            async { nothing() }.boxed()
        }

        fn remove_part<'a>(&'a self, _: &'a UploadId, _: &'a str) -> BoxFuture<'a, Result<(), StagingError>> {
            async { nothing() }.boxed()
        }

        fn remove<'a>(&'a self, _: &'a UploadId) -> BoxFuture<'a, Result<(), StagingError>> {
            async { nothing() }.boxed()
        }

        fn uploads(&self) -> BoxFuture<'_, Result<Vec<UploadId>, StagingError>> {
            async { Ok(Vec::new()) }.boxed()
        }

        fn room(&self) -> BoxFuture<'_, Result<Option<u64>, StagingError>> {
            async { Ok(self.0) }.boxed()
        }
    }

    async fn core(room: Option<u64>) -> std::sync::Arc<Core> {
        let builder = ControlPlane::builder(SealedBox::new(MasterKey::from_bytes([7; 32])));
        builder.staging(Disk(room)).build().await.unwrap().core()
    }

    #[tokio::test]
    async fn a_part_of_the_disk_is_left_free() {
        let upload = sample(100, 10);
        for (room, fits) in [
            (None, true),
            (Some(limits::UPLOAD_RESERVE + 100), true),
            (Some(limits::UPLOAD_RESERVE + 99), false),
        ] {
            let checked = require_room(&*core(room).await, &upload, 100).await;
            assert_eq!(checked.is_ok(), fits, "{room:?}");
            if let Err(refused) = checked {
                assert_eq!(refused.upload().unwrap().reason, Reason::NoRoom);
            }
        }
    }

    #[tokio::test]
    async fn a_part_is_refused_before_all_of_it_has_come_if_it_is_too_long_and_when_the_disk_is_full() {
        let core = core(None).await;
        let endless = || futures::stream::repeat_with(|| Ok(Bytes::from_static(b"0123")));
        let part = Part { number: 0, size: 10 };
        let refused = receive(&core, &sample(10, 10), part, None, endless()).await.err().unwrap();
        assert_eq!(refused.upload().unwrap().reason, Reason::NoRoom);
        let builder = ControlPlane::builder(SealedBox::new(MasterKey::from_bytes([7; 32])));
        let core = builder.build().await.unwrap().core();
        let refused = receive(&core, &sample(10, 10), part, None, endless()).await.err().unwrap();
        let fault = refused.upload().unwrap();
        assert_eq!((fault.reason, fault.part), (Reason::PartSize, Some(0)));
        assert!(core.staging.uploads().await.unwrap().len() <= 1);
    }

    #[test]
    fn each_end_of_an_upload_is_told_apart() {
        for (state, reason) in [
            (UploadState::Completed, Reason::Completed),
            (UploadState::Aborted, Reason::Aborted),
            (UploadState::Expired, Reason::Expired),
        ] {
            let error = has_ended(&sample(1, 1), state);
            assert_eq!((error.upload().unwrap().reason, error.kind()), (reason, ErrorKind::InvalidState));
            assert_eq!(error.upload().unwrap().path.as_deref(), Some("/workspace/a"));
        }
    }
}
