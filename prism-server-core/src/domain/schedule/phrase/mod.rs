//! Natural language: a small grammar, read into a [`Phrase`].
//!
//! A phrase says how often, on which days, and at which times. Only what cron can say is understood, and nothing
//! is guessed: `at 9` may be morning or evening and is refused, and so is `twice a day`. A time that is left out is
//! midnight, as in the macros.
//!
//! ```text
//! schedule  = alone | frequency [times] | times frequency
//! alone     = "hourly" | "daily" | "weekly" | "monthly" | "yearly" | "annually"
//! frequency = interval | days
//! interval  = every [NUMBER] "minutes" [on] | every [NUMBER] "hours" ["at" ":" MINUTE] [on] | "hourly" ...
//! days      = "daily" | every "day" | on | ("weekly" | every "week") on
//!           | ("monthly" | every "month") "on" dates
//!           | "on" dates "of" (every "month" | months)
//!           | ("yearly" | "annually" | every "year") "on" (month date | dates "of" months)
//! on        = ["on" | every] weekday {sep weekday}
//! weekday   = DAY [("to" | "through") DAY] | "weekday" | "weekend"
//! dates     = ["the"] ORDINAL {sep ["the"] ORDINAL}
//! times     = "at" time {sep ["at"] time}
//! time      = HOUR ":" MINUTE ["am" | "pm"] | HOUR ("am" | "pm") | "noon" | "midnight"
//! every     = "every" | "each"
//! sep       = "," | "and" | ", and"
//! ```

mod grammar;
#[cfg(test)]
mod tests;
mod tokens;
mod words;
#[cfg(test)]
mod written;

use super::field::Bits;

/// Every day of the week.
const WEEK: Bits = Bits(0b111_1111);
/// Monday to Friday.
const WEEKDAYS: Bits = Bits(0b011_1110);
/// Saturday and Sunday.
const WEEKEND: Bits = Bits(0b100_0001);
/// Every month.
const YEAR: Bits = Bits(0b1_1111_1111_1110);

/// A schedule as a person says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phrase {
    /// Every so many minutes, a number that divides 60.
    Minutes { every: u8, on: Bits },
    /// Every so many hours, a number that divides 24, at this minute.
    Hours { every: u8, minute: u8, on: Bits },
    /// On these days, at each of these minutes of each of these hours.
    Times { days: Days, hours: Bits, minutes: Bits },
}

/// Days that a phrase names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Days {
    /// Days of the week; all of them are every day.
    OfWeek(Bits),
    /// Days of months.
    OfMonth { days: Bits, months: Bits },
}

/// Reads a phrase.
///
/// # Errors
/// What is not understood of it.
pub(super) fn read(text: &str) -> Result<Phrase, String> {
    grammar::read(&tokens::tokens(text)?)
}

impl Phrase {
    /// The phrase as a cron expression.
    pub(super) fn to_cron(self) -> String {
        let of_week = |days: Bits| if days == WEEK { "*".to_owned() } else { list(days) };
        match self {
            Self::Minutes { every, on } => format!("{} * * * {}", step(every), of_week(on)),
            Self::Hours { every, minute, on } => format!("{minute} {} * * {}", step(every), of_week(on)),
            Self::Times { days, hours, minutes } => {
                let days = match days {
                    Days::OfWeek(days) => format!("* * {}", of_week(days)),
                    Days::OfMonth { days, months } if months == YEAR => format!("{} * *", list(days)),
                    Days::OfMonth { days, months } => format!("{} {} *", list(days), list(months)),
                };
                format!("{} {} {days}", list(minutes), list(hours))
            }
        }
    }
}

/// A field that is every so many.
fn step(every: u8) -> String {
    if every == 1 { "*".to_owned() } else { format!("*/{every}") }
}

/// Values as a field: three and more in a row are a range.
fn list(values: Bits) -> String {
    let mut parts: Vec<(u8, u8)> = Vec::new();
    for value in values.iter() {
        match parts.last_mut() {
            Some((_, last)) if *last + 1 == value => *last = value,
            _ => parts.push((value, value)),
        }
    }
    let parts = parts.into_iter().map(|(first, last)| match last - first {
        0 => first.to_string(),
        1 => format!("{first},{last}"),
        _ => format!("{first}-{last}"),
    });
    parts.collect::<Vec<_>>().join(",")
}
