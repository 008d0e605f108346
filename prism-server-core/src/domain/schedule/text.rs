//! What a person may write: a cron expression, a macro, or natural language.

use super::{Cron, InvalidSchedule, field::shown, phrase};

/// What macros stand for.
const MACROS: [(&str, &str); 7] = [
    ("hourly", "0 * * * *"),
    ("daily", "0 0 * * *"),
    ("midnight", "0 0 * * *"),
    ("weekly", "0 0 * * 0"),
    ("monthly", "0 0 1 * *"),
    ("yearly", "0 0 1 1 *"),
    ("annually", "0 0 1 1 *"),
];

/// Forms that errors suggest.
const EXAMPLES: &str = "Write cron, such as `0 9 * * 1-5`, or one of: `every 15 minutes`, `every hour`, \
    `every day at 9:00`, `every weekday at 5:30pm`, `every monday and thursday at noon`, \
    `on the 1st of every month at 8:00`.";

/// Reads a schedule: a cron expression of five fields, a macro such as `@daily`, or natural language such as
/// `every weekday at 17:30`.
///
/// What begins with a letter is natural language, what begins with `@` is a macro, and all else is cron.
///
/// # Errors
/// When it is none of them, or can never fire; the message says what is wrong and what to write instead.
///
/// ```
/// use prism_server_core::domain::schedule::read;
///
/// assert_eq!(read("every Monday at 9am")?.to_string(), "0 9 * * 1");
/// assert_eq!(read("@daily")?.to_string(), "0 0 * * *");
/// assert!(read("every other day").is_err());
/// # Ok::<(), prism_server_core::domain::schedule::InvalidSchedule>(())
/// ```
pub fn read(text: &str) -> Result<Cron, InvalidSchedule> {
    let trimmed = text.trim();
    match trimmed.chars().next() {
        None => Err(InvalidSchedule::new(format!("a schedule must not be empty. {EXAMPLES}"))),
        Some('@') => named(trimmed),
        Some(first) if first.is_alphabetic() => {
            let phrase = phrase::read(trimmed).map_err(|reason| {
                InvalidSchedule::new(format!("`{}` is not understood: {reason}. {EXAMPLES}", shown(trimmed)))
            })?;
            phrase.to_cron().parse()
        }
        Some(_) => trimmed.parse(),
    }
}

fn named(text: &str) -> Result<Cron, InvalidSchedule> {
    let lower = text.to_ascii_lowercase();
    let name = lower.strip_prefix('@').unwrap_or_default();
    match MACROS.iter().find(|(known, _)| *known == name) {
        Some((_, cron)) => cron.parse(),
        None => {
            let known: Vec<_> = MACROS.iter().map(|(known, _)| format!("`@{known}`")).collect();
            let message = format!("`{}` is not a macro; there are {}", shown(text), known.join(", "));
            Err(InvalidSchedule::new(message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn macros_stand_for_expressions() {
        for (name, cron) in MACROS {
            assert_eq!(read(&format!(" @{} ", name.to_uppercase())).unwrap().to_string(), cron);
        }
        for text in ["@reboot", "@", "@every 5m", "@daily 9am"] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains("`@hourly`"), "{text}: {error}");
        }
    }

    #[test]
    fn an_error_names_the_way_out() {
        for text in ["", "   ", "whenever you like", "every fortnight", "\u{e9}t\u{e9}"] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains("0 9 * * 1-5") && error.contains("every weekday at 5:30pm"), "{error}");
        }
        assert!(read("on the 30th of february").unwrap_err().to_string().contains("can never fire"));
    }

    #[test]
    fn every_suggestion_of_an_error_is_understood() {
        let suggestions: Vec<_> = EXAMPLES.split('`').skip(1).step_by(2).collect();
        assert_eq!(suggestions.len(), 7);
        for suggestion in suggestions {
            read(suggestion).unwrap();
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in any::<String>(), words in "[a-z0-9:,@*/ -]{0,60}") {
            let _ = (read(&text), read(&words));
        }
    }
}
