//! Members of unions that are not known: sources of skills, events, and messages to webhooks.

use prism_types::{
    EventPayload, Skill, SkillSource, WebhookContent, WebhookEventType, WebhookMessage, schema,
};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::{
    json::{object, quoted, value},
    sample::{Sample, UNKNOWN},
};

/// The unions that a tag in the object tells apart.
const TAGGED: &[&str] = &["Skill"];

/// The names of all events that are known.
fn events() -> impl Iterator<Item = &'static str> {
    WebhookEventType::KNOWN.iter().copied().filter(|&name| name != "*").chain(["token"])
}

/// The object with one more field in front.
fn with(name: &str, value: &str, object: &str) -> String {
    let rest = &object[1..];
    let comma = if rest.trim_start().starts_with('}') { "" } else { "," };
    format!("{{{name}:{value}{comma}{rest}", name = quoted(name))
}

#[test]
fn every_union_is_tested_here() {
    let is_tagged = |schema: &Value| {
        let members = schema["oneOf"].as_array();
        members.is_some_and(|members| members.iter().any(|member| member["properties"].is_object()))
    };
    let found: Vec<_> = schema::components().into_iter().filter(|(_, schema)| is_tagged(schema)).collect();
    assert_eq!(found.iter().map(|(name, _)| name).collect::<Vec<_>>(), TAGGED);
}

proptest! {
    #[test]
    fn any_source_of_a_skill_that_is_not_known_is_written_as_it_was_read(tag in any::<String>(), rest in object()) {
        prop_assume!(!SkillSource::from(tag.as_str()).is_known());
        let text = with("source", &quoted(&tag), &rest);
        let skill: Skill = serde_json::from_str(&text).unwrap();
        let Skill::Unknown(unknown) = &skill else { panic!("{skill:?}") };
        prop_assert_eq!(unknown.tag(), tag);
        prop_assert_eq!(serde_json::to_string(&skill).unwrap(), text);
    }

    #[test]
    fn any_event_that_is_not_known_is_written_as_it_was_read(name in any::<String>(), data in any::<String>()) {
        prop_assume!(events().all(|known| known != name));
        let payload = EventPayload::decode(&name, &data).unwrap();
        prop_assert_eq!(payload.name(), name);
        prop_assert_eq!(payload.to_data().unwrap(), data);
    }

    #[test]
    fn any_message_that_is_not_known_is_written_as_it_was_read(name in any::<String>(), data in value()) {
        prop_assume!(events().chain(["ping"]).all(|known| known != name));
        assert_message_is_kept(&name, &data);
    }

    #[test]
    fn so_is_one_that_tells_of_an_event(name in any::<String>(), data in object()) {
        prop_assume!(events().chain(["ping"]).all(|known| known != name));
        let data = with("event_id", r#""evt_1""#, &with("deployment_id", r#""dep_1""#, &data));
        assert_message_is_kept(&name, &data);
    }
}

#[test]
fn so_is_what_a_test_of_a_webhook_tells_besides() {
    let message = json!({ "type": "ping", "timestamp": "2026-06-11T20:55:03.000Z", UNKNOWN: [1],
        "data": { "webhook_id": "whe_1", UNKNOWN: { "a": 2 } } });
    let read: WebhookMessage = serde_json::from_value(message.clone()).unwrap();
    assert!(matches!(&read.content, WebhookContent::Ping(ping) if ping.unknown_fields().len() == 1));
    assert_eq!(serde_json::to_value(&read).unwrap(), message);
}

fn assert_message_is_kept(name: &str, data: &str) {
    let head = format!(r#"{{"type":{},"timestamp":"2026-06-11T20:55:03.000Z""#, quoted(name));
    let text = format!(r#"{head},"data":{data}}}"#);
    let message: WebhookMessage = serde_json::from_str(&text).unwrap();
    assert_eq!(serde_json::to_string(&message).unwrap(), text);
}

#[test]
fn an_error_of_a_known_source_names_the_field() {
    let all = schema::all();
    let schema = all.into_iter().find(|named| named.name == "Skill").unwrap().schema.to_value();
    for member in schema["$defs"]["Skill"]["oneOf"].as_array().unwrap() {
        let whole = Sample::new(&schema).of(member);
        serde_json::from_value::<Skill>(whole.clone()).unwrap();
        for field in whole.as_object().unwrap().keys() {
            let mut rest = whole.clone();
            rest.as_object_mut().unwrap().remove(field);
            let error = serde_json::from_value::<Skill>(rest).unwrap_err().to_string();
            assert!(error.contains(&format!("missing field `{field}`")), "{whole} without {field}: {error}");
        }
        let mut more = whole.clone();
        more[UNKNOWN] = json!(1);
        let error = serde_json::from_value::<Skill>(more).unwrap_err().to_string();
        assert!(error.contains(UNKNOWN), "{error}");
    }
}

#[test]
fn an_error_of_a_known_event_names_the_event_and_the_field() {
    for name in events() {
        let error = EventPayload::decode(name, "{}").unwrap_err().to_string();
        assert!(error.contains(name) && error.contains("missing field `"), "{error}");
        let message = json!({ "type": name, "timestamp": "2026-06-11T20:55:03.000Z",
            "data": { "deployment_id": "dep_1", "event_id": "evt_1" } });
        let error = serde_json::from_value::<WebhookMessage>(message).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains("missing field `"), "{error}");
    }
}
