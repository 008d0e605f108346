//! Time zones by their IANA names.
//!
//! The database is built into the program, so that every server of a version knows the same rules, whatever its
//! machine has installed.

use std::{fmt, str::FromStr};

use jiff::tz::{TimeZone, TimeZoneDatabase};

use super::{InvalidSchedule, field::shown};

/// Names in the database that are no place's time.
const NO_ZONES: [&str; 4] = ["Etc/Unknown", "Factory", "localtime", "posixrules"];

/// A time zone of the IANA database, such as `Europe/Berlin`. Names are read in any case and written as the database
/// has them.
///
/// ```
/// use prism_server_core::domain::schedule::Zone;
///
/// assert_eq!("america/new_york".parse::<Zone>()?.name(), "America/New_York");
/// assert!("Local".parse::<Zone>().is_err());
/// # Ok::<(), prism_server_core::domain::schedule::InvalidSchedule>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Zone(TimeZone);

impl Zone {
    /// Coordinated universal time.
    pub fn utc() -> Self {
        Self(TimeZone::UTC)
    }

    /// The name, as the database has it.
    pub fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }

    pub(super) fn rules(&self) -> &TimeZone {
        &self.0
    }
}

impl FromStr for Zone {
    type Err = InvalidSchedule;

    fn from_str(name: &str) -> Result<Self, InvalidSchedule> {
        let found = TimeZoneDatabase::bundled().get(name).ok();
        let named = |zone: &TimeZone| zone.iana_name().is_some_and(|name| !NO_ZONES.contains(&name));
        found.filter(named).map(Self).ok_or_else(|| {
            InvalidSchedule::new(format!(
                "`{}` is not a time zone of the IANA database; write a name such as `UTC` or `Europe/Berlin`",
                shown(name)
            ))
        })
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_zone_of_the_database_is_read_and_written_as_it_is_named() {
        let database = TimeZoneDatabase::bundled();
        let mut count = 0;
        for name in database.available().map(|name| name.to_string()) {
            match name.parse::<Zone>() {
                Ok(zone) => assert_eq!(zone.name(), name),
                Err(error) => assert!(NO_ZONES.contains(&name.as_str()), "{error}"),
            }
            count += 1;
        }
        assert!(count > 400, "{count}");
        assert_eq!("utc".parse::<Zone>().unwrap(), Zone::utc());
    }

    #[test]
    fn what_is_no_zone_is_refused() {
        for name in
            ["", "Local", "localtime", "Berlin", "+02:00", "UTC+2", "CET-1CEST", "Etc/Unknown", "a/\0"]
        {
            let error = name.parse::<Zone>().unwrap_err().to_string();
            assert!(error.contains("Europe/Berlin"), "{name}: {error}");
        }
    }
}
