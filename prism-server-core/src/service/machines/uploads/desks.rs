//! Where those wait who work with the same upload.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use prism_types::UploadId;
use tokio::sync::{Mutex as AsyncMutex, MutexGuard, Semaphore, SemaphorePermit};

use crate::{
    domain::limits,
    error::{Error, ErrorKind, Result},
};

/// The desks of all uploads that somebody works with.
#[derive(Default)]
pub(crate) struct Desks(Mutex<HashMap<UploadId, Weak<Desk>>>);

/// The desk of an upload.
pub(crate) struct Desk {
    /// Held by who changes it or puts it into its place.
    turn: AsyncMutex<()>,
    /// Those who send parts.
    parts: Semaphore,
    is_completing: AtomicBool,
}

/// The upload is being put into its place until this is dropped.
pub(crate) struct Completing<'a>(&'a Desk);

impl Desks {
    pub(crate) fn of(&self, id: &UploadId) -> Arc<Desk> {
        let mut desks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(desk) = desks.get(id).and_then(Weak::upgrade) {
            return desk;
        }
        // Those at which nobody is any more.
        desks.retain(|_, desk| desk.strong_count() > 0);
        let desk = Arc::new(Desk {
            turn: AsyncMutex::default(),
            parts: Semaphore::new(limits::UPLOAD_CONCURRENCY as usize),
            is_completing: AtomicBool::new(false),
        });
        desks.insert(id.clone(), Arc::downgrade(&desk));
        desk
    }
}

impl Desk {
    /// Waits until nobody else changes the upload.
    pub(crate) async fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// The right to change the upload, unless somebody else has it.
    pub(crate) fn turn_now(&self) -> Option<MutexGuard<'_, ()>> {
        self.turn.try_lock().ok()
    }

    /// The right to send a part.
    pub(super) fn place_for_part(&self) -> Result<SemaphorePermit<'_>> {
        self.parts.try_acquire().map_err(|_| {
            let most = limits::UPLOAD_CONCURRENCY;
            let message = format!("{most} parts of this upload are under way, which is the most. Try again.");
            Error::new(ErrorKind::RateLimited, message).retry_after(Duration::from_secs(1))
        })
    }

    /// Says to those who look that the upload is being put into its place.
    pub(super) fn complete(&self) -> Completing<'_> {
        self.is_completing.store(true, Ordering::Relaxed);
        Completing(self)
    }

    pub(super) fn is_completing(&self) -> bool {
        self.is_completing.load(Ordering::Relaxed)
    }
}

impl Drop for Completing<'_> {
    fn drop(&mut self) {
        self.0.is_completing.store(false, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_parts_as_the_limit_are_on_their_way_and_not_one_more() {
        let desks = Desks::default();
        let (one, other) = (desks.of(&"upl_a".parse().unwrap()), desks.of(&"upl_b".parse().unwrap()));
        let mut places: Vec<_> =
            (0..limits::UPLOAD_CONCURRENCY).map(|_| one.place_for_part().unwrap()).collect();
        let same = desks.of(&"upl_a".parse().unwrap());
        assert_eq!(same.place_for_part().err().unwrap().kind(), ErrorKind::RateLimited);
        assert!(other.place_for_part().is_ok(), "another upload has its own");
        places.pop();
        assert!(same.place_for_part().is_ok());
    }

    #[test]
    fn one_changes_it_at_a_time_and_whoever_looks_sees_that_it_is_completed() {
        let desks = Desks::default();
        let desk = desks.of(&"upl_a".parse().unwrap());
        let turn = desk.turn_now();
        assert!(turn.is_some() && desk.turn_now().is_none());
        let mark = desk.complete();
        assert!(desks.of(&"upl_a".parse().unwrap()).is_completing());
        drop((mark, turn));
        assert!(!desk.is_completing() && desk.turn_now().is_some());
        drop(desk);
        desks.of(&"upl_b".parse().unwrap());
        assert_eq!(desks.0.lock().unwrap().len(), 1, "nobody is at the first any more");
    }
}
