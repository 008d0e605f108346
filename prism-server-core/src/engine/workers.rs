//! At most one worker per thing, at most so many in all, and no nudge lost.
//!
//! What is to be done is found in lists of the store, which can be longer than there are places. A [`Round`] goes through
//! such a list once, however often it has to stop for want of places. So what cannot be done at the head of a list keeps
//! nobody from what comes after it, and nobody busy: it comes again with the next round, and that begins with a sweep.

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

/// Where a walk through a list stopped for want of places: behind the item of this key. `None`: it came to the end.
pub(super) struct Round<Key>(Mutex<Option<Key>>);

impl<Key> Default for Round<Key> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
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

    /// Goes on with a round: a worker begins for each thing of the list that has none, as long as there are places.
    /// `page` reads what comes behind a key, which `of` tells of an item, with the thing that it is about.
    ///
    /// # Errors
    /// When a page cannot be read. The next round is a new one.
    pub(super) async fn go_round<T, Key, E, Fut>(
        &self,
        round: &Round<Key>,
        page: impl Fn(Option<Key>) -> Fut,
        of: impl Fn(T) -> (Key, Id),
        begin: impl Fn(Id, Arc<Notify>),
    ) -> Result<(), E>
    where
        Key: Clone,
        Fut: Future<Output = Result<Vec<T>, E>>,
    {
        let place = || round.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut last = place().take();
        loop {
            let items = page(last.clone()).await?;
            if items.is_empty() {
                return Ok(());
            }
            for (key, id) in items.into_iter().map(&of) {
                let is_active = self.active().contains_key(&id);
                match self.start(&id) {
                    Some(wake) => begin(id, wake),
                    None if is_active => {}
                    None => {
                        *place() = last;
                        return Ok(());
                    }
                }
                last = Some(key);
            }
        }
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

    /// With two places and things that are never done, each is begun once in a round, and the round comes to its end.
    #[tokio::test]
    async fn a_round_begins_each_thing_once_however_often_it_stops() {
        let (workers, round) = (Workers::new(2), Round::default());
        let page = async |after: Option<u32>| {
            let next = after.map_or(0, |after| after + 1);
            Ok::<_, ()>((next..7).take(3).collect::<Vec<_>>())
        };
        let begun = Mutex::new(Vec::new());
        let go_round = async || {
            let begin = |id, _| begun.lock().unwrap().push(id);
            workers.go_round(&round, page, |item| (item, item), begin).await.unwrap();
        };
        go_round().await;
        for done in 0..5 {
            assert!(!workers.finish(&done));
            let freed = tokio::time::timeout(std::time::Duration::from_secs(20), workers.freed());
            freed.await.expect("whoever was turned away is told");
            go_round().await;
        }
        assert_eq!(*begun.lock().unwrap(), [0, 1, 2, 3, 4, 5, 6]);
        assert!(!workers.finish(&5) && !workers.finish(&6));
        assert!(futures::poll!(Box::pin(workers.freed())).is_pending(), "nobody is left to be told");
        go_round().await;
        assert_eq!(begun.lock().unwrap()[7..], [0, 1], "a new round begins at the head");
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
