//! The words of phrases.

pub(super) const DAYS: [&str; 7] =
    ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];
pub(super) const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];
const ORDINALS: [&str; 10] =
    ["first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth"];

/// The day of the week of a word: `monday`, `mondays`, `mon` or `tues`.
pub(super) fn day(word: &str) -> Option<u8> {
    let word = match word {
        "thur" | "thurs" => "thu",
        _ => word.strip_suffix('s').unwrap_or(word),
    };
    named(word, &DAYS)
}

/// The month of a word: `january` or `jan`.
pub(super) fn month(word: &str) -> Option<u8> {
    named(if word == "sept" { "sep" } else { word }, &MONTHS).map(|index| index + 1)
}

/// The number of `first` to `tenth`.
pub(super) fn ordinal(word: &str) -> Option<u8> {
    (1..).zip(ORDINALS).find(|(_, name)| *name == word).map(|(number, _)| number)
}

/// Whether letters after a number make it an ordinal.
pub(super) fn is_ordinal_ending(word: &str) -> bool {
    matches!(word, "st" | "nd" | "rd" | "th")
}

/// The place of a name that is written whole or with its first three letters.
fn named(word: &str, names: &[&str]) -> Option<u8> {
    let fits = |name: &str| name == word || word.len() == 3 && name.starts_with(word);
    (0..).zip(names).find(|(_, name)| fits(name)).map(|(index, _)| index)
}
