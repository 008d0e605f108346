//! Random histories of conversations: whatever users send, decide, cancel and delete, whenever the server stops, and
//! however long nobody answers, runs and their questions end well, and the log tells it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use prism_types::{ApprovalId, CreateDeployment, DeploymentId, MessageRole, RunId, Runtime, ThreadId};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::{
    ControlPlane,
    adapters::{
        secret_box::{MasterKey, SealedBox},
        store::MemoryStore,
    },
    domain::{
        approval::{Approval, ApprovalState},
        deployment::{Deployment, DeploymentState},
        event::LoggedEvent,
        run::{Run, RunState},
        tenant::Tenant,
        thread::Thread,
    },
    engine::tests::{call, until},
    ports::{ListQuery, Store},
    testkit::clock::TestClock,
};

/// Asks twice, and takes its time.
const SCRIPT: &str = "say Hello\ndelay 20ms\nask First?\nsay {{answer}}\ndelay 20ms\nask Second?\nsay Bye";
/// How long a question waits, in seconds.
const PATIENCE: u32 = 60;
/// More than a run takes whose questions nobody answers, in milliseconds.
const LONG: u64 = 10 * 60 * 1000;

#[derive(Debug, Clone)]
enum Command {
    /// A message on the default thread, or on another one, which is opened when it is not there.
    Say(usize),
    /// A decision on a question, counted from the newest; whether it is allowed.
    Decide(usize, bool),
    /// Many decide the same question at once.
    DecideAtOnce(usize),
    Cancel(usize),
    /// A thread is deleted, as opened last.
    Delete(usize),
    /// So many milliseconds pass.
    Pass(u64),
    /// The server stops, and starts again.
    Restart,
}

fn command() -> impl Strategy<Value = Command> {
    let newest = || 0_usize..3;
    prop_oneof![
        5 => newest().prop_map(Command::Say),
        4 => (newest(), any::<bool>()).prop_map(|(question, allows)| Command::Decide(question, allows)),
        1 => newest().prop_map(Command::DecideAtOnce),
        1 => newest().prop_map(Command::Cancel),
        1 => newest().prop_map(Command::Delete),
        4 => (0_u64..60).prop_map(Command::Pass),
        1 => Just(Command::Pass(u64::from(PATIENCE) * 1000 + 10_000)),
        1 => Just(Command::Restart),
    ]
}

/// A server with one deployment, and what its users did.
struct History {
    plane: ControlPlane,
    store: Arc<MemoryStore>,
    clock: TestClock,
    tenant: Tenant,
    deployment: DeploymentId,
    engine: tokio::task::JoinHandle<()>,
    /// Threads besides the default one that are there, oldest first.
    threads: Vec<ThreadId>,
    deleted: BTreeSet<ThreadId>,
    /// What was taken from users, by thread.
    said: BTreeMap<ThreadId, Vec<String>>,
    /// Decisions that the server has taken.
    decided: BTreeMap<ApprovalId, ApprovalState>,
    number: usize,
}

async fn plane(store: &Arc<MemoryStore>, clock: &TestClock) -> ControlPlane {
    let builder = ControlPlane::builder(SealedBox::new(MasterKey::from_bytes([7; 32])));
    builder.store(store.clone()).clock(clock.clone()).build().await.unwrap()
}

impl History {
    async fn begin() -> Self {
        let clock = TestClock::at("2026-06-01T08:30:00Z".parse().unwrap());
        let store: Arc<MemoryStore> = Arc::default();
        let plane = plane(&store, &clock).await;
        let tenant = plane.admin().create_tenant("acme").await.unwrap();
        let engine = tokio::spawn(plane.run());
        let prompt = format!("Ask.\n\n```script\n{SCRIPT}\n```\n");
        let request = CreateDeployment::new("cus_1", "Agent", prompt).runtime(Runtime::Scripted);
        let mut request = serde_json::to_value(request).unwrap();
        request["approvals"] = json!({ "timeout_seconds": PATIENCE });
        let created = call(&plane, &tenant, "POST", "/v1/deployments", request).await;
        let deployment: DeploymentId =
            created["deployment_id"].as_str().unwrap_or_else(|| panic!("{created}")).parse().unwrap();
        let ready = |found: &Deployment| found.state == DeploymentState::Ready;
        until(async || store.deployment(&deployment).await.unwrap().filter(ready)).await;
        Self {
            plane,
            store,
            clock,
            tenant,
            deployment,
            engine,
            threads: Vec::new(),
            deleted: BTreeSet::new(),
            said: BTreeMap::new(),
            decided: BTreeMap::new(),
            number: 0,
        }
    }

    async fn call(&self, method: &str, path: &str, body: Value) -> Value {
        let path = format!("/v1/deployments/{}{path}", self.deployment);
        call(&self.plane, &self.tenant, method, &path, body).await
    }

    async fn carry_out(&mut self, command: Command) {
        match command {
            Command::Say(thread) => self.say(thread).await,
            Command::Decide(question, allows) => {
                if let Some(question) = nth(self.questions().await, question) {
                    let answer = self.decide(&question.id, allows).await;
                    self.note_decision(&question, allows, &answer);
                }
            }
            Command::DecideAtOnce(question) => {
                if let Some(question) = nth(self.questions().await, question) {
                    let decisions = [true, false, true].map(|allows| self.decide(&question.id, allows));
                    let answers = futures::future::join_all(decisions).await;
                    let taken: Vec<_> = answers.iter().map(|answer| !is_refused(answer)).collect();
                    assert!(taken.iter().filter(|taken| **taken).count() <= 1, "one counts: {answers:?}");
                    for (allows, answer) in [true, false, true].into_iter().zip(&answers) {
                        self.note_decision(&question, allows, answer);
                    }
                }
            }
            Command::Cancel(run) => {
                if let Some(run) = nth(self.runs().await, run) {
                    let ended = self.call("POST", &format!("/runs/{}/cancel", run.id), json!({})).await;
                    let status = ended["status"].as_str().unwrap_or_else(|| panic!("{ended}"));
                    assert!(["completed", "error"].contains(&status), "{ended}");
                }
            }
            Command::Delete(thread) => {
                if self.threads.is_empty() {
                    return;
                }
                let thread = self.threads.remove(thread % self.threads.len());
                let answer = self.call("DELETE", &format!("/threads/{thread}"), Value::Null).await;
                assert_eq!(answer["status"], "deleted", "{answer}");
                self.deleted.insert(thread);
            }
            Command::Pass(millis) => tokio::time::sleep(Duration::from_millis(millis)).await,
            Command::Restart => {
                self.plane.shutdown();
                (&mut self.engine).await.unwrap();
                self.plane = plane(&self.store, &self.clock).await;
                self.engine = tokio::spawn(self.plane.run());
            }
        }
    }

    async fn say(&mut self, thread: usize) {
        self.number += 1;
        let content = format!("message {}", self.number);
        let mut message = json!({ "content": content });
        match thread.checked_sub(1).map(|other| self.threads.get(other)) {
            None => {}
            Some(Some(other)) => message["thread_id"] = json!(other),
            Some(None) => message["thread_id"] = json!("new"),
        }
        let receipt = self.call("POST", "/messages", message.clone()).await;
        let thread: ThreadId =
            receipt["thread_id"].as_str().unwrap_or_else(|| panic!("{receipt}")).parse().unwrap();
        if message["thread_id"] == "new" {
            self.threads.push(thread.clone());
        }
        self.said.entry(thread).or_default().push(content);
    }

    async fn decide(&self, question: &ApprovalId, allows: bool) -> Value {
        let decision = if allows { "allow" } else { "deny" };
        self.call("POST", &format!("/approvals/{question}"), json!({ "decision": decision })).await
    }

    fn note_decision(&mut self, question: &Approval, allows: bool, answer: &Value) {
        if is_refused(answer) {
            assert_eq!(answer["error"], "conflict", "{answer}");
            return;
        }
        let state = if allows { ApprovalState::Allowed } else { ApprovalState::Denied };
        assert_eq!(question.state, ApprovalState::Pending, "a question is decided once");
        assert_eq!(self.decided.insert(question.id.clone(), state), None, "a question is decided once");
    }

    async fn questions(&self) -> Vec<Approval> {
        self.store.approvals(&self.deployment, false, all()).await.unwrap()
    }

    async fn runs(&self) -> Vec<Run> {
        self.store.runs(&self.deployment, all()).await.unwrap()
    }

    /// What holds at any time: a run waits as long as it has an open question, and a thread has one unfinished run.
    async fn check_now(&self) {
        let mut unfinished = BTreeSet::new();
        for run in self.runs().await {
            let open = self.store.open_approval(&run.id).await.unwrap();
            assert_eq!(open.is_some(), run.state == RunState::WaitingOnHuman, "{run:?}: {open:?}");
            assert_eq!(run.ended_at.is_some(), run.state.is_terminal(), "{run:?}");
            assert!(!self.deleted.contains(&run.thread_id), "a run goes with its thread: {run:?}");
            if !run.state.is_terminal() {
                assert!(unfinished.insert(run.thread_id.clone()), "a thread has one unfinished run: {run:?}");
            }
        }
    }

    /// What holds once nobody does anything any more.
    async fn check_end(&self) {
        tokio::time::sleep(Duration::from_millis(LONG)).await;
        self.check_now().await;
        let runs = self.runs().await;
        for run in &runs {
            assert!(run.state.is_terminal(), "every run ends: {run:?}");
        }
        let questions = self.questions().await;
        for question in &questions {
            assert_ne!(question.state, ApprovalState::Pending, "every question ends: {question:?}");
            assert!(question.resolved_at.is_some(), "{question:?}");
        }
        for question in &questions {
            if let Some(decided) = self.decided.get(&question.id) {
                assert_eq!(question.state, *decided, "a decision is final: {question:?}");
            }
        }
        self.check_threads().await;
        let events = self.store.events(&self.deployment, 0, 100_000).await.unwrap();
        check_events(&events, &runs, &questions);
    }

    /// Every message that was taken is on its thread once, in its order.
    async fn check_threads(&self) {
        for (id, said) in &self.said {
            let thread: Option<Thread> = self.store.thread(id).await.unwrap();
            let messages = self.store.messages(id, 0, 10_000).await.unwrap();
            if self.deleted.contains(id) {
                assert!(thread.is_none() && messages.is_empty(), "{id} is deleted");
                continue;
            }
            assert_eq!(thread.unwrap().message_count, messages.len() as u64);
            // Decisions are messages too, with other words.
            let of_users = messages.iter().filter(|message| {
                message.role == MessageRole::User && message.content.starts_with("message ")
            });
            let kept: Vec<_> = of_users.map(|message| message.content.as_str()).collect();
            assert_eq!(kept, *said, "none is lost, doubled or out of order");
        }
    }
}

fn all<Id>() -> ListQuery<Id> {
    ListQuery { before: None, limit: 100_000 }
}

fn nth<T>(items: Vec<T>, number: usize) -> Option<T> {
    items.into_iter().nth(number)
}

fn is_refused(answer: &Value) -> bool {
    answer["error"].is_string()
}

/// The log tells the life of each run: it starts, waits once for each question, and ends once, after which nothing comes.
fn check_events(events: &[LoggedEvent], runs: &[Run], questions: &[Approval]) {
    assert!(events.windows(2).all(|pair| pair[0].sequence + 1 == pair[1].sequence), "no event is missing");
    let mut lives: BTreeMap<RunId, Vec<String>> = BTreeMap::new();
    let mut asked = BTreeSet::new();
    for event in events {
        let LoggedEvent { event, .. } = event;
        let Some(run) = &event.run_id else { continue };
        let life = lives.entry(run.clone()).or_default();
        let ended = life.last().is_some_and(|status| ["completed", "error"].contains(&status.as_str()));
        assert!(!ended, "nothing comes after the end: {event:?}");
        let data: Value = serde_json::from_str(&event.data).unwrap();
        match event.name.as_str() {
            "run_status" => life.push(data["status"].as_str().unwrap().to_owned()),
            "steering_request" => {
                life.push("asked".to_owned());
                assert!(
                    asked.insert(data["approval_id"].as_str().unwrap().to_owned()),
                    "asked twice: {data}"
                );
            }
            _ => {}
        }
    }
    for life in lives.values() {
        let story = life.join(" ").replace("asked waiting_on_human", "waits");
        let mut story = story.as_str().strip_prefix("running").unwrap_or_else(|| panic!("{life:?}"));
        for _ in 0..2 {
            story = story.strip_prefix(" waits running").unwrap_or(story);
        }
        let ends = ["completed", "error", "waits error"];
        assert!(ends.contains(&story.trim_start()), "a life that cannot be: {life:?}");
    }
    for run in runs {
        let told = lives[&run.id].last().unwrap();
        assert_eq!(told, run.state.as_str(), "the log and the run agree: {run:?}");
    }
    for question in questions {
        assert!(asked.contains(question.id.as_str()), "every question was told: {question:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn in_any_history_runs_and_questions_end_well(commands in prop::collection::vec(command(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
        runtime.unwrap().block_on(async {
            let mut history = History::begin().await;
            for command in commands {
                history.carry_out(command).await;
                history.check_now().await;
            }
            history.check_end().await;
            history.plane.shutdown();
            history.engine.await.unwrap();
        });
    }
}
