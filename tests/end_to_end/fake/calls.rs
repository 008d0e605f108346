//! The calls that are made of both servers.

use std::time::Duration;

use prism_client::{Client, Error, Response, mock::Script, resources::DeploymentHandle};
use prism_tests::scripted;
use prism_types::{
    AnswerApproval, ApprovalPolicy, CreateAutomation, CreateDeployment, CreateThread, CreateWebhook, Event,
    EventPayload, Features, FeaturesUpdate, McpServer, Patch, RunStatus, Runtime, SendMessage, Skill,
    SnapshotStatus, ThreadId, Timestamp, UpdateAutomation, UpdateDeployment, UpdateMcpServer, UpdateMemory,
    UpdateSkill, UpdateThread, UpdateTool, UpdateWebhook,
};
use serde_json::json;
use tokio::time::timeout;

use super::record::Record;

/// What comes longer than this has failed.
const DEADLINE: Duration = Duration::from_secs(30);

const SKILL: &str = "---\nname: notes\ndescription: Takes notes\n---\n# Notes\n";

/// What agents do about messages that begin with `ask`: for the server, and for the fake.
pub(super) const ASKING: &str = "say Let me see.\n\
    tool search {\"q\": \"{{message}}\"} => {\"found\": 3}\n\
    ask Publish?\n\
    write out.md \"You said {{answer}}\"\n\
    usage 12 24\n\
    say Done, {{answer}}.";

pub(super) fn asking() -> Script {
    Script::new()
        .say("Let me see.")
        .tool("search", &json!({"q": "{{message}}"}), &json!({"found": 3}))
        .ask("Publish?")
        .write("out.md", "You said {{answer}}")
        .usage(12, 24)
        .say("Done, {{answer}}.")
}

/// The same for all others.
pub(super) const PLAIN: &str = "say Good night\nremember They like tea";

pub(super) fn plain() -> Script {
    Script::new().say("Good night").remember("They like tea")
}

/// Makes every call. What is waited for goes over a client that is not recorded.
pub(super) async fn make(client: &Client, quiet: &Client, record: &Record) {
    let of = Both { client, quiet, record };
    let agent = of.deployments().await;
    of.conversation(&agent).await;
    of.threads_and_runs(&agent).await;
    of.files(&agent).await;
    of.skills_tools_and_servers(&agent).await;
    of.settings().await;
    of.memories_and_dreams().await;
    of.automations().await;
    of.webhooks().await;
    of.keys_and_tags(&agent).await;
    of.audit(&agent).await;
    of.ends(&agent).await;
}

struct Both<'a> {
    client: &'a Client,
    quiet: &'a Client,
    record: &'a Record,
}

/// What fails is recorded like what succeeds.
fn fails<T>(answer: Result<Response<T>, Error>) {
    assert!(answer.is_err());
}

impl Both<'_> {
    fn request(script: &str) -> CreateDeployment {
        let features = Features::default().filesystem_webhooks(true);
        CreateDeployment::new("cus_1", "Agent", scripted(script))
            .runtime(Runtime::Scripted)
            .features(features)
    }

    async fn ready(&self, request: CreateDeployment) -> DeploymentHandle {
        let created = self.client.deployments().create(request).await.unwrap();
        let id = created.deployment_id.clone();
        self.quiet.deployment(&id).wait_until_ready().timeout(DEADLINE).await.unwrap();
        self.client.deployment(&id)
    }

    /// Sends a message and records what comes of it.
    async fn say(&self, agent: &DeploymentHandle, message: impl Into<SendMessage>) {
        let mut events = agent.events().stream().open().await.unwrap();
        let sent = agent.messages().send(message).await.unwrap();
        let mut told: Vec<Event> = Vec::new();
        loop {
            let event = timeout(DEADLINE, events.next()).await.expect("an event comes").unwrap().unwrap();
            let is_over = match &event.payload {
                EventPayload::RunStatus(change) if change.run_id == sent.run_id => {
                    change.status.as_str() != "running"
                }
                _ => false,
            };
            told.push(event);
            if is_over {
                break;
            }
        }
        self.record.events(&told);
    }

    async fn deployments(&self) -> DeploymentHandle {
        let deployments = self.client.deployments();
        fails(deployments.create(CreateDeployment::new("", "Agent", "Help.")).await);
        fails(deployments.get(&"dep_none".parse().unwrap()).await);
        let agent = self.ready(Self::request(ASKING)).await;
        agent.get().await.unwrap();
        for number in 0..2 {
            let mut request = Self::request(PLAIN);
            (request.name, request.customer_id) = (format!("Agent {number}"), "cus_2".into());
            self.ready(request).await;
        }
        deployments.list().limit(2).items().all().await.unwrap();
        deployments.list().customer_id("cus_2").await.unwrap();
        deployments.list().customer_id("cus_none").await.unwrap();
        fails(deployments.list().limit(0).await);
        fails(deployments.list().cursor("nonsense").await);
        agent.update(UpdateDeployment::new().name("Renamed").model("openai/gpt-5".to_owned())).await.unwrap();
        agent.update(UpdateDeployment::new().model(Patch::Clear)).await.unwrap();
        agent
    }

    async fn conversation(&self, agent: &DeploymentHandle) {
        fails(agent.messages().send("").await);
        let unknown: ThreadId = "thr_none".parse().unwrap();
        fails(agent.messages().send(SendMessage::new("Hi").thread_id(unknown)).await);
        let begin = agent.events().stream().open().await.unwrap().last_event_id().unwrap().clone();
        self.say(agent, "ask me").await;
        let approvals = agent.approvals();
        let pending = approvals.list().pending(true).await.unwrap();
        let id = pending.data[0].approval_id.clone();
        approvals.get(&id).await.unwrap();
        self.say(agent, "yes").await;
        let default = self.quiet.deployment(agent.id()).get().await.unwrap().thread_id.clone();
        let mut again = agent.events().stream().after(begin).thread(default).open().await.unwrap();
        let mut told = Vec::new();
        while !told.iter().any(is_completed) {
            told.push(timeout(DEADLINE, again.next()).await.expect("an event comes").unwrap().unwrap());
        }
        self.record.events(&told);
        approvals.list().await.unwrap();
        fails(approvals.answer(&id, AnswerApproval::allow()).await);
        fails(approvals.get(&"apr_none".parse().unwrap()).await);

        self.say(agent, SendMessage::new("ask again").new_thread()).await;
        let pending = approvals.list().pending(true).await.unwrap();
        let (id, run) = (pending.data[0].approval_id.clone(), pending.data[0].run_id.clone());
        let mut events = agent.events().stream().run(run).open().await.unwrap();
        approvals.answer(&id, AnswerApproval::deny().reason("Not yet")).await.unwrap();
        let mut told = Vec::new();
        while let Some(event) = timeout(DEADLINE, events.next()).await.expect("an event comes") {
            told.push(event.unwrap());
        }
        self.record.events(&told);
    }

    async fn threads_and_runs(&self, agent: &DeploymentHandle) {
        let threads = agent.threads();
        let default = agent.get().await.unwrap().thread_id.clone();
        threads.get(&default).await.unwrap();
        let created = threads.create(CreateThread::default().title("Campaign")).await.unwrap();
        let id = created.thread_id.clone();
        threads.update(&id, UpdateThread::default().title(Patch::Clear)).await.unwrap();
        threads.list().limit(2).items().all().await.unwrap();
        fails(threads.list().limit(101).await);
        fails(threads.get(&"thr_none".parse().unwrap()).await);
        fails(threads.delete(&default).await);
        threads.delete(&id).await.unwrap();
        fails(threads.get(&id).await);

        let runs = agent.runs();
        let listed = runs.list().limit(1).items().all().await.unwrap();
        runs.get(&listed[0].run_id).await.unwrap();
        runs.cancel(&listed[0].run_id).await.unwrap();
        fails(runs.get(&"run_none".parse().unwrap()).await);
        fails(runs.cancel(&"run_none".parse().unwrap()).await);
        self.say(agent, "ask and be cancelled").await;
        let waiting = agent.approvals().list().pending(true).await.unwrap().data[0].clone();
        runs.cancel(&waiting.run_id).await.unwrap();
        agent.approvals().get(&waiting.approval_id).await.unwrap();

        let unknown = agent.events().stream().run("run_none".parse().unwrap()).open().await;
        assert!(unknown.is_err());
        let elsewhere = agent.events().stream().after("evt_none_1".parse().unwrap()).open().await;
        assert!(elsewhere.is_err());
    }

    async fn files(&self, agent: &DeploymentHandle) {
        let files = agent.files();
        let written = files.write("notes/plan.md", "0123456789").await.unwrap();
        let first = written.etag().unwrap().to_owned();
        fails(files.write("notes/plan.md", "x").only_if_new().await);
        files.write("notes/plan.md", "9876543210").if_match(&first).await.unwrap();
        fails(files.write("notes/plan.md", "x").if_match(&first).await);
        files.write("notes/drafts/a.md", "a").await.unwrap();
        files.list("").await.unwrap();
        files.list("notes").limit(1).items().all().await.unwrap();
        let read = files.read("notes/plan.md").await.unwrap();
        let tag = read.etag().unwrap().to_owned();
        read.bytes().await.unwrap();
        files.read("notes/plan.md").range(2..5).await.unwrap().bytes().await.unwrap();
        for refused in [
            files.read("notes/plan.md").range(10..).await,
            files.read("notes/plan.md").if_none_match(&tag).await,
            files.read("notes").await,
            files.read("none").await,
            files.read("../etc").await,
        ] {
            assert!(refused.is_err());
        }
        fails(files.list("none").await);
        fails(files.list("notes/plan.md").await);
        fails(files.write("notes", "x").await);
        fails(files.write("notes/plan.md/below", "x").await);
        fails(files.delete("none").await);
        fails(files.delete("notes/plan.md").if_match(&first).await);
        files.delete("notes/plan.md").if_match(&tag).await.unwrap();
        files.delete("notes").await.unwrap();
        fails(files.delete("").await);
    }

    async fn skills_tools_and_servers(&self, agent: &DeploymentHandle) {
        let skills = agent.skills();
        let added = skills.add(Skill::inline("notes", SKILL)).await.unwrap();
        let id = added.skill_id.clone();
        fails(skills.add(Skill::inline("notes", SKILL)).await);
        fails(skills.add(Skill::inline("other", "no front matter")).await);
        skills.add(Skill::file("later", "skills/later.md")).await.unwrap();
        skills.list().await.unwrap();
        skills.get(&id).await.unwrap();
        skills.update(&id, UpdateSkill::again()).await.unwrap();
        skills.update(&id, UpdateSkill::file("skills/notes.md")).await.unwrap();
        skills.remove(&id).await.unwrap();
        fails(skills.get(&id).await);
        fails(skills.update(&id, UpdateSkill::again()).await);
        fails(skills.remove(&id).await);

        let tools = agent.tools();
        tools.list().await.unwrap();
        tools.update("shell", UpdateTool::new(false)).await.unwrap();
        tools.update("shell", UpdateTool::new(true)).origin("builtin").await.unwrap();
        fails(tools.update("none", UpdateTool::new(true)).await);

        let servers = agent.mcp_servers();
        let ads =
            McpServer::new("ads", "https://ads.invalid/mcp").tools(["list_ads"]).header("X-Key", "value");
        servers.add(ads.clone()).await.unwrap();
        fails(servers.add(ads).await);
        fails(servers.add(McpServer::new("bad", "nonsense")).await);
        tools.update("list_ads", UpdateTool::new(false)).origin("ads").await.unwrap();
        servers.list().await.unwrap();
        servers.get("ads").await.unwrap();
        let change = UpdateMcpServer::new().all_tools().remove_header("x-key").header("X-Other", "value");
        servers.update("ads", change).await.unwrap();
        servers.remove("ads").await.unwrap();
        fails(servers.get("ads").await);
        fails(servers.update("ads", UpdateMcpServer::new()).await);
        fails(servers.remove("ads").await);
    }

    /// What features and lists of a deployment change.
    async fn settings(&self) {
        let mut request = Self::request(ASKING);
        request.features = Features::default().steering(false).memory(false).automations(false);
        let agent = self.ready(request).await;
        self.say(&agent, "ask nobody").await;
        fails(agent.dreams().start().await);
        agent.memories().create("They like tea").await.unwrap();
        let automation =
            agent.automations().create(CreateAutomation::new("A", "@daily", "Do it.")).await.unwrap();
        fails(agent.automations().trigger(&automation.automation_id).await);
        let features = FeaturesUpdate::default().automations(true).filesystem_webhooks(true);
        let change = UpdateDeployment::new()
            .system_prompt(scripted(PLAIN))
            .features(features)
            .skills([Skill::inline("notes", SKILL), Skill::file("out", "out.md")])
            .mcp_servers([McpServer::new("ads", "https://ads.invalid/mcp")])
            .approvals(ApprovalPolicy::new(["shell", "*_file"]));
        agent.update(change).await.unwrap();
        fails(agent.update(UpdateDeployment::new().name("")).await);
        agent.tools().update("read_file", UpdateTool::new(true)).await.unwrap();
        agent.mcp_servers().list().await.unwrap();
        self.say(&agent, "plain").await;
        agent.skills().list().await.unwrap();
        agent.update(UpdateDeployment::new().skills([])).await.unwrap();
        agent.skills().list().await.unwrap();
    }

    async fn memories_and_dreams(&self) {
        let agent = self.ready(Self::request(PLAIN)).await;
        let memories = agent.memories();
        let tea = memories.create("  They like Tea\n").await.unwrap().memory_id.clone();
        memories.create("They publish on Tuesdays").await.unwrap();
        fails(memories.create("They like Tea").await);
        fails(memories.create(" ").await);
        memories.get(&tea).await.unwrap();
        memories.update(&tea, UpdateMemory::new("They like coffee")).await.unwrap();
        fails(memories.update(&tea, "They publish on Tuesdays").await);
        memories.list().q("THEY coff").await.unwrap();
        memories.list().limit(1).items().all().await.unwrap();
        memories.delete(&tea).await.unwrap();
        fails(memories.get(&tea).await);
        fails(memories.delete(&tea).await);

        let dreams = agent.dreams();
        let id = dreams.start().await.unwrap().dream_id.clone();
        let quiet = self.quiet.deployment(agent.id()).dreams();
        until(async || quiet.get(&id).await.unwrap().ended_at.is_some()).await;
        dreams.get(&id).await.unwrap();
        dreams.list().await.unwrap();
        memories.list().await.unwrap();
        dreams.revert(&id).await.unwrap();
        memories.list().await.unwrap();
        fails(dreams.revert(&id).await);
        fails(dreams.get(&"drm_none".parse().unwrap()).await);
    }

    async fn automations(&self) {
        let agent = self.ready(Self::request(ASKING)).await;
        let automations = agent.automations();
        let request =
            CreateAutomation::new("Digest", "0 9 * * 1", "ask for the digest").timezone("Europe/Berlin");
        let id = automations.create(request.clone()).await.unwrap().automation_id.clone();
        automations.create(CreateAutomation::new("Other", "@daily", "Do it.").enabled(false)).await.unwrap();
        fails(automations.create(CreateAutomation::new("", "@daily", "Do it.")).await);
        let unknown: ThreadId = "thr_none".parse().unwrap();
        fails(automations.create(request.thread_id(unknown)).await);
        automations.get(&id).await.unwrap();
        automations.list().limit(1).items().all().await.unwrap();
        let change = UpdateAutomation::new().name("Weekly").schedule("0 8 * * 1").enabled(false);
        automations.update(&id, change).await.unwrap();
        let run = automations.trigger(&id).await.unwrap().run_id.clone();
        let quiet = self.quiet.deployment(agent.id());
        until(async || quiet.runs().get(&run).await.unwrap().status.as_str() == "waiting_on_human").await;
        fails(automations.trigger(&id).await);
        agent.runs().cancel(&run).await.unwrap();
        automations.get(&id).await.unwrap();
        automations.runs(&id).await.unwrap();
        automations.delete(&id).await.unwrap();
        fails(automations.get(&id).await);
        fails(automations.trigger(&id).await);
        fails(automations.runs(&id).await);
    }

    async fn webhooks(&self) {
        let webhooks = self.client.webhooks();
        let agent = self.ready(Self::request(PLAIN)).await;
        let request = CreateWebhook::new("https://hooks.invalid/a", ["run_status"]).description("Ours");
        let created = webhooks.create(request.deployment_id(agent.id().clone())).await.unwrap();
        let id = created.webhook.webhook_id.clone();
        fails(webhooks.create(CreateWebhook::new("https://hooks.invalid/a", [""; 0])).await);
        fails(webhooks.create(CreateWebhook::new("nonsense", ["*"])).await);
        webhooks.create(CreateWebhook::new("https://hooks.invalid/b", ["*"]).enabled(false)).await.unwrap();
        webhooks.list().limit(1).items().all().await.unwrap();
        webhooks.get(&id).await.unwrap();
        webhooks.rotate_secret(&id).await.unwrap();
        self.say(&agent, "plain").await;
        webhooks.test(&id).await.unwrap();
        let deliveries = webhooks.deliveries(&id).await.unwrap();
        let delivery = deliveries.data[0].delivery_id.clone();
        webhooks.delivery(&id, &delivery).await.unwrap();
        webhooks.redeliver(&id, &delivery).await.unwrap();
        webhooks.redeliver_failed(&id, Timestamp::from_millis(4_000_000_000_000)).await.unwrap();
        let change =
            UpdateWebhook::new().enabled(false).description(Patch::Clear).deployment_id(Patch::Clear);
        webhooks.update(&id, change).await.unwrap();
        fails(webhooks.test(&id).await);
        fails(webhooks.redeliver(&id, &delivery).await);
        fails(webhooks.delivery(&id, &"whd_none_1".parse().unwrap()).await);
        webhooks.delete(&id).await.unwrap();
        fails(webhooks.get(&id).await);
        fails(webhooks.rotate_secret(&id).await);
        fails(webhooks.deliveries(&id).await);
    }

    async fn keys_and_tags(&self, agent: &DeploymentHandle) {
        let create = || agent.threads().create(CreateThread::default()).idempotency_key("key");
        let first = create().await.unwrap();
        let again = create().await.unwrap();
        assert!(again.is_replay() && first.thread_id == again.thread_id);
        let other = agent.threads().create(CreateThread::default().title("Other"));
        fails(other.idempotency_key("key").await);

        let tag = agent.get().await.unwrap().etag().unwrap().to_owned();
        agent.update(UpdateDeployment::new().name("Once")).if_match(&tag).await.unwrap();
        fails(agent.update(UpdateDeployment::new().name("Twice")).if_match(&tag).await);
        fails(agent.delete().if_match(&tag).await);
    }

    async fn audit(&self, agent: &DeploymentHandle) {
        let log = self.client.audit_log();
        log.list().deployment_id(agent.id().clone()).limit(100).await.unwrap();
        fails(log.list().limit(0).await);
    }

    async fn ends(&self, agent: &DeploymentHandle) {
        agent.files().write("kept.md", "kept").await.unwrap();
        let deleted = agent.delete().retain_filesystem(true).await.unwrap();
        let id = deleted.snapshot_id.clone().unwrap();
        fails(agent.get().await);
        fails(agent.messages().send("Hi").await);
        let (snapshots, quiet) = (self.client.snapshots(), self.quiet.snapshots());
        until(async || quiet.get(&id).await.unwrap().status == SnapshotStatus::Ready).await;
        snapshots.get(&id).await.unwrap();
        snapshots.list().await.unwrap();
        let begin = |customer: &str| {
            let mut request = Self::request(PLAIN).snapshot_id(id.clone());
            request.customer_id = customer.into();
            request
        };
        fails(self.client.deployments().create(begin("cus_other")).await);
        let agent = self.ready(begin("cus_1")).await;
        agent.files().read("kept.md").await.unwrap().bytes().await.unwrap();
        agent.delete().await.unwrap();
        snapshots.delete(&id).await.unwrap();
        fails(snapshots.get(&id).await);
        fails(snapshots.delete(&id).await);
    }
}

fn is_completed(event: &Event) -> bool {
    matches!(&event.payload, EventPayload::RunStatus(change) if change.status == RunStatus::Completed)
}

/// Waits for something.
async fn until(holds: impl AsyncFn() -> bool) {
    let wait = async {
        while !holds().await {
            tokio::task::yield_now().await;
        }
    };
    timeout(DEADLINE, wait).await.expect("it comes to hold");
}
