//! Bodies that are taken in pieces, however long they are.

use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt, stream};
use tokio::time::{Instant, timeout_at};

use crate::{
    domain::limits,
    error::{Error, ErrorKind, Result},
};

/// A body that comes piece by piece.
pub(crate) struct Upload {
    body: BodyDataStream,
    /// What came and did not fit into the last piece.
    rest: Bytes,
    taken: u64,
    most: u64,
    deadline: Instant,
}

impl Upload {
    /// A body of at most so many bytes.
    ///
    /// # Errors
    /// When the request says that it is longer.
    pub(crate) fn new(body: Body, most: u64, declared: Option<u64>) -> Result<Self> {
        if declared.is_some_and(|length| length > most) {
            return Err(too_large(most));
        }
        let deadline = Instant::now() + limits::FILE_TIME;
        Ok(Self { body: body.into_data_stream(), rest: Bytes::new(), taken: 0, most, deadline })
    }

    /// The next piece, at most [`limits::FILE_PIECE`] bytes; `None` at the end.
    ///
    /// # Errors
    /// When the body is longer than it may be, is broken off, or comes too slowly.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>> {
        let mut piece = BytesMut::new();
        while piece.len() < limits::FILE_PIECE {
            if self.rest.is_empty() {
                match self.more().await? {
                    Some(more) => self.rest = more,
                    None => break,
                }
            }
            let room = (limits::FILE_PIECE - piece.len()).min(self.rest.len());
            piece.extend_from_slice(&self.rest.split_to(room));
        }
        Ok((!piece.is_empty()).then(|| piece.freeze()))
    }

    /// The pieces as a stream.
    pub(crate) fn into_stream(self) -> impl Stream<Item = Result<Bytes>> + Send {
        stream::try_unfold(
            self,
            |mut upload| async move { Ok(upload.next().await?.map(|piece| (piece, upload))) },
        )
    }

    async fn more(&mut self) -> Result<Option<Bytes>> {
        let patience = (Instant::now() + limits::FILE_PAUSE).min(self.deadline);
        let Ok(more) = timeout_at(patience, self.body.next()).await else { return Err(too_slow()) };
        let more = more.transpose().map_err(|_| {
            Error::new(ErrorKind::Invalid, "The request body was broken off. The file is as it was.")
        })?;
        self.taken += more.as_ref().map_or(0, |more| more.len() as u64);
        if self.taken > self.most { Err(too_large(self.most)) } else { Ok(more) }
    }
}

fn too_large(most: u64) -> Error {
    Error::new(ErrorKind::TooLarge, format!("A file can have at most {most} bytes. Nothing was written."))
}

fn too_slow() -> Error {
    let minutes = |time: Duration| time.as_secs() / 60;
    let message = format!(
        "The request body did not arrive: at most {} seconds may pass between two pieces, and {} minutes in all. \
         Nothing was written.",
        limits::FILE_PAUSE.as_secs(),
        minutes(limits::FILE_TIME)
    );
    Error::new(ErrorKind::Invalid, message)
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    fn body(pieces: Vec<usize>) -> Body {
        let pieces = pieces.into_iter().map(|length| Ok::<_, io::Error>(Bytes::from(vec![b'x'; length])));
        Body::from_stream(stream::iter(pieces))
    }

    async fn lengths(mut upload: Upload) -> Result<Vec<usize>> {
        let mut lengths = Vec::new();
        while let Some(piece) = upload.next().await? {
            lengths.push(piece.len());
        }
        Ok(lengths)
    }

    #[tokio::test]
    async fn small_pieces_become_larger_ones_and_large_ones_smaller() {
        let piece = limits::FILE_PIECE;
        let upload = Upload::new(body(vec![1, 2 * piece, 3]), u64::MAX, None).unwrap();
        assert_eq!(lengths(upload).await.unwrap(), [piece, piece, 4]);
        let upload = Upload::new(body(vec![0, 0]), u64::MAX, None).unwrap();
        assert_eq!(lengths(upload).await.unwrap(), [0; 0]);
    }

    #[tokio::test]
    async fn a_body_fits_at_the_limit_and_not_one_byte_past_it() {
        let upload = Upload::new(body(vec![4, 6]), 10, Some(10)).unwrap();
        assert_eq!(lengths(upload).await.unwrap(), [10]);
        let upload = Upload::new(body(vec![4, 6, 1]), 10, None).unwrap();
        assert_eq!(lengths(upload).await.unwrap_err().kind(), ErrorKind::TooLarge);
        assert_eq!(Upload::new(body(vec![]), 10, Some(11)).err().unwrap().kind(), ErrorKind::TooLarge);
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_is_no_body() {
        let lost: io::Error = io::ErrorKind::ConnectionReset.into();
        let broken = stream::iter([Ok(Bytes::from_static(b"half")), Err(lost)]);
        let mut upload = Upload::new(Body::from_stream(broken), 100, None).unwrap();
        assert_eq!(upload.next().await.unwrap_err().kind(), ErrorKind::Invalid);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_stops_is_given_up_and_so_is_one_that_never_ends() {
        let begun = Instant::now();
        let silent = stream::iter([Ok::<_, io::Error>(Bytes::from_static(b"x"))]).chain(stream::pending());
        let mut upload = Upload::new(Body::from_stream(silent), 100, None).unwrap();
        assert!(upload.next().await.is_err());
        assert_eq!(begun.elapsed(), limits::FILE_PAUSE);
        let begun = Instant::now();
        let slow = stream::unfold((), |()| async {
            tokio::time::sleep(limits::FILE_PAUSE / 2).await;
            Some((Ok::<_, io::Error>(Bytes::from_static(b"x")), ()))
        });
        let mut upload = Upload::new(Body::from_stream(slow), u64::MAX, None).unwrap();
        assert!(upload.next().await.is_err());
        assert_eq!(begun.elapsed(), limits::FILE_TIME);
    }
}
