//! The forms in which a secret is looked for.

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD},
};
use zeroize::Zeroizing;

/// The shortest value that is looked for, in bytes. Anything shorter is in every text by chance.
pub const SHORTEST: usize = 4;
/// The longest value whose hexadecimal and percent-encoded forms are looked for, in bytes. Each byte of a form
/// takes memory, and these forms are the longest.
pub const LONG: usize = 4096;

/// What encoders leave as it is besides letters and digits: nothing, what PHP does, HTML forms, RFC 3986, path
/// encoders, `encodeURIComponent` and `encodeURI`.
const PLAIN: [&[u8]; 7] = [b"", b"-_.", b"-_.*", b"-_.~", b"-_.~/", b"-_.!~*'()", b"-_.!~*'();,/?:@&=+$#"];

/// Adds every form of a value.
pub(super) fn add(value: &str, forms: &mut Vec<Zeroizing<Vec<u8>>>) {
    // A form of the value without the white space around it is in every form of the value with it.
    let value = value.trim();
    if value.len() < SHORTEST {
        return;
    }
    let mut add = |form: Vec<u8>| forms.push(Zeroizing::new(form));
    add(value.as_bytes().to_vec());
    for depth in 1..=2 {
        add(json(value, depth, Escapes::Needed).into_bytes());
        add(json(value, depth, Escapes::NeededAndSlash).into_bytes());
        add(json(value, depth, Escapes::Ascii).into_bytes());
    }
    let bytes = value.as_bytes();
    for (engine, unpadded) in [(STANDARD, STANDARD_NO_PAD), (URL_SAFE, URL_SAFE_NO_PAD)] {
        add(engine.encode(bytes).into_bytes());
        for before in 0..3 {
            add(inside_base64(bytes, before, &unpadded));
        }
        add(unpadded.encode(bytes).into_bytes());
    }
    if bytes.len() > LONG {
        return;
    }
    for digits in [b"0123456789abcdef", b"0123456789ABCDEF"] {
        add(bytes.iter().flat_map(|byte| hexadecimal(*byte, digits)).collect());
        add(percent(bytes, digits, |_| false, false));
        for plain in PLAIN {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || plain.contains(&byte);
            add(percent(bytes, digits, plain, false));
            add(percent(bytes, digits, plain, true));
        }
    }
}

/// What a JSON encoder escapes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Escapes {
    Needed,
    NeededAndSlash,
    /// Everything that is not ASCII as well.
    Ascii,
}

/// The value inside a JSON string; with a depth of 2, inside JSON that is in a JSON string itself.
fn json(value: &str, depth: usize, escapes: Escapes) -> String {
    let mut text = value.to_owned();
    for _ in 0..depth {
        let mut escaped = String::with_capacity(text.len() + 8);
        for character in text.chars() {
            match character {
                '"' => escaped.push_str("\\\""),
                '\\' => escaped.push_str("\\\\"),
                '\n' => escaped.push_str("\\n"),
                '\r' => escaped.push_str("\\r"),
                '\t' => escaped.push_str("\\t"),
                '\u{8}' => escaped.push_str("\\b"),
                '\u{c}' => escaped.push_str("\\f"),
                '/' if escapes == Escapes::NeededAndSlash => escaped.push_str("\\/"),
                _ if character < ' ' || (escapes == Escapes::Ascii && !character.is_ascii()) => {
                    for unit in character.encode_utf16(&mut [0; 2]) {
                        escaped.push_str(&format!("\\u{unit:04x}"));
                    }
                }
                _ => escaped.push(character),
            }
        }
        text = escaped;
    }
    text
}

/// What base64 makes of the value when so many bytes (modulo 3) are before it, whatever is before and behind:
/// the digits that hold bits of the value only.
fn inside_base64(value: &[u8], before: usize, engine: &impl base64::Engine) -> Vec<u8> {
    let mut padded = Zeroizing::new(vec![0; before]);
    padded.extend_from_slice(value);
    let encoded = engine.encode(&*padded).into_bytes();
    encoded[(before * 8).div_ceil(6)..padded.len() * 8 / 6].to_vec()
}

fn hexadecimal(byte: u8, digits: &[u8; 16]) -> [u8; 2] {
    [digits[usize::from(byte >> 4)], digits[usize::from(byte & 15)]]
}

/// The value percent-encoded but for what is `plain`; a space is a plus sign in forms.
fn percent(value: &[u8], digits: &[u8; 16], plain: impl Fn(u8) -> bool, form: bool) -> Vec<u8> {
    let mut encoded = Vec::with_capacity(value.len() * 3);
    for byte in value {
        match *byte {
            b' ' if form => encoded.push(b'+'),
            byte if plain(byte) => encoded.push(byte),
            byte => {
                encoded.push(b'%');
                encoded.extend(hexadecimal(byte, digits));
            }
        }
    }
    encoded
}
