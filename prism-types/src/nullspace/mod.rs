//! The types of the API of agent deployments: versioned bundles of code that run as jobs or as services.
//!
//! It is an API of its own, beside the one of [`Deployment`](crate::Deployment)s, with paths below `/v1/agent-deployments`,
//! ids, pages and errors of its own. It has the form of Nullspace's API, in the version of its SDK 0.1.9, so that programs
//! that are written for that work with both. The habits are those of [the crate](crate): ids are types, what is not known
//! is kept, requests are built, and secrets cannot be printed.
//!
//! ```
//! use prism_types::nullspace::{AgentConfig, CreateService, Permissions, ReadinessProbe};
//!
//! let config = AgentConfig::service("chat", "python -m chat", 8000)
//!     .install("pip install -r requirements.txt")
//!     .readiness(ReadinessProbe::http("/healthz").timeout_seconds(60))
//!     .permissions(Permissions::default().public_url(true))
//!     .requires(["MODEL_API_KEY"]);
//! assert_eq!(serde_json::to_value(&config)?["service"]["port"], 8000);
//!
//! let request = CreateService::new().env("MODEL_API_KEY", "canary");
//! assert!(!format!("{request:?}").contains("canary"));
//! # Ok::<(), serde_json::Error>(())
//! ```

mod bundle;
mod config;
mod deployment;
mod envs;
mod error;
mod json_object;
mod log;
mod output;
mod page;
#[cfg(doctest)]
mod required;
mod run;
mod sandbox;
mod sandbox_content;
mod service;
mod upload;
mod version;

pub use crate::id::nullspace::{
    AgentDeploymentId, AgentRunId, AgentVersionId, BuildId, SandboxId, ServiceInstanceId,
};
pub use bundle::{ArchiveFormat, BundleEntry, BundleEntryKind, BundleManifest};
pub use config::{
    AgentConfig, AgentMode, DebugSettings, Outputs, Permissions, ReadinessProbe, ReadinessType, Resources,
    ServiceSettings,
};
pub use deployment::{AgentDeployment, AgentDeploymentStatus, CreateAgentDeployment, UpdateAgentDeployment};
pub use envs::Envs;
pub use error::{ErrorBody, ErrorCode, ErrorObject, ErrorText};
pub use json_object::JsonObject;
pub use log::{LogEvent, LogLevel, LogPage, LogSource};
pub use output::{OutputAccess, OutputAccessType, OutputItem, OutputKind, OutputStatus, RunOutputs};
pub use page::Page;
pub use run::{AgentRun, AgentRunStatus, CancelRun, CreateRun};
pub use sandbox::{
    AccessToken, CreateSandbox, DestroyedSandbox, ExecuteProgram, PortUrl, ProgramResult, Sandbox,
    SandboxConfig, SandboxNetwork, SandboxSnapshot, SandboxStatus, SetSandboxTimeout,
};
pub use sandbox_content::{
    PortProbeKind, PortReadiness, ProbePort, SandboxFile, SandboxFileExists, SandboxFileType, SandboxProcess,
    SandboxProcessLogs,
};
pub use service::{
    CreateService, PublicUrl, RestartService, ServiceInstance, ServiceStatus, ServiceUrl, StopService,
};
pub use upload::{
    CompleteUpload, CompletedUpload, CreateUpload, CreatedUpload, UploadConflict, UploadFailure, UploadKind,
    UploadLimits, UploadReason, UploadSession, UploadSourceKind, UploadStatus,
};
pub use version::{
    AgentDeploymentVersion, AgentVersionStatus, BuildStatus, BuildSummary, CachePolicy, CacheStatus,
    CacheSummary, CreateVersion, EnvSpec,
};
