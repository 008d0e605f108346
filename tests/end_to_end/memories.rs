//! What users and the agent remember, and what is deleted.

use std::{collections::BTreeSet, time::Duration};

use prism_client::{Error, resources::DeploymentHandle};
use prism_tests::TestServer;
use prism_types::{
    CreateDeployment, Features, FeaturesUpdate, Memory, MemorySource, MessageReceipt, RunStatus, SendMessage,
    UpdateDeployment,
};
use serde_json::json;

/// Remembers the message, unless it is a question, and says what it remembers.
const REMEMBERS: &str = "remember {{message}}\nsay {{memories}}";
const RECALLS: &str = "say I know {{memories}}";

/// Sends a message on a thread of its own, and waits for the end of its run.
async fn ask(deployment: &DeploymentHandle, message: &str) -> String {
    let sent = deployment.messages().send(SendMessage::new(message).new_thread()).await.unwrap().into_inner();
    ended(deployment, &sent).await;
    let thread = deployment.threads().get(&sent.thread_id).await.unwrap();
    thread.messages.last().unwrap().content.clone()
}

async fn ended(deployment: &DeploymentHandle, sent: &MessageReceipt) {
    let over = async || deployment.runs().get(&sent.run_id).await.unwrap().status.is_terminal();
    until(over).await;
}

async fn until(mut holds: impl AsyncFnMut() -> bool) {
    let waited = async {
        let mut pause = tokio::time::interval(Duration::from_millis(10));
        while !holds().await {
            pause.tick().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waited).await.expect("what is waited for comes");
}

async fn memories(deployment: &DeploymentHandle) -> Vec<Memory> {
    deployment.memories().list().limit(100).await.unwrap().into_inner().data
}

#[tokio::test]
async fn what_an_agent_learns_is_told_with_the_end_of_its_run() {
    let server = TestServer::start().await;
    let deployment = server.client().deployment(&server.deploy(REMEMBERS).await);
    assert_eq!(ask(&deployment, "They like tea").await, "They like tea");
    let [learned] = &memories(&deployment).await[..] else { panic!("one memory") };
    assert_eq!((learned.content.as_str(), &learned.source), ("They like tea", &MemorySource::Agent));
    assert_eq!(learned.created_at, learned.updated_at);
    assert_eq!(
        ask(&deployment, "They like tea").await,
        "They like tea",
        "what is known is not learned twice"
    );
    assert_eq!(memories(&deployment).await.len(), 1);
}

#[tokio::test]
async fn what_is_made_changed_and_deleted_over_the_api_reaches_the_next_run() {
    let server = TestServer::start().await;
    let deployment = server.client().deployment(&server.deploy(RECALLS).await);
    let first = deployment.memories().create("They like tea").await.unwrap();
    assert_eq!(first.status(), 201);
    let first = first.into_inner();
    assert_eq!(first.source, MemorySource::Api);
    let second = deployment.memories().create("  They are two\r\npeople ").await.unwrap().into_inner();
    assert_eq!(second.content, "They are two\npeople");
    assert_eq!(ask(&deployment, "?").await, "I know They like tea; They are two\npeople");

    let changed =
        deployment.memories().update(&first.memory_id, "They like coffee").await.unwrap().into_inner();
    assert_eq!((&changed.memory_id, &changed.source), (&first.memory_id, &MemorySource::Api));
    assert!(changed.updated_at >= first.updated_at && changed.created_at == first.created_at);
    let deleted = deployment.memories().delete(&second.memory_id).await.unwrap().into_inner();
    assert_eq!((&deleted.memory_id, deleted.status.as_str()), (&second.memory_id, "deleted"));
    for gone in [
        deployment.memories().get(&second.memory_id).await.unwrap_err(),
        deployment.memories().delete(&second.memory_id).await.unwrap_err(),
        deployment.memories().update(&second.memory_id, "x").await.unwrap_err(),
    ] {
        assert_eq!(gone.status(), Some(404), "{gone}");
    }
    assert_eq!(ask(&deployment, "?").await, "I know They like coffee");
    assert_eq!(memories(&deployment).await, [changed]);
}

#[tokio::test]
async fn an_agent_changes_what_was_made_over_the_api() {
    let server = TestServer::start().await;
    let script = "forget tea\nremember They like coffee";
    let deployment = server.client().deployment(&server.deploy(script).await);
    deployment.memories().create("They like tea").await.unwrap();
    deployment.memories().create("They are two").await.unwrap();
    ask(&deployment, "We like coffee now").await;
    let all = memories(&deployment).await;
    let all: BTreeSet<_> =
        all.iter().map(|memory| (memory.content.as_str(), memory.source.as_str())).collect();
    assert_eq!(all, BTreeSet::from([("They like coffee", "agent"), ("They are two", "api")]));
}

/// Does it again while others are faster.
async fn until_free<T>(deed: impl AsyncFn() -> Result<T, Error>) -> T {
    loop {
        match deed().await {
            Err(error) if error.is_conflict() => {}
            done => return done.unwrap(),
        }
    }
}

/// The agent is brought in step after each change, while others are made.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_change_over_the_api_is_never_undone_by_bringing_the_agent_in_step() {
    let server = TestServer::start().await;
    let deployment = server.client().deployment(&server.deploy(RECALLS).await);
    let changes = (0..6).map(|user| {
        let memories = deployment.memories();
        async move {
            let created = until_free(async || memories.create(format!("{user}: 0")).await).await;
            let id = created.memory_id.clone();
            for number in 1..150 {
                let content = format!("{user}: {number}");
                until_free(async || memories.update(&id, &*content).await).await;
                assert_eq!(memories.get(&id).await.unwrap().content, content);
            }
        }
    });
    futures::future::join_all(changes).await;
    let known = ask(&deployment, "what?").await;
    assert_eq!(known.matches(": 149").count(), 6, "{known}");
}

#[tokio::test]
async fn without_the_feature_an_agent_has_no_memory_and_its_memories_are_kept() {
    let server = TestServer::start().await;
    let request =
        CreateDeployment::new("cus_1", "Agent", prism_tests::scripted("remember x\nsay <{{memories}}>"));
    let id = server.deploy_request(request.features(Features::default().memory(false))).await;
    let deployment = server.client().deployment(&id);
    deployment.memories().create("They like tea").await.unwrap();
    assert_eq!(ask(&deployment, "?").await, "<>");
    assert_eq!(memories(&deployment).await.len(), 1, "nothing was learned");
    let on = UpdateDeployment::new().features(FeaturesUpdate::default().memory(true));
    deployment.update(on).await.unwrap();
    assert_eq!(ask(&deployment, "?").await, "<They like tea; x>");
    assert_eq!(memories(&deployment).await.len(), 2);
}

#[tokio::test]
async fn an_agent_whose_workspace_was_lost_gets_its_memories_again() {
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().join("prism.db");
    let mut left = None;
    for start in 0..2 {
        let server = TestServer::on(&store, left.take()).await;
        let account = server.account.clone();
        let client = server.client();
        let id = match client.deployments().list().await.unwrap().into_inner().data.first() {
            Some(deployment) => deployment.deployment_id.clone(),
            None => server.deploy(REMEMBERS).await,
        };
        let deployment = client.deployment(&id);
        let said = ask(&deployment, &format!("fact {start}")).await;
        let expected = ["fact 0", "fact 0; fact 1"][start];
        assert_eq!(said, expected);
        assert_eq!(memories(&deployment).await.len(), start + 1);
        server.stop().await;
        left = Some(account);
    }
}

#[tokio::test]
async fn a_list_has_pages_and_words() {
    let server = TestServer::start().await;
    let deployment = server.client().deployment(&server.deploy("say Hi").await);
    for number in 0..5 {
        deployment.memories().create(format!("Fact {number} of ÄPFEL")).await.unwrap();
    }
    deployment.memories().create("Something else").await.unwrap();
    let mut read = Vec::new();
    let mut cursor: Option<prism_types::Cursor> = None;
    loop {
        let mut call = deployment.memories().list().limit(2).q("äpfel fact");
        if let Some(cursor) = cursor.take() {
            call = call.cursor(cursor);
        }
        let page = call.await.unwrap().into_inner();
        read.extend(page.data.iter().map(|memory| memory.content.clone()));
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    let expected: Vec<_> = (0..5).rev().map(|number| format!("Fact {number} of ÄPFEL")).collect();
    assert_eq!(read, expected);
    let none = deployment.memories().list().q("fact else").await.unwrap();
    assert!(none.data.is_empty() && none.next_cursor.is_none());
    for (words, fits) in [(255, true), (256, false)] {
        let asked = deployment.memories().list().q("x".repeat(words)).await;
        assert_eq!(asked.is_ok(), fits, "{words}");
    }
}

#[tokio::test]
async fn what_does_not_fit_is_refused_with_the_rule() {
    let server = TestServer::start().await;
    let id = server.deploy("say Hi").await;
    let (http, path) = (server.http(), format!("/v1/deployments/{id}/memories"));
    for (body, rule) in [
        (json!({}), "$.content: is required"),
        (json!({"content": 1}), "$.content: must be a string"),
        (json!({"content": " \n"}), "$.content: must have something else than white space"),
        (json!({"content": "x".repeat(2001)}), "$.content: must have at most 2000 characters, but has 2001"),
        (json!({"content": "a\u{1}"}), "control characters"),
        (json!({"content": "a\n§\nb"}), "separates memories"),
        (json!({"content": "a", "source": "agent"}), "$.source: is not a known field"),
    ] {
        let answer = http.post(&path, &body).await;
        assert_eq!((answer.status, answer.code()), (400, "validation_error"), "{body}");
        assert!(answer.message().contains(rule), "{body}: {}", answer.message());
    }
    assert_eq!(http.post(&path, &json!({"content": "é".repeat(2000)})).await.status, 201);
    // 15 of these and what is there are 32,000 characters to the letter.
    for number in 0..14 {
        let content = format!("{number:02}{}", "x".repeat(1998));
        assert_eq!(http.post(&path, &json!({"content": content})).await.status, 201);
    }
    let rest = 32_000 - 15 * 2003 - 3;
    let full = http.post(&path, &json!({"content": "y".repeat(rest + 1)})).await;
    assert_eq!((full.status, full.code()), (409, "conflict"));
    assert!(full.message().contains("32000 characters"), "{}", full.message());
    assert_eq!(http.post(&path, &json!({"content": "y".repeat(rest)})).await.status, 201);
    let twice = http.post(&path, &json!({"content": "y".repeat(rest)})).await;
    assert_eq!(twice.status, 409);
    assert!(twice.message().contains("has this content already"), "{}", twice.message());
}

#[tokio::test]
async fn of_many_that_are_made_at_once_each_is_there_once_and_the_limit_holds() {
    let server = TestServer::start().await;
    let deployment = server.client().deployment(&server.deploy("say Hi").await);
    for number in 0..14 {
        deployment.memories().create(format!("{number:02}{}", "x".repeat(1998))).await.unwrap();
    }
    // There is room for one more.
    let make = |number: usize| deployment.memories().create(format!("{number}{}", "z".repeat(1990)));
    let made = futures::future::join_all((0..6).map(|number| make(number).into_future())).await;
    assert_eq!(made.iter().filter(|made| made.is_ok()).count(), 1, "{made:?}");
    assert_eq!(memories(&deployment).await.len(), 15);
}

#[tokio::test]
async fn a_deleted_thread_is_gone_with_its_runs_and_its_events_stay() {
    let server = TestServer::start().await;
    let id = server.deploy("ask Really?").await;
    let deployment = server.client().deployment(&id);
    let sent = deployment.messages().send(SendMessage::new("go").new_thread()).await.unwrap().into_inner();
    let waits =
        async || deployment.runs().get(&sent.run_id).await.unwrap().status == RunStatus::WaitingOnHuman;
    until(waits).await;
    let asked = deployment.approvals().list().await.unwrap().into_inner().data.remove(0).approval_id;

    let deleted = deployment.threads().delete(&sent.thread_id).await.unwrap().into_inner();
    assert_eq!((&deleted.thread_id, deleted.status.as_str()), (&sent.thread_id, "deleted"));
    let again = SendMessage::new("hello?").thread_id(sent.thread_id.clone());
    for gone in [
        deployment.threads().get(&sent.thread_id).await.unwrap_err(),
        deployment.threads().delete(&sent.thread_id).await.unwrap_err(),
        deployment.runs().get(&sent.run_id).await.unwrap_err(),
        deployment.approvals().get(&asked).await.unwrap_err(),
        deployment.messages().send(again).await.unwrap_err(),
    ] {
        assert_eq!(gone.status(), Some(404), "{gone}");
    }
    assert!(deployment.runs().list().await.unwrap().data.is_empty());
    assert!(deployment.approvals().list().await.unwrap().data.is_empty());
    assert_eq!(deployment.threads().list().await.unwrap().data.len(), 1);
    let start = format!("evt_{}_0", id.suffix()).parse().unwrap();
    let mut events = deployment.events().stream().after(start).open().await.unwrap();
    let first = tokio::time::timeout(Duration::from_secs(20), events.next()).await.unwrap().unwrap().unwrap();
    assert_eq!(first.payload.run_id(), Some(&sent.run_id), "the log is never changed");
}

#[tokio::test]
async fn a_thread_is_deleted_while_its_agent_works() {
    let server = TestServer::start().await;
    let id = server.deploy("repeat 1000000 every 1ms token \".\"").await;
    let deployment = server.client().deployment(&id);
    let sent = deployment.messages().send(SendMessage::new("go").new_thread()).await.unwrap().into_inner();
    deployment.threads().delete(&sent.thread_id).await.unwrap();
    assert_eq!(deployment.runs().get(&sent.run_id).await.unwrap_err().status(), Some(404));
    let next = deployment.messages().send(SendMessage::new("go").new_thread()).await.unwrap();
    assert_ne!(next.thread_id, sent.thread_id, "the deployment goes on");
}

#[tokio::test]
async fn the_default_thread_cannot_be_deleted() {
    let server = TestServer::start().await;
    let id = server.deploy("say Hi").await;
    let default = server.client().deployment(&id).get().await.unwrap().thread_id.clone();
    let refused = server.http().delete(&format!("/v1/deployments/{id}/threads/{default}")).await;
    assert_eq!((refused.status, refused.code()), (400, "validation_error"));
    assert!(refused.message().contains("default thread cannot be deleted"), "{}", refused.message());
}
