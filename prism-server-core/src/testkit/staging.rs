//! What holds of every place for parts of uploads.

use bytes::Bytes;
use futures::TryStreamExt;
use prism_types::UploadId;

use crate::{
    ids::NewId,
    ports::{Staging, StagingError},
};

/// Runs all of it. The place is empty before and after.
///
/// # Panics
/// When a rule does not hold.
pub async fn suite(staging: &dyn Staging) {
    parts_are_kept_replaced_and_removed(staging).await;
    what_is_not_kept_leaves_nothing(staging).await;
    uploads_are_apart(staging).await;
}

/// A part is what was written, until it is replaced or removed.
///
/// # Panics
/// When the rule does not hold.
pub async fn parts_are_kept_replaced_and_removed(staging: &dyn Staging) {
    let upload = UploadId::generate();
    assert!(read(staging, &upload, "0-a").await.is_err(), "nothing is there");
    let large = vec![b'x'; 700_000];
    keep(staging, &upload, "0-a", &[&large, b"", b"end"]).await.expect("a part is kept");
    keep(staging, &upload, "1-b", &[]).await.expect("an empty part is kept");
    assert_eq!(
        read(staging, &upload, "0-a").await.expect("it is there"),
        [large.as_slice(), b"end"].concat()
    );
    assert_eq!(read(staging, &upload, "1-b").await.expect("it is there"), b"");
    keep(staging, &upload, "0-a", &[b"new"]).await.expect("a part is replaced");
    assert_eq!(read(staging, &upload, "0-a").await.expect("it is there"), b"new");
    for _ in 0..2 {
        staging.remove_part(&upload, "0-a").await.expect("a part is removed");
        assert!(read(staging, &upload, "0-a").await.is_err(), "it is gone");
    }
    assert!(staging.uploads().await.expect("they are listed").iter().eq([&upload]));
    for _ in 0..2 {
        staging.remove(&upload).await.expect("all is removed");
        assert!(staging.uploads().await.expect("they are listed").is_empty());
    }
    assert!(read(staging, &upload, "1-b").await.is_err(), "it is gone");
}

/// A part that was only begun is none, and one whose upload was removed is not kept.
///
/// # Panics
/// When the rule does not hold.
pub async fn what_is_not_kept_leaves_nothing(staging: &dyn Staging) {
    let upload = UploadId::generate();
    let mut begun = staging.begin(&upload).await.expect("a part is begun");
    begun.write(Bytes::from_static(b"x")).await.expect("it is written");
    drop(begun);
    let begun = staging.begin(&upload).await.expect("a part is begun");
    staging.remove(&upload).await.expect("all is removed");
    assert!(begun.keep("0-a").await.is_err(), "its place is gone");
    assert!(staging.uploads().await.expect("they are listed").is_empty());
}

/// Parts of the same name of two uploads are two parts.
///
/// # Panics
/// When the rule does not hold.
pub async fn uploads_are_apart(staging: &dyn Staging) {
    let (one, other) = (UploadId::generate(), UploadId::generate());
    keep(staging, &one, "0-a", &[b"1"]).await.expect("a part is kept");
    keep(staging, &other, "0-a", &[b"2"]).await.expect("a part is kept");
    staging.remove(&one).await.expect("all is removed");
    assert_eq!(read(staging, &other, "0-a").await.expect("it is there"), b"2");
    assert!(staging.uploads().await.expect("they are listed").iter().eq([&other]));
    staging.remove(&other).await.expect("all is removed");
}

async fn keep(
    staging: &dyn Staging,
    upload: &UploadId,
    part: &str,
    pieces: &[&[u8]],
) -> Result<(), StagingError> {
    let mut file = staging.begin(upload).await?;
    for piece in pieces {
        file.write(Bytes::copy_from_slice(piece)).await?;
    }
    file.keep(part).await
}

async fn read(staging: &dyn Staging, upload: &UploadId, part: &str) -> Result<Vec<u8>, StagingError> {
    let pieces: Vec<Bytes> = staging.read(upload, part).await?.try_collect().await?;
    Ok(pieces.concat())
}
