//! Working on a run: messages go to the agent, and what it says about them becomes steps.
//!
//! Each step carries a checkpoint: the process of the agent, its session, and the number of the last line that was
//! told. The messages of a run have ids that are the same after every restart, and the agent takes each id once;
//! so whatever is done again is harmless.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    super::answers::{self, Choice, Meaning},
    Agent,
    connection::{CallError, Connection, GRACE, Hold},
    known_files::KnownFiles,
    log::{Found, LONGEST_NAME, Line},
    turn::{Call, Outcome, Question, Turn},
};
use crate::domain::approval::Decision;
use crate::ports::{HarnessEvent, HarnessStep, Preparation, RunInput, ToolCall, UserMessage};

/// How long the agent may take to answer a call.
const ANSWER: Duration = Duration::from_secs(30);
/// How long the agent may take to open a session, which it may have to build.
const OPEN: Duration = Duration::from_secs(150);
/// How long the agent may say nothing before it is asked whether it is well.
const SILENCE: Duration = Duration::from_secs(60);
/// Steps after which a step is surely committed: more than the engine takes before it commits (64), with those that
/// wait to be scrubbed.
const COMMITTED: usize = 72;
/// What an agent is told that was lost in the middle of its work.
const INTERRUPTED: &str = "[Your process was interrupted and started again while you worked on the message below. \
    Check what is already done, do not repeat it, and go on.]";
/// What a human is told who could have meant yes.
const PLAINLY: &str =
    "Please answer `yes`, `always` or `no` alone. Anything else is a no, and your words its reason.";
/// What stands for a human in a deployment whose runs never pause.
const NOBODY: &str = "No human is available; decide yourself.";

/// Where a run goes on.
#[derive(Debug, Serialize, Deserialize)]
struct Checkpoint {
    /// The process of the agent.
    boot: String,
    /// The session in it.
    session: String,
    /// The last line that was told.
    number: u64,
    /// Whether the work was already handed over once more to another process.
    again: bool,
    turn: Turn,
}

/// A run that is worked on.
pub(super) struct Run {
    run: String,
    agent: Preparation,
    connection: Arc<Connection>,
    known_files: Arc<KnownFiles>,
    hold: Hold,
    inbox: tokio::sync::mpsc::Receiver<UserMessage>,
    inbox_is_open: bool,
    at: Checkpoint,
    /// Messages that were handed over and not yet taken, with their places on the thread.
    handed: VecDeque<(String, Option<u64>)>,
    ready: VecDeque<HarnessStep>,
    /// The lines of the last steps, the oldest first.
    told: VecDeque<u64>,
    ended: bool,
}

impl Run {
    /// Takes a run up.
    pub(super) async fn start(agent: Arc<Agent>, mut input: RunInput) -> Result<Self, HarnessEvent> {
        let checkpoint = input.checkpoint.take().map(|text| serde_json::from_str::<Checkpoint>(&text));
        let checkpoint = checkpoint.transpose().map_err(|error| {
            failed("invalid_checkpoint", &format!("the run's checkpoint cannot be read: {error}"))
        })?;
        let connection = agent.connection.clone();
        agent.settle().await;
        let Some((boot, _)) = connection.boot(GRACE).await else {
            return Err(lost("the agent is gone"));
        };
        let number = connection.with_log(|log| log.received());
        let from = checkpoint.as_ref().filter(|checkpoint| checkpoint.boot == boot);
        let mut hold = connection.hold(input.thread_id.clone(), from.map_or(number, |from| from.number));
        let opened = connection
            .call("prism.open", json!({ "thread": input.thread_id, "run": input.run_id }), OPEN)
            .await;
        let opened = match opened {
            Ok(opened) => opened,
            Err(error) => return Err(call_failed(error, &input.agent).await),
        };
        let session = opened["session_id"].as_str().filter(|name| name.len() <= LONGEST_NAME);
        let session = session.ok_or_else(|| failed("agent_failed", "the agent names no session"))?.to_owned();
        // Its session is known: what the others say is nothing to this run.
        hold.session = Some(session.clone());
        hold.raise(from.map_or(number, |from| from.number));
        let counter = (count(&opened, "input"), count(&opened, "output"));
        let mut run = Self {
            run: input.run_id.as_str().to_owned(),
            agent: input.agent,
            connection,
            known_files: agent.known_files.clone(),
            hold,
            inbox: input.inbox,
            inbox_is_open: true,
            at: Checkpoint { boot, session, number, again: false, turn: Turn::new(counter) },
            handed: VecDeque::new(),
            ready: VecDeque::new(),
            told: VecDeque::new(),
            ended: false,
        };
        match checkpoint {
            None => run.begin().await?,
            Some(at) if (&at.boot, &at.session) == (&run.at.boot, &run.at.session) => run.at = at,
            Some(at) if at.again => {
                return Err(failed("agent_lost", "the agent died again and again during the run"));
            }
            Some(at) => run.hand_over_again(at, &opened, counter).await?,
        }
        Ok(run)
    }

    /// The next step; `None` after the last one.
    pub(super) async fn next(&mut self) -> Option<HarnessStep> {
        loop {
            if let Some(step) = self.ready.pop_front() {
                self.ended = step.event.is_last();
                self.hold.ended = self.ended;
                self.note_told();
                return Some(step);
            }
            if self.ended {
                return None;
            }
            if let Err(event) = self.advance().await {
                self.ready.push_back(event.into());
            }
        }
    }

    /// Waits for one thing to happen, and does what is to be done about it.
    async fn advance(&mut self) -> Result<(), HarnessEvent> {
        let Self { inbox, inbox_is_open, connection, at, .. } = self;
        tokio::select! {
            biased;
            message = inbox.recv(), if *inbox_is_open => match message {
                Some(message) => self.take_message(message).await,
                None => {
                    self.inbox_is_open = false;
                    Ok(())
                }
            },
            line = connection.next(&at.boot, &at.session, at.number), if at.turn.question.is_none() => {
                let line = line.map_err(|reason| lost(&reason))?;
                self.take_line(&line).await
            }
            () = tokio::time::sleep(SILENCE), if at.turn.question.is_none() => {
                self.check().await
            }
            else => Err(lost("nobody answers the agent's question")),
        }
    }

    /// Whether the agent still works, after it has said nothing for a while.
    async fn check(&self) -> Result<(), HarnessEvent> {
        let Checkpoint { session, number, .. } = &self.at;
        let status = self.call("prism.status", json!({ "session_id": session })).await?;
        let said = self.connection.with_log(|log| matches!(log.after(*number, session), Found::Line(_)));
        // What it said before it answered is in the log by now.
        if status["works"] == false && !said {
            let reason = "the agent stopped working without a word".to_owned();
            return Err(call_failed(CallError::Silent(reason), &self.agent).await);
        }
        Ok(())
    }

    async fn take_message(&mut self, message: UserMessage) -> Result<(), HarnessEvent> {
        if let Some(question) = self.at.turn.question.take() {
            return self.take_answer(question, &message).await;
        }
        let id = format!("{}:{}", self.run, message.position);
        self.hand_over(id, Some(message.position), json!({ "text": text(&message) })).await
    }

    async fn take_answer(&mut self, question: Question, message: &UserMessage) -> Result<(), HarnessEvent> {
        let answer = text(message);
        let meaning = match message.decision {
            Some(Decision::Allow) => Meaning::Choice(Choice::Once, None),
            Some(Decision::Deny) => Meaning::Choice(Choice::Deny, Some(&answer)),
            None => answers::meaning(&answer),
        };
        if !question.clarify && meaning == Meaning::Unclear {
            let summary = format!("{PLAINLY}\n\n{}", question.summary);
            self.at.turn.question = Some(question);
            self.push(HarnessEvent::Progress, Some(message.position));
            self.push(HarnessEvent::Asked { summary }, None);
            return Ok(());
        }
        self.answer(&question, meaning, &answer).await?;
        self.push(HarnessEvent::Progress, Some(message.position));
        Ok(())
    }

    async fn take_line(&mut self, line: &Line) -> Result<(), HarnessEvent> {
        let before = self.at.number;
        self.at.number = line.number;
        match self.at.turn.on(&line.kind, &line.payload()) {
            Outcome::Nothing => {}
            Outcome::Told(event) => self.push(event, None),
            Outcome::File(seen) => {
                if let Some(change) = self.known_files.news(&seen).await {
                    self.push(HarnessEvent::FileChanged { change, path: seen.path }, None);
                }
            }
            Outcome::Taken(id) => {
                let place = self.handed.iter().position(|(handed, _)| *handed == id);
                let read = place.and_then(|place| self.handed.remove(place)).and_then(|(_, read)| read);
                self.push(HarnessEvent::Progress, read);
            }
            Outcome::Asks => self.ask().await?,
            // What was handed over and not taken yet starts another turn.
            Outcome::Idle if !self.handed.is_empty() => {}
            Outcome::Idle => {
                // Should the end not be committed, it is told once more from before this line.
                self.at.number = before;
                self.push(HarnessEvent::Used(self.at.turn.usage()), None);
                let end = match self.at.turn.failure() {
                    None => HarnessEvent::Completed,
                    Some(reason) => turn_failed(&self.agent, reason),
                };
                self.ready.push_back(end.into());
            }
        }
        Ok(())
    }

    async fn ask(&mut self) -> Result<(), HarnessEvent> {
        if self.agent.setup.spec.features.steering {
            let summary = self.at.turn.question.as_ref().map(|question| question.summary.clone());
            self.push(HarnessEvent::Asked { summary: summary.unwrap_or_default() }, None);
            return Ok(());
        }
        match self.at.turn.question.take() {
            Some(question) => {
                self.answer(&question, Meaning::Choice(Choice::Deny, Some(NOBODY)), NOBODY).await
            }
            None => Ok(()),
        }
    }

    /// Answers a question; the call that it allows may pass the gateway. A question that is not open any more was
    /// answered before a restart.
    async fn answer(
        &self,
        question: &Question,
        meaning: Meaning<'_>,
        answer: &str,
    ) -> Result<(), HarnessEvent> {
        let mut params = json!({ "session_id": self.at.session, "question": question.id });
        if question.clarify {
            params["clarify"] = json!(true);
            params["text"] = json!(answer);
            return self.call("prism.answer", params).await.map(drop);
        }
        let (choice, reason) = match meaning {
            // Each call needs an approval of its own.
            Meaning::Choice(Choice::Session, reason) if question.call.is_some() => (Choice::Once, reason),
            Meaning::Choice(choice, reason) => (choice, reason),
            Meaning::Unclear => (Choice::Deny, Some(answer)),
        };
        params["choice"] = json!(choice.as_str());
        params["text"] = json!(reason);
        // The call may come before the answer to this.
        let allowed =
            question.call.as_ref().filter(|call| choice != Choice::Deny && call.tool.server.is_some());
        let allowed = allowed
            .map(|Call { tool, arguments }| ToolCall { tool: tool.clone(), arguments: arguments.clone() });
        let outbound = &self.agent.setup.outbound;
        if let Some(call) = &allowed {
            outbound.allow_call(call.clone());
        }
        let answered = self.call("prism.answer", params).await;
        if let Some(call) = &allowed
            && !matches!(&answered, Ok(answer) if answer["resolved"] != 0)
        {
            outbound.withdraw_call(call);
        }
        answered.map(drop)
    }

    /// Hands the first message over. When that happened before a restart that came before the first step was
    /// committed, the run goes on from where the message was taken.
    async fn begin(&mut self) -> Result<(), HarnessEvent> {
        let Some(message) = self.inbox.recv().await else {
            return Err(failed("no_message", "the run has no message"));
        };
        let id = format!("{}:{}", self.run, message.position);
        self.find(&id);
        self.hand_over(id.clone(), Some(message.position), json!({ "text": text(&message) })).await?;
        // What the session said before is of a run that was cancelled.
        self.find(&id);
        Ok(())
    }

    /// Tells a new process of the agent to go on with what was lost with the old one.
    async fn hand_over_again(
        &mut self,
        lost: Checkpoint,
        opened: &Value,
        counter: (u64, u64),
    ) -> Result<(), HarnessEvent> {
        (self.at.turn, self.at.again) = (lost.turn, true);
        self.at.turn.again(counter);
        let unfinished: Vec<&str> = opened["unfinished"]
            .as_array()
            .map_or(&[][..], Vec::as_slice)
            .iter()
            .filter_map(Value::as_str)
            .collect();
        let original = unfinished.join("\n\n");
        let text = format!("{INTERRUPTED}\n\n{original}");
        let id = format!("{}:again:{}", self.run, self.at.boot);
        self.find(&id);
        self.hand_over(id, None, json!({ "text": text, "original": original, "again": true })).await
    }

    /// Goes back to where a message was taken, if it was.
    fn find(&mut self, id: &str) {
        let taken = self.connection.with_log(|log| log.taken(&self.at.session, id));
        if let Some(taken) = taken {
            self.at.number = taken - 1;
            self.hold.raise(taken - 1);
        }
    }

    async fn hand_over(
        &mut self,
        id: String,
        read: Option<u64>,
        mut params: Value,
    ) -> Result<(), HarnessEvent> {
        params["session_id"] = json!(self.at.session);
        params["id"] = json!(id);
        self.handed.push_back((id, read));
        self.call("prism.message", params).await.map(drop)
    }

    async fn call(&self, method: &str, params: Value) -> Result<Value, HarnessEvent> {
        match self.connection.call(method, params, ANSWER).await {
            Ok(answer) => Ok(answer),
            Err(error) => Err(call_failed(error, &self.agent).await),
        }
    }

    fn push(&mut self, event: HarnessEvent, read: Option<u64>) {
        // A checkpoint is made of strings and numbers, which can always be written.
        let checkpoint = serde_json::to_string(&self.at).ok();
        self.ready.push_back(HarnessStep { event, checkpoint, read });
    }

    /// Notes that a step was told; what was told long before it is committed.
    fn note_told(&mut self) {
        self.told.push_back(self.at.number);
        if self.told.len() > COMMITTED
            && let Some(number) = self.told.pop_front()
        {
            self.hold.raise(number);
        }
    }
}

/// What the agent gets of a message.
fn text(message: &UserMessage) -> String {
    let mut text = message.content.clone();
    for attachment in &message.attachments {
        text.push_str(&format!("\n\n[Attached {}: {}]", attachment.kind, attachment.url));
    }
    text
}

fn count(value: &Value, name: &str) -> u64 {
    value[name].as_u64().unwrap_or_default()
}

fn lost(reason: &str) -> HarnessEvent {
    HarnessEvent::Lost { message: reason.to_owned() }
}

fn failed(code: &str, message: &str) -> HarnessEvent {
    HarnessEvent::Failed { code: code.to_owned(), message: message.to_owned() }
}

/// The model's own reason, where there is one, says more than the agent's.
fn turn_failed(agent: &Preparation, reason: &str) -> HarnessEvent {
    match agent.setup.outbound.refusal() {
        Some(refusal) => HarnessEvent::Failed { code: refusal.code, message: refusal.message },
        None => failed("agent_failed", reason),
    }
}

async fn call_failed(error: CallError, agent: &Preparation) -> HarnessEvent {
    let deployment = &agent.setup.deployment_id;
    match error {
        CallError::Lost(reason) => lost(&reason),
        CallError::Silent(reason) => {
            tracing::warn!(%deployment, reason, "an agent does not answer; its sandbox is ended");
            if let Err(error) = agent.sandbox.end().await {
                tracing::warn!(%deployment, %error, "a sandbox was not ended");
            }
            lost(&reason)
        }
        CallError::Refused(reason) => {
            let reason = agent.setup.outbound.scrubber().text(&reason).into_owned();
            tracing::warn!(%deployment, reason, "an agent refused");
            failed("agent_failed", &format!("the agent refused to work: {reason}"))
        }
    }
}
