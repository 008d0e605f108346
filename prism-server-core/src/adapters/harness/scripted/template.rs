//! Templates: `{{name}}` in texts.

use serde_json::{Map, Value};

use crate::{domain::limits, ports::HarnessError};

/// The names that a template can have.
const NAMES: [&str; 5] = ["message", "answer", "skills", "model", "memories"];

/// What templates stand for.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Values<'a> {
    pub(super) message: &'a str,
    pub(super) answer: &'a str,
    pub(super) skills: &'a str,
    pub(super) model: &'a str,
    pub(super) memories: &'a str,
}

/// How many bytes may still be made. A few templates of a long message would else fill the memory.
#[derive(Debug)]
pub(super) struct Budget(usize);

impl Budget {
    pub(super) fn new() -> Self {
        Self(limits::MEMORY_FILE)
    }

    fn take(&mut self, bytes: usize) -> Result<(), HarnessError> {
        self.0 = self.0.checked_sub(bytes).ok_or_else(|| HarnessError {
            code: "text_too_long".to_owned(),
            message: format!("a text of the script becomes longer than {} bytes", limits::MEMORY_FILE),
        })?;
        Ok(())
    }
}

impl<'a> Values<'a> {
    fn get(&self, name: &str) -> Option<&'a str> {
        match name {
            "message" => Some(self.message),
            "answer" => Some(self.answer),
            "skills" => Some(self.skills),
            "model" => Some(self.model),
            "memories" => Some(self.memories),
            _ => None,
        }
    }
}

/// Refuses names that no template has.
pub(super) fn check(text: &str) -> Result<(), String> {
    match names(text).find(|name| !NAMES.contains(name)) {
        Some(name) => {
            let name: String = name.chars().take(40).collect();
            Err(format!("unknown template `{{{{{name}}}}}`; the templates are {}", NAMES.join(", ")))
        }
        None => Ok(()),
    }
}

/// The same for every string value in some JSON.
pub(super) fn check_json(value: &Value) -> Result<(), String> {
    match value {
        Value::String(text) => check(text),
        Value::Array(items) => items.iter().try_for_each(check_json),
        Value::Object(fields) => fields.values().try_for_each(check_json),
        _ => Ok(()),
    }
}

/// Whether the text has this template.
pub(super) fn uses(text: &str, name: &str) -> bool {
    names(text).any(|used| used == name)
}

/// Whether a string value in some JSON has this template.
pub(super) fn json_uses(value: &Value, name: &str) -> bool {
    match value {
        Value::String(text) => uses(text, name),
        Value::Array(items) => items.iter().any(|item| json_uses(item, name)),
        Value::Object(fields) => fields.values().any(|field| json_uses(field, name)),
        _ => false,
    }
}

/// The text with its templates replaced.
pub(super) fn render(text: &str, values: &Values<'_>, budget: &mut Budget) -> Result<String, HarnessError> {
    let mut rendered = String::new();
    for piece in Pieces(text) {
        let part = match piece {
            Piece::Text(text) => text,
            Piece::Name { name, whole } => values.get(name).unwrap_or(whole),
        };
        budget.take(part.len())?;
        rendered.push_str(part);
    }
    Ok(rendered)
}

/// The JSON with the templates of its string values replaced.
pub(super) fn render_json(
    value: &Value,
    values: &Values<'_>,
    budget: &mut Budget,
) -> Result<Value, HarnessError> {
    Ok(match value {
        Value::String(text) => Value::String(render(text, values, budget)?),
        Value::Array(items) => Value::Array(
            items.iter().map(|item| render_json(item, values, budget)).collect::<Result<_, _>>()?,
        ),
        Value::Object(fields) => render_object(fields, values, budget)?,
        other => other.clone(),
    })
}

/// The same for a JSON object.
pub(super) fn render_object(
    fields: &Map<String, Value>,
    values: &Values<'_>,
    budget: &mut Budget,
) -> Result<Value, HarnessError> {
    let rendered = fields.iter().map(|(key, value)| Ok((key.clone(), render_json(value, values, budget)?)));
    Ok(Value::Object(rendered.collect::<Result<_, HarnessError>>()?))
}

fn names(text: &str) -> impl Iterator<Item = &str> {
    Pieces(text).filter_map(|piece| match piece {
        Piece::Name { name, .. } => Some(name),
        Piece::Text(_) => None,
    })
}

#[derive(Debug, PartialEq)]
enum Piece<'a> {
    Text(&'a str),
    Name { name: &'a str, whole: &'a str },
}

/// Splits a text into templates and what is between them; together the pieces are the text.
struct Pieces<'a>(&'a str);

impl<'a> Iterator for Pieces<'a> {
    type Item = Piece<'a>;

    fn next(&mut self) -> Option<Piece<'a>> {
        if self.0.is_empty() {
            return None;
        }
        if let Some((name, length)) = template_at_start(self.0) {
            let (whole, rest) = self.0.split_at(length);
            self.0 = rest;
            return Some(Piece::Name { name, whole });
        }
        let next = self.0.match_indices("{{").map(|(start, _)| start);
        // Braces can overlap, as in `{{{message}}`, so the place after each brace is tried as well.
        let start = next
            .flat_map(|start| [start, start + 1])
            .find(|&start| start > 0 && template_at_start(&self.0[start..]).is_some())
            .unwrap_or(self.0.len());
        let (text, rest) = self.0.split_at(start);
        self.0 = rest;
        Some(Piece::Text(text))
    }
}

/// The name and the length of the template that the text starts with.
fn template_at_start(text: &str) -> Option<(&str, usize)> {
    let inside = text.strip_prefix("{{")?;
    let end = inside.bytes().take_while(|b| matches!(b, b'a'..=b'z' | b'_' | b' ')).count();
    let name = inside[..end].trim();
    let is_template = inside[end..].starts_with("}}") && !name.is_empty() && !name.contains(' ');
    is_template.then_some((name, end + 4))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    const VALUES: Values<'_> =
        Values { message: "hi", answer: "yes {{model}}", skills: "a, b", model: "p/m", memories: "x; y" };

    fn rendered(text: &str) -> String {
        render(text, &VALUES, &mut Budget::new()).unwrap()
    }

    #[test]
    fn templates_are_replaced_once() {
        for (text, expected) in [
            ("", ""),
            ("plain", "plain"),
            ("{{message}}", "hi"),
            ("{{ message }}", "hi"),
            ("<{{message}}{{skills}}|{{model}}>", "<hia, b|p/m>"),
            ("{{answer}}", "yes {{model}}"),
            ("{{{message}}}", "{hi}"),
            ("{{{{message}}", "{{hi"),
            ("{{message", "{{message"),
            ("{{ }} {{}} {{a b}} {{A}} {message}", "{{ }} {{}} {{a b}} {{A}} {message}"),
            ("ü{{model}}ü", "üp/mü"),
        ] {
            assert_eq!(rendered(text), expected, "{text}");
        }
    }

    #[test]
    fn string_values_of_json_have_templates_and_keys_have_none() {
        let value = json!({"{{message}}": ["{{message}}", 1, null, {"x": "<{{model}}>"}]});
        let expected = json!({"{{message}}": ["hi", 1, null, {"x": "<p/m>"}]});
        assert_eq!(render_json(&value, &VALUES, &mut Budget::new()).unwrap(), expected);
        assert!(json_uses(&value, "model") && !json_uses(&value, "answer"));
        assert!(check_json(&json!([{"a": "{{nonsense}}"}])).unwrap_err().contains("`{{nonsense}}`"));
    }

    #[test]
    fn unknown_names_are_refused() {
        assert!(check("{{message}} {{ model }} {{}} {").is_ok());
        let error = check("{{message}} {{mesage}}").unwrap_err();
        assert_eq!(
            error,
            "unknown template `{{mesage}}`; the templates are message, answer, skills, model, memories"
        );
    }

    #[test]
    fn the_length_is_limited() {
        let message = "x".repeat(limits::MEMORY_FILE / 4);
        let values = Values { message: &message, ..Values::default() };
        let four = "{{message}}".repeat(4);
        assert_eq!(render(&four, &values, &mut Budget::new()).unwrap().len(), limits::MEMORY_FILE);
        let error = render(&format!("{four}!"), &values, &mut Budget::new()).unwrap_err();
        assert_eq!(error.code, "text_too_long");
        assert!(render_json(&json!([four, "!"]), &values, &mut Budget::new()).is_err());
    }

    proptest! {
        #[test]
        fn the_pieces_are_the_text(text in "[{}a ü]{0,40}|.*") {
            let joined: String = Pieces(&text).map(|piece| match piece {
                Piece::Text(text) | Piece::Name { whole: text, .. } => text,
            }).collect();
            prop_assert_eq!(joined, text);
        }
    }
}
