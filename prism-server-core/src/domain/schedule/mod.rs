//! Schedules: when something is due, by the clock on the wall of a time zone.
//!
//! A [`Schedule`] is a [`Cron`] expression and a [`Zone`]. It is a pure function from an instant to the next one,
//! and knows nothing of what is due: automations use it, and whatever else has a timetable can.
//!
//! # The clock on the wall, literally
//! A minute fires when the clock of the zone shows it. So a time that does not exist, because the clock was put
//! forward over it, does not fire, and a time that comes twice, because the clock was put back, fires twice, as
//! two different instants. Nothing is moved to a neighbouring time: an expression means what it says, and what it
//! means can be checked against a calendar.
//!
//! # How the next instant is found
//! Between two changes of the zone's offset the clock on the wall is a plain shift of UTC. `occurrence` walks
//! from one such stretch to the next and looks for the first fitting minute in each. In a stretch there are no
//! gaps and no repetitions, so they need no cases of their own, and every offset is alike: half an hour in
//! Lord Howe, a whole day in Samoa.
//!
//! | module | what lives there |
//! |---|---|
//! | `cron` | expressions of five fields |
//! | `field` | one of the fields |
//! | `occurrence` | the search for the next instant |
//! | `phrase` | natural language, read and written |
//! | `text` | what a person may write: cron, a macro such as `@daily`, or natural language |
//! | `zone` | time zones by their IANA names |

mod cron;
mod field;
mod occurrence;
mod phrase;
mod text;
mod zone;

#[cfg(test)]
mod tests;

use prism_types::Timestamp;

pub use cron::Cron;
pub use text::read;
pub use zone::Zone;

/// Why a text is no schedule or no time zone, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidSchedule(String);

impl InvalidSchedule {
    fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

/// A timetable: an expression, read by the clock of a zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    cron: Cron,
    zone: Zone,
}

impl Schedule {
    /// This expression in this zone.
    pub fn new(cron: Cron, zone: Zone) -> Self {
        Self { cron, zone }
    }

    /// The first instant after `instant` that fits; `None` when there is none within 50 years.
    pub fn next_after(&self, instant: Timestamp) -> Option<Timestamp> {
        occurrence::next_after(&self.cron, &self.zone, instant)
    }

    /// The last instant after `since` and not after `until` that fits, if there is one.
    ///
    /// The price does not depend on how much time lies between the two: the search goes back from `until` in
    /// steps that double.
    pub fn latest(&self, since: Timestamp, until: Timestamp) -> Option<Timestamp> {
        let mut reach = MINUTE;
        loop {
            let start = since.max(Timestamp::from_millis(until.as_millis().saturating_sub(reach)));
            let within = |instant: &Timestamp| *instant <= until;
            let mut found = self.next_after(start).filter(within);
            while let Some(later) = found.and_then(|found| self.next_after(found)).filter(within) {
                found = Some(later);
            }
            if found.is_some() || start <= since {
                return found;
            }
            reach = reach.saturating_mul(2);
        }
    }
}

/// A minute in milliseconds.
const MINUTE: i64 = 60_000;
