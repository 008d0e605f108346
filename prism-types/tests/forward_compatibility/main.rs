//! What this version does not know goes through it unharmed: values of enums, members of unions, and fields.
//!
//! The types and their documents are taken from the registry of schemas, so that a new type is tested as soon as it is
//! there. Therefore these tests need the feature `schema`.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod json;
mod sample;
mod travellers;
mod unions;

use std::sync::LazyLock;

use prism_types::schema::{self, NamedSchema};
use proptest::prelude::*;
use sample::{Sample, UNKNOWN};
use serde_json::Value;

/// A registered type that can be read.
struct Type {
    /// Whether it is one of the module `nullspace`.
    is_nullspace: bool,
    named: NamedSchema,
    schema: Value,
}

static TYPES: LazyLock<Vec<Type>> = LazyLock::new(|| {
    let native = schema::all().into_iter().map(|named| (false, named));
    #[cfg(feature = "nullspace")]
    let native = native.chain(schema::nullspace().into_iter().map(|named| (true, named)));
    let all = native.filter(|(_, named)| named.round_trip("null").is_some());
    all.map(|(is_nullspace, named)| Type { is_nullspace, schema: named.schema.clone().to_value(), named })
        .collect()
});

impl Type {
    /// The document as this version writes it after it has read it.
    fn round_trip(&self, json: &str) -> Result<String, serde_json::Error> {
        self.named.round_trip(json).unwrap()
    }

    fn sample(&self) -> Sample<'_> {
        Sample::new(&self.schema)
    }

    /// The definition of the type itself.
    fn definition(&self) -> &Value {
        sample::resolve(&self.schema["$defs"], self.schema["$ref"].as_str().unwrap())
    }

    fn assert_unchanged(&self, document: &Value) {
        let name = self.named.name;
        let written =
            self.round_trip(&document.to_string()).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(&serde_json::from_str::<Value>(&written).unwrap(), document, "{name}");
    }
}

#[test]
fn every_document_with_all_its_fields_is_written_as_it_was_read() {
    for each in TYPES.iter() {
        each.assert_unchanged(&each.sample().of(&each.schema));
    }
}

#[test]
fn what_a_schema_requires_is_enough_and_what_is_written_is_read_again() {
    for each in TYPES.iter() {
        let smallest = Sample { optional: false, ..each.sample() }.of(&each.schema);
        let written = each.round_trip(&smallest.to_string());
        let written = written.unwrap_or_else(|error| panic!("{}: {error}: {smallest}", each.named.name));
        assert_eq!(each.round_trip(&written).unwrap(), written, "{}", each.named.name);
    }
}

#[test]
fn a_document_without_a_required_field_is_refused_by_its_name() {
    for each in TYPES.iter() {
        let whole = each.sample().of(&each.schema);
        let fields = whole.as_object().unwrap();
        for missing in fields.keys().filter(|name| sample::is_required(each.definition(), name)) {
            let mut rest = fields.clone();
            rest.remove(missing);
            let refused = each.round_trip(&Value::from(rest).to_string());
            let error = refused.expect_err(missing).to_string();
            assert!(
                error.contains(&format!("`{missing}`")),
                "{} without {missing}: {error}",
                each.named.name
            );
        }
    }
}

#[test]
fn requests_refuse_fields_that_they_do_not_know() {
    let mut requests = 0;
    for each in TYPES.iter().filter(|each| sample::is_closed(each.definition())) {
        requests += 1;
        let mut document = each.sample().of(&each.schema);
        document[UNKNOWN] = 0.into();
        let error = each.round_trip(&document.to_string()).unwrap_err().to_string();
        assert!(error.contains(UNKNOWN), "{}: {error}", each.named.name);
    }
    assert!(requests > 20, "{requests}");
}

#[test]
fn a_request_that_requires_fields_is_shown_not_to_compile_without_them() {
    let shown = |is_nullspace: bool| match is_nullspace {
        false => include_str!("../../src/required.rs"),
        true => include_str!("../../src/nullspace/required.rs"),
    };
    let requires =
        |each: &&Type| sample::is_closed(each.definition()) && each.definition()["required"].is_array();
    for each in TYPES.iter().filter(requires) {
        let name = each.named.name;
        let line = format!("\"{name}\", \"::");
        assert!(shown(each.is_nullspace).contains(&line), "add {name} to required.rs");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_value_of_any_enum_is_written_as_it_was_read(text in any::<String>()) {
        for each in TYPES.iter() {
            each.assert_unchanged(&Sample { enum_value: Some(&text), ..each.sample() }.of(&each.schema));
        }
    }

    #[test]
    fn any_field_that_is_not_known_is_kept_byte_for_byte_at_every_depth(value in json::value()) {
        let field = format!(r#""{UNKNOWN}":"#);
        let (known, unknown) = (format!("{field}0"), format!("{field}{value}"));
        for each in TYPES.iter() {
            let name = each.named.name;
            let document = Sample { unknown: true, ..each.sample() }.of(&each.schema).to_string();
            let written = each.round_trip(&document.replace(&known, &unknown)).unwrap();
            let written = written.replace(&unknown, &known);
            let [written, document] = [written, document].map(|text| serde_json::from_str::<Value>(&text).unwrap());
            prop_assert_eq!(written, document, "{}", name);
        }
    }
}
