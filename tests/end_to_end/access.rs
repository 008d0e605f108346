//! Who may do what: every endpoint, walked.

use std::{collections::BTreeMap, time::Duration};

use axum::{Router, extract::Request};
use prism_server_core::{
    ControlPlane, TrustedPrincipal,
    adapters::secret_box::{MasterKey, SealedBox},
    dialects::prism::{OPERATIONS, Operation},
    domain::tenant::{Principal, Scope, Scopes},
};
use prism_tests::{Account, Answer, Http, TestServer, scripted};
use prism_types::{
    ApprovalId, ApprovalStatus, AutomationId, CreateAutomation, CreateDeployment, CreateWebhook,
    DeploymentId, DreamId, EventPayload, McpServer, MemoryId, RunId, RunStatus, Skill, SkillId, SnapshotId,
    ThreadId, WebhookDeliveryId, WebhookId,
};
use serde_json::json;

/// A deployment with a skill, an MCP server, a thread and a run that waits for an answer, for paths.
struct Things {
    deployment: DeploymentId,
    skill: SkillId,
    thread: ThreadId,
    run: RunId,
    approval: ApprovalId,
    memory: MemoryId,
    dream: DreamId,
    automation: AutomationId,
    snapshot: SnapshotId,
    webhook: WebhookId,
    delivery: WebhookDeliveryId,
}

async fn things(server: &TestServer) -> Things {
    let request = CreateDeployment::new("cus_1", "Test agent", scripted("ask Publish?"))
        .skill(Skill::file("notes", "notes.md"))
        .mcp_server(McpServer::new("acme", "https://acme.example/mcp"));
    let deployment = server.deploy_request(request).await;
    let handle = server.client().deployment(&deployment);
    let memory = handle.memories().create("They like tea").await.unwrap().memory_id.clone();
    let dream = handle.dreams().start().await.unwrap().dream_id.clone();
    let skill = handle.skills().list().await.unwrap().data[0].skill_id.clone();
    let mut events = handle.events().stream().open().await.unwrap();
    let receipt = handle.messages().send("Hi").await.unwrap();
    let approval = loop {
        let event = tokio::time::timeout(Duration::from_secs(20), events.next()).await.unwrap();
        if let EventPayload::SteeringRequest(asked) = event.unwrap().unwrap().payload
            && asked.run_id == receipt.run_id
        {
            break asked.approval_id.unwrap();
        }
    };
    let automation = handle.automations().create(CreateAutomation::new("Digest", "@yearly", "Sum up.")).await;
    let automation = automation.unwrap().automation_id.clone();
    let webhooks = server.client().webhooks();
    // Nobody listens there: what is sent fails, and what it was is kept.
    let request = CreateWebhook::new("https://hooks.invalid/a", ["*"]);
    let webhook = webhooks.create(request).await.unwrap().webhook.webhook_id.clone();
    let delivery = webhooks.test(&webhook).await.unwrap().delivery_id.clone();
    let deleted = server.deploy("say Hi").await;
    let deleted = server.client().deployments().delete(&deleted).retain_filesystem(true).await.unwrap();
    let snapshot = deleted.snapshot_id.clone().unwrap();
    let (thread, run) = (receipt.thread_id.clone(), receipt.run_id.clone());
    Things {
        deployment,
        skill,
        thread,
        run,
        approval,
        memory,
        dream,
        automation,
        snapshot,
        webhook,
        delivery,
    }
}

async fn call(server: &TestServer, operation: &Operation, things: &Things, key: Option<&str>) -> Answer {
    let path = operation
        .path
        .replace("{deployment_id}", things.deployment.as_str())
        .replace("{thread_id}", things.thread.as_str())
        .replace("{run_id}", things.run.as_str())
        .replace("{approval_id}", things.approval.as_str())
        .replace("{memory_id}", things.memory.as_str())
        .replace("{dream_id}", things.dream.as_str())
        .replace("{automation_id}", things.automation.as_str())
        .replace("{snapshot_id}", things.snapshot.as_str())
        .replace("{webhook_id}", things.webhook.as_str())
        .replace("{delivery_id}", things.delivery.as_str())
        .replace("{skill_id}", things.skill.as_str())
        .replace("{server_name}", "acme")
        .replace("{tool_name}", "shell");
    assert!(!path.contains('{'), "{path}");
    let http = server.http_with(key);
    match operation.method {
        "GET" => http.get(&path).await,
        "DELETE" => http.delete(&path).await,
        "PATCH" => http.patch(&path, &json!({"name": "Stolen"})).await,
        "PUT" => http.put(&path, &json!({"path": "stolen", "content": "x"})).await,
        _ => http.post(&path, &json!({"content": "Hi"})).await,
    }
}

#[tokio::test]
async fn without_a_key_or_with_a_revoked_or_made_up_one_every_endpoint_answers_401() {
    let server = TestServer::start().await;
    let things = things(&server).await;
    let (id, revoked) = server.key("deployments:read,deployments:write").await;
    server.plane.admin().revoke_key(&server.account.tenant.id, &id).await.unwrap();
    for operation in OPERATIONS {
        for key in [None, Some(revoked.expose()), Some("prism_made_up"), Some("")] {
            let answer = call(&server, operation, &things, key).await;
            assert_eq!((answer.status, answer.code()), (401, "unauthorized"), "{} {key:?}", operation.id);
        }
    }
}

#[tokio::test]
async fn with_all_scopes_but_its_own_every_endpoint_answers_403() {
    let server = TestServer::start().await;
    let things = things(&server).await;
    let mut keys = BTreeMap::new();
    for scope in Scope::ALL {
        let others = Scope::ALL.iter().filter(|other| *other != scope).map(|other| other.as_str());
        let others = others.collect::<Vec<_>>().join(" ");
        keys.insert(scope.as_str(), server.key(&others).await.1);
    }
    for operation in OPERATIONS {
        let needed = operation.scope.as_str();
        let answer = call(&server, operation, &things, Some(keys[needed].expose())).await;
        assert_eq!((answer.status, answer.code()), (403, "forbidden"), "{}", operation.id);
        assert!(answer.message().contains(needed), "{}: {}", operation.id, answer.message());
    }
}

#[tokio::test]
async fn with_another_tenants_key_every_endpoint_answers_404_and_changes_nothing() {
    let server = TestServer::start().await;
    let things = things(&server).await;
    let Account { key, .. } = server.another_account().await;
    for operation in OPERATIONS.iter().filter(|operation| operation.path.contains("{deployment_id}")) {
        let answer = call(&server, operation, &things, Some(key.expose())).await;
        assert_eq!((answer.status, answer.code()), (404, "not_found"), "{}", operation.id);
        assert_eq!(answer.message(), "Deployment not found", "{}", operation.id);
    }
    for (parameter, message) in
        [("{webhook_id}", "Webhook not found"), ("{snapshot_id}", "Snapshot not found")]
    {
        for operation in OPERATIONS.iter().filter(|operation| operation.path.contains(parameter)) {
            let answer = call(&server, operation, &things, Some(key.expose())).await;
            assert_eq!((answer.status, answer.code()), (404, "not_found"), "{}", operation.id);
            assert_eq!(answer.message(), message, "{}", operation.id);
        }
    }
    for list in ["/v1/webhooks", "/v1/snapshots", "/v1/deployments"] {
        let listed = server.http_with(Some(key.expose())).get(list).await;
        assert_eq!(listed.body, json!({"data": [], "next_cursor": null}), "{list}");
    }
    assert!(server.client().webhooks().get(&things.webhook).await.unwrap().enabled);
    assert_eq!(server.client().snapshots().list().await.unwrap().data.len(), 1);
    let deployment = server.client().deployment(&things.deployment).get().await.unwrap();
    assert_eq!(deployment.name, "Test agent");
    let handle = server.client().deployment(&things.deployment);
    assert_eq!(handle.runs().get(&things.run).await.unwrap().status, RunStatus::WaitingOnHuman);
    assert_eq!(handle.skills().list().await.unwrap().data.len(), 1);
    assert_eq!(handle.mcp_servers().list().await.unwrap().data.len(), 1);
    assert_eq!(handle.approvals().get(&things.approval).await.unwrap().status, ApprovalStatus::Pending);
    assert_eq!(handle.memories().get(&things.memory).await.unwrap().content, "They like tea");
    assert_eq!(handle.automations().list().await.unwrap().data.len(), 1);
    assert_eq!(handle.automations().get(&things.automation).await.unwrap().name, "Digest");
}

#[tokio::test]
async fn a_secret_of_another_tenant_does_not_exist() {
    let server = TestServer::start().await;
    let other = server.another_account().await;
    let reference = "sec_theirs".parse().unwrap();
    server.plane.admin().set_secret(&other.tenant.id, &reference, &"x".into()).await.unwrap();
    let mut body = prism_tests::scripted_body("say Hi");
    body["secrets"] = json!({"A": "sec_theirs"});
    assert_eq!(server.http().post("/v1/deployments", &body).await.code(), "invalid_secret_ref");
    let theirs = server.http_with(Some(other.key.expose())).post("/v1/deployments", &body).await;
    assert_eq!(theirs.status, 201);
}

/// A key and a secret are planted; neither may be found in the database or in what the API tells.
#[tokio::test]
async fn no_secret_is_stored_or_told_in_the_clear() {
    let server = TestServer::start().await;
    let canary = "canary-7f3a9c1e";
    let reference = "sec_canary".parse().unwrap();
    let tenant = &server.account.tenant.id;
    server.plane.admin().set_secret(tenant, &reference, &canary.into()).await.unwrap();
    let mut body = prism_tests::scripted_body("say Hi");
    body["secrets"] = json!({"CANARY": "sec_canary"});
    let created = server.http().post("/v1/deployments", &body).await;
    let id = created.body["deployment_id"].as_str().unwrap().to_owned();
    let told = server.http().get(&format!("/v1/deployments/{id}")).await;
    assert!(!format!("{created:?}{told:?}").contains(canary));
    let mut files = 0;
    for entry in std::fs::read_dir(server.database().parent().unwrap()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        files += 1;
        for secret in [canary, server.account.key.expose()] {
            assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()));
        }
    }
    assert!(files >= 1);
}

/// A gateway with an authentication of its own nests the control plane; without its word nobody comes in.
#[tokio::test]
async fn an_embedder_says_who_the_caller_is() {
    let plane = ControlPlane::builder(SealedBox::new(MasterKey::from_bytes([7; 32])))
        .authenticator(TrustedPrincipal::default())
        .build()
        .await
        .unwrap();
    let tenant_id = plane.admin().create_tenant("acme").await.unwrap().id;
    let log_in = move |mut request: Request| {
        if request.headers().contains_key("x-company") {
            let caller = "acme".to_owned();
            let principal = Principal { tenant_id: tenant_id.clone(), scopes: Scopes::all(), caller };
            request.extensions_mut().insert(principal);
        }
        std::future::ready(request)
    };
    let agents = plane.router().layer(axum::middleware::map_request(log_in));
    let base_url = prism_tests::serve(Router::new().nest("/agents", agents)).await;
    let http = Http::new(&base_url, Some("prism_any_key_at_all_0123456789"));
    assert_eq!(http.get("/agents/v1/deployments").await.status, 401);
    let known = http.request("GET", "/agents/v1/deployments").header("x-company", "acme");
    assert_eq!(known.send().await.unwrap().status(), 200);
}
