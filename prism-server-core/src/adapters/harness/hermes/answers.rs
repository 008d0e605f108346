//! What a human means who was asked for approval.

/// A choice that the agent takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Choice {
    /// This time.
    Once,
    /// For as long as the agent's session lives.
    Session,
    /// Not at all.
    Deny,
}

impl Choice {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Once => "once",
            Self::Session => "session",
            Self::Deny => "deny",
        }
    }
}

const YES: &[&str] = &[
    "yes",
    "y",
    "yes please",
    "yep",
    "yeah",
    "ok",
    "okay",
    "allow",
    "allow it",
    "approve",
    "approved",
    "go",
    "go ahead",
    "sure",
    "do it",
    "proceed",
    "once",
    "allow once",
];
const ALWAYS: &[&str] = &["always", "yes always", "always allow", "allow always", "session", "allow session"];
const NO: &[&str] = &["no", "n", "nope", "deny", "denied", "refuse", "reject", "rejected", "do not", "dont", "stop"];

/// The choice, and what is to be told to the agent with it. Words that are neither a yes nor a no are a no with a
/// reason: nothing dangerous is done on a guess, and the agent hears what the human said.
pub(super) fn choice(answer: &str) -> (Choice, Option<&str>) {
    let words: Vec<String> = answer
        .split(|letter: char| letter.is_whitespace() || letter == ',')
        .map(|word| word.chars().filter(|letter| letter.is_alphanumeric()).collect::<String>().to_lowercase())
        .filter(|word| !word.is_empty())
        .collect();
    let plain = words.join(" ");
    match plain.as_str() {
        plain if YES.contains(&plain) => (Choice::Once, None),
        plain if ALWAYS.contains(&plain) => (Choice::Session, None),
        plain if NO.contains(&plain) => (Choice::Deny, None),
        _ => (Choice::Deny, Some(answer)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_words_are_understood() {
        for yes in ["yes", "Yes.", " OK ", "go ahead!", "Yes, please", "Approved"] {
            assert_eq!(choice(yes), (Choice::Once, None), "{yes}");
        }
        for always in ["Always", "always allow"] {
            assert_eq!(choice(always), (Choice::Session, None), "{always}");
        }
        for no in ["no", "No!", "don't", "DENY"] {
            assert_eq!(choice(no), (Choice::Deny, None), "{no}");
        }
    }

    #[test]
    fn everything_else_is_a_no_that_the_agent_hears() {
        for other in ["yes but only the old files", "what does it do?", "", "🙂", "no, use the other directory"] {
            assert_eq!(choice(other), (Choice::Deny, Some(other)), "{other}");
        }
    }
}
