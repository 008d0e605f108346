//! Growing pauses between tries.

use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

use tokio::time::Instant;

/// Pauses that double from a first one up to a longest one, each shortened at random, so that clients which
/// failed together do not come back together.
///
/// Nothing overflows, whatever the number of tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    base: Duration,
    cap: Duration,
}

impl Backoff {
    /// The first pause is at most `base`, and no pause is longer than `cap`.
    pub const fn new(base: Duration, cap: Duration) -> Self {
        Self { base, cap }
    }

    /// A pause between nothing and the whole of what attempt number `attempt`, from 0, allows ("full
    /// jitter").
    pub(crate) fn full_jitter(self, attempt: u32, random: u64) -> Duration {
        part(self.whole(attempt), random)
    }

    /// A pause between half and the whole of what attempt number `attempt`, from 0, allows.
    pub(crate) fn at_least_half(self, attempt: u32, random: u64) -> Duration {
        let half = self.whole(attempt) / 2;
        half + part(half, random)
    }

    fn whole(self, attempt: u32) -> Duration {
        let factor = 1_u32.checked_shl(attempt).unwrap_or(u32::MAX);
        self.base.saturating_mul(factor).min(self.cap)
    }
}

/// A number that differs from call to call and from process to process. Not for secrets.
pub(crate) fn random() -> u64 {
    // The standard library keys each of these hashers differently, from a seed of the operating system; that
    // is random enough to spread clients, and needs no dependency.
    RandomState::new().hash_one(0)
}

/// The instant so far from now; a time that is too long to add stands for decades.
pub(crate) fn deadline(time: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(time).unwrap_or_else(|| now + Duration::from_secs(30 * 365 * 86_400))
}

/// The part of `whole` that `random` stands for, 0 being none and the largest number almost all.
fn part(whole: Duration, random: u64) -> Duration {
    let nanoseconds = u64::try_from(whole.as_nanos()).unwrap_or(u64::MAX);
    Duration::from_nanos(((u128::from(nanoseconds) * u128::from(random)) >> 64) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn pauses_stay_in_their_bounds(
            base in any::<Duration>(),
            cap in any::<Duration>(),
            attempt in any::<u32>(),
            random in any::<u64>(),
        ) {
            let backoff = Backoff::new(base, cap);
            prop_assert!(backoff.full_jitter(attempt, random) <= cap);
            prop_assert!(backoff.at_least_half(attempt, random) <= cap);
            prop_assert!(backoff.whole(attempt) <= backoff.whole(attempt.saturating_add(1)));
            prop_assert!(backoff.at_least_half(attempt, random) >= backoff.whole(attempt) / 2);
        }
    }

    #[test]
    fn pauses_double_up_to_the_cap() {
        let backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(10));
        let whole: Vec<_> = [0, 1, 2, 6, 7, 31, 32, u32::MAX].map(|n| backoff.whole(n).as_millis()).into();
        assert_eq!(whole, [100, 200, 400, 6400, 10_000, 10_000, 10_000, 10_000]);
        assert_eq!(backoff.full_jitter(0, 1 << 63), Duration::from_millis(50));
    }

    #[test]
    fn random_numbers_differ() {
        let numbers: std::collections::HashSet<u64> = (0..100).map(|_| random()).collect();
        assert!(numbers.len() > 90);
    }
}
