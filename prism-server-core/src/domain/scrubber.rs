//! Taking secrets out of what leaves a sandbox.

use std::borrow::Cow;

use serde_json::Value;

/// What stands where a secret was.
pub const REDACTED: &str = "[redacted]";

/// Finds the values of secrets. Default: there are none.
#[derive(Clone, Default)]
pub struct Scrubber {
    values: Vec<String>,
}

impl Scrubber {
    /// A scrubber of these values.
    pub fn new(values: impl IntoIterator<Item = String>) -> Self {
        Self { values: values.into_iter().filter(|value| !value.is_empty()).collect() }
    }

    /// Whether there is nothing to find.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The text with every secret replaced by [`REDACTED`].
    pub fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut scrubbed = Cow::Borrowed(text);
        for value in &self.values {
            if scrubbed.contains(value.as_str()) {
                scrubbed = Cow::Owned(scrubbed.replace(value.as_str(), REDACTED));
            }
        }
        scrubbed
    }

    /// The JSON value with every secret in its strings and keys replaced.
    pub fn json(&self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(&text).into_owned()),
            Value::Array(items) => Value::Array(items.into_iter().map(|item| self.json(item)).collect()),
            Value::Object(fields) => Value::Object(
                fields
                    .into_iter()
                    .map(|(name, value)| (self.text(&name).into_owned(), self.json(value)))
                    .collect(),
            ),
            other => other,
        }
    }

    /// Whether a secret may begin in the text and end in what follows it.
    pub fn may_continue(&self, text: &str) -> bool {
        self.values.iter().any(|value| {
            (1..value.len()).any(|length| value.is_char_boundary(length) && text.ends_with(&value[..length]))
        })
    }
}

impl std::fmt::Debug for Scrubber {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scrubber").field("values", &self.values.len()).finish()
    }
}
