//! Carries out an answer, piece by piece, as it is wanted.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use tokio::sync::watch;

use super::{
    conversation::Conversation,
    script::{Action, Answer, Step},
};

/// How long a `wait` lasts when nobody lets it go on.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// A part of what a model answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    Text(String),
    /// A whole tool call; its index counts the calls of the answer.
    Tool {
        index: usize,
        id: String,
        name: String,
        arguments: String,
    },
}

/// How an answer ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// With a finish reason.
    Finished(&'static str),
    /// In the middle, without a word.
    HungUp,
}

/// The tokens that an answer took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tokens {
    pub(super) input: u64,
    pub(super) output: u64,
}

/// An answer that is being given.
pub(super) struct Player {
    conversation: Arc<Conversation>,
    beats: Box<dyn Iterator<Item = Beat> + Send>,
    gates: watch::Receiver<BTreeSet<String>>,
    tools: usize,
    tokens: Tokens,
    /// What a `usage` step said instead.
    said: Option<Tokens>,
}

/// What is done without a break.
enum Beat {
    Act(Action),
    Piece(String),
}

impl Player {
    /// Starts an answer to a request of so many bytes.
    pub(super) fn new(
        answer: &Answer,
        conversation: Arc<Conversation>,
        gates: watch::Receiver<BTreeSet<String>>,
        request_bytes: usize,
    ) -> Self {
        let input = request_bytes.div_ceil(4) as u64;
        let context = conversation.clone();
        let beats = answer.clone().into_iter().flat_map(move |step| beats(step, context.clone()));
        let tokens = Tokens { input, output: 0 };
        Self { conversation, beats: Box::new(beats), gates, tools: 0, tokens, said: None }
    }

    /// The next piece, when it is time, or how the answer ended.
    pub(super) async fn next(&mut self) -> Result<Piece, End> {
        for beat in self.beats.by_ref() {
            match beat {
                Beat::Piece(text) => {
                    self.tokens.output += 1;
                    return Ok(Piece::Text(text));
                }
                Beat::Act(Action::Tool { name, arguments }) => {
                    self.tokens.output += 1;
                    let index = self.tools;
                    self.tools += 1;
                    let arguments = self.conversation.render_json(&arguments.into()).to_string();
                    let id = format!("call_{}_{}", self.conversation.call, self.tools);
                    return Ok(Piece::Tool { index, id, name, arguments });
                }
                Beat::Act(Action::Delay(time)) => tokio::time::sleep(time).await,
                Beat::Act(Action::Wait(gate)) => {
                    let open = self.gates.wait_for(|open| open.contains(&gate));
                    if !matches!(tokio::time::timeout(LONGEST_WAIT, open).await, Ok(Ok(_))) {
                        return Err(End::HungUp);
                    }
                }
                Beat::Act(Action::Usage { input, output }) => self.said = Some(Tokens { input, output }),
                Beat::Act(Action::HangUp | Action::Error { .. }) => return Err(End::HungUp),
                Beat::Act(Action::Say(_) | Action::Token(_)) => {}
            }
        }
        Err(End::Finished(if self.tools == 0 { "stop" } else { "tool_calls" }))
    }

    /// The tokens so far: those of a `usage` step, or else a token for each piece and for each four bytes of
    /// the request.
    pub(super) fn tokens(&self) -> Tokens {
        self.said.unwrap_or(self.tokens)
    }
}

fn beats(step: Step, conversation: Arc<Conversation>) -> impl Iterator<Item = Beat> {
    let Step { action, times, every } = step;
    (0..times).flat_map(move |time| {
        let pause = (time > 0 && !every.is_zero()).then_some(Beat::Act(Action::Delay(every)));
        let pieces = match &action {
            Action::Say(text) => words(&conversation.render(text)),
            Action::Token(text) => vec![Beat::Piece(conversation.render(text))],
            other => vec![Beat::Act(other.clone())],
        };
        pause.into_iter().chain(pieces)
    })
}

/// The words of a text, each with the space after it.
fn words(text: &str) -> Vec<Beat> {
    text.split_inclusive(char::is_whitespace).map(|word| Beat::Piece(word.to_owned())).collect()
}
