//! Schedules beside a calendar.
//!
//! The oracle walks over UTC minute by minute, asks the zone what its clock shows, and reads the expression's text in
//! the most naive way. It shares nothing with the schedule but the database of zones.
//!
//! What is sampled: around every change of offset in ten years, in zones of all kinds, five telling expressions; around
//! random ones of them, random expressions; and ten years at a stretch for expressions on half hours. Two zones that
//! skipped a whole day are looked at on that day.

use std::collections::BTreeSet;

use jiff::{Timestamp as Instant, civil::DateTime};
use proptest::prelude::*;

use super::*;

/// Changes north and south, at midnight, by half an hour and by two, in Ramadan; offsets of half and quarter hours.
const ZONES: [&str; 14] = [
    "UTC",
    "America/New_York",
    "Europe/Berlin",
    "Europe/Dublin",
    "Australia/Sydney",
    "Australia/Lord_Howe",
    "America/Santiago",
    "America/Havana",
    "Asia/Beirut",
    "Africa/Casablanca",
    "Antarctica/Troll",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Pacific/Chatham",
];

const TELLING: [&str; 5] = ["* * * * *", "30 2 * * *", "0 0 * * *", "*/15 1-3 * * 0", "0 */2 29-31 3,10 1-5"];

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn schedule(cron: &str, zone: &str) -> Schedule {
    Schedule::new(cron.parse().unwrap(), zone.parse().unwrap())
}

/// The instants after `start` and not after `end` at which the schedule fires, by itself.
fn found(schedule: &Schedule, start: Timestamp, end: Timestamp) -> Vec<String> {
    let mut found = Vec::new();
    let mut last = start;
    while let Some(next) = schedule.next_after(last).filter(|next| *next <= end) {
        assert!(next > last, "time goes on");
        found.push(next.to_string());
        last = next;
    }
    found
}

/// What the clocks of a zone show, minute by minute.
fn clocks(zone: &Zone, start: Timestamp, end: Timestamp) -> Vec<(Timestamp, DateTime)> {
    let step = usize::try_from(MINUTE).unwrap();
    let minutes = (start.as_millis() + MINUTE..=end.as_millis()).step_by(step);
    let clock = |millis| zone.rules().to_datetime(Instant::from_millisecond(millis).unwrap());
    minutes.map(|millis| (Timestamp::from_millis(millis), clock(millis))).collect()
}

/// The instants at which an expression fires, by the oracle.
fn expected(cron: &str, clocks: &[(Timestamp, DateTime)]) -> Vec<String> {
    let fields: Vec<_> = cron.split(' ').collect();
    let [minute, hour, day, month, weekday] = fields[..] else { panic!("{cron}") };
    let either = !day.starts_with('*') && !weekday.starts_with('*');
    let values = |field, least, most| (0..60).map(|value| has(field, value, least, most)).collect::<Vec<_>>();
    let (minutes, hours) = (values(minute, 0, 59), values(hour, 0, 23));
    let (days, months, mut weekdays) = (values(day, 1, 31), values(month, 1, 12), values(weekday, 0, 6));
    weekdays[0] |= has(weekday, 7, 7, 6);
    let at = |values: &[bool], value: i8| values[usize::try_from(value).unwrap()];
    let fits = clocks.iter().filter(|(_, clock)| {
        at(&minutes, clock.minute()) && at(&hours, clock.hour()) && at(&months, clock.month()) && {
            let (day, weekday) = (at(&days, clock.day()), clock.weekday().to_sunday_zero_offset());
            let weekday = at(&weekdays, weekday);
            if either { day || weekday } else { day && weekday }
        }
    });
    fits.map(|(instant, _)| instant.to_string()).collect()
}

/// Whether a field has a value.
fn has(field: &str, value: i8, least: i8, most: i8) -> bool {
    field.split(',').any(|part| {
        let (values, step) = part.split_once('/').unwrap_or((part, "1"));
        let number = |text: &str| text.parse::<i8>().unwrap();
        let (first, last) = match values.split_once('-') {
            _ if values == "*" => (least, most),
            Some((first, last)) => (number(first), number(last)),
            None => (number(values), number(values)),
        };
        (first..=last).contains(&value) && (value - first) % number(step) == 0
    })
}

/// The changes of a zone's offset in ten years; for a zone that has none, two instants all the same.
fn changes(zone: &Zone) -> Vec<Timestamp> {
    let (from, to) = (at("2026-01-01T00:00:00Z"), at("2036-01-01T00:00:00Z"));
    let following = zone.rules().following(Instant::from_millisecond(from.as_millis()).unwrap());
    let changes = following.map(|change| Timestamp::from_millis(change.timestamp().as_millisecond()));
    let changes: Vec<_> = changes.take_while(|change| *change < to).collect();
    if changes.is_empty() { vec![from, at("2028-02-29T12:00:00Z")] } else { changes }
}

fn around(instant: Timestamp, minutes: i64) -> (Timestamp, Timestamp) {
    let whole = instant.as_millis().div_euclid(MINUTE) * MINUTE;
    (Timestamp::from_millis(whole - minutes * MINUTE), Timestamp::from_millis(whole + minutes * MINUTE))
}

#[test]
fn every_change_of_ten_years_in_every_kind_of_zone_is_as_the_calendar_says() {
    let mut looked_at = 0;
    for name in ZONES {
        let zone: Zone = name.parse().unwrap();
        for change in changes(&zone) {
            let (start, end) = around(change, 3 * 60);
            let clocks = clocks(&zone, start, end);
            for cron in TELLING {
                let schedule = schedule(cron, name);
                assert_eq!(found(&schedule, start, end), expected(cron, &clocks), "{cron} in {name}");
            }
            looked_at += 1;
        }
    }
    assert!(looked_at > 200, "{looked_at}");
}

#[test]
fn ten_years_at_a_stretch_are_as_the_calendar_says() {
    let (start, end) = (at("2026-01-01T00:00:00Z"), at("2036-01-01T00:00:00Z"));
    for (name, crons) in [
        ("America/New_York", ["30 2 8-14 3 0", "0 9 1 * 1"]),
        ("Australia/Lord_Howe", ["0 2 * 4,10 0", "30 1 29 2 *"]),
        ("UTC", ["0 0 29 2 */7", "30 23 31 */2 5"]),
    ] {
        let zone: Zone = name.parse().unwrap();
        // Expressions and offsets are of half hours, so no other minute can fit.
        let clocks: Vec<_> = (start.as_millis()..=end.as_millis())
            .step_by(30 * 60_000)
            .skip(1)
            .map(|millis| {
                let instant = Instant::from_millisecond(millis).unwrap();
                (Timestamp::from_millis(millis), zone.rules().to_datetime(instant))
            })
            .collect();
        for cron in crons {
            let found = found(&schedule(cron, name), start, end);
            assert_eq!(found, expected(cron, &clocks), "{cron} in {name}");
            assert!(!found.is_empty() || cron.ends_with("*/7"), "{cron} in {name}");
        }
    }
}

#[test]
fn a_time_that_does_not_exist_does_not_fire() {
    let daily = schedule("30 2 * * *", "America/New_York");
    assert_eq!(
        found(&daily, at("2026-03-07T00:00:00Z"), at("2026-03-09T23:00:00Z")),
        ["2026-03-07T07:30:00.000Z", "2026-03-09T06:30:00.000Z"]
    );
    // Where midnight itself is left out, so is the day's run.
    let midnight = schedule("0 0 6 9 *", "America/Santiago");
    assert_eq!(midnight.next_after(at("2026-09-01T00:00:00Z")), Some(at("2027-09-06T03:00:00Z")));
}

#[test]
fn a_time_that_comes_twice_fires_twice() {
    let daily = schedule("30 1 * * *", "America/New_York");
    assert_eq!(
        found(&daily, at("2026-11-01T00:00:00Z"), at("2026-11-02T12:00:00Z")),
        ["2026-11-01T05:30:00.000Z", "2026-11-01T06:30:00.000Z", "2026-11-02T06:30:00.000Z"]
    );
    // Half an hour in Lord Howe: of the quarters, those from 1:30 to 1:45 come twice.
    let quarters = schedule("*/15 1 * * *", "Australia/Lord_Howe");
    let fired = found(&quarters, at("2026-04-04T13:45:00Z"), at("2026-04-04T16:00:00Z"));
    assert_eq!(fired.len(), 6, "{fired:?}");
}

#[test]
fn a_day_that_was_skipped_does_not_fire() {
    for (zone, before, after) in [
        ("Pacific/Apia", "2011-12-29T12:00:00Z", "2011-12-31T12:00:00Z"),
        ("Pacific/Kwajalein", "1993-08-20T12:00:00Z", "1993-08-23T00:00:00Z"),
    ] {
        let (start, end) = (at(before), at(after));
        let clocks = clocks(&zone.parse().unwrap(), start, end);
        let days: BTreeSet<_> = clocks.iter().map(|(_, clock)| clock.date()).collect();
        assert!(days.iter().zip(days.iter().skip(1)).any(|(day, next)| day.tomorrow().unwrap() != *next));
        for cron in ["0 12 * * *", "0 */6 30 12 *", "*/10 * 20-22 8 *"] {
            assert_eq!(found(&schedule(cron, zone), start, end), expected(cron, &clocks), "{cron} in {zone}");
        }
    }
}

#[test]
fn a_leap_day_comes_even_after_a_century_without_one() {
    let leap = schedule("0 0 29 2 *", "UTC");
    assert_eq!(leap.next_after(at("2096-02-29T00:00:00Z")), Some(at("2104-02-29T00:00:00Z")));
    let on_sunday = schedule("0 0 29 2 */7", "UTC");
    assert_eq!(on_sunday.next_after(at("2088-02-29T00:00:00Z")), Some(at("2128-02-29T00:00:00Z")));
}

#[test]
fn the_next_instant_is_strictly_later() {
    let hourly = schedule("0 * * * *", "UTC");
    assert_eq!(hourly.next_after(at("2026-01-01T00:59:59.999Z")), Some(at("2026-01-01T01:00:00Z")));
    assert_eq!(hourly.next_after(at("2026-01-01T01:00:00Z")), Some(at("2026-01-01T02:00:00Z")));
    assert_eq!(hourly.next_after(at("2026-01-01T01:00:00.001Z")), Some(at("2026-01-01T02:00:00Z")));
}

#[test]
fn time_ends_without_a_panic() {
    let hourly = schedule("0 * * * *", "Europe/Berlin");
    for instant in [i64::MAX, i64::MIN, 253_402_207_200_000, 253_402_207_199_999, -377_705_023_201_000] {
        let _ = hourly.next_after(Timestamp::from_millis(instant));
        let _ = hourly.latest(Timestamp::from_millis(i64::MIN), Timestamp::from_millis(instant));
    }
    assert_eq!(hourly.next_after(Timestamp::from_millis(i64::MAX)), None);
}

/// A field of numbers.
fn field(least: u8, most: u8) -> impl Strategy<Value = String> {
    let range = (least..=most, least..=most).prop_map(|(a, b)| (a.min(b), a.max(b)));
    let part = prop_oneof![
        3 => (least..=most).prop_map(|value| value.to_string()),
        2 => range.clone().prop_map(|(first, last)| format!("{first}-{last}")),
        1 => (range, 1..=most).prop_map(|((first, last), step)| format!("{first}-{last}/{step}")),
    ];
    prop_oneof![
        3 => Just("*".to_owned()),
        1 => (1..=most).prop_map(|step| format!("*/{step}")),
        3 => prop::collection::vec(part, 1..4).prop_map(|parts| parts.join(",")),
    ]
}

fn expression() -> impl Strategy<Value = String> {
    let fields = (field(0, 59), field(0, 23), field(1, 31), field(1, 12), field(0, 7));
    fields.prop_map(|(minute, hour, day, month, weekday)| format!("{minute} {hour} {day} {month} {weekday}"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn around_random_changes_random_expressions_are_as_the_calendar_says(
        crons in prop::collection::vec(expression(), 8),
        zone in prop::sample::select(ZONES.to_vec()),
        change in any::<prop::sample::Index>(),
        pick in any::<prop::sample::Index>(),
    ) {
        let place: Zone = zone.parse().unwrap();
        let changes = changes(&place);
        let (start, end) = around(changes[change.index(changes.len())], 26 * 60);
        let clocks = clocks(&place, start, end);
        for cron in crons.iter().filter(|cron| cron.parse::<Cron>().is_ok()) {
            let schedule = schedule(cron, zone);
            let expected = expected(cron, &clocks);
            prop_assert_eq!(&found(&schedule, start, end), &expected, "{} in {}", cron, zone);
            // The last one until some instant in between.
            let until = clocks[pick.index(clocks.len())].0;
            let latest = expected.iter().rev().map(|text| at(text)).find(|instant| *instant <= until);
            prop_assert_eq!(schedule.latest(start, until), latest, "{} in {}", cron, zone);
        }
    }
}
