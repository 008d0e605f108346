//! Events: what an agent does, as it happens.
//!
//! On the stream an event is a server-sent event: its `event` field is [`EventPayload::name`], its `id` field
//! is [`Event::id`], its `data` field is the payload's JSON. [`EventPayload::decode`] and
//! [`EventPayload::to_data`] are that form; `Serialize` and `Deserialize` of [`Event`] are one JSON object
//! with `id` and `type` beside the payload's fields, for logs and files.

mod token;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use self::token::UsualForm;
use crate::{
    ApprovalId, EventId, Failure, RawJson, RunId, RunStatus, ThreadId, UnknownFields, macros::setters,
    open_enum::open_enum, unknown_fields::answer,
};

pub use self::token::Token;

open_enum! {
    /// What happened to a file.
    pub enum FileChange {
        /// It is new.
        Created = "created",
        /// Its content changed.
        Modified = "modified",
        /// It is gone.
        Deleted = "deleted",
    }
}

/// One line of a deployment's log.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Event {
    /// The event's id: what `Last-Event-ID` resumes after.
    pub id: EventId,
    /// What happened.
    pub payload: EventPayload,
}

impl Event {
    /// An event.
    pub fn new(id: EventId, payload: EventPayload) -> Self {
        Self { id, payload }
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum EventPayload {
    /// `token`: a piece of the agent's text.
    Token(Token),
    /// `tool_call`: the agent calls a tool.
    ToolCall(ToolCalled),
    /// `tool_result`: what the agent got back.
    ToolResult(ToolReturned),
    /// `steering_request`: the agent asks a human and waits.
    SteeringRequest(SteeringRequested),
    /// `run_status`: a run changed its status.
    RunStatus(RunStatusChanged),
    /// `filesystem`: a file of the workspace changed.
    Filesystem(FilesystemChanged),
    /// An event that this version does not know, kept as it came.
    Unknown(UnknownEvent),
}

/// Why an event could not be read.
#[derive(Debug, thiserror::Error)]
#[error("event `{event}` has a payload that does not fit: {source}")]
pub struct EventDecodeError {
    event: String,
    source: serde_json::Error,
}

/// Applies one expression to the payload of whatever known variant it is.
macro_rules! with_payload {
    ($value:expr, $payload:ident => $known:expr, $unknown:ident => $other:expr) => {
        match $value {
            EventPayload::Token($payload) => $known,
            EventPayload::ToolCall($payload) => $known,
            EventPayload::ToolResult($payload) => $known,
            EventPayload::SteeringRequest($payload) => $known,
            EventPayload::RunStatus($payload) => $known,
            EventPayload::Filesystem($payload) => $known,
            EventPayload::Unknown($unknown) => $other,
        }
    };
}

impl EventPayload {
    /// The value of the `event` field.
    pub fn name(&self) -> &str {
        match self {
            Self::Token(_) => "token",
            Self::ToolCall(_) => "tool_call",
            Self::ToolResult(_) => "tool_result",
            Self::SteeringRequest(_) => "steering_request",
            Self::RunStatus(_) => "run_status",
            Self::Filesystem(_) => "filesystem",
            Self::Unknown(unknown) => &unknown.name,
        }
    }

    /// The run that the event belongs to, if any.
    pub fn run_id(&self) -> Option<&RunId> {
        match self {
            Self::Token(event) => Some(&event.run_id),
            Self::ToolCall(event) => Some(&event.run_id),
            Self::ToolResult(event) => Some(&event.run_id),
            Self::SteeringRequest(event) => Some(&event.run_id),
            Self::RunStatus(event) => Some(&event.run_id),
            Self::Filesystem(event) => event.run_id.as_ref(),
            Self::Unknown(_) => None,
        }
    }

    /// The thread that the event belongs to, if any.
    pub fn thread_id(&self) -> Option<&ThreadId> {
        with_payload!(self, event => event.thread_id.as_ref(), _unknown => None)
    }

    /// The fields of the payload that the server sent and this version does not know, by name. They are written
    /// back with the others. Of an unknown event there are none: all of it is [`UnknownEvent::data`].
    pub fn unknown_fields(&self) -> &UnknownFields {
        with_payload!(self, event => event.unknown_fields(), _unknown => UnknownFields::none())
    }

    /// Reads the `event` and `data` fields of a server-sent event.
    ///
    /// An event of an unknown name is [`EventPayload::Unknown`] whatever its data is.
    ///
    /// # Errors
    /// When the name is known and the data does not have its form.
    pub fn decode(event: &str, data: &str) -> Result<Self, EventDecodeError> {
        let form = if event == "token" { UsualForm::read(data) } else { None };
        if let Some(form) = form {
            return Ok(Self::Token(form.into()));
        }
        let mut deserializer = serde_json::Deserializer::from_str(data);
        match Self::decode_known(event, &mut deserializer) {
            Some(payload) => payload
                .and_then(|payload| deserializer.end().map(|()| payload))
                .map_err(|source| EventDecodeError { event: event.to_owned(), source }),
            None => Ok(Self::Unknown(UnknownEvent { name: event.into(), data: data.into() })),
        }
    }

    /// Reads the payload of an event that this version knows from any deserializer, such as one that keeps
    /// track of the path. `None` when the name is not known; then nothing is read.
    ///
    /// # Errors
    /// When the data does not have the form of the event.
    pub fn decode_known<'de, D: Deserializer<'de>>(
        event: &str,
        deserializer: D,
    ) -> Option<Result<Self, D::Error>> {
        Some(match event {
            "token" => Token::deserialize(deserializer).map(Self::Token),
            "tool_call" => ToolCalled::deserialize(deserializer).map(Self::ToolCall),
            "tool_result" => ToolReturned::deserialize(deserializer).map(Self::ToolResult),
            "steering_request" => SteeringRequested::deserialize(deserializer).map(Self::SteeringRequest),
            "run_status" => RunStatusChanged::deserialize(deserializer).map(Self::RunStatus),
            "filesystem" => FilesystemChanged::deserialize(deserializer).map(Self::Filesystem),
            _ => return None,
        })
    }

    /// Reads a payload whose fields lie among others, which are no fields of the payload.
    pub(crate) fn decode_among(event: &str, data: &str, others: &[&str]) -> Result<Self, EventDecodeError> {
        let mut payload = Self::decode(event, data)?;
        with_payload!(&mut payload, event => event.unknown_fields.remove(others), _unknown => ());
        Ok(payload)
    }

    /// The `data` field of a server-sent event.
    ///
    /// # Errors
    /// Never for payloads made of valid parts; the signature leaves the choice to the caller.
    pub fn to_data(&self) -> Result<String, serde_json::Error> {
        with_payload!(self, event => serde_json::to_string(event), unknown => Ok(unknown.data.to_string()))
    }
}

answer! {
    /// The agent calls a tool.
    pub struct ToolCalled {
        /// The run.
        pub run_id: RunId,
        /// The thread.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub thread_id: Option<ThreadId>,
        /// Ties the call to its result.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub tool_call_id: Option<String>,
        /// The tool's name.
        pub tool: String,
        /// The arguments: a JSON object.
        pub arguments: RawJson,
    }
}

impl ToolCalled {
    /// A call of a tool.
    pub fn new(run_id: RunId, tool: impl Into<String>, arguments: RawJson) -> Self {
        Self {
            run_id,
            thread_id: None,
            tool_call_id: None,
            tool: tool.into(),
            arguments,
            unknown_fields: UnknownFields::default(),
        }
    }
}

setters!(ToolCalled {
    /// Sets the thread.
    thread_id?: ThreadId,
    /// Sets the id that ties the call to its result.
    tool_call_id?: String,
});

answer! {
    /// What a tool answered.
    pub struct ToolReturned {
        /// The run.
        pub run_id: RunId,
        /// The thread.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub thread_id: Option<ThreadId>,
        /// Ties the result to its call.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub tool_call_id: Option<String>,
        /// The tool's name.
        pub tool: String,
        /// The result: any JSON value.
        pub result: RawJson,
    }
}

impl ToolReturned {
    /// A result of a tool.
    pub fn new(run_id: RunId, tool: impl Into<String>, result: RawJson) -> Self {
        Self {
            run_id,
            thread_id: None,
            tool_call_id: None,
            tool: tool.into(),
            result,
            unknown_fields: UnknownFields::default(),
        }
    }
}

setters!(ToolReturned {
    /// Sets the thread.
    thread_id?: ThreadId,
    /// Sets the id that ties the result to its call.
    tool_call_id?: String,
});

answer! {
    /// The agent asks a human. The run waits until a message on its thread answers.
    pub struct SteeringRequested {
        /// The run that waits.
        pub run_id: RunId,
        /// The thread to answer on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub thread_id: Option<ThreadId>,
        /// The question's own id.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub approval_id: Option<ApprovalId>,
        /// The question.
        pub summary: String,
    }
}

impl SteeringRequested {
    /// A question.
    pub fn new(run_id: RunId, summary: impl Into<String>) -> Self {
        Self {
            run_id,
            thread_id: None,
            approval_id: None,
            summary: summary.into(),
            unknown_fields: UnknownFields::default(),
        }
    }
}

setters!(SteeringRequested {
    /// Sets the thread.
    thread_id?: ThreadId,
    /// Sets the question's id.
    approval_id?: ApprovalId,
});

answer! {
    /// A run changed its status.
    pub struct RunStatusChanged {
        /// The run.
        pub run_id: RunId,
        /// The thread.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub thread_id: Option<ThreadId>,
        /// The status from now on.
        pub status: RunStatus,
        /// Why the status is `error`; absent otherwise.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub error: Option<Failure>,
    }
}

impl RunStatusChanged {
    /// A change of status.
    pub fn new(run_id: RunId, status: RunStatus) -> Self {
        Self { run_id, thread_id: None, status, error: None, unknown_fields: UnknownFields::default() }
    }
}

setters!(RunStatusChanged {
    /// Sets the thread.
    thread_id?: ThreadId,
    /// Sets the reason of the status `error`.
    error: Option<Failure>,
});

answer! {
    /// A file of the workspace changed. Only sent when `features.filesystem_webhooks` is on.
    pub struct FilesystemChanged {
        /// The run that changed it; absent for a change from outside a run.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub run_id: Option<RunId>,
        /// The thread of that run.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub thread_id: Option<ThreadId>,
        /// What happened.
        pub change: FileChange,
        /// The path, relative to the root of the workspace.
        pub path: String,
    }
}

impl FilesystemChanged {
    /// A change of a file.
    pub fn new(change: FileChange, path: impl Into<String>) -> Self {
        Self {
            run_id: None,
            thread_id: None,
            change,
            path: path.into(),
            unknown_fields: UnknownFields::default(),
        }
    }
}

setters!(FilesystemChanged {
    /// Sets the run.
    run_id?: RunId,
    /// Sets the thread.
    thread_id?: ThreadId,
});

/// An event that this version does not know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownEvent {
    name: Box<str>,
    data: Box<str>,
}

impl UnknownEvent {
    /// The value of the `event` field.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The value of the `data` field, as it came.
    pub fn data(&self) -> &str {
        &self.data
    }
}

/// The fields of an event's object that are not the payload's. A payload with an unknown field of such a name
/// is kept as text in `data`, as an unknown event is.
const FIELDS_OF_EVENT: [&str; 3] = ["id", "type", "data"];

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Known<'a, T> {
            id: &'a EventId,
            r#type: &'a str,
            #[serde(flatten)]
            payload: &'a T,
        }
        #[derive(Serialize)]
        struct Opaque<'a> {
            id: &'a EventId,
            r#type: &'a str,
            data: &'a str,
        }
        let (id, r#type) = (&self.id, self.payload.name());
        if FIELDS_OF_EVENT.iter().any(|name| self.payload.unknown_fields().get(name).is_some()) {
            let data = self.payload.to_data().map_err(serde::ser::Error::custom)?;
            return Opaque { id, r#type, data: &data }.serialize(serializer);
        }
        with_payload!(&self.payload,
            payload => Known { id, r#type, payload }.serialize(serializer),
            unknown => Opaque { id, r#type, data: &unknown.data }.serialize(serializer))
    }
}

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Head {
            id: EventId,
            r#type: String,
            data: Option<String>,
        }
        let raw = RawJson::deserialize(deserializer)?;
        let Head { id, r#type, data } = raw.decode().map_err(serde::de::Error::custom)?;
        let payload = match data {
            Some(data) => EventPayload::decode(&r#type, &data),
            None => EventPayload::decode_among(&r#type, raw.get(), &FIELDS_OF_EVENT),
        };
        Ok(Self { id, payload: payload.map_err(serde::de::Error::custom)? })
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for EventPayload {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "EventPayload".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "The `data` of a server-sent event; its form follows from the `event` field: \
                `token`, `tool_call`, `tool_result`, `steering_request`, `run_status` or `filesystem`.",
            "anyOf": [
                generator.subschema_for::<Token>(),
                generator.subschema_for::<ToolCalled>(),
                generator.subschema_for::<ToolReturned>(),
                generator.subschema_for::<SteeringRequested>(),
                generator.subschema_for::<RunStatusChanged>(),
                generator.subschema_for::<FilesystemChanged>(),
            ],
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Value};

    use super::*;

    fn samples() -> Vec<EventPayload> {
        let run: RunId = "run_Zz9".parse().unwrap();
        let thread: ThreadId = "thr_default_x1".parse().unwrap();
        vec![
            EventPayload::Token(Token::new(run.clone(), "Hel").thread_id(thread.clone())),
            EventPayload::ToolCall(
                ToolCalled::new(
                    run.clone(),
                    "generate_video",
                    RawJson::parse(r#"{"b":1,"a":[ 2 ]}"#).unwrap(),
                )
                .tool_call_id("call_1"),
            ),
            EventPayload::ToolResult(ToolReturned::new(
                run.clone(),
                "generate_video",
                RawJson::parse("null").unwrap(),
            )),
            EventPayload::SteeringRequest(SteeringRequested::new(run.clone(), "Publish?")),
            EventPayload::RunStatus(
                RunStatusChanged::new(run.clone(), RunStatus::Error).error(Failure::new("boom", "It broke.")),
            ),
            EventPayload::Filesystem(
                FilesystemChanged::new(FileChange::Created, "notes/plan.md").run_id(run).thread_id(thread),
            ),
        ]
    }

    #[test]
    fn every_payload_survives_both_forms() {
        for payload in samples() {
            let data = payload.to_data().unwrap();
            assert_eq!(EventPayload::decode(payload.name(), &data).unwrap(), payload);
            let event = Event::new("evt_1".parse().unwrap(), payload);
            let text = serde_json::to_string(&event).unwrap();
            assert_eq!(serde_json::from_str::<Event>(&text).unwrap(), event, "{text}");
        }
    }

    /// The data of an event that this version knows, with fields that it does not know.
    fn with_unknown_fields() -> impl Strategy<Value = (String, Map<String, Value>, String)> {
        let value = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            ".{0,8}".prop_map(Value::from),
        ];
        let value = value.prop_recursive(2, 8, 3, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                proptest::collection::btree_map(".{0,4}", inner, 0..3)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        });
        let name = prop_oneof!["later_[a-z\u{e9}\"]{0,4}", "id|type|data|deployment_id|event_id"];
        let unknown = proptest::collection::btree_map(name, value, 0..4);
        (proptest::sample::select(samples()), unknown).prop_map(|(sample, unknown)| {
            let unknown: Map<String, Value> = unknown.into_iter().collect();
            let mut fields: Map<String, Value> = serde_json::from_str(&sample.to_data().unwrap()).unwrap();
            fields.extend(unknown.clone());
            (sample.name().to_owned(), unknown, Value::Object(fields).to_string())
        })
    }

    proptest! {
        #[test]
        fn fields_of_tomorrow_survive_both_forms((name, unknown, data) in with_unknown_fields()) {
            let payload = EventPayload::decode(&name, &data).unwrap();
            let kept = serde_json::to_value(payload.unknown_fields()).unwrap();
            prop_assert_eq!(kept, Value::Object(unknown));
            let told: Value = serde_json::from_str(&payload.to_data().unwrap()).unwrap();
            prop_assert_eq!(told, serde_json::from_str::<Value>(&data).unwrap());
            let event = Event::new("evt_1".parse().unwrap(), payload);
            let text = serde_json::to_string(&event).unwrap();
            prop_assert_eq!(serde_json::from_str::<Event>(&text).unwrap(), event);
        }
    }

    #[test]
    fn a_field_that_comes_twice_is_an_error() {
        let error =
            EventPayload::decode("token", r#"{"run_id":"run_1","delta":"a","delta":"b"}"#).unwrap_err();
        assert!(error.to_string().contains("duplicate field"), "{error}");
        let twice = r#"{"run_id":"run_1","delta":"a","later":1,"later":2}"#;
        assert_eq!(
            EventPayload::decode("token", twice).unwrap().unknown_fields().get("later").unwrap().get(),
            "2"
        );
    }

    #[test]
    fn what_may_be_absent_may_be_null() {
        let payload =
            EventPayload::decode("token", r#"{"run_id":"run_1","thread_id":null,"delta":"a"}"#).unwrap();
        assert_eq!(payload.thread_id(), None);
        assert!(EventPayload::decode("token", r#"{"run_id":null,"delta":"a"}"#).is_err());
    }

    #[test]
    fn an_unknown_event_is_kept_even_when_its_data_is_not_json() {
        let payload = EventPayload::decode("dream", "not json").unwrap();
        assert_eq!((payload.name(), payload.to_data().unwrap().as_str()), ("dream", "not json"));
        let event = Event::new("evt_1".parse().unwrap(), payload);
        let text = serde_json::to_string(&event).unwrap();
        assert_eq!(serde_json::from_str::<Event>(&text).unwrap(), event);
    }

    #[test]
    fn a_malformed_known_event_is_an_error() {
        let error = EventPayload::decode("token", r#"{"run_id":"run_1"}"#).unwrap_err();
        assert!(error.to_string().contains("delta"), "{error}");
    }
}
