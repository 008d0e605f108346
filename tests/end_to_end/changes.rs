//! What goes with a change: the answer under an idempotency key, the entity tag, the entry of the audit log.

use std::{sync::Arc, time::Duration};

use prism_server_core::{
    ControlPlane, Settings,
    adapters::{
        secret_box::{MasterKey, SealedBox},
        store::SqliteStore,
    },
    dialects::prism::OPERATIONS,
    domain::tenant::Scopes,
};
use prism_tests::{Answer, Http, PrismServe, ServerOptions, TestServer, answer, scripted_body, serve};
use prism_types::{CreateAutomation, CreateWebhook, EventPayload, Timestamp, UpdateDeployment, WebhookId};
use serde_json::{Value, json};
use tokio::sync::mpsc;

async fn post(http: &Http, path: &str, key: &str, body: &Value) -> Answer {
    answer(http.request("POST", path).header("idempotency-key", key).json(body)).await
}

fn is_replay(answer: &Answer) -> bool {
    answer.headers.get("idempotent-replayed").is_some_and(|value| value == "true")
}

/// A deployment with a run that waits for an answer: its id, and those of the run and the question.
async fn waiting(server: &TestServer) -> [String; 3] {
    let id = server.deploy("ask Publish?").await;
    let handle = server.client().deployment(&id);
    let mut events = handle.events().stream().open().await.unwrap();
    let run = handle.messages().send("Hi").await.unwrap().run_id.to_string();
    loop {
        let event = tokio::time::timeout(Duration::from_secs(20), events.next()).await.unwrap();
        if let EventPayload::SteeringRequest(asked) = event.unwrap().unwrap().payload {
            return [id.to_string(), run, asked.approval_id.unwrap().to_string()];
        }
    }
}

async fn webhook(server: &TestServer) -> WebhookId {
    let request = CreateWebhook::new("https://hooks.invalid/a", ["*"]);
    server.client().webhooks().create(request).await.unwrap().webhook.webhook_id.clone()
}

/// Where an operation is sent to, and a body that it takes.
async fn posted(server: &TestServer, id: &str) -> (String, Value) {
    let deployment = || async { server.deploy("say Hi").await.to_string() };
    match id {
        "create_deployment" => ("/v1/deployments".to_owned(), scripted_body("say Hi")),
        "send_message" => {
            (format!("/v1/deployments/{}/messages", deployment().await), json!({"content": "Hi"}))
        }
        "add_skill" => {
            let skill = json!({"name": "notes", "source": "file", "path": "notes.md"});
            (format!("/v1/deployments/{}/skills", deployment().await), skill)
        }
        "add_mcp_server" => {
            let server = json!({"name": "acme", "url": "https://acme.example/mcp"});
            (format!("/v1/deployments/{}/mcp-servers", deployment().await), server)
        }
        "create_thread" => (format!("/v1/deployments/{}/threads", deployment().await), json!({"title": "T"})),
        "cancel_run" => {
            let [deployment, run, _] = waiting(server).await;
            (format!("/v1/deployments/{deployment}/runs/{run}/cancel"), json!({}))
        }
        "answer_approval" => {
            let [deployment, _, approval] = waiting(server).await;
            (format!("/v1/deployments/{deployment}/approvals/{approval}"), json!({"decision": "allow"}))
        }
        "create_memory" => {
            (format!("/v1/deployments/{}/memories", deployment().await), json!({"content": "They like tea"}))
        }
        "start_dream" => (format!("/v1/deployments/{}/dreams", deployment().await), json!({})),
        "revert_dream" => {
            let id = server.deploy("say Hi").await;
            let dreams = server.client().deployment(&id).dreams();
            let dream = dreams.start().await.unwrap().dream_id.clone();
            let over = async || dreams.get(&dream).await.unwrap().ended_at.is_some();
            tokio::time::timeout(Duration::from_secs(20), async {
                let mut pause = tokio::time::interval(Duration::from_millis(10));
                while !over().await {
                    pause.tick().await;
                }
            })
            .await
            .unwrap();
            (format!("/v1/deployments/{id}/dreams/{dream}/revert"), json!({}))
        }
        "create_automation" => (
            format!("/v1/deployments/{}/automations", deployment().await),
            json!({"name": "Digest", "schedule": "@daily", "instructions": "Sum up."}),
        ),
        "trigger_automation" => {
            let id = server.deploy("say Hi").await;
            let request = CreateAutomation::new("Digest", "@daily", "Sum up.");
            let made = server.client().deployment(&id).automations().create(request).await.unwrap();
            (format!("/v1/deployments/{id}/automations/{}/trigger", made.automation_id), json!({}))
        }
        "create_webhook" => {
            ("/v1/webhooks".to_owned(), json!({"url": "https://hooks.invalid/a", "events": ["*"]}))
        }
        "rotate_webhook_secret" => {
            (format!("/v1/webhooks/{}/rotate-secret", webhook(server).await), json!({}))
        }
        "test_webhook" => (format!("/v1/webhooks/{}/test", webhook(server).await), json!({})),
        "redeliver_webhook" => (
            format!("/v1/webhooks/{}/redeliver", webhook(server).await),
            json!({"since": "2026-01-01T00:00:00Z"}),
        ),
        "redeliver_webhook_delivery" => {
            let id = webhook(server).await;
            let delivery = server.client().webhooks().test(&id).await.unwrap().delivery_id.clone();
            (format!("/v1/webhooks/{id}/deliveries/{delivery}/redeliver"), json!({}))
        }
        other => panic!("{other} is not tried"),
    }
}

#[tokio::test]
async fn every_post_with_a_key_is_carried_out_once_and_its_answer_given_again() {
    let server = TestServer::start().await;
    let (http, other) = (server.http(), server.another_account().await);
    for operation in OPERATIONS.iter().filter(|operation| operation.method == "POST") {
        let (path, body) = posted(&server, operation.id).await;
        let key = format!("{}-1", operation.id);
        let first = post(&http, &path, &key, &body).await;
        assert_eq!(first.status, operation.success, "{}: {first:?}", operation.id);
        assert!(!is_replay(&first));
        let again = post(&http, &path, &key, &body).await;
        assert!(is_replay(&again), "{}: {again:?}", operation.id);
        assert_eq!((again.status, &again.body), (first.status, &first.body), "{}", operation.id);
        assert_eq!(again.headers.get("etag"), first.headers.get("etag"), "{}", operation.id);

        let mut changed = body.clone();
        changed["x"] = json!(1);
        let mismatch = post(&http, &path, &key, &changed).await;
        assert_eq!((mismatch.status, mismatch.code()), (409, "idempotency_mismatch"), "{mismatch:?}");
        // Another tenant's key is another key: it finds no answer of ours.
        let theirs = post(&server.http_with(Some(other.key.expose())), &path, &key, &body).await;
        assert!(!is_replay(&theirs) && [201, 404].contains(&theirs.status), "{theirs:?}");
    }
}

#[tokio::test]
async fn of_requests_at_once_with_one_key_one_is_carried_out_and_all_get_its_answer() {
    let server = TestServer::start().await;
    let http = server.http();
    let body = scripted_body("say Hi");
    let keys = (0..50).map(|number| format!("key-{}", number % 5));
    let answers = futures::future::join_all(keys.map(|key| {
        let (http, body) = (http.clone(), body.clone());
        async move { (post(&http, "/v1/deployments", &key, &body).await, key) }
    }))
    .await;
    for number in 0..5 {
        let same = answers.iter().filter(|(_, key)| *key == format!("key-{number}"));
        let ids: Vec<_> = same.map(|(answer, _)| (&answer.body["deployment_id"], answer.status)).collect();
        assert!(ids.iter().all(|one| *one == ids[0] && one.1 == 201), "{ids:?}");
    }
    assert_eq!(answers.iter().filter(|(answer, _)| !is_replay(answer)).count(), 5);
    let listed = http.get("/v1/deployments?limit=100").await;
    assert_eq!(listed.body["data"].as_array().unwrap().len(), 5);
}

#[tokio::test]
async fn an_error_keeps_no_key_and_a_key_has_a_form() {
    let server = TestServer::start().await;
    let http = server.http();
    let bad = post(&http, "/v1/deployments", "a", &json!({"name": "x"})).await;
    assert_eq!(bad.status, 400);
    let good = post(&http, "/v1/deployments", "a", &scripted_body("say Hi")).await;
    assert_eq!((good.status, is_replay(&good)), (201, false));
    for (key, fits) in [("k".repeat(255), true), ("k".repeat(256), false), ("a b".to_owned(), false)] {
        let answer = post(&http, "/v1/deployments", &key, &scripted_body("say Hi")).await;
        assert_eq!(answer.status, if fits { 201 } else { 400 }, "{answer:?}");
        if !fits {
            assert!(answer.message().starts_with("header.idempotency-key: must be 1 to 255"), "{answer:?}");
        }
    }
    // A body too large for its key is refused as without one.
    let request = http.request("POST", "/v1/deployments").header("idempotency-key", "b");
    assert_eq!(answer(request.body(vec![b' '; 4 * 1024 * 1024 + 1])).await.status, 413);
}

/// A caller that hangs up and comes back with the same key gets the answer that it did not wait for.
#[tokio::test]
async fn a_caller_that_hung_up_finds_the_answer() {
    let server = TestServer::start().await;
    let http = server.http();
    let body = scripted_body("say Hi");
    for number in 0..20_u64 {
        let key = format!("key-{number}");
        let sent = post(&http, "/v1/deployments", &key, &body);
        let _ = tokio::time::timeout(Duration::from_micros(200 * number), sent).await;
        assert_eq!(post(&http, "/v1/deployments", &key, &body).await.status, 201);
    }
    let listed = http.get("/v1/deployments?limit=100").await;
    assert_eq!(listed.body["data"].as_array().unwrap().len(), 20);
}

/// Killed at any moment, the server has done both or neither: a request that is repeated is carried out once.
#[tokio::test(flavor = "multi_thread")]
async fn after_kill_9_a_repeated_request_is_carried_out_once() {
    let directory = tempfile::tempdir().unwrap();
    let prism = PrismServe::start(directory.path()).await;
    let http = prism.http();
    let body = scripted_body("say Hi");
    let (acknowledge, mut acknowledged) = mpsc::channel(1);
    let senders: Vec<_> = (0..8)
        .map(|sender| {
            let (http, body, acknowledge) = (http.clone(), body.clone(), acknowledge.clone());
            tokio::spawn(async move {
                for number in 0.. {
                    let request = http.request("POST", "/v1/deployments").json(&body);
                    let request = request.header("idempotency-key", format!("{sender}-{number}"));
                    if request.send().await.is_err() || acknowledge.send(()).await.is_err() {
                        return number;
                    }
                }
                unreachable!("numbers do not end")
            })
        })
        .collect();
    for _ in 0..100 {
        tokio::time::timeout(Duration::from_secs(60), acknowledged.recv()).await.unwrap();
    }
    // Nobody sends much more before the server is gone.
    prism.kill().await;
    drop(acknowledged);
    let last = futures::future::join_all(senders).await;

    let prism = PrismServe::start(directory.path()).await;
    let http = prism.http();
    let mut keys = 0;
    for (sender, last) in last.into_iter().map(Result::unwrap).enumerate() {
        for number in 0..=last {
            let answer = post(&http, "/v1/deployments", &format!("{sender}-{number}"), &body).await;
            assert_eq!(answer.status, 201, "{answer:?}");
            keys += 1;
        }
    }
    let (mut deployments, mut cursor) = (0, String::new());
    loop {
        let page = http.get(&format!("/v1/deployments?limit=100{cursor}")).await;
        deployments += page.body["data"].as_array().unwrap().len();
        let Some(next) = page.body["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(deployments, keys);
}

/// Answers are kept sealed: what one tells is not in the database, although it is given again.
#[tokio::test]
async fn a_kept_answer_is_sealed() {
    let server = TestServer::start().await;
    let created = post(&server.http(), "/v1/deployments", "a", &scripted_body("say Hi")).await;
    // The URL is in no record but the answer.
    let told = created.body["events"]["url"].as_str().unwrap();
    for entry in std::fs::read_dir(server.database().parent().unwrap()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(!bytes.windows(told.len()).any(|window| window == told.as_bytes()));
    }
}

#[tokio::test]
async fn a_change_is_made_only_to_what_its_caller_has_seen() {
    let server = TestServer::start().await;
    let id = server.deploy("say Hi").await;
    let (client, http) = (server.client().deployment(&id), server.http());
    let path = format!("/v1/deployments/{id}");
    let read = client.get().await.unwrap();
    let etag = read.etag().unwrap().to_owned();
    let rename = |name: &str| UpdateDeployment::new().name(name);
    let first = client.update(rename("First")).if_match(&etag).await.unwrap();
    let second = client.update(rename("Second")).if_match(&etag).await.unwrap_err();
    assert_eq!(second.status(), Some(412), "{second}");
    assert_eq!(client.get().await.unwrap().name, "First");

    let now = client.get().await.unwrap();
    let conditional = |method: &str, name: &str, value: &str| {
        answer(http.request(method, &path).header(name, value).json(&json!({})))
    };
    // Whatever the engine does after the change has its own tag; the deployment is ready all the time.
    assert_eq!(first.etag(), now.etag());
    let tag = now.etag().unwrap();
    let unchanged = conditional("GET", "if-none-match", tag).await;
    assert_eq!((unchanged.status, &unchanged.body), (304, &Value::Null));
    assert_eq!(unchanged.headers["etag"], tag);
    assert_eq!(conditional("GET", "if-none-match", &etag).await.status, 200);
    for malformed in ["r1", "\"r1", ""] {
        for (method, name) in [("GET", "if-none-match"), ("PATCH", "if-match"), ("DELETE", "if-match")] {
            let answer = conditional(method, name, malformed).await;
            assert_eq!(answer.status, 400, "{answer:?}");
            assert!(answer.message().contains(&format!("header.{name}: must be `*`")), "{answer:?}");
        }
    }
    assert_eq!(conditional("PATCH", "if-match", &format!("W/{tag}")).await.status, 412);
    assert_eq!(conditional("DELETE", "if-match", &etag).await.status, 412);
    assert_eq!(conditional("DELETE", "if-match", tag).await.status, 200);
}

#[tokio::test]
async fn of_changes_at_once_to_what_was_seen_one_is_made() {
    let server = TestServer::start().await;
    let id = server.deploy("say Hi").await;
    let client = server.client().deployment(&id);
    let etag = client.get().await.unwrap().etag().unwrap().to_owned();
    let change = |number: usize| {
        let update = UpdateDeployment::new().name(format!("Number {number}"));
        client.update(update).if_match(&etag).into_future()
    };
    let answers = futures::future::join_all((0..8).map(change)).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    assert!(answers.iter().flat_map(|answer| answer.as_ref().err()).all(|e| e.status() == Some(412)));
}

/// The entries of a deployment, oldest first, as who, what, of what, and fields.
async fn entries(http: &Http, deployment: &str) -> Vec<(String, String, String, Vec<String>)> {
    let log = http.get(&format!("/v1/audit-log?limit=100&deployment_id={deployment}")).await;
    assert_eq!(log.status, 200, "{log:?}");
    let entries = log.body["data"].as_array().unwrap().iter().rev().map(|entry| {
        let text = |field: &str| entry[field].as_str().unwrap().to_owned();
        assert!(entry["request_id"].as_str().is_some_and(|id| !id.is_empty()), "{entry}");
        assert!(text("created_at").parse::<Timestamp>().is_ok());
        let fields = entry.get("fields").and_then(Value::as_array).cloned().unwrap_or_default();
        let fields = fields.iter().map(|field| field.as_str().unwrap().to_owned()).collect();
        (text("actor"), text("operation"), text("subject"), fields)
    });
    entries.collect()
}

#[tokio::test]
async fn every_change_has_an_entry_that_tells_who_and_which_fields_and_no_value() {
    let server = TestServer::start().await;
    let http = server.http();
    let [id, run, approval] = waiting(&server).await;
    let path = format!("/v1/deployments/{id}");
    let decision = json!({"decision": "deny", "reason": "canary-5b1e"});
    assert_eq!(http.post(&format!("{path}/approvals/{approval}"), &decision).await.status, 200);
    assert_eq!(http.patch(&path, &json!({"system_prompt": "say canary-5b1e"})).await.status, 200);
    let thread = http.post(&format!("{path}/threads"), &json!({"title": "canary-5b1e"})).await;
    let thread = thread.body["thread_id"].as_str().unwrap().to_owned();
    let title = json!({"title": null});
    assert_eq!(http.patch(&format!("{path}/threads/{thread}"), &title).await.status, 200);
    let markdown = "---\nname: a\ndescription: canary-5b1e\n---\n";
    let skill = json!({"name": "notes", "source": "inline", "content": markdown});
    let skill = http.post(&format!("{path}/skills"), &skill).await;
    let skill = skill.body["skill_id"].as_str().unwrap().to_owned();
    assert_eq!(http.put(&format!("{path}/skills/{skill}"), &json!({})).await.status, 200);
    assert_eq!(http.delete(&format!("{path}/skills/{skill}")).await.status, 200);
    let acme = json!({"name": "acme", "url": "https://x/", "headers": {"X-Key": "canary-5b1e"}});
    assert_eq!(http.post(&format!("{path}/mcp-servers"), &acme).await.status, 201);
    let url = json!({"url": "https://y/"});
    assert_eq!(http.patch(&format!("{path}/mcp-servers/acme"), &url).await.status, 200);
    let off = json!({"enabled": false});
    assert_eq!(http.patch(&format!("{path}/tools/drop?origin=acme"), &off).await.status, 200);
    assert_eq!(http.delete(&format!("{path}/mcp-servers/acme")).await.status, 200);
    // What changes nothing has no entry: a refusal, a repetition, a read.
    assert_eq!(http.patch(&path, &json!({"nam": "x"})).await.status, 400);
    for _ in 0..2 {
        post(&http, &format!("{path}/threads"), "once", &json!({})).await;
    }
    http.get(&path).await;
    assert_eq!(http.delete(&path).await.status, 200);

    let told = entries(&http, &id).await;
    let who = server.account.key_id.to_string();
    let told: Vec<_> = told
        .iter()
        .map(|(actor, what, of, fields)| {
            assert_eq!(*actor, who);
            (what.as_str(), of.as_str(), fields.join(" "))
        })
        .collect();
    let second = told[13].1;
    assert_eq!(
        told,
        [
            (
                "create_deployment",
                id.as_str(),
                "customer_id features name runtime sandbox system_prompt".to_owned()
            ),
            ("send_message", run.as_str(), "content".to_owned()),
            ("answer_approval", approval.as_str(), "decision reason".to_owned()),
            ("update_deployment", id.as_str(), "system_prompt".to_owned()),
            ("create_thread", thread.as_str(), "title".to_owned()),
            ("update_thread", thread.as_str(), "title".to_owned()),
            ("add_skill", skill.as_str(), "content name source".to_owned()),
            ("update_skill", skill.as_str(), String::new()),
            ("remove_skill", skill.as_str(), String::new()),
            ("add_mcp_server", "acme", "headers name url".to_owned()),
            ("update_mcp_server", "acme", "url".to_owned()),
            ("update_tool", "acme/drop", "enabled".to_owned()),
            ("remove_mcp_server", "acme", String::new()),
            ("create_thread", second, String::new()),
            ("delete_deployment", id.as_str(), String::new()),
        ]
    );
    let whole = http.get("/v1/audit-log?limit=100").await.body.to_string();
    assert!(!whole.contains("canary-5b1e"), "{whole}");
    // What an operator does is told as well, and nothing of it to another tenant.
    for operation in ["create_tenant", "create_key"] {
        assert!(whole.contains(operation) && whole.contains("\"actor\":\"operator\""), "{whole}");
    }
    let other = server.another_account().await;
    let theirs = server.http_with(Some(other.key.expose())).get("/v1/audit-log").await;
    assert!(!theirs.body.to_string().contains(&id), "{theirs:?}");
    assert!(entries(&server.http_with(Some(other.key.expose())), &id).await.is_empty());
}

#[tokio::test]
async fn the_audit_log_has_pages_and_needs_its_scope() {
    let server = TestServer::start().await;
    for _ in 0..3 {
        server.deploy("say Hi").await;
    }
    let (client, mut cursor, mut seen) = (server.client(), None, Vec::new());
    loop {
        let mut call = client.audit_log().list().limit(2);
        if let Some(cursor) = cursor {
            call = call.cursor(cursor);
        }
        let page = call.await.unwrap().into_inner();
        seen.extend(page.data);
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    let what: Vec<_> = seen.iter().map(|entry| entry.operation.as_str()).collect();
    assert_eq!(
        what,
        ["create_deployment", "create_deployment", "create_deployment", "create_key", "create_tenant"]
    );
    assert_eq!(seen[0].api_key(), Some(server.account.key_id.clone()));
    assert_eq!(seen[3].api_key(), None);
    let (_, narrow) = server.key("deployments:read,deployments:write").await;
    let refused = server.http_with(Some(narrow.expose())).get("/v1/audit-log").await;
    assert_eq!((refused.status, refused.code()), (403, "forbidden"));
    let bad = server.http().get("/v1/audit-log?deployment_id=x").await;
    assert!(bad.message().starts_with("query.deployment_id: must be the id of a deployment"), "{bad:?}");
}

#[tokio::test]
async fn where_requests_are_limited_every_answer_tells_what_is_left() {
    let mut settings = Settings::default();
    settings.requests_per_second = Some(50);
    let server = TestServer::with(ServerOptions { settings, ..Default::default() }).await;
    let http = server.http();
    let answer = http.get("/v1/deployments").await;
    assert_eq!(answer.headers["ratelimit-policy"], "\"key\";q=50;w=1");
    let left = answer.headers["ratelimit"].to_str().unwrap();
    let number = left.strip_prefix("\"key\";r=").and_then(|rest| rest.strip_suffix(";t=1"));
    assert!(number.and_then(|number| number.parse::<u32>().ok()).is_some_and(|left| left < 50), "{left}");
    let burst = futures::future::join_all((0..80).map(|_| http.get("/v1/deployments"))).await;
    let refused = burst.iter().find(|answer| answer.status == 429).unwrap();
    assert_eq!(refused.headers["ratelimit"], "\"key\";r=0;t=1");
    let unknown = server.http_with(None).get("/v1/deployments").await;
    assert!(!unknown.headers.contains_key("ratelimit"));
    let unlimited = TestServer::start().await.http().get("/v1/deployments").await;
    assert!(!unlimited.headers.contains_key("ratelimit"));
}

/// The key is good for the next control plane on the same database, and wrong for another master key.
#[tokio::test]
async fn a_kept_answer_outlives_the_server() {
    let directory = tempfile::tempdir().unwrap();
    let database = directory.path().join("prism.db");
    let start = async |key: u8| {
        let store = Arc::new(SqliteStore::open(&database).unwrap());
        let plane = ControlPlane::builder(SealedBox::new(MasterKey::from_bytes([key; 32])));
        let plane = plane.store(store).build().await.unwrap();
        (serve(plane.router()).await, plane)
    };
    let (url, plane) = start(7).await;
    let tenant = plane.admin().create_tenant("acme").await.unwrap();
    let (_, key) = plane.admin().create_key(&tenant.id, "all", Scopes::all(), None).await.unwrap();
    let body = scripted_body("say Hi");
    let first = post(&Http::new(&url, Some(key.expose())), "/v1/deployments", "a", &body).await;
    plane.shutdown();
    let (url, plane) = start(7).await;
    let again = post(&Http::new(&url, Some(key.expose())), "/v1/deployments", "a", &body).await;
    assert!(is_replay(&again));
    assert_eq!(again.body["deployment_id"], first.body["deployment_id"]);
    plane.shutdown();
    let (url, _plane) = start(8).await;
    let unreadable = post(&Http::new(&url, Some(key.expose())), "/v1/deployments", "a", &body).await;
    assert_eq!(unreadable.status, 500, "{unreadable:?}");
}
