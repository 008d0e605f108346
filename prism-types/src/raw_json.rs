//! JSON kept as text.

use std::fmt;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;

/// A JSON value kept byte for byte as it came.
///
/// Two values are equal when their texts are.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RawJson(Box<RawValue>);

impl RawJson {
    /// Keeps `text`, which must be one JSON value.
    ///
    /// # Errors
    /// When `text` is not valid JSON.
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        Ok(Self(RawValue::from_string(text.to_owned())?))
    }

    /// The JSON of any serialisable value.
    ///
    /// # Errors
    /// When the value cannot be JSON, such as a map whose keys are not strings.
    pub fn of<T: Serialize + ?Sized>(value: &T) -> Result<Self, serde_json::Error> {
        Ok(Self(serde_json::value::to_raw_value(value)?))
    }

    /// The text.
    pub fn get(&self) -> &str {
        self.0.get()
    }

    /// Reads the value as a type of the caller's choice.
    ///
    /// # Errors
    /// When the JSON does not have the form of `T`.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.get())
    }
}

impl PartialEq for RawJson {
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}

impl Eq for RawJson {}

impl fmt::Debug for RawJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.get())
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for RawJson {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "AnyValue".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!(true)
    }
}

/// A member of a tagged union that this version does not know, kept whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownVariant {
    tag: String,
    raw: RawJson,
}

impl UnknownVariant {
    pub(crate) fn new(tag: String, raw: RawJson) -> Self {
        Self { tag, raw }
    }

    /// The value of the tag.
    pub fn tag(&self) -> &str {
        &self.tag
    }

    /// The whole object.
    pub fn raw(&self) -> &RawJson {
        &self.raw
    }
}
