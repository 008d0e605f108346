//! The search for the next instant, one stretch of constant offset after the other.

use jiff::{
    Timestamp as Instant, ToSpan,
    civil::{Date, DateTime, Time},
    tz::Offset,
};
use prism_types::Timestamp;

use super::{cron::Cron, zone::Zone};

/// How far ahead is looked. A 29th of February on a given weekday comes after 40 years at the latest.
const YEARS: i64 = 50;

pub(super) fn next_after(cron: &Cron, zone: &Zone, instant: Timestamp) -> Option<Timestamp> {
    let rules = zone.rules();
    // Instants have milliseconds, so this is the first one that may be the answer.
    let mut start = Instant::from_millisecond(instant.as_millis().checked_add(1)?).ok()?;
    let horizon = start.checked_add((YEARS * 366 * 24).hours()).unwrap_or(Instant::MAX);
    while start < horizon {
        let offset = rules.to_offset(start);
        let change = rules.following(start).next().map(|change| change.timestamp());
        let end = change.unwrap_or(horizon).min(horizon);
        if let Some(found) = first_within(cron, offset, start, end) {
            return Some(Timestamp::from_millis(found.as_millisecond()));
        }
        start = end;
    }
    None
}

/// The first instant from `start` and before `end` that fits, by a clock with this offset.
fn first_within(cron: &Cron, offset: Offset, start: Instant, end: Instant) -> Option<Instant> {
    let from = whole_minute(offset.to_datetime(start))?;
    let until = offset.to_datetime(end);
    let found = first_from(cron, from, until.date()).filter(|found| *found < until)?;
    offset.to_timestamp(found).ok()
}

/// The minute that begins then or next.
fn whole_minute(clock: DateTime) -> Option<DateTime> {
    let minute = clock.date().at(clock.hour(), clock.minute(), 0, 0);
    if minute == clock { Some(minute) } else { minute.checked_add(1.minute()).ok() }
}

/// The first fitting minute from `from` to the end of the day `last`.
fn first_from(cron: &Cron, from: DateTime, last: Date) -> Option<DateTime> {
    let (mut date, mut earliest) = (from.date(), from.time());
    while date <= last {
        let next = if !cron.months.has(date.month().unsigned_abs()) {
            date.last_of_month().tomorrow().ok()?
        } else {
            if cron.has_day(date)
                && let Some(time) = first_time(cron, earliest)
            {
                return Some(date.to_datetime(time));
            }
            date.tomorrow().ok()?
        };
        (date, earliest) = (next, Time::midnight());
    }
    None
}

/// The first fitting time of a day that is not before `earliest`.
fn first_time(cron: &Cron, earliest: Time) -> Option<Time> {
    let (hour, minute) = (earliest.hour().unsigned_abs(), earliest.minute().unsigned_abs());
    let in_this_hour = || cron.hours.has(hour).then(|| cron.minutes.first_from(minute)).flatten();
    let (hour, minute) = match in_this_hour() {
        Some(minute) => (hour, minute),
        None => (cron.hours.first_from(hour + 1)?, cron.minutes.first_from(0)?),
    };
    Time::new(i8::try_from(hour).ok()?, i8::try_from(minute).ok()?, 0, 0).ok()
}
