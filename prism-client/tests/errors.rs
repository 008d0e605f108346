//! Every error: which questions it answers with yes, and what it carries.

mod support;

use std::time::Duration;

use prism_client::{
    Error,
    types::{ErrorBody, ErrorCode, Problem},
};
use serde_json::json;
use support::{client, deployment, deployment_id, error};
use wiremock::{Mock, MockServer, ResponseTemplate, matchers::any};

/// What a call makes of an answer.
async fn answered(answer: ResponseTemplate) -> Error {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(answer).mount(&server).await;
    client(&server.uri()).deployment(&deployment_id()).get().await.expect_err("the answer is an error")
}

/// The questions that an error answers with yes.
fn truths(error: &Error) -> Vec<&'static str> {
    [
        ("configuration", error.is_configuration()),
        ("timeout", error.is_timeout()),
        ("connect", error.is_connect()),
        ("disconnected", error.is_disconnected()),
        ("unauthorized", error.is_unauthorized()),
        ("insufficient_credits", error.is_insufficient_credits()),
        ("forbidden", error.is_forbidden()),
        ("not_found", error.is_not_found()),
        ("not_ready", error.is_not_ready()),
        ("conflict", error.is_conflict()),
        ("idempotency_mismatch", error.is_idempotency_mismatch()),
        ("precondition_failed", error.is_precondition_failed()),
        ("validation", error.is_validation()),
        ("invalid_skill", error.is_invalid_skill()),
        ("invalid_secret_ref", error.is_invalid_secret_ref()),
        ("rate_limited", error.is_rate_limited()),
        ("server", error.is_server()),
        ("decode", error.is_decode()),
        ("too_large", error.is_too_large()),
        ("deployment_failed", error.is_deployment_failed()),
        ("retryable", error.is_retryable()),
    ]
    .into_iter()
    .filter_map(|(name, truth)| truth.then_some(name))
    .collect()
}

#[tokio::test]
async fn every_code_of_the_server_has_its_question() {
    for (status, code, expected) in [
        (400, "validation_error", &["validation"][..]),
        (401, "unauthorized", &["unauthorized"]),
        (402, "insufficient_credits", &["insufficient_credits"]),
        (403, "forbidden", &["forbidden"]),
        (404, "not_found", &["not_found"]),
        (405, "method_not_allowed", &[]),
        (409, "deployment_not_ready", &["not_ready"]),
        (409, "conflict", &["conflict", "retryable"]),
        (409, "idempotency_mismatch", &["idempotency_mismatch"]),
        (412, "precondition_failed", &["precondition_failed"]),
        (413, "validation_error", &["validation"]),
        (422, "invalid_skill", &["invalid_skill"]),
        (422, "invalid_secret_ref", &["invalid_secret_ref"]),
        (429, "rate_limited", &["rate_limited", "retryable"]),
        (500, "server_error", &["server", "retryable"]),
        (503, "unavailable", &["server", "retryable"]),
        (418, "code_of_tomorrow", &[]),
    ] {
        let answer =
            ResponseTemplate::new(status).set_body_json(error(code)).insert_header("x-request-id", "req_7");
        let error = answered(answer).await;
        assert_eq!(truths(&error), expected, "{code}");
        assert_eq!(error.status(), Some(status));
        assert_eq!(error.code().unwrap().as_str(), code);
        assert_eq!(error.request_id(), Some("req_7"));
        assert_eq!(
            error.to_string(),
            format!("GET /v1/deployments/dep_7xK9s2: {status} {code}: about {code} (request req_7)")
        );
    }
    assert_eq!(ErrorCode::KNOWN.len(), 15, "a new code needs a line above");
}

#[tokio::test]
async fn a_status_without_a_body_of_ours_still_answers() {
    for (status, expected) in [
        (400, &["validation"][..]),
        (401, &["unauthorized"]),
        (403, &["forbidden"]),
        (404, &["not_found"]),
        (408, &["retryable"]),
        (429, &["rate_limited", "retryable"]),
        (501, &["server"]),
        (502, &["server", "retryable"]),
    ] {
        let error = answered(ResponseTemplate::new(status).set_body_string("<html>canary</html>")).await;
        assert_eq!(truths(&error), expected, "{status}");
        assert!(error.body().is_none() && error.code().is_none());
        assert!(!format!("{error} {error:?}").contains("canary"));
    }
}

#[tokio::test]
async fn the_problems_of_a_request_are_kept() {
    let problem = Problem::new("$.skills[1].url", "must be http or https");
    let body = ErrorBody::new(ErrorCode::ValidationError, "2 problems").problem(problem);
    let error = answered(ResponseTemplate::new(400).set_body_json(&body)).await;
    assert_eq!(error.body(), Some(&body));
}

#[tokio::test]
async fn a_hint_to_wait_is_kept() {
    let limited = ResponseTemplate::new(429).set_body_json(error("rate_limited"));
    let hinted = answered(limited.clone().insert_header("retry-after", "7")).await;
    assert_eq!(hinted.retry_after(), Some(Duration::from_secs(7)));
    assert_eq!(answered(limited).await.retry_after(), None);
}

#[tokio::test]
async fn an_answer_of_another_form_is_named_by_its_path_and_not_quoted() {
    let mut wrong = deployment("ready");
    wrong["filesystem"]["persistent"] = json!("canary");
    let mut missing = deployment("ready");
    missing.as_object_mut().unwrap().remove("model");
    for (body, expected) in [
        (
            wrong.to_string(),
            "the answer does not have its form at $.filesystem.persistent: the value has another type",
        ),
        (missing.to_string(), "the answer does not have its form at $: missing field `model`"),
        ("canary".to_owned(), "the answer does not have its form at $: it is not JSON"),
        (deployment("ready").to_string() + " canary", "the answer does not have its form: it is not JSON"),
        (String::new(), "the answer does not have its form at $: it ends too early"),
    ] {
        let answer = ResponseTemplate::new(200).set_body_string(body).insert_header("x-request-id", "req_7");
        let error = answered(answer).await;
        assert_eq!(truths(&error), ["decode"]);
        assert!(error.to_string().contains(expected), "{error}");
        assert!(!format!("{error} {error:?}").contains("canary"), "{error:?}");
        assert_eq!((error.status(), error.request_id()), (Some(200), Some("req_7")));
    }
}

#[tokio::test]
async fn what_the_server_does_not_say_the_error_says_what_to_do() {
    let bare = answered(ResponseTemplate::new(502)).await;
    assert!(bare.to_string().ends_with(bare.advice()), "{bare}");
    assert_eq!(bare.advice(), "Try again later; if it stays, report the request id.");
    let body = serde_json::json!({ "error": "not_found", "message": "There is no such deployment." });
    let told = answered(ResponseTemplate::new(404).set_body_json(body)).await;
    assert!(!told.to_string().contains(told.advice()), "the server's message stands for itself: {told}");
    assert_eq!(told.advice(), "Check the id, and whose API key it is.");
    let elsewhere = answered(ResponseTemplate::new(308)).await;
    assert!(elsewhere.to_string().contains("redirects are not followed"), "{elsewhere}");
}

#[tokio::test]
async fn no_server_is_a_connect_error() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = client(&url).deployment(&deployment_id()).get().await.unwrap_err();
    assert_eq!(truths(&error), ["connect", "retryable"]);
    assert!(std::error::Error::source(&error).is_some(), "the cause is kept");
}

#[tokio::test]
async fn a_connection_that_breaks_is_named() {
    use support::faulty::{Server, Step};
    for begun in ["", "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{"] {
        let server = Server::start(vec![vec![Step::Send(begun.into())]]).await;
        let error = client(&server.url).deployment(&deployment_id()).get().await.unwrap_err();
        assert_eq!(truths(&error), ["disconnected", "retryable"], "{error:?}");
    }
}
