//! At most one worker per thing, at most so many in all, and no nudge lost.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::sync::Notify;

/// Who works on what.
pub(super) struct Workers<Id> {
    active: Mutex<HashMap<Id, Worker>>,
    most: usize,
    /// Somebody was turned away because all places were taken.
    turned_away: AtomicBool,
    freed: Notify,
}

#[derive(Default)]
struct Worker {
    /// Something came after the worker last looked.
    again: bool,
    wake: Arc<Notify>,
}

impl<Id: Eq + Hash + Clone> Workers<Id> {
    /// At most `most` workers.
    pub(super) fn new(most: usize) -> Self {
        let (active, turned_away, freed) = (Mutex::default(), AtomicBool::new(false), Notify::new());
        Self { active, most, turned_away, freed }
    }

    /// Waits until there is a place again for somebody who was turned away.
    pub(super) async fn freed(&self) {
        self.freed.notified().await;
    }

    /// Wakes the worker of `id`, or asks the caller to start one: with the handle by which it is woken.
    pub(super) fn nudge(&self, id: &Id) -> Option<Arc<Notify>> {
        let mut active = self.active();
        if let Some(worker) = active.get_mut(id) {
            worker.again = true;
            worker.wake.notify_one();
            return None;
        }
        self.admit(&mut active, id)
    }

    /// As [`Workers::nudge`], but leaves a worker that is there alone.
    pub(super) fn start(&self, id: &Id) -> Option<Arc<Notify>> {
        let mut active = self.active();
        if active.contains_key(id) { None } else { self.admit(&mut active, id) }
    }

    /// Whether there is a place for one more.
    pub(super) fn has_place(&self) -> bool {
        self.active().len() < self.most
    }

    /// The worker is through; `true` when something came in the meantime and it has to look again.
    pub(super) fn finish(&self, id: &Id) -> bool {
        let mut active = self.active();
        if let Some(worker) = active.get_mut(id)
            && worker.again
        {
            worker.again = false;
            return true;
        }
        active.remove(id);
        drop(active);
        if self.turned_away.swap(false, Ordering::SeqCst) {
            self.freed.notify_one();
        }
        false
    }

    fn admit(&self, active: &mut HashMap<Id, Worker>, id: &Id) -> Option<Arc<Notify>> {
        if active.len() >= self.most {
            self.turned_away.store(true, Ordering::SeqCst);
            return None;
        }
        let worker = active.entry(id.clone()).or_default();
        Some(worker.wake.clone())
    }

    fn active(&self) -> MutexGuard<'_, HashMap<Id, Worker>> {
        self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nudge_during_work_makes_the_worker_look_again() {
        let workers = Workers::new(2);
        assert!(workers.nudge(&1).is_some());
        assert!(workers.nudge(&1).is_none());
        assert!(workers.finish(&1));
        assert!(!workers.finish(&1));
        assert!(workers.start(&1).is_some());
        assert!(workers.start(&1).is_none());
        assert!(!workers.finish(&1));
    }

    #[tokio::test]
    async fn it_is_told_when_there_is_a_place_for_whoever_was_turned_away() {
        let workers = Workers::new(1);
        assert!(workers.nudge(&1).is_some());
        assert!(workers.nudge(&2).is_none());
        assert!(!workers.finish(&1));
        workers.freed().await;
        assert!(workers.nudge(&2).is_some());
    }
}
