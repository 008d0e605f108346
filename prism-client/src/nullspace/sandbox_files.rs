//! Files of a sandbox.

use std::{pin::Pin, time::Duration};

use prism_types::nullspace::{SandboxFile, SandboxFileExists, SandboxId};
use reqwest::Method;
use serde_json::json;

use crate::{
    Client, Error, RetryPolicy,
    call::{Call, calls, headed, query_setters},
    resources::{FileBody, FileContent, uploads},
    retry::tried,
};

/// The files of one sandbox; from [`Sandboxes::files`](super::Sandboxes::files).
///
/// Paths are those that programs see: `/workspace`, or below it. What else a sandbox has is for its programs alone. Cheap to
/// clone; it sends nothing by itself.
///
/// ```no_run
/// # use prism_client::{Client, types::nullspace::{CreateSandbox, ExecuteProgram}};
/// # async fn example(client: Client) -> Result<(), prism_client::Error> {
/// let sandboxes = client.nullspace().sandboxes();
/// let sandbox = sandboxes.create(CreateSandbox::new()).await?;
/// let files = sandboxes.files(&sandbox.id);
/// files.write("/workspace/data.csv", "a,b\n1,2\n").await?;
/// sandboxes.execute(&sandbox.id, ExecuteProgram::shell("sort data.csv > sorted.csv")).await?;
/// println!("{}", files.read("/workspace/sorted.csv").await?.text().await?);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct SandboxFiles {
    client: Client,
    sandbox: SandboxId,
}

impl SandboxFiles {
    pub(super) fn new(client: Client, sandbox: SandboxId) -> Self {
        Self { client, sandbox }
    }

    /// Lists a directory, such as `/workspace`.
    pub fn list(&self, path: impl Into<String>) -> ListSandboxFilesCall {
        let mut call = self.call(Method::GET, "/v1/sandboxes/{sandbox_id}/files");
        call.set_query("path", path.into());
        ListSandboxFilesCall { call }
    }

    /// Reads the bytes of a file.
    pub fn read(&self, path: impl Into<String>) -> ReadSandboxFileCall {
        let mut call = self.call(Method::GET, "/v1/sandboxes/{sandbox_id}/file");
        call.set_query("path", path.into());
        call.set_accept("*/*");
        ReadSandboxFileCall { call }
    }

    /// Writes a file, in place of one that is there, and the directories above it.
    pub fn write(&self, path: impl Into<String>, content: impl Into<FileBody>) -> WriteSandboxFileCall {
        let mut call = self.call(Method::PUT, "/v1/sandboxes/{sandbox_id}/file");
        call.set_query("path", path.into());
        call.set_timeout(None);
        WriteSandboxFileCall::sending(call, content.into())
    }

    /// Says what is at a path; where nothing is it [`is_not_found`](Error::is_not_found).
    pub fn info(&self, path: impl Into<String>) -> GetSandboxFileInfoCall {
        GetSandboxFileInfoCall { call: self.about("/v1/sandboxes/{sandbox_id}/files/info", path) }
    }

    /// Says whether something is at a path.
    pub fn exists(&self, path: impl Into<String>) -> HasSandboxFileCall {
        HasSandboxFileCall { call: self.about("/v1/sandboxes/{sandbox_id}/files/exists", path) }
    }

    /// Removes a file, or a directory with all that is in it.
    pub fn remove(&self, path: impl Into<String>) -> RemoveSandboxFileCall {
        RemoveSandboxFileCall { call: self.about("/v1/sandboxes/{sandbox_id}/files/remove", path) }
    }

    /// Gives a file or a directory another path.
    pub fn rename(&self, from: impl Into<String>, to: impl Into<String>) -> RenameSandboxFileCall {
        let body = json!({ "old_path": from.into(), "new_path": to.into() });
        RenameSandboxFileCall { call: self.post("/v1/sandboxes/{sandbox_id}/files/rename").body(&body) }
    }

    /// Makes a directory, and those above it.
    pub fn make_directory(&self, path: impl Into<String>) -> MakeSandboxDirectoryCall {
        MakeSandboxDirectoryCall { call: self.about("/v1/sandboxes/{sandbox_id}/files/mkdir", path) }
    }

    /// Sets who may do what with a file or a directory, such as `0o755`.
    pub fn set_permissions(&self, path: impl Into<String>, mode: u32) -> SetSandboxPermissionsCall {
        let body = json!({ "path": path.into(), "permissions": format!("{mode:03o}") });
        let call = self.post("/v1/sandboxes/{sandbox_id}/files/permissions").body(&body);
        SetSandboxPermissionsCall { call }
    }

    fn about(&self, operation: &'static str, path: impl Into<String>) -> Call {
        self.post(operation).body(&json!({ "path": path.into() }))
    }

    fn post(&self, path: &'static str) -> Call {
        self.call(Method::POST, path).takes_key(false)
    }

    fn call(&self, method: Method, path: &'static str) -> Call {
        Call::new(&self.client, method, path, &[self.sandbox.as_ref()])
    }
}

calls! {
    /// `GET /v1/sandboxes/{sandbox_id}/files`, from [`SandboxFiles::list`].
    ListSandboxFilesCall -> Vec<SandboxFile>;
    /// `POST /v1/sandboxes/{sandbox_id}/files/info`, from [`SandboxFiles::info`].
    GetSandboxFileInfoCall -> SandboxFile;
    /// `POST /v1/sandboxes/{sandbox_id}/files/exists`, from [`SandboxFiles::exists`].
    HasSandboxFileCall -> SandboxFileExists;
    /// `POST /v1/sandboxes/{sandbox_id}/files/remove`, from [`SandboxFiles::remove`]. It has no key, and is sent again only
    /// after a 429, or if there was no connection.
    RemoveSandboxFileCall -> ();
    /// `POST /v1/sandboxes/{sandbox_id}/files/rename`, from [`SandboxFiles::rename`]. It has no key, and is sent again only
    /// after a 429, or if there was no connection.
    RenameSandboxFileCall -> SandboxFile;
    /// `POST /v1/sandboxes/{sandbox_id}/files/mkdir`, from [`SandboxFiles::make_directory`]. It has no key, and is sent again
    /// only after a 429, or if there was no connection.
    MakeSandboxDirectoryCall -> ();
    /// `POST /v1/sandboxes/{sandbox_id}/files/permissions`, from [`SandboxFiles::set_permissions`]. It has no key, and is
    /// sent again only after a 429, or if there was no connection.
    SetSandboxPermissionsCall -> ();
}

query_setters!(ListSandboxFilesCall {
    /// Lists directories in it as well, to so many levels, 1 to 64. Default: 1.
    depth: u32,
});

/// `GET /v1/sandboxes/{sandbox_id}/file`, from [`SandboxFiles::read`].
///
/// Nothing is sent before [`send`](Self::send) or `.await`.
#[derive(Debug, Clone)]
#[must_use = "nothing is sent before `send` or `.await`"]
pub struct ReadSandboxFileCall {
    call: Call,
}

impl ReadSandboxFileCall {
    /// Sets how long to wait for the answer to begin, with all attempts, and then for each of its pieces. Default: the
    /// client's [`timeout`](crate::ClientBuilder::timeout). The whole may take as long as it takes.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.call.set_timeout(Some(timeout));
        self
    }

    /// Sets the time limit of each attempt, until the answer begins. Default: the client's
    /// [`attempt_timeout`](crate::ClientBuilder::attempt_timeout).
    pub fn attempt_timeout(mut self, timeout: Duration) -> Self {
        self.call.set_attempt_timeout(timeout);
        self
    }

    /// Sets how this call is tried again. Default: the client's [`retries`](crate::ClientBuilder::retries). What breaks in
    /// the middle is an error: a file of a sandbox has no version by which the rest of it could be asked for.
    pub fn retries(mut self, policy: RetryPolicy) -> Self {
        self.call.set_retry_policy(policy);
        self
    }

    /// Sends the request, again if need be, and waits for the answer to begin.
    ///
    /// # Errors
    /// See [`Error`] for what there is to ask it.
    pub async fn send(self) -> Result<FileContent, Error> {
        let answer = tried(self.call.clone(), Call::exchange).await?;
        Ok(FileContent::whole(self.call, answer))
    }
}

headed!(ReadSandboxFileCall);

impl IntoFuture for ReadSandboxFileCall {
    type Output = Result<FileContent, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}

uploads! {
    /// `PUT /v1/sandboxes/{sandbox_id}/file`, from [`SandboxFiles::write`].
    WriteSandboxFileCall -> (), as "application/octet-stream";
}
