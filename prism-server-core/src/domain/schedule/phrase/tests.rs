//! The grammar: what is understood, what is refused, and that what is written is read again.

use proptest::prelude::*;

use super::*;

fn cron(text: &str) -> String {
    read(text).map_or_else(|reason| format!("refused: {reason}"), Phrase::to_cron)
}

#[test]
fn what_people_say_is_understood() {
    for (text, expected) in [
        ("every Monday at 9am", "0 9 * * 1"),
        ("every weekday at 17:30", "30 17 * * 1-5"),
        ("every 15 minutes", "*/15 * * * *"),
        ("daily at noon", "0 12 * * *"),
        ("on the first of every month at 8:00", "0 8 1 * *"),
        ("every hour", "0 * * * *"),
        ("every minute", "* * * * *"),
        ("each 1 minute", "* * * * *"),
        ("hourly", "0 * * * *"),
        ("hourly at :05 on weekdays", "5 * * * 1-5"),
        ("every 2 hours at :30", "30 */2 * * *"),
        ("every 30 minutes on Saturday and Sunday", "*/30 * * * 0,6"),
        ("every day", "0 0 * * *"),
        ("daily", "0 0 * * *"),
        ("everyday at 6pm", "0 18 * * *"),
        ("at 9:15 every day", "15 9 * * *"),
        ("every day at 9:00 and 17:00", "0 9,17 * * *"),
        ("every day at 8:00, 8:30, 9:00, and at 9:30", "0,30 8,9 * * *"),
        ("weekends at 10 AM", "0 10 * * 0,6"),
        ("on mondays, wednesdays and fridays at 12pm", "0 12 * * 1,3,5"),
        ("monday to friday at 12am", "0 0 * * 1-5"),
        ("friday through monday", "0 0 * * 0,1,5,6"),
        ("every mon and every thu at midnight", "0 0 * * 1,4"),
        ("every weekday and saturday at 7:00", "0 7 * * 1-6"),
        ("weekly", "0 0 * * 0"),
        ("weekly on Tuesday at 23:59", "59 23 * * 2"),
        ("every week on thurs", "0 0 * * 4"),
        ("monthly", "0 0 1 * *"),
        ("monthly on the 1st and 15th at 6:00", "0 6 1,15 * *"),
        ("every month on the 31st", "0 0 31 * *"),
        ("on the 1st, 2nd and 3rd of each month at 1:05 pm", "5 13 1-3 * *"),
        ("on the tenth of january and july", "0 0 10 1,7 *"),
        ("on march 1st at 9:00", "0 9 1 3 *"),
        ("yearly", "0 0 1 1 *"),
        ("annually on the 24th of december at 18:00", "0 18 24 12 *"),
        ("every year on feb 29", "0 0 29 2 *"),
        ("  EVERY   DAY\tAT 9:00 ", "0 9 * * *"),
        ("every day at 09:05", "5 9 * * *"),
    ] {
        assert_eq!(cron(text), expected, "{text}");
    }
}

#[test]
fn what_cron_cannot_say_or_may_mean_two_things_is_refused_with_the_reason() {
    for (text, told) in [
        ("every day at 9", "`9:00`, `9am` or `9pm`"),
        ("twice a day", "a day was expected at `twice`"),
        ("every other day", "a day was expected at `other`"),
        ("every 2 days", "only minutes and hours"),
        ("every 90 minutes", "do not come out even in 60"),
        ("every 0 minutes", "do not come out even in 60"),
        ("every 5 hours", "do not come out even in 24"),
        ("every 24 hours", "do not come out even in 24"),
        ("every 30 seconds", "only minutes and hours"),
        ("every 2nd monday", "a day was expected at `2`"),
        ("every day at 24:00", "a time is 0:00 to 23:59"),
        ("every day at 13pm", "1 to 12 with `am`"),
        ("every day at 0am", "1 to 12 with `am`"),
        ("every day at 9:60", "a time is 0:00 to 23:59"),
        ("every day at 9:5", "`9:00`, `9am` or `9pm`"),
        ("every day at 9:00 and 17:30", "make an automation for each"),
        ("every day at", "expected at its end"),
        ("every day at dawn", "expected at `dawn`"),
        ("every 15 minutes at 9:00", "an interval has no times"),
        ("weekly at 9:00", "`weekly on monday at 9:00`"),
        ("monthly at 9:00", "`monthly on the 1st at 9:00`"),
        ("on the last day of every month", "the last day of a month"),
        ("on the 1st", "`of` was expected at its end"),
        ("on the 32nd of every month", "a day of the month was expected"),
        ("on the 1st of every fortnight", "`month` was expected at `fortnight`"),
        ("at 9:00", "a day was expected at its end"),
        ("every day at 9:00 sharp", "`sharp` has no meaning"),
        ("every day at 9:00 at 10:00", "`at` has no meaning"),
        ("every day @ 9", "`@` has no meaning"),
        ("every 99999 minutes", "too many digits"),
        ("when it rains", "a day was expected at `when`"),
        ("every", "a day was expected at its end"),
        ("and", "a day was expected at `and`"),
    ] {
        let answer = cron(text);
        assert!(answer.starts_with("refused: ") && answer.contains(told), "{text}: {answer}");
    }
}

fn bits(values: std::ops::RangeInclusive<u8>) -> impl Strategy<Value = Bits> {
    prop::collection::vec(values, 1..5).prop_map(Bits::of)
}

fn days_of_week() -> impl Strategy<Value = Bits> {
    prop_oneof![bits(0..=6), Just(WEEK), Just(WEEKDAYS), Just(WEEKEND)]
}

fn phrase() -> impl Strategy<Value = Phrase> {
    let months = prop_oneof![bits(1..=12), Just(YEAR)];
    let of_month = (bits(1..=31), months).prop_map(|(days, months)| Days::OfMonth { days, months });
    let days = prop_oneof![days_of_week().prop_map(Days::OfWeek), of_month];
    prop_oneof![
        (prop::sample::select(vec![1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30]), days_of_week())
            .prop_map(|(every, on)| Phrase::Minutes { every, on }),
        (prop::sample::select(vec![1, 2, 3, 4, 6, 8, 12]), 0..60_u8, days_of_week())
            .prop_map(|(every, minute, on)| Phrase::Hours { every, minute, on }),
        (days, bits(0..=23), bits(0..=59)).prop_map(|(days, hours, minutes)| Phrase::Times {
            days,
            hours,
            minutes
        }),
    ]
}

proptest! {
    #[test]
    fn what_is_written_reads_the_same_again(phrase in phrase()) {
        prop_assert_eq!(read(&phrase.to_string()), Ok(phrase), "{}", phrase);
        prop_assert_eq!(read(&phrase.to_string().to_uppercase()), Ok(phrase));
    }

    #[test]
    fn what_is_understood_is_cron(phrase in phrase()) {
        use crate::domain::schedule::Cron;
        let cron = phrase.to_cron();
        match cron.parse::<Cron>() {
            Ok(read) => prop_assert_eq!(read.to_string(), cron),
            Err(error) => prop_assert!(error.to_string().contains("can never fire"), "{}", error),
        }
    }

    #[test]
    fn no_words_make_it_panic(words in prop::collection::vec(
        prop::sample::select(vec![
            "every", "each", "on", "the", "at", "and", ",", ":", "of", "to", "1", "9", "30", "60", "99", "am", "pm",
            "minutes", "hour", "day", "week", "weekly", "month", "year", "monday", "weekday", "march", "first", "th",
            "last", "noon", "hourly", "monthly",
        ]),
        0..12,
    )) {
        if let Ok(phrase) = read(&words.join(" ")) {
            prop_assert_eq!(read(&phrase.to_string()), Ok(phrase));
        }
    }
}
