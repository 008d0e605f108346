//! Files of the workspace: listed, read, written, deleted. Neither way is a file in memory as a whole, unless it is
//! asked for.

use std::{
    fmt,
    ops::{Bound, RangeBounds},
    pin::Pin,
    time::Duration,
};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, TryStream, TryStreamExt, stream};
use prism_types::{Cursor, DeletedFile, FileEntry, FileList, FileWritten};
use reqwest::{
    Method,
    header::{CONTENT_LENGTH, HeaderMap},
};
use tokio::time::timeout;

use super::deployment_collection;
use crate::{
    Error, Response, RetryPolicy,
    call::{Call, calls, header, paged, query_setters},
    error::Kind,
    retry::tried,
};

deployment_collection! {
    /// The files of one deployment; from [`DeploymentHandle::files`](super::DeploymentHandle::files).
    ///
    /// Paths are relative to the root of the workspace, which is the empty path.
    Files
}

impl Files {
    /// Lists a directory, by name: up to 10,000 entries at once.
    pub fn list(&self, path: impl Into<String>) -> ListFilesCall {
        let mut call = self.call(Method::GET, &["files"]);
        call.set_query("path", path.into());
        ListFilesCall { call }
    }

    /// Reads a file, or a part of it.
    ///
    /// ```
    /// # use prism_client::{Client, Error, types::DeploymentId};
    /// # async fn example(client: Client, deployment: DeploymentId) -> Result<(), Error> {
    /// let files = client.deployment(&deployment).files();
    /// println!("{}", files.read("notes/plan.md").await?.text().await?);
    ///
    /// let mut film = files.read("film.mp4").range(1_000_000..).await?;
    /// while let Some(piece) = film.next().await.transpose()? {
    ///     println!("{} bytes", piece.len());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn read(&self, path: impl Into<String>) -> ReadFileCall {
        let mut call = self.call(Method::GET, &["files", "content"]);
        call.set_query("path", path.into());
        call.set_accept("*/*");
        ReadFileCall { call }
    }

    /// Writes a file, in place of one that is there, and the directories above it.
    ///
    /// ```
    /// # use prism_client::{Client, Error, types::DeploymentId};
    /// # async fn example(client: Client, deployment: DeploymentId) -> Result<(), Error> {
    /// let files = client.deployment(&deployment).files();
    /// let written = files.write("notes/plan.md", "# Plan").only_if_new().await?;
    /// println!("{} bytes", written.size);
    /// # Ok(())
    /// # }
    /// ```
    pub fn write(&self, path: impl Into<String>, content: impl Into<FileBody>) -> WriteFileCall {
        let mut call = self.call(Method::PUT, &["files"]);
        call.set_query("path", path.into());
        call.set_timeout(None);
        WriteFileCall { call, content: content.into() }
    }

    /// Deletes a file, or a directory with all that is in it.
    pub fn delete(&self, path: impl Into<String>) -> DeleteFileCall {
        let mut call = self.call(Method::DELETE, &["files"]);
        call.set_query("path", path.into());
        DeleteFileCall { call }
    }

    fn call(&self, method: Method, rest: &[&str]) -> Call {
        let path = [&["v1", "deployments", self.deployment.as_str()], rest].concat();
        Call::new(&self.client, method, &path)
    }
}

calls! {
    /// `GET /v1/deployments/{deployment_id}/files`, from [`Files::list`]. Needs the scope `deployments:read`.
    ListFilesCall -> FileList;
    /// `DELETE /v1/deployments/{deployment_id}/files`, from [`Files::delete`]. Needs the scope `deployments:write`.
    DeleteFileCall -> DeletedFile;
}

paged!(ListFilesCall -> FileList of FileEntry);

query_setters!(ListFilesCall {
    /// Sets how many to answer at most, 1 to 10,000. Default: 10,000.
    limit: u32,
    /// Goes on where the list before ended: at its `next_cursor`.
    cursor: Cursor,
});

impl DeleteFileCall {
    /// Deletes only the file with this `ETag`; another one is
    /// [`is_precondition_failed`](Error::is_precondition_failed).
    pub fn if_match(mut self, etag: &str) -> Self {
        self.call.set_header("if-match", etag);
        self
    }
}

/// `GET /v1/deployments/{deployment_id}/files/content`, from [`Files::read`]. Needs the scope `deployments:read`.
///
/// Nothing is sent before [`send`](Self::send) or `.await`.
#[derive(Debug, Clone)]
#[must_use = "nothing is sent before `send` or `.await`"]
pub struct ReadFileCall {
    call: Call,
}

impl ReadFileCall {
    /// Reads a part: some bytes of the file, from 0. Default: all of them. A part that begins past the end is
    /// [`is_validation`](Error::is_validation), one without a byte [`is_configuration`](Error::is_configuration).
    pub fn range(mut self, range: impl RangeBounds<u64>) -> Self {
        let first = match range.start_bound() {
            Bound::Included(first) => *first,
            Bound::Excluded(before) => before.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(last) => last.saturating_add(1),
            Bound::Excluded(end) => *end,
            Bound::Unbounded => u64::MAX,
        };
        if first >= end {
            self.call.refuse("a range without a byte cannot be read");
            return self;
        }
        let last = if end == u64::MAX { String::new() } else { (end - 1).to_string() };
        self.call.set_header("range", &format!("bytes={first}-{last}"));
        self
    }

    /// Reads only another file than the one with this `ETag`; the same is
    /// [`is_not_modified`](Error::is_not_modified).
    pub fn if_none_match(mut self, etag: &str) -> Self {
        self.call.set_header("if-none-match", etag);
        self
    }

    /// Sets how long to wait for the answer to begin, and then for each of its pieces. Default: the client's
    /// [`timeout`](crate::ClientBuilder::timeout). The whole may take as long as it takes.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.call.set_timeout(Some(timeout));
        self
    }

    /// Sets how this call is tried again until its answer begins. Default: the client's
    /// [`retries`](crate::ClientBuilder::retries). What breaks later is not begun again; ask for the rest with
    /// [`range`](Self::range).
    pub fn retries(mut self, policy: RetryPolicy) -> Self {
        self.call.set_retry_policy(policy);
        self
    }

    /// Sends the request, again if need be, and waits for the answer to begin.
    ///
    /// # Errors
    /// See [`Error`] for what there is to ask it.
    pub async fn send(mut self) -> Result<FileContent, Error> {
        let (operation, patience) = (self.call.operation(), self.call.timeout());
        self.call.set_timeout(None);
        let begun = tried(self.call, |call| within(patience, call.exchange())).await;
        let (answer, _) = begun.map_err(|error| error.during(&operation))?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let pieces = answer.bytes_stream().map_err(Error::transport);
        Ok(FileContent { operation, patience, status, headers, pieces: Box::pin(pieces) })
    }
}

impl IntoFuture for ReadFileCall {
    type Output = Result<FileContent, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}

/// A file that is being read: piece by piece, or all at once.
pub struct FileContent {
    operation: String,
    patience: Option<Duration>,
    status: u16,
    headers: HeaderMap,
    pieces: Pin<Box<dyn Stream<Item = Result<Bytes, Error>> + Send>>,
}

impl FileContent {
    /// The next piece; `None` at the end. An end that comes too early is an error.
    pub async fn next(&mut self) -> Option<Result<Bytes, Error>> {
        let next = within(self.patience, async { Ok(self.pieces.next().await) }).await;
        let name = |error: Error| {
            error.answered(self.status, header(&self.headers, "x-request-id")).during(&self.operation)
        };
        match next {
            Ok(piece) => piece.map(|piece| piece.map_err(name)),
            Err(error) => Some(Err(name(error))),
        }
    }

    /// The pieces as a stream.
    pub fn into_stream(self) -> impl Stream<Item = Result<Bytes, Error>> + Send + Unpin {
        let pieces = stream::unfold(Some(self), |content| async {
            let mut content = content?;
            let piece = content.next().await?;
            let rest = piece.is_ok().then_some(content);
            Some((piece, rest))
        });
        Box::pin(pieces)
    }

    /// All that comes, in memory.
    ///
    /// # Errors
    /// When the connection breaks before the end, or nothing comes for too long.
    pub async fn bytes(mut self) -> Result<Bytes, Error> {
        // What the server says is not taken for granted before it has come.
        let mut whole = Vec::with_capacity(self.content_length().unwrap_or_default().min(1 << 20) as usize);
        while let Some(piece) = self.next().await {
            whole.extend_from_slice(&piece?);
        }
        Ok(whole.into())
    }

    /// All that comes as text, in memory; what is no UTF-8 is replaced by U+FFFD.
    ///
    /// # Errors
    /// As [`bytes`](Self::bytes).
    pub async fn text(self) -> Result<String, Error> {
        Ok(String::from_utf8_lossy(&self.bytes().await?).into_owned())
    }

    /// How many bytes come.
    pub fn content_length(&self) -> Option<u64> {
        self.header(CONTENT_LENGTH.as_str())?.parse().ok()
    }

    /// What names this version of the file, for [`ReadFileCall::if_none_match`] and [`WriteFileCall::if_match`].
    pub fn etag(&self) -> Option<&str> {
        self.header("etag")
    }

    /// The HTTP status: 200, or 206 for a part.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The first value of a header, whatever the case of its name; `None` when it is absent or not visible ASCII.
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }
}

/// Without headers and content.
impl fmt::Debug for FileContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileContent")
            .field("operation", &self.operation)
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

/// `PUT /v1/deployments/{deployment_id}/files`, from [`Files::write`]. Needs the scope `deployments:write`.
///
/// Nothing is sent before [`send`](Self::send) or `.await`.
#[must_use = "nothing is sent before `send` or `.await`"]
pub struct WriteFileCall {
    call: Call,
    content: FileBody,
}

impl WriteFileCall {
    /// Replaces only the file with this `ETag`; another one, or none, is
    /// [`is_precondition_failed`](Error::is_precondition_failed).
    pub fn if_match(mut self, etag: &str) -> Self {
        self.call.set_header("if-match", etag);
        self
    }

    /// Writes only where there is no file; one that is there is
    /// [`is_precondition_failed`](Error::is_precondition_failed).
    pub fn only_if_new(mut self) -> Self {
        self.call.set_header("if-none-match", "*");
        self
    }

    /// Sets the time limit of the whole call. Default: none, for a file can be large. The server gives a body up that
    /// stops for 30 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.call.set_timeout(Some(timeout));
        self
    }

    /// Sets how this call is tried again. Default: the client's [`retries`](crate::ClientBuilder::retries). Content from a
    /// [stream](FileBody::stream) is sent once.
    pub fn retries(mut self, policy: RetryPolicy) -> Self {
        self.call.set_retry_policy(policy);
        self
    }

    /// Sends the request, again if need be. The answer's header `etag` names the new version.
    ///
    /// # Errors
    /// See [`Error`] for what there is to ask it. Nothing was written after a refusal; after another failure it
    /// is not known whether the file was.
    pub async fn send(self) -> Result<Response<FileWritten>, Error> {
        match self.content.0 {
            Content::Bytes(bytes) => self.call.upload(bytes).await,
            Content::Stream(body) => self.call.upload_once(body).await,
        }
    }
}

impl IntoFuture for WriteFileCall {
    type Output = Result<Response<FileWritten>, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}

impl fmt::Debug for WriteFileCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteFileCall").field("call", &self.call).finish_non_exhaustive()
    }
}

/// What is to be in a file: bytes, text, or a stream of pieces.
pub struct FileBody(Content);

enum Content {
    Bytes(Bytes),
    /// It can be had once.
    Stream(reqwest::Body),
}

/// Without the content.
impl fmt::Debug for FileBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileBody").finish_non_exhaustive()
    }
}

impl FileBody {
    /// Pieces that come as they are wanted. A piece that is an error ends the call, and the file is as it was.
    pub fn stream<S>(pieces: S) -> Self
    where
        S: TryStream + Send + 'static,
        S::Ok: Into<Bytes>,
        S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        Self(Content::Stream(reqwest::Body::wrap_stream(pieces.map_ok(Into::into).into_stream())))
    }
}

impl From<Bytes> for FileBody {
    fn from(bytes: Bytes) -> Self {
        Self(Content::Bytes(bytes))
    }
}

impl From<Vec<u8>> for FileBody {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Content::Bytes(bytes.into()))
    }
}

impl From<String> for FileBody {
    fn from(text: String) -> Self {
        Self(Content::Bytes(text.into()))
    }
}

impl From<&'static [u8]> for FileBody {
    fn from(bytes: &'static [u8]) -> Self {
        Self(Content::Bytes(bytes.into()))
    }
}

impl From<&'static str> for FileBody {
    fn from(text: &'static str) -> Self {
        Self(Content::Bytes(text.into()))
    }
}

/// Gives up after a while.
async fn within<T>(
    patience: Option<Duration>,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    match patience {
        Some(patience) => {
            timeout(patience, work).await.unwrap_or_else(|_| Err(Error::new(Kind::Silence(patience))))
        }
        None => work.await,
    }
}
