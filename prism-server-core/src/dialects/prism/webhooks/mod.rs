//! `/v1/webhooks`

mod bodies;
mod encode;

use axum::{
    Json,
    extract::{Path, State},
};
use http::StatusCode;
use prism_types::{
    DeletedWebhook, Page, Redelivered, Webhook, WebhookDelivery, WebhookDeliveryStatus, WebhookId,
};

use super::{Call, Shared, error::Answer, path_id};
use crate::{
    domain::{
        idempotency::Reply,
        webhook::delivery::{Delivery, DeliveryState},
    },
    error::Result,
    http::{change::Change, cursor, query::Query},
    service::webhooks,
};

pub(super) async fn create(State(core): Shared, mut change: Change) -> Result<Reply, Answer> {
    let new = bodies::create(&change.json().await?)?;
    let created = change.carry_out(&core, |core, author| async move {
        let tell = |made| Reply::json(StatusCode::CREATED, &encode::with_secret(made)?);
        webhooks::create(&core, &author, new, tell).await
    });
    Ok(created.await?)
}

pub(super) async fn list(State(core): Shared, call: Call) -> Result<Json<Page<Webhook>>, Answer> {
    let mut query = Query::parse(call.request.uri().query());
    let page = query.page();
    query.finish()?;
    let listed = webhooks::list(&core, &call.principal, page).await?;
    let now = core.clock.now();
    let data = listed.items.into_iter().map(|webhook| encode::webhook(webhook, now)).collect();
    Ok(Json(Page::new(data, listed.next.as_ref().map(cursor::encode))))
}

pub(super) async fn get(
    State(core): Shared,
    Path(id): Path<String>,
    call: Call,
) -> Result<Json<Webhook>, Answer> {
    let webhook = webhooks::get(&core, &call.principal, &webhook_id(&id)?).await?;
    Ok(Json(encode::webhook(webhook, core.clock.now())))
}

pub(super) async fn update(
    State(core): Shared,
    Path(id): Path<String>,
    mut change: Change,
) -> Result<Json<Webhook>, Answer> {
    let id = webhook_id(&id)?;
    webhooks::get(&core, change.principal(), &id).await?;
    let update = bodies::update(&change.json().await?)?;
    let updated = change
        .carry_out(&core, |core, author| async move { webhooks::update(&core, &author, &id, update).await });
    Ok(Json(encode::webhook(updated.await?, core.clock.now())))
}

pub(super) async fn delete(
    State(core): Shared,
    Path(id): Path<String>,
    change: Change,
) -> Result<Json<DeletedWebhook>, Answer> {
    let id = webhook_id(&id)?;
    let deleted = change.carry_out(&core, |core, author| async move {
        webhooks::delete(&core, &author, &id).await?;
        Ok(id)
    });
    Ok(Json(DeletedWebhook::new(deleted.await?)))
}

pub(super) async fn rotate_secret(
    State(core): Shared,
    Path(id): Path<String>,
    change: Change,
) -> Result<Reply, Answer> {
    let id = webhook_id(&id)?;
    let rotated = change.carry_out(&core, |core, author| async move {
        let tell = |made| Reply::json(StatusCode::OK, &encode::with_secret(made)?);
        webhooks::rotate(&core, &author, &id, tell).await
    });
    Ok(rotated.await?)
}

pub(super) async fn test(
    State(core): Shared,
    Path(id): Path<String>,
    change: Change,
) -> Result<Reply, Answer> {
    let id = webhook_id(&id)?;
    let sent = change.carry_out(&core, |core, author| async move {
        webhooks::test(&core, &author, &id, tell_delivery).await
    });
    Ok(sent.await?)
}

pub(super) async fn deliveries(
    State(core): Shared,
    Path(id): Path<String>,
    call: Call,
) -> Result<Json<Page<WebhookDelivery>>, Answer> {
    let id = webhook_id(&id)?;
    let mut query = Query::parse(call.request.uri().query());
    let page = query.page();
    let state = query.read("status", |text| {
        DeliveryState::parse(text).ok_or_else(|| {
            let known: Vec<_> =
                WebhookDeliveryStatus::KNOWN.iter().map(|known| format!("`{known}`")).collect();
            format!("must be {}", known.join(" or "))
        })
    });
    query.finish()?;
    let listed = webhooks::deliveries(&core, &call.principal, &id, state, page).await?;
    let data = listed.items.into_iter().map(encode::delivery).collect::<Result<_>>()?;
    Ok(Json(Page::new(data, listed.next.as_ref().map(cursor::encode))))
}

pub(super) async fn get_delivery(
    State(core): Shared,
    Path((id, delivery)): Path<(String, String)>,
    call: Call,
) -> Result<Json<WebhookDelivery>, Answer> {
    let id = webhook_id(&id)?;
    webhooks::get(&core, &call.principal, &id).await?;
    let delivery = path_id(&delivery, "Delivery")?;
    let (delivery, body) = webhooks::delivery(&core, &call.principal, &id, &delivery).await?;
    Ok(Json(encode::delivery_with_body(delivery, &body)?))
}

pub(super) async fn redeliver(
    State(core): Shared,
    Path((id, delivery)): Path<(String, String)>,
    change: Change,
) -> Result<Reply, Answer> {
    let id = webhook_id(&id)?;
    webhooks::get(&core, change.principal(), &id).await?;
    let delivery = path_id(&delivery, "Delivery")?;
    let sent = change.carry_out(&core, |core, author| async move {
        webhooks::redeliver(&core, &author, &id, &delivery, tell_delivery).await
    });
    Ok(sent.await?)
}

pub(super) async fn redeliver_failed(
    State(core): Shared,
    Path(id): Path<String>,
    mut change: Change,
) -> Result<Reply, Answer> {
    let id = webhook_id(&id)?;
    webhooks::get(&core, change.principal(), &id).await?;
    let since = bodies::redeliver(&change.json().await?)?;
    let sent = change.carry_out(&core, move |core, author| async move {
        let tell = |(count, more)| {
            let count = u32::try_from(count).unwrap_or(u32::MAX);
            Reply::json(StatusCode::OK, &Redelivered::new(count, more))
        };
        webhooks::redeliver_failed(&core, &author, &id, since, tell).await
    });
    Ok(sent.await?)
}

fn tell_delivery(delivery: Delivery) -> Result<Reply> {
    Reply::json(StatusCode::OK, &encode::delivery(delivery)?)
}

fn webhook_id(text: &str) -> Result<WebhookId> {
    path_id(text, "Webhook")
}
