//! The decoder against itself under arbitrary chunkings, and against two other decoders.

mod sse;

use proptest::prelude::*;
use sse::{
    cases::{CASES, OTHERS},
    cut, decode, eventsource_stream, sse_core,
};

/// Larger than any body here.
const LIMIT: usize = 1 << 20;

fn places() -> impl Strategy<Value = Vec<usize>> {
    proptest::collection::vec(any::<usize>(), 0..12)
}

/// Bytes that are likely to mean something.
fn body() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"data".to_vec()),
        Just(b"data: ".to_vec()),
        Just(b"event: ".to_vec()),
        Just(b"id: ".to_vec()),
        Just(b"id".to_vec()),
        Just(b"retry: 12".to_vec()),
        Just(b":".to_vec()),
        Just(b" ".to_vec()),
        Just(b"\n".to_vec()),
        Just(b"\n\n".to_vec()),
        Just(b"\r".to_vec()),
        Just(b"\r\n".to_vec()),
        Just(b"\0".to_vec()),
        Just(b"\xEF\xBB\xBF".to_vec()),
        Just("\u{e9}\u{1f980}".as_bytes().to_vec()),
        proptest::collection::vec(any::<u8>(), 0..6),
        "[a-z0-9]{1,30}".prop_map(String::into_bytes),
    ];
    proptest::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

/// A body that every decoder should read alike: valid UTF-8, no byte order mark, LF or CR LF, no NUL.
fn plain_body() -> impl Strategy<Value = Vec<u8>> {
    let field = prop_oneof![
        "[a-z]{1,8}".prop_map(|name| format!("event: {name}")),
        "[a-z0-9\u{e9}]{1,8}".prop_map(|id| format!("id: {id}")),
        "[ -~\u{e9}\u{1f980}]{0,40}".prop_map(|text| format!("data: {text}")),
        "[ -~]{0,10}".prop_map(|text| format!(":{text}")),
    ];
    let block = proptest::collection::vec(field, 1..6);
    (proptest::collection::vec(block, 0..12), prop_oneof![Just("\n"), Just("\r\n")]).prop_map(
        |(blocks, end)| {
            let lines = blocks.iter().flat_map(|block| block.iter().map(String::as_str).chain([""]));
            lines.flat_map(|line| [line, end]).collect::<String>().into_bytes()
        },
    )
}

/// Blocks of the usual form, and some that nearly are: the decoder reads them in two ways.
fn usual_body() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![
        8 => Just("event: token".to_owned()),
        8 => "[a-z0-9_]{1,12}".prop_map(|id| format!("id: evt_{id}")),
        8 => "[ -~\u{e9}\u{1f980}]{0,40}".prop_map(|text| format!("data: {text}")),
        1 => "(event|id|data|retry|:|:x|data:|id:|id: \0|event:|data:  x|retry: 7|other: 1)",
    ];
    let end = prop_oneof![8 => Just("\n"), 1 => Just("\r\n"), 1 => Just("\r")];
    let block = (proptest::collection::vec(line, 1..5), end);
    proptest::collection::vec(block, 0..12).prop_map(|blocks| {
        let lines = blocks.iter().flat_map(|(block, end)| {
            block.iter().map(String::as_str).chain([""]).flat_map(move |line| [line, *end])
        });
        lines.collect::<String>().into_bytes()
    })
}

proptest! {
    #[test]
    fn every_case_holds_in_any_chunks(case in 0..CASES.len(), places in places()) {
        let case = &CASES[case];
        let chunks = cut(case.body, &places);
        prop_assert_eq!(decode(LIMIT, &chunks), case.expected(), "{}", case.name);
        for (name, other) in OTHERS {
            if case.wrong(name).is_none() {
                prop_assert_eq!(other(&chunks), Ok(case.events()), "{}: {}", name, case.name);
            }
        }
    }

    #[test]
    fn the_cuts_do_not_matter(body in body(), places in places()) {
        prop_assert_eq!(decode(LIMIT, &cut(&body, &places)), decode(LIMIT, &[&body]));
    }

    #[test]
    fn the_cuts_of_usual_blocks_do_not_matter(body in usual_body(), places in places()) {
        let bytes: Vec<_> = body.chunks(1).collect();
        let expected = decode(LIMIT, &bytes);
        prop_assert_eq!(decode(LIMIT, &cut(&body, &places)), expected);
    }

    #[test]
    fn the_cuts_do_not_matter_for_the_limit(
        body in prop_oneof![body(), usual_body()],
        limit in 0_usize..64,
        places in places(),
    ) {
        prop_assert_eq!(decode(limit, &cut(&body, &places)), decode(limit, &[&body]));
    }

    #[test]
    fn sse_core_agrees_on_every_body(body in prop_oneof![body(), usual_body()], places in places()) {
        prop_assert_eq!(sse_core(&cut(&body, &places)), Ok(decode(LIMIT, &[&body]).events));
    }

    #[test]
    fn eventsource_stream_agrees_on_plain_bodies(body in plain_body(), places in places()) {
        prop_assert_eq!(eventsource_stream(&cut(&body, &places)), Ok(decode(LIMIT, &[&body]).events));
    }
}
