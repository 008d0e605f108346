//! Agents that put their memories in order while nobody needs them.

use std::{collections::BTreeSet, time::Duration};

use prism_client::resources::DeploymentHandle;
use prism_server_core::Settings;
use prism_tests::{ServerOptions, TestServer};
use prism_types::{
    CreateDeployment, DeploymentId, Dream, DreamId, DreamStatus, DreamTrigger, Features, FeaturesUpdate,
    RunKind, RunStatus, SendMessage, UpdateDeployment,
};

/// Merges two memories into one, and reports.
const DREAMS: &str = "forget tea\nforget coffee\nremember They like drinks\nsay Merged two.";

async fn until<T>(mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let waited = async {
        let mut pause = tokio::time::interval(Duration::from_millis(10));
        loop {
            if let Some(found) = look().await {
                return found;
            }
            pause.tick().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waited).await.expect("what is waited for comes")
}

async fn over(deployment: &DeploymentHandle, id: &DreamId) -> Dream {
    until(async || {
        let dream = deployment.dreams().get(id).await.unwrap().into_inner();
        (dream.status != DreamStatus::Running).then_some(dream)
    })
    .await
}

async fn contents(deployment: &DeploymentHandle) -> BTreeSet<String> {
    let all = deployment.memories().list().await.unwrap().into_inner().data;
    all.into_iter().map(|memory| memory.content).collect()
}

fn set(contents: &[&str]) -> BTreeSet<String> {
    contents.iter().map(|content| (*content).to_owned()).collect()
}

/// A server whose deployments dream as soon as they are quiet.
async fn quick(dream_after: Duration) -> TestServer {
    let mut settings = Settings::default();
    (settings.dream_after, settings.sweep) = (dream_after, Duration::from_millis(20));
    TestServer::with(ServerOptions { settings, ..ServerOptions::default() }).await
}

async fn dreamer(server: &TestServer, script: &str) -> DeploymentId {
    let request = CreateDeployment::new("cus_1", "Agent", prism_tests::scripted(script));
    server.deploy_request(request.features(Features::default().dreaming(true))).await
}

#[tokio::test]
async fn a_dream_is_reported_and_can_be_taken_back() {
    let server = TestServer::start().await;
    let deployment = server.client().deployment(&server.deploy(DREAMS).await);
    let tea = deployment.memories().create("They like tea").await.unwrap().into_inner();
    deployment.memories().create("They like coffee").await.unwrap();
    deployment.memories().create("They are two").await.unwrap();

    let started = deployment.dreams().start().await.unwrap();
    assert_eq!(started.status(), 201);
    let started = started.into_inner();
    assert_eq!((&started.trigger, &started.report), (&DreamTrigger::Api, &None));
    let default = deployment.get().await.unwrap().thread_id.clone();
    assert_ne!(started.thread_id, default);
    let dream = over(&deployment, &started.dream_id).await;
    assert_eq!((&dream.status, &dream.error), (&DreamStatus::Completed, &None));
    let run = deployment.runs().get(&dream.run_id).await.unwrap();
    assert_eq!(
        (&run.kind, &run.status, &run.thread_id),
        (&RunKind::Dreaming, &RunStatus::Completed, &dream.thread_id)
    );
    let report = dream.report.unwrap();
    let texts = |memories: &[prism_types::DreamedMemory]| -> BTreeSet<String> {
        memories.iter().map(|memory| memory.content.clone()).collect()
    };
    assert_eq!(report.summary, "Merged two.");
    assert_eq!(texts(&report.added), set(&["They like drinks"]));
    assert_eq!(texts(&report.removed), set(&["They like tea", "They like coffee"]));
    assert_eq!(contents(&deployment).await, set(&["They like drinks", "They are two"]));

    deployment.memories().create("They moved").await.unwrap();
    let reverted = deployment.dreams().revert(&dream.dream_id).await.unwrap().into_inner();
    assert!(reverted.reverted_at.is_some());
    let back = set(&["They like tea", "They like coffee", "They are two", "They moved"]);
    assert_eq!(contents(&deployment).await, back);
    assert_eq!(deployment.memories().get(&tea.memory_id).await.unwrap().into_inner(), tea, "as it was");
    let twice = deployment.dreams().revert(&dream.dream_id).await.unwrap_err();
    assert_eq!(twice.status(), Some(409), "{twice}");
    let listed = deployment.dreams().list().await.unwrap().into_inner().data;
    assert_eq!((listed.len(), &listed[0].report), (1, &None));
}

#[tokio::test]
async fn a_deployment_dreams_once_at_a_time_and_its_messages_are_not_held_up() {
    let server = TestServer::start().await;
    let deployment = server.client().deployment(&server.deploy("say Hi.\ndelay 3600s").await);
    let first = deployment.dreams().start().await.unwrap().into_inner();
    let second = deployment.dreams().start().await.unwrap_err();
    assert_eq!(second.status(), Some(409), "{second}");
    assert!(second.to_string().contains(first.dream_id.as_str()), "{second}");
    let early = deployment.dreams().revert(&first.dream_id).await.unwrap_err();
    assert_eq!(early.status(), Some(409), "{early}");
    let sent = deployment.messages().send("Hello").await.unwrap().into_inner();
    assert_ne!(sent.run_id, first.run_id);
    until(async || {
        let run = deployment.runs().get(&sent.run_id).await.unwrap();
        (run.kind == RunKind::Message && run.status == RunStatus::Running).then_some(())
    })
    .await;
    deployment.runs().cancel(&first.run_id).await.unwrap();
    let ended = over(&deployment, &first.dream_id).await;
    assert_eq!((&ended.status, ended.error.unwrap().code.as_str()), (&DreamStatus::Error, "cancelled"));
}

#[tokio::test]
async fn a_quiet_deployment_dreams_once() {
    let server = quick(Duration::from_millis(50)).await;
    let id = dreamer(&server, DREAMS).await;
    let deployment = server.client().deployment(&id);
    for dreams in 1..=2 {
        let sent =
            deployment.messages().send(SendMessage::new("Hello").new_thread()).await.unwrap().into_inner();
        let dream = until(async || {
            let listed = deployment.dreams().list().await.unwrap().into_inner().data;
            (listed.len() == dreams).then(|| listed[0].clone())
        })
        .await;
        assert_eq!(dream.trigger, DreamTrigger::Idle);
        let run = deployment.runs().get(&sent.run_id).await.unwrap();
        assert!(run.ended_at.unwrap() <= dream.created_at);
        over(&deployment, &dream.dream_id).await;
        // Many sweeps: a dream is no activity to dream of.
        let another = server.deploy("say Hi").await;
        let other = server.client().deployment(&another);
        let sent = other.messages().send("Hello").await.unwrap().into_inner();
        until(async || other.runs().get(&sent.run_id).await.unwrap().status.is_terminal().then_some(()))
            .await;
        assert_eq!(deployment.dreams().list().await.unwrap().data.len(), dreams);
        assert!(other.dreams().list().await.unwrap().data.is_empty(), "without the feature nobody dreams");
    }
}

#[tokio::test]
async fn a_deployment_that_was_switched_off_or_has_no_memory_does_not_dream() {
    let server = quick(Duration::from_secs(3600)).await;
    let id = dreamer(&server, DREAMS).await;
    let deployment = server.client().deployment(&id);
    let off = UpdateDeployment::new().features(FeaturesUpdate::default().memory(false));
    deployment.update(off).await.unwrap();
    let refused = deployment.dreams().start().await.unwrap_err();
    assert_eq!(refused.status(), Some(409), "{refused}");
    assert!(refused.to_string().contains("features.memory"), "{refused}");
}

#[tokio::test]
async fn a_dream_goes_on_after_a_restart_and_there_is_no_other() {
    let directory = tempfile::tempdir().unwrap();
    let database = directory.path().join("prism.db");
    let server = TestServer::on(&database, None).await;
    let id = server.deploy("delay 200ms\nsay Done.").await;
    let dreams = server.client().deployment(&id).dreams();
    let started = dreams.start().await.unwrap().into_inner();
    let account = server.account.clone();
    server.stop().await;
    let server = TestServer::on(&database, Some(account)).await;
    let deployment = server.client().deployment(&id);
    let dream = over(&deployment, &started.dream_id).await;
    assert_eq!((&dream.status, dream.report.unwrap().summary.as_str()), (&DreamStatus::Completed, "Done."));
    assert_eq!(deployment.dreams().list().await.unwrap().data.len(), 1);
    assert_eq!(deployment.runs().list().await.unwrap().data.len(), 1);
}

#[tokio::test]
async fn a_dream_that_asks_a_human_is_ended() {
    let server = quick(Duration::from_secs(3600)).await;
    let deployment = server.client().deployment(&server.deploy("remember x\nask May I?").await);
    let dream = deployment.dreams().start().await.unwrap().into_inner();
    let ended = over(&deployment, &dream.dream_id).await;
    assert_eq!(ended.status, DreamStatus::Error);
    assert!(ended.error.unwrap().message.contains("asks a human"));
    assert_eq!(ended.report.unwrap().added.len(), 1, "what it changed is told");
    assert!(deployment.approvals().list().pending(true).await.unwrap().data.is_empty());
}

#[tokio::test]
async fn a_dream_without_credits_does_not_start() {
    let server = TestServer::start().await;
    let deployment = server.client().deployment(&server.deploy(DREAMS).await);
    let admin = server.plane.admin();
    admin.set_credits(&server.account.tenant.name, Some(0)).await.unwrap();
    assert_eq!(deployment.dreams().start().await.unwrap_err().status(), Some(402));
}
