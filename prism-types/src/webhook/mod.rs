//! Webhooks: endpoints of a tenant that are told what happens, by signed requests.
//!
//! A request carries a [`WebhookMessage`] and is signed as the Standard Webhooks specification says. What became of
//! it is a [`WebhookDelivery`].

mod delivery;
mod message;
mod request;
mod secret;

use serde::{Deserialize, Deserializer, Serialize, de::Error};

use crate::{
    DeletedStatus, DeploymentId, Failure, Timestamp, UnknownFields, WebhookId, macros::setters,
    open_enum::open_enum, unknown_fields::answer,
};

pub use delivery::{Redelivered, WebhookAttempt, WebhookDelivery, WebhookDeliveryStatus};
pub use message::{WebhookContent, WebhookEvent, WebhookMessage, WebhookPing};
pub use request::{CreateWebhook, RedeliverWebhook, UpdateWebhook};
pub use secret::{InvalidWebhookSecret, WebhookSecret};

open_enum! {
    /// What a webhook can be told. Pieces of text (`token`) are not among it: follow the stream for those.
    pub enum WebhookEventType {
        /// All of the others.
        All = "*",
        /// The agent calls a tool.
        ToolCall = "tool_call",
        /// What the agent got back.
        ToolResult = "tool_result",
        /// The agent asks a human and waits.
        SteeringRequest = "steering_request",
        /// A run changed its status.
        RunStatus = "run_status",
        /// A file of the workspace changed.
        Filesystem = "filesystem",
    }
}

answer! {
    /// An endpoint of a tenant that is told what happens.
    pub struct Webhook {
        /// Its id.
        pub webhook_id: WebhookId,
        /// Where requests go.
        pub url: String,
        /// What it is told.
        pub events: Vec<WebhookEventType>,
        /// The only deployment that it is told of; absent: all of the tenant.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub deployment_id: Option<DeploymentId>,
        /// What it is for, for people.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub description: Option<String>,
        /// Whether it is told anything.
        pub enabled: bool,
        /// Why the server disabled it: `gone`, `failing` or `backlog`; absent otherwise.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub disabled_reason: Option<Failure>,
        /// Since when every try has failed; absent while tries succeed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub failing_since: Option<Timestamp>,
        /// Until when the secret before the last rotation signs as well; absent when there is none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub previous_secret_expires_at: Option<Timestamp>,
        /// When it was created.
        pub created_at: Timestamp,
    }
}

impl Webhook {
    /// An enabled endpoint for events of all deployments.
    pub fn new(
        webhook_id: WebhookId,
        url: impl Into<String>,
        events: impl IntoIterator<Item = WebhookEventType>,
        created_at: Timestamp,
    ) -> Self {
        Self {
            webhook_id,
            url: url.into(),
            events: events.into_iter().collect(),
            deployment_id: None,
            description: None,
            enabled: true,
            disabled_reason: None,
            failing_since: None,
            previous_secret_expires_at: None,
            created_at,
            unknown_fields: UnknownFields::default(),
        }
    }
}

setters!(Webhook {
    /// Sets the only deployment that it is told of.
    deployment_id: Option<DeploymentId>,
    /// Sets what it is for.
    description: Option<String>,
    /// Sets whether it is told anything.
    enabled: bool,
    /// Sets why the server disabled it.
    disabled_reason: Option<Failure>,
    /// Sets since when every try has failed.
    failing_since: Option<Timestamp>,
    /// Sets until when the secret before the last rotation signs as well.
    previous_secret_expires_at: Option<Timestamp>,
});

/// A webhook and its secret, which is told when it is made and never again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct WebhookWithSecret {
    /// The webhook.
    #[serde(flatten)]
    pub webhook: Webhook,
    /// The secret that signs its requests from now on. Keep it: it cannot be had again.
    pub secret: WebhookSecret,
}

impl WebhookWithSecret {
    /// A webhook whose secret was just made.
    pub fn new(webhook: Webhook, secret: WebhookSecret) -> Self {
        Self { webhook, secret }
    }

    /// The fields that this version does not know, as they came.
    pub fn unknown_fields(&self) -> &UnknownFields {
        self.webhook.unknown_fields()
    }
}

impl<'de> Deserialize<'de> for WebhookWithSecret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut webhook = Webhook::deserialize(deserializer)?;
        let secret = webhook.unknown_fields.take("secret")?;
        let secret = secret.ok_or_else(|| D::Error::missing_field("secret"))?;
        Ok(Self { webhook, secret })
    }
}

answer! {
    /// The answer to a delete.
    pub struct DeletedWebhook {
        /// The webhook that is gone.
        pub webhook_id: WebhookId,
        /// Always `deleted`.
        pub status: DeletedStatus,
    }
}

impl DeletedWebhook {
    /// This webhook was deleted.
    pub fn new(webhook_id: WebhookId) -> Self {
        Self { webhook_id, status: DeletedStatus::Deleted, unknown_fields: UnknownFields::default() }
    }
}
