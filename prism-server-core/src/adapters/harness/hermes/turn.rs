//! From what the agent says to what a run tells: a state machine without input and output of its own.
//!
//! What comes in is hostile: any event may come at any time, with any content. It bounds what it keeps, since the
//! state travels in every checkpoint.

use prism_types::{FileChange, Usage};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::known_files::{Seen, Stamp};
use crate::{
    domain::{tool::ToolName, workspace::WorkspacePath},
    ports::HarnessEvent,
};

/// Most bytes of a tool's arguments or result that are told, as JSON.
const TOOL_JSON: usize = 256 * 1024;
/// Most bytes of a question or of a reason.
const SENTENCE: usize = 4 * 1024;
/// Most bytes of a name or an id.
const NAME: usize = 256;

/// What is known of a run's work so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Turn {
    /// The tokens that the run used.
    used: (u64, u64),
    /// What the agent's session had used, as it last said.
    counter: (u64, u64),
    /// Whether the run told any text.
    told: bool,
    /// Whether this turn told any text.
    told_in_turn: bool,
    /// Why the last turn failed.
    failure: Option<String>,
    /// What the agent waits for.
    pub(super) question: Option<Question>,
}

/// A question of the agent's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Question {
    /// Its name.
    pub(super) id: String,
    /// The agent asks for words, not for approval.
    pub(super) clarify: bool,
    /// What it asks.
    pub(super) summary: String,
    /// The call that it asks for, when the deployment wants each such call to be approved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) call: Option<Call>,
}

/// A call of a tool that a human is asked about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Call {
    pub(super) tool: ToolName,
    pub(super) arguments: Value,
}

/// What one event comes to.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Outcome {
    /// Nothing that anybody is told.
    Nothing,
    /// A step of the run.
    Told(HarnessEvent),
    /// The bridge found that a file changed.
    File(Seen),
    /// The message with this id was taken.
    Taken(String),
    /// The agent waits for an answer to [`Turn::question`].
    Asks,
    /// The agent is through with all that it was told.
    Idle,
}

impl Turn {
    /// A run on a session that has used so much.
    pub(super) fn new(counter: (u64, u64)) -> Self {
        Self { counter, ..Self::default() }
    }

    /// Goes on in a new session after the agent was lost.
    pub(super) fn again(&mut self, counter: (u64, u64)) {
        (self.counter, self.question, self.failure, self.told_in_turn) = (counter, None, None, false);
    }

    /// What the run used.
    pub(super) fn usage(&self) -> Usage {
        Usage::default().input_tokens(self.used.0).output_tokens(self.used.1)
    }

    /// Why the last turn failed, if it did.
    pub(super) fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// Takes an event of the agent's.
    pub(super) fn on(&mut self, kind: &str, payload: &Value) -> Outcome {
        match kind {
            "message.start" => self.told_in_turn = false,
            "message.delta" => return self.text(text(payload, "text")),
            "prism.tool" => {
                return Outcome::Told(HarnessEvent::ToolCall {
                    id: short(text(payload, "tool_id"), NAME),
                    tool: short(text(payload, "name"), NAME),
                    arguments: bounded(&payload["args"]),
                });
            }
            "prism.result" => {
                return Outcome::Told(HarnessEvent::ToolResult {
                    id: short(text(payload, "tool_id"), NAME),
                    tool: short(text(payload, "name"), NAME),
                    result: bounded(&payload["result"]),
                });
            }
            "prism.file" => return file(payload).map_or(Outcome::Nothing, Outcome::File),
            "prism.taken" => return Outcome::Taken(short(text(payload, "id"), NAME)),
            "approval.request" => {
                let question = text(payload, "question");
                if let Some(call) = call(&payload["call"]) {
                    let summary = format!("The agent wants to use {}: {}", call.tool, call.arguments);
                    return self.asks(question, false, &summary, Some(call));
                }
                let (why, what) = (text(payload, "description"), text(payload, "command"));
                let summary = format!("The agent asks for approval ({why}): {what}");
                return self.asks(question, false, &summary, None);
            }
            "clarify.request" => {
                let mut summary = text(payload, "question").to_owned();
                let choices = payload["choices"].as_array().map_or(&[][..], Vec::as_slice);
                for choice in choices.iter().filter_map(Value::as_str).take(20) {
                    summary = format!("{summary}\n- {choice}");
                }
                return self.asks(text(payload, "request_id"), true, &summary, None);
            }
            "message.complete" => return self.complete(payload),
            "error" => self.failure = Some(short(text(payload, "message"), SENTENCE)),
            "prism.idle" => return Outcome::Idle,
            _ => {}
        }
        Outcome::Nothing
    }

    /// A run's text starts with a letter, not with the blank lines that the agent puts after a tool; its turns are
    /// set apart.
    fn text(&mut self, delta: &str) -> Outcome {
        let mut delta = delta.to_owned();
        if !self.told_in_turn {
            delta = delta.trim_start_matches('\n').to_owned();
            if self.told && !delta.is_empty() {
                delta.insert_str(0, "\n\n");
            }
        }
        if delta.is_empty() {
            return Outcome::Nothing;
        }
        (self.told, self.told_in_turn) = (true, true);
        Outcome::Told(HarnessEvent::Token(delta))
    }

    fn asks(&mut self, id: &str, clarify: bool, summary: &str, call: Option<Call>) -> Outcome {
        let (id, summary) = (short(id, NAME), short(summary, SENTENCE));
        self.question = Some(Question { id, clarify, summary, call });
        Outcome::Asks
    }

    fn complete(&mut self, payload: &Value) -> Outcome {
        let tokens = |name| payload["usage"][name].as_u64().unwrap_or_default();
        let now = (tokens("input"), tokens("output"));
        self.used.0 = self.used.0.saturating_add(now.0.saturating_sub(self.counter.0));
        self.used.1 = self.used.1.saturating_add(now.1.saturating_sub(self.counter.1));
        self.counter = now;
        self.question = None;
        let said = text(payload, "text");
        match text(payload, "status") {
            "complete" => self.failure = None,
            "interrupted" => self.failure = Some("the agent was interrupted".to_owned()),
            _ => {
                let reason = said.strip_prefix("Error: ").unwrap_or(said);
                let reason = if reason.is_empty() { "the agent gave no reason" } else { reason };
                self.failure = Some(short(reason, SENTENCE));
            }
        }
        // What was not streamed is told as a whole.
        let whole = self.failure.is_none() && !self.told_in_turn;
        let outcome = if whole { self.text(said) } else { Outcome::Nothing };
        self.told_in_turn = false;
        outcome
    }
}

/// The call that a human is asked about; what is longer than the agent may tell is none.
fn call(value: &Value) -> Option<Call> {
    let name = |field| value[field].as_str().filter(|name| name.len() <= 4 * NAME).map(str::to_owned);
    let tool = ToolName { server: name("server"), name: name("tool")? };
    let arguments = value["arguments"].clone();
    (arguments.is_object() && arguments.to_string().len() <= TOOL_JSON).then_some(Call { tool, arguments })
}

fn text<'a>(payload: &'a Value, name: &str) -> &'a str {
    payload[name].as_str().unwrap_or_default()
}

fn short(text: &str, most: usize) -> String {
    text[..text.floor_char_boundary(most)].to_owned()
}

fn bounded(value: &Value) -> Value {
    let written = value.to_string();
    if written.len() <= TOOL_JSON {
        value.clone()
    } else {
        json!({ "truncated": short(&written, TOOL_JSON) })
    }
}

fn file(payload: &Value) -> Option<Seen> {
    let change = match text(payload, "change") {
        "created" => FileChange::Created,
        "modified" => FileChange::Modified,
        "deleted" => FileChange::Deleted,
        _ => return None,
    };
    let path: WorkspacePath = text(payload, "path").parse().ok()?;
    let stamp = payload["size"].as_u64().zip(payload["mtime"].as_u64());
    Some(Seen { change, path, stamp: stamp.map(|(size, modified)| Stamp { size, modified }) })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What the agent says in a turn with a tool, recorded and shortened.
    fn recorded() -> Vec<(&'static str, Value)> {
        let usage = json!({"input": 500, "output": 50, "calls": 5});
        vec![
            ("prism.taken", json!({"id": "run_1:1", "how": "new"})),
            ("message.start", Value::Null),
            ("thinking.delta", json!({"text": "synthesizing..."})),
            ("tool.generating", json!({"name": "terminal"})),
            ("prism.tool", json!({"tool_id": "call_1", "name": "terminal", "args": {"command": "ls"}})),
            ("tool.start", json!({"tool_id": "call_1", "name": "terminal", "context": "Running ls"})),
            (
                "prism.result",
                json!({"tool_id": "call_1", "name": "terminal", "result": {"output": "a", "exit_code": 0}}),
            ),
            ("prism.file", json!({"change": "created", "path": "a", "size": 1, "mtime": 2})),
            ("message.delta", json!({"text": "\n\nend "})),
            ("reasoning.available", json!({"text": "end"})),
            ("message.complete", json!({"text": "end", "usage": usage, "status": "complete"})),
            ("session.info", json!({})),
            ("prism.idle", Value::Null),
        ]
    }

    fn outcomes(turn: &mut Turn, events: Vec<(&'static str, Value)>) -> Vec<Outcome> {
        let outcomes = events.into_iter().map(|(kind, payload)| turn.on(kind, &payload));
        outcomes.filter(|outcome| *outcome != Outcome::Nothing).collect()
    }

    #[test]
    fn a_recorded_turn_is_told() {
        let mut turn = Turn::new((100, 10));
        let told = outcomes(&mut turn, recorded());
        let expected = [
            Outcome::Taken("run_1:1".to_owned()),
            Outcome::Told(HarnessEvent::ToolCall {
                id: "call_1".to_owned(),
                tool: "terminal".to_owned(),
                arguments: json!({"command": "ls"}),
            }),
            Outcome::Told(HarnessEvent::ToolResult {
                id: "call_1".to_owned(),
                tool: "terminal".to_owned(),
                result: json!({"output": "a", "exit_code": 0}),
            }),
            Outcome::File(Seen {
                change: FileChange::Created,
                path: "a".parse().unwrap(),
                stamp: Some(Stamp { size: 1, modified: 2 }),
            }),
            Outcome::Told(HarnessEvent::Token("end ".to_owned())),
            Outcome::Idle,
        ];
        assert_eq!(told, expected);
        assert_eq!(turn.usage(), Usage::default().input_tokens(400_u64).output_tokens(40_u64));
        assert_eq!(turn.failure(), None);
    }

    #[test]
    fn a_second_turn_is_set_apart_and_adds_to_the_usage() {
        let mut turn = Turn::default();
        outcomes(&mut turn, recorded());
        let usage = json!({"input": 600, "output": 60});
        let told = outcomes(
            &mut turn,
            vec![
                ("message.start", Value::Null),
                ("message.complete", json!({"text": "whole", "usage": usage, "status": "complete"})),
            ],
        );
        assert_eq!(told, [Outcome::Told(HarnessEvent::Token("\n\nwhole".to_owned()))]);
        assert_eq!(turn.usage(), Usage::default().input_tokens(600_u64).output_tokens(60_u64));
    }

    #[test]
    fn a_failed_turn_tells_no_text_and_a_later_one_mends_it() {
        let mut turn = Turn::default();
        let failed = json!({"text": "Error: 401", "usage": {}, "status": "error"});
        assert_eq!(turn.on("message.complete", &failed), Outcome::Nothing);
        assert_eq!(turn.failure(), Some("401"));
        turn.on("message.complete", &json!({"text": "fine", "status": "complete"}));
        assert_eq!(turn.failure(), None);
    }

    #[test]
    fn questions_are_kept_until_the_turn_ends() {
        let mut turn = Turn::default();
        let asked = json!({"question": "q1", "description": "delete", "command": "rm -rf x"});
        assert_eq!(turn.on("approval.request", &asked), Outcome::Asks);
        assert!(turn.question.as_ref().unwrap().summary.contains("rm -rf x"));
        let asked = json!({"request_id": "q2", "question": "Which?", "choices": ["a", 1, "b"]});
        assert_eq!(turn.on("clarify.request", &asked), Outcome::Asks);
        assert_eq!(turn.question.as_ref().unwrap().summary, "Which?\n- a\n- b");
    }

    #[test]
    fn a_call_that_needs_approval_is_shown_as_it_would_be_made() {
        let mut turn = Turn::default();
        let call = json!({"server": "acme", "tool": "publish_post", "arguments": {"title": "Hi"}});
        turn.on("approval.request", &json!({"question": "q", "description": "", "call": call}));
        let question = turn.question.clone().unwrap();
        assert_eq!(question.summary, r#"The agent wants to use acme/publish_post: {"title":"Hi"}"#);
        let asked = question.call.unwrap();
        assert_eq!((asked.tool.server.as_deref(), &asked.arguments["title"]), (Some("acme"), &json!("Hi")));

        let long = json!({"tool": "shell", "arguments": {"command": "é".repeat(5000)}});
        turn.on("approval.request", &json!({"question": "q", "call": long}));
        let question = turn.question.clone().unwrap();
        assert!((SENTENCE - 1..=SENTENCE).contains(&question.summary.len()), "{}", question.summary.len());
        assert!(question.call.is_some());
        let too_long = json!({"tool": "shell", "arguments": {"command": "x".repeat(TOOL_JSON)}});
        turn.on("approval.request", &json!({"question": "q", "call": too_long}));
        assert_eq!(turn.question.unwrap().call, None, "then nothing is allowed at the gateway");
    }

    fn anything() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<u64>().prop_map(Value::from),
            "[\\n a-zé]{0,12}".prop_map(Value::from),
        ];
        let name = prop_oneof![
            Just("text"),
            Just("usage"),
            Just("status"),
            Just("input"),
            Just("output"),
            Just("path"),
            Just("change"),
            Just("mtime"),
            Just("call"),
            Just("tool"),
            Just("arguments"),
            Just("id")
        ];
        leaf.prop_recursive(3, 16, 4, move |inner| {
            prop::collection::vec((name.clone(), inner), 0..4)
                .prop_map(|fields| fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
        })
    }

    proptest! {
        #[test]
        fn any_events_are_taken_and_the_state_survives_a_checkpoint(
            events in prop::collection::vec((0..=recorded().len(), anything()), 0..40),
        ) {
            let mut kinds = recorded();
            kinds.push(("approval.request", Value::Null));
            let mut turn = Turn::default();
            for (kind, payload) in events {
                let before = turn.usage();
                let outcome = turn.on(kinds[kind].0, &payload);
                if let Outcome::Told(event) = outcome {
                    prop_assert!(!event.is_last(), "the driver alone ends a run");
                    prop_assert_ne!(event, HarnessEvent::Token(String::new()));
                }
                prop_assert!(turn.usage().input_tokens >= before.input_tokens);
                let kept = serde_json::to_string(&turn).unwrap();
                prop_assert_eq!(&serde_json::from_str::<Turn>(&kept).unwrap(), &turn);
            }
        }
    }
}
