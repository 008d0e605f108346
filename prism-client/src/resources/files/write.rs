//! Writing a file.

use std::{fmt, pin::Pin, time::Duration};

use bytes::Bytes;
use futures_util::{Stream, TryStream, TryStreamExt, stream};
use prism_types::FileWritten;

use super::progress::{Listener, Meter, Progress};
use crate::{
    Error, Response, RetryPolicy,
    call::{Call, headed},
    transport::{Body, BoxError},
};

/// The bytes that are handed over at once while progress is told.
const PIECE: usize = 64 << 10;

/// `PUT /v1/deployments/{deployment_id}/files`, from [`Files::write`](super::Files::write). Needs the scope `deployments:write`.
///
/// Nothing is sent before [`send`](Self::send) or `.await`.
#[must_use = "nothing is sent before `send` or `.await`"]
pub struct WriteFileCall {
    call: Call,
    content: FileBody,
    listener: Listener,
}

impl WriteFileCall {
    pub(super) fn new(call: Call, content: FileBody) -> Self {
        Self { call, content, listener: Listener::default() }
    }

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

    /// Tells how much was sent, after each piece of at most 64 KiB.
    ///
    /// ```
    /// # use prism_client::resources::Files;
    /// # async fn example(files: Files, film: Vec<u8>) -> Result<(), prism_client::Error> {
    /// files.write("film.mp4", film).on_progress(|at| println!("{} of {:?} bytes", at.bytes, at.total)).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn on_progress(mut self, listen: impl Fn(Progress) + Send + Sync + 'static) -> Self {
        self.listener = Listener::new(listen);
        self
    }

    /// Sets the time limit of the whole call. Default: none, for a file can be large. The server gives a body up that
    /// stops for 30 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.call.set_timeout(Some(timeout));
        self
    }

    /// Sets the time limit of each attempt, from the connection to the end of the answer. Default: the client's
    /// [`attempt_timeout`](crate::ClientBuilder::attempt_timeout).
    pub fn attempt_timeout(mut self, timeout: Duration) -> Self {
        self.call.set_attempt_timeout(timeout);
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
        let Self { call, content, listener } = self;
        match content.0 {
            Content::Bytes(bytes) if listener.is_there() => {
                call.upload(|attempt| metered(&bytes, listener.meter(Some(bytes.len() as u64), attempt)))
                    .await
            }
            Content::Bytes(bytes) => call.upload(|_| bytes.clone().into()).await,
            Content::Pieces(pieces, size) => {
                let mut meter = listener.meter(size, 1);
                let pieces = pieces.inspect_ok(move |piece| meter.count(piece));
                call.upload_once(match size {
                    Some(size) => Body::from_sized_stream(pieces, size),
                    None => Body::from_stream(pieces),
                })
                .await
            }
        }
    }
}

/// The bytes in pieces that are counted.
fn metered(bytes: &Bytes, mut meter: Meter) -> Body {
    let (bytes, size) = (bytes.clone(), bytes.len());
    let pieces = (0..size).step_by(PIECE).map(move |from| {
        let piece = bytes.slice(from..size.min(from + PIECE));
        meter.count(&piece);
        Ok::<_, Error>(piece)
    });
    Body::from_sized_stream(stream::iter(pieces), size as u64)
}

headed!(WriteFileCall);

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
    /// What can be had once, and how many bytes it is, if that is known.
    Pieces(Pieces, Option<u64>),
}

type Pieces = Pin<Box<dyn Stream<Item = Result<Bytes, BoxError>> + Send>>;

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
        Self::pieces(pieces, None)
    }

    /// The same, of so many bytes in all: the server knows before the first piece whether there is room, and
    /// [progress](WriteFileCall::on_progress) has a total.
    pub fn sized_stream<S>(pieces: S, bytes: u64) -> Self
    where
        S: TryStream + Send + 'static,
        S::Ok: Into<Bytes>,
        S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        Self::pieces(pieces, Some(bytes))
    }

    fn pieces<S>(pieces: S, bytes: Option<u64>) -> Self
    where
        S: TryStream + Send + 'static,
        S::Ok: Into<Bytes>,
        S::Error: Into<BoxError>,
    {
        Self(Content::Pieces(Box::pin(pieces.map_ok(Into::into).map_err(Into::into).into_stream()), bytes))
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
