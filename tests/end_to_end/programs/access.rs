//! Who may do what: every endpoint is asked without a key, without its scope, and with another tenant's key.

use prism_server_core::dialects::nullspace::OPERATIONS;
use prism_tests::{Answer, Http, answer};
use prism_types::nullspace::{AgentConfig, CreateRun, CreateService};
use serde_json::json;

use super::{deploy, deploy_job, remove, server};

/// A request that would be carried out, were it not for who sends it.
async fn ask(http: &Http, method: &str, path: &str) -> Answer {
    let request = http.request(method, path).header("idempotency-key", "asked");
    answer(match method {
        "GET" | "DELETE" => request,
        "PUT" => request.header("x-nullspace-bundle-digest", "00").body("x"),
        _ => request.json(&json!({})),
    })
    .await
}

#[tokio::test]
async fn nothing_is_told_to_whoever_may_not_know_it() {
    let server = server().await;
    let client = server.client();
    let job = deploy_job(&client, "job", "true").await;
    let version = job.versions().list().send().await.unwrap().items[0].id.clone();
    let run = job.runs().create(CreateRun::new()).await.unwrap();
    let config = serde_json::to_value(AgentConfig::service("web", "exec sleep 600", 8000)).unwrap();
    let web = deploy(&client, "web", config).await;
    let service = web.services().create(CreateService::new()).await.unwrap();
    let sandbox = service.id.as_str().replace("adsvc_", "sb_");
    let stranger = server.another_account().await;
    let (_, other_scopes) = server.key("audit:read webhooks:read webhooks:write").await;
    for operation in OPERATIONS {
        let is_service = operation.path.contains("/services");
        let deployment = if is_service { web.id() } else { job.id() };
        let path = operation
            .path
            .replace("{deployment_id}", deployment.as_str())
            .replace("{version_id}", version.as_str())
            .replace("{run_id}", run.id.as_str())
            .replace("{service_id}", service.id.as_str())
            .replace("{sandbox_id}", &sandbox)
            .replace("{snapshot_id}", "snap_1")
            .replace("{process_id}", "1")
            .replace("{upload_id}", "upl_1")
            .replace("{part_number}", "0")
            .replace("{port}", "8000");
        let is_of_files = operation.path.ends_with("/file") || operation.path.ends_with("/files");
        let path = if is_of_files { format!("{path}?path=/workspace/a") } else { path };
        let told = |answer: &Answer| (answer.status, answer.body["code"].as_str().map(str::to_owned));
        let nobody = ask(&server.http_with(None), operation.method, &path).await;
        assert_eq!(told(&nobody), (401, Some("unauthorized".to_owned())), "{}", operation.id);
        let narrow = ask(&server.http_with(Some(other_scopes.expose())), operation.method, &path).await;
        assert_eq!(narrow.status, 403, "{}", operation.id);
        if ["/v1/agent-deployments", "/v1/sandboxes", "/nullspace/v1/snapshots"].contains(&operation.path) {
            continue;
        }
        let another = ask(&server.http_with(Some(stranger.key.expose())), operation.method, &path).await;
        let (status, code) = told(&another);
        let code = code.unwrap();
        // A body is looked at before the store is, and says nothing of what is there.
        let is_body = status == 400 && code == "invalid_request" && operation.method == "POST";
        let is_version = status == 400 && operation.id == "create_agent_version";
        assert!(
            (status == 404 && code.ends_with("not_found")) || is_body || is_version,
            "{}: {code}",
            operation.id
        );
    }
    let theirs = server.http_with(Some(stranger.key.expose())).get("/v1/agent-deployments").await;
    assert_eq!(theirs.body["items"], json!([]));
    // The native API does not know them, nor this one the deployments of agents.
    let native = format!("/v1/deployments/{}", job.id().as_str().replace("adpl_", "dep_"));
    assert_eq!(server.http().get(&native).await.status, 404);
    let agent = server.deploy("say hello").await;
    let path = format!("/v1/agent-deployments/{}", agent.as_str().replace("dep_", "adpl_"));
    assert_eq!(server.http().get(&path).await.status, 404);
    client.deployments().delete(&agent).await.unwrap();
    web.delete().await.unwrap();
    remove(&client, job, &server.sandboxes()).await;
    server.stop().await;
}
