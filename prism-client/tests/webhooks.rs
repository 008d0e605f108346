//! Verifying webhooks: what the reference signed is believed, and nothing else.
#![cfg(feature = "webhooks")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderName, HeaderValue};
use prism_client::{
    types::{EventPayload, RunStatus, WebhookContent, WebhookPing},
    webhooks::{Received, Verifier, VerifyError},
};
use proptest::prelude::*;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OTHER: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
const AT: u64 = 1_780_000_000;

/// A request as the reference library signs it, `standardwebhooks` 1.1.0 of PyPI:
/// `Webhook(secret).sign(id, datetime.fromtimestamp(timestamp, tz=timezone.utc), body)`.
struct Vector {
    secret: &'static str,
    id: &'static str,
    body: &'static str,
    signature: &'static str,
}

const PING: Vector = Vector {
    secret: SECRET,
    id: "whd_01k3v9m2q8e7y5t4r3w2x1z0ab_1",
    body: r#"{"type":"ping","timestamp":"2026-05-28T20:26:40.000Z","data":{"webhook_id":"whe_01k3v9m2q8e7y5t4r3w2x1z0ab"}}"#,
    signature: "v1,olR+8PbC3LqxFzhBNRZlljAqbeWQo6/kKDDQY4iEhmc=",
};
const LONGEST_KEY: Vector = Vector {
    secret: "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw==",
    id: "whd_a_18446744073709551615",
    body: r#"{"type":"run_status","timestamp":"2026-05-28T20:26:40.000Z","data":{"deployment_id":"dep_a","event_id":"evt_a_1","run_id":"run_1","status":"completed"}}"#,
    signature: "v1,DjQVgqV6hM/N72IyTilmM1i2eN2781rL70fJ7pFYdU8=",
};
const SHORTEST_KEY: Vector = Vector {
    secret: "whsec_////////////////////////////////",
    id: "whd_a_2",
    body: r#"{"type":"steering_request","timestamp":"2026-05-28T20:26:40.000Z","data":{"deployment_id":"dep_a","event_id":"evt_a_2","run_id":"run_1","summary":"Veröffentlichen? 🚀"}}"#,
    signature: "v1,5EJtf4wfQ7XkowMvT9qqNjGCun4V2UvX5bXbhPRh/4w=",
};

impl Vector {
    fn headers(&self) -> HeaderMap {
        headers(&[
            ("webhook-id", self.id),
            ("webhook-timestamp", &AT.to_string()),
            ("webhook-signature", self.signature),
        ])
    }
}

fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
    let fields = fields.iter().map(|(name, value)| {
        (HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).unwrap())
    });
    fields.collect()
}

fn with(name: &'static str, value: &str) -> HeaderMap {
    let mut headers = PING.headers();
    headers.insert(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    headers
}

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn verify(headers: &HeaderMap, body: &str) -> Result<Received, VerifyError> {
    Verifier::new(SECRET).unwrap().verify_at(headers, body.as_bytes(), at(AT))
}

#[test]
fn what_the_reference_signed_is_believed() {
    for vector in [&PING, &LONGEST_KEY, &SHORTEST_KEY] {
        let verifier = Verifier::new(vector.secret).unwrap();
        let received = verifier.verify_at(&vector.headers(), vector.body.as_bytes(), at(AT)).unwrap();
        assert_eq!((received.id.as_str(), received.signed_at), (vector.id, at(AT)));
    }
    let ping = verify(&PING.headers(), PING.body).unwrap().message;
    let webhook_id = "whe_01k3v9m2q8e7y5t4r3w2x1z0ab".parse().unwrap();
    assert_eq!(ping.content, WebhookContent::Ping(WebhookPing::new(webhook_id)));
}

#[test]
fn requests_for_tests_are_signed_as_the_server_signs_them() {
    for vector in [PING, LONGEST_KEY] {
        let headers = Verifier::new(vector.secret).unwrap().sign(vector.id, at(AT), vector.body.as_bytes());
        assert_eq!(headers, vector.headers());
    }
}

#[test]
fn an_event_comes_out_with_its_type() {
    let verifier = Verifier::new(LONGEST_KEY.secret).unwrap();
    let received = verifier.verify_at(&LONGEST_KEY.headers(), LONGEST_KEY.body.as_bytes(), at(AT)).unwrap();
    let WebhookContent::Event(told) = received.message.content else { panic!() };
    let EventPayload::RunStatus(changed) = told.event.payload else { panic!() };
    assert_eq!((changed.status, told.event.id.as_str()), (RunStatus::Completed, "evt_a_1"));
}

/// The sample of the specification has a body that is no message of this platform: it is believed, and cannot be read.
#[test]
fn the_sample_of_the_specification_is_believed() {
    let headers = headers(&[
        ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
        ("webhook-timestamp", "1614265330"),
        ("webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
    ]);
    let verifier = Verifier::new(SECRET).unwrap();
    let error = verifier.verify_at(&headers, br#"{"test": 2432232314}"#, at(1_614_265_330)).unwrap_err();
    assert!(matches!(&error, VerifyError::InvalidPayload(why) if why.contains("`type`")), "{error}");
}

#[test]
fn what_was_forged_or_changed_is_refused() {
    let body = PING.body.replace("ping", "pong");
    let shorter = &PING.body[..PING.body.len() - 1];
    let (unsigned, garbled) = (with("webhook-signature", "v1,"), with("webhook-signature", "v1,AAAA"));
    for (headers, body) in [
        (PING.headers(), body.as_str()),
        (PING.headers(), shorter),
        (PING.headers(), ""),
        (with("webhook-id", "whd_01k3v9m2q8e7y5t4r3w2x1z0ab_2"), PING.body),
        (with("webhook-timestamp", &(AT + 1).to_string()), PING.body),
        (with("webhook-signature", LONGEST_KEY.signature), PING.body),
        (with("webhook-signature", ""), PING.body),
        (with("webhook-signature", &PING.signature.replace("v1,", "v2,")), PING.body),
        (with("webhook-signature", &PING.signature.replace("v1,", "v1a,")), PING.body),
        (with("webhook-signature", &PING.signature.replace("v1,", "")), PING.body),
        (with("webhook-signature", &PING.signature[..PING.signature.len() - 4]), PING.body),
        (unsigned, PING.body),
        (garbled, PING.body),
    ] {
        let error = verify(&headers, body).unwrap_err();
        assert!(matches!(error, VerifyError::WrongSignature), "{headers:?} {error}");
    }
    let stranger = Verifier::new(OTHER).unwrap();
    let error = stranger.verify_at(&PING.headers(), PING.body.as_bytes(), at(AT)).unwrap_err();
    assert!(matches!(error, VerifyError::WrongSignature));
}

#[test]
fn what_is_sent_again_too_late_or_comes_too_early_is_refused() {
    let verifier = Verifier::new(SECRET).unwrap();
    let now = |seconds| verifier.verify_at(&PING.headers(), PING.body.as_bytes(), at(seconds));
    assert!(now(AT + 300).is_ok() && now(AT - 300).is_ok());
    assert!(matches!(now(AT + 301), Err(VerifyError::TooOld)));
    assert!(matches!(now(AT - 301), Err(VerifyError::TooNew)));
    let strict = verifier.tolerance(Duration::ZERO);
    assert!(strict.verify_at(&PING.headers(), PING.body.as_bytes(), at(AT)).is_ok());
    assert!(strict.verify_at(&PING.headers(), PING.body.as_bytes(), at(AT + 1)).is_err());
    assert!(matches!(
        strict.verify(&PING.headers(), PING.body.as_bytes()),
        Err(VerifyError::TooOld | VerifyError::TooNew)
    ));
}

#[test]
fn what_was_made_up_learns_nothing_about_clocks_and_forms() {
    let old_and_forged = with("webhook-timestamp", "1");
    assert!(matches!(verify(&old_and_forged, PING.body), Err(VerifyError::WrongSignature)));
    assert!(matches!(verify(&PING.headers(), "no JSON"), Err(VerifyError::WrongSignature)));
}

#[test]
fn every_header_has_to_be_there_once_and_have_its_form() {
    for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
        let mut headers = PING.headers();
        headers.append(name, headers[name].clone());
        assert!(matches!(verify(&headers, PING.body), Err(VerifyError::MissingHeader(told)) if told == name));
        headers.remove(name);
        assert!(matches!(verify(&headers, PING.body), Err(VerifyError::MissingHeader(told)) if told == name));
        assert!(
            matches!(verify(&with(name, "é"), PING.body), Err(VerifyError::InvalidHeader(told)) if told == name)
        );
    }
    for timestamp in ["", "-1", "+1780000000", " 1780000000", "1780000000.0", "0x1", "99999999999999999999"] {
        let error = verify(&with("webhook-timestamp", timestamp), PING.body).unwrap_err();
        assert!(matches!(error, VerifyError::InvalidHeader("webhook-timestamp")), "{timestamp:?}: {error}");
    }
    assert!(matches!(verify(&with("webhook-id", ""), PING.body), Err(VerifyError::InvalidHeader(_))));
    assert!(matches!(
        verify(&with("webhook-id", &"x".repeat(257)), PING.body),
        Err(VerifyError::InvalidHeader(_))
    ));
}

#[test]
fn of_many_signatures_and_secrets_one_has_to_fit() {
    let many = format!("v2,AAAA v1,AAAA {} v1,!", PING.signature);
    assert!(verify(&with("webhook-signature", &many), PING.body).is_ok());
    let both = Verifier::new(OTHER).unwrap().or(SECRET).unwrap();
    assert!(both.verify_at(&PING.headers(), PING.body.as_bytes(), at(AT)).is_ok());
    // A flood of signatures is not worked through.
    let flood = format!("{}{}", "v1,AAAA ".repeat(16), PING.signature);
    assert!(matches!(
        verify(&with("webhook-signature", &flood), PING.body),
        Err(VerifyError::WrongSignature)
    ));
}

#[test]
fn a_secret_has_24_to_64_bytes_and_is_never_shown() {
    for secret in [
        "",
        "whsec_",
        "canary",
        "whsec_canary",
        "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whsec_ MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS",
    ] {
        let error = Verifier::new(secret).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("canary"));
    }
    assert!(Verifier::new(&format!("whsec_{}", "A".repeat(32))).is_ok());
    assert!(Verifier::new(&format!("whsec_{}=", "A".repeat(31))).is_err());
    assert!(Verifier::new(&format!("whsec_{}==", "A".repeat(86))).is_ok());
    assert!(Verifier::new(&format!("whsec_{}=", "A".repeat(87))).is_err());
    let shown = format!("{:?} {:#?}", Verifier::new(SECRET).unwrap(), Verifier::new(SECRET).unwrap());
    assert!(!shown.contains("MfKQ") && shown.contains("tolerance"), "{shown}");
}

proptest! {
    #[test]
    fn nothing_panics_and_nothing_unsigned_is_believed(
        id in "\\PC{0,40}",
        timestamp in "\\PC{0,20}",
        signature in "(v1,[A-Za-z0-9+/=]{0,50} ?){0,5}",
        body in prop::collection::vec(any::<u8>(), 0..100),
    ) {
        let mut headers = HeaderMap::new();
        for (name, value) in [("webhook-id", id), ("webhook-timestamp", timestamp), ("webhook-signature", signature)] {
            if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
                headers.insert(name, value);
            }
        }
        let verified = Verifier::new(SECRET).unwrap().verify_at(&headers, &body, at(AT));
        prop_assert!(!matches!(verified, Ok(_) | Err(VerifyError::InvalidPayload(_))));
    }
}
