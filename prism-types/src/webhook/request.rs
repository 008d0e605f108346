//! Requests: create and update webhooks, send failed deliveries again.

use serde::{Deserialize, Serialize};

use super::WebhookEventType;
use crate::{DeploymentId, Patch, Timestamp, macros::setters};

/// The body of `POST /v1/webhooks`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct CreateWebhook {
    /// Where requests go: an `http` or `https` URL of a public address, at most 2,048 bytes, without a user name or
    /// password.
    #[cfg_attr(feature = "schema", schemars(url, length(max = 2048)))]
    pub url: String,
    /// What it is told, 1 to 20 different types; `*` is all of them.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 20), extend("uniqueItems" = true)))]
    pub events: Vec<WebhookEventType>,
    /// Tells it of this deployment only. Default: all of the tenant, also those that are yet to come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment_id: Option<DeploymentId>,
    /// What it is for, for people, 1 to 255 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 255), regex(pattern = r"^[^\u0000]*$")))]
    pub description: Option<String>,
    /// Whether it is told anything. Default: yes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
}

impl CreateWebhook {
    /// An enabled endpoint that is told these events of all deployments.
    pub fn new(
        url: impl Into<String>,
        events: impl IntoIterator<Item = impl Into<WebhookEventType>>,
    ) -> Self {
        Self {
            url: url.into(),
            events: events.into_iter().map(Into::into).collect(),
            deployment_id: None,
            description: None,
            enabled: None,
        }
    }
}

setters!(CreateWebhook {
    /// Tells it of this deployment only.
    deployment_id?: DeploymentId,
    /// Sets what it is for.
    description?: String,
    /// Sets whether it is told anything.
    enabled?: bool,
});

/// The body of `PATCH /v1/webhooks/{webhook_id}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct UpdateWebhook {
    /// Replaces the URL. What waits to be sent goes there.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "String", url, length(max = 2048)))]
    pub url: Option<String>,
    /// Replaces what it is told, 1 to 20 different types.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Vec<WebhookEventType>", length(min = 1, max = 20), extend("uniqueItems" = true)))]
    pub events: Option<Vec<WebhookEventType>>,
    /// Tells it of this deployment only; `null`: of all.
    #[serde(skip_serializing_if = "Patch::is_keep")]
    pub deployment_id: Patch<DeploymentId>,
    /// Replaces what it is for; `null` removes it.
    #[serde(skip_serializing_if = "Patch::is_keep")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 255), regex(pattern = r"^[^\u0000]*$")))]
    pub description: Patch<String>,
    /// Enables or disables it. Enabling it forgets that it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "bool"))]
    pub enabled: Option<bool>,
}

impl UpdateWebhook {
    /// A request that changes nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Replaces what it is told.
    #[must_use]
    pub fn events(mut self, events: impl IntoIterator<Item = impl Into<WebhookEventType>>) -> Self {
        self.events = Some(events.into_iter().map(Into::into).collect());
        self
    }
}

setters!(UpdateWebhook {
    /// Replaces the URL.
    url?: String,
    /// Tells it of this deployment only; [`Patch::Clear`]: of all.
    deployment_id: Patch<DeploymentId>,
    /// Replaces what it is for; [`Patch::Clear`] removes it.
    description: Patch<String>,
    /// Enables or disables it.
    enabled?: bool,
});

/// The body of `POST /v1/webhooks/{webhook_id}/redeliver`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct RedeliverWebhook {
    /// Sends again what failed and was queued at this instant or later.
    pub since: Timestamp,
}

impl RedeliverWebhook {
    /// Sends again what failed and was queued at this instant or later.
    pub fn new(since: Timestamp) -> Self {
        Self { since }
    }
}
