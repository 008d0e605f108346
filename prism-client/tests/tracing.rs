//! What the client tells of its calls: names, numbers and kinds, and nothing that is private.

#![cfg(feature = "tracing")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::{
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use prism_client::{
    Backoff, RetryPolicy,
    transport::{Body, BoxError},
    types::CreateDeployment,
};
use support::{
    KEY, deployment, deployment_id, error,
    script::{Script, events, json},
};
use tracing::{
    Event, Id, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Record},
};

/// Keeps every field of every span and event, as text.
#[derive(Clone, Default)]
struct Listener(Arc<Mutex<Vec<String>>>);

impl Listener {
    fn all(&self) -> String {
        self.0.lock().unwrap().join("\n")
    }
}

impl Visit for &Listener {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.lock().unwrap().push(format!("{}={value:?}", field.name()));
    }
}

impl Subscriber for Listener {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        span.record(&mut &*self);
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        values.record(&mut &*self);
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        event.record(&mut &*self);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

const AT_ONCE: RetryPolicy =
    RetryPolicy::new().backoff(Backoff::new(Duration::from_millis(1), Duration::from_millis(2)));

/// What is private: it is in every part of a request and of an answer that a client sees.
const CANARY: &str = "canary_5d1e";

fn private(status: u16) -> Result<http::Response<Body>, BoxError> {
    let mut body = deployment("ready");
    body["name"] = CANARY.into();
    if status >= 400 {
        body = error(CANARY);
    }
    let mut answer = json(status, &body)?;
    answer.headers_mut().insert("x-other", http::HeaderValue::from_static(CANARY));
    Ok(answer)
}

#[tokio::test(start_paused = true)]
async fn calls_retries_and_streams_are_told_without_anything_private() {
    let listener = Listener::default();
    let _guard = tracing::subscriber::set_default(listener.clone());
    let script = Script::new(|seen| match (seen.operation.as_str(), seen.attempt) {
        (operation, 1) if operation.starts_with("POST") => private(503),
        (operation, _) if operation.ends_with("events") => {
            let bad = format!("id: evt_a_1\nevent: token\ndata: {{\"{CANARY}\": 1}}\n\n");
            events(Body::from(bad))
        }
        (operation, _) if operation.starts_with("DELETE") => private(409),
        _ => private(200),
    });
    let client = script.builder().retries(AT_ONCE).build().unwrap();
    let request = CreateDeployment::new(CANARY, CANARY, CANARY);
    client.deployments().create(request).idempotency_key(CANARY).await.unwrap();
    client.deployments().list().customer_id(CANARY).await.unwrap_err();
    client.deployment(&deployment_id()).delete().await.unwrap_err();
    let agent = client.deployment(&deployment_id());
    let mut stream = agent.events().stream().max_reconnects(1).open().await.unwrap();
    while stream.next().await.is_some() {}

    let told = listener.all();
    for private in [CANARY, KEY, "dep_7xK9s2"] {
        assert!(!told.contains(private), "{private} is told:\n{told}");
    }
    for expected in [
        "otel.name=POST /v1/deployments",
        "url.template=\"/v1/deployments/{deployment_id}\"",
        "http.response.status_code=503",
        "http.response.status_code=200",
        "http.request.resend_count=1",
        "prism.request_id=\"req_script\"",
        "error.type=\"refused\"",
        "error.type=\"decode\"",
        "message=tried again after a pause",
        "message=an event stream resumes after a pause",
    ] {
        assert!(told.contains(expected), "{expected} is not told:\n{told}");
    }
}

/// The list of what may be told. A field that is not here is a decision to be made, and then documented.
#[tokio::test(start_paused = true)]
async fn only_fields_of_the_list_are_told() {
    const ALLOWED: &[&str] = &[
        "attempt",
        "error.type",
        "failures",
        "http.request.method",
        "http.request.resend_count",
        "http.response.status_code",
        "message",
        "otel.kind",
        "otel.name",
        "otel.status_code",
        "pause_ms",
        "prism.request_id",
        "url.template",
    ];
    let listener = Listener::default();
    let _guard = tracing::subscriber::set_default(listener.clone());
    let script = Script::new(|_| private(503));
    let client = script.builder().retries(AT_ONCE).build().unwrap();
    client.deployment(&deployment_id()).get().await.unwrap_err();
    let told = listener.all();
    for line in told.lines() {
        let name = line.split('=').next().unwrap();
        assert!(ALLOWED.contains(&name), "{line}");
    }
}
