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
const NO: &[&str] =
    &["no", "n", "nope", "deny", "denied", "refuse", "reject", "rejected", "do not", "dont", "stop"];

/// What an answer means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning<'a> {
    /// A choice, and what is to be told to the agent with it.
    Choice(Choice, Option<&'a str>),
    /// It begins like a yes and goes on, perhaps with a condition: the human is to say it plainly.
    Unclear,
}

/// Nothing dangerous is done on a guess: only plain words allow it. Words that are no yes at all are a no, and the
/// agent hears them as the reason.
pub(super) fn meaning(answer: &str) -> Meaning<'_> {
    let words: Vec<String> = answer
        .split(|letter: char| letter.is_whitespace() || letter == ',')
        .map(|word| word.chars().filter(|letter| letter.is_alphanumeric()).collect::<String>().to_lowercase())
        .filter(|word| !word.is_empty())
        .collect();
    let plain = words.join(" ");
    let is = |all: &[&str]| all.contains(&plain.as_str());
    let begins_like_a_yes = || {
        let yes = YES.iter().chain(ALWAYS);
        yes.into_iter().any(|yes| plain.strip_prefix(yes).is_some_and(|rest| rest.starts_with(' ')))
    };
    match () {
        () if is(YES) => Meaning::Choice(Choice::Once, None),
        () if is(ALWAYS) => Meaning::Choice(Choice::Session, None),
        () if is(NO) => Meaning::Choice(Choice::Deny, None),
        () if begins_like_a_yes() => Meaning::Unclear,
        () => Meaning::Choice(Choice::Deny, Some(answer)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_words_are_understood() {
        for yes in ["yes", "Yes.", " OK ", "go ahead!", "Yes, please", "Approved"] {
            assert_eq!(meaning(yes), Meaning::Choice(Choice::Once, None), "{yes}");
        }
        for always in ["Always", "always allow"] {
            assert_eq!(meaning(always), Meaning::Choice(Choice::Session, None), "{always}");
        }
        for no in ["no", "No!", "don't", "DENY"] {
            assert_eq!(meaning(no), Meaning::Choice(Choice::Deny, None), "{no}");
        }
    }

    #[test]
    fn a_yes_that_goes_on_is_neither() {
        for unclear in ["yes but only the old files", "Ok, if you must", "go ahead, then tell me", "Yes: all"]
        {
            assert_eq!(meaning(unclear), Meaning::Unclear, "{unclear}");
        }
    }

    #[test]
    fn everything_else_is_a_no_that_the_agent_hears() {
        for other in ["what does it do?", "", "🙂", "no, use the other directory", "yesterday", "surely not"]
        {
            assert_eq!(meaning(other), Meaning::Choice(Choice::Deny, Some(other)), "{other}");
        }
    }
}
