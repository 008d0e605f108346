//! Memories: what an agent remembers on all its threads.
//!
//! The store has the memories that users see; the agent has files of its own, which it changes by itself. The two are
//! kept in step by [`merge`], against what is known of the files from the last time. A memory is known to the agent by
//! its text alone, so no two memories of a deployment have the same.

mod merge;

use prism_types::{DeploymentId, MemoryId, MemorySource, Timestamp};

pub use merge::{Changes, Merge, is_in_step, merge};

use super::limits;

/// A line that separates memories in the files of an agent.
const SEPARATOR: &str = "\u{a7}";
/// What a memory takes of the room besides its own characters: what separates it from the next.
const SEPARATION: usize = 3;

/// A memory of a deployment, and what is known of it in the agent's files.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "a record: stores build it from its columns")]
pub struct Memory {
    /// Its id. Ids are time-ordered: a later memory has a greater id.
    pub id: MemoryId,
    /// The deployment it belongs to.
    pub deployment_id: DeploymentId,
    /// What is remembered, as [`checked`] or [`learned`] made it.
    pub content: String,
    /// Who made it.
    pub source: MemorySource,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its content was last set.
    pub updated_at: Timestamp,
    /// It was deleted, and the agent has yet to forget it. Nobody is shown it.
    pub forgotten: bool,
    /// What the agent's files had for it when they were last in step.
    pub synced: Option<String>,
    /// What may be in the agent's files for it or not: it was about to be written, or a user changed the memory since.
    pub offered: Option<String>,
}

impl Memory {
    /// A memory that the agent does not have yet.
    pub fn new(
        id: MemoryId,
        deployment_id: DeploymentId,
        content: String,
        source: MemorySource,
        now: Timestamp,
    ) -> Self {
        Self {
            id,
            deployment_id,
            content,
            source,
            created_at: now,
            updated_at: now,
            forgotten: false,
            synced: None,
            offered: None,
        }
    }

    /// The memory as it is to be stored once it was deleted; `None` when the agent cannot have it.
    pub fn deleted(self) -> Option<Self> {
        let is_known = self.synced.is_some() || self.offered.is_some();
        is_known.then(|| Self { forgotten: true, content: String::new(), ..self })
    }

    /// Whether a text is in the agent's files because of this memory, whatever its content is by now.
    fn was(&self, text: &str) -> bool {
        [&self.synced, &self.offered].into_iter().flatten().any(|known| known == text)
    }
}

/// The memories of a deployment as a whole: the guard of every change of them.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "a record: stores build it from its columns")]
pub struct MemorySet {
    /// The deployment.
    pub deployment_id: DeploymentId,
    /// The files that are kept in step. An agent whose files were lost has others.
    pub home: Option<String>,
    /// Whether the agent's files have all that was decided. What the agent itself changed meanwhile is not known.
    pub in_step: bool,
    /// How often the memories were changed; 0: never.
    pub revision: u64,
}

impl MemorySet {
    /// The set of a deployment that never had a memory.
    pub fn new(deployment_id: DeploymentId) -> Self {
        Self { deployment_id, home: None, in_step: true, revision: 0 }
    }
}

/// A content that a user gives, as it is stored: without white space at its ends, with `\n` for every end of a line.
///
/// # Errors
/// The rule that it breaks.
pub fn checked(text: &str) -> Result<String, String> {
    let length = text.chars().count();
    let text = with_line_feeds(text);
    let text = text.trim();
    if text.is_empty() {
        return Err("must have something else than white space".to_owned());
    }
    if length > limits::MEMORY_CONTENT {
        let most = limits::MEMORY_CONTENT;
        return Err(format!("must have at most {most} characters, but has {length}"));
    }
    if text.chars().any(is_control) {
        return Err("must have no control characters but tabs and ends of lines".to_owned());
    }
    if text.lines().any(is_separator) {
        return Err(format!("must have no line that is only `{SEPARATOR}`, which separates memories"));
    }
    Ok(text.to_owned())
}

/// What an agent remembers, as a content: [`checked`], but mended instead of refused. `None`: nothing is left.
pub fn learned(text: &str) -> Option<String> {
    let text: String = with_line_feeds(text).chars().filter(|character| !is_control(*character)).collect();
    let lines: Vec<_> = text.lines().filter(|line| !is_separator(line)).collect();
    let text: String = lines.join("\n").trim().chars().take(limits::MEMORY_CONTENT).collect();
    // What was cut may end with white space, or with the first character of a line.
    match checked(&text) {
        Ok(text) => Some(text),
        Err(_) => text.trim().strip_suffix(SEPARATOR).and_then(|text| checked(text).ok()),
    }
}

/// The room that a content takes, in characters.
pub fn room(content: &str) -> usize {
    content.chars().count() + SEPARATION
}

/// Whether a content has all these words, whatever their case.
pub fn matches(content: &str, query: &str) -> bool {
    let content = content.to_lowercase();
    query.split_whitespace().all(|word| content.contains(&word.to_lowercase()))
}

/// Memories that can be shown.
pub fn shown(memories: &[Memory]) -> impl DoubleEndedIterator<Item = &Memory> {
    memories.iter().filter(|memory| !memory.forgotten)
}

fn with_line_feeds(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n")
}

fn is_control(character: char) -> bool {
    character.is_control() && !matches!(character, '\n' | '\t')
}

fn is_separator(line: &str) -> bool {
    line.trim() == SEPARATOR
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_content_is_taken_at_its_limit_and_not_past_it() {
        let longest = "é".repeat(limits::MEMORY_CONTENT);
        assert_eq!(checked(&longest), Ok(longest.clone()));
        assert!(
            checked(&format!("{longest}x")).unwrap_err().contains("at most 2000 characters, but has 2001")
        );
        assert_eq!(learned(&format!("{longest}x")), Some(longest));
    }

    #[test]
    fn what_an_agent_would_read_otherwise_is_refused_or_mended() {
        assert_eq!(checked(" a\r\nb\rc\t "), Ok("a\nb\nc".to_owned()));
        for (text, rule, mended) in [
            (" \n\t", "white space", None),
            ("a\u{7}b", "control characters", Some("ab")),
            ("a\n\u{a7}\nb", "separates memories", Some("a\nb")),
            ("\u{a7}", "separates memories", None),
            ("a\n \u{a7} ", "separates memories", Some("a")),
        ] {
            assert!(checked(text).unwrap_err().contains(rule), "{text:?}");
            assert_eq!(learned(text).as_deref(), mended, "{text:?}");
        }
        assert_eq!(
            checked("see \u{a7} 12"),
            Ok("see \u{a7} 12".to_owned()),
            "only a line of its own separates"
        );
    }

    #[test]
    fn a_query_is_words_of_any_case_in_any_order() {
        let content = "Die Straße heißt Äckerweg, ABC";
        for (query, fits) in
            [("", true), ("äckerweg", true), ("abc die", true), ("STRASSE", false), ("abc x", false)]
        {
            assert_eq!(matches(content, query), fits, "{query}");
        }
    }

    proptest! {
        #[test]
        fn what_was_learned_can_be_given_and_learned_again(text in "[a\u{a7}\\r\\n\\t \u{7}é]{0,12}|(?s).{0,40}") {
            if let Some(content) = learned(&text) {
                prop_assert_eq!(checked(&content), Ok(content.clone()));
                prop_assert_eq!(learned(&content), Some(content.clone()));
            }
            if let Ok(content) = checked(&text) {
                prop_assert_eq!(learned(&text), Some(content));
            }
        }

        /// As Hermes writes and reads its files.
        #[test]
        fn an_agent_reads_each_memory_as_it_was_written(texts in prop::collection::vec("[a\u{a7}\\n ]{1,6}", 0..6)) {
            let contents: Vec<_> = texts.iter().filter_map(|text| checked(text).ok()).collect();
            let file = contents.join("\n\u{a7}\n");
            let read = file.split("\n\u{a7}\n").map(str::trim).filter(|entry| !entry.is_empty());
            prop_assert_eq!(read.collect::<Vec<_>>(), contents);
        }
    }
}
