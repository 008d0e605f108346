//! Uploads in parts to a sandbox.

use std::{
    fmt,
    future::poll_fn,
    pin::Pin,
    sync::{Mutex, PoisonError},
    task::Poll,
};

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use prism_types::{
    UploadId,
    nullspace::{CompleteUpload, CompletedUpload, CreateUpload, CreatedUpload, SandboxId, UploadSession},
};
use reqwest::Method;
use sha2::{Digest as _, Sha256};

use super::{
    bundle::{hexadecimal, sha256},
    keyed,
};
use crate::{
    Client, Error, Response,
    call::{Call, calls},
    error::Kind,
    resources::{Listener, Progress, uploads},
};

const UPLOADS: &str = "/v1/sandboxes/{sandbox_id}/uploads";
const UPLOAD: &str = "/v1/sandboxes/{sandbox_id}/uploads/{upload_id}";
const PART: &str = "/v1/sandboxes/{sandbox_id}/uploads/{upload_id}/parts/{part_number}";
const COMPLETE: &str = "/v1/sandboxes/{sandbox_id}/uploads/{upload_id}/complete";

/// Most parts that are sent at a time, whatever the server takes.
const CONCURRENCY: usize = 4;
/// How much is hashed at once, in bytes.
const PIECE: usize = 1 << 20;

/// Uploads in parts to one sandbox; from [`Sandboxes::uploads`](super::Sandboxes::uploads).
///
/// They are for what is large, or goes over a connection that breaks: each part is tried again by itself, some go side by
/// side, and what was broken off goes on where it stopped, in another process if need be. Nothing is at the target before all
/// is. What is small is simpler to [write](super::SandboxFiles::write). Cheap to clone; it sends nothing by itself.
///
/// ```no_run
/// # use prism_client::{Client, types::nullspace::{CreateUpload, SandboxId, UploadKind}};
/// # async fn example(client: Client, sandbox: SandboxId, film: bytes::Bytes) -> Result<(), prism_client::Error> {
/// let uploads = client.nullspace().sandboxes().uploads(&sandbox);
/// let request = CreateUpload::new(UploadKind::File, "/workspace/film.mp4", film.len() as u64);
/// let upload = uploads.create(request).await?.into_inner().session;
/// if uploads.send(&upload, film.clone()).await.is_err() {
///     // Later, with nothing but the id:
///     let upload = uploads.get(&upload.upload_id).await?;
///     uploads.send(&upload, film).await?;
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct SandboxUploads {
    client: Client,
    sandbox: SandboxId,
}

impl SandboxUploads {
    pub(super) fn new(client: Client, sandbox: SandboxId) -> Self {
        Self { client, sandbox }
    }

    /// Begins an upload. The server keeps room for it until it is completed, aborted or expired.
    pub fn create(&self, request: CreateUpload) -> CreateUploadCall {
        let call = Call::new(&self.client, Method::POST, UPLOADS, &[self.sandbox.as_ref()]);
        CreateUploadCall { call: call.body(&request) }
    }

    /// Reads how far an upload is.
    pub fn get(&self, id: &UploadId) -> GetUploadCall {
        GetUploadCall { call: self.one(Method::GET, UPLOAD, id) }
    }

    /// Sends what an upload does not have yet, from its `next_part` on, and completes it.
    pub fn send(&self, upload: &UploadSession, content: impl Into<Bytes>) -> SendUpload {
        let (uploads, upload, content) = (self.clone(), upload.clone(), content.into());
        SendUpload { uploads, upload, content, listener: Listener::default() }
    }

    /// Sends one part, by its number from 0: `part_size` bytes, or what is left for the last one. A part that is there already
    /// can be sent again.
    pub fn put_part(&self, id: &UploadId, number: u32, part: impl Into<Bytes>) -> PutUploadPartCall {
        let part = part.into();
        let values = [self.sandbox.as_ref(), id.as_ref(), &number.to_string()];
        let mut call = Call::new(&self.client, Method::PUT, PART, &values);
        call.set_header("x-nullspace-part-sha256", &sha256(&part));
        call.set_timeout(None);
        PutUploadPartCall::sending(call, part.into())
    }

    /// Puts an upload that has all parts into its place.
    pub fn complete(&self, id: &UploadId, request: CompleteUpload) -> CompleteUploadCall {
        CompleteUploadCall { call: self.one(Method::POST, COMPLETE, id).body(&request) }
    }

    /// Gives an upload up. One that was given up can be again; one that was completed is there.
    pub fn abort(&self, id: &UploadId) -> AbortUploadCall {
        AbortUploadCall { call: self.one(Method::DELETE, UPLOAD, id) }
    }

    fn one(&self, method: Method, path: &'static str, id: &UploadId) -> Call {
        Call::new(&self.client, method, path, &[self.sandbox.as_ref(), id.as_ref()])
    }
}

calls! {
    /// `POST /v1/sandboxes/{sandbox_id}/uploads`, from [`SandboxUploads::create`]. Where there is no room, it is
    /// [`is_quota_exceeded`](crate::Error::is_quota_exceeded).
    CreateUploadCall -> CreatedUpload;
    /// `GET /v1/sandboxes/{sandbox_id}/uploads/{upload_id}`, from [`SandboxUploads::get`].
    GetUploadCall -> UploadSession;
    /// `POST /v1/sandboxes/{sandbox_id}/uploads/{upload_id}/complete`, from [`SandboxUploads::complete`].
    CompleteUploadCall -> CompletedUpload;
    /// `DELETE /v1/sandboxes/{sandbox_id}/uploads/{upload_id}`, from [`SandboxUploads::abort`].
    AbortUploadCall -> ();
}

keyed!(CreateUploadCall, CompleteUploadCall);

uploads! {
    /// `PUT /v1/sandboxes/{sandbox_id}/uploads/{upload_id}/parts/{part_number}`, from [`SandboxUploads::put_part`].
    PutUploadPartCall -> UploadSession, as "application/octet-stream";
}

/// All that an upload still needs, from [`SandboxUploads::send`].
///
/// Nothing is sent before `.await`. Dropped in the middle, it leaves an upload that goes on with another `send`.
#[must_use = "nothing is sent before `.await`"]
pub struct SendUpload {
    uploads: SandboxUploads,
    upload: UploadSession,
    content: Bytes,
    listener: Listener,
}

impl SendUpload {
    /// Tells how much was sent, after each part. What the server had before does not count.
    pub fn on_progress(mut self, listen: impl Fn(Progress) + Send + Sync + 'static) -> Self {
        self.listener = Listener::new(listen);
        self
    }

    async fn run(self) -> Result<Response<CompletedUpload>, Error> {
        let Self { uploads, upload, content, listener } = self;
        let (has, wants) = (content.len(), upload.content_length);
        if has as u64 != wants {
            let reason = format!("the content has {has} bytes, and the upload was created for {wants}");
            return Err(Error::new(Kind::Configuration(reason)));
        }
        let part_size = usize::try_from(upload.part_size).unwrap_or(usize::MAX);
        let missing = upload.next_part.unwrap_or(upload.part_count)..upload.part_count;
        let place = |number: u32| part_size.saturating_mul(number as usize).min(has);
        let meter = Mutex::new(listener.meter(Some((has - place(missing.start)) as u64), 1));
        let parts = missing.map(|number| {
            let part = content.slice(place(number)..place(number.saturating_add(1)));
            let (call, meter) = (uploads.put_part(&upload.upload_id, number, part.clone()), &meter);
            async move {
                call.send().await?;
                meter.lock().unwrap_or_else(PoisonError::into_inner).count(&part);
                Ok::<_, Error>(())
            }
        });
        let at_a_time = CONCURRENCY.min(upload.max_concurrency as usize).max(1);
        stream::iter(parts).buffer_unordered(at_a_time).try_collect::<()>().await?;
        let request = CompleteUpload::new().whole_checksum_sha256(sha256_of_much(&content).await);
        uploads.complete(&upload.upload_id, request).send().await
    }
}

/// The SHA-256 of what is large. Other tasks have their turn in between.
async fn sha256_of_much(content: &[u8]) -> String {
    let mut hash = Sha256::new();
    for piece in content.chunks(PIECE) {
        hash.update(piece);
        let mut has_yielded = false;
        poll_fn(|cx| {
            if std::mem::replace(&mut has_yielded, true) {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }
    hexadecimal(&hash.finalize())
}

impl IntoFuture for SendUpload {
    type Output = Result<Response<CompletedUpload>, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

/// Without what is sent.
impl fmt::Debug for SendUpload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendUpload").field("upload", &self.upload).finish_non_exhaustive()
    }
}
