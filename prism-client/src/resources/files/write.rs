//! Writing a file.

use prism_types::FileWritten;

use super::upload::uploads;

uploads! {
    /// `PUT /v1/deployments/{deployment_id}/files`, from [`Files::write`](super::Files::write). Needs the scope
    /// `deployments:write`. The answer's header `etag` names the new version.
    ///
    /// ```
    /// # use prism_client::resources::Files;
    /// # async fn example(files: Files, film: Vec<u8>) -> Result<(), prism_client::Error> {
    /// files.write("film.mp4", film).on_progress(|at| println!("{} of {:?} bytes", at.bytes, at.total)).await?;
    /// # Ok(())
    /// # }
    /// ```
    WriteFileCall -> FileWritten, as "application/octet-stream";
}

impl WriteFileCall {
    pub(super) fn new(call: crate::call::Call, content: super::FileBody) -> Self {
        Self::sending(call, content)
    }

    /// Replaces only the file with this `ETag`; another one, or none, is
    /// [`is_precondition_failed`](crate::Error::is_precondition_failed).
    pub fn if_match(mut self, etag: &str) -> Self {
        self.call.set_header("if-match", etag);
        self
    }

    /// Writes only where there is no file; one that is there is
    /// [`is_precondition_failed`](crate::Error::is_precondition_failed).
    pub fn only_if_new(mut self) -> Self {
        self.call.set_header("if-none-match", "*");
        self
    }
}
