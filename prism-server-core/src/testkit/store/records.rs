//! Records to test with. Numbers make ids: a greater number is a later id.

use std::collections::BTreeMap;

use prism_types::{
    ApprovalPolicy, Attachment, AttachmentType, DreamTrigger, Features, McpServer, MemorySource, MessageRole,
    RunKind, Runtime, Sandbox, SandboxType, SkillSource, Timestamp, Usage, WebhookEventType,
};

use crate::{
    domain::{
        approval::{Approval, ApprovalState},
        audit::AuditEntry,
        automation::{Automation, AutomationRun, Outcome},
        deployment::{AgentSpec, Deployment, DeploymentState},
        dream::{Dream, DreamState, Dreamed, Quiet},
        event::NewEvent,
        idempotency::KeptReply,
        instance::{Instance, InstanceState},
        machine::{
            Machine, MachineState, Model, Origin,
            snapshot::MachineSnapshot,
            upload::{Collision, Upload, UploadContent, UploadSource, UploadState},
        },
        memory::{Memory, MemorySet},
        message::Message,
        program::{
            Mode, ProgramDeployment, ProgramState,
            hosted::Hosted,
            job::{Job, JobState},
            service::{Service, ServiceState},
            version::{Build, BuildState, CachePolicy, Version, VersionState},
        },
        run::{Run, RunState},
        secret::SealedSecret,
        skill::{SkillRecord, SkillState},
        snapshot::{Snapshot, SnapshotState},
        tenant::{ApiKey, Scopes, Tenant},
        thread::{ForgottenThread, Thread},
        tool::ToolName,
        webhook::{PING, Webhook, WebhookState, delivery::Delivery},
    },
    ports::Write,
};

/// The id with this number.
pub fn id<Id: TryFrom<String>>(prefix: &str, number: u32) -> Id {
    Id::try_from(format!("{prefix}{number:08}")).unwrap_or_else(|_| panic!("{prefix} is not the prefix"))
}

/// So many seconds after the first instant of 1970.
pub fn at(seconds: u32) -> Timestamp {
    Timestamp::from_millis(i64::from(seconds) * 1000 + 7)
}

/// A tenant.
pub fn tenant(number: u32) -> Tenant {
    Tenant {
        id: id("ten_", number),
        name: format!("tenant {number}"),
        credits: None,
        used: Usage::default(),
        created_at: at(number),
        revision: 0,
    }
}

/// An answer that a tenant's key with this number keeps.
pub fn reply(tenant: u32, number: u32) -> KeptReply {
    KeptReply {
        tenant_id: id("ten_", tenant),
        key: format!("key-{number}").parse().unwrap(),
        fingerprint: [1; 32],
        sealed: vec![0, 1, 2],
        created_at: at(number),
    }
}

/// An entry of a tenant's audit log, of a change to one of its deployments.
pub fn audit_entry(tenant: u32, deployment: u32, number: u32) -> AuditEntry {
    AuditEntry {
        id: id("aud_", number),
        tenant_id: id("ten_", tenant),
        deployment_id: Some(id("dep_", deployment)),
        actor: "key_1".to_owned(),
        operation: "update_deployment".to_owned(),
        subject: "dep_1".to_owned(),
        fields: vec!["name".to_owned(), "model".to_owned()],
        request_id: Some("req_1".to_owned()),
        created_at: at(number),
    }
}

/// An API key of a tenant.
pub fn api_key(tenant: u32, number: u32) -> ApiKey {
    let mut hash = [0; 32];
    hash[..4].copy_from_slice(&number.to_be_bytes());
    ApiKey {
        id: id("key_", number),
        tenant_id: id("ten_", tenant),
        name: format!("key {number}"),
        hash,
        scopes: Scopes::all(),
        created_at: at(number),
        revoked_at: None,
    }
}

/// A secret of a tenant.
pub fn secret(tenant: u32, number: u32) -> SealedSecret {
    SealedSecret {
        tenant_id: id("ten_", tenant),
        reference: id("sec_", number),
        sealed: vec![0, 255, 7],
        updated_at: at(number),
    }
}

/// A deployment of a tenant, in state `ready`.
pub fn deployment(tenant: u32, number: u32) -> Deployment {
    Deployment {
        id: id("dep_", number),
        tenant_id: id("ten_", tenant),
        customer_id: "cus_1".to_owned(),
        name: format!("Agent {number} \u{1f980} 'quoted'"),
        runtime: Runtime::Scripted,
        model: "provider/model".to_owned(),
        spec_version: 1,
        default_thread: id("thr_", number),
        instance_id: id("ins_", number),
        persistent: true,
        state: DeploymentState::Ready,
        error: None,
        created_at: at(number),
        revision: 0,
    }
}

/// A specification with something in every field.
pub fn spec() -> AgentSpec {
    AgentSpec {
        system_prompt: "Be brief.\n\u{0}".to_owned(),
        model: Some("provider/model".to_owned()),
        sandbox: Sandbox::default().persistent_filesystem(false),
        mcp_servers: vec![McpServer::new("tools", "https://example.com/mcp").tools(["search"])],
        secrets: BTreeMap::from([("TOKEN".to_owned(), id("sec_", 1))]),
        features: Features::default().dreaming(true),
        disabled_tools: [ToolName::builtin("shell"), ToolName::of_server("tools", "drop")].into(),
        approvals: ApprovalPolicy::new(["tools/*"]).timeout_seconds(60_u32),
    }
}

/// A skill of a deployment.
pub fn skill(deployment: u32, number: u32) -> SkillRecord {
    SkillRecord {
        id: id("skl_", number),
        deployment_id: id("dep_", deployment),
        name: format!("skill-{number}"),
        source: SkillSource::Inline,
        location: String::new(),
        state: SkillState::Ready,
        description: Some("What it is for".to_owned()),
        content: Some("---\n".to_owned()),
        error: None,
        created_at: at(number),
        revision: 0,
    }
}

/// An instance of a deployment.
pub fn instance(deployment: u32, number: u32) -> Instance {
    Instance {
        id: id("ins_", number),
        deployment_id: id("dep_", deployment),
        state: InstanceState::Pending,
        restarts: 0,
        restores: None,
        revision: 0,
    }
}

/// A snapshot of a deployment of a tenant.
pub fn snapshot(tenant: u32, number: u32) -> Snapshot {
    Snapshot {
        id: id("snap_", number),
        tenant_id: id("ten_", tenant),
        deployment_id: id("dep_", number),
        customer_id: "cus_1".to_owned(),
        name: "Agent".to_owned(),
        instance_id: id("ins_", number),
        sandbox: SandboxType::Process,
        state: SnapshotState::Creating,
        created_at: at(number),
        expires_at: at(number + 10),
        revision: 0,
    }
}

/// An active deployment of a program of a tenant, whose versions are run as jobs.
pub fn program(tenant: u32, number: u32) -> ProgramDeployment {
    ProgramDeployment {
        id: id("dep_", number),
        tenant_id: id("ten_", tenant),
        name: format!("Program {number} \u{1f980} 'quoted'"),
        mode: Mode::Job,
        description: Some("What it is for".to_owned()),
        metadata: r#"{"team": "video", "deep": [null, 0.5, -1, {"": "\u0000"}]}"#.to_owned(),
        state: ProgramState::Active,
        active_version: Some(id("ver_", number)),
        last_version: number,
        created_at: at(number),
        updated_at: at(number),
        deleted_at: None,
        revision: 0,
    }
}

/// A version of a program that waits for its bundle. Its number is that of its id.
pub fn version(deployment: u32, number: u32) -> Version {
    Version {
        id: id("ver_", number),
        deployment_id: id("dep_", deployment),
        number,
        bundle_digest: format!("sha256:{number}"),
        manifest: r#"{"files": [{"path": "main.py", "size": 3}]}"#.to_owned(),
        config: r#"{"command": ["python", "main.py"]}"#.to_owned(),
        sandbox: prism_types::SandboxType::Process,
        cache: CachePolicy::Auto,
        state: VersionState::Created,
        instance_id: id("ins_", number),
        build: None,
        failure: None,
        created_at: at(number),
        ready_at: None,
        revision: 0,
    }
}

/// A build, in the sandbox with this number.
pub fn build(number: u32, state: BuildState) -> Build {
    Build { instance_id: id("ins_", number), state, failure: None, started_at: None, ended_at: None }
}

/// A machine.
pub fn machine(tenant: u32, number: u32) -> Machine {
    Machine {
        id: id("ins_", number),
        tenant_id: id("ten_", tenant),
        model: machine_model(),
        metadata: "{}".to_owned(),
        allows_public_traffic: true,
        has_environment: false,
        origin: Origin::Nothing,
        state: MachineState::Creating,
        failure: None,
        life: 1000,
        expires_at: at(20),
        created_at: at(10),
        started_at: None,
        revision: 0,
    }
}

/// A snapshot of a machine, in a sandbox of its own.
pub fn machine_snapshot(tenant: u32, number: u32) -> MachineSnapshot {
    MachineSnapshot {
        id: id("snap_", number),
        tenant_id: id("ten_", tenant),
        machine_id: id("ins_", 1),
        instance_id: id("ins_", 1000 + number),
        model: machine_model(),
        size: 7,
        created_at: at(10),
    }
}

/// An upload of 10 bytes to the machine with a number.
pub fn upload(tenant: u32, machine: u32, number: u32) -> Upload {
    Upload {
        id: id("upl_", number),
        tenant_id: id("ten_", tenant),
        machine_id: id("ins_", machine),
        content: UploadContent::File,
        source: UploadSource::File,
        target: "a/b".to_owned(),
        collision: Collision::Merge,
        size: 10,
        part_size: 4,
        digest: None,
        parts: [(1, "d".repeat(64))].into(),
        state: UploadState::Open,
        created_at: at(10),
        updated_at: at(10),
        expires_at: at(20),
        revision: 0,
    }
}

fn machine_model() -> Model {
    Model {
        sandbox: SandboxType::Docker,
        template: "base".to_owned(),
        vcpus: 2,
        memory_mb: 512,
        disk_mb: Some(1024),
        directory: Some("a/b".to_owned()),
        network: true,
    }
}

/// A service of a deployment that is starting, in the sandbox with its number. It runs the version that has the number of
/// the deployment.
pub fn service(deployment: u32, number: u32) -> Service {
    Service {
        hosted: Hosted::new(id("ins_", number), id("dep_", deployment), id("ver_", deployment)),
        state: ServiceState::Starting,
        port: 8000,
        readiness: None,
        idempotency_key: format!("key {number}"),
        keeps_sandbox: false,
        started_at: None,
        stopped_at: None,
        created_at: at(number),
        updated_at: at(number),
        revision: 0,
    }
}

/// A queued job of a deployment, in the sandbox with its number. It runs the version that has the number of the deployment.
pub fn job(deployment: u32, number: u32) -> Job {
    Job {
        id: id("run_", number),
        hosted: Hosted::new(id("ins_", number), id("dep_", deployment), id("ver_", deployment)),
        state: JobState::Queued,
        input: r#"{"seconds": 15}"#.to_owned(),
        retain_on_failure: None,
        retention_seconds: Some(60),
        idempotency_key: format!("key {number}"),
        exit_code: None,
        outputs: Vec::new(),
        started_at: None,
        ended_at: None,
        created_at: at(number),
        updated_at: at(number),
        revision: 0,
    }
}

/// A thread of a deployment.
pub fn thread(deployment: u32, number: u32) -> Thread {
    Thread {
        id: id("thr_", number),
        deployment_id: id("dep_", deployment),
        title: Some(format!("Thread {number}")),
        message_count: 0,
        last_activity_at: at(number),
        created_at: at(number),
    }
}

/// A message on a thread.
pub fn message(thread: u32, content: &str) -> Message {
    Message {
        thread_id: id("thr_", thread),
        position: 0,
        role: MessageRole::User,
        content: content.to_owned(),
        attachments: vec![Attachment::new(AttachmentType::Image, "https://example.com/a.png")],
        run_id: Some(id("run_", 1)),
        decision: None,
        created_at: at(50),
    }
}

/// A running run of a deployment on a thread.
pub fn run(deployment: u32, thread: u32, number: u32) -> Run {
    Run {
        id: id("run_", number),
        deployment_id: id("dep_", deployment),
        thread_id: id("thr_", thread),
        kind: RunKind::Message,
        spec_version: 1,
        state: RunState::Running,
        attempts: 1,
        checkpoint: Some("{}".to_owned()),
        read_position: 1,
        usage: Usage::default().input_tokens(10_u64).output_tokens(20_u64),
        error: None,
        created_at: at(number),
        ended_at: None,
        cancelled: false,
        revision: 0,
    }
}

/// An open approval of a run.
pub fn approval(deployment: u32, run: u32, number: u32) -> Approval {
    Approval {
        id: id("apr_", number),
        deployment_id: id("dep_", deployment),
        run_id: id("run_", run),
        summary: "May I?".to_owned(),
        state: ApprovalState::Pending,
        answer: None,
        created_at: at(number),
        expires_at: None,
        resolved_at: None,
    }
}

/// An automation of a deployment on a thread, due after 1000 seconds and its number.
pub fn automation(deployment: u32, thread: u32, number: u32) -> Automation {
    Automation {
        id: id("auto_", number),
        deployment_id: id("dep_", deployment),
        name: format!("Automation {number}"),
        schedule: "every hour".to_owned(),
        cron: "0 * * * *".to_owned(),
        timezone: "UTC".to_owned(),
        instructions: "Sum up.".to_owned(),
        thread_id: id("thr_", thread),
        enabled: true,
        next_run_at: Some(at(1000 + number)),
        created_at: at(number),
        revision: 0,
    }
}

/// An entry in the history of an automation, for an instant of its number, that started a run.
pub fn automation_run(automation: u32, deployment: u32, number: u32) -> AutomationRun {
    AutomationRun {
        id: id("arun_", number),
        automation_id: id("auto_", automation),
        deployment_id: id("dep_", deployment),
        scheduled_at: Some(at(1000 + number)),
        created_at: at(1001 + number),
        outcome: Outcome::Started(id("run_", number)),
    }
}

/// A memory of a deployment that its agent has.
pub fn memory(deployment: u32, number: u32) -> Memory {
    let content = format!("Memory {number} \u{1f980}");
    let new = Memory::new(
        id("mem_", number),
        id("dep_", deployment),
        content.clone(),
        MemorySource::Agent,
        at(number),
    );
    Memory { synced: Some(content), ..new }
}

/// Memories of a deployment that are not in step and were never stored.
pub fn memory_set(deployment: u32) -> MemorySet {
    let home = Some(format!("home {deployment}"));
    MemorySet { deployment_id: id("dep_", deployment), home, in_step: false, revision: 0 }
}

/// A thread that the agent of a deployment is to forget.
pub fn forgotten_thread(deployment: u32, thread: u32) -> ForgottenThread {
    ForgottenThread { thread_id: id("thr_", thread), deployment_id: id("dep_", deployment) }
}

/// A running dream of a deployment.
pub fn dream(deployment: u32, run: u32, number: u32) -> Dream {
    Dream {
        id: id("drm_", number),
        deployment_id: id("dep_", deployment),
        thread_id: id("thr_", deployment),
        run_id: id("run_", run),
        trigger: DreamTrigger::Idle,
        state: DreamState::Running,
        before: vec![Dreamed::from(&memory(deployment, number))],
        report: None,
        error: None,
        created_at: at(number),
        ended_at: None,
        reverted_at: None,
        revision: 0,
    }
}

/// A deployment that is quiet since a run ended.
pub fn quiet(deployment: u32, run: u32) -> Quiet {
    Quiet { deployment_id: id("dep_", deployment), run_id: id("run_", run), since: at(run) }
}

/// An event of a deployment, without a run.
pub fn event(deployment: u32, data: &str) -> NewEvent {
    NewEvent {
        deployment_id: id("dep_", deployment),
        run_id: None,
        thread_id: None,
        instance_id: None,
        name: "token".to_owned(),
        data: data.to_owned(),
        created_at: at(60),
    }
}

/// An enabled webhook of a tenant that wants everything.
pub fn webhook(tenant: u32, number: u32) -> Webhook {
    Webhook {
        id: id("whe_", number),
        tenant_id: id("ten_", tenant),
        url: "https://example.com/hook".to_owned(),
        events: vec![WebhookEventType::All],
        deployment_id: None,
        description: None,
        state: WebhookState::Enabled,
        disabled_reason: None,
        failing_since: None,
        paused_until: None,
        secret: vec![1, 2, 0, 255],
        previous_secret: None,
        created_at: at(number),
        revision: 0,
    }
}

/// A test of a webhook with this number, queued so many seconds after the first instant of 1970.
pub fn ping(webhook: u32, number: u64, seconds: u32) -> Write {
    let delivery = Delivery::new(id("whe_", webhook), number, PING.to_owned(), None, at(seconds));
    Write::InsertDelivery(delivery, "{}".to_owned())
}

/// A deployment with its specification, instance and default thread, all of its number, of the tenant 1.
pub fn whole_deployment(number: u32) -> Vec<Write> {
    vec![
        Write::InsertDeployment(deployment(1, number)),
        Write::InsertSpec(id("dep_", number), 1, spec()),
        Write::InsertInstance(instance(number, number)),
        Write::InsertThread(thread(number, number)),
    ]
}
