//! `prism webhooks`.

use clap::{Subcommand, builder::PossibleValuesParser};
use prism_client::types::{
    CreateWebhook, DeploymentId, Patch, Timestamp, UpdateWebhook, Webhook, WebhookAttempt, WebhookDelivery,
    WebhookDeliveryId, WebhookDeliveryStatus, WebhookEventType, WebhookId, WebhookWithSecret,
};

use super::{Listing, Server};
use crate::{
    failure::Failure,
    output::{Output, or_dash, record, table},
};

/// Have a server of yours told what agents do, and see what became of it.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Create a webhook and print its secret, which is shown once.
    Create {
        /// Where requests go: an http or https URL of a public address.
        url: String,
        /// What it is told; can be given several times.
        #[arg(long = "event", value_name = "TYPE", default_value = "*", value_parser = event_types())]
        events: Vec<String>,
        /// Tell it of this deployment only.
        #[arg(long, value_name = "DEPLOYMENT_ID")]
        deployment: Option<DeploymentId>,
        /// What it is for, at most 255 characters.
        #[arg(long, value_name = "TEXT")]
        description: Option<String>,
        #[command(flatten)]
        server: Server,
        #[command(flatten)]
        output: Output,
    },
    /// List webhooks, newest first.
    List {
        #[command(flatten)]
        listing: Listing,
        #[command(flatten)]
        server: Server,
        #[command(flatten)]
        output: Output,
    },
    /// Show a webhook.
    Get(One),
    /// Change a webhook.
    Update {
        /// The webhook, such as whe_Zz9.
        id: WebhookId,
        /// Where requests go from now on.
        #[arg(long, value_name = "URL")]
        url: Option<String>,
        /// What it is told from now on; can be given several times.
        #[arg(long = "event", value_name = "TYPE", value_parser = event_types())]
        events: Vec<String>,
        /// Tell it of this deployment only.
        #[arg(long, value_name = "DEPLOYMENT_ID")]
        deployment: Option<DeploymentId>,
        /// Tell it of all deployments.
        #[arg(long, conflicts_with = "deployment")]
        all_deployments: bool,
        /// What it is for; an empty text removes it.
        #[arg(long, value_name = "TEXT")]
        description: Option<String>,
        /// Enable it; what waits for it is sent.
        #[arg(long)]
        enable: bool,
        /// Disable it; nothing is sent.
        #[arg(long, conflicts_with = "enable")]
        disable: bool,
        #[command(flatten)]
        server: Server,
        #[command(flatten)]
        output: Output,
    },
    /// Delete a webhook; what waits for it is dropped.
    Delete(One),
    /// Make a new secret and print it, once; the one before signs for 24 hours as well.
    Rotate(One),
    /// Send a ping.
    Test(One),
    /// List what was sent, newest first, or show one delivery with its body.
    Deliveries {
        /// The webhook, such as whe_Zz9.
        id: WebhookId,
        /// Show this delivery, such as whd_Zz9_1.
        delivery: Option<WebhookDeliveryId>,
        /// Only those in this status.
        #[arg(long, value_parser = PossibleValuesParser::new(WebhookDeliveryStatus::KNOWN.iter().copied()))]
        status: Option<String>,
        #[command(flatten)]
        listing: Listing,
        #[command(flatten)]
        server: Server,
        #[command(flatten)]
        output: Output,
    },
    /// Send a delivery again, or all that failed since an instant.
    Redeliver {
        /// The webhook, such as whe_Zz9.
        id: WebhookId,
        /// The delivery, such as whd_Zz9_1.
        #[arg(required_unless_present = "since")]
        delivery: Option<WebhookDeliveryId>,
        /// All that failed and was queued at this instant or later, such as 2026-06-11T20:55:03Z.
        #[arg(long, value_name = "INSTANT", conflicts_with = "delivery")]
        since: Option<Timestamp>,
        #[command(flatten)]
        server: Server,
        #[command(flatten)]
        output: Output,
    },
}

/// A webhook and nothing else.
#[derive(Debug, clap::Args)]
struct One {
    /// The webhook, such as whe_Zz9.
    id: WebhookId,
    #[command(flatten)]
    server: Server,
    #[command(flatten)]
    output: Output,
}

/// Does what the command says.
pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    match arguments.command {
        Command::Create { url, events, deployment, description, server, output } => {
            let mut request = CreateWebhook::new(url, events.iter().map(String::as_str));
            (request.deployment_id, request.description) = (deployment, description);
            let created =
                server.with(async |client| Ok(client.webhooks().create(request).await?.into_inner()))?;
            output.print(&created, with_secret)
        }
        Command::List { listing, server, output } => {
            let webhooks = server.with(async |client| {
                listing.read(client.webhooks().list().limit(listing.page()).items()).await
            })?;
            output.print(&webhooks, |webhooks| many(webhooks))
        }
        Command::Get(One { id, server, output }) => {
            let webhook = server.with(async |client| Ok(client.webhooks().get(&id).await?.into_inner()))?;
            output.print(&webhook, one)
        }
        Command::Update {
            id,
            url,
            events,
            deployment,
            all_deployments,
            description,
            enable,
            disable,
            server,
            output,
        } => {
            let mut change = UpdateWebhook::new();
            change.url = url;
            if !events.is_empty() {
                change = change.events(events.iter().map(String::as_str));
            }
            change.deployment_id = match deployment {
                Some(deployment) => Patch::Set(deployment),
                None if all_deployments => Patch::Clear,
                None => Patch::Keep,
            };
            change.description = match description {
                Some(text) if text.is_empty() => Patch::Clear,
                Some(text) => Patch::Set(text),
                None => Patch::Keep,
            };
            change.enabled = (enable || disable).then_some(enable);
            let webhook =
                server.with(async |client| Ok(client.webhooks().update(&id, change).await?.into_inner()))?;
            output.print(&webhook, one)
        }
        Command::Delete(One { id, server, output }) => {
            let deleted =
                server.with(async |client| Ok(client.webhooks().delete(&id).await?.into_inner()))?;
            output.print(&deleted, |deleted| format!("deleted {}", deleted.webhook_id))
        }
        Command::Rotate(One { id, server, output }) => {
            let rotated =
                server.with(async |client| Ok(client.webhooks().rotate_secret(&id).await?.into_inner()))?;
            output.print(&rotated, with_secret)
        }
        Command::Test(One { id, server, output }) => {
            let sent = server.with(async |client| Ok(client.webhooks().test(&id).await?.into_inner()))?;
            output.print(&sent, delivery_text)
        }
        Command::Deliveries { id, delivery: Some(delivery), server, output, .. } => {
            let found = server
                .with(async |client| Ok(client.webhooks().delivery(&id, &delivery).await?.into_inner()))?;
            output.print(&found, delivery_text)
        }
        Command::Deliveries { id, delivery: None, status, listing, server, output } => {
            let deliveries = server.with(async |client| {
                let mut call = client.webhooks().deliveries(&id).limit(listing.page());
                if let Some(status) = &status {
                    call = call.status(status.as_str());
                }
                listing.read(call.items()).await
            })?;
            output.print(&deliveries, |deliveries| many_deliveries(deliveries))
        }
        Command::Redeliver { id, delivery: Some(delivery), server, output, .. } => {
            let sent = server
                .with(async |client| Ok(client.webhooks().redeliver(&id, &delivery).await?.into_inner()))?;
            output.print(&sent, delivery_text)
        }
        Command::Redeliver { id, since, server, output, .. } => {
            // Without a delivery there is a time; clap sees to it.
            let since = since.unwrap_or(Timestamp::UNIX_EPOCH);
            let sent = server.with(async |client| {
                Ok(client.webhooks().redeliver_failed(&id, since).await?.into_inner())
            })?;
            output.print(&sent, |sent| {
                let more = if sent.more { "; there are more, run it again" } else { "" };
                format!("{} sent again{more}", sent.redelivered)
            })
        }
    }
}

fn event_types() -> PossibleValuesParser {
    PossibleValuesParser::new(WebhookEventType::KNOWN.iter().copied())
}

fn with_secret(created: &WebhookWithSecret) -> String {
    let secret = created.secret.expose();
    format!("{}\n\nThe secret, which is not shown again:\n{secret}", one(&created.webhook))
}

fn one(webhook: &Webhook) -> String {
    let reason =
        webhook.disabled_reason.as_ref().map(|reason| format!("{}: {}", reason.code, reason.message));
    record([
        ("webhook", webhook.webhook_id.to_string()),
        ("url", webhook.url.clone()),
        ("events", events(webhook)),
        ("deployment", webhook.deployment_id.as_ref().map_or_else(|| "all".to_owned(), ToString::to_string)),
        ("description", or_dash(webhook.description.as_ref())),
        ("enabled", webhook.enabled.to_string()),
        ("reason", or_dash(reason.as_ref())),
        ("failing since", or_dash(webhook.failing_since.as_ref())),
        ("old secret until", or_dash(webhook.previous_secret_expires_at.as_ref())),
        ("created", webhook.created_at.to_string()),
    ])
}

fn many(webhooks: &[Webhook]) -> String {
    let cells = |webhook: &Webhook| {
        [
            webhook.webhook_id.to_string(),
            webhook.url.clone(),
            events(webhook),
            webhook.enabled.to_string(),
            webhook.created_at.to_string(),
        ]
    };
    table(["webhook", "url", "events", "enabled", "created"], webhooks.iter().map(cells))
}

fn events(webhook: &Webhook) -> String {
    webhook.events.iter().map(WebhookEventType::as_str).collect::<Vec<_>>().join(" ")
}

fn delivery_text(delivery: &WebhookDelivery) -> String {
    let mut text = record([
        ("delivery", delivery.delivery_id.to_string()),
        ("type", delivery.kind.clone()),
        ("event", or_dash(delivery.event_id.as_ref())),
        ("deployment", or_dash(delivery.deployment_id.as_ref())),
        ("status", delivery.status.to_string()),
        ("next attempt", or_dash(delivery.next_attempt_at.as_ref())),
        ("created", delivery.created_at.to_string()),
        ("finished", or_dash(delivery.finished_at.as_ref())),
    ]);
    if !delivery.attempts.is_empty() {
        let cells = |attempt: &WebhookAttempt| {
            [
                attempt.at.to_string(),
                format!("{} ms", attempt.duration_ms),
                or_dash(attempt.status.as_ref()),
                or_dash(attempt.error.as_ref()),
            ]
        };
        let attempts = table(["attempt", "took", "status", "error"], delivery.attempts.iter().map(cells));
        text.push_str(&format!("\n\n{attempts}"));
    }
    if let Some(payload) = &delivery.payload {
        text.push_str(&format!("\n\n{}", crate::output::harmless(payload.get())));
    }
    text
}

fn many_deliveries(deliveries: &[WebhookDelivery]) -> String {
    let cells = |delivery: &WebhookDelivery| {
        [
            delivery.delivery_id.to_string(),
            delivery.kind.clone(),
            delivery.status.to_string(),
            delivery.attempts.len().to_string(),
            delivery.attempts.last().map_or_else(|| "-".to_owned(), |last| or_dash(last.error.as_ref())),
            delivery.created_at.to_string(),
        ]
    };
    let head = ["delivery", "type", "status", "attempts", "last error", "created"];
    table(head, deliveries.iter().map(cells))
}
