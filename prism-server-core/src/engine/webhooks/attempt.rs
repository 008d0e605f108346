//! One try to deliver: the request, and what its answer means.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use futures::StreamExt;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
    header::{CONTENT_TYPE, RETRY_AFTER},
};
use prism_types::{Timestamp, WebhookAttempt};
use tokio::time::Instant;
use url::Url;

use crate::{
    core::Core,
    domain::{
        limits,
        webhook::{
            Fault, Webhook, WebhookCommand,
            delivery::{Delivery, DeliveryCommand},
            later, signature,
        },
    },
    error::{Error, Result},
    ports::{EgressBody, EgressError, EgressRequest, Reach},
    service::webhooks::open_secret,
    telemetry,
};

const ID: HeaderName = HeaderName::from_static("webhook-id");
const TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

/// What came of a try.
pub(super) struct Outcome {
    attempt: WebhookAttempt,
    retry_after: Option<Duration>,
    /// Chance, of 1,000: what failed together does not come back together.
    chance: u16,
}

impl Outcome {
    pub(super) fn delivery_command(&self) -> DeliveryCommand {
        match self.attempt.error {
            None => DeliveryCommand::Succeed(self.attempt.clone()),
            Some(_) => DeliveryCommand::Fail(self.attempt.clone(), self.chance),
        }
    }

    pub(super) fn webhook_command(&self) -> WebhookCommand {
        if self.attempt.error.is_none() {
            return WebhookCommand::Succeed;
        }
        WebhookCommand::Fail(Fault {
            at: later(self.attempt.at, Duration::from_millis(self.attempt.duration_ms)),
            gone: self.attempt.status == Some(StatusCode::GONE.as_u16()),
            retry_after: self.retry_after,
        })
    }
}

/// Sends a delivery once.
///
/// # Errors
/// When the store cannot be read, or the delivery is not there any more.
pub(super) async fn make(core: &Core, webhook: &Webhook, delivery: &Delivery) -> Result<Outcome> {
    let data = core.store.delivery_data(&webhook.id, delivery.sequence).await?;
    let data = data.ok_or_else(|| Error::not_found("Delivery"))?;
    let (at, begun) = (core.clock.now(), Instant::now());
    let (status, error, retry_after) = match request(core, webhook, delivery, &data, at) {
        Ok(request) => match tokio::time::timeout(limits::WEBHOOK_TIME, send(core, request)).await {
            Ok(Ok((status, headers))) => (Some(status.as_u16()), refusal(status), retry_after(&headers, at)),
            Ok(Err(error)) => (None, Some(error.to_string()), None),
            Err(_) => {
                let seconds = limits::WEBHOOK_TIME.as_secs();
                (None, Some(format!("the endpoint did not answer within {seconds} seconds")), None)
            }
        },
        Err(reason) => (None, Some(reason), None),
    };
    let duration = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    telemetry::webhook_tried(status);
    let attempt = WebhookAttempt::new(at, duration).status(status).error(error);
    let mut chance = [0; 2];
    // Without chance the tries come at the stated times.
    let _ = getrandom::fill(&mut chance);
    Ok(Outcome { attempt, retry_after, chance: u16::from_le_bytes(chance) % 1001 })
}

/// The signed request, or why there is none, for its owner.
fn request(
    core: &Core,
    webhook: &Webhook,
    delivery: &Delivery,
    data: &str,
    at: Timestamp,
) -> Result<EgressRequest, String> {
    let (id, body) = (delivery.id(), delivery.body(data));
    let seconds = at.as_millis().div_euclid(1000);
    let open = |sealed| open_secret(core.secret_box.as_ref(), webhook, sealed);
    let secrets = webhook.live_secrets(at).into_iter().map(open).collect::<Result<Vec<_>, _>>();
    let secrets = secrets.map_err(|error| {
        tracing::error!(webhook = %webhook.id, %error, "the secret of a webhook cannot be opened");
        "the server cannot open the secret; make a new one".to_owned()
    })?;
    let signature = signature::sign(&secrets, &id, seconds, body.as_bytes());
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    for (name, value) in [(ID, id), (TIMESTAMP, seconds.to_string()), (SIGNATURE, signature)] {
        headers.insert(name, HeaderValue::try_from(value).map_err(|error| error.to_string())?);
    }
    let url = Url::parse(&webhook.url).map_err(|_| "the URL cannot be read".to_owned())?;
    Ok(EgressRequest { reach: Reach::Public, method: Method::POST, url, headers, body: Bytes::from(body) })
}

async fn send(core: &Core, request: EgressRequest) -> Result<(StatusCode, HeaderMap), EgressError> {
    let (head, body) = core.egress.send(request).await?.into_parts();
    drain(body).await;
    Ok((head.status, head.headers))
}

/// Reads an answer that is short, so that its sender can end in peace; what it says is of no interest.
async fn drain(mut body: EgressBody) {
    let mut read = 0;
    while let Some(Ok(piece)) = body.next().await {
        read += piece.len();
        if read > limits::WEBHOOK_ANSWER {
            return;
        }
    }
}

/// Why an answer is none that takes the message.
fn refusal(status: StatusCode) -> Option<String> {
    let number = status.as_u16();
    match number {
        200..=299 => None,
        300..=399 => Some(format!("the endpoint answered with status {number}; redirects are not followed")),
        _ => Some(format!("the endpoint answered with status {number}")),
    }
}

/// How long an endpoint asks to be left alone: seconds or a date (RFC 9110, section 10.2.3).
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let now = UNIX_EPOCH + Duration::from_millis(u64::try_from(now.as_millis()).ok()?);
    let date: SystemTime = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_dates_are_read_and_nonsense_is_no_hint() {
        let read = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, text.parse().unwrap());
            retry_after(&headers, Timestamp::from_millis((784_111_777 - 30) * 1000))
        };
        assert_eq!(read("7"), Some(Duration::from_secs(7)));
        assert_eq!(read("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::from_secs(30)));
        assert_eq!(read("Sat, 05 Nov 1994 08:49:37 GMT"), Some(Duration::ZERO));
        for text in ["", "-1", "soon", "1.5", "1e9", "99999999999999999999"] {
            assert_eq!(read(text), None, "{text}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), Timestamp::UNIX_EPOCH), None);
    }
}
