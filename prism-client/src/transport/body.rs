//! Bodies of requests and answers.

use std::{
    fmt,
    future::poll_fn,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::{Mutex, PoisonError},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_util::TryStream;
use http_body::{Body as HttpBody, Frame, SizeHint};

use super::BoxError;
use crate::Error;

/// The body of a request or of an answer: bytes, or pieces that come as they are wanted. `Debug` does not show them.
pub struct Body(Inner);

enum Inner {
    Whole(Option<Bytes>),
    /// Of an answer over the client's own connections. Whoever catches a panic and reads on gets an error at most.
    Received(AssertUnwindSafe<reqwest::Body>),
    /// The lock is never waited for: whoever reads has it alone. It is there because some services want their bodies to
    /// be `Sync`.
    Pieces(Mutex<Pieces>),
}

type Pieces = Pin<Box<dyn HttpBody<Data = Bytes, Error = BoxError> + Send>>;

impl Body {
    /// No bytes.
    pub const fn empty() -> Self {
        Self(Inner::Whole(None))
    }

    /// Another body. Its trailers are left out.
    pub fn new<B>(body: B) -> Self
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self::of(Box::pin(Boxed(Box::pin(body))))
    }

    /// Pieces of unknown number.
    pub fn from_stream<S>(pieces: S) -> Self
    where
        S: TryStream + Send + 'static,
        S::Ok: Into<Bytes>,
        S::Error: Into<BoxError>,
    {
        Self::of(Box::pin(Streamed { pieces: Box::pin(pieces), left: None }))
    }

    /// Pieces of so many bytes in all, which is told before them.
    pub fn from_sized_stream<S>(pieces: S, bytes: u64) -> Self
    where
        S: TryStream + Send + 'static,
        S::Ok: Into<Bytes>,
        S::Error: Into<BoxError>,
    {
        Self::of(Box::pin(Streamed { pieces: Box::pin(pieces), left: Some(bytes) }))
    }

    /// What came over the client's own connections.
    pub(super) fn received(body: reqwest::Body) -> Self {
        Self(Inner::Received(AssertUnwindSafe(body)))
    }

    fn of(pieces: Pieces) -> Self {
        Self(Inner::Pieces(Mutex::new(pieces)))
    }

    /// The next piece; `None` at the end.
    pub(crate) async fn chunk(&mut self) -> Option<Result<Bytes, Error>> {
        poll_fn(|cx| self.poll_chunk(cx)).await
    }

    /// As [`Body::chunk`].
    pub(crate) fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        loop {
            return match ready!(Pin::new(&mut *self).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(bytes) => Poll::Ready(Some(Ok(bytes))),
                    Err(_trailers) => continue,
                },
                Some(Err(error)) => Poll::Ready(Some(Err(Error::in_transit(error)))),
                None => Poll::Ready(None),
            };
        }
    }

    /// The body of a request, as reqwest wants it.
    pub(super) fn into_reqwest(self) -> Option<reqwest::Body> {
        match self.0 {
            Inner::Whole(bytes) => bytes.map(Into::into),
            Inner::Received(body) => Some(body.0),
            pieces @ Inner::Pieces(_) => Some(reqwest::Body::wrap(Self(pieces))),
        }
    }
}

impl Default for Body {
    fn default() -> Self {
        Self::empty()
    }
}

impl<T: Into<Bytes>> From<T> for Body {
    fn from(bytes: T) -> Self {
        let bytes = bytes.into();
        Self(Inner::Whole((!bytes.is_empty()).then_some(bytes)))
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.0 {
            Inner::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Inner::Received(body) => Pin::new(&mut body.0).poll_frame(cx).map_err(Into::into),
            Inner::Pieces(pieces) => {
                pieces.get_mut().unwrap_or_else(PoisonError::into_inner).as_mut().poll_frame(cx)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Inner::Whole(bytes) => bytes.is_none(),
            Inner::Received(body) => body.is_end_stream(),
            Inner::Pieces(pieces) => pieces.try_lock().is_ok_and(|pieces| pieces.is_end_stream()),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Inner::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64),
            Inner::Received(body) => body.size_hint(),
            Inner::Pieces(pieces) => {
                pieces.try_lock().map_or_else(|_| SizeHint::new(), |pieces| pieces.size_hint())
            }
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").finish_non_exhaustive()
    }
}

/// A body with its errors boxed.
struct Boxed<B>(Pin<Box<B>>);

impl<B> HttpBody for Boxed<B>
where
    B: HttpBody<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.0.as_mut().poll_frame(cx).map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

/// A stream as a body.
struct Streamed<S> {
    pieces: Pin<Box<S>>,
    /// How many bytes are to come, if it is known.
    left: Option<u64>,
}

impl<S> HttpBody for Streamed<S>
where
    S: TryStream,
    S::Ok: Into<Bytes>,
    S::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Some(piece) = ready!(self.pieces.as_mut().try_poll_next(cx)) else { return Poll::Ready(None) };
        let piece = piece.map(Into::<Bytes>::into).map_err(Into::into);
        if let (Ok(bytes), Some(left)) = (&piece, &mut self.left) {
            *left = left.saturating_sub(bytes.len() as u64);
        }
        Poll::Ready(Some(piece.map(Frame::data)))
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::new, SizeHint::with_exact)
    }
}
