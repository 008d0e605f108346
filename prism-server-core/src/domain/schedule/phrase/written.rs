//! Phrases written, in their plainest form: what the reader has to read again, for tests.

use std::fmt;

use super::{
    Bits, Days, Phrase, WEEK, WEEKDAYS, WEEKEND, YEAR,
    words::{DAYS, MONTHS},
};

impl fmt::Display for Phrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Minutes { every, on } => {
                write!(f, "every {}{}", units(every, "minute"), only_on(on))
            }
            Self::Hours { every, minute, on } => {
                let at = if minute == 0 { String::new() } else { format!(" at :{minute:02}") };
                write!(f, "every {}{at}{}", units(every, "hour"), only_on(on))
            }
            Self::Times { days, hours, minutes } => {
                let times = hours.iter().flat_map(|hour| minutes.iter().map(move |minute| (hour, minute)));
                let times = all(times.map(|(hour, minute)| format!("{hour}:{minute:02}")));
                match days {
                    Days::OfWeek(WEEK) => write!(f, "every day at {times}"),
                    Days::OfWeek(WEEKDAYS) => write!(f, "every weekday at {times}"),
                    Days::OfWeek(WEEKEND) => write!(f, "every weekend at {times}"),
                    Days::OfWeek(days) => write!(f, "every {} at {times}", days_of_week(days)),
                    Days::OfMonth { days, months } => {
                        let months =
                            if months == YEAR { "every month".to_owned() } else { month_names(months) };
                        write!(f, "on the {} of {months} at {times}", ordinals(days))
                    }
                }
            }
        }
    }
}

fn only_on(days: Bits) -> String {
    if days == WEEK { String::new() } else { format!(" on {}", days_of_week(days)) }
}

/// `minute` or `15 minutes`.
fn units(count: u8, unit: &str) -> String {
    if count == 1 { unit.to_owned() } else { format!("{count} {unit}s") }
}

/// Days of the week, from Monday.
fn days_of_week(days: Bits) -> String {
    let from_monday = (1..7).chain([0]).filter(|day| days.has(*day));
    all(from_monday.filter_map(|day| DAYS.get(usize::from(day)).map(|name| (*name).to_owned())))
}

/// Months by their names.
fn month_names(months: Bits) -> String {
    let names = months.iter().filter_map(|month| MONTHS.get(usize::from(month).checked_sub(1)?));
    all(names.map(|name| (*name).to_owned()))
}

/// Days of a month, such as `1st and 15th`.
fn ordinals(days: Bits) -> String {
    let ending = |day: u8| match day {
        1 | 21 | 31 => "st",
        2 | 22 => "nd",
        3 | 23 => "rd",
        _ => "th",
    };
    all(days.iter().map(|day| format!("{day}{}", ending(day))))
}

/// `a`, `a and b`, `a, b and c`.
fn all(items: impl Iterator<Item = String>) -> String {
    let mut items: Vec<_> = items.collect();
    match items.pop() {
        None => String::new(),
        Some(last) if items.is_empty() => last,
        Some(last) => format!("{} and {last}", items.join(", ")),
    }
}
