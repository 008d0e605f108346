//! What a request says of its conversation. Everything is optional: a model is asked in many forms.

use serde_json::Value;

/// A conversation up to a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Conversation {
    /// The system prompt.
    pub(super) system: String,
    /// The last user message.
    pub(super) message: String,
    /// What the tools answered that the model called last.
    pub(super) results: Vec<String>,
    /// The names of the tools that are offered.
    pub(super) tools: Vec<String>,
    /// The number of this call since the last user message, from 1.
    pub(super) step: usize,
    /// The number of this call in the conversation, from 1.
    pub(super) call: usize,
    /// The model that was asked for.
    pub(super) model: String,
}

impl Conversation {
    /// Reads a request; the error says what it lacks.
    pub(super) fn read(request: &Value) -> Result<Self, &'static str> {
        let messages = request["messages"].as_array().ok_or("`messages` must be an array")?;
        let role = |message: &Value| message["role"].as_str().unwrap_or_default().to_owned();
        let last_user = messages.iter().rposition(|message| role(message) == "user");
        let assistants = |messages: &[Value]| messages.iter().filter(|m| role(m) == "assistant").count();
        let since = last_user.map_or(&messages[..], |last| &messages[last..]);
        let system = messages.iter().filter(|m| matches!(role(m).as_str(), "system" | "developer"));
        let results = messages.iter().rev().take_while(|message| role(message) == "tool");
        let mut results: Vec<_> = results.map(text).collect();
        results.reverse();
        let tools = request["tools"].as_array().into_iter().flatten();
        Ok(Self {
            system: system.map(text).collect::<Vec<_>>().join("\n"),
            message: last_user.map(|last| text(&messages[last])).unwrap_or_default(),
            results,
            tools: tools.filter_map(|tool| Some(tool["function"]["name"].as_str()?.to_owned())).collect(),
            step: assistants(since) + 1,
            call: assistants(messages) + 1,
            model: request["model"].as_str().unwrap_or("scripted").to_owned(),
        })
    }

    /// The text with its templates replaced, once: what they stand for is not searched again.
    pub(super) fn render(&self, text: &str) -> String {
        let mut rendered = String::new();
        let mut rest = text;
        while let Some(start) = rest.find("{{") {
            let (before, template) = rest.split_at(start);
            rendered.push_str(before);
            let value = TEMPLATES.iter().find_map(|name| {
                let after = template.strip_prefix("{{")?.strip_prefix(name)?.strip_prefix("}}")?;
                Some((self.value(name), after))
            });
            rest = match value {
                Some((value, after)) => {
                    rendered.push_str(&value);
                    after
                }
                None => {
                    rendered.push('{');
                    &template[1..]
                }
            };
        }
        rendered + rest
    }

    /// The JSON with the templates of its string values replaced.
    pub(super) fn render_json(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.render(text)),
            Value::Array(items) => items.iter().map(|item| self.render_json(item)).collect(),
            Value::Object(fields) => {
                let rendered = fields.iter().map(|(name, value)| (name.clone(), self.render_json(value)));
                Value::Object(rendered.collect())
            }
            other => other.clone(),
        }
    }

    fn value(&self, name: &str) -> String {
        match name {
            "message" => self.message.clone(),
            "result" => self.results.last().cloned().unwrap_or_default(),
            "step" => self.step.to_string(),
            _ => self.model.clone(),
        }
    }
}

/// The names that a template can have.
pub(super) const TEMPLATES: [&str; 4] = ["message", "result", "step", "model"];

/// The text of a message, whose content is a string, a list of parts, or nothing.
fn text(message: &Value) -> String {
    match &message["content"] {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|part| part["text"].as_str()).collect(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn conversation() -> Conversation {
        Conversation::read(&json!({
            "model": "m",
            "tools": [{"type": "function", "function": {"name": "terminal"}}, {"type": "other"}],
            "messages": [
                {"role": "system", "content": "Be kind."},
                {"role": "user", "content": "first"},
                {"role": "assistant", "content": "answer"},
                {"role": "user", "content": [{"type": "text", "text": "sec"}, {"type": "image_url"},
                                             {"type": "text", "text": "ond"}]},
                {"role": "assistant", "content": null, "tool_calls": []},
                {"role": "tool", "content": "one"},
                {"role": "tool", "content": "two"},
            ],
        }))
        .unwrap()
    }

    #[test]
    fn a_conversation_is_read() {
        let read = conversation();
        assert_eq!((read.system.as_str(), read.message.as_str()), ("Be kind.", "second"));
        assert_eq!((read.results, read.tools), (vec!["one".into(), "two".into()], vec!["terminal".into()]));
        assert_eq!((read.step, read.call, read.model.as_str()), (2, 3, "m"));
    }

    #[test]
    fn a_conversation_may_lack_everything_but_its_messages() {
        let read = Conversation::read(&json!({"messages": [{}, 7]})).unwrap();
        assert_eq!((read.step, read.call, read.message.as_str()), (1, 1, ""));
        for wrong in [json!({}), json!([]), json!({"messages": "x"}), Value::Null] {
            assert!(Conversation::read(&wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn templates_are_replaced_once() {
        let mut read = conversation();
        read.message = "{{model}}".into();
        for (text, expected) in [
            ("<{{message}}|{{result}}|{{step}}|{{model}}>", "<{{model}}|two|2|m>"),
            ("{{{model}}}", "{m}"),
            ("{{model} {{ü {", "{{model} {{ü {"),
        ] {
            assert_eq!(read.render(text), expected);
        }
        assert_eq!(read.render_json(&json!({"a": ["{{step}}", 1]})), json!({"a": ["2", 1]}));
    }

    proptest! {
        #[test]
        fn a_text_without_templates_stays(text in "[{} aü]{0,40}") {
            prop_assert_eq!(conversation().render(&text), text);
        }
    }
}
