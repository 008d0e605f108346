//! A script that was understood.

use std::time::Duration;

use axum::http::StatusCode;
use serde_json::{Map, Value};

use super::conversation::Conversation;

/// What a model answers: see the [module](super) for the language.
#[derive(Debug, Clone, PartialEq)]
pub struct Script {
    pub(super) rules: Vec<Rule>,
    /// By step, the last one for all further steps; empty when there is no `otherwise`.
    pub(super) otherwise: Vec<Answer>,
}

/// The answers to the calls that fit.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Rule {
    pub(super) conditions: Vec<Condition>,
    pub(super) answers: Vec<Answer>,
}

/// What has to be so.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Condition {
    User(String),
    Result(String),
    System(String),
    Offers(String),
    Step(usize),
    Call(usize),
    Once,
}

/// What is done in one answer, in order.
pub(super) type Answer = Vec<Step>;

/// A line of an answer.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Step {
    pub(super) action: Action,
    /// How often.
    pub(super) times: usize,
    /// What is waited between two times.
    pub(super) every: Duration,
}

/// What a step does once. The texts have templates.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Action {
    Say(String),
    Token(String),
    Tool { name: String, arguments: Map<String, Value> },
    Delay(Duration),
    Wait(String),
    Usage { input: u64, output: u64 },
    Error { status: StatusCode, message: String },
    HangUp,
}

impl Script {
    /// The answer to a call; `spent` says which rules with `once` were used, and is told of another one.
    pub(super) fn answer(&self, conversation: &Conversation, spent: &mut [bool]) -> Option<&Answer> {
        for (rule, spent) in self.rules.iter().zip(spent) {
            if let Some(answer) = rule.answer(conversation, *spent) {
                *spent = true;
                return Some(answer);
            }
        }
        self.otherwise.get(conversation.step - 1).or(self.otherwise.last())
    }
}

impl Rule {
    fn answer(&self, conversation: &Conversation, spent: bool) -> Option<&Answer> {
        let fits = |condition: &Condition| match condition {
            Condition::User(text) => conversation.message.contains(text),
            Condition::Result(text) => conversation.results.iter().any(|result| result.contains(text)),
            Condition::System(text) => conversation.system.contains(text),
            Condition::Offers(name) => conversation.tools.contains(name),
            Condition::Step(step) => conversation.step == *step,
            Condition::Call(call) => conversation.call == *call,
            Condition::Once => !spent,
        };
        if !self.conditions.iter().all(fits) {
            return None;
        }
        if self.conditions.iter().any(Condition::is_about_one_call) {
            self.answers.first()
        } else {
            self.answers.get(conversation.step - 1)
        }
    }
}

impl Condition {
    /// Whether the steps of a conversation do not matter, so that a rule has one answer.
    pub(super) fn is_about_one_call(&self) -> bool {
        matches!(self, Self::Result(_) | Self::Step(_) | Self::Call(_) | Self::Once)
    }
}
