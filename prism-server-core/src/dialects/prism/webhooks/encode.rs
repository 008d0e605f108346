//! Webhooks and deliveries as the native API tells them.

use prism_types::{RawJson, Secret, Timestamp, Webhook, WebhookDelivery, WebhookWithSecret};

use crate::{
    domain::{
        self,
        event::event_id,
        webhook::{WebhookState, delivery::Delivery},
    },
    error::{Error, Result},
};

/// A webhook; a secret that does not sign any more is not spoken of.
pub(super) fn webhook(record: domain::webhook::Webhook, now: Timestamp) -> Webhook {
    let previous = record.previous_secret.map(|previous| previous.expires_at).filter(|end| *end > now);
    Webhook::new(record.id, record.url, record.events, record.created_at)
        .deployment_id(record.deployment_id)
        .description(record.description)
        .enabled(record.state == WebhookState::Enabled)
        .disabled_reason(record.disabled_reason)
        .failing_since(record.failing_since)
        .previous_secret_expires_at(previous)
}

pub(super) fn with_secret((record, secret): (domain::webhook::Webhook, Secret)) -> Result<WebhookWithSecret> {
    let secret = secret.expose().parse().map_err(Error::internal)?;
    // It was changed just now, so that the secret before signs.
    Ok(WebhookWithSecret::new(webhook(record, Timestamp::UNIX_EPOCH), secret))
}

pub(super) fn delivery(record: Delivery) -> Result<WebhookDelivery> {
    let id = record.id().parse().map_err(Error::internal)?;
    let event = record.event.map(|place| {
        let event = event_id(&place.deployment_id, place.sequence).parse().ok();
        (event, place.deployment_id)
    });
    let (event, deployment) = event.map_or((None, None), |(event, deployment)| (event, Some(deployment)));
    Ok(WebhookDelivery::new(id, record.webhook_id, record.kind, record.created_at)
        .event_id(event)
        .deployment_id(deployment)
        .status(record.state.status())
        .attempts(record.attempts)
        .next_attempt_at(record.next_at)
        .finished_at(record.finished_at))
}

pub(super) fn delivery_with_body(record: Delivery, body: &str) -> Result<WebhookDelivery> {
    let body = RawJson::parse(body).map_err(Error::internal)?;
    Ok(delivery(record)?.payload(Some(body)))
}
