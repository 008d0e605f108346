//! Stubs: what they answer, what they are asked, and that every call of the client reaches its method.

#![cfg(feature = "mock")]
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use prism_client::{
    Client, Error,
    mock::{
        self, Answer, Content, Events, FakeServer, FilePath, OPERATIONS, Raw, Refusal, Reply, Request, Stub,
    },
    types::{
        AnswerApproval, CreateAutomation, CreateDeployment, CreateThread, CreateWebhook, Deployment,
        DeploymentId, DeploymentSummary, ErrorCode, Event, EventPayload, ListDeployments, McpServer, Memory,
        MemoryId, MemorySource, MessageReceipt, Page, RunStatus, RunStatusChanged, SendMessage, Skill,
        Timestamp, Token, UpdateAutomation, UpdateDeployment, UpdateMcpServer, UpdateMemory, UpdateSkill,
        UpdateThread, UpdateTool, UpdateWebhook, WebhookSecret,
    },
};
use serde_json::json;

/// Answers one operation.
struct OneMemory;

impl Stub for OneMemory {
    fn get_memory(&self, _: &Request, _: DeploymentId, id: MemoryId) -> Answer<Memory> {
        Ok(Memory::new(id, "They like tea", MemorySource::Api, Timestamp::UNIX_EPOCH).into())
    }
}

fn deployment() -> DeploymentId {
    "dep_1".parse().unwrap()
}

#[tokio::test]
async fn a_method_is_enough_and_the_others_say_what_is_missing() {
    let client = mock::client(OneMemory);
    let memories = client.deployment(&deployment()).memories();
    let memory = memories.get(&"mem_7".parse().unwrap()).await.unwrap();
    assert_eq!((memory.content.as_str(), memory.status(), memory.attempts()), ("They like tea", 200, 1));
    assert_eq!(memory.request_id(), Some("req_1"));

    let error = memories.list().await.unwrap_err();
    assert_eq!((error.status(), error.attempts()), (Some(501), 1), "{error}");
    let message = error.to_string();
    assert!(message.contains("GET /v1/deployments/{deployment_id}/memories"), "{message}");
    assert!(message.contains("implement `list_memories` of `prism_client::mock::Stub`"), "{message}");
    let error = client.deployment(&deployment()).events().stream().open().await.unwrap_err();
    assert!(error.to_string().contains("`stream_events`"), "{error}");
}

/// Notes which operation each request is.
#[derive(Default)]
struct Noting(Mutex<Vec<String>>);

impl Stub for Noting {
    fn conclude(&self, call: &Request, answer: Answer<Raw>) -> Answer<Raw> {
        let Err(refusal) = &answer else { panic!("nothing is stubbed") };
        let method = refusal.body().unwrap().message.split('`').nth(1).unwrap().to_owned();
        assert_eq!(method, call.operation(), "the path leads to the method of its operation");
        self.0.lock().unwrap().push(method);
        answer
    }
}

#[tokio::test]
async fn every_call_reaches_its_method() {
    let noting = Arc::new(Noting::default());
    walk(&mock::client(noting.clone())).await;
    let reached = noting.0.lock().unwrap();
    let distinct: BTreeSet<_> = reached.iter().map(String::as_str).collect();
    let all: BTreeSet<_> = OPERATIONS.iter().map(|operation| operation.name).collect();
    assert_eq!(distinct, all);
    assert_eq!(reached.len(), OPERATIONS.len(), "{reached:?}");
}

/// Sends every call that the client has, once.
async fn walk(client: &Client) {
    macro_rules! send {
        ($($call:expr;)+) => { $(assert_eq!($call.await.unwrap_err().status(), Some(501));)+ };
    }
    let dep = client.deployment(&deployment());
    send! {
        client.deployments().create(CreateDeployment::new("cus_1", "Agent", "Help."));
        client.deployments().list();
        dep.get();
        dep.update(UpdateDeployment::new());
        dep.delete();
        dep.messages().send("Hi");
        dep.events().stream().open();
        dep.files().list("");
        dep.files().read("a.md");
        dep.files().write("a.md", "A");
        dep.files().delete("a.md");
    }
    let skill = "skl_1".parse().unwrap();
    send! {
        dep.skills().list();
        dep.skills().add(Skill::file("a", "a.md"));
        dep.skills().get(&skill);
        dep.skills().update(&skill, UpdateSkill::again());
        dep.skills().remove(&skill);
        dep.tools().list();
        dep.tools().update("a/b", UpdateTool::new(true));
        dep.mcp_servers().list();
        dep.mcp_servers().add(McpServer::new("ads", "https://x.example/"));
        dep.mcp_servers().get("ads");
        dep.mcp_servers().update("ads", UpdateMcpServer::new());
        dep.mcp_servers().remove("ads");
    }
    let (thread, run, approval) =
        ("thr_1".parse().unwrap(), "run_1".parse().unwrap(), "apr_1".parse().unwrap());
    send! {
        dep.threads().create(CreateThread::default());
        dep.threads().list();
        dep.threads().get(&thread);
        dep.threads().update(&thread, UpdateThread::default());
        dep.threads().delete(&thread);
        dep.runs().list();
        dep.runs().get(&run);
        dep.runs().cancel(&run);
        dep.approvals().list();
        dep.approvals().get(&approval);
        dep.approvals().answer(&approval, AnswerApproval::allow());
    }
    let (automation, memory, dream) =
        ("auto_1".parse().unwrap(), "mem_1".parse().unwrap(), "drm_1".parse().unwrap());
    send! {
        dep.automations().create(CreateAutomation::new("a", "@daily", "Do it."));
        dep.automations().list();
        dep.automations().get(&automation);
        dep.automations().update(&automation, UpdateAutomation::new());
        dep.automations().delete(&automation);
        dep.automations().trigger(&automation);
        dep.automations().runs(&automation);
        dep.memories().list();
        dep.memories().create("A");
        dep.memories().get(&memory);
        dep.memories().update(&memory, UpdateMemory::new("B"));
        dep.memories().delete(&memory);
        dep.dreams().start();
        dep.dreams().list();
        dep.dreams().get(&dream);
        dep.dreams().revert(&dream);
    }
    let (webhook, delivery, snapshot) =
        ("whe_1".parse().unwrap(), "whd_1_1".parse().unwrap(), "snap_1".parse().unwrap());
    send! {
        client.snapshots().list();
        client.snapshots().get(&snapshot);
        client.snapshots().delete(&snapshot);
        client.webhooks().create(CreateWebhook::new("https://x.example/", ["*"]));
        client.webhooks().list();
        client.webhooks().get(&webhook);
        client.webhooks().update(&webhook, UpdateWebhook::new());
        client.webhooks().delete(&webhook);
        client.webhooks().rotate_secret(&webhook);
        client.webhooks().test(&webhook);
        client.webhooks().deliveries(&webhook);
        client.webhooks().delivery(&webhook, &delivery);
        client.webhooks().redeliver(&webhook, &delivery);
        client.webhooks().redeliver_failed(&webhook, Timestamp::UNIX_EPOCH);
        client.audit_log().list();
    }
}

/// Fails twice, and tells of the attempts that it saw.
#[derive(Default)]
struct Flaky {
    attempts: AtomicU32,
}

impl Stub for Flaky {
    fn send_message(&self, call: &Request, id: DeploymentId, message: SendMessage) -> Answer<MessageReceipt> {
        assert_eq!(call.attempt(), self.attempts.fetch_add(1, Ordering::Relaxed) + 1);
        assert_eq!((message.content.as_str(), call.json()), ("Hi", Some(json!({"content": "Hi"}))));
        match call.attempt() {
            1 => Err(Refusal::disconnected()),
            2 => Err(Refusal::of_status(503).retry_after(Duration::from_secs(7))),
            _ => {
                let receipt = MessageReceipt::new(
                    "run_1".parse().unwrap(),
                    id,
                    "thr_1".parse().unwrap(),
                    RunStatus::Running,
                );
                Ok(Reply::new(receipt).header("x-seen", call.idempotency_key().unwrap()))
            }
        }
    }

    fn get_deployment(&self, _: &Request, _: DeploymentId) -> Answer<Deployment> {
        Err(Refusal::of_status(500).after(Duration::from_secs(3600)))
    }
}

#[tokio::test(start_paused = true)]
async fn the_client_above_tries_again_and_has_its_time_limits() {
    let flaky = Arc::new(Flaky::default());
    let handle = mock::client(flaky.clone()).deployment(&deployment());
    let sent = handle.messages().send("Hi").await.unwrap();
    assert_eq!(sent.attempts(), 3);
    assert!(sent.elapsed() >= Duration::from_secs(7), "the hint is kept: {:?}", sent.elapsed());
    assert_eq!(sent.header("x-seen"), sent.idempotency_key());
    let error = handle.get().timeout(Duration::from_secs(10)).await.unwrap_err();
    assert!(error.is_timeout(), "{error}");
}

/// A conversation, event by event.
struct Talking;

impl Stub for Talking {
    fn send_message(&self, _: &Request, id: DeploymentId, _: SendMessage) -> Answer<MessageReceipt> {
        let (run, thread) = ("run_1".parse().unwrap(), "thr_1".parse().unwrap());
        Ok(MessageReceipt::new(run, id, thread, RunStatus::Running).into())
    }

    fn stream_events(&self, call: &Request, _: DeploymentId, _: mock::StreamEvents) -> Answer<Events> {
        let run = || "run_1".parse().unwrap();
        let id = |number: u32| format!("evt_1_{number}").parse().unwrap();
        let event = |number, payload| Event::new(id(number), payload);
        let hello = event(1, EventPayload::Token(Token::new(run(), "Hello,\n")));
        let there = event(2, EventPayload::Token(Token::new(run(), "there")));
        let done = event(3, EventPayload::RunStatus(RunStatusChanged::new(run(), RunStatus::Completed)));
        let events = match call.last_event_id() {
            None => Events::ending([hello]).opening(&id(0)),
            Some(after) => {
                assert_eq!(after, "evt_1_1");
                Events::new([hello, there, done])
            }
        };
        Ok(events.into())
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_resumes_where_it_was() {
    let handle = mock::client(Talking).deployment(&deployment());
    assert_eq!(handle.chat("Hi").text().await.unwrap(), "Hello,\nthere");
}

/// Answers what has another form.
struct Odd;

impl Stub for Odd {
    fn intercept(&self, call: &Request) -> Option<Answer<Raw>> {
        (call.operation() == "get_thread").then(|| Ok(Raw::json(&json!({"thread_id": 7})).into()))
    }

    fn read_file(&self, _: &Request, _: DeploymentId, query: FilePath) -> Answer<Content> {
        match query.path.as_deref() {
            Some("film.mp4") => Ok(Reply::new("0123456789".into()).etag("\"f1\"")),
            _ => Err(Refusal::not_found("File")),
        }
    }

    fn list_deployments(&self, _: &Request, query: ListDeployments) -> Answer<Page<DeploymentSummary>> {
        let turn: u32 = query.cursor.map_or(0, |cursor| cursor.as_str().parse().unwrap());
        Ok(Page::new(Vec::new(), (turn < 3).then(|| (turn + 1).to_string().into())).into())
    }
}

#[tokio::test]
async fn answers_can_be_of_any_form() {
    let client = mock::client(Odd);
    let handle = client.deployment(&deployment());
    let error = handle.threads().get(&"thr_1".parse().unwrap()).await.unwrap_err();
    assert!(error.is_decode() && error.to_string().contains("$.thread_id"), "{error}");

    let part = handle.files().read("film.mp4").range(2..5).await.unwrap();
    assert_eq!((part.status(), part.etag()), (206, Some("\"f1\"")));
    assert_eq!(part.header("content-range"), Some("bytes 2-4/10"));
    assert_eq!(part.bytes().await.unwrap(), "234");
    let error = handle.files().read("film.mp4").range(10..).await.unwrap_err();
    assert_eq!(error.status(), Some(416));
    assert!(handle.files().read("other").await.unwrap_err().is_not_found());

    let mut pages = client.deployments().list().pages();
    let mut count = 0;
    while let Some(page) = pages.next().await {
        assert!(page.unwrap().data.is_empty());
        count += 1;
    }
    assert_eq!(count, 4, "an empty page is not the end");
}

/// Overrides an operation of a fake.
struct Override(FakeServer);

impl Stub for Override {
    fn otherwise(&self) -> Option<&dyn Stub> {
        Some(&self.0)
    }

    fn start_dream(&self, _: &Request, _: DeploymentId) -> Answer<prism_client::types::Dream> {
        Err(Refusal::new(402, ErrorCode::InsufficientCredits, "No credits"))
    }
}

#[tokio::test]
async fn what_a_stub_does_not_do_another_one_does() {
    let fake = FakeServer::new();
    let client = mock::client(Override(fake.clone()));
    let created =
        client.deployments().create(CreateDeployment::new("cus_1", "Agent", "Help.")).await.unwrap();
    let handle = client.deployment(&created.deployment_id);
    assert!(handle.dreams().start().await.unwrap_err().is_insufficient_credits());
    assert!(handle.get().await.unwrap().status.is_known());
    let names: Vec<_> = fake.requests().iter().map(Request::operation).collect();
    assert_eq!(names, ["create_deployment", "start_dream", "get_deployment"], "the fake sees all of them");
}

#[tokio::test]
async fn settings_of_a_client_are_its_own() -> Result<(), Error> {
    let server = mock::Server::new(OneMemory);
    let client = Client::builder().base_url("http://any").api_key("any").transport(server).build()?;
    let handle = client.deployment(&deployment());
    assert_eq!(handle.memories().get(&"mem_1".parse().unwrap()).await?.content, "They like tea");
    // What is no operation is told as the server tells it.
    let server = mock::Server::new(OneMemory);
    let client = Client::builder().base_url("http://any/below").api_key("any").transport(server).build()?;
    assert!(client.deployments().list().await.unwrap_err().is_not_found());
    Ok(())
}

#[test]
fn nothing_private_is_shown() {
    let secret: WebhookSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse().unwrap();
    let shown = format!("{:?} {:?}", Content::new("canary"), Raw::json(&secret));
    assert!(!shown.contains("canary") && !shown.contains("MfKQ"), "{shown}");
}
