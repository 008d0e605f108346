//! Cron expressions: five fields, as Vixie cron reads them.

use std::{fmt, str::FromStr};

use jiff::civil::Date;

use super::{
    InvalidSchedule,
    field::{self, Bits, Field, shown},
};

/// The most days of each month, from January.
const LONGEST: [u8; 12] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/// An expression of five fields: minute, hour, day of the month, month, day of the week.
///
/// A field is a list of values, ranges (`1-5`) and steps (`*/15`, `8-18/2`), separated by commas. Months and days of
/// the week have names of three letters, in any case. Sunday is 0 and 7. When both the day of the month and the day of
/// the week are given, a day fits that fits either; a field that begins with `*` does not count as given, not even
/// `*/2`, and then a day has to fit both.
///
/// Seconds, years, `L`, `W`, `#`, `?` and `H` are refused, and so is what can never fire, such as the 30th of February.
///
/// It is written with numbers for names and single spaces, and reads the same again.
///
/// ```
/// use prism_server_core::domain::schedule::Cron;
///
/// let cron: Cron = "0  9 * * MON-FRI".parse()?;
/// assert_eq!(cron.to_string(), "0 9 * * 1-5");
/// assert!("0 0 30 2 *".parse::<Cron>().is_err());
/// # Ok::<(), prism_server_core::domain::schedule::InvalidSchedule>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cron {
    pub(super) minutes: Bits,
    pub(super) hours: Bits,
    pub(super) months: Bits,
    days: Bits,
    weekdays: Bits,
    /// Whether a day that fits one of `days` and `weekdays` is enough.
    either: bool,
    text: Box<str>,
}

impl Cron {
    /// Whether the expression fires on a day of a fitting month.
    pub(super) fn has_day(&self, date: Date) -> bool {
        let day = self.days.has(date.day().unsigned_abs());
        let weekday = self.weekdays.has(date.weekday().to_sunday_zero_offset().unsigned_abs());
        if self.either { day || weekday } else { day && weekday }
    }

    /// Whether there is a date for it. Which weekday a date has changes from year to year, so only the length of
    /// the months matters.
    fn can_fire(&self) -> bool {
        let long_enough = |month: u8| {
            let longest = LONGEST.get(usize::from(month) - 1).copied().unwrap_or(0);
            self.days.first_from(1).is_some_and(|first| first <= longest)
        };
        self.either || self.months.iter().any(long_enough)
    }
}

impl FromStr for Cron {
    type Err = InvalidSchedule;

    fn from_str(text: &str) -> Result<Self, InvalidSchedule> {
        let fields: Vec<_> = text.split_ascii_whitespace().take(8).collect();
        let [minute, hour, day, month, weekday] = fields[..] else {
            let advice = match fields.len() {
                6 | 7 => "seconds and years are not supported",
                _ => "they are minute, hour, day of the month, month and day of the week",
            };
            return Err(InvalidSchedule::new(format!(
                "`{}` is not a cron expression of 5 fields: {advice}",
                shown(text)
            )));
        };
        let minutes = Field::read(minute, &field::MINUTE)?;
        let hours = Field::read(hour, &field::HOUR)?;
        let days = Field::read(day, &field::DAY)?;
        let months = Field::read(month, &field::MONTH)?;
        let weekdays = Field::read(weekday, &field::WEEKDAY)?;
        let texts = [&minutes, &hours, &days, &months, &weekdays].map(|field| field.text.as_str());
        let cron = Self {
            text: texts.join(" ").into(),
            minutes: minutes.values,
            hours: hours.values,
            months: months.values,
            days: days.values,
            weekdays: weekdays.values,
            either: !days.star && !weekdays.star,
        };
        if cron.can_fire() {
            return Ok(cron);
        }
        Err(InvalidSchedule::new(format!("`{}` can never fire: no such month has such a day", cron.text)))
    }
}

impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(text: &str) -> String {
        text.parse::<Cron>().map_or_else(|error| error.to_string(), |cron| cron.to_string())
    }

    #[test]
    fn an_expression_is_written_with_numbers_and_single_spaces() {
        for (text, normal) in [
            ("* * * * *", "* * * * *"),
            ("*/1 */2 */31 */12 */7", "* */2 */31 */12 */7"),
            ("05 09 01 01 07", "5 9 1 1 0"),
            ("  0\t9  * Jan-MAR,dec mon-fri,SUN ", "0 9 * 1-3,12 1-5,0"),
            ("0-30/10,45 0 1,15 * *", "0-30/10,45 0 1,15 * *"),
            ("0 0 * * 5-7", "0 0 * * 5-7"),
            ("3-3 0-23/1 * * *", "3 0-23 * * *"),
            ("0 0 29 2 *", "0 0 29 2 *"),
            ("0 0 30 2 1", "0 0 30 2 1"),
        ] {
            assert_eq!(written(text), normal);
        }
    }

    #[test]
    fn sunday_is_0_and_7() {
        let sunday: Cron = "0 0 * * 0".parse().unwrap();
        assert_eq!("0 0 * * 7".parse::<Cron>().unwrap(), sunday);
        let weekend: Cron = "0 0 * * 6-7".parse().unwrap();
        assert_eq!(weekend.weekdays, Bits::of([0, 6]));
    }

    #[test]
    fn what_other_crons_have_is_refused_with_the_way_out() {
        for (text, told) in [
            ("", "5 fields"),
            ("* * * *", "5 fields"),
            ("0 * * * * *", "seconds"),
            ("0 0 1 1 * * 2030", "seconds and years"),
            ("0 0 L * *", "`L` is not supported"),
            ("0 0 15W * *", "`15W` is not supported"),
            ("0 0 * * 5#3", "`5#3` is not supported"),
            ("0 0 * * FRIL", "`FRIL` is not supported"),
            ("H 0 * * *", "`H` is not supported"),
            ("0 0 ? * *", "write `*`"),
            ("5/15 * * * *", "such as `5-59` or `*`"),
            ("*/90 * * * *", "the step `90` is not 1 to 59"),
            ("*/0 * * * *", "the step `0` is not 1 to 59"),
            ("0 22-2 * * *", "write `22-23,0-2`"),
            ("60 * * * *", "values are 0 to 59"),
            ("* 24 * * *", "values are 0 to 23"),
            ("* * 0 * *", "values are 1 to 31"),
            ("* * * 13 *", "values are 1 to 12 or JAN to DEC"),
            ("* * * * 8", "values are 0 to 7 or SUN to SAT"),
            ("* * * * MONDAY", "`MONDAY` is no value"),
            ("MON * * * *", "values are 0 to 59"),
            ("1,,2 * * * *", "a value is missing"),
            ("000 * * * *", "values are 0 to 59"),
            ("+1 * * * *", "values are 0 to 59"),
            ("-1 * * * *", "a value is missing"),
            ("** * * * *", "values are 0 to 59"),
            ("\u{661} * * * *", "values are 0 to 59"),
        ] {
            let error = text.parse::<Cron>().unwrap_err().to_string();
            assert!(error.contains(told), "{text}: {error}");
        }
    }

    #[test]
    fn what_can_never_fire_is_refused() {
        for text in ["0 0 30 2 *", "0 0 31 2,4,6,9,11 *", "0 0 31 4 */2", "0 0 30-31 2 *"] {
            assert!(written(text).contains("can never fire"), "{text}");
        }
        for text in ["0 0 29 2 *", "0 0 31 2,3 *", "0 0 30 2 */2,1"] {
            // The last one has a star in its list, so a day has to fit both.
            assert_eq!(text.parse::<Cron>().is_ok(), text != "0 0 30 2 */2,1", "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_the_same_again(
            minute in "[0-9*/,-]{1,8}", hour in "[0-9*/,-]{1,6}", day in "[0-9*/,-]{1,6}",
            month in "[0-9a-zA-Z*/,-]{1,6}", weekday in "[0-9a-zA-Z*/,-]{1,6}",
        ) {
            if let Ok(cron) = format!("{minute} {hour} {day} {month} {weekday}").parse::<Cron>() {
                prop_assert_eq!(cron.to_string().parse::<Cron>().unwrap(), cron);
            }
        }

        #[test]
        fn no_text_makes_it_panic(text in any::<String>()) {
            let _ = text.parse::<Cron>();
        }
    }
}
