//! Every call: what it sends and how its answer is read.

mod support;

use std::time::Duration;

use prism_client::types::{
    Attachment, AttachmentType, CreateDeployment, CreateThread, CreateWebhook, DeploymentStatus, Patch,
    RunStatus, SendMessage, SkillState, UpdateDeployment, UpdateWebhook, WebhookDeliveryStatus,
};
use serde_json::{Value, json};
use support::{KEY, client, deployment, deployment_id};
use wiremock::{
    Mock, MockServer, Request, ResponseTemplate,
    matchers::{any, method},
};

/// A server that answers everything alike, and the requests it got.
async fn answering(status: u16, body: Value) -> MockServer {
    let server = MockServer::start().await;
    let answer = ResponseTemplate::new(status).set_body_json(body).insert_header("x-request-id", "req_1");
    Mock::given(any()).respond_with(answer).mount(&server).await;
    server
}

async fn only_request(server: &MockServer) -> Request {
    let mut requests = server.received_requests().await.expect("requests are recorded");
    assert_eq!(requests.len(), 1, "sent once");
    requests.remove(0)
}

#[track_caller]
fn assert_request(request: &Request, expected: &str) {
    assert_eq!(format!("{} {}", request.method, &request.url[url::Position::BeforePath..]), expected);
    assert_eq!(request.headers["authorization"], format!("Bearer {KEY}"));
    assert_eq!(request.headers["accept"], "application/json");
    assert_eq!(request.headers["user-agent"], concat!("prism-client/", env!("CARGO_PKG_VERSION")));
    assert_eq!(request.headers.contains_key("content-type"), !request.body.is_empty());
}

fn body(request: &Request) -> Value {
    assert_eq!(request.headers["content-type"], "application/json");
    serde_json::from_slice(&request.body).expect("the body is JSON")
}

#[tokio::test]
async fn create_a_deployment() {
    let server = answering(201, deployment("provisioning")).await;
    let request = CreateDeployment::new("cus_123", "Acme", "Help.").model("anthropic/claude-sonnet-4.5");
    let created = client(&server.uri()).deployments().create(request.clone()).send().await.unwrap();
    assert_eq!(created.deployment_id, deployment_id());
    assert_eq!(created.status(), 201);
    assert_eq!(created.request_id(), Some("req_1"));
    assert_eq!(created.header("Content-Type"), Some("application/json"));
    assert_eq!(created.header("absent"), None);
    assert_eq!(created.into_inner().status, DeploymentStatus::Provisioning);
    let sent = only_request(&server).await;
    assert_request(&sent, "POST /v1/deployments");
    assert_eq!(body(&sent), serde_json::to_value(request).unwrap());
}

#[tokio::test]
async fn get_a_deployment_in_three_ways() {
    for way in 0..3 {
        let server = answering(200, deployment("ready")).await;
        let (client, id) = (client(&server.uri()), deployment_id());
        let answer = match way {
            0 => client.deployments().get(&id).send().await,
            1 => client.deployments().get(&id).await,
            _ => client.deployment(&id).get().await,
        };
        assert_eq!(answer.unwrap().customer_id, "cus_123");
        assert_request(&only_request(&server).await, "GET /v1/deployments/dep_7xK9s2");
    }
}

#[tokio::test]
async fn list_deployments() {
    let row = json!({
        "deployment_id": "dep_1", "customer_id": "cus a&b", "name": "A", "runtime": "hermes",
        "status": "hibernating", "model": "m/x", "created_at": "2026-06-11T20:55:03Z",
    });
    let server = answering(200, json!({ "data": [row], "next_cursor": "c=2" })).await;
    let deployments = client(&server.uri()).deployments();
    let call = deployments.list().customer_id("cus a&b").status(DeploymentStatus::Error).limit(5);
    let page = call.limit(7).cursor("c=1").send().await.unwrap();
    assert_eq!(page.data[0].status.as_str(), "hibernating", "a status of tomorrow is kept");
    assert_eq!(page.next_cursor.as_ref().unwrap().as_str(), "c=2");
    let expected = "GET /v1/deployments?customer_id=cus+a%26b&status=error&limit=7&cursor=c%3D1";
    assert_request(&only_request(&server).await, expected);
}

#[tokio::test]
async fn update_a_deployment() {
    let server = answering(200, deployment("ready")).await;
    let request = UpdateDeployment::new().name("B").remove_secret("TOKEN");
    client(&server.uri()).deployment(&deployment_id()).update(request).await.unwrap();
    let sent = only_request(&server).await;
    assert_request(&sent, "PATCH /v1/deployments/dep_7xK9s2");
    assert_eq!(body(&sent), json!({ "name": "B", "secrets": { "TOKEN": null } }));
}

#[tokio::test]
async fn delete_a_deployment() {
    let server = answering(200, json!({ "deployment_id": "dep_7xK9s2", "status": "deleted" })).await;
    let call = client(&server.uri()).deployment(&deployment_id()).delete().retain_filesystem(true);
    assert_eq!(call.await.unwrap().deployment_id, deployment_id());
    assert_request(&only_request(&server).await, "DELETE /v1/deployments/dep_7xK9s2?retain_filesystem=true");
}

#[tokio::test]
async fn send_a_message() {
    let receipt = json!({
        "run_id": "run_1", "deployment_id": "dep_7xK9s2", "thread_id": "thr_1", "status": "running",
    });
    let image = Attachment::new(AttachmentType::Image, "https://example.com/a.png");
    for (message, expected) in [
        (SendMessage::from("Hi"), json!({ "content": "Hi" })),
        (
            SendMessage::new("Look").new_thread().attachment(image),
            json!({
                "content": "Look", "thread_id": "new",
                "attachments": [{ "type": "image", "url": "https://example.com/a.png" }],
            }),
        ),
    ] {
        let server = answering(200, receipt.clone()).await;
        let answer =
            client(&server.uri()).deployment(&deployment_id()).messages().send(message).await.unwrap();
        assert_eq!(answer.status, RunStatus::Running);
        let sent = only_request(&server).await;
        assert_request(&sent, "POST /v1/deployments/dep_7xK9s2/messages");
        assert_eq!(body(&sent), expected);
    }
    let server = answering(200, receipt).await;
    client(&server.uri()).deployment(&deployment_id()).messages().send("Hi").await.unwrap();
}

#[tokio::test]
async fn threads() {
    let thread = json!({
        "thread_id": "thr_q1", "deployment_id": "dep_7xK9s2", "title": null, "status": "idle",
        "created_at": "2026-06-11T20:55:03Z",
        "messages": [{ "role": "user", "content": "Hi", "created_at": "2026-06-11T20:55:03Z" }],
    });
    let server = answering(200, thread.clone()).await;
    let threads = client(&server.uri()).deployment(&deployment_id()).threads();
    assert_eq!(threads.get(&"thr_q1".parse().unwrap()).await.unwrap().messages[0].content, "Hi");
    assert_request(&only_request(&server).await, "GET /v1/deployments/dep_7xK9s2/threads/thr_q1");

    let server = answering(201, thread).await;
    let threads = client(&server.uri()).deployment(&deployment_id()).threads();
    threads.create(CreateThread::default().title("Campaign")).await.unwrap();
    let sent = only_request(&server).await;
    assert_request(&sent, "POST /v1/deployments/dep_7xK9s2/threads");
    assert_eq!(body(&sent), json!({ "title": "Campaign" }));

    let server = answering(200, json!({ "data": [], "next_cursor": null })).await;
    let threads = client(&server.uri()).deployment(&deployment_id()).threads();
    assert!(threads.list().limit(3).cursor("x").await.unwrap().next_cursor.is_none());
    assert_request(&only_request(&server).await, "GET /v1/deployments/dep_7xK9s2/threads?limit=3&cursor=x");
}

#[tokio::test]
async fn runs() {
    let run = json!({
        "run_id": "run_1", "deployment_id": "dep_7xK9s2", "thread_id": "thr_1", "status": "completed",
        "attempts": 1, "usage": { "input_tokens": 7, "output_tokens": 9 },
        "created_at": "2026-06-11T20:55:03Z",
    });
    let server = answering(200, run.clone()).await;
    let runs = client(&server.uri()).deployment(&deployment_id()).runs();
    assert_eq!(runs.get(&"run_1".parse().unwrap()).await.unwrap().usage.output_tokens, 9);
    assert_request(&only_request(&server).await, "GET /v1/deployments/dep_7xK9s2/runs/run_1");

    let server = answering(200, json!({ "data": [run], "next_cursor": null })).await;
    let runs = client(&server.uri()).deployment(&deployment_id()).runs();
    assert!(runs.list().limit(1).await.unwrap().data[0].status.is_terminal());
    assert_request(&only_request(&server).await, "GET /v1/deployments/dep_7xK9s2/runs?limit=1");
}

#[tokio::test]
async fn skills() {
    let skill = json!({
        "skill_id": "skl_1", "name": "effects", "source": "url", "state": "pending",
        "created_at": "2026-06-11T20:55:03Z",
    });
    let server = answering(200, json!({ "data": [skill] })).await;
    let skills = client(&server.uri()).deployment(&deployment_id()).skills().list().await.unwrap();
    assert_eq!(skills.data[0].state, SkillState::Pending);
    assert_request(&only_request(&server).await, "GET /v1/deployments/dep_7xK9s2/skills");
}

#[tokio::test]
async fn webhooks() {
    let (webhook, delivery) = ("whe_1".parse().unwrap(), "whd_1_7".parse().unwrap());
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let told = json!({
        "webhook_id": "whe_1", "url": "https://example.com/hook", "events": ["run_status", "dream"],
        "enabled": true, "created_at": "2026-06-11T20:55:03Z", "secret": secret,
    });
    let server = answering(201, told.clone()).await;
    let request = CreateWebhook::new("https://example.com/hook", ["run_status"]).description("For tests");
    let created = client(&server.uri()).webhooks().create(request).await.unwrap();
    assert_eq!((created.secret.expose(), created.webhook.events[1].as_str()), (secret, "dream"));
    assert!(!format!("{created:?}").contains("MfKQ"), "{created:?}");
    let sent = only_request(&server).await;
    assert_request(&sent, "POST /v1/webhooks");
    let expected =
        json!({"url": "https://example.com/hook", "events": ["run_status"], "description": "For tests"});
    assert_eq!(body(&sent), expected);

    let server = answering(200, told.clone()).await;
    client(&server.uri()).webhooks().get(&webhook).await.unwrap();
    assert_request(&only_request(&server).await, "GET /v1/webhooks/whe_1");
    let server = answering(200, told.clone()).await;
    client(&server.uri()).webhooks().rotate_secret(&webhook).await.unwrap();
    assert_request(&only_request(&server).await, "POST /v1/webhooks/whe_1/rotate-secret");
    let server = answering(200, told.clone()).await;
    let change = UpdateWebhook::new().enabled(false).description(Patch::Clear);
    client(&server.uri()).webhooks().update(&webhook, change).await.unwrap();
    let sent = only_request(&server).await;
    assert_request(&sent, "PATCH /v1/webhooks/whe_1");
    assert_eq!(body(&sent), json!({"enabled": false, "description": null}));
    let server = answering(200, json!({"webhook_id": "whe_1", "status": "deleted"})).await;
    client(&server.uri()).webhooks().delete(&webhook).await.unwrap();
    assert_request(&only_request(&server).await, "DELETE /v1/webhooks/whe_1");
    let server = answering(200, json!({"data": [told], "next_cursor": null})).await;
    client(&server.uri()).webhooks().list().limit(3).await.unwrap();
    assert_request(&only_request(&server).await, "GET /v1/webhooks?limit=3");

    let told = json!({
        "delivery_id": "whd_1_7", "webhook_id": "whe_1", "type": "ping", "status": "delivered",
        "attempts": [{"at": "2026-06-11T20:55:03Z", "duration_ms": 12, "status": 204}],
        "created_at": "2026-06-11T20:55:03Z",
    });
    for (path, call) in [("test", 0), ("deliveries/whd_1_7", 1), ("deliveries/whd_1_7/redeliver", 2)] {
        let server = answering(200, told.clone()).await;
        let webhooks = client(&server.uri()).webhooks();
        let answer = match call {
            0 => webhooks.test(&webhook).await,
            1 => webhooks.delivery(&webhook, &delivery).await,
            _ => webhooks.redeliver(&webhook, &delivery).await,
        };
        assert_eq!(answer.unwrap().attempts[0].status, Some(204));
        let method = if call == 1 { "GET" } else { "POST" };
        assert_request(&only_request(&server).await, &format!("{method} /v1/webhooks/whe_1/{path}"));
    }
    let server = answering(200, json!({"data": [told], "next_cursor": null})).await;
    let list = client(&server.uri()).webhooks().deliveries(&webhook);
    list.status(WebhookDeliveryStatus::Failed).cursor("x").await.unwrap();
    let expected = "GET /v1/webhooks/whe_1/deliveries?status=failed&cursor=x";
    assert_request(&only_request(&server).await, expected);
    let server = answering(200, json!({"redelivered": 1000, "more": true})).await;
    let since = "2026-06-11T20:55:03Z".parse().unwrap();
    assert!(client(&server.uri()).webhooks().redeliver_failed(&webhook, since).await.unwrap().more);
    let sent = only_request(&server).await;
    assert_request(&sent, "POST /v1/webhooks/whe_1/redeliver");
    assert_eq!(body(&sent), json!({"since": "2026-06-11T20:55:03.000Z"}));
}

#[tokio::test]
async fn a_base_url_may_have_a_path() {
    for slash in ["", "/"] {
        let server = answering(200, deployment("ready")).await;
        let client = client(&format!("{}/gateway{slash}", server.uri()));
        client.deployment(&deployment_id()).get().await.unwrap();
        assert_request(&only_request(&server).await, "GET /gateway/v1/deployments/dep_7xK9s2");
    }
}

#[tokio::test]
async fn nothing_is_sent_before_it_is_asked_for() {
    let server = answering(200, deployment("ready")).await;
    let client = client(&server.uri());
    let handle = client.deployment(&deployment_id());
    drop((handle.get(), handle.delete(), handle.messages().send("Hi"), handle.wait_until_ready()));
    drop((handle.events().stream(), client.deployments().list()));
    assert!(server.received_requests().await.unwrap().is_empty());
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let other = answering(200, deployment("ready")).await;
    let server = MockServer::start().await;
    let redirect = ResponseTemplate::new(307).insert_header("location", other.uri());
    Mock::given(method("GET")).respond_with(redirect).mount(&server).await;
    let error = client(&server.uri()).deployment(&deployment_id()).get().await.unwrap_err();
    assert_eq!(error.status(), Some(307));
    assert!(!error.is_retryable());
    assert!(other.received_requests().await.unwrap().is_empty(), "the key stays where it belongs");
}

#[tokio::test]
async fn a_call_has_its_own_time_limit() {
    let server = MockServer::start().await;
    let slow =
        ResponseTemplate::new(200).set_body_json(deployment("ready")).set_delay(Duration::from_secs(60));
    Mock::given(any()).respond_with(slow).mount(&server).await;
    let call = client(&server.uri()).deployment(&deployment_id()).get().timeout(Duration::from_millis(50));
    let error = call.await.unwrap_err();
    assert!(error.is_timeout() && error.is_retryable() && error.status().is_none(), "{error:?}");
    assert!(error.to_string().starts_with("GET /v1/deployments/dep_7xK9s2: "), "{error}");
}

#[tokio::test]
async fn futures_can_move_between_threads() {
    fn is_send<T: Send>(value: T) -> T {
        value
    }
    let server = answering(200, deployment("ready")).await;
    let handle = client(&server.uri()).deployment(&deployment_id());
    is_send(handle.get().send()).await.unwrap();
    is_send(handle.get().into_future()).await.unwrap();
    is_send(handle.wait_until_ready().wait()).await.unwrap();
    drop(is_send(handle.events().stream().open()));
}
