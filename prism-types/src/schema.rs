//! JSON Schema (draft 2020-12) of every public type.

use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings};
use serde::{Serialize, de::DeserializeOwned};

/// A named schema.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct NamedSchema {
    /// The type's name, such as `CreateDeployment`.
    pub name: &'static str,
    /// Its schema.
    pub schema: Schema,
    round_trip: Option<RoundTrip>,
}

impl NamedSchema {
    /// Reads a document as the type and writes it again: what is left of it after a program that uses the type.
    ///
    /// `None` for `EventPayload`, which is read by the name of its event: see [`EventPayload::decode`].
    ///
    /// ```
    /// let all = prism_types::schema::all();
    /// let update = all.iter().find(|named| named.name == "UpdateThread").unwrap();
    /// assert_eq!(update.round_trip(r#"{ "title": null }"#).unwrap()?, r#"{"title":null}"#);
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    ///
    /// # Errors
    /// When the document does not have the form of the type.
    ///
    /// [`EventPayload::decode`]: crate::EventPayload::decode
    pub fn round_trip(&self, json: &str) -> Option<Result<String, serde_json::Error>> {
        self.round_trip.map(|round_trip| round_trip(json))
    }
}

type Generate = fn(&mut SchemaGenerator) -> Schema;
type RoundTrip = fn(&str) -> Result<String, serde_json::Error>;

struct Entry {
    name: &'static str,
    generate: Generate,
    round_trip: Option<RoundTrip>,
}

impl Entry {
    /// A type of this name. It has to be both written and read.
    const fn of<T: JsonSchema + Serialize + DeserializeOwned>(name: &'static str) -> Self {
        Self { name, generate: SchemaGenerator::subschema_for::<T>, round_trip: Some(round_trip::<T>) }
    }
}

fn round_trip<T: Serialize + DeserializeOwned>(json: &str) -> Result<String, serde_json::Error> {
    serde_json::to_string(&serde_json::from_str::<T>(json)?)
}

macro_rules! registry {
    ($($type:ident $(<$parameter:ident>)? as $name:literal),* $(,)?) => {
        &[$(Entry::of::<$type $(<$parameter>)?>($name)),*]
    };
}

const REGISTRY: &[Entry] = {
    use crate::*;
    registry! {
        AnswerApproval as "AnswerApproval",
        Approval as "Approval",
        Page<Approval> as "ApprovalPage",
        ApprovalPolicy as "ApprovalPolicy",
        Attachment as "Attachment",
        AuditEntry as "AuditEntry",
        Page<AuditEntry> as "AuditEntryPage",
        Automation as "Automation",
        Page<AutomationSummary> as "AutomationPage",
        AutomationRun as "AutomationRun",
        Page<AutomationRun> as "AutomationRunPage",
        AutomationSummary as "AutomationSummary",
        CreateAutomation as "CreateAutomation",
        CreateDeployment as "CreateDeployment",
        CreateMemory as "CreateMemory",
        CreateThread as "CreateThread",
        CreateWebhook as "CreateWebhook",
        DeletedAutomation as "DeletedAutomation",
        DeletedDeployment as "DeletedDeployment",
        DeletedFile as "DeletedFile",
        DeletedMcpServer as "DeletedMcpServer",
        DeletedMemory as "DeletedMemory",
        DeletedSkill as "DeletedSkill",
        DeletedSnapshot as "DeletedSnapshot",
        DeletedThread as "DeletedThread",
        DeletedWebhook as "DeletedWebhook",
        Deployment as "Deployment",
        Page<DeploymentSummary> as "DeploymentPage",
        DeploymentSummary as "DeploymentSummary",
        Dream as "Dream",
        Page<Dream> as "DreamPage",
        DreamReport as "DreamReport",
        DreamedMemory as "DreamedMemory",
        ErrorBody as "ErrorBody",
        Failure as "Failure",
        Features as "Features",
        FeaturesUpdate as "FeaturesUpdate",
        FileEntry as "FileEntry",
        FileList as "FileList",
        FileWritten as "FileWritten",
        FilesystemChanged as "FilesystemChanged",
        ListDeployments as "ListDeployments",
        ListPage as "ListPage",
        McpServer as "McpServer",
        McpServerInfo as "McpServerInfo",
        McpServerList as "McpServerList",
        Memory as "Memory",
        Page<Memory> as "MemoryPage",
        MessageReceipt as "MessageReceipt",
        RedeliverWebhook as "RedeliverWebhook",
        Redelivered as "Redelivered",
        Run as "Run",
        Page<Run> as "RunPage",
        RunStatusChanged as "RunStatusChanged",
        Sandbox as "Sandbox",
        SandboxUpdate as "SandboxUpdate",
        SendMessage as "SendMessage",
        Skill as "Skill",
        SkillDetails as "SkillDetails",
        SkillInfo as "SkillInfo",
        SkillList as "SkillList",
        Snapshot as "Snapshot",
        Page<Snapshot> as "SnapshotPage",
        SteeringRequested as "SteeringRequested",
        Thread as "Thread",
        ThreadMessage as "ThreadMessage",
        Page<ThreadSummary> as "ThreadPage",
        ThreadSummary as "ThreadSummary",
        Token as "Token",
        Tool as "Tool",
        ToolCalled as "ToolCalled",
        ToolList as "ToolList",
        ToolListError as "ToolListError",
        ToolReturned as "ToolReturned",
        TriggeredAutomation as "TriggeredAutomation",
        UpdateAutomation as "UpdateAutomation",
        UpdateDeployment as "UpdateDeployment",
        UpdateMcpServer as "UpdateMcpServer",
        UpdateMemory as "UpdateMemory",
        UpdateSkill as "UpdateSkill",
        UpdateThread as "UpdateThread",
        UpdateTool as "UpdateTool",
        UpdateWebhook as "UpdateWebhook",
        Usage as "Usage",
        Webhook as "Webhook",
        WebhookAttempt as "WebhookAttempt",
        WebhookDelivery as "WebhookDelivery",
        Page<WebhookDelivery> as "WebhookDeliveryPage",
        WebhookMessage as "WebhookMessage",
        Page<Webhook> as "WebhookPage",
        WebhookWithSecret as "WebhookWithSecret",
        WriteFile as "WriteFile",
    }
};

#[cfg(feature = "nullspace")]
const NULLSPACE: &[Entry] = {
    use crate::nullspace::*;
    registry! {
        AgentConfig as "AgentConfig",
        AgentDeployment as "AgentDeployment",
        Page<AgentDeployment> as "AgentDeploymentPage",
        AgentDeploymentVersion as "AgentDeploymentVersion",
        Page<AgentDeploymentVersion> as "AgentDeploymentVersionPage",
        AgentRun as "AgentRun",
        Page<AgentRun> as "AgentRunPage",
        BuildSummary as "BuildSummary",
        BundleEntry as "BundleEntry",
        BundleManifest as "BundleManifest",
        CacheSummary as "CacheSummary",
        CancelRun as "CancelRun",
        CompleteUpload as "CompleteUpload",
        CompletedUpload as "CompletedUpload",
        CreateAgentDeployment as "CreateAgentDeployment",
        CreateRun as "CreateRun",
        CreateSandbox as "CreateSandbox",
        CreateService as "CreateService",
        CreateUpload as "CreateUpload",
        CreateVersion as "CreateVersion",
        CreatedUpload as "CreatedUpload",
        DebugSettings as "DebugSettings",
        DestroyedSandbox as "DestroyedSandbox",
        EnvSpec as "EnvSpec",
        ErrorBody as "ErrorBody",
        ErrorObject as "ErrorObject",
        ExecuteProgram as "ExecuteProgram",
        LogEvent as "LogEvent",
        LogPage as "LogPage",
        OutputAccess as "OutputAccess",
        OutputItem as "OutputItem",
        Outputs as "Outputs",
        Permissions as "Permissions",
        PortReadiness as "PortReadiness",
        PortUrl as "PortUrl",
        ProbePort as "ProbePort",
        ProgramResult as "ProgramResult",
        ReadinessProbe as "ReadinessProbe",
        Resources as "Resources",
        RestartService as "RestartService",
        RunOutputs as "RunOutputs",
        Sandbox as "Sandbox",
        SandboxConfig as "SandboxConfig",
        SandboxFile as "SandboxFile",
        SandboxFileExists as "SandboxFileExists",
        SandboxNetwork as "SandboxNetwork",
        SandboxProcess as "SandboxProcess",
        SandboxProcessLogs as "SandboxProcessLogs",
        SandboxSnapshot as "SandboxSnapshot",
        ServiceInstance as "ServiceInstance",
        Page<ServiceInstance> as "ServiceInstancePage",
        ServiceSettings as "ServiceSettings",
        ServiceUrl as "ServiceUrl",
        SetSandboxTimeout as "SetSandboxTimeout",
        StopService as "StopService",
        UpdateAgentDeployment as "UpdateAgentDeployment",
        UploadFailure as "UploadFailure",
        UploadLimits as "UploadLimits",
        UploadSession as "UploadSession",
    }
};

/// It has no tag of its own to be read by.
const EVENT_PAYLOAD: Entry = Entry {
    name: "EventPayload",
    generate: SchemaGenerator::subschema_for::<crate::EventPayload>,
    round_trip: None,
};

/// One self-contained schema for each public object type of the native API, sorted by name.
pub fn all() -> Vec<NamedSchema> {
    named(entries())
}

/// The same for the types of the API of agent deployments, the module `nullspace`. Names are those in the module; some of
/// the native API's types have the same.
#[cfg(feature = "nullspace")]
pub fn nullspace() -> Vec<NamedSchema> {
    named(NULLSPACE.iter())
}

fn named(entries: impl Iterator<Item = &'static Entry>) -> Vec<NamedSchema> {
    let mut all: Vec<_> = entries
        .map(|&Entry { name, generate, round_trip }| {
            let mut generator = SchemaGenerator::new(SchemaSettings::draft2020_12());
            let root = generate(&mut generator);
            NamedSchema { name, schema: self_contained(root, generator), round_trip }
        })
        .collect();
    all.sort_by_key(|named| named.name);
    all
}

/// All schemas of the native API as the `components.schemas` of an OpenAPI 3.1 document.
pub fn components() -> serde_json::Map<String, serde_json::Value> {
    components_of(entries())
}

/// The same for the types of the API of agent deployments; see [`nullspace`].
#[cfg(feature = "nullspace")]
pub fn nullspace_components() -> serde_json::Map<String, serde_json::Value> {
    components_of(NULLSPACE.iter())
}

fn components_of(
    entries: impl Iterator<Item = &'static Entry>,
) -> serde_json::Map<String, serde_json::Value> {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut generator = SchemaGenerator::new(settings);
    let mut components = serde_json::Map::new();
    for &Entry { name, generate, .. } in entries {
        let schema = generate(&mut generator);
        // A type whose own name differs is reached under its registered one as well.
        components.insert(name.to_owned(), schema.to_value());
    }
    components.extend(generator.take_definitions(true));
    components
}

fn entries() -> impl Iterator<Item = &'static Entry> {
    REGISTRY.iter().chain([&EVENT_PAYLOAD])
}

/// A schema that carries every definition it refers to.
fn self_contained(mut root: Schema, mut generator: SchemaGenerator) -> Schema {
    let definitions = generator.take_definitions(true);
    root.insert("$schema".to_owned(), "https://json-schema.org/draft/2020-12/schema".into());
    root.insert("$defs".to_owned(), definitions.into());
    root
}

#[cfg(test)]
mod tests {
    use super::NamedSchema;

    #[test]
    fn every_type_has_a_schema_and_no_name_comes_twice() {
        are_whole(super::all());
        #[cfg(feature = "nullspace")]
        are_whole(super::nullspace());
    }

    fn are_whole(all: Vec<NamedSchema>) {
        assert!(all.windows(2).all(|pair| pair[0].name < pair[1].name));
        for named in all {
            assert!(
                named
                    .schema
                    .as_object()
                    .is_some_and(|object| object.contains_key("$ref") && object.contains_key("$defs")),
                "{}",
                named.name
            );
        }
    }
}
