//! Instants on the wire.

use std::{fmt, str::FromStr};

use crate::macros::string_on_the_wire;

/// An instant in UTC with millisecond precision, written as RFC 3339 with `Z`.
///
/// ```
/// use prism_types::Timestamp;
///
/// let instant: Timestamp = "2026-06-11T22:55:03+02:00".parse()?;
/// assert_eq!(instant.to_string(), "2026-06-11T20:55:03.000Z");
/// # Ok::<(), prism_types::TimestampError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(jiff::Timestamp);

/// A string that is not an RFC 3339 instant between the years -9999 and 9999.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an RFC 3339 timestamp such as 2026-06-11T20:55:03Z")]
pub struct TimestampError(());

impl Timestamp {
    /// The first instant of 1970.
    pub const UNIX_EPOCH: Self = Self(jiff::Timestamp::UNIX_EPOCH);

    /// The instant so many milliseconds after the first of 1970; out-of-range values are clamped.
    pub fn from_millis(millis: i64) -> Self {
        // Whole seconds: jiff refuses the milliseconds of the last second, though it has instants there.
        let [min, max] = [jiff::Timestamp::MIN, jiff::Timestamp::MAX].map(|end| end.as_second() * 1000);
        Self(jiff::Timestamp::from_millisecond(millis.clamp(min, max)).unwrap_or(jiff::Timestamp::UNIX_EPOCH))
    }

    /// Milliseconds since the first instant of 1970.
    pub fn as_millis(self) -> i64 {
        self.0.as_millisecond()
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}", self.0)
    }
}

impl FromStr for Timestamp {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Self, TimestampError> {
        let instant: jiff::Timestamp = text.parse().map_err(|_| TimestampError(()))?;
        Ok(Self::from_millis(instant.as_millisecond()))
    }
}

string_on_the_wire!(Timestamp, schema: schemars::json_schema!({
    "type": "string",
    "format": "date-time",
}));

#[cfg(test)]
mod tests {
    use super::Timestamp;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_printed_is_read_back(millis in any::<i64>()) {
            let instant = Timestamp::from_millis(millis);
            prop_assert_eq!(instant.to_string().parse::<Timestamp>().unwrap(), instant);
        }
    }

    #[test]
    fn what_is_out_of_range_is_clamped() {
        let [first, last] = [i64::MIN, i64::MAX].map(Timestamp::from_millis);
        assert_eq!(first.to_string(), "-009999-01-02T01:59:59.000Z");
        assert_eq!(last.to_string(), "9999-12-30T22:00:00.000Z");
        assert_eq!(Timestamp::from_millis(last.as_millis() + 1), last);
        assert_eq!(Timestamp::from_millis(last.as_millis() - 1).to_string(), "9999-12-30T21:59:59.999Z");
    }

    #[test]
    fn seconds_and_milliseconds_are_both_read() {
        assert_eq!("2026-06-11T20:55:03Z".parse::<Timestamp>().unwrap().as_millis(), 1_781_211_303_000);
        assert_eq!("2026-06-11T20:55:03.25Z".parse::<Timestamp>().unwrap().as_millis(), 1_781_211_303_250);
        assert!("yesterday".parse::<Timestamp>().is_err());
    }
}
