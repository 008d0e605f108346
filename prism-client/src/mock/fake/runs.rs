//! Runs: scripts that are played, step by step, as time goes on.

use std::collections::VecDeque;

use prism_types::{
    Approval, ApprovalId, ApprovalStatus, DeploymentId, EventPayload, Failure, FileChange, FilesystemChanged,
    ListPage, Memory, MemoryId, MemorySource, MessageRole, Page, RawJson, Run, RunId, RunKind, RunStatus,
    RunStatusChanged, SteeringRequested, ThreadId, ThreadMessage, Timestamp, Token, ToolCalled, ToolReturned,
};
use tokio::time::Instant;

use super::{
    Script,
    collection::Item,
    script::Step,
    state::{Agent, Fresh, State},
};
use crate::mock::{Answer, Reply, Request};

/// A run and what is left of its script.
pub(super) struct Work {
    pub(super) run: Run,
    steps: VecDeque<Step>,
    /// When the next step is due.
    pub(super) due: Instant,
    message: String,
    answer: String,
    /// What the agent has said since the last message of the thread.
    text: String,
    calls: u32,
}

impl Item for Work {
    const NOUN: &'static str = "Run";

    fn id(&self) -> &str {
        self.run.run_id.as_str()
    }
}

impl State {
    pub(super) fn list_runs(&mut self, _: &Request, id: DeploymentId, query: ListPage) -> Answer<Page<Run>> {
        let runs = &self.agents.get(&id)?.runs;
        Ok(runs.page(query.limit, query.cursor.as_ref(), |_| true, |work| work.run.clone())?.into())
    }

    pub(super) fn get_run(&mut self, _: &Request, id: DeploymentId, run: RunId) -> Answer<Run> {
        Ok(self.agents.get(&id)?.runs.get(&run)?.run.clone().into())
    }

    pub(super) fn cancel_run(&mut self, _: &Request, id: DeploymentId, run: RunId) -> Answer<Run> {
        let agent = self.agents.get_mut(&id)?;
        let is_idle = agent.runs.get(&run)?.run.status.is_terminal();
        agent.cancel(&run, &mut self.fresh);
        Ok(Reply { is_idle, ..Reply::new(agent.runs.get(&run)?.run.clone()) })
    }
}

impl Agent {
    /// Starts a run that does what a script says about a message, which is stored on the thread.
    pub(super) fn start_run(
        &mut self,
        thread: &ThreadId,
        kind: RunKind,
        message: &str,
        script: Script,
        fresh: &mut Fresh,
    ) -> Run {
        self.read_skill_files();
        let (run_id, now): (RunId, _) = (fresh.id(RunId::PREFIX), fresh.now());
        let run = Run::new(run_id.clone(), self.id(), thread.clone(), RunStatus::Running, now).kind(kind);
        self.say_on(thread, MessageRole::User, message, &run_id, now);
        let (due, message) = (fresh.instant(), message.to_owned());
        let (answer, text) = (String::new(), String::new());
        self.runs.add(Work { run: run.clone(), steps: script.0, due, message, answer, text, calls: 0 });
        self.tell_status(&run_id, None);
        run
    }

    /// Lets a run that waits go on with an answer, which is stored on the thread.
    pub(super) fn resume(&mut self, run: &RunId, answer: &str, decided: ApprovalStatus, fresh: &mut Fresh) {
        self.resolve_questions(run, decided, Some(answer), fresh.now());
        let Ok(work) = self.runs.get_mut(run) else { return };
        work.answer = answer.to_owned();
        work.run.status = RunStatus::Running;
        work.due = fresh.instant();
        let thread = work.run.thread_id.clone();
        self.say_on(&thread, MessageRole::User, answer, run, fresh.now());
        self.tell_status(run, None);
    }

    /// Ends a run with the code `cancelled`; one that is over stays as it is.
    pub(super) fn cancel(&mut self, run: &RunId, fresh: &mut Fresh) {
        if self.status_of_run(run).is_some_and(|status| !status.is_terminal()) {
            self.end_run(run, Some(Failure::new("cancelled", "The run was cancelled")), fresh);
        }
    }

    /// Plays all steps that are due.
    pub(super) fn play(&mut self, fresh: &mut Fresh) {
        let runs: Vec<_> = self.runs.iter().map(|work| work.run.run_id.clone()).collect();
        for run in runs {
            while let Some(step) = self.next_step(&run, fresh.instant()) {
                match step {
                    Some(step) => self.carry_out(&run, step, fresh),
                    None => self.end_run(&run, None, fresh),
                }
            }
        }
    }

    /// Stores a message on a thread.
    pub(super) fn say_on(
        &mut self,
        thread: &ThreadId,
        role: MessageRole,
        text: &str,
        run: &RunId,
        now: Timestamp,
    ) {
        if let Ok(thread) = self.threads.get_mut(thread) {
            thread.messages.push(ThreadMessage::new(role, text, now).run_id(run.clone()));
        }
    }

    /// The next step of a run that is due: the inner `None` is the end of the script.
    fn next_step(&mut self, run: &RunId, now: Instant) -> Option<Option<Step>> {
        let work = self.runs.get_mut(run).ok()?;
        let is_due = work.run.status == RunStatus::Running && work.due <= now;
        is_due.then(|| work.steps.pop_front())
    }

    fn carry_out(&mut self, run: &RunId, step: Step, fresh: &mut Fresh) {
        let features = self.spec.features;
        let Ok(work) = self.runs.get_mut(run) else { return };
        let (thread, now) = (work.run.thread_id.clone(), fresh.now());
        match step {
            Step::Say(text) => {
                let text = work.filled(&text);
                work.text.push_str(&text);
                for word in words(&text) {
                    self.tell(EventPayload::Token(Token::new(run.clone(), word).thread_id(thread.clone())));
                }
            }
            Step::Token(text) => {
                let delta = work.filled(&text);
                work.text.push_str(&delta);
                self.tell(EventPayload::Token(Token::new(run.clone(), delta).thread_id(thread)));
            }
            Step::Tool { name, arguments, result } => {
                work.calls += 1;
                let id = format!("call_{}", work.calls);
                let (arguments, result) = (work.filled_json(&arguments), work.filled_json(&result));
                let call = ToolCalled::new(run.clone(), name.clone(), arguments).thread_id(thread.clone());
                self.tell(EventPayload::ToolCall(call.tool_call_id(id.clone())));
                let result = ToolReturned::new(run.clone(), name, result).thread_id(thread);
                self.tell(EventPayload::ToolResult(result.tool_call_id(id)));
            }
            Step::Ask(_) if !features.steering => work.answer.clear(),
            Step::Ask(question) => {
                let question = work.filled(&question);
                self.ask(run, question, fresh);
            }
            Step::Write { path, text } => {
                let text = work.filled(&text);
                let change = self.put_file(&path, text.into(), fresh);
                self.tell_file(change, path, Some((run, &thread)));
            }
            Step::Delete(path) => {
                if self.files.remove(&path).is_some() {
                    self.tell_file(FileChange::Deleted, path, Some((run, &thread)));
                }
            }
            Step::Remember(text) => {
                let text = work.filled(&text);
                let is_known = self.memories.iter().any(|memory| memory.content == text);
                if features.memory && !is_known {
                    let id: MemoryId = fresh.id(MemoryId::PREFIX);
                    self.memories.add(Memory::new(id, text, MemorySource::Agent, now));
                }
            }
            Step::Usage { input, output } => {
                work.run.usage.input_tokens += input;
                work.run.usage.output_tokens += output;
            }
            Step::Wait(time) => work.due += time,
            Step::Fail(failure) => self.end_run(run, Some(failure), fresh),
        }
    }

    fn ask(&mut self, run: &RunId, question: String, fresh: &mut Fresh) {
        self.keep_text(run, fresh.now());
        let Ok(work) = self.runs.get_mut(run) else { return };
        work.run.status = RunStatus::WaitingOnHuman;
        let (thread, now) = (work.run.thread_id.clone(), fresh.now());
        let id: ApprovalId = fresh.id(ApprovalId::PREFIX);
        let approval =
            Approval::new(id.clone(), self.id(), thread.clone(), run.clone(), question.clone(), now);
        let limit = self.spec.approvals.as_ref().and_then(|policy| policy.timeout_seconds);
        let expires = limit.map(|limit| Timestamp::from_millis(now.as_millis() + i64::from(limit) * 1000));
        self.approvals.add(approval.expires_at(expires));
        let asked = SteeringRequested::new(run.clone(), question).thread_id(thread).approval_id(id);
        self.tell(EventPayload::SteeringRequest(asked));
        self.tell_status(run, None);
    }

    fn end_run(&mut self, run: &RunId, failure: Option<Failure>, fresh: &mut Fresh) {
        let now = fresh.now();
        self.keep_text(run, now);
        self.resolve_questions(run, ApprovalStatus::Closed, None, now);
        let Ok(work) = self.runs.get_mut(run) else { return };
        work.run.status = if failure.is_some() { RunStatus::Error } else { RunStatus::Completed };
        work.run.error.clone_from(&failure);
        work.run.ended_at = Some(now);
        self.tell_status(run, failure);
    }

    /// Stores what the agent has said on its thread.
    fn keep_text(&mut self, run: &RunId, now: Timestamp) {
        let Ok(work) = self.runs.get_mut(run) else { return };
        let (text, thread) = (std::mem::take(&mut work.text), work.run.thread_id.clone());
        if !text.is_empty() {
            self.say_on(&thread, MessageRole::Agent, &text, run, now);
        }
    }

    fn tell_status(&mut self, run: &RunId, failure: Option<Failure>) {
        let Ok(work) = self.runs.get(run) else { return };
        let changed = RunStatusChanged::new(run.clone(), work.run.status.clone());
        let changed = changed.thread_id(work.run.thread_id.clone()).error(failure);
        self.tell(EventPayload::RunStatus(changed));
    }

    /// Tells of a change of a file, if the deployment has it told.
    pub(super) fn tell_file(&mut self, change: FileChange, path: String, by: Option<(&RunId, &ThreadId)>) {
        if !self.spec.features.filesystem_webhooks {
            return;
        }
        let mut changed = FilesystemChanged::new(change, path);
        if let Some((run, thread)) = by {
            changed = changed.run_id(run.clone()).thread_id(thread.clone());
        }
        self.tell(EventPayload::Filesystem(changed));
    }
}

impl Work {
    /// A text with what its templates stand for.
    fn filled(&self, text: &str) -> String {
        text.replace("{{message}}", &self.message).replace("{{answer}}", &self.answer)
    }

    /// The same in the strings of JSON.
    fn filled_json(&self, json: &RawJson) -> RawJson {
        let escaped = |text: &str| {
            let quoted = serde_json::Value::from(text).to_string();
            quoted[1..quoted.len() - 1].to_owned()
        };
        let text = json.get().replace("{{message}}", &escaped(&self.message));
        RawJson::parse(&text.replace("{{answer}}", &escaped(&self.answer))).unwrap_or_else(|_| json.clone())
    }
}

/// The words of a text, each with the white space before it; what is left at the end belongs to the last one.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let begin = rest.find(|c: char| !c.is_whitespace()).unwrap_or(rest.len());
        let end = rest[begin..].find(char::is_whitespace).map_or(rest.len(), |length| begin + length);
        let is_last = rest[end..].trim_start().is_empty();
        let (word, after) = if is_last { (rest, "") } else { rest.split_at(end) };
        rest = after;
        (!word.is_empty()).then_some(word)
    })
}

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn words_are_the_whole_text() {
        for (text, expected) in [("", &[][..]), ("Hi", &["Hi"]), (" a  b\n", &[" a", "  b\n"])] {
            assert_eq!(words(text).collect::<Vec<_>>(), expected);
        }
    }
}
