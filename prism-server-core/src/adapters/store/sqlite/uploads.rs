//! What is read of uploads in parts.

use prism_types::{InstanceId, Timestamp, UploadId};
use rusqlite::params;

use super::{SqliteStore, lower, queries, rows};
use crate::{
    domain::machine::upload::Upload,
    ports::{BoxFuture, StoreResult, UploadStore},
};

impl UploadStore for SqliteStore {
    fn upload<'a>(&'a self, id: &'a UploadId) -> BoxFuture<'a, StoreResult<Option<Upload>>> {
        self.point(|connection| rows::one(connection, queries::UPLOAD, params![id.as_str()]))
    }

    fn open_uploads<'a>(&'a self, machine: &'a InstanceId) -> BoxFuture<'a, StoreResult<Vec<Upload>>> {
        let machine = machine.clone();
        self.scan(move |connection| rows::all(connection, queries::OPEN_UPLOADS, params![machine.as_str()]))
    }

    fn uploads_to_mind<'a>(
        &'a self,
        now: Timestamp,
        after: Option<&'a UploadId>,
        limit: u32,
    ) -> BoxFuture<'a, StoreResult<Vec<Upload>>> {
        let after = lower(after);
        self.scan(move |connection| {
            rows::all(connection, queries::UPLOADS_TO_MIND, params![now.as_millis(), after, limit])
        })
    }
}
