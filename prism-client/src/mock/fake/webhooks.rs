//! Webhooks. Nothing is sent: a delivery ends at once, as the test has it.

use prism_types::{
    CreateWebhook, DeletedWebhook, DeploymentId, ErrorCode, Event, EventPayload, ListPage, Page, RawJson,
    RedeliverWebhook, Redelivered, Timestamp, UpdateWebhook, Webhook, WebhookAttempt, WebhookDelivery,
    WebhookDeliveryId, WebhookDeliveryStatus, WebhookEventType, WebhookId, WebhookMessage, WebhookSecret,
    WebhookWithSecret,
};

use super::{
    check,
    collection::{Collection, Item},
    state::{Fresh, State},
};
use crate::mock::{Answer, Refusal, Request, query::ListDeliveries};

const DAY: i64 = 24 * 60 * 60 * 1000;

/// A webhook and its deliveries.
pub(super) struct Hook {
    webhook: Webhook,
    deliveries: Collection<WebhookDelivery>,
}

impl Item for Hook {
    const NOUN: &'static str = "Webhook";

    fn id(&self) -> &str {
        self.webhook.webhook_id.as_str()
    }
}

impl State {
    pub(super) fn create_webhook(
        &mut self,
        _: &Request,
        request: CreateWebhook,
    ) -> Answer<WebhookWithSecret> {
        let CreateWebhook { url, events, deployment_id, description, enabled, .. } = request;
        check_events(&events)?;
        check::url("$.url", &url)?;
        if let Some(deployment) = &deployment_id {
            self.agents.get(deployment)?;
        }
        // What has happened before is not told.
        self.tell_webhooks();
        let id: WebhookId = self.fresh.id(WebhookId::PREFIX);
        let webhook = Webhook::new(id, url, events, self.fresh.now())
            .deployment_id(deployment_id)
            .description(description)
            .enabled(enabled.unwrap_or(true));
        self.webhooks.add(Hook { webhook: webhook.clone(), deliveries: Collection::default() });
        Ok(WebhookWithSecret::new(webhook, secret(&mut self.fresh)?).into())
    }

    pub(super) fn list_webhooks(&mut self, _: &Request, query: ListPage) -> Answer<Page<Webhook>> {
        let view = |hook: &Hook| hook.webhook.clone();
        Ok(self.webhooks.page(query.limit, query.cursor.as_ref(), |_| true, view)?.into())
    }

    pub(super) fn get_webhook(&mut self, _: &Request, id: WebhookId) -> Answer<Webhook> {
        Ok(self.webhooks.get(&id)?.webhook.clone().into())
    }

    pub(super) fn update_webhook(
        &mut self,
        _: &Request,
        id: WebhookId,
        request: UpdateWebhook,
    ) -> Answer<Webhook> {
        let UpdateWebhook { url, events, deployment_id, description, enabled, .. } = request;
        if let Some(events) = &events {
            check_events(events)?;
        }
        if let Some(url) = &url {
            check::url("$.url", url)?;
        }
        let webhook = &mut self.webhooks.get_mut(&id)?.webhook;
        webhook.url = url.unwrap_or_else(|| std::mem::take(&mut webhook.url));
        webhook.events = events.unwrap_or_else(|| std::mem::take(&mut webhook.events));
        webhook.deployment_id = deployment_id.apply(webhook.deployment_id.take());
        webhook.description = description.apply(webhook.description.take());
        webhook.enabled = enabled.unwrap_or(webhook.enabled);
        Ok(webhook.clone().into())
    }

    pub(super) fn delete_webhook(&mut self, _: &Request, id: WebhookId) -> Answer<DeletedWebhook> {
        self.webhooks.remove(&id)?;
        Ok(DeletedWebhook::new(id).into())
    }

    pub(super) fn rotate_webhook_secret(&mut self, _: &Request, id: WebhookId) -> Answer<WebhookWithSecret> {
        let until = Timestamp::from_millis(self.fresh.now().as_millis() + DAY);
        let webhook = &mut self.webhooks.get_mut(&id)?.webhook;
        webhook.previous_secret_expires_at = Some(until);
        Ok(WebhookWithSecret::new(webhook.clone(), secret(&mut self.fresh)?).into())
    }

    pub(super) fn test_webhook(&mut self, _: &Request, id: WebhookId) -> Answer<WebhookDelivery> {
        let (now, answers) = (self.fresh.now(), self.webhook_status);
        let hook = self.enabled(&id)?;
        let message = WebhookMessage::ping(id, now);
        Ok(hook.deliver(&message, now, answers).clone().payload(None).into())
    }

    pub(super) fn list_webhook_deliveries(
        &mut self,
        _: &Request,
        id: WebhookId,
        query: ListDeliveries,
    ) -> Answer<Page<WebhookDelivery>> {
        let deliveries = &self.webhooks.get(&id)?.deliveries;
        let matches = |delivery: &WebhookDelivery| {
            query.status.as_ref().is_none_or(|status| delivery.status == *status)
        };
        let view = |delivery: &WebhookDelivery| delivery.clone().payload(None);
        Ok(deliveries.page(query.limit, query.cursor.as_ref(), matches, view)?.into())
    }

    pub(super) fn get_webhook_delivery(
        &mut self,
        _: &Request,
        id: WebhookId,
        delivery: WebhookDeliveryId,
    ) -> Answer<WebhookDelivery> {
        Ok(self.webhooks.get(&id)?.deliveries.get(&delivery)?.clone().into())
    }

    pub(super) fn redeliver_webhook_delivery(
        &mut self,
        _: &Request,
        id: WebhookId,
        delivery: WebhookDeliveryId,
    ) -> Answer<WebhookDelivery> {
        let (now, answers) = (self.fresh.now(), self.webhook_status);
        self.webhooks.get(&id)?.deliveries.get(&delivery)?;
        let delivery = self.enabled(&id)?.deliveries.get_mut(&delivery)?;
        attempt(delivery, now, answers);
        Ok(delivery.clone().payload(None).into())
    }

    pub(super) fn redeliver_webhook(
        &mut self,
        _: &Request,
        id: WebhookId,
        request: RedeliverWebhook,
    ) -> Answer<Redelivered> {
        let (now, answers) = (self.fresh.now(), self.webhook_status);
        let hook = self.enabled(&id)?;
        let has_failed = |delivery: &&mut WebhookDelivery| {
            delivery.status == WebhookDeliveryStatus::Failed && delivery.created_at >= request.since
        };
        let mut sent = 0;
        for delivery in hook.deliveries.iter_mut().filter(has_failed) {
            attempt(delivery, now, answers);
            sent += 1;
        }
        Ok(Redelivered::new(sent, false).into())
    }

    /// Tells webhooks of what has happened since.
    pub(super) fn tell_webhooks(&mut self) {
        let (now, answers) = (self.fresh.now(), self.webhook_status);
        for agent in self.agents.iter_mut() {
            let id = agent.id();
            for event in &agent.log[agent.told..] {
                for hook in self.webhooks.iter_mut().filter(|hook| hook.wants(&id, event)) {
                    hook.deliver(&WebhookMessage::event(id.clone(), event.clone(), now), now, answers);
                }
            }
            agent.told = agent.log.len();
        }
    }

    fn enabled(&mut self, id: &WebhookId) -> Result<&mut Hook, Refusal> {
        let hook = self.webhooks.get_mut(id)?;
        if hook.webhook.enabled { Ok(hook) } else { Err(Refusal::conflict("The webhook is disabled")) }
    }
}

impl Hook {
    /// Whether it is told of an event.
    fn wants(&self, deployment: &DeploymentId, event: &Event) -> bool {
        let Webhook { events, deployment_id, enabled, .. } = &self.webhook;
        let is_token = matches!(event.payload, EventPayload::Token(_));
        let is_named =
            events.iter().any(|kind| *kind == WebhookEventType::All || kind.as_str() == event.payload.name());
        *enabled && !is_token && is_named && deployment_id.as_ref().is_none_or(|id| id == deployment)
    }

    fn deliver(&mut self, message: &WebhookMessage, now: Timestamp, answers: u16) -> &WebhookDelivery {
        let webhook = self.webhook.webhook_id.clone();
        let id =
            WebhookDeliveryId::from_suffix(&format!("{}_{}", webhook.suffix(), self.deliveries.len() + 1));
        let id = id.unwrap_or_else(|_| unreachable!("the suffix of an id and a number are an id"));
        let (deployment, event) = match &message.content {
            prism_types::WebhookContent::Event(told) => (Some(&told.deployment_id), Some(&told.event.id)),
            _ => (None, None),
        };
        let mut delivery = WebhookDelivery::new(id, webhook, message.kind.clone(), now)
            .event_id(event.cloned())
            .deployment_id(deployment.cloned())
            .payload(RawJson::of(message).ok());
        attempt(&mut delivery, now, answers);
        self.deliveries.add(delivery)
    }
}

/// Ends a delivery with one attempt, which gets this status.
fn attempt(delivery: &mut WebhookDelivery, now: Timestamp, answers: u16) {
    let is_taken = (200..300).contains(&answers);
    let error = (!is_taken).then(|| format!("the endpoint answered with status {answers}"));
    delivery.attempts.push(WebhookAttempt::new(now, 1).status(Some(answers)).error(error));
    delivery.status = match is_taken {
        true => WebhookDeliveryStatus::Delivered,
        false => WebhookDeliveryStatus::Failed,
    };
    delivery.finished_at = Some(now);
}

fn check_events(events: &[WebhookEventType]) -> Result<(), Refusal> {
    let mut names = events.iter().map(WebhookEventType::as_str);
    if events.is_empty() || !names.all(|name| WebhookEventType::KNOWN.contains(&name)) {
        let known = WebhookEventType::KNOWN.join("`, `");
        return Err(Refusal::invalid("$.events", format!("must have one or more of `{known}`")));
    }
    Ok(())
}

/// A secret of the right form, which signs nothing.
fn secret(fresh: &mut Fresh) -> Result<WebhookSecret, Refusal> {
    let secret = format!("whsec_{:A<43}=", fresh.number()).parse();
    secret.map_err(|_| Refusal::new(500, ErrorCode::ServerError, "The secret has not its form"))
}
