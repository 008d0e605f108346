//! The content of a file that is read, over as many connections as it takes.

use std::{fmt, time::Duration};

use bytes::Bytes;
use futures_util::{Stream, stream};
use reqwest::{
    StatusCode,
    header::{CONTENT_LENGTH, HeaderMap},
};
use tokio::time::timeout;

use super::progress::{Listener, Meter};
use crate::{
    Error,
    call::{Call, header},
    error::{Kind, Misfit},
    retry::{Tries, tried},
    transport::Body,
};

/// A file that is being read: piece by piece, or all at once.
pub struct FileContent {
    call: Call,
    /// What is still to come.
    part: Part,
    status: u16,
    headers: HeaderMap,
    pieces: Pieces,
    /// Connections in a row that brought nothing.
    failures: u32,
    meter: Meter,
}

enum Pieces {
    Coming(Body),
    /// The connection broke.
    Lost,
    /// There is nothing more, for good or after an error.
    Over,
}

impl FileContent {
    pub(super) fn new(
        (call, part): (Call, Part),
        (answer, tries): (http::Response<Body>, Tries),
        listener: &Listener,
    ) -> Self {
        let (head, pieces) = answer.into_parts();
        let (status, headers) = (head.status.as_u16(), head.headers);
        let meter = listener.meter(content_length(&headers), tries.attempts);
        Self { call, part, status, headers, pieces: Pieces::Coming(pieces), failures: 0, meter }
    }

    /// A whole file, which nothing tells versions of apart.
    #[cfg(feature = "nullspace")]
    pub(crate) fn whole(call: Call, answer: (http::Response<Body>, Tries)) -> Self {
        Self::new((call, Part::WHOLE), answer, &Listener::default())
    }

    /// The next piece; `None` at the end, and after an error. Dropping the future loses nothing.
    ///
    /// # Errors
    /// * [`Error::is_disconnected`] or [`Error::is_timeout`] when the connection breaks, or nothing comes for too long, and
    ///   that is not mended by asking for the rest.
    /// * [`Error::is_precondition_failed`] when the file was changed since: what came is of the version before.
    pub async fn next(&mut self) -> Option<Result<Bytes, Error>> {
        loop {
            let body = match &mut self.pieces {
                Pieces::Over => return None,
                Pieces::Coming(body) => body,
                Pieces::Lost => match self.ask_for_the_rest().await {
                    Ok(body) => self.pieces.insert(body),
                    Err(error) => return Some(Err(self.end(error))),
                },
            };
            let error = match within(self.call.timeout(), body.chunk()).await {
                Ok(Some(Ok(piece))) => {
                    self.failures = 0;
                    self.part.first += piece.len() as u64;
                    self.meter.count(&piece);
                    return Some(Ok(piece));
                }
                Ok(None) => {
                    self.pieces = Pieces::Over;
                    return None;
                }
                Ok(Some(Err(error))) | Err(error) => error,
            };
            self.failures += 1;
            if !error.is_retryable()
                || !self.call.retry_policy().allows(self.failures)
                || self.version().is_none()
            {
                return Some(Err(self.end(error)));
            }
            self.pieces = Pieces::Lost;
        }
    }

    /// Asks for the rest of the same version of the file.
    async fn ask_for_the_rest(&self) -> Result<Body, Error> {
        let mut call = self.call.clone();
        self.part.ask(&mut call);
        call.set_header("if-match", self.version().unwrap_or_default());
        let (answer, _) = tried(call, Call::exchange).await?;
        let range = header(answer.headers(), "content-range").unwrap_or_default();
        if answer.status() != StatusCode::PARTIAL_CONTENT
            || !range.starts_with(&format!("bytes {}-", self.part.first))
        {
            let misfit = Misfit::new("the answer", "it is not the rest of the file that was asked for");
            return Err(Error::new(Kind::Decode(misfit)));
        }
        Ok(answer.into_body())
    }

    /// The tag of the version that is read, if it stands for the same bytes.
    fn version(&self) -> Option<&str> {
        self.etag().filter(|etag| etag.starts_with('"'))
    }

    fn end(&mut self, error: Error) -> Error {
        self.pieces = Pieces::Over;
        let request_id = header(&self.headers, "x-request-id");
        let error = if error.status().is_some() { error } else { error.answered(self.status, request_id) };
        error.during(&self.call.name())
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

    /// What names this version of the file, for [`ReadFileCall::if_none_match`](super::ReadFileCall::if_none_match) and [`WriteFileCall::if_match`](super::WriteFileCall::if_match).
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

impl Pieces {
    fn insert(&mut self, body: Body) -> &mut Body {
        *self = Self::Coming(body);
        match self {
            Self::Coming(body) => body,
            _ => unreachable!("it was just put there"),
        }
    }
}

/// Without headers and content.
impl fmt::Debug for FileContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileContent")
            .field("call", &self.call)
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

/// The bytes that are wanted: from the first one up to, and without, the end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part {
    pub(super) first: u64,
    pub(super) end: u64,
}

impl Part {
    pub(super) const WHOLE: Self = Self { first: 0, end: u64::MAX };

    pub(super) fn ask(self, call: &mut Call) {
        let last = if self.end == u64::MAX { String::new() } else { (self.end - 1).to_string() };
        call.set_header("range", &format!("bytes={}-{last}", self.first));
    }
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    header(headers, CONTENT_LENGTH.as_str())?.parse().ok()
}

/// Gives up after a while.
async fn within<T>(patience: Option<Duration>, work: impl Future<Output = T>) -> Result<T, Error> {
    match patience {
        Some(patience) => timeout(patience, work).await.map_err(|_| Error::new(Kind::Silence(patience))),
        None => Ok(work.await),
    }
}
