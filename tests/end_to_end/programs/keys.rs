//! Idempotency keys: whoever sends the same request again gets the same answer, and nothing is done twice.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, TryStreamExt, stream};
use prism_tests::answer;
use prism_types::nullspace::AgentConfig;
use serde_json::json;

use super::{deploy, remove, server};

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_requests_with_fifty_keys_make_fifty_services() {
    let server = server().await;
    let client = server.client();
    let mut config = serde_json::to_value(AgentConfig::service("web", "exec sleep 600", 8000)).unwrap();
    config["service"]["readiness"] = json!({ "type": "timeout", "timeout_seconds": 1 });
    let deployment = deploy(&client, "web", config).await;
    let path = format!("/v1/agent-deployments/{}/services", deployment.id());
    let http = server.http();
    let answers = stream::iter(0..500).map(|request| {
        let key = format!("key-{}", request % 50);
        let request = http.request("POST", &path).header("idempotency-key", &key).json(&json!({}));
        async move { (key, answer(request).await) }
    });
    let answers: Vec<_> = answers.buffer_unordered(100).collect().await;
    let mut of_keys: BTreeMap<String, BTreeSet<Vec<u8>>> = BTreeMap::new();
    for (key, answer) in answers {
        assert_eq!(answer.status, 201, "{}", answer.body);
        assert_eq!(answer.body["idempotency_key"], *key);
        of_keys.entry(key).or_default().insert(answer.bytes);
    }
    assert_eq!(of_keys.len(), 50);
    assert!(of_keys.values().all(|answers| answers.len() == 1), "a repetition has the answer of the first");
    let services: Vec<_> = deployment.services().list().items().try_collect().await.unwrap();
    assert_eq!(services.len(), 50);
    remove(&client, deployment, &server.sandboxes()).await;
    server.stop().await;
}

#[tokio::test]
async fn a_key_is_needed_and_names_one_request() {
    let server = server().await;
    let http = server.http();
    let create = |key: Option<&'static str>, name: &str| {
        let body = json!({ "name": name, "mode": "job" });
        let request = http.request("POST", "/v1/agent-deployments").json(&body);
        answer(match key {
            Some(key) => request.header("idempotency-key", key),
            None => request,
        })
    };
    let missing = create(None, "a").await;
    assert_eq!((missing.status, missing.body["code"].as_str()), (400, Some("invalid_request")));
    assert!(missing.body["error"].as_str().unwrap().contains("idempotency-key"), "{}", missing.body);
    assert_eq!(missing.body["request_id"], *missing.header("x-request-id"));
    let first = create(Some("k"), "a").await;
    let again = create(Some("k"), "a").await;
    assert_eq!((first.status, again.status), (201, 201));
    assert_eq!((first.body, again.header("idempotent-replayed")), (again.body.clone(), "true"));
    let other = create(Some("k"), "b").await;
    let mismatch = Some("agent_deployment_idempotency_mismatch");
    assert_eq!((other.status, other.body["code"].as_str()), (409, mismatch));
    let taken = create(Some("l"), "a").await;
    let conflict = Some("agent_deployment_name_conflict");
    assert_eq!((taken.status, taken.body["code"].as_str()), (409, conflict));
    server.stop().await;
}
