//! The API key is a canary: whatever is printed, it must not show.

mod support;

use std::fmt::Debug;

use prism_client::{Client, types::CreateDeployment};
use support::{KEY, client, deployment, deployment_id};
use wiremock::{Mock, MockServer, ResponseTemplate, matchers::any};

#[track_caller]
fn check_debug(value: &impl Debug) {
    for text in [format!("{value:?}"), format!("{value:#?}")] {
        assert!(!text.contains(KEY), "{text}");
        assert!(!text.contains("a private prompt"), "{text}");
    }
}

#[track_caller]
fn check(error: &impl std::error::Error) {
    check_debug(error);
    assert!(!error.to_string().contains(KEY), "{error}");
    let mut source = error.source();
    while let Some(error) = source {
        check_debug(&error);
        assert!(!error.to_string().contains(KEY), "{error}");
        source = error.source();
    }
}

#[tokio::test]
async fn nothing_that_is_built_shows_the_key() {
    check_debug(&Client::builder().api_key(KEY).base_url(format!("http://user:{KEY}@h")));
    let client = client("http://h");
    check_debug(&client);
    check_debug(&client.deployments());
    check_debug(&client.deployments().list());
    check_debug(&client.deployments().create(CreateDeployment::new("c", "n", "a private prompt")));
    let handle = client.deployment(&deployment_id());
    check_debug(&handle);
    check_debug(&handle.messages().send("a private prompt"));
    check_debug(&handle.wait_until_ready());
    check_debug(&handle.events().stream());
    check_debug(&(handle.threads(), handle.runs(), handle.skills(), handle.events()));
}

#[tokio::test]
async fn no_answer_and_no_error_shows_the_key() {
    for answer in [
        ResponseTemplate::new(200).set_body_json(deployment("ready")),
        ResponseTemplate::new(200).set_body_string(format!("{{\"deployment_id\": \"{KEY}\"}}")),
        ResponseTemplate::new(200).set_body_string(KEY),
        ResponseTemplate::new(302).insert_header("location", format!("http://h/{KEY}")),
        ResponseTemplate::new(401).set_body_string(KEY),
        ResponseTemplate::new(502).set_body_json(KEY),
    ] {
        let server = MockServer::start().await;
        let answer = answer.insert_header("x-echo", KEY);
        Mock::given(any()).respond_with(answer).mount(&server).await;
        let handle = client(&server.uri()).deployment(&deployment_id());
        match handle.get().await {
            Ok(answer) => check_debug(&answer),
            Err(error) => check(&error),
        }
        match handle.events().stream().open().await {
            Ok(stream) => check_debug(&stream),
            Err(error) => check(&error),
        }
        if let Err(error) = handle.wait_until_ready().timeout(std::time::Duration::from_millis(60)).await {
            check(&error);
        }
    }
    let error = client("http://127.0.0.1:1").deployment(&deployment_id()).get().await.unwrap_err();
    check(&error);
}

#[test]
fn a_key_that_cannot_be_sent_is_refused_and_not_shown() {
    let error = Client::builder().base_url("http://h").api_key(format!("{KEY}\u{7f}")).build().unwrap_err();
    check(&error);
}
