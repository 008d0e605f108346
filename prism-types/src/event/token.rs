//! The event that comes most often: a piece of text.

use std::borrow::Cow;

use crate::{RunId, ThreadId, UnknownFields, macros::setters, scan, unknown_fields::answer};

answer! {
    /// A piece of the agent's text. The whole text is the concatenation of all pieces of a run.
    pub struct Token {
        /// The run.
        pub run_id: RunId,
        /// The thread.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub thread_id: Option<ThreadId>,
        /// The piece of text.
        pub delta: String,
    }
}

impl Token {
    /// A piece of text of a run.
    pub fn new(run_id: RunId, delta: impl Into<String>) -> Self {
        Self { run_id, thread_id: None, delta: delta.into(), unknown_fields: UnknownFields::default() }
    }
}

/// A token in the form in which Prism writes it. It is found in a fraction of the time that is needed for all
/// that JSON allows.
pub(super) struct UsualForm<'a> {
    run_id: &'a str,
    thread_id: Option<&'a str>,
    delta: Cow<'a, str>,
}

impl<'a> UsualForm<'a> {
    /// Looks for the form. `None` says nothing but that the data has another one.
    pub(super) fn read(data: &'a str) -> Option<Self> {
        let (run_id, rest) = split_at_quote(data.strip_prefix(r#"{"run_id":""#)?)?;
        let (thread_id, rest) = match rest.strip_prefix(r#"","thread_id":""#) {
            Some(rest) => split_at_quote(rest).map(|(id, rest)| (Some(id), rest))?,
            None => (None, rest),
        };
        let content = rest.strip_prefix(r#"","delta":""#)?.strip_suffix(r#""}"#)?;
        let delta = if is_plain(content) { Cow::Borrowed(content) } else { Cow::Owned(unescape(content)?) };
        let fits = RunId::fits(run_id) && thread_id.is_none_or(ThreadId::fits);
        fits.then_some(Self { run_id, thread_id, delta })
    }
}

impl From<UsualForm<'_>> for Token {
    #[inline]
    fn from(form: UsualForm<'_>) -> Self {
        Self {
            run_id: RunId::keep(form.run_id),
            thread_id: form.thread_id.map(ThreadId::keep),
            delta: form.delta.into_owned(),
            unknown_fields: UnknownFields::default(),
        }
    }
}

/// What comes before the next quote, and the rest from the quote on.
fn split_at_quote(text: &str) -> Option<(&str, &str)> {
    memchr::memchr(b'"', text.as_bytes()).and_then(|place| text.split_at_checked(place))
}

/// Whether a JSON string of this content means what it says.
fn is_plain(content: &str) -> bool {
    scan::all(content.as_bytes(), |byte| (byte >= b' ') & (byte != b'"') & (byte != b'\\'))
}

/// The text of a JSON string with this content, if all its escapes are of one character. `None` also when the
/// string ends before the content does.
fn unescape(content: &str) -> Option<String> {
    let (mut text, mut rest) = (String::with_capacity(content.len()), content);
    while let Some(place) = memchr::memchr(b'\\', rest.as_bytes()) {
        let (plain, escape) = rest.split_at_checked(place)?;
        let character = match escape.as_bytes().get(1)? {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            _ => return None,
        };
        if !is_plain(plain) {
            return None;
        }
        text.push_str(plain);
        text.push(character);
        rest = escape.get(2..)?;
    }
    is_plain(rest).then(|| text + rest)
}

setters!(Token {
    /// Sets the thread.
    thread_id?: ThreadId,
});

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_usual_form_is_the_one_that_is_written() {
        let token = Token::new("run_1".parse().unwrap(), "a \"quoted\" word\n\u{e9}");
        for token in [token.clone(), token.thread_id("thr_1".parse::<ThreadId>().unwrap())] {
            let data = serde_json::to_string(&token).unwrap();
            assert_eq!(UsualForm::read(&data).map(Token::from), Some(token));
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
        fn every_text_survives(text in proptest::string::string_regex("([ -~]|[\\x00-\\x1f]|.){0,40}").unwrap()) {
            let token = Token::new("run_1".parse().unwrap(), text);
            let data = serde_json::to_string(&token).unwrap();
            let form = UsualForm::read(&data).map(Token::from);
            prop_assert!(form.is_some() || data.contains("\\u"), "{}", data);
            prop_assert_eq!(form.unwrap_or_else(|| token.clone()), token.clone());
            prop_assert_eq!(serde_json::from_str::<Token>(&data).unwrap(), token);
        }

        #[test]
        fn what_is_read_in_the_usual_form_is_what_serde_reads(data in nearly()) {
            if let Some(form) = UsualForm::read(&data) {
                prop_assert_eq!(serde_json::from_str::<Token>(&data).unwrap(), Token::from(form));
            }
        }
    }
}
