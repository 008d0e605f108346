//! What a client was answered, without what differs between any two servers.

use std::sync::{Arc, Mutex};

use axum::http::{
    Request, Response,
    header::{CONTENT_TYPE, ETAG},
};
use http_body_util::BodyExt as _;
use prism_client::{
    Client, ClientBuilder, Error,
    transport::{Body, Operation, Transport},
};
use prism_types::{Event, Timestamp};
use serde_json::{Map, Value, json};
use tower::{ServiceExt as _, layer::layer_fn, service_fn};

/// Fields whose values are a server's own: only that they are there is compared.
const OWN: &[&str] = &[
    "actor",
    "cron",
    "description",
    "duration_ms",
    "message",
    "next_cursor",
    "problems",
    "request_id",
    "secret",
    "url",
];
/// Fields that are not compared, and why.
const LEFT_OUT: &[(&str, &str)] = &[
    ("next_run_at", "nothing of the fake fires by time"),
    (
        "attempts",
        "the fake sends nothing to webhooks, so a delivery has one attempt at once; a run has one in both",
    ),
    ("next_attempt_at", "as `attempts`"),
    ("finished_at", "as `attempts`"),
    ("failing_since", "as `attempts`"),
];

/// Everything that was answered, in its order.
#[derive(Clone, Default)]
pub(super) struct Record(Arc<Mutex<Vec<Value>>>);

impl Record {
    /// A client whose answers are recorded.
    pub(super) fn client(&self, builder: ClientBuilder) -> Client {
        let record = self.clone();
        let layer = layer_fn(move |inner: Transport| {
            let record = record.clone();
            service_fn(move |request: Request<Body>| record.clone().pass(inner.clone(), request))
        });
        builder.layer(layer).build().unwrap()
    }

    /// Records events that came over a stream.
    pub(super) fn events(&self, events: &[Event]) {
        for event in events {
            self.0.lock().unwrap().push(json!({"event": plain("", serde_json::to_value(event).unwrap())}));
        }
    }

    pub(super) fn take(&self) -> Vec<Value> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    async fn pass(self, inner: Transport, request: Request<Body>) -> Result<Response<Body>, Error> {
        let operation = request.extensions().get::<Operation>().unwrap().to_string();
        let (head, body) = inner.oneshot(request).await?.into_parts();
        let kind = head.headers.get(CONTENT_TYPE).map(|kind| kind.to_str().unwrap().to_owned());
        let mut exchange = json!({
            "operation": operation,
            "status": head.status.as_u16(),
            "etag": head.headers.contains_key(ETAG),
            "replayed": head.headers.contains_key("idempotent-replayed"),
        });
        if kind.as_deref() == Some("text/event-stream") {
            self.0.lock().unwrap().push(exchange);
            return Ok(Response::from_parts(head, body));
        }
        let bytes = body.collect().await.map_err(Error::disconnected)?.to_bytes();
        exchange["body"] = match serde_json::from_slice(&bytes) {
            Ok(json) => plain("", json),
            Err(_) => json!(String::from_utf8_lossy(&bytes)),
        };
        if let Some(range) = head.headers.get("content-range") {
            exchange["range"] = json!(range.to_str().unwrap());
        }
        self.0.lock().unwrap().push(exchange);
        Ok(Response::from_parts(head, Body::from(bytes)))
    }
}

/// JSON in which ids are their prefixes, times are times, and what is a server's own is only there.
fn plain(field: &str, json: Value) -> Value {
    match json {
        _ if OWN.contains(&field) && !json.is_null() => json!("<own>"),
        Value::Object(fields) => {
            let is_delivery = fields.contains_key("delivery_id");
            let is_compared = |name: &str| {
                let is_left_out = LEFT_OUT.iter().any(|(other, _)| *other == name);
                !(is_left_out || is_delivery && name == "status")
            };
            let fields = fields.into_iter().filter(|(name, _)| is_compared(name));
            Value::Object(
                fields.map(|(name, value)| (name.clone(), plain(&name, value))).collect::<Map<_, _>>(),
            )
        }
        Value::Array(items) => items.into_iter().map(|item| plain(field, item)).collect(),
        Value::String(text) if text.parse::<Timestamp>().is_ok() => json!("<time>"),
        Value::String(text) if field == "id" || field.ends_with("_id") || field == "subject" => {
            json!(without_id(text))
        }
        other => other,
    }
}

/// The prefix alone of what is an id.
fn without_id(text: String) -> String {
    const PREFIXES: &[&str] = &[
        "dep_", "thr_", "run_", "evt_", "apr_", "auto_", "arun_", "skl_", "mem_", "drm_", "snap_", "whe_",
        "whd_", "aud_",
    ];
    let prefix = PREFIXES.iter().find(|prefix| text.starts_with(**prefix));
    prefix.map_or(text.clone(), |prefix| (*prefix).to_owned())
}
