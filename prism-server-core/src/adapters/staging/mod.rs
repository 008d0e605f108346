//! Parts of uploads as files in a folder of the server.
//!
//! Each upload has a directory of its name, for the server's user alone, and in it a file for each part. A part that is
//! being written has a name of its own until it is kept, and is on the disk before that.

use std::{
    fmt,
    fs::{self, DirBuilder, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use futures::{FutureExt, StreamExt, stream, stream::BoxStream};
use prism_types::UploadId;
use tempfile::{NamedTempFile, TempDir};

use crate::{
    domain::limits,
    ports::{BoxFuture, PartFile, Staging, StagingError},
};

/// Keeps parts of uploads in a folder.
#[derive(Debug)]
pub struct DiskStaging {
    folder: PathBuf,
    /// Removes the folder in the end, if it is nobody's.
    _temporary: Option<TempDir>,
}

impl DiskStaging {
    /// In this folder, which is made when it is not there. Nothing else may be in it.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new(folder: impl Into<PathBuf>) -> io::Result<Self> {
        let folder = folder.into();
        make(&folder)?;
        Ok(Self { folder, _temporary: None })
    }

    /// In a folder of its own among the temporary files of the machine, which is removed with this.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn temporary() -> io::Result<Self> {
        let temporary = tempfile::Builder::new().prefix("prism-uploads-").tempdir()?;
        Ok(Self { folder: temporary.path().to_owned(), _temporary: Some(temporary) })
    }

    fn place(&self, upload: &UploadId) -> PathBuf {
        self.folder.join(upload.as_str())
    }
}

impl Staging for DiskStaging {
    fn begin<'a>(&'a self, upload: &'a UploadId) -> BoxFuture<'a, Result<Box<dyn PartFile>, StagingError>> {
        let place = self.place(upload);
        blocking(move || {
            make(&place)?;
            let file = NamedTempFile::new_in(&place)?;
            Ok(Box::new(DiskPart { place, file: Some(file) }) as Box<dyn PartFile>)
        })
        .boxed()
    }

    fn read<'a>(
        &'a self,
        upload: &'a UploadId,
        part: &'a str,
    ) -> BoxFuture<'a, Result<BoxStream<'static, Result<Bytes, StagingError>>, StagingError>> {
        let path = self.place(upload).join(part);
        async move {
            let file = blocking(move || File::open(path)).await?;
            let pieces = stream::try_unfold(file, |mut file| async move {
                let read = blocking(move || {
                    let mut piece = vec![0; limits::FILE_PIECE];
                    let read = file.read(&mut piece)?;
                    piece.truncate(read);
                    Ok((Bytes::from(piece), file))
                });
                let (piece, file) = read.await?;
                Ok((!piece.is_empty()).then_some((piece, file)))
            });
            Ok(pieces.boxed())
        }
        .boxed()
    }

    fn remove_part<'a>(
        &'a self,
        upload: &'a UploadId,
        part: &'a str,
    ) -> BoxFuture<'a, Result<(), StagingError>> {
        let path = self.place(upload).join(part);
        blocking(move || gone(fs::remove_file(path))).boxed()
    }

    fn remove<'a>(&'a self, upload: &'a UploadId) -> BoxFuture<'a, Result<(), StagingError>> {
        let place = self.place(upload);
        blocking(move || {
            // A part that is begun meanwhile is removed as well.
            loop {
                match gone(fs::remove_dir_all(&place)) {
                    Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {}
                    removed => return removed,
                }
            }
        })
        .boxed()
    }

    fn uploads(&self) -> BoxFuture<'_, Result<Vec<UploadId>, StagingError>> {
        let folder = self.folder.clone();
        blocking(move || {
            let mut uploads = Vec::new();
            for entry in fs::read_dir(folder)? {
                uploads.extend(entry?.file_name().to_str().and_then(|name| name.parse().ok()));
            }
            Ok(uploads)
        })
        .boxed()
    }

    fn room(&self) -> BoxFuture<'_, Result<Option<u64>, StagingError>> {
        let folder = self.folder.clone();
        blocking(move || room(&folder)).boxed()
    }
}

struct DiskPart {
    place: PathBuf,
    /// It is away only while it is written to.
    file: Option<NamedTempFile>,
}

impl DiskPart {
    fn file(&mut self) -> Result<NamedTempFile, StagingError> {
        self.file
            .take()
            .ok_or_else(|| StagingError::Failed("an earlier write of a part was given up".to_owned()))
    }
}

impl PartFile for DiskPart {
    fn write(&mut self, bytes: Bytes) -> BoxFuture<'_, Result<(), StagingError>> {
        async move {
            let mut file = self.file()?;
            let written = blocking(move || {
                file.write_all(&bytes)?;
                Ok(file)
            });
            self.file = Some(written.await?);
            Ok(())
        }
        .boxed()
    }

    fn keep<'a>(mut self: Box<Self>, part: &'a str) -> BoxFuture<'a, Result<(), StagingError>> {
        let path = self.place.join(part);
        async move {
            let (file, place) = (self.file()?, self.place);
            blocking(move || {
                file.as_file().sync_all()?;
                file.persist(path).map_err(|error| error.error)?;
                // The directory may be as new as the part.
                place.ancestors().take(2).try_for_each(|directory| File::open(directory)?.sync_all())
            })
            .await
        }
        .boxed()
    }
}

/// Does work with files on a thread for it.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, StagingError> {
    let failed = |error: &dyn fmt::Display| StagingError::Failed(format!("parts of uploads: {error}"));
    let done = tokio::task::spawn_blocking(work).await.map_err(|error| failed(&error))?;
    done.map_err(|error| match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StagingError::NoRoom,
        _ => failed(&error),
    })
}

/// Makes a directory for the server's user alone.
fn make(directory: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(directory)
}

fn gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

#[cfg(target_os = "linux")]
fn room(folder: &Path) -> io::Result<Option<u64>> {
    let disk = rustix::fs::statvfs(folder)?;
    Ok(Some(disk.f_bavail.saturating_mul(disk.f_frsize)))
}

#[cfg(not(target_os = "linux"))]
fn room(_: &Path) -> io::Result<Option<u64>> {
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::staging;

    #[tokio::test]
    async fn a_folder_keeps_parts() {
        let folder = tempfile::tempdir().unwrap();
        let staging = DiskStaging::new(folder.path().join("uploads")).unwrap();
        staging::suite(&staging).await;
        assert!(staging.room().await.unwrap().is_none_or(|room| room > 0));
        assert_eq!(fs::read_dir(folder.path().join("uploads")).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn what_another_server_has_left_is_found_and_only_its_user_sees_it() {
        let folder = tempfile::tempdir().unwrap();
        let upload: UploadId = "upl_1".parse().unwrap();
        let before = DiskStaging::new(folder.path()).unwrap();
        let mut part = before.begin(&upload).await.unwrap();
        part.write(Bytes::from_static(b"bytes")).await.unwrap();
        part.keep("0-a").await.unwrap();
        fs::write(folder.path().join("no upload"), "").unwrap();
        let now = DiskStaging::new(folder.path()).unwrap();
        assert!(now.uploads().await.unwrap().iter().eq([&upload]));
        let read: Vec<_> = now.read(&upload, "0-a").await.unwrap().collect().await;
        assert_eq!(read, [Ok(Bytes::from_static(b"bytes"))]);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = fs::metadata(folder.path().join("upl_1")).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o700);
        }
    }
}
