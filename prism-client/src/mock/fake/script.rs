//! What an agent of the fake does about a message.

use std::{collections::VecDeque, time::Duration};

use prism_types::{Failure, RawJson};
use serde::Serialize;

/// What an agent does about a message, step by step; then its run is completed.
///
/// In texts `{{message}}` stands for the message, and `{{answer}}` for the last answer to a question.
///
/// ```
/// use std::time::Duration;
/// use prism_client::mock::Script;
///
/// let script = Script::new()
///     .say("Let me look.")
///     .tool("search", &serde_json::json!({"q": "{{message}}"}), &serde_json::json!({"found": 3}))
///     .wait(Duration::from_secs(2))
///     .ask("Shall I publish it?")
///     .say("You said {{answer}}.");
/// ```
#[derive(Debug, Clone, Default)]
pub struct Script(pub(super) VecDeque<Step>);

#[derive(Debug, Clone)]
pub(super) enum Step {
    Say(String),
    Token(String),
    Tool { name: String, arguments: RawJson, result: RawJson },
    Ask(String),
    Write { path: String, text: String },
    Delete(String),
    Remember(String),
    Usage { input: u64, output: u64 },
    Wait(Duration),
    Fail(Failure),
}

impl Script {
    /// Does nothing: its run is completed at once.
    pub fn new() -> Self {
        Self::default()
    }

    /// Says a text: one `token` event a word.
    #[must_use]
    pub fn say(self, text: impl Into<String>) -> Self {
        self.step(Step::Say(text.into()))
    }

    /// Says a text as one `token` event.
    #[must_use]
    pub fn token(self, text: impl Into<String>) -> Self {
        self.step(Step::Token(text.into()))
    }

    /// Calls a tool: a `tool_call` and a `tool_result` event.
    ///
    /// # Panics
    /// When the arguments or the result cannot be JSON, such as a map whose keys are not strings.
    #[must_use]
    pub fn tool(self, name: impl Into<String>, arguments: &impl Serialize, result: &impl Serialize) -> Self {
        let (arguments, result) = (json(arguments), json(result));
        self.step(Step::Tool { name: name.into(), arguments, result })
    }

    /// Asks a human, and waits for the answer: a `steering_request` event. With `features.steering` off it does not wait.
    #[must_use]
    pub fn ask(self, question: impl Into<String>) -> Self {
        self.step(Step::Ask(question.into()))
    }

    /// Writes a file of the workspace.
    #[must_use]
    pub fn write(self, path: impl Into<String>, text: impl Into<String>) -> Self {
        self.step(Step::Write { path: path.into(), text: text.into() })
    }

    /// Deletes a file of the workspace, if it is there.
    #[must_use]
    pub fn delete(self, path: impl Into<String>) -> Self {
        self.step(Step::Delete(path.into()))
    }

    /// Remembers a text, as a memory of the source `agent`.
    #[must_use]
    pub fn remember(self, text: impl Into<String>) -> Self {
        self.step(Step::Remember(text.into()))
    }

    /// Has read and written so many tokens more, by [`usage`](prism_types::Run::usage) of the run.
    #[must_use]
    pub fn usage(self, input: u64, output: u64) -> Self {
        self.step(Step::Usage { input, output })
    }

    /// Works for so long, by tokio's time, before the next step.
    #[must_use]
    pub fn wait(self, time: Duration) -> Self {
        self.step(Step::Wait(time))
    }

    /// Fails: the run ends with this code and message.
    #[must_use]
    pub fn fail(self, code: impl Into<String>, message: impl Into<String>) -> Self {
        self.step(Step::Fail(Failure::new(code, message)))
    }

    fn step(mut self, step: Step) -> Self {
        self.0.push_back(step);
        self
    }
}

/// Says it.
impl From<&str> for Script {
    fn from(text: &str) -> Self {
        Self::new().say(text)
    }
}

/// Says it.
impl From<String> for Script {
    fn from(text: String) -> Self {
        Self::new().say(text)
    }
}

fn json(value: &impl Serialize) -> RawJson {
    RawJson::of(value).unwrap_or_else(|error| panic!("the value cannot be JSON: {error}"))
}
