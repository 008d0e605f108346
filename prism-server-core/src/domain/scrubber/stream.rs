//! Scrubbing of bytes that come piece by piece.

use std::sync::Arc;

use aho_corasick::automaton::StateID;

use super::{REDACTED, automaton::Automaton};

/// Scrubs bytes that come piece by piece, however they are cut. Holds back what may be the beginning of a
/// secret, at most as many bytes as the longest form of one.
pub struct ScrubbedStream {
    automaton: Option<Arc<Automaton>>,
    state: Option<StateID>,
    /// What is not decided yet.
    held: Vec<u8>,
    /// Where in the stream the held bytes begin.
    position: u64,
    /// Where the last known occurrence ends. Its marker was written when its first byte was decided.
    redacted_until: u64,
    /// Occurrences whose first byte is not decided, none within another: starts and ends are both in order.
    occurrences: Vec<(u64, u64)>,
    found: bool,
}

impl ScrubbedStream {
    pub(super) fn new(automaton: Option<Arc<Automaton>>) -> Self {
        let state = automaton.as_deref().map(Automaton::start);
        Self {
            automaton,
            state,
            held: Vec::new(),
            position: 0,
            redacted_until: 0,
            occurrences: Vec::new(),
            found: false,
        }
    }

    /// Takes the next piece and gives what can be told by now.
    pub fn push(&mut self, piece: &[u8]) -> Vec<u8> {
        let (Some(automaton), Some(mut state)) = (self.automaton.clone(), self.state) else {
            return piece.to_vec();
        };
        let mut position = self.position + self.held.len() as u64;
        self.held.extend_from_slice(piece);
        for byte in piece {
            state = automaton.next(state, *byte);
            position += 1;
            if let Some(length) = automaton.ended(state) {
                self.note(position - length as u64, position);
            }
        }
        self.state = Some(state);
        self.decide(position - automaton.begun(state) as u64)
    }

    /// Gives what was held back, at the end.
    pub fn finish(&mut self) -> Vec<u8> {
        self.state = self.automaton.as_deref().map(Automaton::start);
        self.decide(self.position + self.held.len() as u64)
    }

    /// Whether a secret was found.
    pub fn has_found(&self) -> bool {
        self.found
    }

    fn note(&mut self, start: u64, end: u64) {
        self.found = true;
        while self.occurrences.last().is_some_and(|last| last.0 >= start) {
            self.occurrences.pop();
        }
        self.occurrences.push((start, end));
    }

    /// Decides the bytes before `until`: no later occurrence begins there.
    fn decide(&mut self, until: u64) -> Vec<u8> {
        let mut told = Vec::new();
        let mut from = self.position.max(self.redacted_until);
        let begun = self.occurrences.partition_point(|(start, _)| *start < until);
        for (start, end) in self.occurrences.drain(..begun) {
            if start >= self.redacted_until {
                told.extend_from_slice(piece(&self.held, self.position, from, start));
                told.extend_from_slice(REDACTED.as_bytes());
            }
            (from, self.redacted_until) = (end, end);
        }
        told.extend_from_slice(piece(&self.held, self.position, from, until));
        self.held.drain(..usize::try_from(until - self.position).unwrap_or(self.held.len()));
        self.position = until;
        told
    }
}

/// The bytes from `from` to `until` of a stream, of which `held` begins at `position`.
fn piece(held: &[u8], position: u64, from: u64, until: u64) -> &[u8] {
    let at = |place: u64| usize::try_from(place.saturating_sub(position)).unwrap_or(usize::MAX);
    held.get(at(from)..at(until)).unwrap_or_default()
}
