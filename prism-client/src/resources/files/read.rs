//! Reading a file.

use std::{
    fmt,
    ops::{Bound, RangeBounds},
    pin::Pin,
    time::Duration,
};

use bytes::Bytes;
use futures::{Stream, stream};
use reqwest::header::{CONTENT_LENGTH, HeaderMap};
use tokio::time::timeout;

use super::progress::{Listener, Meter, Progress};
use crate::{
    Error, RetryPolicy,
    call::{Call, header},
    error::Kind,
    retry::tried,
    transport::Body,
};

/// `GET /v1/deployments/{deployment_id}/files/content`, from [`Files::read`](super::Files::read). Needs the scope `deployments:read`.
///
/// Nothing is sent before [`send`](Self::send) or `.await`.
#[derive(Debug, Clone)]
#[must_use = "nothing is sent before `send` or `.await`"]
pub struct ReadFileCall {
    call: Call,
    listener: Listener,
}

impl ReadFileCall {
    pub(super) fn new(call: Call) -> Self {
        Self { call, listener: Listener::default() }
    }

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

    /// Tells how much has come, after each piece.
    ///
    /// ```
    /// # use prism_client::resources::Files;
    /// # async fn example(files: Files) -> Result<(), prism_client::Error> {
    /// let film = files.read("film.mp4").on_progress(|at| println!("{} of {:?} bytes", at.bytes, at.total));
    /// let bytes = film.await?.bytes().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn on_progress(mut self, listen: impl Fn(Progress) + Send + Sync + 'static) -> Self {
        self.listener = Listener::new(listen);
        self
    }

    /// Sets how long to wait for the answer to begin, with all attempts, and then for each of its pieces. Default: the
    /// client's [`timeout`](crate::ClientBuilder::timeout). The whole may take as long as it takes.
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
    pub async fn send(self) -> Result<FileContent, Error> {
        let (operation, patience) = (self.call.name(), self.call.timeout());
        let (answer, tries) = tried(self.call, Call::exchange).await?;
        let (head, pieces) = answer.into_parts();
        let (status, headers) = (head.status.as_u16(), head.headers);
        let meter = self.listener.meter(content_length(&headers), tries.attempts);
        Ok(FileContent { operation, patience, status, headers, pieces, meter })
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
    pieces: Body,
    meter: Meter,
}

impl FileContent {
    /// The next piece; `None` at the end. An end that comes too early is an error.
    pub async fn next(&mut self) -> Option<Result<Bytes, Error>> {
        let next = within(self.patience, async { Ok(self.pieces.chunk().await) }).await;
        if let Ok(Some(Ok(piece))) = &next {
            self.meter.count(piece);
        }
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
        content_length(&self.headers)
    }

    /// What names this version of the file, for [`ReadFileCall::if_none_match`] and [`WriteFileCall::if_match`](super::WriteFileCall::if_match).
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

fn content_length(headers: &HeaderMap) -> Option<u64> {
    header(headers, CONTENT_LENGTH.as_str())?.parse().ok()
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
