//! What a store keeps of uploads in parts: see [`Store`](super::Store), whose rules hold here, too.

use prism_types::{InstanceId, Timestamp, UploadId};

use super::{BoxFuture, StoreResult};
use crate::domain::machine::upload::Upload;

/// The reading side of uploads.
pub trait UploadStore: Send + Sync {
    /// An upload, whoever owns it.
    fn upload<'a>(&'a self, id: &'a UploadId) -> BoxFuture<'a, StoreResult<Option<Upload>>>;

    /// All uploads of a machine that are open, oldest first. They are as many as a machine may have.
    fn open_uploads<'a>(&'a self, machine: &'a InstanceId) -> BoxFuture<'a, StoreResult<Vec<Upload>>>;

    /// Uploads of all tenants that are [due](Upload::due_at) at `now` or were before. Oldest first, after `after`; for the
    /// engine.
    fn uploads_to_mind<'a>(
        &'a self,
        now: Timestamp,
        after: Option<&'a UploadId>,
        limit: u32,
    ) -> BoxFuture<'a, StoreResult<Vec<Upload>>>;
}
