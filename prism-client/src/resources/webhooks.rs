//! Webhooks, and what became of their deliveries.

use prism_types::{
    CreateWebhook, Cursor, DeletedWebhook, Page, RedeliverWebhook, Redelivered, Timestamp, UpdateWebhook,
    Webhook, WebhookDelivery, WebhookDeliveryId, WebhookDeliveryStatus, WebhookId, WebhookWithSecret,
};
use reqwest::Method;

use crate::{
    Client,
    call::{Call, calls, keyed, paged, query_setters},
};

/// The webhooks of the tenant; from [`Client::webhooks`].
///
/// Cheap to clone; it sends nothing by itself. What a webhook is told is checked with
/// `webhooks::Verifier`.
#[derive(Debug, Clone)]
pub struct Webhooks {
    client: Client,
}

impl Webhooks {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    /// Creates a webhook. The answer has its secret, which cannot be had again.
    ///
    /// ```no_run
    /// use prism_client::types::{CreateWebhook, WebhookEventType};
    ///
    /// # async fn example(client: prism_client::Client) -> Result<(), prism_client::Error> {
    /// let events = [WebhookEventType::RunStatus, WebhookEventType::SteeringRequest];
    /// let created = client.webhooks().create(CreateWebhook::new("https://example.com/prism", events)).await?;
    /// println!("{} is signed with {}", created.webhook.webhook_id, created.secret.expose());
    /// # Ok(())
    /// # }
    /// ```
    pub fn create(&self, request: CreateWebhook) -> CreateWebhookCall {
        CreateWebhookCall { call: Call::new(&self.client, Method::POST, "/v1/webhooks", &[]).body(&request) }
    }

    /// Lists webhooks, newest first, a page at a time.
    pub fn list(&self) -> ListWebhooksCall {
        ListWebhooksCall { call: Call::new(&self.client, Method::GET, "/v1/webhooks", &[]) }
    }

    /// Reads a webhook.
    pub fn get(&self, id: &WebhookId) -> GetWebhookCall {
        GetWebhookCall {
            call: Call::new(&self.client, Method::GET, "/v1/webhooks/{webhook_id}", &[id.as_str()]),
        }
    }

    /// Changes a webhook.
    pub fn update(&self, id: &WebhookId, request: UpdateWebhook) -> UpdateWebhookCall {
        UpdateWebhookCall {
            call: Call::new(&self.client, Method::PATCH, "/v1/webhooks/{webhook_id}", &[id.as_str()])
                .body(&request),
        }
    }

    /// Deletes a webhook; what waits for it is dropped.
    pub fn delete(&self, id: &WebhookId) -> DeleteWebhookCall {
        DeleteWebhookCall {
            call: Call::new(&self.client, Method::DELETE, "/v1/webhooks/{webhook_id}", &[id.as_str()]),
        }
    }

    /// Makes a new secret, which the answer has. The one before signs for 24 hours as well: give the
    /// `webhooks::Verifier` both until then.
    pub fn rotate_secret(&self, id: &WebhookId) -> RotateWebhookSecretCall {
        let path = "/v1/webhooks/{webhook_id}/rotate-secret";
        RotateWebhookSecretCall { call: Call::new(&self.client, Method::POST, path, &[id.as_str()]) }
    }

    /// Sends a `ping` to a webhook.
    pub fn test(&self, id: &WebhookId) -> TestWebhookCall {
        TestWebhookCall {
            call: Call::new(&self.client, Method::POST, "/v1/webhooks/{webhook_id}/test", &[id.as_str()]),
        }
    }

    /// Lists the deliveries of a webhook, newest first, a page at a time.
    pub fn deliveries(&self, id: &WebhookId) -> ListWebhookDeliveriesCall {
        let path = "/v1/webhooks/{webhook_id}/deliveries";
        ListWebhookDeliveriesCall { call: Call::new(&self.client, Method::GET, path, &[id.as_str()]) }
    }

    /// Reads a delivery with its body. Its id is the header `webhook-id` of the request.
    pub fn delivery(&self, id: &WebhookId, delivery: &WebhookDeliveryId) -> GetWebhookDeliveryCall {
        let path = "/v1/webhooks/{webhook_id}/deliveries/{delivery_id}";
        GetWebhookDeliveryCall {
            call: Call::new(&self.client, Method::GET, path, &[id.as_str(), delivery.as_str()]),
        }
    }

    /// Sends a delivery again, whatever became of it, with the same id.
    pub fn redeliver(&self, id: &WebhookId, delivery: &WebhookDeliveryId) -> RedeliverWebhookDeliveryCall {
        let path = "/v1/webhooks/{webhook_id}/deliveries/{delivery_id}/redeliver";
        RedeliverWebhookDeliveryCall {
            call: Call::new(&self.client, Method::POST, path, &[id.as_str(), delivery.as_str()]),
        }
    }

    /// Sends again what failed and was queued at an instant or later, the newest first, at most 1,000: call again while
    /// there is `more`.
    pub fn redeliver_failed(&self, id: &WebhookId, since: Timestamp) -> RedeliverWebhookCall {
        let call =
            Call::new(&self.client, Method::POST, "/v1/webhooks/{webhook_id}/redeliver", &[id.as_str()]);
        RedeliverWebhookCall { call: call.body(&RedeliverWebhook::new(since)) }
    }
}

calls! {
    /// `POST /v1/webhooks`, from [`Webhooks::create`]. Needs the scope `webhooks:write`.
    CreateWebhookCall -> WebhookWithSecret;
    /// `GET /v1/webhooks`, from [`Webhooks::list`]. Needs the scope `webhooks:read`.
    ///
    /// A page may be empty and still not be the last: go on while it has a `next_cursor`.
    ListWebhooksCall -> Page<Webhook>;
    /// `GET /v1/webhooks/{webhook_id}`, from [`Webhooks::get`]. Needs the scope `webhooks:read`.
    GetWebhookCall -> Webhook;
    /// `PATCH /v1/webhooks/{webhook_id}`, from [`Webhooks::update`]. Needs the scope `webhooks:write`.
    UpdateWebhookCall -> Webhook;
    /// `DELETE /v1/webhooks/{webhook_id}`, from [`Webhooks::delete`]. Needs the scope `webhooks:write`.
    DeleteWebhookCall -> DeletedWebhook;
    /// `POST /v1/webhooks/{webhook_id}/rotate-secret`, from [`Webhooks::rotate_secret`]. Needs the scope
    /// `webhooks:write`.
    RotateWebhookSecretCall -> WebhookWithSecret;
    /// `POST /v1/webhooks/{webhook_id}/test`, from [`Webhooks::test`]. Needs the scope `webhooks:write`.
    TestWebhookCall -> WebhookDelivery;
    /// `GET /v1/webhooks/{webhook_id}/deliveries`, from [`Webhooks::deliveries`]. Needs the scope `webhooks:read`.
    ///
    /// A page may be empty and still not be the last: go on while it has a `next_cursor`.
    ListWebhookDeliveriesCall -> Page<WebhookDelivery>;
    /// `GET /v1/webhooks/{webhook_id}/deliveries/{delivery_id}`, from [`Webhooks::delivery`]. Needs the scope
    /// `webhooks:read`.
    GetWebhookDeliveryCall -> WebhookDelivery;
    /// `POST /v1/webhooks/{webhook_id}/deliveries/{delivery_id}/redeliver`, from [`Webhooks::redeliver`]. Needs the
    /// scope `webhooks:write`.
    RedeliverWebhookDeliveryCall -> WebhookDelivery;
    /// `POST /v1/webhooks/{webhook_id}/redeliver`, from [`Webhooks::redeliver_failed`]. Needs the scope
    /// `webhooks:write`.
    RedeliverWebhookCall -> Redelivered;
}

keyed!(
    CreateWebhookCall,
    RotateWebhookSecretCall,
    TestWebhookCall,
    RedeliverWebhookCall,
    RedeliverWebhookDeliveryCall
);

paged!(ListWebhooksCall -> Page of Webhook, ListWebhookDeliveriesCall -> Page of WebhookDelivery);

query_setters!(ListWebhooksCall {
    /// Sets how many to answer at most, 1 to 100. Default: 20.
    limit: u32,
    /// Goes on where the page before ended: at its `next_cursor`.
    cursor: Cursor,
});

query_setters!(ListWebhookDeliveriesCall {
    /// Lists only the deliveries in this status.
    status: WebhookDeliveryStatus,
    /// Sets how many to answer at most, 1 to 100. Default: 20.
    limit: u32,
    /// Goes on where the page before ended: at its `next_cursor`.
    cursor: Cursor,
});
