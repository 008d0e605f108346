//! Deliveries: what became of each message to a webhook.

use crate::{
    DeploymentId, EventId, RawJson, Timestamp, UnknownFields, WebhookDeliveryId, WebhookId, macros::setters,
    open_enum::open_enum, unknown_fields::answer,
};

open_enum! {
    /// What became of a message.
    pub enum WebhookDeliveryStatus {
        /// It was not taken yet: a try is due, under way or waited for.
        Pending = "pending",
        /// It was taken, with a status of 2xx.
        Delivered = "delivered",
        /// Every try failed; it is kept and can be sent again.
        Failed = "failed",
    }
}

answer! {
    /// A message to a webhook and what became of it.
    pub struct WebhookDelivery {
        /// Its id, which is the header `webhook-id` of every try.
        pub delivery_id: WebhookDeliveryId,
        /// The webhook that it is for.
        pub webhook_id: WebhookId,
        /// What it tells of, such as `run_status`, or `ping`.
        #[serde(rename = "type")]
        pub kind: String,
        /// The event that it tells of; absent on a `ping`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub event_id: Option<EventId>,
        /// The deployment of that event.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub deployment_id: Option<DeploymentId>,
        /// What became of it.
        pub status: WebhookDeliveryStatus,
        /// Its newest 20 tries, oldest first.
        pub attempts: Vec<WebhookAttempt>,
        /// When it is tried next, if its webhook is enabled; absent unless it is pending.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub next_attempt_at: Option<Timestamp>,
        /// When it was queued.
        pub created_at: Timestamp,
        /// When it was taken or given up; absent while it is pending.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub finished_at: Option<Timestamp>,
        /// The body of the request, as it is sent; absent in lists.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub payload: Option<RawJson>,
    }
}

impl WebhookDelivery {
    /// A message that was not tried yet.
    pub fn new(
        delivery_id: WebhookDeliveryId,
        webhook_id: WebhookId,
        kind: impl Into<String>,
        created_at: Timestamp,
    ) -> Self {
        Self {
            delivery_id,
            webhook_id,
            kind: kind.into(),
            event_id: None,
            deployment_id: None,
            status: WebhookDeliveryStatus::Pending,
            attempts: Vec::new(),
            next_attempt_at: None,
            created_at,
            finished_at: None,
            payload: None,
            unknown_fields: UnknownFields::default(),
        }
    }
}

setters!(WebhookDelivery {
    /// Sets the event that it tells of.
    event_id: Option<EventId>,
    /// Sets the deployment of that event.
    deployment_id: Option<DeploymentId>,
    /// Sets what became of it.
    status: WebhookDeliveryStatus,
    /// Replaces its tries.
    attempts[
        /// Adds a try.
        attempt
    ]: WebhookAttempt,
    /// Sets when it is tried next.
    next_attempt_at: Option<Timestamp>,
    /// Sets when it was taken or given up.
    finished_at: Option<Timestamp>,
    /// Sets the body of the request.
    payload: Option<RawJson>,
});

answer! {
    /// One try to deliver a message.
    pub struct WebhookAttempt {
        /// When it began.
        pub at: Timestamp,
        /// How long it took, in milliseconds.
        pub duration_ms: u64,
        /// The status of the answer; absent when there was none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub status: Option<u16>,
        /// Why it failed; absent when the message was taken.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub error: Option<String>,
    }
}

impl WebhookAttempt {
    /// A try without an answer.
    pub fn new(at: Timestamp, duration_ms: u64) -> Self {
        Self { at, duration_ms, status: None, error: None, unknown_fields: UnknownFields::default() }
    }
}

setters!(WebhookAttempt {
    /// Sets the status of the answer.
    status: Option<u16>,
    /// Sets why it failed.
    error: Option<String>,
});

answer! {
    /// The answer to a redelivery of all that failed.
    pub struct Redelivered {
        /// How many are sent again, at most 1,000.
        pub redelivered: u32,
        /// Whether there are more: call again.
        pub more: bool,
    }
}

impl Redelivered {
    /// So many are sent again.
    pub fn new(redelivered: u32, more: bool) -> Self {
        Self { redelivered, more, unknown_fields: UnknownFields::default() }
    }
}
