//! Versions of an agent deployment, and uploading their bundles.

use prism_types::{
    Cursor,
    nullspace::{AgentDeploymentVersion, AgentVersionId, AgentVersionStatus, CreateVersion, Page},
};
use reqwest::Method;

use super::{Bundle, collection, keyed};
use crate::{
    call::{calls, paged, query_setters, waited},
    resources::{FileBody, uploads},
    wait::{Ready, Wait},
};

collection! {
    /// The versions of one agent deployment; from
    /// [`AgentDeploymentHandle::versions`](super::AgentDeploymentHandle::versions).
    Versions
}

impl Versions {
    /// Says what a version is made of. It can be run once its bundle was [uploaded](Self::upload).
    pub fn create(&self, request: CreateVersion) -> CreateVersionCall {
        let call = self.all(Method::POST, "/v1/agent-deployments/{deployment_id}/versions");
        CreateVersionCall { call: call.body(&request) }
    }

    /// Lists versions, newest first, a page at a time.
    pub fn list(&self) -> ListVersionsCall {
        ListVersionsCall { call: self.all(Method::GET, "/v1/agent-deployments/{deployment_id}/versions") }
    }

    /// Reads a version.
    pub fn get(&self, id: &AgentVersionId) -> GetVersionCall {
        let path = "/v1/agent-deployments/{deployment_id}/versions/{version_id}";
        GetVersionCall { call: self.one(Method::GET, path, id) }
    }

    /// Uploads the bundle of a version. When it is what the version says, the version becomes `ready` and the
    /// active one of the deployment.
    pub fn upload(&self, id: &AgentVersionId, bundle: &Bundle) -> UploadBundleCall {
        self.upload_archive(id, &bundle.manifest().bundle_digest, bundle.archive().clone())
    }

    /// The same of an archive that was made elsewhere: a POSIX tar, not compressed, of what the manifest of the version
    /// says, whose digest this is.
    pub fn upload_archive(
        &self,
        id: &AgentVersionId,
        bundle_digest: &str,
        archive: impl Into<FileBody>,
    ) -> UploadBundleCall {
        let path = "/v1/agent-deployments/{deployment_id}/versions/{version_id}/bundle";
        let mut call = self.one(Method::PUT, path, id).takes_key(true);
        call.set_header("x-nullspace-bundle-digest", bundle_digest);
        call.set_timeout(None);
        UploadBundleCall::sending(call, archive.into())
    }

    /// Waits until a version can be run: until it is [`Ready`].
    pub fn wait_until_ready(&self, id: &AgentVersionId) -> Wait<AgentDeploymentVersion> {
        self.get(id).wait_until(Ready)
    }
}

calls! {
    /// `POST /v1/agent-deployments/{deployment_id}/versions`, from [`Versions::create`].
    CreateVersionCall -> AgentDeploymentVersion;
    /// `GET /v1/agent-deployments/{deployment_id}/versions`, from [`Versions::list`].
    ListVersionsCall -> Page<AgentDeploymentVersion>;
    /// `GET /v1/agent-deployments/{deployment_id}/versions/{version_id}`, from [`Versions::get`].
    GetVersionCall -> AgentDeploymentVersion;
}

waited!(GetVersionCall -> AgentDeploymentVersion);

keyed!(CreateVersionCall, UploadBundleCall);

paged!(ListVersionsCall -> Page<AgentDeploymentVersion> of AgentDeploymentVersion);

query_setters!(ListVersionsCall {
    /// Lists only those in this status.
    status: AgentVersionStatus,
    /// Sets how many to answer at most, 1 to 200. Default: 50.
    limit: u32,
    /// Goes on where the page before ended: at its `next_cursor`.
    cursor: Cursor,
});

uploads! {
    /// `PUT /v1/agent-deployments/{deployment_id}/versions/{version_id}/bundle`, from [`Versions::upload`].
    UploadBundleCall -> AgentDeploymentVersion, as "application/x-tar";
}
