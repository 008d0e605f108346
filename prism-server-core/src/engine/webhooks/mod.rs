//! Delivering to webhooks: what was queued in the commit of an event is sent until it is taken or given up.
//!
//! A worker has one webhook at a time and looks at the store for what is due. It is started by a nudge when something
//! was queued, by an [alarm](alarm) when something that failed is due again, and by the sweep for what both missed. A
//! try that was sent and not recorded, because the server was killed in between, is still pending: it is sent again,
//! with the same id.
//!
//! # Nobody holds anybody up
//! At most [`limits::WEBHOOK_TRIES`] tries of a webhook are under way, and one while it fails, so that a webhook that
//! hangs holds one place of all. Places are taken in the order in which they are asked for, a try at a time. When there
//! is no worker left for a webhook, others leave after [`TURN`] tries, and what is due is started in turn.
//!
//! # Memory
//! There are at most [`WORKERS`] workers. One keeps the records of what it tries, and a try keeps its body; all else is
//! in the store.

mod alarm;
mod attempt;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeSet,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::{FutureExt, StreamExt, stream::FuturesUnordered};
use prism_types::{Timestamp, WebhookId};
use tokio::sync::{Notify, Semaphore};

use self::{alarm::Alarm, attempt::Outcome};
use super::{SWEEP_PAGE, workers::Workers};
use crate::{
    core::Core,
    domain::{
        limits,
        webhook::{
            WebhookCommand, WebhookState,
            delivery::{Delivery, DeliveryState},
        },
    },
    error::Result,
    ports::{Commit, DeliveryQuery, StoreError, Write},
};

/// Most webhooks that have a worker at the same time.
const WORKERS: usize = 1000;
/// Tries after which a worker leaves when others wait, to be started again in its turn.
const TURN: usize = 64;
/// Most deliveries that are removed in one commit, so that other writers need not wait long.
const TRIM: u32 = 500;
/// How long tries that are under way have to end at a shutdown.
const GRACE: Duration = Duration::from_secs(5);
/// Waiting times after a failure of the store: doubled each time, up to the second.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// Delivers to all webhooks of a control plane.
pub(super) struct Dispatcher {
    core: Arc<Core>,
    workers: Workers<WebhookId>,
    places: Semaphore,
    alarm: Alarm,
    /// Where to go on looking for work, when there was no worker left for it.
    resume: Mutex<Option<(Timestamp, WebhookId)>>,
}

impl Dispatcher {
    pub(super) fn new(core: Arc<Core>) -> Self {
        let places = Semaphore::new(core.settings.concurrent_webhooks.clamp(1, Semaphore::MAX_PERMITS));
        Self {
            core,
            workers: Workers::new(WORKERS),
            places,
            alarm: Alarm::default(),
            resume: Mutex::default(),
        }
    }

    /// Something is to be sent to a webhook, or it was changed.
    pub(super) fn nudge(self: &Arc<Self>, id: WebhookId) {
        if let Some(wake) = self.workers.nudge(&id) {
            self.spawn(id, wake);
        }
    }

    /// Waits until something is due.
    pub(super) async fn due(&self) {
        self.alarm.rings(self.core.clock.as_ref()).await;
    }

    /// Looks for what is due.
    pub(super) async fn look(self: &Arc<Self>) {
        if let Err(error) = self.start_due().await {
            tracing::warn!(%error, "looking for what is due to webhooks failed; it is repeated");
        }
    }

    /// Waits until there is a place again for somebody who found none.
    pub(super) async fn freed(&self) {
        self.workers.freed().await;
    }

    /// Looks for what is due, and for deleted webhooks.
    pub(super) async fn sweep(self: &Arc<Self>) {
        self.look().await;
        match self.core.store.deleted_webhooks(SWEEP_PAGE).await {
            Ok(deleted) => deleted.into_iter().for_each(|webhook| self.start(webhook.id)),
            Err(error) => tracing::warn!(%error, "looking for deleted webhooks failed; it is repeated"),
        }
    }

    /// Starts workers for what is due, from where there were none left the last time, and sets the alarm.
    async fn start_due(self: &Arc<Self>) -> Result<()> {
        let now = self.core.clock.now();
        let begun = self.resume.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut last = begun.clone();
        loop {
            let after = last.as_ref().map(|(at, id)| (*at, id));
            let page = self.core.store.due_queues(after, SWEEP_PAGE).await?;
            let whole = page.len() < SWEEP_PAGE as usize;
            for queue in page {
                let Some(due_at) = queue.due_at else { continue };
                if due_at > now {
                    self.alarm.at(due_at);
                    return self.start_over(begun);
                }
                if !self.workers.has_place() {
                    // One more, who is told when there is a place.
                    self.start(queue.webhook_id);
                    *self.resume.lock().unwrap_or_else(PoisonError::into_inner) = last;
                    return Ok(());
                }
                last = Some((due_at, queue.webhook_id.clone()));
                self.start(queue.webhook_id);
            }
            if whole {
                return self.start_over(begun);
            }
        }
    }

    /// What was begun in the middle goes on at the start.
    fn start_over(&self, begun: Option<(Timestamp, WebhookId)>) -> Result<()> {
        if begun.is_some() {
            self.alarm.at(self.core.clock.now());
        }
        Ok(())
    }

    fn start(self: &Arc<Self>, id: WebhookId) {
        if let Some(wake) = self.workers.start(&id) {
            self.spawn(id, wake);
        }
    }

    fn spawn(self: &Arc<Self>, id: WebhookId, wake: Arc<Notify>) {
        let this = self.clone();
        self.core.tasks.spawn(async move {
            let shutdown = async {
                this.core.shutdown.cancelled().await;
                tokio::time::sleep(GRACE).await;
            };
            tokio::select! {
                () = this.work(&id, &wake) => {}
                () = shutdown => tracing::warn!(webhook = %id, "tries were broken off; they are repeated"),
            }
        });
    }

    /// Works on a webhook until nothing is due, or it is somebody else's turn.
    async fn work(&self, id: &WebhookId, wake: &Notify) {
        loop {
            match AssertUnwindSafe(self.turn(id, wake)).catch_unwind().await {
                Ok(Ok(())) => {}
                // The sweep starts it again.
                Ok(Err(error)) => {
                    tracing::warn!(webhook = %id, %error, "a webhook was not worked on; it is repeated");
                    return self.leave(id);
                }
                Err(_) => {
                    tracing::error!(webhook = %id, "working on a webhook panicked");
                    return self.leave(id);
                }
            }
            if !self.workers.has_place() {
                self.leave(id);
                break;
            }
            if self.core.shutdown.is_cancelled() || !self.workers.finish(id) {
                break;
            }
        }
        if let Ok(Some(queue)) = self.core.store.webhook_queue(id).await
            && let Some(due_at) = queue.due_at
        {
            self.alarm.at(due_at);
        }
    }

    /// Gives the place away, whatever came in the meantime.
    fn leave(&self, id: &WebhookId) {
        while self.workers.finish(id) {}
    }

    async fn turn(&self, id: &WebhookId, wake: &Notify) -> Result<()> {
        let (mut under_way, mut numbers) = (FuturesUnordered::new(), BTreeSet::new());
        let mut begun = 0;
        let mut failure = None;
        loop {
            if failure.is_none() && (begun < TURN || self.workers.has_place()) {
                match self.next(id, &numbers).await {
                    Ok(due) => {
                        for delivery in due {
                            begun += 1;
                            numbers.insert(delivery.sequence);
                            under_way.push(self.deliver(delivery));
                        }
                    }
                    // What is under way ends first.
                    Err(error) => failure = Some(error),
                }
            }
            tokio::select! {
                ended = under_way.next() => match ended {
                    Some(number) => numbers.remove(&number),
                    None => return failure.map_or(Ok(()), Err),
                },
                () = wake.notified(), if !numbers.is_empty() => continue,
            };
        }
    }

    /// What is to be tried now, beside what is under way. A deleted webhook is removed.
    async fn next(&self, id: &WebhookId, under_way: &BTreeSet<u64>) -> Result<Vec<Delivery>> {
        let Some(webhook) = self.core.store.webhook(id).await? else { return Ok(Vec::new()) };
        let now = self.core.clock.now();
        let paused = webhook.paused_until.is_some_and(|until| until > now);
        match webhook.state {
            WebhookState::Deleted if under_way.is_empty() => self.remove(id).await.map(|()| Vec::new()),
            WebhookState::Enabled if !paused && !self.core.shutdown.is_cancelled() => {
                let most = if webhook.failing_since.is_some() { 1 } else { limits::WEBHOOK_TRIES };
                let Some(free @ 1..) = most.checked_sub(under_way.len()) else { return Ok(Vec::new()) };
                let limit = u32::try_from(most + under_way.len()).unwrap_or(u32::MAX);
                let due = self.core.store.due_deliveries(id, now, limit).await?;
                let new = due.into_iter().filter(|delivery| !under_way.contains(&delivery.sequence));
                Ok(new.take(free).collect())
            }
            _ => Ok(Vec::new()),
        }
    }

    /// Tries a delivery once, in its turn, and records what came of it. Answers its number.
    async fn deliver(&self, delivery: Delivery) -> u64 {
        let number = delivery.sequence;
        let Ok(_place) = self.places.acquire().await else { return number };
        match self.try_once(&delivery).await {
            Ok(Some(outcome)) => self.record(&delivery.webhook_id, number, &outcome).await,
            // There is nothing to send any more, or nobody to send it to.
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(webhook = %delivery.webhook_id, %error, "a delivery was not tried; it is repeated");
                tokio::time::sleep(BACK_OFF.1).await;
            }
        }
        number
    }

    async fn try_once(&self, delivery: &Delivery) -> Result<Option<Outcome>> {
        // As it is now: the wait for the place may have been long.
        let webhook = self.core.store.webhook(&delivery.webhook_id).await?;
        let webhook = webhook.filter(|webhook| webhook.state == WebhookState::Enabled);
        match webhook.filter(|_| !self.core.shutdown.is_cancelled()) {
            Some(webhook) => attempt::make(&self.core, &webhook, delivery).await.map(Some),
            None => Ok(None),
        }
    }

    /// Writes what came of a try, however long the store takes: a try that is not recorded is made again.
    async fn record(&self, id: &WebhookId, number: u64, outcome: &Outcome) {
        let mut wait = BACK_OFF.0;
        loop {
            match self.try_record(id, number, outcome).await {
                Ok(()) | Err(StoreError::Missing(_)) => return,
                Err(StoreError::Conflict(_)) => {}
                Err(error) => {
                    tracing::warn!(webhook = %id, %error, "a try was not recorded; it is repeated");
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(BACK_OFF.1);
                }
            }
        }
    }

    async fn try_record(&self, id: &WebhookId, number: u64, outcome: &Outcome) -> Result<(), StoreError> {
        let store = self.core.store.as_ref();
        let (Some(mut webhook), Some(mut delivery)) =
            (store.webhook(id).await?, store.delivery(id, number).await?)
        else {
            return Ok(());
        };
        if delivery.state != DeliveryState::Pending || delivery.apply(outcome.delivery_command()).is_err() {
            return Ok(());
        }
        let mut commit = Commit::new().with(Write::UpdateDelivery(delivery));
        let mut changed = webhook.apply(outcome.webhook_command()).unwrap_or(false);
        let pending = store.webhook_queue(id).await?.map_or(0, |queue| queue.pending);
        if pending > limits::WEBHOOK_BACKLOG {
            changed |= webhook.apply(WebhookCommand::Overflow).unwrap_or(false);
        }
        if changed {
            if let Some(reason) = &webhook.disabled_reason {
                tracing::info!(webhook = %id, reason = reason.code, "a webhook was disabled");
            }
            commit = commit.with(Write::UpdateWebhook(webhook));
        }
        store.commit(commit).await
    }

    /// Removes a deleted webhook with all that was queued for it.
    async fn remove(&self, id: &WebhookId) -> Result<()> {
        let store = self.core.store.as_ref();
        let any = || DeliveryQuery { state: None, before: None, limit: 1 };
        while !store.deliveries(id, any()).await?.is_empty() {
            store.commit(Commit::new().with(Write::TrimWebhook(id.clone(), TRIM))).await?;
        }
        Ok(store.commit(Commit::new().with(Write::PurgeWebhook(id.clone()))).await?)
    }
}
