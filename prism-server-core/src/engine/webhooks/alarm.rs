//! An alarm that rings at the earliest of the instants that it was set to.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use prism_types::Timestamp;
use tokio::sync::Notify;

use crate::ports::Clock;

/// Remembers one instant, however many it is set to: whoever hears it looks for the next one.
#[derive(Default)]
pub(super) struct Alarm {
    at: Mutex<Option<Timestamp>>,
    earlier: Notify,
}

impl Alarm {
    /// Sets it to ring at an instant, unless it rings earlier.
    pub(super) fn at(&self, at: Timestamp) {
        let mut set = self.at.lock().unwrap_or_else(PoisonError::into_inner);
        if set.is_none_or(|set| at < set) {
            *set = Some(at);
            self.earlier.notify_one();
        }
    }

    /// Waits until it rings; then it is set to nothing. Dropping this before it is done loses nothing.
    pub(super) async fn rings(&self, clock: &dyn Clock) {
        loop {
            let wait = {
                let mut set = self.at.lock().unwrap_or_else(PoisonError::into_inner);
                let wait = set.map(|at| at.as_millis().saturating_sub(clock.now().as_millis()));
                if wait.is_some_and(|wait| wait <= 0) {
                    *set = None;
                    return;
                }
                wait.and_then(|wait| u64::try_from(wait).ok())
            };
            match wait {
                Some(wait) => {
                    let rest = tokio::time::sleep(Duration::from_millis(wait));
                    tokio::select! { () = rest => {}, () = self.earlier.notified() => {} }
                }
                None => self.earlier.notified().await,
            }
        }
    }
}
