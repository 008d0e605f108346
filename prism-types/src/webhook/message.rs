//! Messages: the bodies of requests to webhooks.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{
    DeploymentId, Event, EventId, EventPayload, RawJson, Timestamp, UnknownFields, WebhookId,
    unknown_fields::{Keeping, answer},
};

/// The body of a request to a webhook.
///
/// ```
/// use prism_types::{EventPayload, WebhookContent, WebhookMessage};
///
/// let body = r#"{"type":"run_status","timestamp":"2026-06-11T20:55:03.000Z","data":{
///     "deployment_id":"dep_7xK9s2","event_id":"evt_7xK9s2_42","run_id":"run_Zz9","status":"completed"}}"#;
/// let message: WebhookMessage = serde_json::from_str(body)?;
/// let WebhookContent::Event(told) = message.content else { panic!() };
/// assert!(matches!(told.event.payload, EventPayload::RunStatus(changed) if changed.status.is_terminal()));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct WebhookMessage {
    /// What it tells of: the name of the event on the stream, or `ping`.
    pub kind: String,
    /// When that happened.
    pub timestamp: Timestamp,
    /// What is told.
    pub content: WebhookContent,
    unknown_fields: UnknownFields,
}

/// What a message tells.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "a message is one of a request, and nearly all tell of an event"
)]
#[non_exhaustive]
pub enum WebhookContent {
    /// Something happened in a deployment.
    Event(WebhookEvent),
    /// Somebody tests this webhook.
    Ping(WebhookPing),
    /// Something that this version does not know, kept as it came.
    Unknown(RawJson),
}

/// An event as a webhook is told it: as on the stream, with its ids.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct WebhookEvent {
    /// The deployment.
    pub deployment_id: DeploymentId,
    /// The event.
    pub event: Event,
}

answer! {
    /// What tells that somebody tests a webhook.
    pub struct WebhookPing {
        /// The webhook.
        pub webhook_id: WebhookId,
    }
}

impl WebhookPing {
    /// A test of this webhook.
    pub fn new(webhook_id: WebhookId) -> Self {
        Self { webhook_id, unknown_fields: UnknownFields::default() }
    }
}

impl WebhookMessage {
    /// A message that tells of this event.
    pub fn event(deployment_id: DeploymentId, event: Event, timestamp: Timestamp) -> Self {
        let kind = event.payload.name().to_owned();
        let content = WebhookContent::Event(WebhookEvent { deployment_id, event });
        Self { kind, timestamp, content, unknown_fields: UnknownFields::default() }
    }

    /// A message that tests this webhook.
    pub fn ping(webhook_id: WebhookId, timestamp: Timestamp) -> Self {
        let content = WebhookContent::Ping(WebhookPing::new(webhook_id));
        Self { kind: PING.to_owned(), timestamp, content, unknown_fields: UnknownFields::default() }
    }

    /// The fields beside `type`, `timestamp` and `data` that this version does not know, as they came.
    pub fn unknown_fields(&self) -> &UnknownFields {
        &self.unknown_fields
    }
}

/// The type of a message that tests.
const PING: &str = "ping";

/// The form that travels.
#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "WebhookMessage"))]
struct Envelope {
    /// What it tells of: the name of the event on the stream, or `ping`.
    #[serde(rename = "type")]
    kind: String,
    /// When that happened.
    timestamp: Timestamp,
    /// The fields of the event as on the stream, with `deployment_id` and `event_id`; of a `ping`, the `webhook_id`.
    data: RawJson,
}

#[derive(Deserialize)]
struct Ids {
    deployment_id: DeploymentId,
    event_id: EventId,
}

impl Serialize for WebhookMessage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Whole<'a> {
            #[serde(flatten)]
            known: Envelope,
            #[serde(flatten)]
            unknown: &'a UnknownFields,
        }
        let data = match &self.content {
            WebhookContent::Event(told) => event_data(told),
            WebhookContent::Ping(ping) => RawJson::of(ping),
            WebhookContent::Unknown(data) => Ok(data.clone()),
        };
        let data = data.map_err(serde::ser::Error::custom)?;
        let known = Envelope { kind: self.kind.clone(), timestamp: self.timestamp, data };
        Whole { known, unknown: &self.unknown_fields }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for WebhookMessage {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut unknown_fields = UnknownFields::default();
        let keeping = Keeping::new(deserializer, &mut unknown_fields);
        let Envelope { kind, timestamp, data } = Envelope::deserialize(keeping)?;
        let content = if kind == PING {
            WebhookContent::Ping(data.decode().map_err(serde::de::Error::custom)?)
        } else if let Ok(Ids { deployment_id, event_id }) = data.decode() {
            let payload = EventPayload::decode_among(&kind, data.get(), &["deployment_id", "event_id"])
                .map_err(serde::de::Error::custom)?;
            WebhookContent::Event(WebhookEvent { deployment_id, event: Event::new(event_id, payload) })
        } else {
            WebhookContent::Unknown(data)
        };
        Ok(Self { kind, timestamp, content, unknown_fields })
    }
}

/// The fields of an event with its ids. Where they have the same names, the ids stay. An event that came with its ids and
/// is not known is written as it came.
fn event_data(told: &WebhookEvent) -> Result<RawJson, serde_json::Error> {
    type Fields = std::collections::BTreeMap<String, RawJson>;
    let data = RawJson::parse(&told.event.payload.to_data()?)?;
    let told_already = |ids: Ids| ids.deployment_id == told.deployment_id && ids.event_id == told.event.id;
    if data.decode().is_ok_and(told_already) {
        return Ok(data);
    }
    let mut fields = data.decode::<Fields>().or_else(|_| Ok(Fields::from([("value".to_owned(), data)])))?;
    fields.insert("deployment_id".to_owned(), RawJson::of(&told.deployment_id)?);
    fields.insert("event_id".to_owned(), RawJson::of(&told.event.id)?);
    RawJson::of(&fields)
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for WebhookMessage {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        Envelope::schema_name()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        Envelope::json_schema(generator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FileChange, FilesystemChanged, ToolCalled};

    fn told(payload: EventPayload) -> WebhookMessage {
        let event = Event::new("evt_a_1".parse().unwrap(), payload);
        WebhookMessage::event("dep_a".parse().unwrap(), event, Timestamp::UNIX_EPOCH)
    }

    fn round_trip(message: &WebhookMessage) -> WebhookMessage {
        serde_json::from_str(&serde_json::to_string(message).unwrap()).unwrap()
    }

    #[test]
    fn every_message_survives_its_own_text() {
        let arguments = RawJson::parse(r#"{"b":12345678901234567890.5,"a":[ 2 ]}"#).unwrap();
        for message in [
            told(EventPayload::ToolCall(ToolCalled::new("run_1".parse().unwrap(), "search", arguments))),
            told(EventPayload::Filesystem(FilesystemChanged::new(FileChange::Created, "a.md"))),
            WebhookMessage::ping("whe_a".parse().unwrap(), Timestamp::UNIX_EPOCH),
        ] {
            assert_eq!(round_trip(&message), message);
        }
    }

    #[test]
    fn the_fields_are_those_of_the_stream_with_the_ids() {
        let payload = EventPayload::Filesystem(FilesystemChanged::new(FileChange::Created, "a.md"));
        let json = serde_json::to_value(told(payload)).unwrap();
        let expected = serde_json::json!({
            "type": "filesystem",
            "timestamp": "1970-01-01T00:00:00.000Z",
            "data": {"deployment_id": "dep_a", "event_id": "evt_a_1", "change": "created", "path": "a.md"},
        });
        assert_eq!(json, expected);
    }

    #[test]
    fn events_of_tomorrow_are_kept() {
        let body = r#"{"type":"dream","timestamp":"1970-01-01T00:00:00Z","data":{"deployment_id":"dep_a",
            "event_id":"evt_a_1","depth":3}}"#;
        let message: WebhookMessage = serde_json::from_str(body).unwrap();
        let WebhookContent::Event(WebhookEvent { event, .. }) = &message.content else {
            panic!("{message:?}")
        };
        assert_eq!(event.payload.name(), "dream");
        let body = r#"{"type":"quota","timestamp":"1970-01-01T00:00:00Z","data":{"left": 3}}"#;
        let message: WebhookMessage = serde_json::from_str(body).unwrap();
        assert_eq!(message.content, WebhookContent::Unknown(RawJson::parse(r#"{"left": 3}"#).unwrap()));
        assert_eq!(round_trip(&message).kind, "quota");
    }

    #[test]
    fn an_event_that_is_known_and_does_not_fit_is_refused() {
        let body = r#"{"type":"run_status","timestamp":"1970-01-01T00:00:00Z",
            "data":{"deployment_id":"dep_a","event_id":"evt_a_1"}}"#;
        assert!(serde_json::from_str::<WebhookMessage>(body).is_err());
    }
}
