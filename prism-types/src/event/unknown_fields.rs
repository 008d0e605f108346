//! Fields that a later version added to a payload.

use std::sync::LazyLock;

use serde::Serialize;
use serde_json::{Map, Value};

/// The fields of a payload that this version does not know. There hardly ever are any, so that none cost one
/// pointer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(super) struct UnknownFields(Option<Box<Map<String, Value>>>);

impl UnknownFields {
    pub(super) fn get(&self) -> &Map<String, Value> {
        self.0.as_deref().unwrap_or_else(|| Self::none())
    }

    /// The fields of a payload that has none.
    pub(super) fn none() -> &'static Map<String, Value> {
        static NONE: LazyLock<Map<String, Value>> = LazyLock::new(Map::new);
        &NONE
    }

    /// Adds a field; of two with the same name the last one stays, as JSON parsers do.
    pub(super) fn insert(&mut self, name: String, value: Value) {
        self.0.get_or_insert_default().insert(name, value);
    }

    /// Takes out the fields of whatever the payload lay in.
    pub(super) fn remove(&mut self, names: &[&str]) {
        if let Some(fields) = &mut self.0 {
            fields.retain(|name, _| !names.contains(&name.as_str()));
            if fields.is_empty() {
                self.0 = None;
            }
        }
    }
}

/// Implements `unknown_fields` of a payload.
macro_rules! unknown_fields {
    ($($type:ident),+) => { $(
        impl $type {
            /// The fields that the server sent and this version does not know, by name. They are written back
            /// with the others.
            pub fn unknown_fields(&self) -> &serde_json::Map<String, serde_json::Value> {
                self.unknown.get()
            }
        }
    )+ };
}

pub(super) use unknown_fields;
