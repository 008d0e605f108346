//! Where the parts of uploads wait until all of them have come.
//!
//! What is kept outlives the server, and is a place of an upload with parts under names. Names are chosen by the
//! control plane: letters, digits and `-`. What is in a part was sent by users: nobody looks at it here.

use bytes::Bytes;
use futures::stream::BoxStream;
use prism_types::UploadId;

use super::BoxFuture;

/// Keeps parts of uploads.
pub trait Staging: Send + Sync + 'static {
    /// Begins a part, which nobody sees yet.
    ///
    /// # Errors
    /// When it cannot be begun.
    fn begin<'a>(&'a self, upload: &'a UploadId) -> BoxFuture<'a, Result<Box<dyn PartFile>, StagingError>>;

    /// The bytes of a part, in pieces.
    ///
    /// # Errors
    /// When it is not there, or cannot be read.
    fn read<'a>(
        &'a self,
        upload: &'a UploadId,
        part: &'a str,
    ) -> BoxFuture<'a, Result<BoxStream<'static, Result<Bytes, StagingError>>, StagingError>>;

    /// Removes a part. Removing what is not there is no error.
    ///
    /// # Errors
    /// When it may be there still.
    fn remove_part<'a>(
        &'a self,
        upload: &'a UploadId,
        part: &'a str,
    ) -> BoxFuture<'a, Result<(), StagingError>>;

    /// Removes all parts of an upload, also those that were only begun. Removing what is not there is no error.
    ///
    /// # Errors
    /// When something may be there still.
    fn remove<'a>(&'a self, upload: &'a UploadId) -> BoxFuture<'a, Result<(), StagingError>>;

    /// The uploads of which there is something.
    ///
    /// # Errors
    /// When they cannot be listed.
    fn uploads(&self) -> BoxFuture<'_, Result<Vec<UploadId>, StagingError>>;

    /// How many bytes there is room for; `None`: nobody knows.
    ///
    /// # Errors
    /// When that cannot be found out.
    fn room(&self) -> BoxFuture<'_, Result<Option<u64>, StagingError>>;
}

/// A part that is being written. It leaves nothing behind when it is dropped.
pub trait PartFile: Send + 'static {
    /// Adds bytes at its end.
    ///
    /// # Errors
    /// When there is no room, or it cannot be written.
    fn write(&mut self, bytes: Bytes) -> BoxFuture<'_, Result<(), StagingError>>;

    /// Keeps it under a name, in place of one of that name; it is there after a loss of power.
    ///
    /// # Errors
    /// When it is not kept, such as when the upload was removed meanwhile.
    fn keep<'a>(self: Box<Self>, part: &'a str) -> BoxFuture<'a, Result<(), StagingError>>;
}

/// Why a part is not kept or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(clippy::exhaustive_enums, reason = "there is nothing else")]
pub enum StagingError {
    /// There is no room.
    #[error("there is no room for parts of uploads")]
    NoRoom,
    /// It failed; the text is for the operator.
    #[error("{0}")]
    Failed(String),
}
