//! Waiting until a deployment is ready.

mod support;

use std::time::{Duration, Instant};

use prism_client::{
    Error,
    types::{Deployment, DeploymentStatus},
    wait::Wait,
};
use serde_json::json;
use support::{client, deployment, deployment_id, error};
use wiremock::{Mock, MockServer, ResponseTemplate, matchers::any};

/// A server that gives these answers in turn, and the last one from then on.
async fn answering(answers: impl IntoIterator<Item = ResponseTemplate>) -> MockServer {
    let server = MockServer::start().await;
    let answers: Vec<_> = answers.into_iter().collect();
    let last = answers.len() - 1;
    for (number, answer) in answers.into_iter().enumerate() {
        let mock = Mock::given(any()).respond_with(answer);
        if number < last { mock.up_to_n_times(1).mount(&server).await } else { mock.mount(&server).await }
    }
    server
}

fn status(status: &str) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(deployment(status))
}

fn refused(status: u16, code: &str) -> ResponseTemplate {
    ResponseTemplate::new(status).set_body_json(error(code))
}

fn wait(server: &MockServer) -> Wait<Deployment> {
    client(&server.uri()).deployment(&deployment_id()).wait_until_ready()
}

async fn looks(server: &MockServer) -> usize {
    server.received_requests().await.expect("requests are recorded").len()
}

#[tokio::test]
async fn a_deployment_that_becomes_ready_is_returned() {
    let server = answering([status("provisioning"), status("warming"), status("ready")]).await;
    assert_eq!(wait(&server).await.unwrap().status, DeploymentStatus::Ready);
    assert_eq!(looks(&server).await, 3);
    let client = client(&server.uri());
    assert!(client.deployments().wait_until_ready(&deployment_id()).wait().await.is_ok());
}

#[tokio::test]
async fn a_deployment_that_failed_is_a_typed_error() {
    let mut failed = deployment("error");
    failed["error"] = json!({ "code": "runtime_unavailable", "message": "No image." });
    let server = answering([status("provisioning"), ResponseTemplate::new(200).set_body_json(failed)]).await;
    let error = wait(&server).await.unwrap_err();
    assert!(error.is_deployment_failed() && !error.is_retryable());
    assert_eq!(error.failure().unwrap().code, "runtime_unavailable");
    assert!(error.to_string().contains("runtime_unavailable: No image."), "{error}");
}

#[tokio::test]
async fn what_passes_is_tolerated() {
    let server = answering([
        refused(503, "unavailable"),
        refused(429, "rate_limited"),
        refused(500, "server_error"),
        status("ready"),
    ])
    .await;
    assert!(wait(&server).await.is_ok());
    assert_eq!(looks(&server).await, 4);
}

#[tokio::test]
async fn what_does_not_pass_is_told_at_once() {
    for (status, code) in [(401, "unauthorized"), (403, "forbidden"), (404, "not_found")] {
        let server = answering([refused(status, code)]).await;
        assert_eq!(wait(&server).await.unwrap_err().status(), Some(status));
        assert_eq!(looks(&server).await, 1);
    }
}

#[tokio::test]
async fn the_time_limit_holds() {
    let server = answering([status("provisioning")]).await;
    let before = Instant::now();
    let error = wait(&server).timeout(Duration::from_millis(300)).await.unwrap_err();
    assert!(before.elapsed() < Duration::from_secs(5));
    assert!(error.is_timeout());
    assert_eq!(
        error.to_string(),
        "waiting for dep_7xK9s2: the deployment was still `provisioning` after 300ms. \
         Wait longer, or look why it takes so long."
    );
    assert!((2..10).contains(&looks(&server).await), "pauses grow");
}

#[tokio::test]
async fn the_time_limit_holds_against_a_server_that_does_not_answer() {
    let server = answering([status("ready").set_delay(Duration::from_secs(60))]).await;
    let error = wait(&server).timeout(Duration::from_millis(100)).await.unwrap_err();
    assert!(error.is_timeout(), "{error:?}");
}

#[tokio::test]
async fn the_last_failure_is_the_source_and_a_long_hint_is_not_slept() {
    let limited = refused(429, "rate_limited").insert_header("retry-after", "3600");
    let server = answering([status("provisioning"), limited]).await;
    let before = Instant::now();
    let error = wait(&server).await.unwrap_err();
    assert!(before.elapsed() < Duration::from_secs(10));
    assert!(error.is_timeout());
    assert_eq!(error.retry_after(), Some(Duration::from_secs(3600)));
    let source = std::error::Error::source(&error).unwrap().downcast_ref::<Error>().unwrap();
    assert!(source.is_rate_limited());
}

#[tokio::test]
async fn a_time_limit_without_end_is_no_overflow() {
    let server = answering([status("ready")]).await;
    assert!(wait(&server).timeout(Duration::MAX).await.is_ok());
}
