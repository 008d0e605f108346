//! The decoder against itself under arbitrary chunkings, and against two other decoders.

use futures::{StreamExt, stream};
use prism_client::sse::{Decoder, TooLarge};
use proptest::prelude::*;

type Events = Vec<(String, String, String)>;

fn decode<'a>(
    limit: usize,
    chunks: impl IntoIterator<Item = &'a [u8]>,
) -> (Events, Result<String, TooLarge>) {
    let mut decoder = Decoder::new(limit);
    let mut events = Vec::new();
    for chunk in chunks {
        let mut input = chunk;
        loop {
            match decoder.next(&mut input) {
                Ok(Some(event)) => {
                    events.push((event.name.into(), event.data.into(), event.last_event_id.into()));
                }
                Ok(None) => break,
                Err(error) => return (events, Err(error)),
            }
        }
    }
    (events, Ok(decoder.last_event_id().to_owned()))
}

/// Cuts `body` at places that are taken modulo its length.
fn cut<'a>(body: &'a [u8], places: &[usize]) -> Vec<&'a [u8]> {
    let mut places: Vec<usize> = places.iter().map(|place| place % (body.len() + 1)).collect();
    places.extend([0, body.len()]);
    places.sort_unstable();
    places.windows(2).map(|pair| &body[pair[0]..pair[1]]).collect()
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

proptest! {
    #[test]
    fn the_cuts_do_not_matter(body in body(), places in proptest::collection::vec(any::<usize>(), 0..12)) {
        prop_assert_eq!(decode(1 << 20, cut(&body, &places)), decode(1 << 20, [&body[..]]));
    }

    #[test]
    fn the_cuts_do_not_matter_for_the_limit(
        body in body(),
        limit in 0_usize..64,
        places in proptest::collection::vec(any::<usize>(), 0..12),
    ) {
        prop_assert_eq!(decode(limit, cut(&body, &places)), decode(limit, [&body[..]]));
    }

    #[test]
    fn sse_core_agrees_on_every_body(
        body in body(),
        places in proptest::collection::vec(any::<usize>(), 0..12),
    ) {
        let mut other = sse_core::SseDecoder::new();
        let mut events = Vec::new();
        for chunk in cut(&body, &places) {
            let mut buffer = bytes::Bytes::copy_from_slice(chunk);
            while let Some(event) = other.next(&mut buffer) {
                if let sse_core::SseEvent::Message(message) = event.unwrap() {
                    let id = message.last_event_id.as_ref().map_or(String::new(), |id| id.to_string());
                    events.push((message.event.to_string(), message.data.to_string(), id));
                }
            }
        }
        prop_assert_eq!(decode(1 << 20, [&body[..]]).0, events);
    }

    #[test]
    fn eventsource_stream_agrees_on_plain_bodies(
        body in plain_body(),
        places in proptest::collection::vec(any::<usize>(), 0..12),
    ) {
        use eventsource_stream::Eventsource;
        let chunks: Vec<Result<Vec<u8>, std::io::Error>> =
            cut(&body, &places).into_iter().map(|chunk| Ok(chunk.to_vec())).collect();
        let events: Events = futures::executor::block_on(
            stream::iter(chunks)
                .eventsource()
                .map(|event| event.map(|event| (event.event, event.data, event.id)).unwrap())
                .collect(),
        );
        prop_assert_eq!(decode(1 << 20, [&body[..]]).0, events);
    }
}
