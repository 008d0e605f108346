//! What runs left behind.

use super::{AgentRunId, JsonObject, SandboxId};
use crate::{UnknownFields, macros::setters, open_enum::open_enum, unknown_fields::answer};

open_enum! {
    /// What an output is.
    pub enum OutputKind {
        /// A file.
        File = "file",
        /// A directory.
        Dir = "dir",
    }
}

open_enum! {
    /// Whether an output can be had. Every other value than `available` says that it cannot, and why.
    pub enum OutputStatus {
        /// It can be had.
        Available = "available",
        /// The run did not write it.
        Missing = "missing",
    }
}

open_enum! {
    /// How an output is fetched.
    pub enum OutputAccessType {
        /// By the file API of the sandbox, while that is kept.
        SandboxFileApi = "sandbox_file_api",
    }
}

answer! {
    /// The answer to `GET /v1/agent-deployments/{deployment_id}/runs/{run_id}/outputs`.
    pub struct RunOutputs {
        /// The run.
        pub run_id: AgentRunId,
        /// What was collected when the run ended.
        #[serde(default)]
        pub output_manifest: Option<JsonObject>,
        /// What it left behind, in the order of the configuration.
        #[serde(default)]
        pub outputs: Vec<OutputItem>,
    }
}

impl RunOutputs {
    /// The outputs of a run.
    pub fn new(run_id: AgentRunId, outputs: Vec<OutputItem>) -> Self {
        Self { run_id, output_manifest: None, outputs, unknown_fields: UnknownFields::default() }
    }
}

setters!(RunOutputs {
    /// Sets what was collected when the run ended.
    output_manifest: Option<JsonObject>,
});

answer! {
    /// A file or a directory that a run left behind.
    pub struct OutputItem {
        /// The path as the configuration has it.
        pub configured_path: String,
        /// The path in the sandbox.
        pub path: String,
        /// What it is.
        pub kind: OutputKind,
        /// Whether it can be had.
        pub status: OutputStatus,
        /// Its size in bytes.
        #[serde(default)]
        pub size_bytes: Option<u64>,
        /// The last part of its path.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub name: Option<String>,
        /// How it is fetched.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub access: Option<OutputAccess>,
    }
}

impl OutputItem {
    /// An output of unknown size that cannot be fetched.
    pub fn new(
        configured_path: impl Into<String>,
        path: impl Into<String>,
        kind: OutputKind,
        status: OutputStatus,
    ) -> Self {
        Self {
            configured_path: configured_path.into(),
            path: path.into(),
            kind,
            status,
            size_bytes: None,
            name: None,
            access: None,
            unknown_fields: UnknownFields::default(),
        }
    }
}

setters!(OutputItem {
    /// Sets its size in bytes.
    size_bytes: Option<u64>,
    /// Sets the last part of its path.
    name: Option<String>,
    /// Sets how it is fetched.
    access: Option<OutputAccess>,
});

answer! {
    /// How an output is fetched.
    pub struct OutputAccess {
        /// By what.
        #[serde(rename = "type")]
        pub access: OutputAccessType,
        /// The sandbox that has it.
        pub sandbox_id: SandboxId,
        /// Its path there.
        pub path: String,
    }
}

impl OutputAccess {
    /// By the file API of a sandbox.
    pub fn sandbox_file(sandbox_id: SandboxId, path: impl Into<String>) -> Self {
        Self {
            access: OutputAccessType::SandboxFileApi,
            sandbox_id,
            path: path.into(),
            unknown_fields: UnknownFields::default(),
        }
    }
}
