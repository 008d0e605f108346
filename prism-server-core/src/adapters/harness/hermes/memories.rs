//! What the agent remembers and forgets, as its scripts tell it.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{connection::CallError, harness_error};
use crate::ports::{AgentMemories, HarnessError, Remembered};

/// How long the agent may take to read or write its memories.
pub(super) const ANSWER: Duration = Duration::from_secs(10);
/// How long it may take to forget threads: a turn of one may have to end first.
pub(super) const FORGET: Duration = Duration::from_secs(60);

/// Longest name of the place of the agent's memories, in bytes: more than the scripts make.
const LONGEST_HOME: usize = 256;

#[derive(Deserialize)]
struct Told {
    home: Option<String>,
    version: String,
    entries: Vec<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Kept { home: String, version: String },
    Changed { changed: bool },
}

pub(super) fn told(answer: Value) -> Result<AgentMemories, HarnessError> {
    let Told { home, version, entries } = understood(answer)?;
    // It is stored, and what runs in a sandbox can say anything.
    if home.as_ref().is_some_and(|home| home.len() > LONGEST_HOME) {
        return Err(not_understood());
    }
    Ok(AgentMemories { home, version, entries })
}

pub(super) fn written(answer: Value) -> Result<Remembered, HarnessError> {
    match understood(answer)? {
        Written::Kept { home, version } if home.len() <= LONGEST_HOME => {
            Ok(Remembered::Kept { home, version })
        }
        Written::Changed { changed: true } => Ok(Remembered::Changed),
        Written::Kept { .. } | Written::Changed { changed: false } => Err(not_understood()),
    }
}

pub(super) fn remember(entries: Vec<String>, version: String) -> Value {
    json!({ "entries": entries, "version": version })
}

pub(super) fn refused(error: CallError) -> HarnessError {
    let (CallError::Lost(reason) | CallError::Silent(reason) | CallError::Refused(reason)) = error;
    harness_error("agent_failed", reason)
}

fn understood<T: serde::de::DeserializeOwned>(answer: Value) -> Result<T, HarnessError> {
    serde_json::from_value(answer).map_err(|_| not_understood())
}

fn not_understood() -> HarnessError {
    harness_error("agent_failed", "the agent tells its memories in a form that is not known".to_owned())
}
