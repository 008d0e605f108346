//! What a run has done, turned into one commit: events, the agent's messages, and the run itself.

use prism_types::{
    ApprovalId, EventPayload, Failure, FilesystemChanged, MessageRole, RawJson, RunKind, RunStatusChanged,
    SteeringRequested, Timestamp, Token, ToolCalled, ToolReturned,
};
use serde_json::Value;

use super::SWEEP_PAGE;
use crate::{
    core::Core,
    domain::{
        Refused,
        approval::{Approval, ApprovalState, Resolution},
        dream::Quiet,
        event::{LoggedEvent, NewEvent},
        limits,
        message::Message,
        run::{Run, RunCommand},
    },
    error::{Result, failure},
    ids::NewId,
    ports::{Commit, HarnessEvent, HarnessStep, Write},
};

/// A run together with the text that the agent has written since its last stored message.
pub(super) struct RunLog {
    pub(super) run: Run,
    text: String,
    file_events: bool,
    notes_quiet: bool,
    /// How many seconds a question waits, if the deployment says so.
    patience: Option<u32>,
}

/// Steps of a run as a commit, and what [`RunLog::advance`] needs once it has succeeded.
pub(super) struct Recorded<'a> {
    pub(super) commit: Commit,
    pub(super) advance: Advance,
    /// The text before these steps.
    before: &'a str,
    file_events: bool,
    notes_quiet: bool,
    patience: Option<u32>,
}

/// How a log goes on after a commit.
pub(super) struct Advance {
    run: Run,
    /// The text that was added.
    written: String,
    /// Whether all text was stored as a message.
    stored: bool,
}

impl RunLog {
    /// A run whose agent has written nothing yet. `file_events`: whether changes of files are told.
    pub(super) fn new(run: Run, file_events: bool) -> Self {
        Self { run, text: String::new(), file_events, notes_quiet: false, patience: None }
    }

    /// Notes, or not, when the run is over, since when its deployment is quiet.
    pub(super) fn notes_quiet(self, notes_quiet: bool) -> Self {
        Self { notes_quiet, ..self }
    }

    /// Sets how many seconds a question waits; `None`: as the server says.
    pub(super) fn patience(self, patience: Option<u32>) -> Self {
        Self { patience, ..self }
    }

    /// Learns from the run's past events what the agent has written since its last stored message.
    pub(super) fn replay(&mut self, events: &[LoggedEvent]) {
        for LoggedEvent { event, .. } in events {
            match EventPayload::decode(&event.name, &event.data) {
                Ok(EventPayload::Token(token)) => {
                    let room = limits::AGENT_TEXT.saturating_sub(self.text.len());
                    self.text.push_str(fitting(&token.delta, room));
                }
                // The agent's text is stored when it asks, see `end`.
                Ok(EventPayload::SteeringRequest(_)) => self.text.clear(),
                _ => {}
            }
        }
    }

    /// The commit that records these steps.
    pub(super) fn record(&self, steps: &[HarnessStep], now: Timestamp) -> Result<Recorded<'_>, Refused> {
        let advance = Advance { run: self.run.clone(), written: String::new(), stored: false };
        let before = self.text.as_str();
        let Self { file_events, notes_quiet, patience, .. } = *self;
        let commit = Commit::new();
        let mut recorded = Recorded { commit, advance, before, file_events, notes_quiet, patience };
        let mut writes = Vec::with_capacity(steps.len() + 4);
        for step in steps {
            let run = &mut recorded.advance.run;
            if let Some(checkpoint) = &step.checkpoint {
                run.checkpoint = Some(checkpoint.clone());
            }
            run.read_position = step.read.unwrap_or(run.read_position);
            recorded.record_event(&step.event, now, &mut writes)?;
        }
        writes.push(Write::UpdateRun(recorded.advance.run.clone()));
        // The store raises the revision of what it updates.
        recorded.advance.run.revision += 1;
        recorded.commit = Commit::new().with_all(writes);
        Ok(recorded)
    }

    /// Goes on after the commit of a record.
    pub(super) fn advance(&mut self, advance: Advance) {
        self.run = advance.run;
        if advance.stored {
            self.text.clear();
        }
        self.text.push_str(&advance.written);
    }
}

impl Recorded<'_> {
    fn record_event(
        &mut self,
        event: &HarnessEvent,
        now: Timestamp,
        writes: &mut Vec<Write>,
    ) -> Result<(), Refused> {
        let (run_id, thread_id) = (self.advance.run.id.clone(), self.advance.run.thread_id.clone());
        match event {
            HarnessEvent::Token(delta) => {
                let before = if self.advance.stored { 0 } else { self.before.len() };
                let length = before + self.advance.written.len();
                let room = limits::AGENT_TEXT.saturating_sub(length);
                self.advance.written.push_str(fitting(delta, room));
                let token = Token::new(run_id, delta.clone()).thread_id(thread_id);
                writes.push(self.append(EventPayload::Token(token), now));
            }
            HarnessEvent::ToolCall { id, tool, arguments } => {
                let called = ToolCalled::new(run_id, tool.clone(), raw(arguments));
                let called = called.thread_id(thread_id).tool_call_id(id.clone());
                writes.push(self.append(EventPayload::ToolCall(called), now));
            }
            HarnessEvent::ToolResult { id, tool, result } => {
                let returned = ToolReturned::new(run_id, tool.clone(), raw(result));
                let returned = returned.thread_id(thread_id).tool_call_id(id.clone());
                writes.push(self.append(EventPayload::ToolResult(returned), now));
            }
            HarnessEvent::FileChanged { change, path } if self.file_events => {
                let changed = FilesystemChanged::new(change.clone(), path.as_str());
                let changed = changed.run_id(run_id).thread_id(thread_id);
                writes.push(self.append(EventPayload::Filesystem(changed), now));
            }
            HarnessEvent::FileChanged { .. } | HarnessEvent::Progress => {}
            HarnessEvent::Used(usage) => self.advance.run.usage = usage.clone(),
            HarnessEvent::Asked { summary } => {
                let approval = self.approval(summary, now);
                let asked = SteeringRequested::new(run_id, summary.clone());
                let asked = asked.thread_id(thread_id).approval_id(approval.id.clone());
                writes.push(Write::InsertApproval(approval));
                writes.push(self.append(EventPayload::SteeringRequest(asked), now));
                self.end(RunCommand::Ask, now, writes)?;
            }
            HarnessEvent::Completed => self.end(RunCommand::Complete(now), now, writes)?,
            HarnessEvent::Failed { code, message } => {
                let failure = failure(code, message.clone());
                self.end(RunCommand::Fail(failure, now), now, writes)?;
            }
            // The run goes on as one attempt more, from the checkpoint that it has.
            HarnessEvent::Lost { .. } => self.advance.run.apply(RunCommand::Resume)?,
        }
        Ok(())
    }

    /// The agent is through for now: stores what it wrote as its message, and tells the new status.
    fn end(&mut self, command: RunCommand, now: Timestamp, writes: &mut Vec<Write>) -> Result<(), Refused> {
        self.advance.run.apply(command)?;
        let mut text = if self.advance.stored { String::new() } else { self.before.to_owned() };
        text.push_str(&std::mem::take(&mut self.advance.written));
        self.advance.stored = true;
        let run = &self.advance.run;
        if !text.is_empty() {
            writes.push(Write::InsertMessage(Message {
                thread_id: run.thread_id.clone(),
                position: 0,
                role: MessageRole::Agent,
                content: text,
                attachments: Vec::new(),
                decision: None,
                run_id: Some(run.id.clone()),
                created_at: now,
            }));
        }
        let changed = RunStatusChanged::new(run.id.clone(), run.state.status())
            .thread_id(run.thread_id.clone())
            .error(run.error.clone());
        writes.push(self.append(EventPayload::RunStatus(changed), now));
        if self.notes_quiet && run.state.is_terminal() && run.kind == RunKind::Message {
            let (deployment_id, run_id) = (run.deployment_id.clone(), run.id.clone());
            writes.push(Write::PutQuiet(Quiet { deployment_id, run_id, since: now }));
        }
        Ok(())
    }

    fn append(&self, payload: EventPayload, now: Timestamp) -> Write {
        Write::Append(NewEvent::new(self.advance.run.deployment_id.clone(), &payload, now))
    }

    fn approval(&self, summary: &str, now: Timestamp) -> Approval {
        Approval {
            id: ApprovalId::generate(),
            deployment_id: self.advance.run.deployment_id.clone(),
            run_id: self.advance.run.id.clone(),
            summary: summary.to_owned(),
            state: ApprovalState::Pending,
            answer: None,
            created_at: now,
            expires_at: self.patience.map(|seconds| {
                Timestamp::from_millis(now.as_millis().saturating_add(i64::from(seconds) * 1000))
            }),
            resolved_at: None,
        }
    }
}

/// A run that is ended for a reason of the platform's, whoever worked on it: what the agent had written is kept,
/// and its question is closed. With the commit that ends it.
pub(crate) async fn end_of(core: &Core, run: Run, reason: Failure) -> Result<(Run, Commit)> {
    let open = core.store.open_approval(&run.id).await?;
    let now = core.clock.now();
    let mut log = RunLog::new(run, false);
    read_past(core, &mut log).await?;
    let closed = open.map(|open| Write::ResolveApproval(open.id, Resolution::closed(), now));
    let recorded = log.record(&[failed(reason)], now)?;
    Ok((recorded.advance.run, recorded.commit.with_all(closed)))
}

/// Reads the run's past events into its log.
pub(super) async fn read_past(core: &Core, log: &mut RunLog) -> Result<()> {
    let mut after = 0;
    loop {
        let (run, deployment) = (log.run.id.clone(), log.run.deployment_id.clone());
        let page = core.store.run_events(&run, &deployment, after, SWEEP_PAGE).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = last.sequence;
        log.replay(&page);
    }
}

/// The last step of a run that failed for a reason of the platform's.
pub(super) fn failed(failure: Failure) -> HarnessStep {
    HarnessEvent::Failed { code: failure.code, message: failure.message }.into()
}

/// The beginning of a text that has room: the message of a run is bounded, the event log has all of it.
fn fitting(text: &str, room: usize) -> &str {
    &text[..text.floor_char_boundary(room)]
}

fn raw(value: &Value) -> RawJson {
    // A `Value` is JSON: writing it as text cannot fail, and neither can writing `null`.
    RawJson::of(value).or_else(|_| RawJson::parse("null")).unwrap_or_else(|_| unreachable!("null is JSON"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::run::{RunState, tests::sample};

    fn names(commit: &Commit) -> Vec<String> {
        let name = |write: &Write| match write {
            Write::Append(event) => event.name.clone(),
            Write::InsertMessage(message) => format!("message {}", message.content),
            Write::InsertApproval(_) => "approval".to_owned(),
            Write::UpdateRun(run) => format!("run {}", run.state.as_str()),
            other => format!("{other:?}"),
        };
        commit.writes().iter().map(name).collect()
    }

    #[test]
    fn a_completed_run_stores_its_text_and_tells_its_end() {
        let steps: Vec<HarnessStep> = vec![
            HarnessEvent::Token("Hel".to_owned()).into(),
            HarnessEvent::Token("lo".to_owned()).into(),
            HarnessEvent::Completed.into(),
        ];
        // In one commit, or the first token in one of its own: the message is whole.
        let mut log = RunLog::new(sample(), false);
        let recorded = log.record(&steps, Timestamp::UNIX_EPOCH).unwrap();
        let expected = ["token", "token", "message Hello", "run_status", "run completed"];
        assert_eq!(names(&recorded.commit), expected);
        let first = log.record(&steps[..1], Timestamp::UNIX_EPOCH).unwrap().advance;
        log.advance(first);
        assert_eq!(log.run.revision, sample().revision + 1);
        let recorded = log.record(&steps[1..], Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(names(&recorded.commit), expected[1..]);
    }

    #[test]
    fn the_message_of_a_run_is_bounded_and_its_events_are_whole() {
        let mut log = RunLog::new(sample(), false);
        let half = "é".repeat(limits::AGENT_TEXT / 4);
        for _ in 0..3 {
            let steps = [HarnessEvent::Token(half.clone()).into()];
            let recorded = log.record(&steps, Timestamp::UNIX_EPOCH).unwrap();
            let Write::Append(event) = &recorded.commit.writes()[0] else { panic!("no event") };
            assert!(event.data.contains(&half));
            let advance = recorded.advance;
            log.advance(advance);
        }
        assert_eq!(log.text.len(), limits::AGENT_TEXT);
        let odd = RunLog { text: log.text[2..].to_owned() + "x", ..log };
        let steps = [HarnessEvent::Token("é".to_owned()).into(), HarnessEvent::Completed.into()];
        let recorded = odd.record(&steps, Timestamp::UNIX_EPOCH).unwrap();
        let stored = recorded.commit.writes().iter().find_map(|write| match write {
            Write::InsertMessage(message) => Some(message.content.len()),
            _ => None,
        });
        assert_eq!(stored, Some(limits::AGENT_TEXT - 1));
    }

    #[test]
    fn asking_stores_the_text_before_the_question_once() {
        let asked = HarnessEvent::Asked { summary: "Publish?".to_owned() };
        let steps = vec![HarnessEvent::Token("Plan".to_owned()).into(), asked.into()];
        let mut log = RunLog::new(sample(), false);
        let recorded = log.record(&steps, Timestamp::UNIX_EPOCH).unwrap();
        let expected =
            ["token", "approval", "steering_request", "message Plan", "run_status", "run waiting_on_human"];
        assert_eq!(names(&recorded.commit), expected);
        let advance = recorded.advance;
        log.advance(advance);
        assert_eq!(log.run.state, RunState::WaitingOnHuman);
        assert!(log.text.is_empty());
    }

    #[test]
    fn file_changes_are_told_only_when_wanted() {
        let change = HarnessEvent::FileChanged {
            change: prism_types::FileChange::Created,
            path: "a".parse().unwrap(),
        };
        let steps = [change.into()];
        for (wanted, told) in [(false, 0), (true, 1)] {
            let log = RunLog::new(sample(), wanted);
            let recorded = log.record(&steps, Timestamp::UNIX_EPOCH).unwrap();
            assert_eq!(names(&recorded.commit).iter().filter(|name| *name == "filesystem").count(), told);
        }
    }

    #[test]
    fn nothing_can_be_recorded_after_the_end() {
        let steps: Vec<HarnessStep> = vec![HarnessEvent::Completed.into(), HarnessEvent::Completed.into()];
        assert!(RunLog::new(sample(), false).record(&steps, Timestamp::UNIX_EPOCH).is_err());
    }
}
