//! Signatures as the Standard Webhooks specification wants them: HMAC-SHA256 over `id.timestamp.body`, in base64.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use prism_types::{Secret, WebhookSecret};
use sha2::Sha256;

/// How many random bytes a secret has; the specification asks for 24 to 64.
pub const KEY_BYTES: usize = 32;

/// The secret of these bytes.
pub fn secret(key: &[u8; KEY_BYTES]) -> Secret {
    Secret::new(format!("{}{}", WebhookSecret::PREFIX, STANDARD.encode(key)))
}

/// The value of the header `webhook-signature`: a signature by each secret, with spaces between. A text that is no
/// secret signs nothing.
pub fn sign<'a>(
    secrets: impl IntoIterator<Item = &'a Secret>,
    id: &str,
    timestamp: i64,
    body: &[u8],
) -> String {
    let signatures = secrets.into_iter().filter_map(|secret| {
        let key = STANDARD.decode(secret.expose().strip_prefix(WebhookSecret::PREFIX)?).ok()?;
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).ok()?;
        mac.update(format!("{id}.{timestamp}.").as_bytes());
        mac.update(body);
        Some(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
    });
    signatures.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_of_the_specification_has_its_signature() {
        let secret = Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let (id, body) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", br#"{"test": 2432232314}"#);
        let one = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert_eq!(sign([&secret], id, 1_614_265_330, body), one);
        let other = super::secret(&[7; KEY_BYTES]);
        let both = sign([&other, &secret], id, 1_614_265_330, body);
        assert!(both.starts_with("v1,") && both.ends_with(&format!(" {one}")), "{both}");
        assert_eq!(sign([&Secret::new("none")], id, 1, body), "");
    }

    #[test]
    fn a_secret_has_the_form_that_clients_take() {
        assert!(secret(&[0xff; KEY_BYTES]).expose().parse::<WebhookSecret>().is_ok());
    }
}
