//! Properties of webhooks, their queues and deliveries.

use std::sync::Arc;

use prism_types::{DeploymentId, Failure, TenantId, Timestamp, WebhookAttempt, WebhookId};

use super::{
    Recorder, commit, is_conflict, is_missing,
    records::{at, deployment, event, id, ping, webhook},
};
use crate::{
    domain::{
        event::NewEvent,
        limits,
        webhook::{
            PreviousSecret, Webhook, WebhookState,
            delivery::{Delivery, DeliveryState, EventPlace},
        },
    },
    ports::{DeliveryQuery, Expiring, ListQuery, Store, WebhookQueue, Write},
};

/// Webhooks are guarded by revisions, listed without deleted ones, and limited in number.
pub async fn webhooks_are_guarded_and_limited(store: Arc<dyn Store>) {
    let store = store.as_ref();
    let first = webhook(1, 1);
    commit(store, [first.clone(), webhook(2, 2)].map(Write::InsertWebhook)).await.unwrap();
    assert_eq!(store.webhook(&first.id).await.unwrap(), Some(first.clone()));
    assert_eq!(store.webhook(&id("whe_", 9)).await.unwrap(), None);
    is_conflict(commit(store, [Write::InsertWebhook(webhook(1, 2))]).await, "webhook");

    let changed = Webhook {
        tenant_id: id("ten_", 2),
        url: "https://example.com/other".to_owned(),
        deployment_id: Some(id("dep_", 7)),
        description: Some("For tests".to_owned()),
        state: WebhookState::Disabled,
        disabled_reason: Some(Failure::new("gone", "It is gone.")),
        failing_since: Some(at(2)),
        paused_until: Some(at(3)),
        secret: vec![9, 0],
        previous_secret: Some(PreviousSecret { sealed: vec![8], expires_at: at(4) }),
        created_at: at(99),
        ..first
    };
    commit(store, [Write::UpdateWebhook(changed.clone())]).await.unwrap();
    let kept = Webhook { tenant_id: id("ten_", 1), created_at: at(1), revision: 1, ..changed.clone() };
    assert_eq!(store.webhook(&kept.id).await.unwrap(), Some(kept.clone()));
    is_conflict(commit(store, [Write::UpdateWebhook(changed)]).await, "webhook");
    is_missing(commit(store, [Write::UpdateWebhook(webhook(1, 9))]).await, "webhook");

    let more = (3..52).map(|number| Write::InsertWebhook(webhook(1, number)));
    commit(store, more).await.unwrap();
    let tenant: TenantId = id("ten_", 1);
    let page = |before, limit| store.webhooks(&tenant, ListQuery { before, limit });
    assert_eq!(page(None, 99).await.unwrap().len(), limits::WEBHOOKS);
    assert_eq!(page(None, 1).await.unwrap(), [webhook(1, 51)]);
    assert_eq!(page(Some(id("whe_", 3)), 9).await.unwrap(), std::slice::from_ref(&kept));
    is_conflict(commit(store, [Write::InsertWebhook(webhook(1, 52))]).await, "webhook");
    let deleted = Webhook { state: WebhookState::Deleted, ..kept };
    commit(store, [Write::UpdateWebhook(deleted.clone())]).await.unwrap();
    let deleted = Webhook { revision: 2, ..deleted };
    assert_eq!(store.deleted_webhooks(9).await.unwrap(), std::slice::from_ref(&deleted));
    assert_eq!(store.webhook(&deleted.id).await.unwrap(), Some(deleted.clone()));
    commit(store, [Write::InsertWebhook(webhook(1, 52))]).await.unwrap();
    commit(store, [Write::PurgeWebhook(deleted.id.clone()), Write::PurgeWebhook(deleted.id.clone())])
        .await
        .unwrap();
    assert_eq!(store.webhook(&deleted.id).await.unwrap(), None);
    assert_eq!(store.webhook_queue(&deleted.id).await.unwrap(), None);
}

/// An event is queued, in its commit, for the enabled webhooks of its tenant that want it, and for no others.
pub async fn events_are_queued_for_those_who_want_them(store: Arc<dyn Store>) {
    let store = store.as_ref();
    let recorder = Recorder::of(store);
    let status = |number| NewEvent { name: "run_status".to_owned(), ..event(number, "{}") };
    commit(store, [deployment(1, 1), deployment(1, 2), deployment(2, 3)].map(Write::InsertDeployment))
        .await
        .unwrap();
    commit(store, [Write::Append(status(1))]).await.unwrap();
    let all = webhook(1, 1);
    let one = Webhook { deployment_id: Some(id("dep_", 2)), ..webhook(1, 2) };
    let narrow = Webhook { events: vec!["filesystem".into()], ..webhook(1, 3) };
    let disabled = Webhook { state: WebhookState::Disabled, ..webhook(1, 4) };
    let foreign = webhook(2, 5);
    let webhooks = [all, one, narrow, disabled, foreign].map(Write::InsertWebhook);
    commit(store, webhooks).await.unwrap();
    commit(store, [Write::Append(event(1, "a token")), Write::Append(status(1)), Write::Append(status(2))])
        .await
        .unwrap();
    let queued = |number: u32| async move {
        let webhook: WebhookId = id("whe_", number);
        let all = DeliveryQuery { state: None, before: None, limit: 99 };
        let events = store.deliveries(&webhook, all).await.unwrap().into_iter();
        let place = |delivery: Delivery| (delivery.sequence, delivery.event.unwrap());
        events.map(place).collect::<Vec<_>>()
    };
    let place = |number: u32, sequence| EventPlace { deployment_id: id("dep_", number), sequence };
    assert_eq!(
        queued(1).await,
        [(2, place(2, 1)), (1, place(1, 3))],
        "not what happened before it was there"
    );
    assert_eq!(queued(2).await, [(1, place(2, 1))]);
    for number in 3..=5 {
        assert_eq!(queued(number).await, [], "{number}");
    }
    assert_eq!(recorder.queued(), [1, 1, 2].map(|number| id::<WebhookId>("whe_", number)));

    // A refused commit queues nothing and takes no number.
    let refused = [Write::Append(status(1)), Write::UpdateWebhook(webhook(1, 9))];
    is_missing(commit(store, refused).await, "webhook");
    commit(store, [Write::Append(status(1))]).await.unwrap();
    assert_eq!(queued(1).await[0], (3, place(1, 4)));
    assert_eq!(recorder.queued().len(), 4);
}

/// What is queued outlives its deployment, and goes with its webhook.
pub async fn deliveries_outlive_their_deployment(store: Arc<dyn Store>) {
    let store = store.as_ref();
    let told = NewEvent { name: "run_status".to_owned(), ..event(1, "{\"a\":1}") };
    let webhooks = [webhook(1, 1), webhook(1, 2)].map(Write::InsertWebhook);
    let writes = [Write::InsertDeployment(deployment(1, 1))].into_iter().chain(webhooks);
    commit(store, writes.chain([Write::Append(told)])).await.unwrap();
    commit(store, [Write::PurgeDeployment(id("dep_", 1))]).await.unwrap();
    let data = |number| async move { store.delivery_data(&id("whe_", number), 1).await.unwrap() };
    for number in 1..=2 {
        assert_eq!(data(number).await.as_deref(), Some("{\"a\":1}"));
        let delivery = store.delivery(&id("whe_", number), 1).await.unwrap().unwrap();
        let event = EventPlace { deployment_id: id::<DeploymentId>("dep_", 1), sequence: 1 };
        assert_eq!((delivery.kind.as_str(), delivery.event), ("run_status", Some(event)));
    }
    commit(store, [Write::PurgeWebhook(id("whe_", 1))]).await.unwrap();
    assert_eq!(store.delivery(&id("whe_", 1), 1).await.unwrap(), None);
    assert_eq!((data(1).await, data(2).await.as_deref()), (None, Some("{\"a\":1}")));
    is_missing(commit(store, [ping(1, 1, 5)]).await, "webhook");
}

/// Deliveries are numbered per webhook, guarded by revisions, and say when the next is due.
pub async fn deliveries_are_due_in_order(store: Arc<dyn Store>) {
    let store = store.as_ref();
    let one: WebhookId = id("whe_", 1);
    let queue = || async { store.webhook_queue(&id("whe_", 1)).await.unwrap().unwrap() };
    let waits = |pending, due_at| WebhookQueue {
        webhook_id: id("whe_", 1),
        last_sequence: 3,
        last_at: Some(at(60)),
        pending,
        due_at,
    };
    let writes = [Write::InsertDeployment(deployment(1, 1)), Write::InsertWebhook(webhook(1, 1))];
    commit(store, writes).await.unwrap();
    assert_eq!(queue().await, WebhookQueue { last_sequence: 0, last_at: None, ..waits(0, None) });
    // The clock of whoever queues may go back; the times of the queue do not.
    let told =
        |seconds| NewEvent { name: "filesystem".to_owned(), created_at: at(seconds), ..event(1, "{}") };
    commit(store, [ping(1, 1, 50), Write::Append(told(40)), Write::Append(told(60))]).await.unwrap();
    for number in [0, 3, 5] {
        is_conflict(commit(store, [ping(1, number, 70)]).await, "delivery");
    }
    commit(store, [Write::InsertWebhook(webhook(2, 2)), ping(2, 1, 10)]).await.unwrap();
    let due = |now, limit| async move { store.due_deliveries(&id("whe_", 1), now, limit).await.unwrap() };
    let numbers = |due: &[Delivery]| due.iter().map(|delivery| delivery.sequence).collect::<Vec<_>>();
    assert_eq!(numbers(&due(at(50), 9).await), [1, 2]);
    assert_eq!(numbers(&due(at(60), 9).await), [1, 2, 3]);
    assert_eq!(numbers(&due(at(60), 2).await), [1, 2]);
    assert_eq!(numbers(&due(at(49), 9).await), [] as [u64; 0]);
    assert_eq!(queue().await, waits(3, Some(at(50))));

    let mut first = store.delivery(&one, 1).await.unwrap().unwrap();
    assert_eq!(first, Delivery::new(one.clone(), 1, "ping".to_owned(), None, at(50)));
    let attempt = WebhookAttempt::new(at(51), 7).status(Some(500)).error(Some("no".to_owned()));
    (first.tries, first.attempts, first.next_at) = (1, vec![attempt], Some(at(90)));
    let careless = Delivery { kind: "other".to_owned(), created_at: at(1), ..first.clone() };
    commit(store, [Write::UpdateDelivery(careless.clone())]).await.unwrap();
    first.revision = 1;
    assert_eq!(store.delivery(&one, 1).await.unwrap(), Some(first.clone()));
    is_conflict(commit(store, [Write::UpdateDelivery(careless.clone())]).await, "delivery");
    is_missing(
        commit(store, [Write::UpdateDelivery(Delivery { sequence: 9, ..careless })]).await,
        "delivery",
    );
    assert_eq!(numbers(&due(at(90), 9).await), [2, 3, 1]);

    let mut second = store.delivery(&one, 2).await.unwrap().unwrap();
    (second.state, second.next_at, second.finished_at) = (DeliveryState::Delivered, None, Some(at(61)));
    commit(store, [Write::UpdateDelivery(second)]).await.unwrap();
    assert_eq!(queue().await, waits(2, Some(at(60))));
    let paused = Webhook { paused_until: Some(at(70)), ..webhook(1, 1) };
    commit(store, [Write::UpdateWebhook(paused.clone())]).await.unwrap();
    assert_eq!(queue().await, waits(2, Some(at(70))));
    let two = WebhookQueue {
        webhook_id: id("whe_", 2),
        last_sequence: 1,
        last_at: Some(at(10)),
        pending: 1,
        due_at: Some(at(10)),
    };
    let all = store.due_queues(None, 9).await.unwrap();
    assert_eq!(all, [two.clone(), waits(2, Some(at(70)))]);
    assert_eq!(store.due_queues(Some((at(10), &two.webhook_id)), 9).await.unwrap(), all[1..]);
    assert_eq!(store.due_queues(None, 1).await.unwrap(), all[..1]);
    let disabled = Webhook { state: WebhookState::Disabled, revision: 1, ..paused };
    commit(store, [Write::UpdateWebhook(disabled.clone())]).await.unwrap();
    assert_eq!(queue().await, waits(2, None));
    assert_eq!(store.due_queues(None, 9).await.unwrap(), [two]);
    let enabled = Webhook { state: WebhookState::Enabled, paused_until: None, revision: 2, ..disabled };
    commit(store, [Write::UpdateWebhook(enabled)]).await.unwrap();
    assert_eq!(queue().await, waits(2, Some(at(60))));
}

/// Deliveries are listed by state, and those that were over long ago are removed, oldest first.
pub async fn old_deliveries_are_removed(store: Arc<dyn Store>) {
    let store = store.as_ref();
    let one: WebhookId = id("whe_", 1);
    commit(store, [Write::InsertWebhook(webhook(1, 1))]).await.unwrap();
    commit(store, (1..=6).map(|number| ping(1, number, 1))).await.unwrap();
    let old = |before| async move { store.has_before(Expiring::Deliveries, before).await.unwrap() };
    assert!(!old(at(99)).await, "what is pending is not old");
    let finish = |sequence: u64, state, finished_at: Timestamp| {
        let delivery = Delivery::new(id("whe_", 1), sequence, String::new(), None, at(1));
        let delivery = Delivery { state, next_at: None, finished_at: Some(finished_at), ..delivery };
        Write::UpdateDelivery(delivery)
    };
    let (taken, failed) = (DeliveryState::Delivered, DeliveryState::Failed);
    let over = [
        finish(1, taken, at(30)),
        finish(2, failed, at(20)),
        finish(4, failed, at(10)),
        finish(5, taken, at(40)),
    ];
    commit(store, over).await.unwrap();
    let list = |state, before, limit| {
        let one = one.clone();
        async move {
            let page = store.deliveries(&one, DeliveryQuery { state, before, limit }).await.unwrap();
            page.into_iter().map(|delivery| delivery.sequence).collect::<Vec<_>>()
        }
    };
    assert_eq!(list(None, None, 9).await, [6, 5, 4, 3, 2, 1]);
    assert_eq!(list(None, Some(5), 2).await, [4, 3]);
    assert_eq!(list(Some(failed), None, 9).await, [4, 2]);
    assert_eq!(list(Some(failed), Some(4), 9).await, [2]);
    assert_eq!(list(Some(DeliveryState::Pending), None, 1).await, [6]);

    assert!(!old(at(10)).await && old(at(11)).await);
    let expire = |before, count| commit(store, [Write::Expire(Expiring::Deliveries, before, count)]);
    expire(at(30), 1).await.unwrap();
    assert_eq!(list(None, None, 9).await, [6, 5, 3, 2, 1]);
    expire(at(30), 9).await.unwrap();
    assert_eq!(list(None, None, 9).await, [6, 5, 3, 1]);
    assert!(!old(at(30)).await && old(at(31)).await);
    commit(store, [Write::TrimWebhook(one.clone(), 2)]).await.unwrap();
    assert_eq!(list(None, None, 9).await, [6, 5]);
    assert_eq!(store.webhook_queue(&one).await.unwrap().unwrap().pending, 1);
    commit(store, [ping(1, 7, 70)]).await.unwrap();
    assert_eq!(list(None, None, 1).await, [7], "a number is never used again");
}
