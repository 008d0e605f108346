//! Taking secrets out of what leaves a sandbox, or goes into one.
//!
//! A secret seldom stays as it is: it is put into JSON, into a URL, into a header. So the forms of every
//! secret are looked for, all of them in one pass. Every occurrence counts, also one that overlaps another, so
//! that nothing is left of either.
//!
//! This finds what slips out by mistake. It cannot stop somebody who has a secret and wants to tell it: there is
//! always one more way to write it.

mod automaton;
mod forms;
mod stream;

use std::{borrow::Cow, sync::Arc};

use serde_json::Value;
use zeroize::Zeroizing;

use self::automaton::Automaton;
pub use self::{
    forms::{LONG, SHORTEST},
    stream::ScrubbedStream,
};

/// What stands where a secret was.
pub const REDACTED: &str = "[redacted]";

/// Finds the values of secrets: as they are, in JSON, in hexadecimal, in base64 and percent-encoded. Default:
/// there are none.
///
/// White space around a value does not count. What is then shorter than [`SHORTEST`] bytes is not looked for.
/// Of a value longer than [`LONG`] bytes, hexadecimal and percent-encoded forms are not looked for.
#[derive(Clone, Default)]
pub struct Scrubber {
    /// `None`: there is nothing to find.
    automaton: Option<Arc<Automaton>>,
}

impl Scrubber {
    /// A scrubber of these values. Takes some 300 bytes of memory for each byte of them, and up to 1,400 where
    /// nearly every byte has to be escaped somewhere.
    pub fn new(values: impl IntoIterator<Item = String>) -> Self {
        let mut patterns = Vec::new();
        for value in values {
            forms::add(Zeroizing::new(value).as_str(), &mut patterns);
        }
        patterns.sort_unstable_by(|one, other| one.as_slice().cmp(other.as_slice()));
        patterns.dedup();
        Self { automaton: Automaton::new(&patterns).map(Arc::new) }
    }

    /// Whether there is nothing to find.
    pub fn is_empty(&self) -> bool {
        self.automaton.is_none()
    }

    /// The text with every secret replaced by [`REDACTED`].
    pub fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match self.bytes(text.as_bytes()) {
            Cow::Borrowed(_) => Cow::Borrowed(text),
            // Secrets are text, so what is left of a text without them is text.
            Cow::Owned(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
        }
    }

    /// The bytes with every secret replaced by [`REDACTED`].
    pub fn bytes<'a>(&self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        if self.is_empty() {
            return Cow::Borrowed(bytes);
        }
        let mut stream = self.stream();
        let mut scrubbed = stream.push(bytes);
        scrubbed.extend(stream.finish());
        if stream.has_found() { Cow::Owned(scrubbed) } else { Cow::Borrowed(bytes) }
    }

    /// The JSON value with every secret in its strings, keys and numbers replaced.
    pub fn json(&self, value: Value) -> Value {
        if self.is_empty() {
            return value;
        }
        match value {
            Value::String(text) => Value::String(self.text(&text).into_owned()),
            Value::Array(items) => Value::Array(items.into_iter().map(|item| self.json(item)).collect()),
            Value::Object(fields) => Value::Object(
                fields
                    .into_iter()
                    .map(|(name, value)| (self.text(&name).into_owned(), self.json(value)))
                    .collect(),
            ),
            Value::Number(number) => match self.text(&number.to_string()) {
                Cow::Borrowed(_) => Value::Number(number),
                Cow::Owned(scrubbed) => Value::String(scrubbed),
            },
            other @ (Value::Null | Value::Bool(_)) => other,
        }
    }

    /// Whether a secret may begin in the text and end in what follows it.
    pub fn may_continue(&self, text: &str) -> bool {
        self.automaton.as_deref().is_some_and(|automaton| {
            let longest = automaton.longest().saturating_sub(1);
            let end = &text.as_bytes()[text.len().saturating_sub(longest)..];
            let state = end.iter().fold(automaton.start(), |state, byte| automaton.next(state, *byte));
            automaton.begun(state) > 0
        })
    }

    /// A scrubber of bytes that come piece by piece.
    pub fn stream(&self) -> ScrubbedStream {
        ScrubbedStream::new(self.automaton.clone())
    }
}

impl std::fmt::Debug for Scrubber {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let forms = self.automaton.as_deref().map_or(0, Automaton::patterns);
        f.debug_struct("Scrubber").field("forms", &forms).finish()
    }
}

#[cfg(test)]
mod tests;
