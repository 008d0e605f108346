//! Uploads in parts that nobody goes on with: they expire, and are forgotten later.

use prism_types::UploadId;

use super::SWEEP_PAGE;
use crate::{
    core::Core,
    domain::machine::upload::{Upload, UploadState},
    error::Result,
    ports::{Commit, StoreError, Write},
};

/// Removes what is kept of uploads that are not open: what was cut off, or never noted.
pub(super) async fn recover(core: &Core) {
    let left = core.staging.uploads().await.unwrap_or_else(|error| {
        tracing::warn!(%error, "parts of earlier uploads were not looked for");
        Vec::new()
    });
    for id in left {
        match core.store.upload(&id).await {
            Ok(Some(upload)) if upload.is_open() => {}
            Ok(_) => discard(core, [id]).await,
            Err(error) => tracing::warn!(upload = %id, %error, "an earlier upload was not looked for"),
        }
    }
}

/// Ends uploads whose time is over, and forgets those that have ended long ago.
pub(super) async fn expire(core: &Core) -> Result<()> {
    let (now, mut last) = (core.clock.now(), None::<UploadId>);
    loop {
        let page = core.store.uploads_to_mind(now, last.as_ref(), SWEEP_PAGE).await?;
        let Some(upload) = page.last() else { return Ok(()) };
        last = Some(upload.id.clone());
        for upload in page {
            if upload.is_open() {
                end(core, upload).await?;
            } else {
                core.store.commit(Commit::new().with(Write::DeleteUpload(upload.id))).await?;
            }
        }
    }
}

/// Removes what is kept of uploads.
pub(super) async fn discard(core: &Core, uploads: impl IntoIterator<Item = UploadId>) {
    for upload in uploads {
        if let Err(error) = core.staging.remove(&upload).await {
            // The next server finds it.
            tracing::warn!(%upload, %error, "parts of an upload were not removed");
        }
    }
}

async fn end(core: &Core, upload: Upload) -> Result<()> {
    let desk = core.machines.uploads.of(&upload.id);
    // Whoever works with it now prolongs it, or ends it.
    let Some(_turn) = desk.turn_now() else { return Ok(()) };
    let id = upload.id.clone();
    let ended = Upload { state: UploadState::Expired, updated_at: core.clock.now(), ..upload };
    match core.store.commit(Commit::new().with(Write::UpdateUpload(ended))).await {
        Ok(()) => discard(core, [id]).await,
        Err(StoreError::Conflict(_) | StoreError::Missing(_)) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(())
}
