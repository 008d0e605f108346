//! Webhooks: real receivers that verify what they are sent, attackers who choose URLs, and a server that is killed.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use prism_client::{
    Client,
    webhooks::{Received, Verifier},
};
use prism_tests::{PrismServe, ServerOptions, TestServer, scripted};
use prism_types::{
    CreateDeployment, CreateWebhook, EventPayload, RunStatus, Runtime, SendMessage, Timestamp, UpdateWebhook,
    Webhook, WebhookContent, WebhookDelivery, WebhookDeliveryStatus, WebhookEventType, WebhookId,
};
use serde_json::json;
use tokio::sync::watch;

const ORIGIN: &str = "https://hooks.example";
const DEADLINE: Duration = Duration::from_secs(60);

/// A receiver on this machine that keeps every request, and answers with the status of the moment.
#[derive(Clone)]
struct Receiver {
    requests: Arc<watch::Sender<Vec<(HeaderMap, Bytes)>>>,
    status: Arc<Mutex<Option<StatusCode>>>,
    url: String,
}

impl Receiver {
    async fn start() -> Self {
        let status = Arc::new(Mutex::new(Some(StatusCode::NO_CONTENT)));
        let mut receiver = Self { requests: Arc::default(), status, url: String::new() };
        receiver.url = prism_tests::serve(Router::new().fallback(receive).with_state(receiver.clone())).await;
        receiver
    }

    /// Answers with this status from now on; `None`: not at all.
    fn answer(&self, status: Option<StatusCode>) {
        *self.status.lock().unwrap() = status;
    }

    /// The requests so far, once there are so many.
    async fn at_least(&self, count: usize) -> Vec<(HeaderMap, Bytes)> {
        let mut requests = self.requests.subscribe();
        let enough = requests.wait_for(|requests| requests.len() >= count);
        tokio::time::timeout(DEADLINE, enough).await.expect("the requests come").unwrap().clone()
    }

    fn all(&self) -> Vec<(HeaderMap, Bytes)> {
        self.requests.borrow().clone()
    }

    fn options(&self) -> ServerOptions {
        let development_origins = vec![(ORIGIN.to_owned(), self.url.clone())];
        ServerOptions { development_origins, ..Default::default() }
    }
}

async fn receive(State(receiver): State<Receiver>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let status = *receiver.status.lock().unwrap();
    receiver.requests.send_modify(|requests| requests.push((parts.headers, body)));
    match status {
        Some(status) => (status, [("location", "https://elsewhere.example/")]).into_response(),
        None => std::future::pending().await,
    }
}

async fn create(client: &Client, events: &[&str]) -> (Webhook, Verifier) {
    let request = CreateWebhook::new(format!("{ORIGIN}/prism"), events.iter().copied());
    let created = client.webhooks().create(request).await.unwrap().into_inner();
    let verifier = Verifier::new(created.secret.expose()).unwrap();
    (created.webhook, verifier)
}

/// Waits until the newest delivery of a webhook is so.
async fn newest(client: &Client, id: &WebhookId, fits: impl Fn(&WebhookDelivery) -> bool) -> WebhookDelivery {
    let found = async {
        loop {
            let page = client.webhooks().deliveries(id).limit(1).await.unwrap().into_inner();
            if let Some(delivery) = page.data.into_iter().next().filter(&fits) {
                return delivery;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, found).await.expect("the delivery becomes so")
}

#[tokio::test]
async fn a_receiver_is_told_what_the_stream_tells_and_can_verify_it() {
    let receiver = Receiver::start().await;
    let server = TestServer::with(receiver.options()).await;
    let client = server.client();
    let (webhook, verifier) = create(&client, &["*"]).await;
    let script = "say Hi\ntool search {\"q\": 1} => {\"found\": 3}\nask Publish?\nsay {{answer}}";
    let deployment = server.deploy(script).await;
    let mut events = client.deployment(&deployment).events().stream().open().await.unwrap();
    let sent = client.deployment(&deployment).messages().send("go").await.unwrap();
    let mut streamed = Vec::new();
    while let Some(event) = events.next().await {
        let event = event.unwrap();
        if matches!(event.payload, EventPayload::SteeringRequest(_)) {
            client.deployment(&deployment).messages().send("yes").await.unwrap();
        }
        let over = matches!(&event.payload, EventPayload::RunStatus(changed) if changed.status.is_terminal());
        if !matches!(event.payload, EventPayload::Token(_)) {
            streamed.push(event);
        }
        if over {
            break;
        }
    }
    let requests = receiver.at_least(streamed.len()).await;
    let mut told: Vec<_> =
        requests.iter().map(|(headers, body)| verifier.verify(headers, body).unwrap()).collect();
    // They begin in order; which of those under way arrives first is chance.
    let number = |received: &Received| received.id.rsplit('_').next().unwrap().parse::<u64>().unwrap();
    told.sort_by_key(number);
    let events = told.iter().map(|received| {
        let WebhookContent::Event(told) = &received.message.content else { panic!("{received:?}") };
        assert_eq!(told.deployment_id, deployment);
        told.event.clone()
    });
    assert_eq!(events.collect::<Vec<_>>(), streamed);
    assert!(streamed.iter().all(|event| event.payload.run_id() == Some(&sent.run_id)));
    assert_eq!(requests[0].0["content-type"], "application/json");

    // What was sent is in the log of deliveries, byte for byte.
    let last =
        newest(&client, &webhook.webhook_id, |newest| newest.status == WebhookDeliveryStatus::Delivered)
            .await;
    assert_eq!(last.delivery_id.as_str(), told.last().unwrap().id);
    assert_eq!((last.attempts.len(), last.attempts[0].status), (1, Some(204)));
    let read = client.webhooks().delivery(&webhook.webhook_id, &last.delivery_id).await.unwrap().into_inner();
    let body = requests.iter().find(|(headers, _)| headers["webhook-id"] == last.delivery_id.as_str());
    assert_eq!(read.payload.unwrap().get().as_bytes(), body.unwrap().1);
}

#[tokio::test]
async fn a_webhook_is_told_what_it_asked_for_and_nothing_from_before_it_was_there() {
    let receiver = Receiver::start().await;
    let server = TestServer::with(receiver.options()).await;
    let client = server.client();
    let (asked, other) = (server.deploy("say Hi").await, server.deploy("say Hi").await);
    let run = async |deployment| {
        let mut events = client.deployment(deployment).events().stream().open().await.unwrap();
        client.deployment(deployment).messages().send("go").await.unwrap();
        while let Some(event) = events.next().await {
            if matches!(event.unwrap().payload, EventPayload::RunStatus(changed) if changed.status.is_terminal())
            {
                return;
            }
        }
    };
    run(&asked).await;
    let request = CreateWebhook::new(ORIGIN, [WebhookEventType::RunStatus]).deployment_id(asked.clone());
    let created = client.webhooks().create(request).await.unwrap();
    run(&other).await;
    run(&asked).await;
    let requests = receiver.at_least(2).await;
    let verifier = Verifier::new(created.secret.expose()).unwrap();
    let mut told: Vec<_> =
        requests.iter().map(|(headers, body)| verifier.verify(headers, body).unwrap()).collect();
    told.sort_by(|a, b| a.id.cmp(&b.id));
    for (received, status) in told.iter().zip([RunStatus::Running, RunStatus::Completed]) {
        let WebhookContent::Event(told) = &received.message.content else { panic!() };
        assert_eq!(told.deployment_id, asked);
        assert!(matches!(&told.event.payload, EventPayload::RunStatus(changed) if changed.status == status));
    }
    let page = client.webhooks().deliveries(&created.webhook.webhook_id).await.unwrap();
    assert_eq!((page.data.len(), receiver.all().len()), (2, 2));
}

/// Where a request must not go: in every spelling, and whether it shows from the URL or from what its name stands for.
#[tokio::test]
async fn attacks_by_url_reach_nothing() {
    let trap = Receiver::start().await;
    let port = trap.url.rsplit(':').next().unwrap();
    let server = TestServer::start().await;
    let http = server.http();
    let create = async |url: &str| http.post("/v1/webhooks", &json!({"url": url, "events": ["*"]})).await;
    let hosts = [
        "127.0.0.1",
        "127.1",
        "127.0.0.1.",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0177.0.0.1",
        "%31%32%37.0.0.1",
        "０x7f.1",
        "0.0.0.0",
        "0",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[::1]",
        "[::]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "169.254.169.254",
        "[fd00:ec2::254]",
        "[fe80::1]",
        "255.255.255.255",
        "224.0.0.1",
        "[ff02::1]",
    ];
    let addresses =
        hosts.iter().flat_map(|host| [format!("http://{host}/"), format!("https://{host}:8443/hook")]);
    let ports = [port, "22", "25", "6379", "2375"].map(|port| format!("http://hooks.example:{port}/"));
    let forms = [
        format!("http://127.0.0.1:{port}/hook"),
        "ftp://hooks.example/".to_owned(),
        "file:///etc/passwd".to_owned(),
        "gopher://hooks.example/_GET".to_owned(),
        "unix:/run/docker.sock".to_owned(),
        "//hooks.example/".to_owned(),
        "hooks.example/a".to_owned(),
        "https://user:password@hooks.example/".to_owned(),
        "https://user@hooks.example/".to_owned(),
        "http://hooks.example@127.0.0.1/".to_owned(),
        "http://127.0.0.1\\@hooks.example/".to_owned(),
        "http://127.0.0.1#@hooks.example/".to_owned(),
        "javascript:1".to_owned(),
        String::new(),
        format!("https://hooks.example/{}", "a".repeat(2048)),
    ];
    for url in addresses.chain(ports).chain(forms) {
        let answer = create(&url).await;
        assert_eq!((answer.status, answer.code()), (400, "validation_error"), "{url}: {answer:?}");
        assert!(answer.message().starts_with("$.url"), "{url}: {answer:?}");
    }
    let kept = create("https://hooks.example/").await;
    let path = format!("/v1/webhooks/{}", kept.body["webhook_id"].as_str().unwrap());
    let changed = http.patch(&path, &json!({"url": "http://169.254.169.254/"})).await;
    assert_eq!(changed.status, 400, "{changed:?}");

    // A name shows what it is when it is looked up, with each request anew.
    for url in ["http://localhost/", "http://LOCALHOST:8080/"] {
        let created = create(url).await;
        assert_eq!(created.status, 201, "{url}: {created:?}");
        let id: WebhookId = created.body["webhook_id"].as_str().unwrap().parse().unwrap();
        server.client().webhooks().test(&id).await.unwrap();
        let tried = newest(&server.client(), &id, |newest| !newest.attempts.is_empty()).await;
        let attempt = &tried.attempts[0];
        assert_eq!(attempt.status, None, "{url}");
        assert_eq!(attempt.error.as_deref(), Some("the URL does not lead to a public address"), "{url}");
    }
    assert!(trap.all().is_empty());
}

#[tokio::test]
async fn redirects_are_failures_and_are_not_followed() {
    let receiver = Receiver::start().await;
    let trap = Receiver::start().await;
    let mut options = receiver.options();
    options.development_origins.push(("https://elsewhere.example".to_owned(), trap.url.clone()));
    let server = TestServer::with(options).await;
    let (webhook, _) = create(&server.client(), &["*"]).await;
    receiver.answer(Some(StatusCode::TEMPORARY_REDIRECT));
    server.client().webhooks().test(&webhook.webhook_id).await.unwrap();
    let tried = newest(&server.client(), &webhook.webhook_id, |newest| !newest.attempts.is_empty()).await;
    let attempt = &tried.attempts[0];
    assert_eq!((attempt.status, tried.status), (Some(307), WebhookDeliveryStatus::Pending));
    assert!(attempt.error.as_deref().unwrap().contains("redirects are not followed"));
    assert!(tried.next_attempt_at.unwrap() > tried.created_at && trap.all().is_empty());
}

#[tokio::test]
async fn there_are_fifty_webhooks_at_most_and_a_deleted_one_makes_room() {
    let server = TestServer::start().await;
    let webhooks = server.client().webhooks();
    let request = || CreateWebhook::new("https://hooks.invalid/a", ["filesystem"]);
    for _ in 0..50 {
        webhooks.create(request()).await.unwrap();
    }
    let refused = webhooks.create(request()).await.unwrap_err();
    assert_eq!(refused.status(), Some(409), "{refused}");
    assert!(refused.to_string().contains("50 webhooks, which is the most"), "{refused}");
    let page = webhooks.list().limit(30).await.unwrap().into_inner();
    let rest = webhooks.list().cursor(page.next_cursor.unwrap()).limit(30).await.unwrap();
    assert_eq!((page.data.len(), rest.data.len(), &rest.next_cursor), (30, 20, &None));
    webhooks.delete(&page.data[0].webhook_id).await.unwrap();
    assert!(webhooks.get(&page.data[0].webhook_id).await.unwrap_err().is_not_found());
    webhooks.create(request()).await.unwrap();
}

#[tokio::test]
async fn what_is_not_there_or_does_not_fit_is_refused_with_the_rule() {
    let receiver = Receiver::start().await;
    let server = TestServer::with(receiver.options()).await;
    let (client, http) = (server.client(), server.http());
    let body = json!({"url": ORIGIN, "events": ["*"], "deployment_id": "dep_none"});
    assert_eq!(http.post("/v1/webhooks", &body).await.status, 404);
    let (one, _) = create(&client, &["*"]).await;
    let (two, _) = create(&client, &["*"]).await;
    for _ in 0..3 {
        client.webhooks().test(&one.webhook_id).await.unwrap();
    }
    let page = client.webhooks().deliveries(&one.webhook_id).limit(2).await.unwrap().into_inner();
    let cursor = page.next_cursor.unwrap();
    let rest = client.webhooks().deliveries(&one.webhook_id).cursor(cursor.clone()).await.unwrap();
    assert_eq!((page.data.len(), rest.data.len()), (2, 1));
    let foreign = client.webhooks().deliveries(&two.webhook_id).cursor(cursor).await.unwrap_err();
    assert!(foreign.is_validation() && foreign.to_string().contains("query.cursor"), "{foreign}");
    let path = format!("/v1/webhooks/{}", two.webhook_id);
    for (path, status, told) in [
        (format!("{path}/deliveries?status=lost"), 400, "query.status: must be `pending` or `delivered`"),
        (format!("{path}/deliveries/{}", page.data[0].delivery_id), 404, "Delivery not found"),
        (format!("{path}/deliveries/whd_none"), 404, "Delivery not found"),
        ("/v1/webhooks/whe_none".to_owned(), 404, "Webhook not found"),
        ("/v1/webhooks/dep_none".to_owned(), 404, "Webhook not found"),
    ] {
        let answer = http.get(&path).await;
        assert!(answer.status == status && answer.message().contains(told), "{path}: {answer:?}");
    }
    client.webhooks().update(&two.webhook_id, UpdateWebhook::new().enabled(false)).await.unwrap();
    for path in [format!("{path}/test"), format!("{path}/redeliver")] {
        let answer = http.post(&path, &json!({"since": Timestamp::UNIX_EPOCH})).await;
        assert_eq!((answer.status, answer.code()), (409, "conflict"), "{answer:?}");
        assert!(answer.message().contains("disabled"), "{answer:?}");
    }
}

/// The server is killed when the receiver has a message and has not answered, again and again. Nothing is lost, nothing
/// is made up, and what comes again is the same message.
#[tokio::test(flavor = "multi_thread")]
async fn after_kill_9_between_send_and_record_the_message_comes_again_and_none_is_lost() {
    let receiver = Receiver::start().await;
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("prism.toml");
    let origins = format!("[fetch.development_origins]\n\"{ORIGIN}\" = \"{}\"\n", receiver.url);
    std::fs::write(&config, origins).unwrap();
    let data = directory.path().join("data");
    let start = async || PrismServe::start_with(&data, &["--config", config.to_str().unwrap()]).await;
    let mut prism = start().await;
    let (webhook, verifier) = create(&prism.client(), &["run_status"]).await;
    let request = CreateDeployment::new("cus_1", "Agent", scripted("say Hi")).runtime(Runtime::Scripted);
    let deployment = prism.client().deployments().create(request).await.unwrap().deployment_id.clone();
    let mut held = BTreeSet::new();
    for _ in 0..3 {
        prism.client().deployments().wait_until_ready(&deployment).await.unwrap();
        receiver.answer(None);
        let before = receiver.all().len();
        for _ in 0..4 {
            let message = SendMessage::new("go").new_thread();
            prism.client().deployment(&deployment).messages().send(message).await.unwrap();
        }
        let requests = receiver.at_least(before + 1).await;
        prism.kill().await;
        held.extend(
            requests[before..].iter().map(|(headers, _)| headers["webhook-id"].to_str().unwrap().to_owned()),
        );
        receiver.answer(Some(StatusCode::OK));
        prism = start().await;
    }
    let client = prism.client();
    // 12 runs, each of which begins and ends.
    let done = |newest: &WebhookDelivery| newest.delivery_id.as_str().ends_with("_24");
    newest(&client, &webhook.webhook_id, done).await;
    let delivered = async {
        let pending =
            || client.webhooks().deliveries(&webhook.webhook_id).status(WebhookDeliveryStatus::Pending);
        while !pending().await.unwrap().data.is_empty() {}
    };
    tokio::time::timeout(DEADLINE, delivered).await.expect("everything is delivered");

    let mut bodies: BTreeMap<String, (usize, Bytes)> = BTreeMap::new();
    let mut events = BTreeSet::new();
    for (headers, body) in receiver.all() {
        let received = verifier.verify(&headers, &body).unwrap();
        let (count, first) = bodies.entry(received.id).or_insert((0, body.clone()));
        *count += 1;
        assert_eq!(*first, body);
        let WebhookContent::Event(told) = received.message.content else { panic!() };
        events.insert(told.event.id);
    }
    assert_eq!((bodies.len(), events.len()), (24, 24), "one id for each event, and none besides");
    assert!(held.iter().all(|id| bodies[id].0 > 1), "what was not answered came again: {bodies:?}");
}
