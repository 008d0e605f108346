//! The budget of a client's retries.

use std::sync::atomic::{AtomicU32, Ordering};

/// Keeps retries a small part of what a client sends, so that a server that is down is not asked three times as much as
/// one that is well: each call pays in, each retry takes out, and what is not there is not spent.
///
/// A fifth of the calls can be retries in the long run, and ten in a row at any time.
#[derive(Debug)]
pub(crate) struct Budget(AtomicU32);

const FULL: u32 = 50;
const RETRY: u32 = 5;
const CALL: u32 = 1;

impl Budget {
    pub(crate) const fn new() -> Self {
        Self(AtomicU32::new(FULL))
    }

    /// A call is made.
    pub(crate) fn pay_in(&self) {
        self.change(|left| Some((left + CALL).min(FULL)));
    }

    /// Whether a retry is paid for.
    pub(crate) fn take_out(&self) -> bool {
        self.change(|left| left.checked_sub(RETRY))
    }

    fn change(&self, change: impl Fn(u32) -> Option<u32>) -> bool {
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, change).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ten_retries_in_a_row_are_paid_for_and_no_eleventh() {
        let budget = Budget::new();
        budget.pay_in();
        assert!((0..10).all(|_| budget.take_out()));
        assert!(!budget.take_out());
        (0..4).for_each(|_| budget.pay_in());
        assert!(!budget.take_out(), "four calls do not pay for a retry");
        budget.pay_in();
        assert!(budget.take_out(), "five do");
    }

    proptest! {
        #[test]
        fn retries_are_at_most_a_fifth_and_ten(calls in prop::collection::vec(0_u32..5, 0..200)) {
            let budget = Budget::new();
            let (mut called, mut retried) = (0, 0);
            for wanted in calls {
                budget.pay_in();
                called += 1;
                retried += (0..wanted).filter(|_| budget.take_out()).count();
                prop_assert!(retried <= called / 5 + 10, "{retried} retries of {called} calls");
            }
        }
    }
}
