//! Checking signatures.

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{HeaderMap, HeaderName, HeaderValue};
use prism_types::{WebhookMessage, WebhookSecret};
use sha2::Sha256;

use super::{InvalidSecret, VerifyError};
use crate::error::Misfit;

/// How far the clocks may be apart, unless somebody says otherwise.
const TOLERANCE: Duration = Duration::from_secs(5 * 60);
/// Longest `webhook-id` that is looked at, in bytes.
const LONGEST_ID: usize = 256;
/// Most signatures of a request that are looked at.
const MOST_SIGNATURES: usize = 16;

/// Finds out whether requests come from the server, by the secrets of a webhook.
///
/// Signatures are compared in constant time. `Debug` does not show the secrets.
///
/// ```
/// use prism_client::webhooks::Verifier;
///
/// # fn example(secret: &str, new_secret: &str) -> Result<(), Box<dyn std::error::Error>> {
/// let verifier = Verifier::new(secret)?;
/// // While a rotation is under way, requests are signed by both.
/// let verifier = verifier.or(new_secret)?;
/// # Ok(())
/// # }
/// # example("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD").unwrap();
/// ```
#[derive(Clone)]
pub struct Verifier {
    keys: Vec<Hmac<Sha256>>,
    tolerance: Duration,
}

/// A request that the server signed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Received {
    /// The header `webhook-id`: the same for every try of a message, so that one that comes twice can be told.
    pub id: String,
    /// When this try was signed.
    pub signed_at: SystemTime,
    /// What it says.
    pub message: WebhookMessage,
}

impl Verifier {
    /// Believes requests that are signed with this secret: `whsec_` and 24 to 64 bytes in base64.
    ///
    /// # Errors
    /// When the text is no secret.
    pub fn new(secret: &str) -> Result<Self, InvalidSecret> {
        Self { keys: Vec::new(), tolerance: TOLERANCE }.or(secret)
    }

    /// Believes requests that are signed with this secret as well.
    ///
    /// # Errors
    /// When the text is no secret.
    pub fn or(mut self, secret: &str) -> Result<Self, InvalidSecret> {
        let invalid = || InvalidSecret(());
        let encoded = secret.strip_prefix(WebhookSecret::PREFIX).ok_or_else(invalid)?;
        let key =
            STANDARD.decode(encoded).ok().filter(|key| (24..=64).contains(&key.len())).ok_or_else(invalid)?;
        self.keys.push(Hmac::new_from_slice(&key).map_err(|_| invalid())?);
        Ok(self)
    }

    /// Sets how far the time of the signature may be from now, before and after. Default: 5 minutes.
    #[must_use]
    pub fn tolerance(mut self, tolerance: Duration) -> Self {
        self.tolerance = tolerance;
        self
    }

    /// Checks a request, whose body is given byte for byte as it came, and answers what it says.
    ///
    /// # Errors
    /// When it is not to be believed, or cannot be read: see [`VerifyError`].
    pub fn verify(&self, headers: &HeaderMap, body: &[u8]) -> Result<Received, VerifyError> {
        self.verify_at(headers, body, SystemTime::now())
    }

    /// As [`Verifier::verify`], as if it was another time; for tests of receivers.
    ///
    /// # Errors
    /// As [`Verifier::verify`].
    pub fn verify_at(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        now: SystemTime,
    ) -> Result<Received, VerifyError> {
        let id = only(headers, "webhook-id")?;
        if id.is_empty() || id.len() > LONGEST_ID {
            return Err(VerifyError::InvalidHeader("webhook-id"));
        }
        let timestamp = only(headers, "webhook-timestamp")?;
        let signed_at = instant(timestamp).ok_or(VerifyError::InvalidHeader("webhook-timestamp"))?;
        let signatures = only(headers, "webhook-signature")?;
        // The signature first: nothing is said about what somebody made up.
        if !self.fits(signatures, &[id.as_bytes(), b".", timestamp.as_bytes(), b".", body]) {
            return Err(VerifyError::WrongSignature);
        }
        if signed_at.checked_add(self.tolerance).is_some_and(|end| end < now) {
            return Err(VerifyError::TooOld);
        }
        if now.checked_add(self.tolerance).is_some_and(|end| end < signed_at) {
            return Err(VerifyError::TooNew);
        }
        Ok(Received { id: id.to_owned(), signed_at, message: read(body)? })
    }

    /// The headers of a request with this id and body, signed at that time with the first secret: what the server would
    /// send. For tests of receivers.
    ///
    /// ```
    /// use std::time::SystemTime;
    /// use prism_client::webhooks::Verifier;
    ///
    /// let verifier = Verifier::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")?;
    /// let body = br#"{"type":"ping","timestamp":"2026-06-11T20:55:03Z","data":{"webhook_id":"whe_1"}}"#;
    /// let headers = verifier.sign("msg_1", SystemTime::now(), body);
    /// assert_eq!(verifier.verify(&headers, body)?.id, "msg_1");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// An id that cannot be in a header is left out, and such a request is refused.
    pub fn sign(&self, id: &str, at: SystemTime, body: &[u8]) -> HeaderMap {
        let timestamp = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs().to_string();
        let signature = self.keys.first().map(|key| {
            let mut mac = key.clone();
            [id.as_bytes(), b".", timestamp.as_bytes(), b".", body].iter().for_each(|part| mac.update(part));
            format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
        });
        let values = [
            ("webhook-id", Some(id)),
            ("webhook-timestamp", Some(&*timestamp)),
            ("webhook-signature", signature.as_deref()),
        ];
        let value = |(name, text): (&'static str, Option<&str>)| {
            Some((HeaderName::from_static(name), HeaderValue::from_str(text?).ok()?))
        };
        values.into_iter().filter_map(value).collect()
    }

    /// Whether one of the signatures is by one of the keys.
    fn fits(&self, signatures: &str, signed: &[&[u8]]) -> bool {
        let signatures: Vec<_> = signatures
            .split(' ')
            .filter_map(|signature| STANDARD.decode(signature.strip_prefix("v1,")?).ok())
            .take(MOST_SIGNATURES)
            .collect();
        self.keys.iter().any(|key| {
            let mut mac = key.clone();
            signed.iter().for_each(|part| mac.update(part));
            signatures.iter().any(|signature| mac.clone().verify_slice(signature).is_ok())
        })
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").field("tolerance", &self.tolerance).finish_non_exhaustive()
    }
}

/// The value of a header that is there once.
fn only<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<&'a str, VerifyError> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().map_err(|_| VerifyError::InvalidHeader(name)),
        _ => Err(VerifyError::MissingHeader(name)),
    }
}

/// Seconds since 1970, in digits only.
fn instant(text: &str) -> Option<SystemTime> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    UNIX_EPOCH.checked_add(Duration::from_secs(if digits { text.parse().ok()? } else { return None }))
}

fn read(body: &[u8]) -> Result<WebhookMessage, VerifyError> {
    let misfit = |path: Option<&str>, error: &serde_json::Error| {
        VerifyError::InvalidPayload(Misfit::json("the message", path, error).to_string())
    };
    let mut json = serde_json::Deserializer::from_slice(body);
    let message = serde_path_to_error::deserialize(&mut json)
        .map_err(|error| misfit(Some(&error.path().to_string()), error.inner()))?;
    json.end().map_err(|error| misfit(None, &error))?;
    Ok(message)
}
