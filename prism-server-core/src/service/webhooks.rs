//! Webhooks: create, read, list, change, delete; new secrets; deliveries, and sending them again.

use prism_types::{
    DeploymentId, Patch, Problem, Secret, TenantId, Timestamp, WebhookDeliveryId, WebhookEventType, WebhookId,
};
use url::Url;

use super::{Attempt, Listed, Tell, author::Author, deployments, with_retries};
use crate::{
    core::Core,
    domain::{
        audit::Subject,
        idempotency::Reply,
        limits,
        tenant::Principal,
        webhook::{
            PING, Webhook, WebhookChange, WebhookCommand, WebhookState,
            delivery::{Delivery, DeliveryCommand, DeliveryState, sequence_of},
            signature,
        },
    },
    error::{Error, ErrorKind, Result},
    ids::NewId,
    ports::{Commit, DeliveryQuery, ListQuery, Reach, SecretBox, SecretBoxError, Write},
};

/// How many failed deliveries are read at once.
const PAGE: u32 = 200;

/// A webhook to create; every part was checked by itself.
#[derive(Debug, Clone)]
pub(crate) struct NewWebhook {
    pub(crate) url: String,
    pub(crate) events: Vec<WebhookEventType>,
    pub(crate) deployment_id: Option<DeploymentId>,
    pub(crate) description: Option<String>,
    pub(crate) enabled: bool,
}

/// Creates a webhook; it is told what happens from now on. The secret is told once.
pub(crate) async fn create(
    core: &Core,
    author: &Author,
    new: NewWebhook,
    tell: impl Tell<(Webhook, Secret)>,
) -> Result<Reply> {
    let tenant_id = &author.principal.tenant_id;
    require_public(core, &new.url)?;
    require_deployment(core, &author.principal, new.deployment_id.as_ref()).await?;
    let id = WebhookId::generate();
    let (secret, sealed) = new_secret(core, tenant_id, &id)?;
    let webhook = Webhook {
        id,
        tenant_id: tenant_id.clone(),
        url: new.url,
        events: new.events,
        deployment_id: new.deployment_id,
        description: new.description,
        state: if new.enabled { WebhookState::Enabled } else { WebhookState::Disabled },
        disabled_reason: None,
        failing_since: None,
        paused_until: None,
        secret: sealed,
        previous_secret: None,
        created_at: core.clock.now(),
        revision: 0,
    };
    require_room(core, tenant_id).await?;
    let reply = tell((webhook.clone(), secret))?;
    let commit = Commit::new()
        .with(author.entry(core, Subject::of_tenant(&webhook.id)))
        .with(Write::InsertWebhook(webhook))
        .with_all(author.kept(core, &reply)?);
    core.store.commit(commit).await?;
    Ok(reply)
}

/// A webhook of the caller's tenant.
pub(crate) async fn get(core: &Core, principal: &Principal, id: &WebhookId) -> Result<Webhook> {
    let webhook = core.store.webhook(id).await?;
    webhook
        .filter(|webhook| webhook.tenant_id == principal.tenant_id && webhook.state != WebhookState::Deleted)
        .ok_or_else(|| Error::not_found("Webhook"))
}

/// The webhooks of the caller's tenant, newest first.
pub(crate) async fn list(
    core: &Core,
    principal: &Principal,
    query: ListQuery<WebhookId>,
) -> Result<Listed<Webhook, WebhookId>> {
    let limit = query.limit;
    let one_more = ListQuery { limit: limit + 1, ..query };
    let items = core.store.webhooks(&principal.tenant_id, one_more).await?;
    Ok(Listed::from_one_more(items, limit, |webhook| webhook.id.clone()))
}

/// Changes a webhook.
pub(crate) async fn update(
    core: &Core,
    author: &Author,
    id: &WebhookId,
    change: WebhookChange,
) -> Result<Webhook> {
    let principal = &author.principal;
    get(core, principal, id).await?;
    if let Some(url) = &change.url {
        require_public(core, url)?;
    }
    if let Patch::Set(deployment) = &change.deployment_id {
        require_deployment(core, principal, Some(deployment)).await?;
    }
    let webhook = with_retries(|| async {
        let mut webhook = get(core, principal, id).await?;
        webhook.change(change.clone())?;
        let commit = Commit::new()
            .with(Write::UpdateWebhook(webhook.clone()))
            .with(author.entry(core, Subject::of_tenant(id)));
        core.store.commit(commit).await?;
        Ok::<_, Attempt>(webhook)
    })
    .await?;
    core.nudges.webhook(id.clone());
    Ok(webhook)
}

/// Deletes a webhook: from now on it is not found and told nothing; what waited for it is dropped.
pub(crate) async fn delete(core: &Core, author: &Author, id: &WebhookId) -> Result<()> {
    with_retries(|| async {
        let mut webhook = get(core, &author.principal, id).await?;
        webhook.apply(WebhookCommand::Delete)?;
        let commit = Commit::new()
            .with(Write::UpdateWebhook(webhook))
            .with(author.entry(core, Subject::of_tenant(id)));
        core.store.commit(commit).await?;
        Ok::<_, Attempt>(())
    })
    .await?;
    core.nudges.webhook(id.clone());
    Ok(())
}

/// Makes a new secret, which is told once. The one before signs for a day as well.
pub(crate) async fn rotate(
    core: &Core,
    author: &Author,
    id: &WebhookId,
    tell: impl Tell<(Webhook, Secret)>,
) -> Result<Reply> {
    let (secret, sealed) = new_secret(core, &author.principal.tenant_id, id)?;
    with_retries(|| async {
        let mut webhook = get(core, &author.principal, id).await?;
        webhook.rotate(sealed.clone(), core.clock.now());
        let reply = tell((webhook.clone(), secret.clone()))?;
        let commit = Commit::new()
            .with(Write::UpdateWebhook(webhook))
            .with(author.entry(core, Subject::of_tenant(id)))
            .with_all(author.kept(core, &reply)?);
        core.store.commit(commit).await?;
        Ok::<_, Attempt>(reply)
    })
    .await
}

/// Sends a message that only tests the webhook.
pub(crate) async fn test(
    core: &Core,
    author: &Author,
    id: &WebhookId,
    tell: impl Tell<Delivery>,
) -> Result<Reply> {
    let data = serde_json::json!({ "webhook_id": id }).to_string();
    with_retries(|| async {
        require_enabled(&get(core, &author.principal, id).await?)?;
        let queue = core.store.webhook_queue(id).await?.ok_or_else(|| Error::not_found("Webhook"))?;
        let (now, number) = (core.clock.now(), queue.last_sequence + 1);
        let at = queue.last_at.map_or(now, |last| last.max(now));
        let ping = Delivery::new(id.clone(), number, PING.to_owned(), None, at);
        let reply = tell(ping.clone())?;
        let commit = Commit::new()
            .with(author.entry(core, Subject::of_tenant(ping.id())))
            .with(Write::InsertDelivery(ping, data.clone()))
            .with_all(author.kept(core, &reply)?);
        core.store.commit(commit).await?;
        Ok::<_, Attempt>(reply)
    })
    .await
}

/// The deliveries of a webhook, newest first.
pub(crate) async fn deliveries(
    core: &Core,
    principal: &Principal,
    id: &WebhookId,
    state: Option<DeliveryState>,
    query: ListQuery<WebhookDeliveryId>,
) -> Result<Listed<Delivery, String>> {
    get(core, principal, id).await?;
    let before = match &query.before {
        Some(delivery) => Some(sequence_of(id, delivery).ok_or_else(foreign_cursor)?),
        None => None,
    };
    let items = core.store.deliveries(id, DeliveryQuery { state, before, limit: query.limit + 1 }).await?;
    Ok(Listed::from_one_more(items, query.limit, Delivery::id))
}

/// A delivery of a webhook and the body of its requests.
pub(crate) async fn delivery(
    core: &Core,
    principal: &Principal,
    id: &WebhookId,
    delivery_id: &WebhookDeliveryId,
) -> Result<(Delivery, String)> {
    get(core, principal, id).await?;
    let delivery = find(core, id, delivery_id).await?;
    let data = core.store.delivery_data(id, delivery.sequence).await?;
    let body = delivery.body(&data.ok_or_else(|| Error::not_found("Delivery"))?);
    Ok((delivery, body))
}

/// Sends a delivery again, whatever became of it, with the same id.
pub(crate) async fn redeliver(
    core: &Core,
    author: &Author,
    id: &WebhookId,
    delivery_id: &WebhookDeliveryId,
    tell: impl Tell<Delivery>,
) -> Result<Reply> {
    let reply = with_retries(|| async {
        require_enabled(&get(core, &author.principal, id).await?)?;
        let mut delivery = find(core, id, delivery_id).await?;
        delivery.apply(DeliveryCommand::Redeliver(core.clock.now()))?;
        let reply = tell(delivery.clone())?;
        let commit = Commit::new()
            .with(Write::UpdateDelivery(delivery))
            .with(author.entry(core, Subject::of_tenant(delivery_id)))
            .with_all(author.kept(core, &reply)?);
        core.store.commit(commit).await?;
        Ok::<_, Attempt>(reply)
    })
    .await?;
    core.nudges.webhook(id.clone());
    Ok(reply)
}

/// Sends again what failed and was queued at an instant or later, the newest first, at most 1,000. Tells how many, and
/// whether there are more.
pub(crate) async fn redeliver_failed(
    core: &Core,
    author: &Author,
    id: &WebhookId,
    since: Timestamp,
    tell: impl Tell<(usize, bool)>,
) -> Result<Reply> {
    let reply = with_retries(|| async {
        require_enabled(&get(core, &author.principal, id).await?)?;
        let now = core.clock.now();
        let mut failed = failed_since(core, id, since).await?;
        let more = failed.len() > limits::WEBHOOK_REDELIVERIES;
        failed.truncate(limits::WEBHOOK_REDELIVERIES);
        for delivery in &mut failed {
            delivery.apply(DeliveryCommand::Redeliver(now))?;
        }
        let reply = tell((failed.len(), more))?;
        let commit = Commit::new()
            .with_all(failed.into_iter().map(Write::UpdateDelivery))
            .with(author.entry(core, Subject::of_tenant(id)))
            .with_all(author.kept(core, &reply)?);
        core.store.commit(commit).await?;
        Ok::<_, Attempt>(reply)
    })
    .await?;
    core.nudges.webhook(id.clone());
    Ok(reply)
}

/// Opens a sealed secret of a webhook.
///
/// # Errors
/// When the master key is not the one that it was sealed with, or the record is damaged.
pub(crate) fn open_secret(
    secret_box: &dyn SecretBox,
    webhook: &Webhook,
    sealed: &[u8],
) -> Result<Secret, SecretBoxError> {
    secret_box.open(&context(&webhook.tenant_id, &webhook.id), sealed)
}

/// Failed deliveries since an instant, newest first, at most one more than are sent again at once.
async fn failed_since(core: &Core, id: &WebhookId, since: Timestamp) -> Result<Vec<Delivery>> {
    let mut failed: Vec<Delivery> = Vec::new();
    while failed.len() <= limits::WEBHOOK_REDELIVERIES {
        let before = failed.last().map(|delivery| delivery.sequence);
        let query = DeliveryQuery { state: Some(DeliveryState::Failed), before, limit: PAGE };
        let page = core.store.deliveries(id, query).await?;
        let is_last = page.len() < PAGE as usize || page.iter().any(|delivery| delivery.created_at < since);
        failed.extend(page.into_iter().take_while(|delivery| delivery.created_at >= since));
        if is_last {
            break;
        }
    }
    Ok(failed)
}

async fn find(core: &Core, id: &WebhookId, delivery_id: &WebhookDeliveryId) -> Result<Delivery> {
    let not_found = || Error::not_found("Delivery");
    let sequence = sequence_of(id, delivery_id).ok_or_else(not_found)?;
    core.store.delivery(id, sequence).await?.ok_or_else(not_found)
}

/// A new secret, and the same sealed.
fn new_secret(core: &Core, tenant_id: &TenantId, id: &WebhookId) -> Result<(Secret, Vec<u8>)> {
    let mut key = [0_u8; signature::KEY_BYTES];
    getrandom::fill(&mut key).map_err(Error::internal)?;
    let secret = signature::secret(&key);
    let sealed = core.secret_box.seal(&context(tenant_id, id), &secret).map_err(Error::internal)?;
    Ok((secret, sealed))
}

/// What a sealed secret is bound to: it cannot be moved to another webhook.
fn context(tenant_id: &TenantId, id: &WebhookId) -> Vec<u8> {
    format!("webhook\0{tenant_id}\0{id}").into_bytes()
}

/// Refuses URLs that no request could go to. A name is looked up when a request is made.
fn require_public(core: &Core, url: &str) -> Result<()> {
    let allowed = Url::parse(url).is_ok_and(|url| core.egress.check(Reach::Public, &url).is_ok());
    if allowed {
        return Ok(());
    }
    let message = "must lead to a public address, on port 80, 443, 8080 or 8443";
    Err(Error::invalid(vec![Problem::new("$.url", message)]))
}

async fn require_deployment(core: &Core, principal: &Principal, id: Option<&DeploymentId>) -> Result<()> {
    if let Some(id) = id {
        deployments::get(core, principal, id).await?;
    }
    Ok(())
}

/// Refuses one webhook more than a tenant can have. Of several at once that all find room, the store refuses what is too
/// much.
async fn require_room(core: &Core, tenant_id: &TenantId) -> Result<()> {
    let most = u32::try_from(limits::WEBHOOKS).unwrap_or(u32::MAX);
    let webhooks = core.store.webhooks(tenant_id, ListQuery { before: None, limit: most }).await?;
    if webhooks.len() < limits::WEBHOOKS {
        return Ok(());
    }
    let message =
        format!("The tenant has {} webhooks, which is the most. Delete one first.", limits::WEBHOOKS);
    Err(Error::new(ErrorKind::Conflict, message))
}

fn require_enabled(webhook: &Webhook) -> Result<()> {
    if webhook.state == WebhookState::Enabled {
        return Ok(());
    }
    let message = "The webhook is disabled. Enable it first: PATCH it with `\"enabled\": true`.";
    Err(Error::new(ErrorKind::Conflict, message))
}

fn foreign_cursor() -> Error {
    let message = "must be the `next_cursor` of a page of this list";
    Error::invalid(vec![Problem::new("query.cursor", message)])
}
