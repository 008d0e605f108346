//! A script that was understood.

use std::time::Duration;

use prism_types::Usage;
use serde_json::{Map, Value};

use super::template;
use crate::domain::workspace::WorkspacePath;

/// What an agent does.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Script {
    /// When it is made ready.
    pub(super) provision: Vec<Provision>,
    /// In each run.
    pub(super) steps: Vec<Step>,
}

/// What happens when an agent is made ready.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Provision {
    Delay(Duration),
    Fail { code: String, message: String },
}

/// A line of a script, with what is known of the lines before it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Step {
    pub(super) action: Action,
    /// How often.
    pub(super) times: u32,
    /// What is waited between two times.
    pub(super) every: Duration,
    /// The tool calls of all steps before.
    calls_before: u64,
    /// What all steps before have used.
    used_before: Usage,
}

/// What a step does once. The texts have templates.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Action {
    Say(String),
    Token(String),
    Tool { name: String, arguments: Map<String, Value>, result: Value },
    Ask(String),
    Write { path: WorkspacePath, text: String },
    Delete(WorkspacePath),
    Read(WorkspacePath),
    Remember(String),
    Forget(String),
    Usage { input: u64, output: u64 },
    Delay(Duration),
    Fail { code: String, message: String },
}

impl Script {
    /// Adds a step. Counters are summed here, so that a place in the script is all a checkpoint needs.
    pub(super) fn push(&mut self, action: Action, times: u32, every: Duration) {
        let (calls_before, used_before) = match self.steps.last() {
            Some(last) => (last.calls_after(last.times), last.used_after(last.times)),
            None => (0, Usage::default()),
        };
        self.steps.push(Step { action, times, every, calls_before, used_before });
    }

    /// Whether it remembers, or needs what is remembered.
    pub(super) fn has_memory(&self) -> bool {
        let remembers = |step: &Step| matches!(step.action, Action::Remember(_) | Action::Forget(_));
        self.steps.iter().any(remembers) || self.last_use("memories").is_some()
    }

    /// The last step that needs the value of a template.
    pub(super) fn last_use(&self, variable: &str) -> Option<usize> {
        self.steps.iter().rposition(|step| step.action.uses(variable))
    }
}

impl Step {
    /// The tool calls from the start of the script until this step was done so often.
    pub(super) fn calls_after(&self, times: u32) -> u64 {
        let own = if matches!(self.action, Action::Tool { .. }) { u64::from(times) } else { 0 };
        self.calls_before.saturating_add(own)
    }

    /// What was used from the start of the script until this step was done so often.
    pub(super) fn used_after(&self, times: u32) -> Usage {
        let mut usage = self.used_before.clone();
        if let Action::Usage { input, output } = self.action {
            let times = u64::from(times);
            usage.input_tokens = usage.input_tokens.saturating_add(input.saturating_mul(times));
            usage.output_tokens = usage.output_tokens.saturating_add(output.saturating_mul(times));
        }
        usage
    }
}

impl Action {
    pub(super) fn uses(&self, variable: &str) -> bool {
        match self {
            Self::Say(text) | Self::Token(text) | Self::Ask(text) => template::uses(text, variable),
            Self::Remember(text) | Self::Forget(text) => template::uses(text, variable),
            Self::Write { text, .. } | Self::Fail { message: text, .. } => template::uses(text, variable),
            Self::Tool { arguments, result, .. } => {
                arguments.values().any(|value| template::json_uses(value, variable))
                    || template::json_uses(result, variable)
            }
            Self::Delete(_) | Self::Read(_) | Self::Usage { .. } | Self::Delay(_) => false,
        }
    }
}
