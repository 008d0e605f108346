//! Server-sent events: an encoder that cannot panic and cannot be made to forge a field.

use bytes::{BufMut, Bytes, BytesMut};

/// A comment that keeps proxies from closing a silent connection.
pub(crate) const HEARTBEAT: Bytes = Bytes::from_static(b": keep-alive\n\n");

/// What a stream ends with: when to come back, in milliseconds.
pub(crate) const GOODBYE: Bytes = Bytes::from_static(b": end of stream\nretry: 1000\n\n");

/// An event with a name, an id and data.
///
/// A line end in `data` starts a new `data` line, as the format wants; in `event` and `id`, and a NUL in
/// `id`, it is left out.
pub(crate) fn encode(event: &str, id: &str, data: &str) -> Bytes {
    let mut frame = BytesMut::with_capacity(event.len() + id.len() + data.len() + 24);
    field(&mut frame, "event", event);
    field(&mut frame, "id", id);
    for line in lines(data) {
        frame.put_slice(b"data: ");
        frame.put_slice(line.as_bytes());
        frame.put_u8(b'\n');
    }
    frame.put_u8(b'\n');
    frame.freeze()
}

/// A block without data: the client remembers the id and dispatches nothing.
pub(crate) fn position(id: &str) -> Bytes {
    let mut frame = BytesMut::with_capacity(id.len() + 8);
    field(&mut frame, "id", id);
    frame.put_u8(b'\n');
    frame.freeze()
}

fn field(frame: &mut BytesMut, name: &str, value: &str) {
    frame.put_slice(name.as_bytes());
    frame.put_slice(b": ");
    let harmless = |byte: &u8| !matches!(byte, b'\r' | b'\n' | 0);
    frame.extend(value.as_bytes().iter().filter(|byte| harmless(byte)));
    frame.put_u8(b'\n');
}

/// Splits at CR LF, CR and LF.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let Some(end) = text.find(['\r', '\n']) else {
            rest = None;
            return Some(text);
        };
        let skip = if text[end..].starts_with("\r\n") { 2 } else { 1 };
        rest = Some(&text[end + skip..]);
        Some(&text[..end])
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_frame_has_the_three_fields() {
        let frame = encode("token", "evt_a_1", r#"{"delta":"x"}"#);
        assert_eq!(frame, "event: token\nid: evt_a_1\ndata: {\"delta\":\"x\"}\n\n");
        assert_eq!(position("evt_a_0"), "id: evt_a_0\n\n");
    }

    #[test]
    fn every_line_end_in_data_starts_a_data_line() {
        let frame = encode("e", "i", "a\r\nb\rc\nd\n");
        assert_eq!(frame, "event: e\nid: i\ndata: a\ndata: b\ndata: c\ndata: d\ndata: \n\n");
    }

    proptest! {
        #[test]
        fn no_input_forges_a_field_or_an_end(event in any::<String>(), id in any::<String>(), data in any::<String>()) {
            let frame = encode(&event, &id, &data);
            let text = std::str::from_utf8(&frame).unwrap();
            let body = text.strip_suffix("\n\n").unwrap();
            let lines: Vec<_> = body.split('\n').collect();
            prop_assert!(!body.contains('\r'));
            prop_assert!(lines[0].starts_with("event: ") && lines[1].starts_with("id: "));
            prop_assert!(lines[2..].iter().all(|line| line.starts_with("data: ")) && lines.len() > 2);
        }
    }
}
