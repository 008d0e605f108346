//! Answers of MCP servers.

use std::{borrow::Cow, collections::BTreeMap};

use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};

use super::Allowed;

type Fields<'a> = BTreeMap<String, Cow<'a, RawValue>>;

#[derive(Deserialize)]
struct Tool {
    name: String,
}

/// An answer without the tools that are not allowed. A list of tools is known by its form and not by what was
/// asked, because an answer may come over another stream than the one that it was asked on. What is no message
/// stays as it is: there is no tool in it that could be called.
pub(super) fn with_allowed_tools<'a>(json: &'a [u8], allowed: &Allowed) -> Cow<'a, [u8]> {
    let filtered = if allowed.is_everything() { None } else { filtered(json, allowed) };
    filtered.map_or(Cow::Borrowed(json), Cow::Owned)
}

/// `None`: there is nothing to take out.
fn filtered(json: &[u8], allowed: &Allowed) -> Option<Vec<u8>> {
    let value: &RawValue = serde_json::from_slice(json).ok()?;
    if !value.get().starts_with('[') {
        return filtered_message(value, allowed).map(|message| message.get().as_bytes().to_vec());
    }
    let messages: Vec<&RawValue> = serde_json::from_str(value.get()).ok()?;
    let messages: Vec<Cow<'_, RawValue>> = messages
        .into_iter()
        .map(|message| filtered_message(message, allowed).map_or(Cow::Borrowed(message), Cow::Owned))
        .collect();
    serde_json::to_vec(&messages).ok()
}

fn filtered_message(message: &RawValue, allowed: &Allowed) -> Option<Box<RawValue>> {
    let mut message: Fields<'_> = fields(message)?;
    let result = message.get("result")?.clone();
    let mut result = fields(&result)?;
    let tools = result.get("tools")?.clone();
    let tools: Vec<&RawValue> = serde_json::from_str(tools.get()).unwrap_or_default();
    let is_allowed =
        |tool: &&RawValue| serde_json::from_str(tool.get()).is_ok_and(|Tool { name }| allowed.has(&name));
    let tools: Vec<_> = tools.into_iter().filter(is_allowed).collect();
    result.insert("tools".to_owned(), Cow::Owned(to_raw_value(&tools).ok()?));
    let result = to_raw_value(&result).ok()?;
    message.insert("result".to_owned(), Cow::Owned(result));
    to_raw_value(&message).ok()
}

fn fields(value: &RawValue) -> Option<Fields<'_>> {
    let fields: BTreeMap<String, &RawValue> = serde_json::from_str(value.get()).ok()?;
    Some(fields.into_iter().map(|(name, value)| (name, Cow::Borrowed(value))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(json: &str) -> String {
        let allowed = Allowed::only(&["a", "b"]);
        String::from_utf8(with_allowed_tools(json.as_bytes(), &allowed).into_owned()).unwrap()
    }

    #[test]
    fn only_allowed_tools_are_listed() {
        assert_eq!(
            allowed(
                r#"{"id":1,"result":{"tools":[{"name":"a","x":1.00},{"name":"c"},{"name":7},7],"nextCursor":"n"}}"#
            ),
            r#"{"id":1,"result":{"nextCursor":"n","tools":[{"name":"a","x":1.00}]}}"#
        );
        assert_eq!(
            allowed(r#"[{"result":{"tools":[{"name":"c"}]}},{"id":2}]"#),
            r#"[{"result":{"tools":[]}},{"id":2}]"#
        );
        assert_eq!(allowed(r#"{"result":{"tools":{"name":"c"}}}"#), r#"{"result":{"tools":[]}}"#);
    }

    #[test]
    fn other_answers_stay_as_they_are() {
        for json in ["", "{", r#"{ "result": {"content": []} }"#, r#"{"error":{"tools":[{"name":"c"}]}}"#] {
            assert_eq!(allowed(json), json);
        }
        let list = br#"{"result":{"tools":[{"name":"c"}]}}"#;
        assert_eq!(*with_allowed_tools(list, &Allowed::default()), *list);
    }
}
