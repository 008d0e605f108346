//! The decoder against the rules of the WHATWG standard: each case whole, one byte at a time, and cut at every
//! place and every pair of places. Two other decoders have to agree, except where they are known to be wrong.

mod sse;

use sse::{
    Decoded,
    cases::{CASES, OTHERS, Wrong},
    decode, pairs_of_cuts, simple_cuts,
};

/// Larger than any body here.
const LIMIT: usize = 8 << 20;

#[test]
fn every_case_holds_however_it_is_cut() {
    for case in &CASES {
        for chunks in simple_cuts(case.body).chain(pairs_of_cuts(case.body)) {
            assert_eq!(decode(LIMIT, &chunks), case.expected(), "{}, in chunks {chunks:?}", case.name);
        }
    }
}

#[test]
fn other_decoders_agree_or_are_known_to_be_wrong() {
    for case in &CASES {
        for (name, other) in OTHERS {
            let what = format!("{name}: {}", case.name);
            match case.wrong(name) {
                None => {
                    for chunks in simple_cuts(case.body) {
                        assert_eq!(other(&chunks), Ok(case.events()), "{what}, in chunks {chunks:?}");
                    }
                }
                // The list must not grow old: what was mended has to be taken off it.
                Some(Wrong::Differs) => {
                    assert!(other(&[case.body]).is_ok_and(|events| events != case.events()), "{what}");
                }
                Some(Wrong::Fails) => assert!(other(&[case.body]).is_err(), "{what}"),
                Some(Wrong::Panics) => {}
            }
        }
    }
}

#[track_caller]
fn check(body: impl AsRef<[u8]>, events: &[(&str, &str, &str)]) {
    let owned = |(name, data, id): &(&str, &str, &str)| ((*name).into(), (*data).into(), (*id).into());
    let events: sse::Events = events.iter().map(owned).collect();
    for chunks in simple_cuts(body.as_ref()) {
        let Decoded { events: decoded, .. } = decode(LIMIT, &chunks);
        assert_eq!(decoded, events, "in chunks {chunks:?}");
    }
}

#[test]
fn part_of_a_byte_order_mark_is_not_one() {
    check(b"\xEF\xBBdata: a\n\ndata: b\n\n", &[("message", "b", "")]);
}

#[test]
fn line_ends_may_be_mixed() {
    check(
        "data: a\r\ndata: b\n\rdata: c\r\n\ndata: d\n\r\n",
        &[("message", "a\nb", ""), ("message", "c", ""), ("message", "d", "")],
    );
}

#[test]
fn a_retry_needs_no_block_end() {
    for chunks in simple_cuts(b"retry: 10\nretry: 20\n") {
        assert_eq!(decode(LIMIT, &chunks).retry, Some(std::time::Duration::from_millis(20)), "{chunks:?}");
    }
}

#[test]
fn a_body_may_end_within_any_line() {
    check("data: x\n\nretry: 5", &[("message", "x", "")]);
    check("data: x\n\ndata: y\n\r", &[("message", "x", ""), ("message", "y", "")]);
}

#[test]
fn nothing_is_no_event() {
    check("", &[]);
    check("\n\n\r\n\r", &[]);
}

#[test]
fn a_long_line_in_small_chunks_takes_linear_time() {
    // With a search from the start of the line for each chunk this would take hours.
    let body = format!("data: {}\n\n", "x".repeat(4 << 20));
    let chunks: Vec<_> = body.as_bytes().chunks(7).collect();
    assert_eq!(decode(LIMIT, &chunks).events[0].1.len(), 4 << 20);
}
