//! Every row of the published table of errors, over HTTP.

use std::collections::BTreeSet;

use prism_server_core::Settings;
use prism_tests::{Answer, ServerOptions, TestServer, scripted_body};
use serde_json::{Value, json};

/// The published form: `error` and `message`, and nothing else but `problems`.
fn assert_error(answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status, answer.code()), (status, code), "{answer:?}");
    let fields: BTreeSet<&str> = answer.body.as_object().unwrap().keys().map(String::as_str).collect();
    let with_problems = BTreeSet::from(["error", "message", "problems"]);
    assert!(fields.is_subset(&with_problems) && fields.contains("message"), "{answer:?}");
    assert!(answer.message().len() > 8, "{answer:?}");
    assert!(answer.headers.contains_key("x-request-id"));
    assert_eq!(answer.headers["content-type"], "application/json");
}

#[tokio::test]
async fn validation_error_400() {
    let server = TestServer::start().await;
    let answer = server.http().post("/v1/deployments", &json!({"name": "x"})).await;
    assert_error(&answer, 400, "validation_error");
    let paths: Vec<_> = answer.body["problems"].as_array().unwrap().iter().map(|p| &p["path"]).collect();
    assert_eq!(paths, ["$.customer_id", "$.system_prompt"]);
    let answer = server.http().get("/v1/deployments?limit=101&colour=red").await;
    assert_error(&answer, 400, "validation_error");
    assert!(answer.message().contains("query.limit") && answer.message().contains("query.colour"));
}

#[tokio::test]
async fn unauthorized_401() {
    let server = TestServer::start().await;
    let answer = server.http_with(None).get("/v1/deployments").await;
    assert_error(&answer, 401, "unauthorized");
    assert_eq!(answer.message(), "Invalid or missing API key");
    assert_eq!(answer.headers["www-authenticate"], "Bearer");
}

#[tokio::test]
async fn insufficient_credits_402() {
    let server = TestServer::start().await;
    let id = server.deploy("say Hi").await;
    let admin = server.plane.admin();
    admin.set_credits("first", Some(0)).await.unwrap();
    let http = server.http();
    assert_error(&http.post("/v1/deployments", &scripted_body("say Hi")).await, 402, "insufficient_credits");
    let message = json!({"content": "Hi"});
    let path = format!("/v1/deployments/{id}/messages");
    assert_error(&http.post(&path, &message).await, 402, "insufficient_credits");
    admin.set_credits("first", Some(1)).await.unwrap();
    assert_eq!(http.post(&path, &message).await.status, 200);
}

#[tokio::test]
async fn forbidden_403() {
    let server = TestServer::start().await;
    let (_, key) = server.key("deployments:read").await;
    let answer = server.http_with(Some(key.expose())).post("/v1/deployments", &scripted_body("")).await;
    assert_error(&answer, 403, "forbidden");
    assert!(answer.message().contains("deployments:write"));
}

#[tokio::test]
async fn not_found_404() {
    let server = TestServer::start().await;
    let id = server.deploy("say Hi").await;
    let other = server.deploy("say Hi").await;
    let other_thread = server.client().deployment(&other).get().await.unwrap().thread_id.clone();
    let http = server.http();
    for path in [
        "/v1/deployments/dep_none".to_owned(),
        "/v1/deployments/none".to_owned(),
        format!("/v1/deployments/{id}/threads/thr_none"),
        format!("/v1/deployments/{id}/threads/{other_thread}"),
        format!("/v1/deployments/{id}/runs/run_none"),
        format!("/v1/deployments/{id}/events?run_id=run_none"),
        "/v2/deployments".to_owned(),
        "/".to_owned(),
    ] {
        assert_error(&http.get(&path).await, 404, "not_found");
    }
    let body = json!({"content": "Hi", "thread_id": other_thread});
    assert_error(&http.post(&format!("/v1/deployments/{id}/messages"), &body).await, 404, "not_found");
}

#[tokio::test]
async fn method_not_allowed_405() {
    let server = TestServer::start().await;
    assert_error(&server.http().delete("/v1/deployments").await, 405, "method_not_allowed");
}

#[tokio::test]
async fn deployment_not_ready_409() {
    let server = TestServer::start().await;
    let http = server.http();
    let slow = http.post("/v1/deployments", &scripted_body("provision delay 3600s\nsay Hi")).await;
    let id = slow.body["deployment_id"].as_str().unwrap();
    let answer = http.post(&format!("/v1/deployments/{id}/messages"), &json!({"content": "Hi"})).await;
    assert_error(&answer, 409, "deployment_not_ready");
    assert!(answer.message().contains(&format!("/v1/deployments/{id}")), "{answer:?}");
}

#[tokio::test]
async fn body_too_large_413() {
    let server = TestServer::start().await;
    let answer = server.http().post_bytes("/v1/deployments", vec![b' '; 4 * 1024 * 1024 + 1]).await;
    assert_error(&answer, 413, "validation_error");
}

#[tokio::test]
async fn invalid_skill_422() {
    let server = TestServer::start().await;
    let mut body = scripted_body("say Hi");
    body["skills"] = json!([
        {"name": "good", "source": "inline", "content": "---\nname: a\ndescription: b\n---\n"},
        {"name": "broken", "source": "inline", "content": "# no front matter"},
        {"name": "private", "source": "url", "url": "http://127.0.0.1:8080/SKILL.md"},
        {"name": "metadata", "source": "url", "url": "http://169.254.169.254/SKILL.md"},
    ]);
    let answer = server.http().post("/v1/deployments", &body).await;
    assert_error(&answer, 422, "invalid_skill");
    for named in ["'broken'", "front matter", "'private'", "'metadata'", "public address"] {
        assert!(answer.message().contains(named), "{answer:?}");
    }
    assert!(!answer.message().contains("'good'"));
}

#[tokio::test]
async fn invalid_secret_ref_422() {
    let server = TestServer::start().await;
    let mut body = scripted_body("say Hi");
    body["secrets"] = json!({"A": "sec_none", "B": "sec_neither"});
    let answer = server.http().post("/v1/deployments", &body).await;
    assert_error(&answer, 422, "invalid_secret_ref");
    assert!(answer.message().contains("'sec_none'") && answer.message().contains("'sec_neither'"));
}

#[tokio::test]
async fn rate_limited_429() {
    let mut settings = Settings::default();
    settings.requests_per_second = Some(5);
    settings.streams_per_deployment = 1;
    let server = TestServer::with(ServerOptions { settings, ..Default::default() }).await;
    let http = server.http();
    let limited = futures::future::join_all((0..20).map(|_| http.get("/v1/deployments"))).await;
    let limited = limited.iter().find(|answer| answer.status == 429).unwrap();
    assert_error(limited, 429, "rate_limited");
    assert_eq!(limited.headers["retry-after"], "1");
}

#[tokio::test]
async fn too_many_streams_429() {
    let mut settings = Settings::default();
    settings.streams_per_deployment = 2;
    let server = TestServer::with(ServerOptions { settings, ..Default::default() }).await;
    let id = server.deploy("say Hi").await;
    let path = format!("/v1/deployments/{id}/events");
    let open = || async { server.http().request("GET", &path).send().await.unwrap() };
    let first = (open().await, open().await);
    assert_eq!((first.0.status(), first.1.status()), (200.try_into().unwrap(), 200.try_into().unwrap()));
    assert_error(&server.http().get(&path).await, 429, "rate_limited");
}

/// The store is really broken: its table is taken away behind the server's back.
#[tokio::test]
async fn server_error_500() {
    let server = TestServer::start().await;
    let id = server.deploy("say Hi").await;
    let database = rusqlite::Connection::open(server.database()).unwrap();
    database.execute_batch("ALTER TABLE deployments RENAME TO taken_away").unwrap();
    let answer = server.http().get(&format!("/v1/deployments/{id}")).await;
    assert_error(&answer, 500, "server_error");
    assert!(!answer.body.to_string().contains("deployments"), "the cause is told: {answer:?}");
}

#[tokio::test]
async fn a_request_id_is_kept_or_made() {
    let server = TestServer::start().await;
    let given = server.http().request("GET", "/v1/deployments").header("x-request-id", "mine-1");
    let given = given.send().await.unwrap();
    assert_eq!(given.headers()["x-request-id"], "mine-1");
    let odd = server.http().request("GET", "/v1/deployments").header("x-request-id", "a b");
    let made = odd.send().await.unwrap().headers()["x-request-id"].to_str().unwrap().to_owned();
    assert!(made.starts_with("req_"), "{made}");
}

#[tokio::test]
async fn a_client_error_tells_the_code_and_the_request() {
    let server = TestServer::start().await;
    let error = server.client().deployment(&"dep_none".parse().unwrap()).get().await.unwrap_err();
    assert!(error.is_not_found());
    assert!(error.request_id().unwrap().starts_with("req_"));
    let body: &Value = &serde_json::to_value(error.body().unwrap()).unwrap();
    assert_eq!(body["error"], "not_found");
}
