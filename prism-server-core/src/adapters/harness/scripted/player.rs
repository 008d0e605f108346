//! The playing of a script, event by event.
//!
//! The state between two events is a [`Place`]; together with the script it is all there is, and a checkpoint
//! is its text. So going on after a restart is the ordinary way of going on.

use std::borrow::Cow;

use prism_types::FileChange;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::{
    super::answers::{Choice, Meaning, meaning},
    memory::Memories,
    parser,
    script::{Action, Script},
    template::{self, Budget, Values},
    wait,
};
use crate::{
    domain::{approval::Decision, tool::ToolName},
    ports::{HarnessError, HarnessEvent, HarnessStep, Preparation, RunInput, SandboxError, UserMessage},
};

/// The parts of a `tool` that were done: its call was told; a human has allowed it, or not.
const CALLED: usize = 1;
const ALLOWED: usize = 2;
const DENIED: usize = 3;
/// Most bytes of a question.
const QUESTION: usize = 4096;

/// Plays the script of one run.
pub(super) struct Player {
    script: Script,
    agent: Preparation,
    skills: String,
    /// What is remembered, once a step needs it.
    memories: String,
    inbox: mpsc::Receiver<UserMessage>,
    state: State,
    place: Place<'static>,
    /// The text of the `say` that is under way.
    saying: Option<String>,
    /// The last steps that need the message and the answer: a checkpoint after them is spared the texts.
    last_message: Option<usize>,
    last_answer: Option<usize>,
}

/// What has to happen before the script goes on.
enum State {
    /// The message that started the run is to be taken.
    New,
    /// The answer to a question is to be taken.
    Asked,
    /// Nothing.
    Playing,
}

/// A place in a script, between two events. The names of the fields are short because every event has one.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Place<'a> {
    #[serde(rename = "s")]
    step: usize,
    /// How often the step was done.
    #[serde(rename = "n", default, skip_serializing_if = "is_default")]
    times: u32,
    /// How much of the step was done: bytes of a `say`, parts of a `tool`.
    #[serde(rename = "p", default, skip_serializing_if = "is_default")]
    part: usize,
    /// The step is a question that was asked.
    #[serde(rename = "q", default, skip_serializing_if = "is_default")]
    asked: bool,
    #[serde(rename = "m", default, skip_serializing_if = "is_default")]
    message: Cow<'a, str>,
    #[serde(rename = "a", default, skip_serializing_if = "is_default")]
    answer: Cow<'a, str>,
    /// Why a tool was denied.
    #[serde(rename = "d", default, skip_serializing_if = "is_default")]
    denial: Cow<'a, str>,
}

impl Player {
    /// Starts, or goes on from a checkpoint.
    pub(super) fn start(input: RunInput) -> Result<Self, HarnessError> {
        let script = parser::parse_prompt(&input.agent.setup.spec.system_prompt)?;
        let (state, place) = match &input.checkpoint {
            None => (State::New, Place::default()),
            Some(checkpoint) => {
                let place = Place::restore(checkpoint, &script).ok_or_else(|| HarnessError {
                    code: "invalid_checkpoint".to_owned(),
                    message: "the script has no such place to go on from".to_owned(),
                })?;
                (if place.asked { State::Asked } else { State::Playing }, place)
            }
        };
        let names: Vec<_> = input.agent.skills.iter().map(|skill| skill.name.as_str()).collect();
        Ok(Self {
            skills: names.join(", "),
            memories: String::new(),
            last_message: script.last_use("message"),
            last_answer: script.last_use("answer"),
            script,
            agent: input.agent,
            inbox: input.inbox,
            state,
            place,
            saying: None,
        })
    }

    /// The next event. After a last event it must not be called again.
    pub(super) async fn next(&mut self) -> HarnessStep {
        // A script that never waits must not keep its worker from other tasks.
        tokio::task::consume_budget().await;
        match self.state {
            State::New => return self.take_message().await,
            State::Asked => return self.take_answer().await,
            State::Playing => {}
        }
        if self.place.part == 0
            && let Ok(message) = self.inbox.try_recv()
        {
            let token = HarnessEvent::Token(format!("[steered: {}]", message.content));
            return self.step(token, Some(message.position));
        }
        let event = self.play().await.unwrap_or_else(failed);
        self.step(event, None)
    }

    async fn take_message(&mut self) -> HarnessStep {
        match self.inbox.recv().await {
            Some(message) => {
                self.state = State::Playing;
                self.place.message = Cow::Owned(message.content);
                self.step(HarnessEvent::Progress, Some(message.position))
            }
            None => HarnessStep::from(failed(no_message("the run has no message to answer"))),
        }
    }

    async fn take_answer(&mut self) -> HarnessStep {
        match self.inbox.recv().await {
            Some(message) => {
                self.state = State::Playing;
                self.place.asked = false;
                if self.place.part == CALLED {
                    self.decide(&message);
                } else {
                    self.place.answer = Cow::Owned(message.content);
                    self.done();
                }
                self.step(HarnessEvent::Progress, Some(message.position))
            }
            None => self.step(failed(no_message("the run has no answer to its question")), None),
        }
    }

    /// Takes the answer to the question whether a tool may be called: a decision, or words that are a plain yes or no.
    fn decide(&mut self, message: &UserMessage) {
        let denial = match message.decision {
            Some(Decision::Allow) => None,
            Some(Decision::Deny) => Some(message.content.as_str()),
            None => match meaning(&message.content) {
                Meaning::Choice(Choice::Once | Choice::Session, _) => None,
                Meaning::Choice(Choice::Deny, _) | Meaning::Unclear => Some(message.content.as_str()),
            },
        };
        self.place.part = if denial.is_some() { DENIED } else { ALLOWED };
        self.place.denial = Cow::Owned(denial.unwrap_or_default().to_owned());
    }

    /// Plays on until something happened.
    async fn play(&mut self) -> Result<HarnessEvent, HarnessError> {
        self.recall().await?;
        let Some(step) = self.script.steps.get(self.place.step) else {
            return Ok(HarnessEvent::Completed);
        };
        if self.place.times > 0 && self.place.part == 0 {
            wait(step.every).await;
        }
        let event = match &step.action {
            Action::Say(text) => {
                let text = match self.saying.take() {
                    Some(text) => text,
                    None => self.render(text)?,
                };
                let rest = text.get(self.place.part..).unwrap_or_default();
                let token = &rest[..end_of_word(rest)];
                let event = match token {
                    "" => HarnessEvent::Progress,
                    token => HarnessEvent::Token(token.to_owned()),
                };
                if token.len() < rest.len() {
                    self.place.part += token.len();
                    self.saying = Some(text);
                    return Ok(event);
                }
                event
            }
            Action::Token(text) => HarnessEvent::Token(self.render(text)?),
            Action::Tool { name, arguments, result } => {
                let id = format!("call_{}", step.calls_after(self.place.times + 1));
                let arguments = template::render_object(arguments, &self.values(), &mut Budget::new())?;
                let (name, result) = (name.clone(), result.clone());
                return self.play_tool(id, name, arguments, &result);
            }
            Action::Ask(text) => {
                if self.agent.setup.spec.features.steering {
                    let summary = self.render(text)?;
                    self.place.asked = true;
                    return Ok(HarnessEvent::Asked { summary });
                }
                self.place.answer = Cow::Borrowed("");
                HarnessEvent::Progress
            }
            Action::Write { path, text } => {
                let content = self.render(text)?.into_bytes();
                let written = self.agent.sandbox.write_file(path, content).await.map_err(sandbox_failed)?;
                HarnessEvent::FileChanged { change: written.change, path: path.clone() }
            }
            Action::Delete(path) => {
                if self.agent.sandbox.delete_file(path).await.map_err(sandbox_failed)? {
                    HarnessEvent::FileChanged { change: FileChange::Deleted, path: path.clone() }
                } else {
                    HarnessEvent::Progress
                }
            }
            Action::Read(path) => {
                let content = self.agent.sandbox.read_file(path).await.map_err(sandbox_failed)?;
                HarnessEvent::Token(match content {
                    Some(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
                    None => "(no such file)".to_owned(),
                })
            }
            Action::Remember(text) | Action::Forget(text) if self.has_memory() => {
                let text = self.render(text)?;
                let mut memories = Memories::of(self.agent.sandbox.as_ref()).await?;
                let mut entries = memories.entries.clone();
                if matches!(step.action, Action::Forget(_)) {
                    entries.retain(|entry| !entry.contains(&text));
                } else if !entries.contains(&text) {
                    entries.push(text);
                }
                memories.write(entries).await?;
                HarnessEvent::Progress
            }
            Action::Remember(_) | Action::Forget(_) => HarnessEvent::Progress,
            Action::Usage { .. } => HarnessEvent::Used(step.used_after(self.place.times + 1)),
            Action::Delay(time) => {
                wait(*time).await;
                HarnessEvent::Progress
            }
            Action::Fail { code, message } => {
                return Ok(HarnessEvent::Failed { code: code.clone(), message: self.render(message)? });
            }
        };
        self.done();
        Ok(event)
    }

    /// Plays the next part of a call: the call, perhaps a question, and the result.
    fn play_tool(
        &mut self,
        id: String,
        tool: String,
        arguments: Value,
        result: &Value,
    ) -> Result<HarnessEvent, HarnessError> {
        if self.place.part == 0 {
            self.place.part = CALLED;
            return Ok(HarnessEvent::ToolCall { id, tool, arguments });
        }
        let (spec, named) = (self.agent.setup.spec.clone(), named(&tool));
        let is_off = spec.disabled_tools.contains(&named);
        if !is_off && self.place.part == CALLED && named.needs_approval(&spec.approvals) {
            if spec.features.steering {
                let mut summary = format!("The agent wants to use {named}: {arguments}");
                summary.truncate(summary.floor_char_boundary(QUESTION));
                self.place.asked = true;
                return Ok(HarnessEvent::Asked { summary });
            }
            (self.place.part, self.place.denial) = (DENIED, Cow::Borrowed("No human is available."));
        }
        let result = if is_off {
            json!({ "error": format!("the tool {named} is switched off") })
        } else if self.place.part == DENIED {
            json!({ "error": format!("a human has denied this call: {}", self.place.denial) })
        } else {
            template::render_json(result, &self.values(), &mut Budget::new())?
        };
        self.place.denial = Cow::Borrowed("");
        self.done();
        Ok(HarnessEvent::ToolResult { id, tool, result })
    }

    /// The step was done once.
    fn done(&mut self) {
        let times = self.script.steps.get(self.place.step).map_or(0, |step| step.times);
        self.place.part = 0;
        self.place.times += 1;
        if self.place.times >= times {
            self.place.times = 0;
            self.place.step += 1;
        }
    }

    fn step(&self, event: HarnessEvent, read: Option<u64>) -> HarnessStep {
        let needed = |text, last: Option<usize>| match last {
            Some(last) if self.place.step <= last => Cow::Borrowed(text),
            _ => Cow::Borrowed(""),
        };
        let place = Place {
            message: needed(&*self.place.message, self.last_message),
            answer: needed(&*self.place.answer, self.last_answer),
            denial: Cow::Borrowed(&*self.place.denial),
            ..self.place
        };
        HarnessStep { event, checkpoint: place.save(), read }
    }

    fn render(&self, text: &str) -> Result<String, HarnessError> {
        template::render(text, &self.values(), &mut Budget::new())
    }

    /// Reads what is remembered if this step needs it.
    async fn recall(&mut self) -> Result<(), HarnessError> {
        let is_needed =
            self.script.steps.get(self.place.step).is_some_and(|step| step.action.uses("memories"));
        if is_needed && self.saying.is_none() && self.has_memory() {
            self.memories = Memories::of(self.agent.sandbox.as_ref()).await?.entries.join("; ");
        }
        Ok(())
    }

    fn has_memory(&self) -> bool {
        self.agent.setup.spec.features.memory
    }

    fn values(&self) -> Values<'_> {
        Values {
            message: &self.place.message,
            answer: &self.place.answer,
            skills: &self.skills,
            model: &self.agent.setup.model,
            memories: &self.memories,
        }
    }
}

impl Place<'_> {
    /// The checkpoint. Numbers and strings always serialise.
    fn save(&self) -> Option<String> {
        serde_json::to_string(self).ok()
    }

    /// The place of a checkpoint, if the script has it.
    fn restore(checkpoint: &str, script: &Script) -> Option<Place<'static>> {
        let place: Place<'static> = serde_json::from_str(checkpoint).ok()?;
        let exists = match script.steps.get(place.step) {
            Some(step) => {
                let whole = match step.action {
                    Action::Say(_) => true,
                    Action::Tool { .. } => place.part <= DENIED,
                    _ => place.part == 0,
                };
                let can_ask = match step.action {
                    Action::Ask(_) => true,
                    Action::Tool { .. } => place.part == CALLED,
                    _ => false,
                };
                place.times < step.times && whole && place.asked <= can_ask
            }
            None => place.step == script.steps.len() && place.times == 0 && place.part == 0 && !place.asked,
        };
        exists.then_some(place)
    }
}

/// The tool that a script means: `SERVER/TOOL` is one of an MCP server.
fn named(name: &str) -> ToolName {
    match name.split_once('/') {
        Some((server, tool)) => ToolName::of_server(server, tool),
        None => ToolName::builtin(name),
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Where the first word of a text ends: white space belongs to the word after it, and at the end of the text
/// to the word before it.
fn end_of_word(text: &str) -> usize {
    let start = text.len() - text.trim_start().len();
    let word = &text[start..];
    match word.find(char::is_whitespace) {
        Some(length) if !word[length..].trim_start().is_empty() => start + length,
        _ => text.len(),
    }
}

fn failed(error: HarnessError) -> HarnessEvent {
    HarnessEvent::Failed { code: error.code, message: error.message }
}

fn no_message(message: &str) -> HarnessError {
    HarnessError { code: "no_message".to_owned(), message: message.to_owned() }
}

fn sandbox_failed(error: SandboxError) -> HarnessError {
    HarnessError { code: "sandbox_failed".to_owned(), message: error.to_string() }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use futures::{FutureExt, StreamExt};
    use prism_types::{DeploymentId, SkillSource, Timestamp, Usage};
    use proptest::prelude::*;
    use tokio::time::Instant;

    use super::*;
    use crate::{
        adapters::harness::ScriptedHarness,
        domain::skill::{SkillRecord, SkillState},
        ports::{BoxFuture, Harness},
        testkit::harness::{HarnessFixture, Trial, conforms, memory_agent},
    };

    fn prompt(script: &str) -> String {
        format!("You are a test.\n```script\n{script}\n```\n")
    }

    async fn trial(script: &str) -> Trial {
        Trial::new(memory_agent(&prompt(script)).await, "Hello")
    }

    /// Every event of a run but progress.
    async fn played(script: &str) -> Vec<HarnessEvent> {
        let mut trial = trial(script).await;
        trial.finish(&ScriptedHarness).await;
        trial.events.into_iter().filter(|event| *event != HarnessEvent::Progress).collect()
    }

    fn token(text: &str) -> HarnessEvent {
        HarnessEvent::Token(text.to_owned())
    }

    fn failure(code: &str, message: &str) -> HarnessEvent {
        HarnessEvent::Failed { code: code.to_owned(), message: message.to_owned() }
    }

    fn changed(change: FileChange, path: &str) -> HarnessEvent {
        HarnessEvent::FileChanged { change, path: path.parse().unwrap() }
    }

    #[tokio::test]
    async fn every_step_has_its_events() {
        use {FileChange as F, HarnessEvent as E};
        let used = |input_tokens, output_tokens| {
            let mut usage = Usage::default();
            (usage.input_tokens, usage.output_tokens) = (input_tokens, output_tokens);
            E::Used(usage)
        };
        let call = |id: &str, tool: &str, arguments| E::ToolCall {
            id: id.to_owned(),
            tool: tool.to_owned(),
            arguments,
        };
        let result =
            |id: &str, tool: &str, result| E::ToolResult { id: id.to_owned(), tool: tool.to_owned(), result };
        let script = [
            r#"say "Two  words ""#,
            r#"token "a b""#,
            r#"token """#,
            r#"repeat 2 tool x {"q": "<{{message}}>"} => ["{{message}}", 1]"#,
            "tool y {} => null",
            r#"write a/b "one\ntwo""#,
            "write a/b three",
            "read a/b",
            "delete a/b",
            "delete a/b",
            "read a/b",
            "repeat 2 usage 3 4",
            "usage 1 0",
            "fail out_of_paper No more, {{message}}.",
            "say never",
        ];
        let expected = [
            token("Two"),
            token("  words "),
            token("a b"),
            token(""),
            call("call_1", "x", json!({"q": "<Hello>"})),
            result("call_1", "x", json!(["Hello", 1])),
            call("call_2", "x", json!({"q": "<Hello>"})),
            result("call_2", "x", json!(["Hello", 1])),
            call("call_3", "y", json!({})),
            result("call_3", "y", json!(null)),
            changed(F::Created, "a/b"),
            changed(F::Modified, "a/b"),
            token("three"),
            changed(F::Deleted, "a/b"),
            token("(no such file)"),
            used(3, 4),
            used(6, 8),
            used(7, 8),
            failure("out_of_paper", "No more, Hello."),
        ];
        assert_eq!(played(&script.join("\n")).await, expected);
    }

    #[tokio::test]
    async fn without_a_script_it_greets_and_repeats_the_message() {
        let mut trial = Trial::new(memory_agent("You are Acme's agent.").await, "ping");
        trial.finish(&ScriptedHarness).await;
        assert_eq!(trial.text(), "Hello, I am a scripted agent. You said: ping");
        assert!(trial.events.iter().any(|event| matches!(event, HarnessEvent::ToolResult { .. })));
        assert_eq!(trial.events.last(), Some(&HarnessEvent::Completed));
    }

    #[tokio::test]
    async fn an_empty_script_reads_its_message_and_completes() {
        let mut trial = trial("").await;
        trial.finish(&ScriptedHarness).await;
        assert_eq!(trial.events, [HarnessEvent::Progress, HarnessEvent::Completed]);
        assert_eq!(trial.read, 1);
    }

    #[tokio::test]
    async fn templates_stand_for_skills_and_the_model() {
        let skill = |name: &str| SkillRecord {
            id: "skl_1".parse().unwrap(),
            deployment_id: DeploymentId::from_suffix("1").unwrap(),
            name: name.to_owned(),
            source: SkillSource::Inline,
            location: String::new(),
            state: SkillState::Ready,
            description: None,
            content: None,
            error: None,
            created_at: Timestamp::UNIX_EPOCH,
            revision: 0,
        };
        let mut trial = trial("say {{skills}} {{model}} [{{answer}}]").await;
        trial.agent.skills = vec![skill("a"), skill("b")];
        trial.finish(&ScriptedHarness).await;
        assert_eq!(trial.text(), "a, b provider/model []");
    }

    #[tokio::test]
    async fn a_question_ends_the_stream_and_the_answer_is_known_after_it() {
        let mut trial = trial("ask Go on, {{message}}?\nsay {{answer}}\nask Sure?\nsay {{answer}}").await;
        trial.answer = "Yes".to_owned();
        trial.advance(&ScriptedHarness, 2).await;
        let asked = HarnessEvent::Asked { summary: "Go on, Hello?".to_owned() };
        assert_eq!(trial.events, [HarnessEvent::Progress, asked]);
        trial.messages.push("Maybe".to_owned());
        trial.finish(&ScriptedHarness).await;
        assert_eq!((trial.text().as_str(), trial.read), ("MaybeYes", 3));
    }

    #[tokio::test]
    async fn without_steering_a_question_does_not_wait() {
        let mut trial = trial("ask Sure?\nsay [{{answer}}]").await;
        let mut spec = (*trial.agent.setup.spec).clone();
        spec.features.steering = false;
        trial.agent.setup.spec = Arc::new(spec);
        trial.finish(&ScriptedHarness).await;
        assert_eq!(trial.text(), "[]");
        assert!(!trial.events.iter().any(|event| matches!(event, HarnessEvent::Asked { .. })));
    }

    /// A run of an agent whose tools need approval, with or without humans.
    async fn gated(script: &str, steering: bool) -> Trial {
        let mut trial = trial(script).await;
        let mut spec = (*trial.agent.setup.spec).clone();
        spec.approvals = prism_types::ApprovalPolicy::new(["shell", "acme/publish_*"]);
        spec.features.steering = steering;
        spec.disabled_tools = [ToolName::of_server("acme", "drop")].into();
        trial.agent.setup.spec = Arc::new(spec);
        trial
    }

    #[tokio::test]
    async fn a_tool_that_needs_approval_is_called_only_when_it_is_allowed() {
        for (answer, result) in [
            ("yes", json!("done")),
            ("Not before May", json!({"error": "a human has denied this call: Not before May"})),
        ] {
            let mut trial = gated(r#"tool acme/publish_post {"title": "{{message}}"} => "done""#, true).await;
            trial.answer = answer.to_owned();
            trial.advance(&ScriptedHarness, 3).await;
            let arguments = json!({"title": "Hello"});
            let (id, tool) = ("call_1".to_owned(), "acme/publish_post".to_owned());
            let call = HarnessEvent::ToolCall { id: id.clone(), tool: tool.clone(), arguments };
            let summary = r#"The agent wants to use acme/publish_post: {"title":"Hello"}"#.to_owned();
            assert_eq!(trial.events, [HarnessEvent::Progress, call, HarnessEvent::Asked { summary }]);
            trial.finish(&ScriptedHarness).await;
            let told = HarnessEvent::ToolResult { id, tool, result };
            assert!(trial.events.contains(&told), "{:?}", trial.events);
        }
    }

    #[tokio::test]
    async fn without_humans_what_needs_approval_is_denied_and_nothing_waits() {
        let mut trial =
            gated("tool shell {} => 1\ntool read_file {} => 2\ntool acme/drop {} => 3", false).await;
        trial.finish(&ScriptedHarness).await;
        let results = trial.events.iter().filter_map(|event| match event {
            HarnessEvent::ToolResult { result, .. } => Some(result.to_string()),
            HarnessEvent::Asked { .. } => panic!("it waits"),
            _ => None,
        });
        let results: Vec<_> = results.collect();
        assert!(results[0].contains("No human is available"), "{results:?}");
        assert_eq!(results[1], "2");
        assert!(results[2].contains("the tool acme/drop is switched off"), "{results:?}");
    }

    #[tokio::test]
    async fn a_question_about_a_tool_is_bounded() {
        let mut trial = gated(r#"tool shell {"command": "{{message}}"} => 1"#, true).await;
        trial.messages[0] = "é".repeat(5000);
        trial.advance(&ScriptedHarness, 3).await;
        let Some(HarnessEvent::Asked { summary }) = trial.events.last() else { panic!("it asks") };
        assert!((QUESTION - 1..=QUESTION).contains(&summary.len()));
    }

    #[tokio::test]
    async fn messages_are_taken_between_steps_and_before_the_end() {
        let mut early = trial("say a b\nsay c").await;
        early.messages.push("first".to_owned());
        early.messages.push("second".to_owned());
        early.finish(&ScriptedHarness).await;
        assert_eq!((early.text().as_str(), early.read), ("[steered: first][steered: second]a bc", 3));

        // A message that comes in the middle of a step waits for its end; one at the end is still taken.
        let mut late = trial("say a b\nsay c").await;
        late.advance(&ScriptedHarness, 2).await;
        late.messages.push("middle".to_owned());
        late.advance(&ScriptedHarness, 5).await;
        assert_eq!(late.text(), "a b[steered: middle]c");
        late.messages.push("end".to_owned());
        late.finish(&ScriptedHarness).await;
        assert_eq!((late.text().as_str(), late.read), ("a b[steered: middle]c[steered: end]", 3));
    }

    #[tokio::test]
    async fn a_run_without_a_message_fails() {
        let mut trial = trial("say a").await;
        trial.messages.clear();
        let (_, inbox) = mpsc::channel(1);
        let (run, thread) = ("run_1".parse().unwrap(), "thr_1".parse().unwrap());
        let mut stream = ScriptedHarness.run(RunInput::new(run, thread, trial.agent, inbox));
        let step = stream.next().await.unwrap();
        assert!(matches!(step.event, HarnessEvent::Failed { code, .. } if code == "no_message"));
        assert_eq!(stream.next().await, None);
    }

    #[tokio::test]
    async fn what_the_sandbox_refuses_fails_the_run() {
        let events = played("write a x\nwrite a/b y").await;
        let failed = failure("sandbox_failed", "a/b is a directory, or a part of it is a file");
        assert_eq!(events, [changed(FileChange::Created, "a"), failed]);
    }

    #[tokio::test]
    async fn checkpoints_of_other_scripts_are_refused() {
        for checkpoint in [
            "",
            "{}",
            "null",
            r#"{"s":2}"#,
            r#"{"s":0,"n":1}"#,
            r#"{"s":0,"q":true}"#,
            r#"{"s":0,"x":1}"#,
            r#"{"s":1,"p":1}"#,
            r#"{"s":-1}"#,
            r#"{"s":0,"p":1,"q":true}"#,
        ] {
            let mut trial = trial("say a").await;
            trial.checkpoint = Some(checkpoint.to_owned());
            trial.finish(&ScriptedHarness).await;
            let [HarnessEvent::Failed { code, .. }] = &trial.events[..] else {
                panic!("{checkpoint}: {:?}", trial.events);
            };
            assert_eq!(code, "invalid_checkpoint");
        }
    }

    #[tokio::test]
    async fn a_checkpoint_holds_the_message_only_while_it_is_needed() {
        let mut trial =
            Trial::new(memory_agent(&prompt("token {{message}}\ntoken x")).await, &"m".repeat(1000));
        trial.advance(&ScriptedHarness, 1).await;
        assert!(trial.checkpoint.as_ref().unwrap().len() > 1000);
        trial.advance(&ScriptedHarness, 2).await;
        assert_eq!(trial.checkpoint.as_deref(), Some(r#"{"s":1}"#));
    }

    #[tokio::test(start_paused = true)]
    async fn waits_take_their_time() {
        let start = Instant::now();
        let events = played("delay 2s\nrepeat 3 every 20ms token x\nrepeat 2 delay 5ms").await;
        assert_eq!(events.len(), 4);
        assert_eq!(start.elapsed(), Duration::from_millis(2000 + 2 * 20 + 2 * 5));
    }

    #[tokio::test(start_paused = true)]
    async fn provisioning_waits_and_fails_but_does_not_run() {
        let script = "say a\nprovision delay 500ms\nprovision fail no_luck No {{model}} today.\nsay b";
        let agent = memory_agent(&prompt(script)).await;
        let start = Instant::now();
        let error = ScriptedHarness.prepare(agent.clone()).await.unwrap_err();
        assert_eq!((error.code.as_str(), error.message.as_str()), ("no_luck", "No provider/model today."));
        assert_eq!(start.elapsed(), Duration::from_millis(500));
        assert_eq!(played(script).await, [token("a"), token("b"), HarnessEvent::Completed]);

        let error = ScriptedHarness.prepare(memory_agent(&prompt("say a\nsing b")).await).await.unwrap_err();
        assert_eq!(error.code, "invalid_script");
        assert!(error.message.starts_with("line 2 of the script:"), "{error}");
        assert_eq!(ScriptedHarness.prepare(memory_agent("No script.").await).await, Ok(()));
    }

    #[tokio::test]
    async fn a_script_that_never_waits_lets_other_tasks_run_and_fills_batches() {
        let trial = trial("repeat 1000000 token x").await;
        let (sender, inbox) = mpsc::channel(1);
        let message =
            UserMessage { position: 1, content: String::new(), attachments: Vec::new(), decision: None };
        sender.try_send(message).unwrap();
        let (run, thread) = ("run_1".parse().unwrap(), "thr_1".parse().unwrap());
        let mut stream = ScriptedHarness.run(RunInput::new(run, thread, trial.agent, inbox));
        let other = tokio::spawn(async {});
        let mut batches = Vec::new();
        while !other.is_finished() {
            let mut batch = 1;
            stream.next().await.unwrap();
            while let Some(Some(_)) = stream.next().now_or_never() {
                batch += 1;
            }
            batches.push(batch);
        }
        assert!(batches.iter().sum::<usize>() < 10_000, "{batches:?}");
        assert!(batches.iter().any(|batch| *batch > 50), "{batches:?}");
    }

    struct Scripts(String);

    impl HarnessFixture for Scripts {
        fn harness(&self) -> &dyn Harness {
            &ScriptedHarness
        }

        fn agent(&self) -> BoxFuture<'_, Preparation> {
            memory_agent(&self.0).boxed()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_passes_the_conformance_suite() {
        let every_step = "say Hello {{message}}\ntoken x\nrepeat 3 tool t {} => 1\nwrite a {{message}}\nread a\n\
             ask Why?\nsay {{answer}}\ndelete a\nusage 1 2\nrepeat 5 every 1s say a b\ndelay 1h\nfail x y";
        let every_step = every_step.replace("1h", "3600s");
        let remembers = "remember {{message}}\nforget nothing\nsay {{memories}}";
        for script in [prompt(&every_step), prompt(remembers), prompt(""), "No script.".to_owned()] {
            conforms(&Scripts(script)).await;
        }
    }

    fn any_step() -> impl Strategy<Value = String> {
        let once = prop_oneof![
            "say [a-c ]{0,8}x".prop_map(|text| text.to_owned()),
            Just(r#"say "  ""#.to_owned()),
            Just("say {{message}} {{answer}}!".to_owned()),
            Just(r#"token "{{answer}}""#.to_owned()),
            Just(r#"tool t {"a": "{{message}}"} => "{{answer}}""#.to_owned()),
            Just("ask {{message}}?".to_owned()),
            "write [ab] [a-z]{1,3}".prop_map(|text| text.to_owned()),
            "delete [ab]".prop_map(|text| text.to_owned()),
            "read [ab]".prop_map(|text| text.to_owned()),
            Just("usage 1 2".to_owned()),
            Just("delay 10ms".to_owned()),
        ];
        let repeated = (1..4_u32, once.clone()).prop_map(|(times, step)| format!("repeat {times} {step}"));
        prop_oneof![4 => once, 1 => repeated, 1 => Just("repeat 3 every 1s token y".to_owned())]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_run_that_is_cut_off_anywhere_tells_the_same(
            steps in prop::collection::vec(any_step(), 0..8),
            steering in any::<bool>(),
            gated in any::<bool>(),
            waiting in 0..3_usize,
            fails in any::<bool>(),
        ) {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
            let script = steps.join("\n") + if fails { "\nfail end {{answer}}" } else { "" };
            runtime.block_on(async {
                let fresh = || async {
                    let mut trial = trial(&script).await;
                    let mut spec = (*trial.agent.setup.spec).clone();
                    spec.features.steering = steering;
                    spec.approvals.tools.extend(gated.then(|| "*".to_owned()));
                    trial.agent.setup.spec = Arc::new(spec);
                    trial.messages.extend((0..waiting).map(|index| format!("more {index}")));
                    trial
                };
                let mut whole = fresh().await;
                whole.finish(&ScriptedHarness).await;
                for cut in 1..whole.events.len() {
                    let mut cut_off = fresh().await;
                    cut_off.advance(&ScriptedHarness, cut).await;
                    cut_off.finish(&ScriptedHarness).await;
                    assert_eq!(cut_off.events, whole.events, "cut after event {cut} of {script}");
                    assert_eq!(cut_off.read, whole.read);
                }
                // Cut off after every single event.
                let mut pieces = fresh().await;
                while !pieces.ended() {
                    pieces.advance(&ScriptedHarness, pieces.events.len() + 1).await;
                }
                assert_eq!(pieces.events, whole.events, "restarted after every event of {script}");
            });
        }

        #[test]
        fn said_words_are_the_text(text in "(?s).{0,40}") {
            let mut rest = text.as_str();
            let mut words = 0;
            while !rest.is_empty() {
                let end = end_of_word(rest);
                prop_assert!(end > 0);
                rest = &rest[end..];
                words += 1;
            }
            let expected = text.split_whitespace().count();
            prop_assert_eq!(words, if expected == 0 { usize::from(!text.is_empty()) } else { expected });
        }
    }
}
