//! A clock for tests.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use prism_types::Timestamp;
use tokio::time::Instant;

use crate::ports::Clock;

/// A clock that goes as tokio's time does, so that it stands while that is paused, and that can be put forward and
/// back. Clones are one clock.
#[derive(Debug, Clone)]
pub struct TestClock {
    began: Instant,
    /// What it showed when it began, with all that it was put forward since, in milliseconds.
    origin: Arc<AtomicI64>,
}

impl TestClock {
    /// A clock that shows this now.
    pub fn at(instant: Timestamp) -> Self {
        Self { began: Instant::now(), origin: Arc::new(AtomicI64::new(instant.as_millis())) }
    }

    /// Puts it forward by so many milliseconds, or back.
    pub fn put(&self, millis: i64) {
        self.origin.fetch_add(millis, Ordering::Relaxed);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        let went = i64::try_from(self.began.elapsed().as_millis()).unwrap_or(i64::MAX);
        Timestamp::from_millis(self.origin.load(Ordering::Relaxed).saturating_add(went))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_goes_as_tokio_does_and_can_be_put_back() {
        let clock = TestClock::at(Timestamp::from_millis(1000));
        assert_eq!(clock.now().as_millis(), 1000);
        tokio::time::advance(Duration::from_millis(50)).await;
        clock.put(-500);
        assert_eq!(clock.clone().now().as_millis(), 550);
    }
}
