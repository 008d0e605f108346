//! Webhooks, their queues and deliveries in memory.

use std::sync::Arc;

use prism_types::{TenantId, Timestamp, WebhookId};

use super::{
    super::storable,
    state::{Change, State, current},
};
use crate::{
    domain::{
        event::LoggedEvent,
        limits,
        webhook::{
            self, Webhook, WebhookState,
            delivery::{Delivery, EventPlace},
        },
    },
    ports::{StoreError, StoreResult, WebhookQueue},
};

/// How far the numbers and times of a webhook's deliveries have come.
#[derive(Clone, Copy, Default)]
pub(super) struct Queue {
    last_sequence: u64,
    last_at: Option<Timestamp>,
}

/// A delivery and its data.
#[derive(Clone)]
pub(super) struct Queued {
    pub(super) delivery: Delivery,
    pub(super) data: Arc<str>,
}

impl State {
    pub(super) fn webhooks_of(&self, tenant: &TenantId) -> impl DoubleEndedIterator<Item = &Webhook> {
        let webhooks = self.webhooks.values();
        webhooks.filter(move |webhook| webhook.tenant_id == *tenant && webhook.state != WebhookState::Deleted)
    }

    pub(super) fn deliveries_of(&self, id: &WebhookId) -> impl DoubleEndedIterator<Item = &Delivery> {
        let range = (id.clone(), 0)..=(id.clone(), u64::MAX);
        self.deliveries.range(range).map(|(_, queued)| &queued.delivery)
    }

    pub(super) fn webhook_queue(&self, id: &WebhookId) -> Option<WebhookQueue> {
        let webhook = self.webhooks.get(id)?;
        let times = || self.deliveries_of(id).filter_map(|delivery| delivery.next_at);
        let enabled = webhook.state == WebhookState::Enabled;
        let earliest = times().min().filter(|_| enabled);
        let Queue { last_sequence, last_at } = self.queues.get(id).copied().unwrap_or_default();
        Some(WebhookQueue {
            webhook_id: id.clone(),
            last_sequence,
            last_at,
            pending: times().count() as u64,
            due_at: earliest.map(|earliest| webhook.paused_until.map_or(earliest, |end| end.max(earliest))),
        })
    }

    pub(super) fn due_queues(&self, after: Option<(Timestamp, &WebhookId)>, limit: u32) -> Vec<WebhookQueue> {
        let queues = self.webhooks.keys().filter_map(|id| self.webhook_queue(id));
        let place = |queue: &WebhookQueue| queue.due_at.map(|due| (due, queue.webhook_id.clone()));
        let after = after.map(|(at, id)| (at, id.clone()));
        let mut due: Vec<_> =
            queues.filter(|queue| place(queue).is_some_and(|place| Some(place) > after)).collect();
        due.sort_by_key(place);
        due.truncate(limit as usize);
        due
    }
}

impl Change<'_> {
    pub(super) fn insert_webhook(&mut self, webhook: Webhook) -> StoreResult<()> {
        storable(webhook.revision, "webhooks.revision")?;
        if self.state.webhooks_of(&webhook.tenant_id).count() >= limits::WEBHOOKS {
            return Err(StoreError::Conflict("webhook"));
        }
        let id = webhook.id.clone();
        self.insert("webhook", |state| &mut state.webhooks, id.clone(), webhook)?;
        self.put(|state| &mut state.queues, id, Queue::default());
        Ok(())
    }

    pub(super) fn update_webhook(&mut self, webhook: Webhook) -> StoreResult<()> {
        storable(webhook.revision, "webhooks.revision")?;
        let before = self.state.webhooks.get(&webhook.id);
        let before = current("webhook", before, webhook.revision, |webhook| webhook.revision)?;
        let webhook = Webhook {
            tenant_id: before.tenant_id.clone(),
            created_at: before.created_at,
            revision: webhook.revision + 1,
            ..webhook
        };
        self.put(|state| &mut state.webhooks, webhook.id.clone(), webhook);
        Ok(())
    }

    /// Queues an event for every webhook that wants it.
    pub(super) fn queue_event(&mut self, logged: &LoggedEvent) -> StoreResult<()> {
        let LoggedEvent { sequence, event } = logged;
        let Some(tenant) = self.state.owner(&event.deployment_id) else { return Ok(()) };
        let enabled = self.state.webhooks_of(tenant).filter(|webhook| webhook.state == WebhookState::Enabled);
        let wanting = enabled.filter(|w| webhook::wants(&w.events, w.deployment_id.as_ref(), event));
        let wanting: Vec<_> = wanting.map(|webhook| webhook.id.clone()).collect();
        let data: Arc<str> = event.data.as_str().into();
        for webhook_id in wanting {
            let place = EventPlace { deployment_id: event.deployment_id.clone(), sequence: *sequence };
            let queue = self.state.queues.get(&webhook_id).copied().unwrap_or_default();
            let at = queue.last_at.map_or(event.created_at, |last| last.max(event.created_at));
            let next = queue.last_sequence + 1;
            let delivery = Delivery::new(webhook_id, next, event.name.clone(), Some(place), at);
            self.insert_delivery(delivery, data.clone())?;
        }
        Ok(())
    }

    pub(super) fn insert_delivery(&mut self, delivery: Delivery, data: Arc<str>) -> StoreResult<()> {
        let (id, sequence) = (delivery.webhook_id.clone(), delivery.sequence);
        let queue = self.state.queues.get(&id).copied().ok_or(StoreError::Missing("webhook"))?;
        if sequence != queue.last_sequence + 1 {
            return Err(StoreError::Conflict("delivery"));
        }
        let last_at = queue.last_at.max(Some(delivery.created_at));
        self.put(|state| &mut state.queues, id.clone(), Queue { last_sequence: sequence, last_at });
        let queued = Queued { delivery, data };
        self.put(|state| &mut state.deliveries, (id.clone(), sequence), queued);
        self.news.queued.push(id);
        Ok(())
    }

    pub(super) fn update_delivery(&mut self, delivery: Delivery) -> StoreResult<()> {
        storable(delivery.revision, "webhook_deliveries.revision")?;
        let key = (delivery.webhook_id.clone(), delivery.sequence);
        let before = self.state.deliveries.get(&key);
        let before = current("delivery", before, delivery.revision, |queued| queued.delivery.revision)?;
        let queued = Queued {
            data: before.data.clone(),
            delivery: Delivery {
                kind: before.delivery.kind.clone(),
                event: before.delivery.event.clone(),
                created_at: before.delivery.created_at,
                revision: delivery.revision + 1,
                ..delivery
            },
        };
        self.put(|state| &mut state.deliveries, key, queued);
        Ok(())
    }

    pub(super) fn trim_webhook(&mut self, id: &WebhookId, limit: u32) {
        let oldest = self.state.deliveries_of(id).take(limit as usize);
        let keys: Vec<_> = oldest.map(|delivery| (id.clone(), delivery.sequence)).collect();
        for key in &keys {
            self.remove(|state| &mut state.deliveries, key);
        }
    }

    pub(super) fn purge_webhook(&mut self, id: &WebhookId) {
        self.remove_where(|state| &mut state.deliveries, |(owner, _), _| owner == id);
        self.remove(|state| &mut state.queues, id);
        self.remove(|state| &mut state.webhooks, id);
    }
}
