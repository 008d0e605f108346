//! Delivering to receivers that fail in every way, on a clock that stands still while nobody waits.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use futures::{FutureExt, StreamExt, stream};
use http::{HeaderMap, Response};
use prism_types::{
    CreateWebhook, EventPayload, RunStatus, RunStatusChanged, Secret, Timestamp, UpdateWebhook, WebhookId,
};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use tower::ServiceExt;

use crate::{
    ControlPlane, Settings,
    adapters::{
        secret_box::{MasterKey, SealedBox},
        store::MemoryStore,
    },
    domain::{
        deployment::{Deployment, DeploymentState},
        event::NewEvent,
        limits,
        tenant::{Scopes, Tenant},
        webhook::{
            PING, Webhook, WebhookState,
            delivery::{Delivery, DeliveryState, WAITS},
            signature,
        },
    },
    ports::{
        BoxFuture, Clock, Commit, DeliveryQuery, Egress, EgressBody, EgressError, EgressRequest, Store, Write,
    },
    testkit::store::records::{deployment, id},
};

/// Tells the time of tokio, which a test pauses, from an instant of 2026 on.
#[derive(Clone, Copy)]
struct PausedClock(Instant);

impl Clock for PausedClock {
    fn now(&self) -> Timestamp {
        let passed = i64::try_from(self.0.elapsed().as_millis()).unwrap();
        Timestamp::from_millis(1_780_000_000_000 + passed)
    }
}

/// How a receiver answers.
#[derive(Debug, Clone, Copy)]
enum Answer {
    Status(u16),
    RetryAfter(u16, &'static str),
    Endless,
    Silence,
    Refused(EgressError),
}

/// A request as a receiver got it, and its answer.
#[derive(Clone)]
struct Sent {
    at: Timestamp,
    url: String,
    headers: HeaderMap,
    body: Bytes,
    answer: Answer,
}

impl Sent {
    fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }

    fn id(&self) -> &str {
        self.header("webhook-id")
    }

    fn is_taken(&self) -> bool {
        matches!(self.answer, Answer::Status(200..=299) | Answer::Endless)
    }

    /// Whether this secret has signed it.
    fn is_signed_by(&self, secret: &Secret) -> bool {
        let timestamp = self.header("webhook-timestamp").parse().unwrap();
        let expected = signature::sign([secret], self.id(), timestamp, &self.body);
        self.header("webhook-signature").split(' ').any(|signature| signature == expected)
    }
}

type Behaviour = Box<dyn FnMut(&EgressRequest, Timestamp) -> Answer + Send>;

/// Receivers instead of the network.
#[derive(Clone)]
struct Receivers {
    clock: PausedClock,
    sent: Arc<Mutex<Vec<Sent>>>,
    behaviour: Arc<Mutex<Behaviour>>,
}

impl Receivers {
    fn behave(&self, answer: impl FnMut(&EgressRequest, Timestamp) -> Answer + Send + 'static) {
        *self.behaviour.lock().unwrap() = Box::new(answer);
    }

    fn all(&self) -> Vec<Sent> {
        self.sent.lock().unwrap().clone()
    }
}

impl Egress for Receivers {
    fn send(&self, request: EgressRequest) -> BoxFuture<'_, Result<Response<EgressBody>, EgressError>> {
        let at = self.clock.now();
        let answer = (self.behaviour.lock().unwrap())(&request, at);
        let EgressRequest { url, headers, body, .. } = request;
        self.sent.lock().unwrap().push(Sent { at, url: url.to_string(), headers, body, answer });
        async move {
            let mut response = Response::builder();
            let mut rest: EgressBody = stream::empty().boxed();
            match answer {
                Answer::Status(status) => response = response.status(status),
                Answer::RetryAfter(status, wait) => {
                    response = response.status(status).header("retry-after", wait)
                }
                Answer::Endless => {
                    rest = stream::repeat_with(|| Ok(Bytes::from_static(&[b'x'; 1024]))).boxed()
                }
                Answer::Silence => std::future::pending().await,
                Answer::Refused(error) => return Err(error),
            }
            Ok(response.body(rest).unwrap())
        }
        .boxed()
    }
}

/// A control plane with a tenant and a deployment, and receivers that take everything unless they are told otherwise.
struct Trial {
    plane: ControlPlane,
    store: Arc<MemoryStore>,
    receivers: Receivers,
    clock: PausedClock,
    tenant: Tenant,
    deployment: Deployment,
    engine: tokio::task::JoinHandle<()>,
}

impl Trial {
    async fn start() -> Self {
        Self::with(settings()).await
    }

    async fn with(settings: Settings) -> Self {
        let clock = PausedClock(Instant::now());
        let receivers = Receivers {
            clock,
            sent: Arc::default(),
            behaviour: Arc::new(Mutex::new(Box::new(|_, _| Answer::Status(200)))),
        };
        let store = Arc::new(MemoryStore::new());
        let plane = plane(&store, &receivers, settings).await;
        let tenant = plane.admin().create_tenant("acme").await.unwrap();
        let deployment =
            Deployment { tenant_id: tenant.id.clone(), state: DeploymentState::Ready, ..deployment(1, 1) };
        store.commit(Commit::new().with(Write::InsertDeployment(deployment.clone()))).await.unwrap();
        let engine = tokio::spawn(plane.run());
        Self { plane, store, receivers, clock, tenant, deployment, engine }
    }

    /// Stops the control plane, whatever it does, and starts another on its store.
    async fn restart(mut self) -> Self {
        self.plane.shutdown();
        self.engine.await.unwrap();
        self.plane = plane(&self.store, &self.receivers, settings()).await;
        self.engine = tokio::spawn(self.plane.run());
        self
    }

    async fn call(&self, method: &str, path: &str, body: impl serde::Serialize) -> Value {
        let admin = self.plane.admin();
        let (_, key) = admin.create_key(&self.tenant.id, "test", Scopes::all(), None).await.unwrap();
        let request = http::Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {}", key.expose()))
            .header("content-type", "application/json")
            .body(axum::body::Body::from(serde_json::to_vec(&body).unwrap()))
            .unwrap();
        let answer = self.plane.router().oneshot(request).await.unwrap();
        let status = answer.status();
        let body = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert!(status.is_success(), "{body}");
        body
    }

    /// Creates a webhook for everything.
    async fn webhook(&self, url: &str) -> (WebhookId, Secret) {
        let created = self.call("POST", "/v1/webhooks", CreateWebhook::new(url, ["*"])).await;
        let text = |name: &str| created[name].as_str().unwrap().to_owned();
        (text("webhook_id").parse().unwrap(), Secret::new(text("secret")))
    }

    /// Appends so many events.
    async fn happen(&self, count: u32) {
        for number in 0..count {
            let payload = RunStatusChanged::new(id("run_", number), RunStatus::Running);
            let payload = EventPayload::RunStatus(payload);
            let event = NewEvent::new(self.deployment.id.clone(), &payload, self.clock.now());
            self.store.commit(Commit::new().with(Write::Append(event))).await.unwrap();
        }
    }

    async fn read(&self, id: &WebhookId) -> Webhook {
        self.store.webhook(id).await.unwrap().unwrap()
    }

    /// Every delivery of a webhook, oldest first.
    async fn deliveries(&self, id: &WebhookId) -> Vec<Delivery> {
        let all = DeliveryQuery { state: None, before: None, limit: u32::MAX };
        let mut deliveries = self.store.deliveries(id, all).await.unwrap();
        deliveries.reverse();
        deliveries
    }

    /// Waits until no delivery of a webhook is pending.
    async fn settled(&self, id: &WebhookId) -> Vec<Delivery> {
        until_every(Duration::from_secs(60), async || {
            let deliveries = self.deliveries(id).await;
            let over = deliveries.iter().all(|delivery| delivery.state != DeliveryState::Pending);
            (over && !deliveries.is_empty()).then_some(deliveries)
        })
        .await
    }
}

/// Sweeps are so rare that everything comes by nudges and alarms.
fn settings() -> Settings {
    Settings { sweep: Duration::from_secs(HOUR), ..Settings::default() }
}

async fn plane(store: &Arc<MemoryStore>, receivers: &Receivers, settings: Settings) -> ControlPlane {
    ControlPlane::builder(SealedBox::new(MasterKey::from_bytes([7; 32])))
        .store(store.clone())
        .clock(receivers.clock)
        .egress(receivers.clone())
        .settings(settings)
        .build()
        .await
        .unwrap()
}

/// Waits until something is there. Time is paused: this takes none.
async fn until<T>(look: impl AsyncFnMut() -> Option<T>) -> T {
    until_every(Duration::from_secs(1), look).await
}

async fn until_every<T>(pause: Duration, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let found = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            sleep(pause).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10 * 24 * 3600), found).await.expect("what is waited for comes")
}

const HOUR: u64 = 3600;
const URL: &str = "https://hooks.example/a";

/// A receiver that is down for a day, in turn in every way, while events go on: afterwards it has every event, each was
/// taken once, and every try of one was the same message.
#[tokio::test(start_paused = true)]
async fn a_receiver_that_fails_for_a_day_loses_nothing_and_takes_nothing_twice() {
    let trial = Trial::start().await;
    let (webhook, secret) = trial.webhook(URL).await;
    let up_again = Timestamp::from_millis(trial.clock.now().as_millis() + 24 * 3_600_000);
    let mut number = 0;
    trial.receivers.behave(move |_, now| {
        number += 1;
        if now >= up_again {
            return Answer::Status(204);
        }
        match number % 8 {
            0 => Answer::Silence,
            1 => Answer::Refused(EgressError::Unreachable),
            2 => Answer::RetryAfter(503, "120"),
            3 => Answer::Status(302),
            4 => Answer::Status(404),
            5 => Answer::RetryAfter(429, "30"),
            6 => Answer::Refused(EgressError::Forbidden),
            _ => Answer::Status(500),
        }
    });
    for _ in 0..24 * 6 {
        trial.happen(2).await;
        sleep(Duration::from_secs(600)).await;
    }
    let deliveries = trial.settled(&webhook).await;
    let log = trial.store.events(&trial.deployment.id, 0, u32::MAX).await.unwrap();
    assert_eq!((deliveries.len(), log.len()), (288, 288));
    assert!(deliveries.iter().all(|delivery| delivery.state == DeliveryState::Delivered));

    let mut tries: BTreeMap<String, Vec<Sent>> = BTreeMap::new();
    for sent in trial.receivers.all() {
        assert!(sent.is_signed_by(&secret));
        assert_eq!(sent.header("webhook-timestamp"), (sent.at.as_millis() / 1000).to_string());
        tries.entry(sent.id().to_owned()).or_default().push(sent);
    }
    let ids: BTreeSet<_> = deliveries.iter().map(Delivery::id).collect();
    assert_eq!(tries.keys().cloned().collect::<BTreeSet<_>>(), ids, "no id is missing, and none is forged");
    let mut told = BTreeSet::new();
    for tries in tries.values() {
        let (last, failed) = tries.split_last().unwrap();
        assert!(last.is_taken() && !failed.iter().any(Sent::is_taken), "what was taken never comes again");
        assert!(failed.iter().all(|sent| sent.body == last.body));
        let body: Value = serde_json::from_slice(&last.body).unwrap();
        told.insert(body["data"]["event_id"].as_str().unwrap().to_owned());
    }
    assert_eq!(told.len(), 288, "every event of the log is told once");
    assert_eq!(trial.read(&webhook).await.failing_since, None);
}

#[tokio::test(start_paused = true)]
async fn tries_come_at_the_stated_times_and_the_last_is_followed_by_the_end() {
    let trial = Trial::start().await;
    let (webhook, _) = trial.webhook(URL).await;
    trial.receivers.behave(|_, _| Answer::Status(500));
    trial.happen(1).await;
    let delivery = trial.settled(&webhook).await.remove(0);
    assert_eq!((delivery.state, delivery.attempts.len()), (DeliveryState::Failed, 10));
    let sent = trial.receivers.all();
    assert_eq!(sent[0].at, delivery.created_at, "the first try is made at once");
    for (pair, wait) in sent.windows(2).zip(WAITS) {
        let waited = u64::try_from(pair[1].at.as_millis() - pair[0].at.as_millis()).unwrap();
        let stated = u64::try_from(wait.as_millis()).unwrap();
        // A tenth for chance, and the precision of the clock.
        assert!((stated..=stated + stated / 10 + 2).contains(&waited), "{waited} ms instead of {stated} ms");
    }
    let attempt = &delivery.attempts[0];
    assert_eq!(
        (attempt.status, attempt.error.as_deref()),
        (Some(500), Some("the endpoint answered with status 500"))
    );

    // It is kept, and sent again with the same id when somebody asks.
    trial.receivers.behave(|_, _| Answer::Status(200));
    let path = format!("/v1/webhooks/{webhook}/redeliver");
    let none = trial.call("POST", &path, json!({"since": trial.clock.now()})).await;
    assert_eq!(none, json!({"redelivered": 0, "more": false}));
    let one = trial.call("POST", &path, json!({"since": delivery.created_at})).await;
    assert_eq!(one, json!({"redelivered": 1, "more": false}));
    assert_eq!(trial.settled(&webhook).await[0].state, DeliveryState::Delivered);
    let sent = trial.receivers.all();
    assert_eq!((sent.len(), sent[10].id()), (11, sent[0].id()));
}

#[tokio::test(start_paused = true)]
async fn first_tries_are_made_in_order() {
    let trial = Trial::start().await;
    let (webhook, _) = trial.webhook(URL).await;
    let mut number = 0;
    trial.receivers.behave(move |_, _| {
        number += 1;
        if number % 3 == 0 { Answer::Status(500) } else { Answer::Status(200) }
    });
    trial.happen(100).await;
    trial.settled(&webhook).await;
    let mut seen = BTreeSet::new();
    let sent = trial.receivers.all();
    let first_tries = sent.iter().map(Sent::id).filter(|id| seen.insert(*id)).collect::<Vec<_>>();
    assert_eq!(first_tries, (1..=100).map(|n| format!("whd_{}_{n}", webhook.suffix())).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn what_is_gone_is_disabled_and_what_waits_is_sent_when_it_is_enabled_again() {
    let trial = Trial::start().await;
    let (webhook, _) = trial.webhook(URL).await;
    trial.receivers.behave(|_, _| Answer::Status(410));
    trial.happen(3).await;
    until(async || (trial.read(&webhook).await.state == WebhookState::Disabled).then_some(())).await;
    trial.happen(2).await;
    trial.receivers.behave(|_, _| Answer::Status(200));
    sleep(Duration::from_secs(48 * HOUR)).await;
    let path = format!("/v1/webhooks/{webhook}");
    let read = trial.call("GET", &path, ()).await;
    assert_eq!((&read["enabled"], &read["disabled_reason"]["code"]), (&json!(false), &json!("gone")));
    assert!(!trial.receivers.all().iter().any(Sent::is_taken), "nothing is sent to what is disabled");
    let enabled = trial.call("PATCH", &path, UpdateWebhook::new().enabled(true)).await;
    assert_eq!((&enabled["enabled"], enabled.get("disabled_reason")), (&json!(true), None));
    let deliveries = trial.settled(&webhook).await;
    assert_eq!(deliveries.len(), 3, "what happened while it was disabled is not told");
    assert!(deliveries.iter().all(|delivery| delivery.state == DeliveryState::Delivered));
}

#[tokio::test(start_paused = true)]
async fn what_fails_for_five_days_is_disabled_with_the_reason() {
    let trial = Trial::start().await;
    let (webhook, _) = trial.webhook(URL).await;
    trial.receivers.behave(|_, _| Answer::Refused(EgressError::Unreachable));
    for hour in 0..124 {
        let enabled = trial.read(&webhook).await.state == WebhookState::Enabled;
        assert!(enabled == (hour < 120) || (120..=122).contains(&hour), "in hour {hour}");
        trial.happen(1).await;
        sleep(Duration::from_secs(HOUR)).await;
    }
    assert_eq!(trial.read(&webhook).await.disabled_reason.unwrap().code, "failing");
}

#[tokio::test(start_paused = true)]
async fn whoever_asks_to_be_left_alone_is_left_alone_for_an_hour_at_most() {
    let trial = Trial::start().await;
    let (webhook, _) = trial.webhook(URL).await;
    for (asked, waited) in [("600", 600), ("86400", 3600)] {
        let before = trial.receivers.all().len();
        trial.receivers.behave(move |_, _| Answer::RetryAfter(429, asked));
        trial.happen(1).await;
        let asked_at = until(async || Some(trial.receivers.all().get(before)?.at)).await;
        trial.receivers.behave(|_, _| Answer::Status(200));
        trial.happen(5).await;
        trial.settled(&webhook).await;
        let next = &trial.receivers.all()[before + 1];
        let pause = next.at.as_millis() - asked_at.as_millis();
        assert!((waited * 1000..=waited * 1000 + 50).contains(&pause), "{pause} ms after {asked}");
    }
}

/// Three receivers hang and have much to get; with four places in all, the one that works gets its own all the same.
#[tokio::test(start_paused = true)]
async fn receivers_that_hang_do_not_hold_others_up() {
    let trial = Trial::with(Settings { concurrent_webhooks: 4, ..settings() }).await;
    for number in 0..3 {
        trial.webhook(&format!("https://hangs.example/{number}")).await;
    }
    trial.receivers.behave(|request, _| {
        if request.url.host_str() == Some("hangs.example") { Answer::Silence } else { Answer::Status(200) }
    });
    trial.happen(200).await;
    // By now each of the three fails, and has one try under way at a time.
    sleep(Duration::from_secs(120)).await;
    let (healthy, _) = trial.webhook(URL).await;
    let begun = trial.clock.now();
    trial.happen(50).await;
    let deliveries = trial.settled(&healthy).await;
    let took = deliveries.iter().filter_map(|delivery| delivery.finished_at).max().unwrap().as_millis()
        - begun.as_millis();
    assert!(took <= 1000, "it took {took} ms");
}

#[tokio::test(start_paused = true)]
async fn a_try_takes_fifteen_seconds_and_an_answer_is_not_read_to_its_end() {
    let trial = Trial::start().await;
    let (webhook, _) = trial.webhook(URL).await;
    trial.receivers.behave(|_, _| Answer::Silence);
    trial.happen(1).await;
    let attempt = until(async || trial.deliveries(&webhook).await[0].attempts.first().cloned()).await;
    assert_eq!((attempt.duration_ms, attempt.status), (15_000, None));
    assert_eq!(attempt.error.as_deref(), Some("the endpoint did not answer within 15 seconds"));
    trial.receivers.behave(|_, _| Answer::Endless);
    assert_eq!(trial.settled(&webhook).await[0].state, DeliveryState::Delivered);
}

#[tokio::test(start_paused = true)]
async fn a_try_that_a_shutdown_breaks_off_is_made_again_with_the_same_id() {
    let trial = Trial::start().await;
    let (webhook, secret) = trial.webhook(URL).await;
    trial.receivers.behave(|_, _| Answer::Silence);
    trial.happen(2).await;
    until(async || (trial.receivers.all().len() == 2).then_some(())).await;
    let trial = trial.restart().await;
    assert!(trial.deliveries(&webhook).await.iter().all(|delivery| delivery.attempts.is_empty()));
    trial.receivers.behave(|_, _| Answer::Status(200));
    trial.settled(&webhook).await;
    let sent = trial.receivers.all();
    assert_eq!(sent.len(), 4);
    for first in &sent[..2] {
        let again = sent[2..].iter().find(|sent| sent.id() == first.id()).unwrap();
        assert!(again.body == first.body && again.is_signed_by(&secret));
    }
}

#[tokio::test(start_paused = true)]
async fn for_a_day_after_a_rotation_both_secrets_sign() {
    let trial = Trial::start().await;
    let (webhook, old) = trial.webhook(URL).await;
    let path = format!("/v1/webhooks/{webhook}");
    let rotated = trial.call("POST", &format!("{path}/rotate-secret"), ()).await;
    let new = Secret::new(rotated["secret"].as_str().unwrap());
    assert!(rotated["previous_secret_expires_at"].is_string());
    let signed = async || {
        let ping = trial.call("POST", &format!("{path}/test"), ()).await;
        assert_eq!(ping["type"], PING);
        trial.settled(&webhook).await;
        let sent = trial.receivers.all().pop().unwrap();
        assert_eq!(json!(sent.id()), ping["delivery_id"]);
        (sent.is_signed_by(&old), sent.is_signed_by(&new))
    };
    assert_eq!(signed().await, (true, true));
    sleep(Duration::from_secs(23 * HOUR)).await;
    assert_eq!(signed().await, (true, true));
    sleep(Duration::from_secs(HOUR)).await;
    assert_eq!(signed().await, (false, true));
    assert_eq!(trial.call("GET", &path, ()).await.get("previous_secret_expires_at"), None);
}

#[tokio::test(start_paused = true)]
async fn what_waits_is_sent_although_its_deployment_is_gone_and_dropped_with_its_webhook() {
    let trial = Trial::start().await;
    let (kept, _) = trial.webhook(URL).await;
    let (dropped, _) = trial.webhook("https://hooks.example/dropped").await;
    trial.receivers.behave(|_, _| Answer::Status(500));
    trial.happen(3).await;
    until(async || (trial.receivers.all().len() >= 6).then_some(())).await;
    trial.call("DELETE", &format!("/v1/deployments/{}", trial.deployment.id), ()).await;
    trial.call("DELETE", &format!("/v1/webhooks/{dropped}"), ()).await;
    until(async || trial.store.deployment(&trial.deployment.id).await.unwrap().is_none().then_some(())).await;
    until(async || trial.store.webhook(&dropped).await.unwrap().is_none().then_some(())).await;
    assert!(trial.deliveries(&dropped).await.is_empty());
    trial.receivers.behave(|_, _| Answer::Status(200));
    let before = trial.receivers.all().len();
    let deliveries = trial.settled(&kept).await;
    assert!(
        deliveries.len() == 3 && deliveries.iter().all(|delivery| delivery.state == DeliveryState::Delivered)
    );
    assert!(trial.receivers.all()[before..].iter().all(|sent| sent.url == URL));
}

#[tokio::test(start_paused = true)]
async fn deliveries_are_kept_for_thirty_days_after_they_are_over() {
    let trial = Trial::start().await;
    let (webhook, _) = trial.webhook(URL).await;
    trial.happen(3).await;
    trial.settled(&webhook).await;
    sleep(limits::WEBHOOK_RETENTION - Duration::from_secs(60)).await;
    assert_eq!(trial.deliveries(&webhook).await.len(), 3);
    sleep(Duration::from_secs(2 * HOUR)).await;
    assert!(trial.deliveries(&webhook).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_webhook_for_which_too_much_waits_is_disabled() {
    let trial = Trial::start().await;
    let (webhook, _) = trial.webhook(URL).await;
    trial.receivers.behave(|_, _| Answer::RetryAfter(503, "3600"));
    let ping = |number| {
        let ping = Delivery::new(webhook.clone(), number, PING.to_owned(), None, trial.clock.now());
        Write::InsertDelivery(ping, "{}".to_owned())
    };
    // At the limit it goes on. A try that fails leaves its delivery pending.
    trial.store.commit(Commit::new().with_all((1..=limits::WEBHOOK_BACKLOG).map(ping))).await.unwrap();
    until(async || trial.read(&webhook).await.paused_until).await;
    sleep(Duration::from_secs(60)).await;
    assert_eq!(trial.read(&webhook).await.state, WebhookState::Enabled);
    trial.store.commit(Commit::new().with(ping(limits::WEBHOOK_BACKLOG + 1))).await.unwrap();
    until(async || trial.read(&webhook).await.disabled_reason.filter(|reason| reason.code == "backlog"))
        .await;
}
