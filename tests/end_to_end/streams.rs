//! Event streams: whatever happens to connections, the log arrives whole.

use std::time::Duration;

use futures::StreamExt;
use prism_server_core::Settings;
use prism_tests::{CuttingProxy, ServerOptions, TestServer};
use prism_types::{DeploymentId, Event, EventPayload, RunStatus};
use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, TestRunner},
};

const EVENTS: u64 = 400;

fn sequence(event: &Event) -> u64 {
    event.id.as_str().rsplit('_').next().unwrap().parse().unwrap()
}

/// Numbers of bytes after which connections are cut: some in the headers, most in the middle of events.
fn cuts() -> Vec<usize> {
    let mut runner = TestRunner::new(Config::default());
    let strategy = prop::collection::vec(prop_oneof![1 => 1..400_usize, 9 => 400..2500_usize], 100);
    strategy.new_tree(&mut runner).unwrap().current()
}

/// A run writes while its stream is cut 100 times at random points, in the replay and in the live part.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_cut_a_hundred_times_delivers_exactly_the_log() {
    let server = TestServer::start().await;
    let script = format!("repeat {EVENTS} every 1ms token \"0123456789 0123456789 0123456789\"");
    let id = server.deploy(&script).await;
    let cuts = cuts();
    let proxy = CuttingProxy::start(&server.base_url, cuts.clone()).await;
    let client = server.client_at(&proxy.base_url);
    let quick = prism_client::Backoff::new(Duration::from_millis(1), Duration::from_millis(5));
    let opened = loop {
        // The very first answer may be cut within its headers.
        let stream = client.deployment(&id).events().stream().backoff(quick).max_reconnects(200);
        if let Ok(stream) = stream.open().await {
            break stream;
        }
    };
    server.client().deployment(&id).messages().send("go").await.unwrap();
    let mut told = collect(opened, 2 * EVENTS).await;
    // What is left of the hundred cuts is spent on replays of the whole log.
    while proxy.cuts() < cuts.len() {
        let start = format!("evt_{}_0", id.suffix()).parse().unwrap();
        let stream = client.deployment(&id).events().stream().after(start).backoff(quick).max_reconnects(200);
        let Ok(stream) = stream.open().await else { continue };
        told = collect(stream, 2 * EVENTS).await;
    }
    assert_eq!(told, (1..=EVENTS + 2).collect::<Vec<_>>());
    assert_eq!(proxy.cuts(), 100);
}

/// The sequence numbers of a stream's events until its run is completed.
async fn collect(mut stream: prism_client::EventStream, most: u64) -> Vec<u64> {
    let mut told = Vec::new();
    while let Some(event) = tokio::time::timeout(Duration::from_secs(60), stream.next()).await.unwrap() {
        let event = event.unwrap();
        told.push(sequence(&event));
        assert!(told.len() as u64 <= most, "{told:?}");
        if matches!(&event.payload, EventPayload::RunStatus(run) if run.status == RunStatus::Completed) {
            break;
        }
    }
    told
}

/// Many readers subscribe at random moments while a run writes: each gets what comes after its start, whole.
#[tokio::test(flavor = "multi_thread")]
async fn readers_that_come_at_any_moment_get_everything_after_their_start() {
    let server = TestServer::start().await;
    let id = server.deploy(&format!("repeat {EVENTS} every 1ms token \"x\"")).await;
    let deployment = server.client().deployment(&id);
    let mut pace = deployment.events().stream().open().await.unwrap();
    deployment.messages().send("go").await.unwrap();
    let mut readers = Vec::new();
    while let Some(event) = pace.next().await {
        let event = event.unwrap();
        let now = sequence(&event);
        if now.is_multiple_of(10) {
            let after = now / 2;
            let stream = deployment.events().stream();
            let stream = stream.after(format!("evt_{}_{after}", id.suffix()).parse().unwrap());
            readers.push(tokio::spawn(async move {
                let told = collect(stream.open().await.unwrap(), 2 * EVENTS).await;
                assert_eq!(told, (after + 1..=EVENTS + 2).collect::<Vec<_>>());
            }));
        }
        if now == EVENTS + 2 {
            break;
        }
    }
    assert!(readers.len() >= 40);
    for reader in readers {
        reader.await.unwrap();
    }
}

#[tokio::test]
async fn filters_tell_only_what_was_asked_for() {
    let server = TestServer::start().await;
    let id = server.deploy("say Hi {{message}}").await;
    let deployment = server.client().deployment(&id);
    let first = deployment.messages().send("one").await.unwrap();
    let second = deployment.messages().send(prism_types::SendMessage::new("two").new_thread()).await.unwrap();
    let start: prism_types::EventId = format!("evt_{}_0", id.suffix()).parse().unwrap();
    for (receipt, text) in [(&first, "Hi one"), (&second, "Hi two")] {
        let events = deployment.events().stream().after(start.clone()).run(receipt.run_id.clone());
        let events = events.thread(receipt.thread_id.clone()).open().await.unwrap();
        let events: Vec<_> = events.map(Result::unwrap).collect().await;
        assert!(events.iter().all(|event| event.payload.run_id() == Some(&receipt.run_id)));
        let told: String = events
            .iter()
            .filter_map(|event| match &event.payload {
                EventPayload::Token(token) => Some(token.delta.as_str()),
                _ => None,
            })
            .collect();
        assert_eq!(told, text);
    }
}

/// The bytes of a stream until `end` is in them.
async fn bytes_until(server: &TestServer, id: &DeploymentId, end: &str) -> String {
    let request = server.http().request("GET", &format!("/v1/deployments/{id}/events"));
    let response = request.send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let (mut text, mut body) = (String::new(), response.bytes_stream());
    while let Some(chunk) = body.next().await {
        text.push_str(std::str::from_utf8(&chunk.unwrap()).unwrap());
        if text.contains(end) {
            break;
        }
    }
    text
}

#[tokio::test]
async fn a_silent_stream_opens_with_its_position_and_is_kept_alive() {
    let mut settings = Settings::default();
    settings.heartbeat = Duration::from_millis(20);
    let server = TestServer::with(ServerOptions { settings, ..Default::default() }).await;
    let id = server.deploy("say Hi").await;
    let text = bytes_until(&server, &id, ": keep-alive\n\n: keep-alive\n\n").await;
    assert_eq!(text, format!("id: evt_{}_0\n\n: keep-alive\n\n: keep-alive\n\n", id.suffix()));
}

#[tokio::test]
async fn a_shutdown_ends_open_streams_and_says_when_to_come_back() {
    let server = TestServer::start().await;
    let id = server.deploy("say Hi").await;
    let request = server.http().request("GET", &format!("/v1/deployments/{id}/events"));
    let response = request.send().await.unwrap();
    let (_, text) = tokio::join!(async { server.plane.shutdown() }, response.text());
    assert!(text.unwrap().ends_with("retry: 1000\n\n"));
    server.stop().await;
}

#[tokio::test]
async fn deleting_a_deployment_ends_its_streams() {
    let server = TestServer::start().await;
    let id = server.deploy("say Hi").await;
    let request = server.http().request("GET", &format!("/v1/deployments/{id}/events"));
    let response = request.send().await.unwrap();
    server.client().deployment(&id).delete().await.unwrap();
    assert!(response.text().await.unwrap().starts_with("id: evt_"));
    assert_eq!(server.http().get(&format!("/v1/deployments/{id}/events")).await.status, 404);
}
