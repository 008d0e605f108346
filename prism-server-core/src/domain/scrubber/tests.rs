//! Tests of the scrubber.

use base64::{Engine as _, engine::general_purpose as base64_engines};
use proptest::prelude::*;
use serde_json::json;

use super::*;

fn scrubber(values: &[&str]) -> Scrubber {
    Scrubber::new(values.iter().map(|value| (*value).to_owned()))
}

/// The ways to write a value that a reader of the documentation can expect to be found.
fn written(value: &str) -> Vec<String> {
    let hex = |upper: bool, mark: &str| -> String {
        let digits = |byte: u8| if upper { format!("{mark}{byte:02X}") } else { format!("{mark}{byte:02x}") };
        value.bytes().map(digits).collect()
    };
    let quoted = serde_json::to_string(value).unwrap();
    let inner = serde_json::to_string(&json!({ "a": value })).unwrap();
    let standard = base64_engines::STANDARD;
    vec![
        value.to_owned(),
        quoted[1..quoted.len() - 1].to_owned(),
        serde_json::to_string(&inner).unwrap(),
        hex(false, ""),
        hex(true, ""),
        hex(false, "%"),
        hex(true, "%"),
        url::form_urlencoded::byte_serialize(value.as_bytes()).collect(),
        standard.encode(value),
        base64_engines::STANDARD_NO_PAD.encode(value),
        base64_engines::URL_SAFE.encode(value),
        base64_engines::URL_SAFE_NO_PAD.encode(value),
        standard.encode(format!("a{value}")),
        standard.encode(format!("ab{value}xyz")),
        standard.encode(format!("user:{value}")),
        base64_engines::URL_SAFE.encode(format!("abc{value}?")),
    ]
}

#[test]
fn values_are_found_from_four_bytes_on() {
    assert!(scrubber(&["abc", "", "  abc\n"]).is_empty());
    let scrubber = scrubber(&["abcd"]);
    assert_eq!(scrubber.text("x abcd abc d"), "x [redacted] abc d");
    assert_eq!(scrubber.text("abcdabcd"), "[redacted][redacted]");
    assert!(matches!(scrubber.text("nothing"), Cow::Borrowed(_)));
}

#[test]
fn white_space_around_a_value_does_not_count() {
    let scrubber = scrubber(&["\nhunter2 \r\n"]);
    assert_eq!(scrubber.text("(hunter2)\n"), "([redacted])\n");
}

#[test]
fn overlapping_secrets_leave_nothing() {
    let scrubber = scrubber(&["abcdef", "defghi", "cdefg"]);
    assert_eq!(scrubber.text("-abcdefghi-"), "-[redacted]-");
    assert_eq!(scrubber.text("-abcdefabcdef-"), "-[redacted][redacted]-");
    assert_eq!(scrubber.text("-abcdegdefghi-"), "-abcdeg[redacted]-");
}

#[test]
fn json_is_scrubbed_in_keys_strings_and_numbers() {
    let scrubber = scrubber(&["hunter2", "123456"]);
    let scrubbed = scrubber.json(json!({"a hunter2": ["hunter2", 1, true, null, 91234567], "b": 12345}));
    assert_eq!(scrubbed, json!({"a [redacted]": ["[redacted]", 1, true, null, "9[redacted]7"], "b": 12345}));
}

#[test]
fn a_beginning_may_continue_and_an_end_does_not() {
    let scrubber = scrubber(&["hunter2-secret", "2-second"]);
    for text in ["h", "say hunter2-secre", "hunter2-sec", "x2-", "hunter2-secreth"] {
        assert!(scrubber.may_continue(text), "{text}");
    }
    for text in ["", "say hunter2-secret", "x", "2-second", "hunter2-second"] {
        assert!(!scrubber.may_continue(text), "{text}");
    }
    assert!(!Scrubber::default().may_continue("h"));
    // A secret within a beginning of another one.
    let scrubber = self::scrubber(&["abcdefgh", "cdef"]);
    assert!(scrubber.may_continue("abcdef") && !scrubber.may_continue("xbcdef"));
}

#[test]
fn debug_and_memory_tell_no_value() {
    let scrubber = scrubber(&["hunter2"]);
    assert!(!format!("{scrubber:?}").contains("hunter2"));
    let long = "x".repeat(LONG);
    let hex = "78".repeat(LONG);
    assert!(!self::scrubber(&[&long]).text(&hex).contains("78"));
    let longer = format!("{long}x");
    assert!(self::scrubber(&[&longer]).text(&hex).contains("78"));
    assert_eq!(self::scrubber(&[&longer]).text(&longer), REDACTED);
}

/// A secret that is neither in the marker nor made of what stands between secrets in the tests.
fn secret() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9 \"\\\\/+=&%:é_.~-]{4,24}".prop_filter("long enough and not in the marker", |value| {
        value.trim().len() >= SHORTEST && !REDACTED.contains(value.trim())
    })
}

proptest! {
    #[test]
    fn no_form_survives_and_nothing_else_changes(
        secrets in prop::collection::vec(secret(), 1..4),
        pieces in prop::collection::vec((0..4_usize, 0..16_usize), 0..12),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let scrubber = Scrubber::new(secrets.clone());
        // What is between secrets is in no form of any.
        let mut text = String::from("⟨");
        for (secret, form) in pieces {
            let secret = secrets[secret % secrets.len()].trim();
            text.push_str(&written(secret)[form]);
            text.push_str("⟩Ж⟨");
        }
        let scrubbed = scrubber.text(&text).into_owned();
        prop_assert_eq!(scrubbed.matches('Ж').count(), text.matches('Ж').count());
        prop_assert!(scrubbed.starts_with('⟨') && scrubbed.ends_with('⟨'));
        for piece in scrubbed.split('Ж').filter(|piece| piece.len() > 6) {
            prop_assert!(piece.contains(REDACTED), "{piece}");
        }
        for secret in &secrets {
            for form in &written(secret.trim())[..12] {
                prop_assert!(!scrubbed.contains(form), "{form} in {scrubbed}");
            }
        }

        let bytes = text.as_bytes();
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let mut stream = scrubber.stream();
        let mut streamed = Vec::new();
        for cut in cuts.windows(2) {
            streamed.extend(stream.push(&bytes[cut[0]..cut[1]]));
        }
        streamed.extend(stream.finish());
        prop_assert_eq!(String::from_utf8(streamed).unwrap(), scrubbed);
    }

    #[test]
    fn small_alphabets_meet_in_every_way(
        secrets in prop::collection::vec("[ab]{4,7}", 1..4),
        text in "[abc]{0,60}",
        cut in any::<prop::sample::Index>(),
    ) {
        let scrubber = Scrubber::new(secrets.clone());
        // By the definition: a byte is taken out when it is in an occurrence.
        let mut inside = vec![false; text.len()];
        for secret in &secrets {
            for start in 0..text.len() {
                if text[start..].starts_with(secret.as_str()) {
                    inside[start..start + secret.len()].fill(true);
                }
            }
        }
        let kept: String = text.chars().zip(&inside).filter(|(_, inside)| !**inside).map(|(c, _)| c).collect();
        let scrubbed = scrubber.text(&text).into_owned();
        prop_assert_eq!(scrubbed.replace(REDACTED, ""), kept);
        let cut = cut.index(text.len() + 1);
        let mut stream = scrubber.stream();
        let mut streamed = stream.push(&text.as_bytes()[..cut]);
        let continues = scrubber.may_continue(&text[..cut]);
        let begins = |secret: &String| (1..secret.len()).any(|length| text[..cut].ends_with(&secret[..length]));
        // Encoded forms of such secrets have other characters.
        prop_assert_eq!(continues, secrets.iter().any(begins));
        streamed.extend(stream.push(&text.as_bytes()[cut..]));
        streamed.extend(stream.finish());
        prop_assert_eq!(String::from_utf8(streamed).unwrap(), scrubbed);
    }
}
