//! Secrets that sign webhooks.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Secret;

/// A secret that signs webhooks: `whsec_` and 24 to 64 random bytes in base64.
///
/// It travels, because it has to be told once; `Debug` prints a fixed text, and there is no `Display`.
///
/// ```
/// use prism_types::WebhookSecret;
///
/// let secret: WebhookSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse()?;
/// assert_eq!(format!("{secret:?}"), "WebhookSecret([redacted])");
/// assert!("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse::<WebhookSecret>().is_err());
/// # Ok::<(), prism_types::InvalidWebhookSecret>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookSecret(Secret);

/// A text that is no secret of a webhook. It does not show the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a webhook's secret is `whsec_` and 24 to 64 bytes in base64")]
pub struct InvalidWebhookSecret(());

impl WebhookSecret {
    /// What every secret of a webhook starts with.
    pub const PREFIX: &'static str = "whsec_";

    /// The secret itself, with its prefix. Every call is a place to look at in a review.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

impl FromStr for WebhookSecret {
    type Err = InvalidWebhookSecret;

    /// Checks the prefix, the characters and the length. Whether the base64 is canonical shows when it is decoded.
    fn from_str(text: &str) -> Result<Self, InvalidWebhookSecret> {
        let encoded = text.strip_prefix(Self::PREFIX).ok_or(InvalidWebhookSecret(()))?;
        let digits = encoded.trim_end_matches('=');
        let padded = encoded.len() % 4 == 0 && encoded.len() - digits.len() <= 2;
        let fits = padded
            && (24..=64).contains(&(digits.len() * 3 / 4))
            && digits.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/');
        if fits { Ok(Self(text.into())) } else { Err(InvalidWebhookSecret(())) }
    }
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookSecret([redacted])")
    }
}

impl Serialize for WebhookSecret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.expose())
    }
}

impl<'de> Deserialize<'de> for WebhookSecret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for WebhookSecret {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "WebhookSecret".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^whsec_[A-Za-z0-9+/]{32,86}={0,2}$" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<WebhookSecret, InvalidWebhookSecret> {
        text.parse()
    }

    #[test]
    fn the_length_is_24_to_64_bytes() {
        for (digits, fits) in
            [("A".repeat(31) + "=", false), ("A".repeat(32), true), ("A".repeat(86) + "==", true)]
        {
            assert_eq!(read(&format!("whsec_{digits}")).is_ok(), fits, "{digits}");
        }
        assert!(read(&format!("whsec_{}=", "A".repeat(87))).is_err());
    }

    #[test]
    fn what_is_no_secret_is_refused_and_not_shown() {
        for text in ["", "whsec_", "canary", "whsec_canary", "WHSEC_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"] {
            let error = read(text).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("canary"));
        }
        let odd = format!("whsec_{}", "-".repeat(32));
        assert!(read(&odd).is_err());
    }

    #[test]
    fn a_secret_travels_and_is_not_printed() {
        let secret = read("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let json = serde_json::to_string(&secret).unwrap();
        assert_eq!(serde_json::from_str::<WebhookSecret>(&json).unwrap(), secret);
        assert!(!format!("{secret:?} {secret:#?}").contains("MfKQ"));
    }
}
