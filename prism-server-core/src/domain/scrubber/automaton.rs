//! The automaton that finds many patterns in one pass.

use aho_corasick::{
    Anchored, MatchKind,
    automaton::{Automaton as _, StateID},
    nfa::noncontiguous::NFA,
};
use zeroize::Zeroizing;

/// No length yet.
const UNKNOWN: u32 = u32::MAX;

/// Finds every occurrence of every pattern, and knows what may still become one.
pub(super) struct Automaton {
    nfa: NFA,
    start: StateID,
    /// By state: how many of the last bytes may be the beginning of an occurrence that is not over.
    begun: Vec<u32>,
}

impl Automaton {
    /// An automaton of distinct patterns; `None` when there are none.
    pub(super) fn new(patterns: &[Zeroizing<Vec<u8>>]) -> Option<Self> {
        let patterns: Vec<&[u8]> = patterns.iter().map(|pattern| pattern.as_slice()).collect();
        if patterns.is_empty() {
            return None;
        }
        // It fails with more than 2^31 states, which no memory holds.
        let nfa = NFA::builder().match_kind(MatchKind::Standard).prefilter(false).build(&patterns).ok()?;
        let start = nfa.start_state(Anchored::No).ok()?;
        let mut automaton = Self { nfa, start, begun: Vec::new() };
        automaton.learn_beginnings(patterns);
        Some(automaton)
    }

    /// After a proper beginning of a pattern, all of it has begun. After a whole pattern that no other goes on
    /// from, what has begun is what has begun after the pattern without its first byte.
    fn learn_beginnings(&mut self, mut patterns: Vec<&[u8]>) {
        patterns.sort_unstable_by_key(|pattern| pattern.len());
        let mut ends = Vec::with_capacity(patterns.len());
        for pattern in &patterns {
            let mut state = self.start;
            for (length, byte) in (0_u32..).zip(*pattern) {
                self.set_begun(state, length);
                state = self.next(state, *byte);
            }
            ends.push(state);
        }
        for (pattern, end) in patterns.iter().zip(ends) {
            if self.begun.get(end.as_usize()).is_none_or(|begun| *begun == UNKNOWN) {
                let rest = pattern[1..].iter().fold(self.start, |state, byte| self.next(state, *byte));
                let begun = self.begun[rest.as_usize()];
                self.set_begun(end, begun);
            }
        }
    }

    fn set_begun(&mut self, state: StateID, length: u32) {
        let at = state.as_usize();
        if self.begun.len() <= at {
            self.begun.resize(at + 1, UNKNOWN);
        }
        self.begun[at] = length;
    }

    pub(super) fn start(&self) -> StateID {
        self.start
    }

    pub(super) fn next(&self, state: StateID, byte: u8) -> StateID {
        self.nfa.next_state(Anchored::No, state, byte)
    }

    /// How many of the last bytes may be the beginning of an occurrence that is not over.
    pub(super) fn begun(&self, state: StateID) -> usize {
        self.begun.get(state.as_usize()).map_or(0, |length| *length as usize)
    }

    /// The length of the longest pattern that ends here.
    pub(super) fn ended(&self, state: StateID) -> Option<usize> {
        if !self.nfa.is_match(state) {
            return None;
        }
        let patterns = 0..self.nfa.match_len(state);
        patterns.map(|index| self.nfa.pattern_len(self.nfa.match_pattern(state, index))).max()
    }

    /// The length of the longest pattern.
    pub(super) fn longest(&self) -> usize {
        self.nfa.max_pattern_len()
    }

    /// How many patterns there are.
    pub(super) fn patterns(&self) -> usize {
        self.nfa.patterns_len()
    }
}
