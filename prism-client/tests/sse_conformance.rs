//! The decoder against the rules of the WHATWG standard: each case whole, cut in two at every place, and one
//! byte at a time.

use std::time::Duration;

use prism_client::sse::Decoder;

/// What a body decodes to: events as (name, data, last event id), then the last event id and the
/// reconnection time at the end.
#[derive(Debug, PartialEq, Eq)]
struct Decoded {
    events: Vec<(String, String, String)>,
    last_event_id: String,
    retry: Option<Duration>,
}

fn decode<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Decoded {
    let mut decoder = Decoder::new(8 << 20);
    let mut events = Vec::new();
    for chunk in chunks {
        let mut input = chunk;
        while let Some(event) = decoder.next(&mut input).expect("no event is too large") {
            events.push((event.name.into(), event.data.into(), event.last_event_id.into()));
        }
        assert!(input.is_empty());
    }
    Decoded { events, last_event_id: decoder.last_event_id().to_owned(), retry: decoder.retry() }
}

#[track_caller]
fn check(body: impl AsRef<[u8]>, events: &[(&str, &str, &str)], last_event_id: &str, retry: Option<u64>) {
    let body = body.as_ref();
    let expected = Decoded {
        events: events
            .iter()
            .map(|(name, data, id)| ((*name).into(), (*data).into(), (*id).into()))
            .collect(),
        last_event_id: last_event_id.into(),
        retry: retry.map(Duration::from_millis),
    };
    assert_eq!(decode([body]), expected, "whole");
    assert_eq!(decode(body.chunks(1)), expected, "byte at a time");
    for cut in 0..=body.len() {
        let (left, right) = body.split_at(cut);
        assert_eq!(decode([left, right]), expected, "cut at {cut}");
        assert_eq!(decode([left, b"", right]), expected, "cut at {cut} with an empty chunk between");
    }
}

#[test]
fn leading_byte_order_mark_is_skipped_once() {
    check(
        "\u{feff}data: a\n\n\u{feff}data: b\n\ndata: c\n\n",
        &[("message", "a", ""), ("message", "c", "")],
        "",
        None,
    );
}

#[test]
fn part_of_a_byte_order_mark_is_not_one() {
    check(b"\xEF\xBBdata: a\n\ndata: b\n\n", &[("message", "b", "")], "", None);
}

#[test]
fn carriage_returns_end_lines() {
    check(
        "event: e\rid: 1\rdata: a\rdata: b\r\rdata: c\r\r",
        &[("e", "a\nb", "1"), ("message", "c", "1")],
        "1",
        None,
    );
}

#[test]
fn carriage_return_and_line_feed_are_one_end() {
    check(
        "data: a\r\ndata: b\r\n\r\ndata: c\r\n\r\n",
        &[("message", "a\nb", ""), ("message", "c", "")],
        "",
        None,
    );
}

#[test]
fn line_ends_may_be_mixed() {
    check(
        "data: a\r\ndata: b\n\rdata: c\r\n\ndata: d\n\r\n",
        &[("message", "a\nb", ""), ("message", "c", ""), ("message", "d", "")],
        "",
        None,
    );
}

#[test]
fn comments_make_no_event() {
    check(": one\n:\n\n:two\n\ndata: a\n: between\n\n", &[("message", "a", "")], "", None);
}

#[test]
fn a_field_without_colon_has_an_empty_value() {
    check("data\n\ndata\ndata\n\n", &[("message", "", ""), ("message", "\n", "")], "", None);
}

#[test]
fn an_empty_data_line_dispatches() {
    check("data:\n\ndata: \n\n", &[("message", "", ""), ("message", "", "")], "", None);
}

#[test]
fn unknown_fields_are_ignored() {
    check(
        "foo: 1\ndatax: 2\ndata : 3\nDATA: 4\n data: 5\ndata: a\nids: 6\n\n",
        &[("message", "a", "")],
        "",
        None,
    );
}

#[test]
fn the_last_event_field_wins() {
    check(
        "event: a\nevent: b\ndata: x\n\nevent: c\nevent\ndata: y\n\n",
        &[("b", "x", ""), ("message", "y", "")],
        "",
        None,
    );
}

#[test]
fn the_last_id_field_wins() {
    check("id: 1\ndata: x\nid: 2\n\n", &[("message", "x", "2")], "2", None);
}

#[test]
fn an_id_persists() {
    check("id: 1\ndata: x\n\ndata: y\n\n", &[("message", "x", "1"), ("message", "y", "1")], "1", None);
}

#[test]
fn a_block_with_only_an_id_persists() {
    check("id: 7\n\ndata: y\n\nid: 8\n\n", &[("message", "y", "7")], "8", None);
}

#[test]
fn an_empty_id_resets() {
    check(
        "id: 1\ndata: x\n\nid\ndata: y\n\nid: 2\n\nid:\n\n",
        &[("message", "x", "1"), ("message", "y", "")],
        "",
        None,
    );
}

#[test]
fn an_id_with_nul_is_ignored() {
    check(
        "id: 1\ndata: x\n\nid: 2\0\ndata: y\n\n",
        &[("message", "x", "1"), ("message", "y", "1")],
        "1",
        None,
    );
}

#[test]
fn a_bad_retry_is_ignored() {
    check(
        "retry: 250\nretry: 1s\nretry: -1\nretry:\nretry\ndata: x\n\n",
        &[("message", "x", "")],
        "",
        Some(250),
    );
}

#[test]
fn a_retry_needs_no_block_end() {
    check("retry: 10\nretry: 20\n", &[], "", Some(20));
}

#[test]
fn an_event_without_data_is_dropped_with_its_name() {
    check("event: lost\n\ndata: x\n\n", &[("message", "x", "")], "", None);
}

#[test]
fn only_one_leading_space_is_stripped() {
    check(
        "data:a\ndata: b\ndata:  c\ndata:\td\ndata: e \n\n",
        &[("message", "a\nb\n c\n\td\ne ", "")],
        "",
        None,
    );
}

#[test]
fn data_lines_are_joined() {
    check("data: a\ndata\ndata: b\ndata:\n\n", &[("message", "a\n\nb\n", "")], "", None);
}

#[test]
fn characters_may_be_cut() {
    check("event: grün\nid: évt\ndata: 日本 🦀\n\n", &[("grün", "日本 🦀", "évt")], "évt", None);
}

#[test]
fn invalid_utf_8_is_replaced_and_the_stream_goes_on() {
    check(
        b"event: a\xFFb\nid: \xC3\ndata: x\xF0\x9F\ndata: \xED\xA0\x80\n\ndata: y\n\n",
        &[("a\u{fffd}b", "x\u{fffd}\n\u{fffd}\u{fffd}\u{fffd}", "\u{fffd}"), ("message", "y", "\u{fffd}")],
        "\u{fffd}",
        None,
    );
}

#[test]
fn an_incomplete_last_event_is_dropped() {
    check("id: 1\ndata: x\n\nid: 2\ndata: y\n", &[("message", "x", "1")], "1", None);
    check("data: x\n\nretry: 5", &[("message", "x", "")], "", None);
}

#[test]
fn nothing_is_no_event() {
    check("", &[], "", None);
    check("\n\n\r\n\r", &[], "", None);
}

#[test]
fn a_long_line_in_small_chunks_takes_linear_time() {
    // With a search from the start of the line for each chunk this would take hours.
    let body = format!("data: {}\n\n", "x".repeat(4 << 20));
    assert_eq!(decode(body.as_bytes().chunks(7)).events[0].1.len(), 4 << 20);
}
