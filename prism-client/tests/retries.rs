//! What is tried again, how often, and with what.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::{collections::BTreeSet, time::Duration};

use futures::stream;
use prism_client::{
    Backoff, Client, RetryPolicy,
    resources::FileBody,
    types::{CreateDeployment, UpdateDeployment},
};
use serde_json::json;
use support::{
    KEY, deployment, deployment_id,
    faulty::{Server, Step},
};
use wiremock::{Mock, MockServer, ResponseTemplate, matchers::any};

/// Pauses that no test waits for.
const AT_ONCE: RetryPolicy =
    RetryPolicy::new().backoff(Backoff::new(Duration::from_millis(1), Duration::from_millis(2)));

fn client(url: &str) -> Client {
    Client::builder().base_url(url).api_key(KEY).retries(AT_ONCE).build().unwrap()
}

/// A server that answers with these, one after the other, and then with the last one for ever.
async fn answering(answers: impl IntoIterator<Item = ResponseTemplate>) -> MockServer {
    let server = MockServer::start().await;
    let answers: Vec<_> = answers.into_iter().collect();
    let last = answers.len() - 1;
    for (number, answer) in answers.into_iter().enumerate() {
        let mock = Mock::given(any()).respond_with(answer);
        if number == last { mock } else { mock.up_to_n_times(1) }.mount(&server).await;
    }
    server
}

fn refusing(status: u16) -> ResponseTemplate {
    ResponseTemplate::new(status).set_body_json(json!({"error": "internal_error", "message": "Oh."}))
}

fn ready() -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(deployment("ready"))
}

async fn requests(server: &MockServer) -> Vec<wiremock::Request> {
    server.received_requests().await.unwrap()
}

fn receipt() -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(json!({
        "run_id": "run_1", "deployment_id": "dep_7xK9s2", "thread_id": "thr_1", "status": "running",
    }))
}

#[tokio::test]
async fn every_attempt_of_a_call_has_one_key_and_every_call_another() {
    let server = answering([refusing(503), refusing(429), receipt()]).await;
    let messages = client(&server.uri()).deployment(&deployment_id()).messages();
    let sent = messages.send("Hi").await.unwrap();
    assert_eq!(sent.attempts(), 3);
    let key = sent.idempotency_key().unwrap().to_owned();
    let keys = async || -> Vec<_> {
        let sent = requests(&server).await;
        sent.iter().map(|request| request.headers["idempotency-key"].to_str().unwrap().to_owned()).collect()
    };
    assert_eq!(keys().await, [key.clone(), key.clone(), key.clone()]);

    let again = messages.send("Hi").await.unwrap();
    assert_eq!((again.attempts(), again.idempotency_key() != Some(&*key)), (1, true));
    let own = messages.send("Hi").idempotency_key("mine").await.unwrap();
    assert_eq!(own.idempotency_key(), Some("mine"));
    assert_eq!(keys().await.into_iter().collect::<BTreeSet<_>>().len(), 3);
}

#[tokio::test]
async fn what_may_pass_is_tried_again_and_nothing_else() {
    for status in [408, 425, 429, 500, 502, 503, 504, 599] {
        let server = answering([refusing(status)]).await;
        let error = client(&server.uri()).deployment(&deployment_id()).get().await.unwrap_err();
        assert_eq!((error.status(), error.attempts()), (Some(status), 3), "{error}");
        assert!(error.to_string().ends_with(", after 3 attempts"), "{error}");
        assert_eq!(requests(&server).await.len(), 3, "{status}");
    }
    for status in [301, 304, 400, 401, 402, 403, 404, 409, 410, 412, 413, 422, 501] {
        let server = answering([refusing(status)]).await;
        let error = client(&server.uri()).deployment(&deployment_id()).get().await.unwrap_err();
        assert_eq!((error.status(), error.attempts()), (Some(status), 1), "{error}");
        assert_eq!(requests(&server).await.len(), 1, "{status}");
    }
}

/// After a change that was carried out, its condition does not hold any more.
#[tokio::test]
async fn a_change_with_a_condition_is_sent_again_only_if_nothing_was_done() {
    let change = || UpdateDeployment::new().name("Another");
    for (status, plain, conditional) in [(503, 2, 1), (429, 2, 2)] {
        for (is_conditional, wanted) in [(false, plain), (true, conditional)] {
            let server = answering([refusing(status), ready()]).await;
            let mut call = client(&server.uri()).deployment(&deployment_id()).update(change());
            if is_conditional {
                call = call.if_match("\"r1\"");
            }
            assert_eq!(call.await.is_ok(), wanted == 2);
            assert_eq!(requests(&server).await.len(), wanted, "{status} {is_conditional}");
        }
    }
    let server = answering([
        refusing(503),
        ResponseTemplate::new(200).set_body_json(json!({"deployment_id": "dep_7xK9s2", "status": "deleted"})),
    ])
    .await;
    assert_eq!(client(&server.uri()).deployment(&deployment_id()).delete().await.unwrap().attempts(), 2);
}

#[tokio::test]
async fn a_connection_that_breaks_is_made_again() {
    let body = deployment("ready").to_string();
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    let half = Step::Send(format!("{answer}{}", &body[..20]).into_bytes());
    let whole = Step::Send(format!("{answer}{body}").into_bytes());
    let mut server = Server::start(vec![vec![Step::Reset], vec![half], vec![whole]]).await;
    let created = CreateDeployment::new("cus_123", "Acme", "Help.");
    let created = client(&server.url).deployments().create(created).await.unwrap();
    assert_eq!(created.attempts(), 3);
    for _ in 0..3 {
        let request = server.request().await;
        let key = created.idempotency_key().unwrap();
        assert!(request.contains(&format!("idempotency-key: {key}")), "{request}");
    }
}

#[tokio::test]
async fn nobody_listens() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let content = stream::iter([Ok::<_, std::io::Error>("a")]);
    let error = client(&url).deployment(&deployment_id()).files().write("a", FileBody::stream(content)).await;
    let error = error.unwrap_err();
    assert!(error.is_connect() && error.attempts() == 1, "a stream can be had once: {error}");
    let error = client(&url).deployment(&deployment_id()).get().await.unwrap_err();
    assert!(error.is_connect() && error.attempts() == 3, "{error}");
}

#[tokio::test]
async fn a_pause_that_the_server_asks_for_is_kept_or_told() {
    let asking = |name: &str, value: &str| refusing(429).insert_header(name, value);
    let server = answering([asking("retry-after-ms", "40"), ready()]).await;
    let answer = client(&server.uri()).deployment(&deployment_id()).get().await.unwrap();
    assert!(answer.attempts() == 2 && answer.elapsed() >= Duration::from_millis(40), "{answer:?}");

    // Longer than the policy allows, and than the call may take.
    for (policy, timeout) in [
        (AT_ONCE.max_retry_after(Duration::from_secs(1)), Duration::from_secs(60)),
        (AT_ONCE, Duration::from_secs(1)),
    ] {
        let server = answering([asking("retry-after", "2"), ready()]).await;
        let call = client(&server.uri()).deployment(&deployment_id()).get().retries(policy).timeout(timeout);
        let error = call.await.unwrap_err();
        assert_eq!((error.attempts(), error.retry_after()), (1, Some(Duration::from_secs(2))), "{error}");
    }
}

#[tokio::test]
async fn a_call_can_be_tried_more_often_than_the_client_says_or_not_again() {
    let server = answering([refusing(503)]).await;
    let client = Client::builder().base_url(server.uri()).api_key(KEY).retries(RetryPolicy::none());
    let handle = client.build().unwrap().deployment(&deployment_id());
    assert_eq!(handle.get().await.unwrap_err().attempts(), 1);
    assert_eq!(handle.get().retries(AT_ONCE.max_attempts(5)).await.unwrap_err().attempts(), 5);
    assert_eq!(handle.get().retries(AT_ONCE.max_attempts(0)).await.unwrap_err().attempts(), 1);
    assert_eq!(requests(&server).await.len(), 7);
}

/// A server that is down is not asked three times as much as one that is well.
#[tokio::test]
async fn retries_end_with_the_budget_and_come_back_with_calls_that_succeed() {
    let server = answering([refusing(503)]).await;
    let client = client(&server.uri());
    for _ in 0..30 {
        client.deployment(&deployment_id()).get().await.unwrap_err();
    }
    // Ten to begin with, and one for every five calls.
    let sent = requests(&server).await.len();
    assert!((40..=46).contains(&sent), "{sent} requests for 30 calls");

    let other = self::client(&server.uri());
    assert_eq!(other.deployment(&deployment_id()).get().await.unwrap_err().attempts(), 3, "one of its own");
}

#[tokio::test]
async fn an_attempt_that_hangs_is_given_up_for_another() {
    let body = deployment("ready").to_string();
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    let server = Server::start(vec![vec![Step::Hang], vec![Step::Send(answer.into_bytes())]]).await;
    let call = client(&server.url).deployment(&deployment_id()).get();
    let answer = call.attempt_timeout(Duration::from_millis(200)).await.unwrap();
    assert_eq!(answer.attempts(), 2);

    let server = Server::start(vec![vec![Step::Hang]]).await;
    let call = client(&server.url).deployment(&deployment_id()).get();
    let error = call.timeout(Duration::from_millis(100)).await.unwrap_err();
    assert!(error.is_timeout() && error.attempts() == 1, "no time is left for another: {error}");
    assert!(error.elapsed() >= Duration::from_millis(100), "{error:?}");
}

#[tokio::test]
async fn content_that_can_be_had_again_is_sent_again() {
    let written = ResponseTemplate::new(200)
        .set_body_json(json!({"path": "a", "size": 5, "modified_at": "2026-06-11T20:55:03Z"}));
    let server = answering([refusing(503), written.clone()]).await;
    let files = client(&server.uri()).deployment(&deployment_id()).files();
    assert_eq!(files.write("a", "bytes").await.unwrap().attempts(), 2);
    let sent = requests(&server).await;
    assert!(sent.len() == 2 && sent.iter().all(|request| request.body == b"bytes"));

    let server = answering([refusing(503), written.clone()]).await;
    let files = client(&server.uri()).deployment(&deployment_id()).files();
    let content = FileBody::stream(stream::iter([Ok::<_, std::io::Error>("bytes")]));
    assert_eq!(files.write("a", content).await.unwrap_err().attempts(), 1);
    let server = answering([refusing(503), written]).await;
    let files = client(&server.uri()).deployment(&deployment_id()).files();
    assert_eq!(files.write("a", "bytes").only_if_new().await.unwrap_err().attempts(), 1);

    let server = answering([refusing(503), ResponseTemplate::new(200).set_body_string("text")]).await;
    let files = client(&server.uri()).deployment(&deployment_id()).files();
    assert_eq!(files.read("a").await.unwrap().text().await.unwrap(), "text");
    assert_eq!(requests(&server).await.len(), 2);
}

#[tokio::test]
async fn an_answer_tells_what_may_still_be_sent() {
    let limited = ready()
        .insert_header("ratelimit", r#""key";r=42;t=1"#)
        .insert_header("ratelimit-policy", r#""key";q=50;w=1"#);
    let server = answering([limited]).await;
    let answer = client(&server.uri()).deployment(&deployment_id()).get().await.unwrap();
    let told = answer.rate_limit().unwrap();
    assert_eq!((told.remaining, told.quota), (42, Some(50)));
}

#[tokio::test]
async fn the_connections_can_be_the_callers_own() {
    let server = answering([ready()]).await;
    let http = reqwest::Client::builder().user_agent("mine").no_proxy().build().unwrap();
    let client = Client::builder().base_url(server.uri()).api_key(KEY).http_client(http).build().unwrap();
    client.deployment(&deployment_id()).get().await.unwrap();
    let sent = &requests(&server).await[0];
    assert_eq!(
        (&sent.headers["user-agent"], &sent.headers["authorization"]),
        (&"mine".parse().unwrap(), &format!("Bearer {KEY}").parse().unwrap())
    );
}
