//! JSON objects of whatever fields.

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{DeserializeOwned, Error},
};

use crate::RawJson;

/// A JSON object whose fields are the caller's, kept byte for byte as it came. Default: `{}`.
///
/// ```
/// use prism_types::nullspace::JsonObject;
///
/// let input = JsonObject::parse(r#"{"question":42}"#)?;
/// assert_eq!(input.get(), r#"{"question":42}"#);
/// assert!(JsonObject::parse("42").is_err());
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct JsonObject(RawJson);

impl JsonObject {
    /// Keeps `text`.
    ///
    /// # Errors
    /// When `text` is not one JSON object.
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// The JSON of a value that is an object: a struct, or a map with names.
    ///
    /// # Errors
    /// When the value cannot be JSON, or is no object.
    pub fn of<T: Serialize + ?Sized>(value: &T) -> Result<Self, serde_json::Error> {
        Self::checked(RawJson::of(value)?)
    }

    /// The JSON of a type of this crate, which is made of structs, texts and numbers only.
    pub(super) fn of_ours<T: Serialize>(value: &T) -> Self {
        Self::of(value).unwrap_or_else(|_| unreachable!("structs of texts and numbers are JSON objects"))
    }

    /// The text.
    pub fn get(&self) -> &str {
        self.0.get()
    }

    /// Reads the object as a type of the caller's choice.
    ///
    /// # Errors
    /// When the JSON does not have the form of `T`.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        self.0.decode()
    }

    fn checked<E: Error>(json: RawJson) -> Result<Self, E> {
        if json.get().starts_with('{') { Ok(Self(json)) } else { Err(E::custom("expected an object")) }
    }
}

impl Default for JsonObject {
    fn default() -> Self {
        #[derive(Serialize)]
        struct Empty {}
        Self::of_ours(&Empty {})
    }
}

impl<'de> Deserialize<'de> for JsonObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::checked(RawJson::deserialize(deserializer)?)
    }
}

impl fmt::Debug for JsonObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.get())
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for JsonObject {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "AnyObject".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "object" })
    }
}

#[cfg(test)]
mod tests {
    use super::JsonObject;

    #[test]
    fn only_objects_are_taken_and_spaces_around_them_are_not_kept() {
        for text in ["null", "[]", "1", "\"{\"", "{", "{}{}", ""] {
            assert!(JsonObject::parse(text).is_err(), "{text}");
        }
        assert!(JsonObject::of(&[1]).is_err());
        assert_eq!(JsonObject::parse(" { \"a\":1.0 } ").unwrap().get(), "{ \"a\":1.0 }");
        assert_eq!(JsonObject::default().get(), "{}");
    }

    #[test]
    fn what_serde_has_read_before_is_an_object_as_well() {
        let value = serde_json::json!({ "a": [1, null] });
        let object: JsonObject = serde_json::from_value(value.clone()).unwrap();
        assert_eq!(object.decode::<serde_json::Value>().unwrap(), value);
    }
}
