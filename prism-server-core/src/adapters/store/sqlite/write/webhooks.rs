//! Webhooks, their queues and deliveries.

use prism_types::{Timestamp, WebhookEventType, WebhookId};
use rusqlite::{Connection, Row, params};

use super::{
    super::super::{News, storable},
    execute, failed, failure, insert, json, millis, number, update,
};
use crate::{
    domain::{
        event::LoggedEvent,
        limits,
        webhook::{
            self, Webhook,
            delivery::{Delivery, EventPlace},
        },
    },
    ports::{StoreError, StoreResult},
};

pub(super) fn insert_webhook(connection: &Connection, webhook: &Webhook) -> StoreResult<()> {
    let previous = webhook.previous_secret.as_ref();
    let inserted = insert(
        connection,
        "webhook",
        "INSERT INTO webhooks (id, tenant_id, url, events, deployment_id, description, state, disabled_reason,
             failing_since, paused_until, secret, previous_secret, previous_secret_expires_at, created_at, revision)
         SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15
         WHERE (SELECT count(*) FROM webhooks WHERE tenant_id = ?2 AND state <> 'deleted') < ?16",
        params![
            webhook.id.as_str(),
            webhook.tenant_id.as_str(),
            webhook.url,
            json(&webhook.events, "webhooks.events")?,
            webhook.deployment_id.as_ref().map(AsRef::<str>::as_ref),
            webhook.description,
            webhook.state.as_str(),
            failure(webhook.disabled_reason.as_ref(), "webhooks.disabled_reason")?,
            millis(webhook.failing_since),
            millis(webhook.paused_until),
            webhook.secret,
            previous.map(|previous| &previous.sealed),
            millis(previous.map(|previous| previous.expires_at)),
            webhook.created_at.as_millis(),
            storable(webhook.revision, "webhooks.revision")?,
            i64::try_from(limits::WEBHOOKS).unwrap_or(i64::MAX),
        ],
    )?;
    if !inserted {
        return Err(StoreError::Conflict("webhook"));
    }
    let queue = "INSERT INTO webhook_queues (webhook_id, last_sequence, pending) VALUES (?1, 0, 0)";
    insert(connection, "webhook", queue, params![webhook.id.as_str()]).map(|_| ())
}

pub(super) fn update_webhook(connection: &Connection, webhook: &Webhook) -> StoreResult<()> {
    let previous = webhook.previous_secret.as_ref();
    update(
        connection,
        "webhook",
        "UPDATE webhooks SET url = ?3, events = ?4, deployment_id = ?5, description = ?6, state = ?7,
             disabled_reason = ?8, failing_since = ?9, paused_until = ?10, secret = ?11, previous_secret = ?12,
             previous_secret_expires_at = ?13, revision = revision + 1
         WHERE id = ?1 AND revision = ?2",
        params![
            webhook.id.as_str(),
            storable(webhook.revision, "webhooks.revision")?,
            webhook.url,
            json(&webhook.events, "webhooks.events")?,
            webhook.deployment_id.as_ref().map(AsRef::<str>::as_ref),
            webhook.description,
            webhook.state.as_str(),
            failure(webhook.disabled_reason.as_ref(), "webhooks.disabled_reason")?,
            millis(webhook.failing_since),
            millis(webhook.paused_until),
            webhook.secret,
            previous.map(|previous| &previous.sealed),
            millis(previous.map(|previous| previous.expires_at)),
        ],
        ("SELECT 1 FROM webhooks WHERE id = ?1", webhook.id.as_str()),
    )?;
    schedule(connection, webhook.id.as_str(), 0)
}

/// Queues an event for every webhook that wants it.
pub(super) fn queue_event(connection: &Connection, logged: &LoggedEvent, news: &mut News) -> StoreResult<()> {
    let event = &logged.event;
    if !webhook::can_be_told(event) {
        return Ok(());
    }
    let wanting = wanting(connection, logged)?;
    if wanting.is_empty() {
        return Ok(());
    }
    let data = store_data(connection, &event.data, wanting.len())?;
    for webhook_id in wanting {
        let (sequence, at) = next_place(connection, &webhook_id, event.created_at)?;
        let place = EventPlace { deployment_id: event.deployment_id.clone(), sequence: logged.sequence };
        let delivery = Delivery::new(webhook_id, sequence, event.name.clone(), Some(place), at);
        insert_row(connection, &delivery, data)?;
        news.queued.push(delivery.webhook_id);
    }
    Ok(())
}

pub(super) fn insert_delivery(
    connection: &Connection,
    delivery: &Delivery,
    data: &str,
    news: &mut News,
) -> StoreResult<()> {
    let (sequence, _) = next_place(connection, &delivery.webhook_id, delivery.created_at)?;
    if sequence != delivery.sequence {
        return Err(StoreError::Conflict("delivery"));
    }
    insert_row(connection, delivery, store_data(connection, data, 1)?)?;
    news.queued.push(delivery.webhook_id.clone());
    Ok(())
}

pub(super) fn update_delivery(connection: &Connection, delivery: &Delivery) -> StoreResult<()> {
    let (webhook, sequence) = (delivery.webhook_id.as_str(), place(delivery.sequence));
    let was_pending = number(
        connection,
        "SELECT next_at IS NOT NULL FROM webhook_deliveries WHERE webhook_id = ?1 AND sequence = ?2",
        params![webhook, sequence],
    )?;
    let was_pending = was_pending.ok_or(StoreError::Missing("delivery"))?;
    let updated = execute(
        connection,
        "UPDATE webhook_deliveries SET state = ?4, tries = ?5, attempts = ?6, next_at = ?7, finished_at = ?8,
             revision = revision + 1
         WHERE webhook_id = ?1 AND sequence = ?2 AND revision = ?3",
        params![
            webhook,
            sequence,
            storable(delivery.revision, "webhook_deliveries.revision")?,
            delivery.state.as_str(),
            delivery.tries,
            attempts(delivery)?,
            millis(delivery.next_at),
            millis(delivery.finished_at),
        ],
    );
    if updated.map_err(|error| failed(&error))? == 0 {
        return Err(StoreError::Conflict("delivery"));
    }
    schedule(connection, webhook, i64::from(delivery.next_at.is_some()) - was_pending)
}

pub(super) fn expire(connection: &Connection, before: Timestamp, limit: u32) -> StoreResult<()> {
    let doomed: Vec<(String, i64)> = rows(
        connection,
        "SELECT webhook_id, sequence FROM webhook_deliveries WHERE finished_at IS NOT NULL AND finished_at < ?1
         ORDER BY finished_at, webhook_id, sequence LIMIT ?2",
        params![before.as_millis(), limit],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    doomed.iter().try_for_each(|(webhook, sequence)| remove(connection, webhook, *sequence))
}

pub(super) fn trim_webhook(connection: &Connection, id: &WebhookId, limit: i64) -> StoreResult<()> {
    let doomed: Vec<i64> = rows(
        connection,
        "SELECT sequence FROM webhook_deliveries WHERE webhook_id = ?1 ORDER BY sequence LIMIT ?2",
        params![id.as_str(), limit],
        |row| row.get(0),
    )?;
    doomed.iter().try_for_each(|sequence| remove(connection, id.as_str(), *sequence))?;
    schedule(connection, id.as_str(), 0)
}

pub(super) fn purge(connection: &Connection, id: &WebhookId) -> StoreResult<()> {
    trim_webhook(connection, id, -1)?;
    for sql in ["DELETE FROM webhook_queues WHERE webhook_id = ?1", "DELETE FROM webhooks WHERE id = ?1"] {
        execute(connection, sql, params![id.as_str()]).map_err(|error| failed(&error))?;
    }
    Ok(())
}

/// The webhooks that want an event, by id.
fn wanting(connection: &Connection, logged: &LoggedEvent) -> StoreResult<Vec<WebhookId>> {
    let enabled = rows(
        connection,
        "SELECT id, events, deployment_id FROM webhooks
         WHERE tenant_id = (SELECT tenant_id FROM deployments WHERE id = ?1
                            UNION ALL SELECT tenant_id FROM programs WHERE id = ?1)
             AND state = 'enabled' ORDER BY id",
        params![logged.event.deployment_id.as_str()],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
    )?;
    let mut wanting = Vec::new();
    for (id, events, deployment) in enabled {
        let (id, events, deployment): (String, String, Option<String>) = (id, events, deployment);
        let unreadable = || StoreError::Failed("webhooks holds a value that cannot be read".to_owned());
        let events: Vec<WebhookEventType> = serde_json::from_str(&events).map_err(|_| unreadable())?;
        let deployment =
            deployment.map(|deployment| deployment.parse()).transpose().map_err(|_| unreadable())?;
        if webhook::wants(&events, deployment.as_ref(), &logged.event) {
            wanting.push(id.parse().map_err(|_| unreadable())?);
        }
    }
    Ok(wanting)
}

/// Keeps what so many deliveries tell, and returns its number.
fn store_data(connection: &Connection, data: &str, deliveries: usize) -> StoreResult<i64> {
    let sql = "INSERT INTO webhook_data (data, deliveries) VALUES (?1, ?2)";
    insert(connection, "delivery", sql, params![data, i64::try_from(deliveries).unwrap_or(i64::MAX)])?;
    Ok(connection.last_insert_rowid())
}

/// The next number of a webhook's deliveries, which is taken with this, and when a delivery that is queued at an instant
/// counts as queued.
fn next_place(connection: &Connection, id: &WebhookId, at: Timestamp) -> StoreResult<(u64, Timestamp)> {
    let taken = rows(
        connection,
        "UPDATE webhook_queues SET last_sequence = last_sequence + 1, last_at = max(coalesce(last_at, ?2), ?2)
         WHERE webhook_id = ?1 RETURNING last_sequence, last_at",
        params![id.as_str(), at.as_millis()],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    let (sequence, at): (i64, i64) = taken.into_iter().next().ok_or(StoreError::Missing("webhook"))?;
    Ok((sequence.unsigned_abs(), Timestamp::from_millis(at)))
}

fn insert_row(connection: &Connection, delivery: &Delivery, data: i64) -> StoreResult<()> {
    let event = delivery.event.as_ref();
    let event_sequence = event.map(|event| storable(event.sequence, "webhook_deliveries.event_sequence"));
    insert(
        connection,
        "delivery",
        "INSERT INTO webhook_deliveries (webhook_id, sequence, kind, deployment_id, event_sequence, data_id, state,
             tries, attempts, next_at, created_at, finished_at, revision)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
        params![
            delivery.webhook_id.as_str(),
            storable(delivery.sequence, "webhook_deliveries.sequence")?,
            delivery.kind,
            event.map(|event| event.deployment_id.as_str()),
            event_sequence.transpose()?,
            data,
            delivery.state.as_str(),
            delivery.tries,
            attempts(delivery)?,
            millis(delivery.next_at),
            delivery.created_at.as_millis(),
            millis(delivery.finished_at),
            storable(delivery.revision, "webhook_deliveries.revision")?,
        ],
    )?;
    schedule(connection, delivery.webhook_id.as_str(), i64::from(delivery.next_at.is_some()))
}

fn attempts(delivery: &Delivery) -> StoreResult<Option<String>> {
    let attempts = (!delivery.attempts.is_empty()).then_some(&delivery.attempts);
    attempts.map(|attempts| json(attempts, "webhook_deliveries.attempts")).transpose()
}

/// Says when the next delivery of a webhook is due, and counts what is pending.
fn schedule(connection: &Connection, webhook: &str, more_pending: i64) -> StoreResult<()> {
    let scheduled = execute(
        connection,
        "UPDATE webhook_queues SET pending = pending + ?2, due_at = (
             SELECT max(
                 (SELECT min(next_at) FROM webhook_deliveries WHERE webhook_id = ?1 AND next_at IS NOT NULL),
                 coalesce(paused_until, -9223372036854775808)
             ) FROM webhooks WHERE id = ?1 AND state = 'enabled'
         ) WHERE webhook_id = ?1",
        params![webhook, more_pending],
    );
    scheduled.map(|_| ()).map_err(|error| failed(&error))
}

/// Removes a delivery, and its data with the last that tells it.
fn remove(connection: &Connection, webhook: &str, sequence: i64) -> StoreResult<()> {
    let removed = rows(
        connection,
        "DELETE FROM webhook_deliveries WHERE webhook_id = ?1 AND sequence = ?2 RETURNING data_id, next_at IS NOT NULL",
        params![webhook, sequence],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    for (data, pending) in removed {
        let (data, pending): (i64, bool) = (data, pending);
        for sql in [
            "UPDATE webhook_data SET deliveries = deliveries - 1 WHERE id = ?1",
            "DELETE FROM webhook_data WHERE id = ?1 AND deliveries = 0",
        ] {
            execute(connection, sql, params![data]).map_err(|error| failed(&error))?;
        }
        if pending {
            let sql = "UPDATE webhook_queues SET pending = pending - 1 WHERE webhook_id = ?1";
            execute(connection, sql, params![webhook]).map_err(|error| failed(&error))?;
        }
    }
    Ok(())
}

/// What a statement returns.
fn rows<T>(
    connection: &Connection,
    sql: &str,
    params: impl rusqlite::Params,
    read: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
) -> StoreResult<Vec<T>> {
    let rows = connection
        .prepare_cached(sql)
        .and_then(|mut statement| statement.query_map(params, |row| read(row))?.collect());
    rows.map_err(|error| failed(&error))
}

/// A number of a delivery as a parameter. Nothing has the greatest that can be stored.
fn place(sequence: u64) -> i64 {
    i64::try_from(sequence).unwrap_or(i64::MAX)
}
