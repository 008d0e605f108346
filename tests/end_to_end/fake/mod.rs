//! The fake server of the client is true: the same calls go to it and to the control plane, and are answered alike.

mod calls;
mod record;

use std::collections::BTreeSet;

use prism_client::{
    Client,
    mock::{self, FakeServer, Script},
};
use prism_server_core::dialects::prism;
use prism_tests::TestServer;
use serde_json::Value;

use record::Record;

#[test]
fn the_stub_has_every_operation_of_the_server() {
    let stub: BTreeSet<_> =
        mock::OPERATIONS.iter().map(|of| (of.name, of.method, of.path, of.success)).collect();
    let server: BTreeSet<_> =
        prism::OPERATIONS.iter().map(|of| (of.id, of.method, of.path, of.success)).collect();
    assert_eq!(stub, server);
}

#[tokio::test]
async fn the_fake_server_answers_as_the_control_plane_does() {
    let server = TestServer::start().await;
    let builder = || Client::builder().base_url(&server.base_url).api_key(server.account.key.clone());
    let (real, record) = (builder().build().unwrap(), Record::default());
    calls::make(&record.client(builder()), &real, &record).await;
    let expected = record.take();

    let fake = FakeServer::new();
    fake.reply_with(script);
    let builder = || Client::builder().api_key("any").transport(mock::Server::new(fake.clone()));
    calls::make(&record.client(builder()), &builder().build().unwrap(), &record).await;
    let answered = record.take();

    let differs = |(place, (fake, real)): (usize, (&Value, &Value))| {
        (fake != real).then(|| format!("answer {place}\n  of the fake: {fake}\n  of the server: {real}"))
    };
    let differences: Vec<_> = answered.iter().zip(&expected).enumerate().filter_map(differs).collect();
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    assert_eq!(answered.len(), expected.len());
    every_operation_succeeded(&expected);
}

/// What the scripts of the deployments say, for the fake.
fn script(message: &str) -> Script {
    if message.starts_with("ask") { calls::asking() } else { calls::plain() }
}

fn every_operation_succeeded(answers: &[Value]) {
    let succeeded = |answer: &&Value| answer["status"].as_u64().is_some_and(|status| status < 300);
    let names: BTreeSet<_> = answers
        .iter()
        .filter(succeeded)
        .map(|answer| nameless(answer["operation"].as_str().unwrap()))
        .collect();
    let all: BTreeSet<_> =
        mock::OPERATIONS.iter().map(|of| nameless(&format!("{} {}", of.method, of.path))).collect();
    assert_eq!(names, all);
}

/// A path without the names of its parameters, which are each side's own.
fn nameless(path: &str) -> String {
    let segments = path.split('/').map(|segment| if segment.starts_with('{') { "{}" } else { segment });
    segments.collect::<Vec<_>>().join("/")
}
