//! Files of the workspace: listed, read, written, deleted. Neither way is a file in memory as a whole, unless it is
//! asked for.

mod content;
mod progress;
mod read;
mod upload;
mod write;

use prism_types::{Cursor, DeletedFile, FileEntry, FileList};
use reqwest::Method;

use super::deployment_collection;
use crate::call::{Call, calls, paged, query_setters};

pub use content::FileContent;
#[cfg(feature = "nullspace")]
pub(crate) use progress::Listener;
pub use progress::Progress;
pub use read::ReadFileCall;
pub use upload::FileBody;
pub(crate) use upload::Upload;
#[cfg(feature = "nullspace")]
pub(crate) use upload::uploads;
pub use write::WriteFileCall;

deployment_collection! {
    /// The files of one deployment; from [`DeploymentHandle::files`](super::DeploymentHandle::files).
    ///
    /// Paths are relative to the root of the workspace, which is the empty path.
    Files
}

impl Files {
    /// Lists a directory, by name: up to 10,000 entries at once.
    pub fn list(&self, path: impl Into<String>) -> ListFilesCall {
        let mut call = self.call(Method::GET, "/v1/deployments/{deployment_id}/files");
        call.set_query("path", path.into());
        ListFilesCall { call }
    }

    /// Reads a file, or a part of it.
    ///
    /// ```
    /// # use prism_client::{Client, Error, types::DeploymentId};
    /// # async fn example(client: Client, deployment: DeploymentId) -> Result<(), Error> {
    /// let files = client.deployment(&deployment).files();
    /// println!("{}", files.read("notes/plan.md").await?.text().await?);
    ///
    /// let mut film = files.read("film.mp4").range(1_000_000..).await?;
    /// while let Some(piece) = film.next().await.transpose()? {
    ///     println!("{} bytes", piece.len());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn read(&self, path: impl Into<String>) -> ReadFileCall {
        let mut call = self.call(Method::GET, "/v1/deployments/{deployment_id}/files/content");
        call.set_query("path", path.into());
        call.set_accept("*/*");
        ReadFileCall::new(call)
    }

    /// Writes a file, in place of one that is there, and the directories above it.
    ///
    /// ```
    /// # use prism_client::{Client, Error, types::DeploymentId};
    /// # async fn example(client: Client, deployment: DeploymentId) -> Result<(), Error> {
    /// let files = client.deployment(&deployment).files();
    /// let written = files.write("notes/plan.md", "# Plan").only_if_new().await?;
    /// println!("{} bytes", written.size);
    /// # Ok(())
    /// # }
    /// ```
    pub fn write(&self, path: impl Into<String>, content: impl Into<FileBody>) -> WriteFileCall {
        let mut call = self.call(Method::PUT, "/v1/deployments/{deployment_id}/files");
        call.set_query("path", path.into());
        call.set_timeout(None);
        WriteFileCall::new(call, content.into())
    }

    /// Deletes a file, or a directory with all that is in it.
    pub fn delete(&self, path: impl Into<String>) -> DeleteFileCall {
        let mut call = self.call(Method::DELETE, "/v1/deployments/{deployment_id}/files");
        call.set_query("path", path.into());
        DeleteFileCall { call }
    }

    fn call(&self, method: Method, path: &'static str) -> Call {
        Call::new(&self.client, method, path, &[self.deployment.as_str()])
    }
}

calls! {
    /// `GET /v1/deployments/{deployment_id}/files`, from [`Files::list`]. Needs the scope `deployments:read`.
    ListFilesCall -> FileList;
    /// `DELETE /v1/deployments/{deployment_id}/files`, from [`Files::delete`]. Needs the scope `deployments:write`.
    DeleteFileCall -> DeletedFile;
}

paged!(ListFilesCall -> FileList of FileEntry);

query_setters!(ListFilesCall {
    /// Sets how many to answer at most, 1 to 10,000. Default: 10,000.
    limit: u32,
    /// Goes on where the list before ended: at its `next_cursor`.
    cursor: Cursor,
});

impl DeleteFileCall {
    /// Deletes only the file with this `ETag`; another one is
    /// [`is_precondition_failed`](crate::Error::is_precondition_failed).
    pub fn if_match(mut self, etag: &str) -> Self {
        self.call.set_header("if-match", etag);
        self
    }
}
