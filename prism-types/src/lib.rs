//! The wire types of Prism: everything a client and a server of the platform say to each other.
//!
//! This crate does no I/O and knows no runtime, so that it can be used in a server, a client, a browser
//! (`wasm32-unknown-unknown`) or a code generator alike. Four habits run through it:
//!
//! * **Ids are types.** A [`DeploymentId`] starts with `dep_` and cannot be passed where a [`ThreadId`]
//!   is wanted.
//! * **What is not known is kept.** A value of an enum, a member of a union or a field of an answer that this version
//!   does not know is written back as it came, so that an old client survives a new server. Fields are in
//!   [`UnknownFields`], byte for byte; `unknown_fields()` of every answer tells them.
//! * **Requests are built, responses are read.** A request has `new(required…)` and consuming setters, so that one
//!   without a required field does not compile; a response is `#[non_exhaustive]`. Both can be written and read.
//! * **Secrets cannot be printed.** [`Secret`] has a fixed `Debug` and no `Serialize`.
//!
//! ```
//! use prism_types::{CreateDeployment, McpServer, Skill};
//!
//! let request = CreateDeployment::new("cus_123", "Acme Creative Agent", "You are Acme's agent.")
//!     .model("anthropic/claude-sonnet-4.5")
//!     .mcp_server(McpServer::new("prism-media", "https://api.prismvideos.com/mcp").tools(["generate_video"]))
//!     .skill(Skill::inline("storyboarding", "---\nname: storyboarding\ndescription: Shots\n---\n# Steps"));
//! let json = serde_json::to_value(&request)?;
//! assert_eq!(json["skills"][0]["source"], "inline");
//! # Ok::<(), serde_json::Error>(())
//! ```
//!
//! With the feature `schema` every type implements [`schemars::JsonSchema`](https://docs.rs/schemars). With the feature
//! `nullspace` there is a module of that name, which has the types of the API of agent deployments.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod macros;

mod approval;
mod approval_policy;
mod audit;
mod automation;
mod deployment;
mod dream;
mod error;
mod event;
mod file;
mod id;
mod mcp_server;
mod memory;
mod message;
#[cfg(feature = "nullspace")]
pub mod nullspace;
mod open_enum;
mod page;
mod patch;
mod raw_json;
#[cfg(doctest)]
mod required;
mod run;
mod scan;
#[cfg(feature = "schema")]
pub mod schema;
mod secret;
mod skill;
mod snapshot;
mod thread;
mod timestamp;
mod tool;
mod unknown_fields;
mod webhook;

pub use approval::{AnswerApproval, Approval, ApprovalStatus, Decision};
pub use approval_policy::ApprovalPolicy;
pub use audit::AuditEntry;
pub use automation::{
    Automation, AutomationRun, AutomationRunStatus, AutomationSummary, AutomationTrigger, CreateAutomation,
    DeletedAutomation, TriggeredAutomation, UpdateAutomation,
};
pub use deployment::{
    CreateDeployment, DeletedDeployment, DeletedStatus, Deployment, DeploymentStatus, DeploymentSummary,
    EventTransport, EventsEndpoint, Features, FeaturesUpdate, Filesystem, ListDeployments, McpServer,
    Runtime, Sandbox, SandboxType, SandboxUpdate, UpdateDeployment,
};
pub use dream::{Dream, DreamReport, DreamStatus, DreamTrigger, DreamedMemory};
pub use error::{ErrorBody, ErrorCode, Failure, Problem};
pub use event::{
    Event, EventDecodeError, EventPayload, FileChange, FilesystemChanged, RunStatusChanged,
    SteeringRequested, Token, ToolCalled, ToolReturned, UnknownEvent,
};
pub use file::{DeletedFile, FileEncoding, FileEntry, FileList, FileType, FileWritten, WriteFile};
pub use id::{
    ApiKeyId, ApprovalId, AuditEntryId, AutomationId, AutomationRunId, DeploymentId, DreamId, EventId,
    IdError, InstanceId, MemoryId, RequestId, RunId, SecretRef, SkillId, SnapshotId, TenantId, ThreadId,
    UploadId, VersionId, WebhookDeliveryId, WebhookId,
};
pub use mcp_server::{DeletedMcpServer, McpServerInfo, McpServerList, UpdateMcpServer};
pub use memory::{CreateMemory, DeletedMemory, Memory, MemorySource, UpdateMemory};
pub use message::{Attachment, AttachmentType, MessageReceipt, SendMessage, ThreadTarget};
pub use open_enum::UnknownValue;
pub use page::{Cursor, ListPage, Page};
pub use patch::Patch;
pub use raw_json::{RawJson, UnknownVariant};
pub use run::{Run, RunKind, RunStatus, Usage};
pub use secret::Secret;
pub use skill::{
    DeletedSkill, Skill, SkillDetails, SkillInfo, SkillList, SkillSource, SkillState, UpdateSkill,
};
pub use snapshot::{DeletedSnapshot, Snapshot, SnapshotStatus};
pub use thread::{
    CreateThread, DeletedThread, MessageRole, Thread, ThreadMessage, ThreadStatus, ThreadSummary,
    UpdateThread,
};
pub use timestamp::{Timestamp, TimestampError};
pub use tool::{Tool, ToolList, ToolListError, UpdateTool};
pub use unknown_fields::UnknownFields;
pub use webhook::{
    CreateWebhook, DeletedWebhook, InvalidWebhookSecret, RedeliverWebhook, Redelivered, UpdateWebhook,
    Webhook, WebhookAttempt, WebhookContent, WebhookDelivery, WebhookDeliveryStatus, WebhookEvent,
    WebhookEventType, WebhookMessage, WebhookPing, WebhookSecret, WebhookWithSecret,
};
