//! The words of phrases, in both directions.

use super::super::field::Bits;

const DAYS: [&str; 7] = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];
const MONTHS: [&str; 12] = [
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

/// `minute` or `15 minutes`.
pub(super) fn units(count: u8, unit: &str) -> String {
    if count == 1 { unit.to_owned() } else { format!("{count} {unit}s") }
}

/// Days of the week, from Monday.
pub(super) fn days(days: Bits) -> String {
    let from_monday = (1..7).chain([0]).filter(|day| days.has(*day));
    all(from_monday.filter_map(|day| DAYS.get(usize::from(day)).map(|name| (*name).to_owned())))
}

/// Months by their names.
pub(super) fn months(months: Bits) -> String {
    let names = months.iter().filter_map(|month| MONTHS.get(usize::from(month).checked_sub(1)?));
    all(names.map(|name| (*name).to_owned()))
}

/// Days of a month, such as `1st and 15th`.
pub(super) fn ordinals(days: Bits) -> String {
    let ending = |day: u8| match day {
        1 | 21 | 31 => "st",
        2 | 22 => "nd",
        3 | 23 => "rd",
        _ => "th",
    };
    all(days.iter().map(|day| format!("{day}{}", ending(day))))
}

/// `a`, `a and b`, `a, b and c`.
pub(super) fn all(items: impl Iterator<Item = String>) -> String {
    let mut items: Vec<_> = items.collect();
    match items.pop() {
        None => String::new(),
        Some(last) if items.is_empty() => last,
        Some(last) => format!("{} and {last}", items.join(", ")),
    }
}
