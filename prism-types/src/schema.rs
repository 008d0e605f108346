//! JSON Schema (draft 2020-12) of every public type.

use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings};

/// A named schema.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct NamedSchema {
    /// The type's name, such as `CreateDeployment`.
    pub name: &'static str,
    /// Its schema.
    pub schema: Schema,
}

type Generate = fn(&mut SchemaGenerator) -> Schema;

fn subschema<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

macro_rules! registry {
    ($($type:ident $(<$parameter:ident>)? as $name:literal),* $(,)?) => {
        const REGISTRY: &[(&str, Generate)] =
            &[$(($name, subschema::<crate::$type $(<crate::$parameter>)?>)),*];
    };
}

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
    EventPayload as "EventPayload",
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

/// One self-contained schema for each public object type, sorted by name.
pub fn all() -> Vec<NamedSchema> {
    REGISTRY
        .iter()
        .map(|&(name, generate)| {
            let mut generator = SchemaGenerator::new(SchemaSettings::draft2020_12());
            let root = generate(&mut generator);
            NamedSchema { name, schema: self_contained(root, generator) }
        })
        .collect()
}

/// All schemas as the `components.schemas` of an OpenAPI 3.1 document.
pub fn components() -> serde_json::Map<String, serde_json::Value> {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut generator = SchemaGenerator::new(settings);
    let mut components = serde_json::Map::new();
    for &(name, generate) in REGISTRY {
        let schema = generate(&mut generator);
        // A type whose own name differs is reached under its registered one as well.
        components.insert(name.to_owned(), schema.to_value());
    }
    components.extend(generator.take_definitions(true));
    components
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
    #[test]
    fn every_type_has_a_schema_and_the_list_is_sorted() {
        let all = super::all();
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
