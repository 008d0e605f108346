//! The server in memory: scripts, failures, time, and what the client makes of them.

#![cfg(feature = "mock")]
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::time::Duration;

use prism_client::{
    Client, Error, EventStream,
    chat::{Outcome, Part, Turn},
    events::Signal,
    mock::{self, FakeServer, Refusal, Script},
    resources::DeploymentHandle,
    types::{
        AnswerApproval, ApprovalPolicy, ApprovalStatus, CreateDeployment, CreateWebhook, EventId,
        EventPayload, Features, FileChange, FilesystemChanged, MessageRole, RunStatus, SendMessage,
        ThreadStatus, Timestamp, UpdateDeployment, WebhookDeliveryStatus,
    },
};
use proptest::prelude::*;
use serde_json::json;

fn request() -> CreateDeployment {
    CreateDeployment::new("cus_1", "Agent", "You are an agent.")
}

async fn deployed(fake: &FakeServer, request: CreateDeployment) -> DeploymentHandle {
    let client = mock::client(fake.clone());
    let created = client.deployments().create(request).await.unwrap();
    let handle = client.deployment(&created.deployment_id);
    handle.wait_until_ready().await.unwrap();
    handle
}

async fn read(mut turn: Turn) -> Result<(Vec<Part>, Option<Outcome>), Error> {
    let mut parts = Vec::new();
    while let Some(part) = turn.next().await.transpose()? {
        parts.push(part);
    }
    Ok((parts, turn.outcome().cloned()))
}

#[tokio::test(start_paused = true)]
async fn a_script_is_a_conversation() {
    let fake = FakeServer::new();
    let features = Features::default().filesystem_webhooks(true);
    let agent = deployed(&fake, request().features(features)).await;
    fake.reply(
        Script::new()
            .say("Let me see.")
            .tool("search", &json!({"q": "{{message}}"}), &json!({"found": 3}))
            .write("plan.md", "# {{message}}")
            .remember("They like {{message}}")
            .usage(12, 24)
            .wait(Duration::from_secs(5))
            .ask("Publish?")
            .say("You said {{answer}}.")
            .delete("plan.md"),
    );
    let turn = agent.chat("\"tea\"").await.unwrap();
    let (run, thread) = (turn.run_id().clone(), turn.thread_id().clone());
    assert_eq!(agent.threads().get(&thread).await.unwrap().status, ThreadStatus::Running);
    let (parts, outcome) = read(turn).await.unwrap();
    let names: Vec<_> =
        parts.iter().map(|part| format!("{part:?}").split('(').next().unwrap().to_owned()).collect();
    assert_eq!(names, ["Text", "Text", "Text", "ToolCall", "ToolResult", "File", "Question"]);
    let Part::ToolCall(call) = &parts[3] else { panic!("{parts:?}") };
    assert_eq!((call.arguments.get(), call.tool_call_id.as_deref()), (r#"{"q":"\"tea\""}"#, Some("call_1")));
    assert!(matches!(outcome, Some(Outcome::Asks(question)) if question.summary == "Publish?"));
    assert_eq!(agent.files().read("plan.md").await.unwrap().text().await.unwrap(), "# \"tea\"");
    assert_eq!(agent.threads().get(&thread).await.unwrap().status, ThreadStatus::WaitingOnHuman);

    let (parts, outcome) = read(agent.chat("yes").await.unwrap()).await.unwrap();
    assert_eq!(outcome, Some(Outcome::Completed));
    assert!(matches!(parts.last(), Some(Part::File(file)) if file.change == FileChange::Deleted));
    let done = agent.runs().get(&run).await.unwrap();
    assert_eq!((done.status.clone(), done.usage.output_tokens), (RunStatus::Completed, 24));
    let messages = agent.threads().get(&thread).await.unwrap().into_inner().messages;
    let said: Vec<_> =
        messages.iter().map(|message| (message.role.clone(), message.content.as_str())).collect();
    let (user, agent_role) = (MessageRole::User, MessageRole::Agent);
    let expected =
        [(&user, "\"tea\""), (&agent_role, "Let me see."), (&user, "yes"), (&agent_role, "You said yes.")];
    assert_eq!(said, expected.map(|(role, text)| (role.clone(), text)));
    let memories = agent.memories().list().items().all().await.unwrap();
    assert_eq!(memories[0].content, "They like \"tea\"");
}

#[tokio::test(start_paused = true)]
async fn replies_come_in_their_order_and_then_by_the_message() {
    let fake = FakeServer::new();
    let agent = deployed(&fake, request()).await;
    fake.reply("One");
    fake.reply(Script::new().say("Oh").fail("boom", "It broke."));
    assert_eq!(agent.chat("a").text().await.unwrap(), "One");
    let error = agent.chat("b").text().await.unwrap_err();
    assert_eq!(error.failure().unwrap().code, "boom");
    assert_eq!(agent.chat("c").text().await.unwrap(), "You said: c");
    fake.reply_with(|message| message.to_uppercase());
    assert_eq!(agent.chat("d").text().await.unwrap(), "D");
}

#[tokio::test(start_paused = true)]
async fn deployments_become_ready_as_the_test_has_it() {
    let fake = FakeServer::new();
    let client = mock::client(fake.clone());
    fake.ready_after(Duration::from_secs(90));
    let created = client.deployments().create(request()).await.unwrap();
    let agent = client.deployment(&created.deployment_id);
    assert!(agent.chat("Hi").await.unwrap_err().is_not_ready());
    agent.wait_until_ready().await.unwrap();
    assert_eq!(agent.chat("Hi").text().await.unwrap(), "You said: Hi");

    fake.ready_after_reads(3);
    let created = client.deployments().create(request()).await.unwrap();
    let agent = client.deployment(&created.deployment_id);
    let mut reads = 0;
    while agent.get().await.unwrap().status.as_str() != "ready" {
        reads += 1;
    }
    assert_eq!(reads, 3);

    fake.never_ready("runtime_unavailable", "No agent");
    let created = client.deployments().create(request()).await.unwrap();
    let agent = client.deployment(&created.deployment_id);
    let error = agent.wait_until_ready().await.unwrap_err();
    assert_eq!(error.failure().unwrap().code, "runtime_unavailable");
    // A change tries again.
    fake.ready_after(Duration::from_secs(1));
    assert_eq!(agent.update(UpdateDeployment::new()).await.unwrap().status.as_str(), "provisioning");
    agent.wait_until_ready().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn failures_are_met_by_the_client_as_those_of_a_server() {
    let fake = FakeServer::new();
    let agent = deployed(&fake, request()).await;
    fake.fail_next(2, 503);
    assert_eq!(agent.get().await.unwrap().attempts(), 3);
    fake.fail_next(3, 500);
    let error = agent.get().await.unwrap_err();
    assert!(error.is_server() && error.attempts() == 3, "{error}");
    fake.fail_next_with(1, Refusal::no_connection());
    assert_eq!(agent.get().await.unwrap().attempts(), 2);
    fake.fail_next_of("list_runs", 1, Refusal::of_status(403));
    assert!(agent.get().await.is_ok());
    assert!(agent.runs().list().await.unwrap_err().is_forbidden());
    fake.delay(Duration::from_secs(100));
    assert!(agent.get().await.unwrap_err().is_timeout());
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_lost_does_not_repeat_the_work() {
    let fake = FakeServer::new();
    let agent = deployed(&fake, request()).await;
    fake.lose_answers(2);
    let sent = agent.messages().send("Hi").await.unwrap();
    assert!(sent.is_replay() && sent.attempts() == 3);
    assert_eq!(agent.runs().list().await.unwrap().data.len(), 1, "the message was sent once");
    let keys: Vec<_> = fake
        .requests()
        .into_iter()
        .filter(|request| request.operation() == "send_message")
        .map(|request| (request.attempt(), request.idempotency_key().unwrap().to_owned(), request.json()))
        .collect();
    let key = sent.idempotency_key().unwrap().to_owned();
    assert_eq!(keys, [1, 2, 3].map(|attempt| (attempt, key.clone(), Some(json!({"content": "Hi"})))));

    let again = agent.messages().send("Hi").idempotency_key(&key).await.unwrap();
    assert!(again.is_replay() && again.run_id == sent.run_id);
    let other = agent.messages().send("Ho").idempotency_key(&key).await.unwrap_err();
    assert!(other.is_idempotency_mismatch());
    tokio::time::advance(Duration::from_secs(24 * 60 * 60)).await;
    assert!(!agent.messages().send("Ho").idempotency_key(&key).await.unwrap().is_replay());
}

#[tokio::test(start_paused = true)]
async fn streams_are_cut_in_the_middle_of_an_event_and_resume() {
    let fake = FakeServer::new();
    let agent = deployed(&fake, request()).await;
    fake.reply(Script::new().say("a b c ").wait(Duration::from_secs(1)).say("d e f"));
    let mut signals = agent.events().stream().open().await.unwrap().signals();
    agent.messages().send("Hi").await.unwrap();
    let (mut text, mut interruptions) = (String::new(), 0);
    while let Some(signal) = signals.next().await.transpose().unwrap() {
        match signal {
            Signal::Event(event) => match event.payload {
                EventPayload::Token(token) => {
                    text.push_str(&token.delta);
                    fake.disconnect_streams();
                }
                EventPayload::RunStatus(change) if change.status.is_terminal() => break,
                _ => {}
            },
            Signal::Interrupted { error, .. } => {
                assert!(error.is_disconnected(), "{error}");
                interruptions += 1;
            }
            Signal::Gap { .. } => panic!("nothing is lost"),
            _ => {}
        }
    }
    assert_eq!((text.as_str(), interruptions), ("a b c d e f", 6));
}

#[tokio::test(start_paused = true)]
async fn waiting_for_what_never_comes_fails_and_does_not_hang() {
    let fake = FakeServer::new();
    let agent = deployed(&fake, request()).await;
    let mut events = agent.events().stream().open().await.unwrap();
    let error = events.next().await.unwrap().unwrap_err();
    assert!(error.is_timeout(), "{error}");
    // While nothing is due, a stream lives for an hour.
    fake.reply(Script::new().wait(Duration::from_secs(50 * 60)).say("late"));
    assert_eq!(agent.chat("Hi").text().await.unwrap(), "late");
}

#[tokio::test(start_paused = true)]
async fn questions_are_answered_denied_and_expire() {
    let fake = FakeServer::new();
    let policy = ApprovalPolicy::default().timeout_seconds(60_u32);
    let agent = deployed(&fake, request().approvals(policy)).await;
    for _ in 0..3 {
        fake.reply(Script::new().ask("Publish?").say("{{answer}}"));
    }
    let asked = async || {
        read(agent.chat(SendMessage::new("go").new_thread()).await.unwrap()).await.unwrap();
        let pending = agent.approvals().list().pending(true).await.unwrap();
        assert_eq!(pending.data.len(), 1);
        pending.data[0].approval_id.clone()
    };
    let first = asked().await;
    let allowed = agent.approvals().answer(&first, AnswerApproval::allow()).await.unwrap();
    assert_eq!((allowed.status.clone(), allowed.answer.as_deref()), (ApprovalStatus::Allowed, Some("Yes.")));
    assert!(agent.approvals().answer(&first, AnswerApproval::deny()).await.unwrap_err().is_conflict());
    let second = asked().await;
    tokio::time::advance(Duration::from_secs(61)).await;
    let expired = agent.approvals().get(&second).await.unwrap();
    assert_eq!(expired.answer.as_deref(), Some("Nobody answered in time."));
    let third = asked().await;
    let run = agent.approvals().get(&third).await.unwrap().run_id.clone();
    assert_eq!(agent.runs().cancel(&run).await.unwrap().error.as_ref().unwrap().code, "cancelled");
    assert_eq!(agent.approvals().get(&third).await.unwrap().status, ApprovalStatus::Closed);
}

#[tokio::test(start_paused = true)]
async fn webhooks_answer_as_the_test_has_it() {
    let fake = FakeServer::new();
    let agent = deployed(&fake, request()).await;
    let client = mock::client(fake.clone());
    let created =
        client.webhooks().create(CreateWebhook::new("https://x.example/", ["run_status"])).await.unwrap();
    let id = created.webhook.webhook_id.clone();
    fake.webhook_status(500);
    agent.chat("Hi").text().await.unwrap();
    let failed = client.webhooks().deliveries(&id).status(WebhookDeliveryStatus::Failed).await.unwrap();
    assert_eq!(failed.data.len(), 2, "running and completed");
    fake.webhook_status(204);
    let sent = client.webhooks().redeliver_failed(&id, Timestamp::UNIX_EPOCH).await.unwrap();
    assert_eq!((sent.redelivered, sent.more), (2, false));
    let delivery = client.webhooks().delivery(&id, &failed.data[0].delivery_id).await.unwrap();
    assert_eq!((delivery.status.clone(), delivery.attempts.len()), (WebhookDeliveryStatus::Delivered, 2));
    assert!(delivery.payload.as_ref().unwrap().get().contains("completed"));
}

#[tokio::test(start_paused = true)]
async fn a_deployment_that_is_deleted_ends_its_streams() {
    let fake = FakeServer::new();
    let agent = deployed(&fake, request()).await;
    let mut events = agent.events().stream().open().await.unwrap();
    agent.delete().await.unwrap();
    assert!(events.next().await.unwrap().unwrap_err().is_not_found());
    assert!(fake.events(agent.id()).is_empty());
    assert!(fake.tell(agent.id(), changed(0)).is_err());
}

#[tokio::test]
async fn it_needs_no_paused_time_and_many_tasks_can_use_it() {
    let fake = FakeServer::new();
    let agent = deployed(&fake, request()).await;
    let chats = (0..20).map(|number| agent.chat(SendMessage::new(number.to_string()).new_thread()).text());
    for (number, text) in futures::future::join_all(chats).await.into_iter().enumerate() {
        assert_eq!(text.unwrap(), format!("You said: {number}"));
    }
}

#[test]
fn it_can_be_shared() {
    fn is_shared<T: Send + Sync + Clone + 'static>() {}
    is_shared::<FakeServer>();
    is_shared::<mock::Server>();
    is_shared::<Client>();
}

fn changed(number: usize) -> EventPayload {
    EventPayload::Filesystem(FilesystemChanged::new(FileChange::Modified, number.to_string()))
}

/// What a test does with a stream.
#[derive(Debug, Clone, Copy)]
enum Deed {
    /// Something happens.
    Tell,
    /// The client reads an event.
    Read,
    /// All connections break.
    Cut,
    /// Another process goes on where this one is.
    Reopen,
    /// The next connections fail.
    Refuse,
    /// Time goes on.
    Pass,
}

proptest! {
    #[test]
    fn no_event_is_lost_or_repeated(deeds in prop::collection::vec(
        prop::sample::select(vec![
            Deed::Tell, Deed::Tell, Deed::Tell, Deed::Read, Deed::Read, Deed::Cut, Deed::Reopen, Deed::Refuse, Deed::Pass,
        ]),
        0..60,
    )) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(follow(&deeds));
    }
}

async fn follow(deeds: &[Deed]) {
    let fake = FakeServer::new();
    let agent = deployed(&fake, request()).await;
    let mut events = open(&agent, None).await;
    let (mut told, mut seen) = (0, Vec::new());
    for deed in deeds {
        match deed {
            Deed::Tell => {
                fake.tell(agent.id(), changed(told)).unwrap();
                told += 1;
            }
            Deed::Read if seen.len() < told => seen.push(events.next().await.unwrap().unwrap()),
            Deed::Read => {}
            Deed::Cut => fake.disconnect_streams(),
            Deed::Reopen => {
                events = open(&agent, events.last_event_id().cloned()).await;
            }
            Deed::Refuse => fake.fail_next_of("stream_events", 2, Refusal::of_status(503)),
            Deed::Pass => tokio::time::advance(Duration::from_secs(45)).await,
        }
    }
    while seen.len() < told {
        seen.push(events.next().await.unwrap().unwrap());
    }
    assert_eq!(seen, fake.events(agent.id()));
    let paths: Vec<_> = seen
        .iter()
        .map(|event| match &event.payload {
            EventPayload::Filesystem(changed) => changed.path.clone(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(paths, (0..told).map(|number| number.to_string()).collect::<Vec<_>>());
}

/// A stream from a place on, whatever is refused meanwhile.
async fn open(agent: &DeploymentHandle, after: Option<EventId>) -> EventStream {
    loop {
        let mut stream = agent.events().stream().max_reconnects(1000);
        if let Some(place) = &after {
            stream = stream.after(place.clone());
        }
        match stream.open().await {
            Ok(events) => return events,
            Err(error) => assert!(error.is_server(), "{error}"),
        }
    }
}
