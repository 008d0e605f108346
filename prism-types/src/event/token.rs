//! The event that comes most often: a piece of text.

use serde::Serialize;

use super::{
    fields::read_fields,
    unknown_fields::{UnknownFields, unknown_fields},
};
use crate::{RunId, ThreadId, macros::setters};

/// A piece of the agent's text. The whole text is the concatenation of all pieces of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Token {
    /// The run.
    pub run_id: RunId,
    /// The thread.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread_id: Option<ThreadId>,
    /// The piece of text.
    pub delta: String,
    #[serde(flatten)]
    #[cfg_attr(feature = "schema", schemars(skip))]
    pub(super) unknown: UnknownFields,
}

impl Token {
    /// A piece of text of a run.
    pub fn new(run_id: RunId, delta: impl Into<String>) -> Self {
        Self { run_id, thread_id: None, delta: delta.into(), unknown: UnknownFields::default() }
    }

    /// Reads the form in which Prism writes tokens, in a fraction of the time that is needed for any form
    /// that JSON allows. `None` says nothing but that it has another form.
    pub(super) fn read_usual_form(data: &str) -> Option<Self> {
        let (run_id, rest) = split_at_quote(data.strip_prefix(r#"{"run_id":""#)?)?;
        let (thread_id, rest) = match rest.strip_prefix(r#"","thread_id":""#) {
            Some(rest) => split_at_quote(rest).map(|(id, rest)| (Some(id), rest))?,
            None => (None, rest),
        };
        let delta = rest.strip_prefix(r#"","delta":""#)?.strip_suffix(r#""}"#)?;
        let plain = is_plain(delta.as_bytes());
        Some(Self {
            run_id: run_id.parse().ok()?,
            thread_id: thread_id.map(str::parse).transpose().ok()?,
            delta: if plain { delta.to_owned() } else { unescape(rest)? },
            unknown: UnknownFields::default(),
        })
    }
}

/// What comes before the next quote, and the rest from the quote on.
fn split_at_quote(text: &str) -> Option<(&str, &str)> {
    memchr::memchr(b'"', text.as_bytes()).and_then(|place| text.split_at_checked(place))
}

/// Whether a JSON string of this content means what it says. It looks at every byte: without an early end the
/// compiler can look at many at once.
fn is_plain(content: &[u8]) -> bool {
    !content.iter().fold(false, |special, &byte| special | (byte < b' ') | (byte == b'"') | (byte == b'\\'))
}

/// The last value of an object, if it is a string; `rest` begins with the quote behind the value before it.
fn unescape(rest: &str) -> Option<String> {
    serde_json::from_str(rest.strip_prefix(r#"","delta":"#)?.strip_suffix('}')?).ok()
}

setters!(Token {
    /// Sets the thread.
    thread_id?: ThreadId,
});

read_fields!(Token { run_id, delta; thread_id });

unknown_fields!(Token);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_usual_form_is_the_one_that_is_written() {
        let token = Token::new("run_1".parse().unwrap(), "a \"quoted\" word\n\u{e9}");
        for token in [token.clone(), token.thread_id("thr_1".parse::<ThreadId>().unwrap())] {
            let data = serde_json::to_string(&token).unwrap();
            assert_eq!(Token::read_usual_form(&data), Some(token));
        }
    }

    /// Text that is nearly the usual form.
    fn nearly() -> impl Strategy<Value = String> {
        let piece = proptest::sample::select(vec![
            "{",
            "}",
            ",",
            ":",
            " ",
            "\"",
            "\\",
            "\n",
            "null",
            "1",
            "x",
            "\"run_id\":",
            "\"run_1\"",
            "\"run_\\u0031\"",
            "\"thread_id\":",
            "\"thr_1\"",
            "\"delta\":",
            "\"x\"",
            "\"x\\n\"",
            "\"later\":",
            r#"{"run_id":"run_1""#,
            r#","thread_id":"thr_1""#,
            r#","delta":"x"}"#,
        ]);
        proptest::collection::vec(piece, 0..10).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn what_is_read_in_the_usual_form_is_what_serde_reads(data in nearly()) {
            if let Some(token) = Token::read_usual_form(&data) {
                prop_assert_eq!(serde_json::from_str::<Token>(&data).unwrap(), token);
            }
        }
    }
}
