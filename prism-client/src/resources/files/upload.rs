//! What is sent as bytes: in memory or as a stream, and told how far it is.

use std::{fmt, pin::Pin};

use bytes::Bytes;
use futures_util::{Stream, TryStream, TryStreamExt, stream};
use serde::de::DeserializeOwned;

use super::progress::{Listener, Meter, Progress};
use crate::{
    Error, Response,
    call::Call,
    transport::{Body, BoxError},
};

/// The bytes that are handed over at once while progress is told.
const PIECE: usize = 64 << 10;

/// Declares the builders of operations that send bytes. Setters that only one of them has stand beside it.
macro_rules! uploads {
    ($($(#[$doc:meta])* $name:ident -> $answer:ty, as $content_type:literal;)+) => { $(
        $(#[$doc])*
        ///
        /// Nothing is sent before [`send`](Self::send) or `.await`.
        #[must_use = "nothing is sent before `send` or `.await`"]
        pub struct $name {
            call: crate::call::Call,
            upload: crate::resources::Upload,
        }

        impl $name {
            fn sending(call: crate::call::Call, content: crate::resources::FileBody) -> Self {
                Self { call, upload: crate::resources::Upload::new(content) }
            }

            /// Tells how much was sent, after each piece of at most 64 KiB.
            pub fn on_progress(mut self, listen: impl Fn(crate::resources::Progress) + Send + Sync + 'static) -> Self {
                self.upload.on_progress(listen);
                self
            }

            /// Sets the time limit of the whole call. Default: none, for what is sent can be large. The server gives a body
            /// up that stops for 30 s.
            pub fn timeout(mut self, timeout: std::time::Duration) -> Self {
                self.call.set_timeout(Some(timeout));
                self
            }

            /// Sets the time limit of each attempt, from the connection to the end of the answer. Default: the client's
            /// [`attempt_timeout`](crate::ClientBuilder::attempt_timeout).
            pub fn attempt_timeout(mut self, timeout: std::time::Duration) -> Self {
                self.call.set_attempt_timeout(timeout);
                self
            }

            /// Sets how this call is tried again. Default: the client's [`retries`](crate::ClientBuilder::retries). Content
            /// from a [stream](crate::resources::FileBody::stream) is sent once.
            pub fn retries(mut self, policy: crate::RetryPolicy) -> Self {
                self.call.set_retry_policy(policy);
                self
            }

            /// Sends the request, again if need be.
            ///
            /// # Errors
            /// See [`Error`](crate::Error) for what there is to ask it. Nothing was changed after a refusal; after another
            /// failure it is not known whether it was.
            pub async fn send(self) -> Result<crate::Response<$answer>, crate::Error> {
                self.upload.send(self.call, $content_type).await
            }
        }

        crate::call::headed!($name);

        impl IntoFuture for $name {
            type Output = Result<crate::Response<$answer>, crate::Error>;
            type IntoFuture = std::pin::Pin<Box<dyn Future<Output = Self::Output> + Send>>;

            fn into_future(self) -> Self::IntoFuture {
                Box::pin(self.send())
            }
        }

        /// Without what is sent.
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($name)).field("call", &self.call).finish_non_exhaustive()
            }
        }
    )+ };
}

pub(crate) use uploads;

/// What is sent as bytes, and who is told how far it is.
pub(crate) struct Upload {
    content: FileBody,
    listener: Listener,
}

impl Upload {
    pub(crate) fn new(content: FileBody) -> Self {
        Self { content, listener: Listener::default() }
    }

    pub(crate) fn on_progress(&mut self, listen: impl Fn(Progress) + Send + Sync + 'static) {
        self.listener = Listener::new(listen);
    }

    /// Sends it as the body of a call, again if need be and if it can be had again.
    pub(crate) async fn send<T: DeserializeOwned>(
        self,
        call: Call,
        content_type: &'static str,
    ) -> Result<Response<T>, Error> {
        let Self { content, listener } = self;
        match content.0 {
            Content::Bytes(bytes) if listener.is_there() => {
                let body = |attempt| metered(&bytes, listener.meter(Some(bytes.len() as u64), attempt));
                call.upload(content_type, body).await
            }
            Content::Bytes(bytes) => call.upload(content_type, |_| bytes.clone().into()).await,
            Content::Pieces(pieces, size) => {
                let mut meter = listener.meter(size, 1);
                let pieces = pieces.inspect_ok(move |piece| meter.count(piece));
                let body = match size {
                    Some(size) => Body::from_sized_stream(pieces, size),
                    None => Body::from_stream(pieces),
                };
                call.upload_once(content_type, body).await
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
    /// [progress](super::WriteFileCall::on_progress) has a total.
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
