//! Documents made from schemas.

use serde_json::{Map, Value, json};

/// The name of the field that no type knows.
pub(crate) const UNKNOWN: &str = "a_field_of_tomorrow";

/// How a document is made.
#[derive(Clone, Copy)]
pub(crate) struct Sample<'a> {
    /// The definitions that the schema refers to.
    pub(crate) definitions: &'a Value,
    /// What stands for every value of an enum; `None`: one that is known.
    pub(crate) enum_value: Option<&'a str>,
    /// Whether fields that can be left out are there.
    pub(crate) optional: bool,
    /// Whether every object of a type that does not refuse it has the field [`UNKNOWN`].
    pub(crate) unknown: bool,
}

impl<'a> Sample<'a> {
    /// A document with every field that is known.
    pub(crate) fn new(schema: &'a Value) -> Self {
        Self { definitions: &schema["$defs"], enum_value: None, optional: true, unknown: false }
    }

    /// The document.
    pub(crate) fn of(self, schema: &Value) -> Value {
        if let Some(name) = schema["$ref"].as_str() {
            return self.of(resolve(self.definitions, name));
        }
        for choice in ["anyOf", "oneOf"] {
            if let Some(members) = schema[choice].as_array() {
                return members
                    .iter()
                    .find(|member| member["type"] != "null")
                    .map(|first| self.of(first))
                    .unwrap();
            }
        }
        if let Some(constant) = schema.get("const") {
            return constant.clone();
        }
        if let Some(known) = schema.get("enum") {
            return self.enum_value.map_or_else(|| known[0].clone(), Value::from);
        }
        match type_of(schema) {
            "object" => self.object(schema),
            "array" => json!([self.of(&schema["items"])]),
            "string" => text(schema).into(),
            "integer" => json!(7),
            "boolean" => json!(true),
            "any" => json!({ "any": [1, 2.5, null] }),
            other => panic!("no sample of {other}: {schema}"),
        }
    }

    fn object(self, schema: &Value) -> Value {
        let Some(properties) = schema["properties"].as_object() else {
            return json!({ "A": self.of(&schema["additionalProperties"]) });
        };
        let is_there = |name: &String| self.optional || is_required(schema, name);
        let mut fields: Map<_, _> = properties
            .iter()
            .filter(|(name, _)| is_there(name))
            .map(|(name, property)| (name.clone(), self.of(property)))
            .collect();
        if self.unknown && !is_closed(schema) {
            fields.insert(UNKNOWN.to_owned(), json!(0));
        }
        fields.into()
    }
}

/// The definition that `reference` names.
pub(crate) fn resolve<'a>(definitions: &'a Value, reference: &str) -> &'a Value {
    let name = reference.strip_prefix("#/$defs/").unwrap();
    definitions.get(name).unwrap_or_else(|| panic!("no definition {name}"))
}

/// Whether the type refuses fields that it does not know, as requests do.
pub(crate) fn is_closed(schema: &Value) -> bool {
    schema["additionalProperties"] == false
}

/// Whether the field cannot be left out.
pub(crate) fn is_required(schema: &Value, name: &str) -> bool {
    schema["required"].as_array().is_some_and(|required| required.iter().any(|each| each == name))
}

fn type_of(schema: &Value) -> &str {
    match &schema["type"] {
        Value::String(one) => one,
        Value::Array(several) => {
            several.iter().filter_map(Value::as_str).find(|&each| each != "null").unwrap()
        }
        _ => "any",
    }
}

/// A text of the form that ids, secrets, times and targets are held to. Other texts are held to none when they are read.
fn text(schema: &Value) -> String {
    if schema["format"] == "date-time" {
        return "2026-06-11T20:55:03.000Z".to_owned();
    }
    let pattern = schema["pattern"].as_str().unwrap_or_default();
    if pattern.starts_with("^(new|") {
        return "new".to_owned();
    }
    let literal = pattern.trim_start_matches('^').split(|c: char| !c.is_ascii_lowercase() && c != '_').next();
    match literal {
        Some(prefix) if prefix.ends_with('_') => format!("{prefix}{}", "A".repeat(32)),
        _ => "text".to_owned(),
    }
}
