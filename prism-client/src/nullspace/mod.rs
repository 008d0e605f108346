//! A client of the API of agent deployments: bundles of code that run as jobs or as services.
//!
//! It is an API of its own, beside the one of the rest of this crate; its types are
//! [`types::nullspace`](crate::types::nullspace). A Prism server has it, and so do servers that other clients of it were made
//! for. Calls, lists, waits and errors are those of [the crate](crate).
//!
//! ```no_run
//! use prism_client::{
//!     Client,
//!     nullspace::Bundle,
//!     types::nullspace::{
//!         AgentConfig, AgentMode, CreateAgentDeployment, CreateService, CreateVersion, Permissions, ReadinessProbe,
//!     },
//! };
//!
//! # async fn example() -> Result<(), prism_client::Error> {
//! let nullspace = Client::from_env()?.nullspace();
//! let request = CreateAgentDeployment::new("chat", AgentMode::Service);
//! let created = nullspace.deployments().create(request).await?;
//! let chat = nullspace.deployment(&created.id);
//!
//! // A version is what is run: a configuration, and a bundle of files. Once uploaded, it is the active one.
//! let config = AgentConfig::service("chat", "python -m chat", 8000)
//!     .readiness(ReadinessProbe::http("/healthz"))
//!     .permissions(Permissions::default().public_url(true))
//!     .requires(["MODEL_API_KEY"]);
//! let bundle = Bundle::builder().file("chat/__main__.py", "print('hello')").build(&config)?;
//! let version = chat.versions().create(CreateVersion::new(bundle.manifest(), &config)).await?;
//! chat.versions().upload(&version.id, &bundle).await?;
//! chat.versions().wait_until_ready(&version.id).await?;
//!
//! let service = chat.services().create(CreateService::new().env("MODEL_API_KEY", "…")).await?;
//! chat.services().wait_until_ready(&service.id).await?;
//! if let Some(url) = &chat.services().url(&service.id).await?.public_url {
//!     println!("it is reached at {}", url.without_token());
//! }
//! let mut log = chat.services().logs(&service.id).tail(100).follow();
//! while let Some(line) = log.next().await.transpose()? {
//!     println!("{} {}", line.created_at, line.message);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Sandboxes
//!
//! A sandbox is made in a moment, for whatever is to be executed in it, and lives until its time is over.
//!
//! ```no_run
//! use prism_client::{
//!     Client,
//!     types::nullspace::{CreateSandbox, ExecuteProgram},
//! };
//!
//! # async fn example() -> Result<(), prism_client::Error> {
//! let sandboxes = Client::from_env()?.nullspace().sandboxes();
//! let sandbox = sandboxes.create(CreateSandbox::new().env("TOKEN", "…")).await?;
//! let told = sandboxes.execute(&sandbox.id, ExecuteProgram::shell("echo hello > file; cat file")).await?;
//! assert_eq!((told.exit_code, told.stdout.as_str()), (Some(0), "hello\n"));
//! let snapshot = sandboxes.create_snapshot(&sandbox.id).await?;
//! sandboxes.destroy(&sandbox.id).await?;
//! let another = sandboxes.create(CreateSandbox::of_snapshot(snapshot.id.clone())).await?;
//! # let _ = another;
//! # Ok(())
//! # }
//! ```
//!
//! # What is tried again
//!
//! Creating and uploading are named by a key, which this API requires: a random one, the same for all attempts, unless
//! `idempotency_key` of the call sets one. Changes and deletes can be sent twice. `stop`, `restart` and `cancel` have no
//! key, and are sent again only after a 429, or if there was no connection.
//!
//! Of the answers with 429 only `rate_limit_exceeded` is tried again. Others, such as `capacity_exceeded`, do not pass by
//! waiting a little: see [`Error::is_quota_exceeded`](crate::Error::is_quota_exceeded).
//!
//! # Secrets
//!
//! The values of `envs` and the tokens of public URLs are in no `Debug`. A server keeps no `envs`: a restart needs them
//! again.

mod bundle;
mod deployments;
mod logs;
mod runs;
mod sandbox_files;
mod sandbox_uploads;
mod sandboxes;
mod services;
mod versions;

use prism_types::nullspace::AgentDeploymentId;

use crate::Client;

pub use bundle::{Bundle, BundleBuilder, bundle_digest, config_digest};
pub use deployments::{
    AgentDeploymentHandle, AgentDeployments, CreateAgentDeploymentCall, DeleteAgentDeploymentCall,
    GetAgentDeploymentCall, ListAgentDeploymentsCall, UpdateAgentDeploymentCall,
};
pub use logs::LogStream;
pub use runs::{
    AgentRuns, CancelAgentRunCall, CreateAgentRunCall, GetAgentRunCall, GetRunOutputsCall, ListAgentRunsCall,
    ReadRunLogsCall,
};
pub use sandbox_files::{
    GetSandboxFileInfoCall, HasSandboxFileCall, ListSandboxFilesCall, MakeSandboxDirectoryCall,
    ReadSandboxFileCall, RemoveSandboxFileCall, RenameSandboxFileCall, SandboxFiles,
    SetSandboxPermissionsCall, WriteSandboxFileCall,
};
pub use sandbox_uploads::{
    AbortUploadCall, CompleteUploadCall, CreateUploadCall, GetUploadCall, PutUploadPartCall, SandboxUploads,
    SendUpload,
};
pub use sandboxes::{
    CreateSandboxCall, CreateSandboxSnapshotCall, DeleteSandboxSnapshotCall, DestroySandboxCall,
    ExecuteProgramCall, ForkSandboxCall, GetPortUrlCall, GetProcessLogsCall, GetSandboxCall,
    GetSandboxSnapshotCall, KillProcessCall, ListProcessesCall, ListSandboxSnapshotsCall, ListSandboxesCall,
    ProbePortCall, Sandboxes, SetSandboxTimeoutCall,
};
pub use services::{
    CreateServiceCall, GetServiceCall, GetServiceUrlCall, ListServicesCall, ReadServiceLogsCall,
    RestartServiceCall, Services, StopServiceCall,
};
pub use versions::{CreateVersionCall, GetVersionCall, ListVersionsCall, UploadBundleCall, Versions};

/// What the paths of this API begin with. The native API has snapshots of its own, so those of this one have a prefix.
const PATHS: [&str; 3] = ["/v1/agent-deployments", "/v1/sandboxes", "/nullspace/"];

/// Whether a path is one of this API's.
pub(crate) fn owns(path: &str) -> bool {
    PATHS.iter().any(|begin| path.starts_with(begin))
}

/// The API of agent deployments; from [`Client::nullspace`].
///
/// Cheap to clone; it sends nothing by itself.
#[derive(Debug, Clone)]
pub struct Nullspace {
    client: Client,
}

impl Nullspace {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    /// Creates, lists and changes deployments.
    pub fn deployments(&self) -> AgentDeployments {
        AgentDeployments::new(self.client.clone())
    }

    /// Creates sandboxes, executes programs in them, and makes snapshots of their files.
    pub fn sandboxes(&self) -> Sandboxes {
        Sandboxes::new(self.client.clone())
    }

    /// A handle on one deployment: its versions, runs and services. Nothing is sent.
    pub fn deployment(&self, id: &AgentDeploymentId) -> AgentDeploymentHandle {
        AgentDeploymentHandle::new(self.client.clone(), id.clone())
    }
}

/// Declares a handle on a collection of one deployment.
macro_rules! collection {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        ///
        /// Cheap to clone; it sends nothing by itself.
        #[derive(Debug, Clone)]
        pub struct $name {
            client: crate::Client,
            deployment: prism_types::nullspace::AgentDeploymentId,
        }

        impl $name {
            pub(super) fn new(
                client: crate::Client,
                deployment: prism_types::nullspace::AgentDeploymentId,
            ) -> Self {
                Self { client, deployment }
            }

            /// A call to the collection.
            fn all(&self, method: reqwest::Method, path: &'static str) -> crate::call::Call {
                crate::call::Call::new(&self.client, method, path, &[self.deployment.as_str()])
            }

            /// A call to one of its members.
            fn one(
                &self,
                method: reqwest::Method,
                path: &'static str,
                id: &impl AsRef<str>,
            ) -> crate::call::Call {
                let ids = [self.deployment.as_str(), id.as_ref()];
                crate::call::Call::new(&self.client, method, path, &ids)
            }
        }
    };
}

/// Declares the setter of the idempotency key.
macro_rules! keyed {
    ($($name:ident),+) => { $(
        impl $name {
            /// Names the request, so that it is carried out once however often it is sent with this key. At most 255
            /// visible ASCII characters, best random. Default: a random key, the same for all attempts of the call, which
            /// [the answer](crate::Response::idempotency_key) and [the error](crate::Error::idempotency_key) tell. The
            /// same key with another request is [`is_idempotency_mismatch`](crate::Error::is_idempotency_mismatch).
            pub fn idempotency_key(mut self, key: &str) -> Self {
                self.call.set_header("idempotency-key", key);
                self
            }
        }
    )+ };
}

use {collection, keyed};
