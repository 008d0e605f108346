//! Numbers with a limit.

use serde::Deserialize;

/// A whole number from 1 to `MOST`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "i64")]
pub(crate) struct UpTo<const MOST: u64>(u64);

impl<const MOST: u64> UpTo<MOST> {
    /// The number.
    pub(crate) fn get(self) -> u64 {
        self.0
    }
}

impl<const MOST: u64> TryFrom<i64> for UpTo<MOST> {
    type Error = String;

    fn try_from(number: i64) -> Result<Self, String> {
        let fitting = u64::try_from(number).ok().filter(|number| (1..=MOST).contains(number));
        fitting.map(Self).ok_or_else(|| {
            format!("must be a whole number from 1 to {MOST}, and is {number}; leave it out for the default")
        })
    }
}
