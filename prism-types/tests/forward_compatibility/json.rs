//! Texts of JSON, as odd as they may be.

use proptest::prelude::*;

/// Any JSON value: numbers that fit no number type, escapes, spaces, and names that come twice.
pub(crate) fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("false".to_owned()),
        "-?(0|[1-9][0-9]{0,25})(\\.[0-9]{1,5})?([eE][+-]?[0-9]{1,3})?",
        string(),
        Just(r#""\u0061\/\ud83d\ude00""#.to_owned()),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        let list = (space(), prop::collection::vec(inner.clone(), 0..4));
        prop_oneof![list.prop_map(|(space, items)| format!("[{space}{}]", items.join(","))), object_of(inner),]
    })
}

/// Any JSON object. No name begins with a letter.
pub(crate) fn object() -> impl Strategy<Value = String> {
    object_of(value())
}

/// Any JSON string.
fn string() -> impl Strategy<Value = String> {
    any::<String>().prop_map(|text| quoted(&text))
}

fn object_of(value: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let name = any::<String>().prop_map(|name| quoted(&format!("-{name}")));
    let field =
        (name, space(), value).prop_map(|(name, space, value)| format!("{name}{space}:{space}{value}"));
    (space(), prop::collection::vec(field, 0..4))
        .prop_map(|(space, fields)| format!("{{{space}{}}}", fields.join(",")))
}

fn space() -> impl Strategy<Value = String> {
    "[ \t\r\n]{0,2}"
}

/// The text as a JSON string.
pub(crate) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
