//! Every public type is registered, or is said here to be none that travels on its own.

use std::collections::BTreeSet;

use prism_types::{
    ApiKeyId, Event, InstanceId, Page, Patch, RawJson, RequestId, TenantId, UnknownFields, UploadId,
    VersionId, WebhookPing, schema,
};
use serde::{Serialize, de::DeserializeOwned};

/// Types that are written and read, and have no schema of their own, with the reason.
const WITHOUT_SCHEMA: &[(&str, &str)] = &[
    ("ApiKeyId", "stands in no document"),
    ("Event", "`EventPayload` is registered; the form with id and type is for logs"),
    ("InstanceId", "stands in no document"),
    ("Page", "registered once for each kind of item"),
    ("Patch", "is the schema of what it patches"),
    ("RawJson", "is any value"),
    ("RequestId", "stands in a header"),
    ("TenantId", "stands in no document"),
    ("UploadId", "stands in the document of agent deployments, with what has it"),
    ("VersionId", "stands in no document"),
    ("WebhookPing", "is the data of a `WebhookMessage`, which is any value"),
];

/// Types that are not both written and read, with the reason.
const NOT_WIRE_TYPES: &[(&str, &str)] = &[
    ("EventDecodeError", "an error"),
    ("EventPayload", "is read by the name of its event: `decode` and `to_data`"),
    ("IdError", "an error"),
    ("InvalidWebhookSecret", "an error"),
    ("Secret", "must not be written by accident: who sends one calls `expose`"),
    ("TimestampError", "an error"),
    ("UnknownEvent", "is a part of `EventPayload`"),
    ("UnknownFields", "are a part of every answer; reading them alone means nothing"),
    ("UnknownValue", "is a part of every enum"),
    ("UnknownVariant", "is a part of `Skill`"),
    ("WebhookContent", "is read by the type of its `WebhookMessage`"),
    ("WebhookEvent", "is a part of `WebhookContent`"),
];

/// Types of the module `nullspace` that are not both registered and of that name, with the reason.
#[cfg(feature = "nullspace")]
const NULLSPACE_WITHOUT_SCHEMA: &[(&str, &str)] =
    &[("Envs", "is a map of texts wherever it stands"), ("JsonObject", "is any object")];

/// What `lib.rs` exports, by its text.
fn exported() -> BTreeSet<&'static str> {
    exported_by(include_str!("../../src/lib.rs"))
}

fn exported_by(source: &'static str) -> BTreeSet<&'static str> {
    let uses = source.split("\npub use ").skip(1).filter_map(|rest| rest.split_once(';'));
    let words = uses.flat_map(|(names, _)| names.split(|c: char| !c.is_alphanumeric()));
    words.filter(|word| word.starts_with(|c: char| c.is_ascii_uppercase())).collect()
}

#[test]
fn every_exported_type_is_registered_or_said_not_to_be() {
    let mut said: Vec<_> = schema::components().into_iter().map(|(name, _)| name).collect();
    said.extend(WITHOUT_SCHEMA.iter().chain(NOT_WIRE_TYPES).map(|(name, _)| (*name).to_owned()));
    let exported = exported();
    assert!(exported.len() > 100, "{exported:?}");
    for name in exported {
        assert!(
            said.iter().any(|each| each == name),
            "{name} is exported: add it to schema.rs, or say why not"
        );
    }
}

#[cfg(feature = "nullspace")]
#[test]
fn every_exported_type_of_the_module_nullspace_is_registered_or_said_not_to_be() {
    let registered = schema::nullspace().into_iter();
    let mut said: BTreeSet<String> = registered
        .flat_map(|named| named.schema.as_value()["$defs"].as_object().cloned().unwrap_or_default())
        .map(|(name, _)| name)
        .collect();
    let exported = exported_by(include_str!("../../src/nullspace/mod.rs"));
    assert!(exported.len() > 50, "{exported:?}");
    for (name, _) in NULLSPACE_WITHOUT_SCHEMA {
        assert!(exported.contains(name) && said.insert((*name).to_owned()), "take {name} off the list");
    }
    let missing: Vec<_> = exported.into_iter().filter(|name| !said.contains(*name)).collect();
    assert!(missing.is_empty(), "add these to schema.rs, or say why not: {missing:?}");
}

#[test]
fn a_type_that_is_said_not_to_be_registered_is_not() {
    let exported = exported();
    let all = schema::all();
    for (name, reason) in WITHOUT_SCHEMA.iter().chain(NOT_WIRE_TYPES) {
        assert!(exported.contains(name), "{name} is gone: take it off the list");
        let registered = all.iter().find(|named| named.name == *name);
        assert!(registered.is_none_or(|named| named.round_trip("null").is_none()), "{name}: {reason}");
    }
}

/// What is registered has to be both, or `schema.rs` does not compile. These are the others.
#[test]
fn every_type_without_a_schema_is_written_and_read() {
    /// The name of a type that is both.
    fn both<T: Serialize + DeserializeOwned>() -> &'static str {
        let path = std::any::type_name::<T>();
        let path = path.split_once('<').map_or(path, |(path, _)| path);
        path.rsplit_once("::").map_or(path, |(_, name)| name)
    }
    let both = [
        both::<ApiKeyId>(),
        both::<Event>(),
        both::<InstanceId>(),
        both::<Page<Event>>(),
        both::<Patch<bool>>(),
        both::<RawJson>(),
        both::<RequestId>(),
        both::<TenantId>(),
        both::<UploadId>(),
        both::<VersionId>(),
        both::<WebhookPing>(),
    ];
    assert_eq!(both.to_vec(), WITHOUT_SCHEMA.iter().map(|(name, _)| *name).collect::<Vec<_>>());
}

#[test]
fn an_answer_of_this_version_has_no_unknown_fields() {
    assert!(Page::<Event>::new(Vec::new(), None).unknown_fields().is_empty());
    assert_eq!(UnknownFields::default().len(), 0);
}
