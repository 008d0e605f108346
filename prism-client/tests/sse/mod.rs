//! What the tests of the decoder share: one way to run ours and two others, and the ways to cut a body.

#![allow(dead_code, reason = "each test file uses a part")]

pub(crate) mod cases;

use std::{num::NonZeroUsize, time::Duration};

use futures::{FutureExt, StreamExt, stream};
use prism_client::sse::{Decoder, TooLarge};

/// Events as (name, data, last event id).
pub(crate) type Events = Vec<(String, String, String)>;

/// What a body decodes to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Decoded {
    pub(crate) events: Events,
    /// The last event id at the end, or why there is no end.
    pub(crate) last_event_id: Result<String, TooLarge>,
    /// The reconnection time at the end.
    pub(crate) retry: Option<Duration>,
}

/// Decodes with ours.
pub(crate) fn decode(limit: usize, chunks: &[&[u8]]) -> Decoded {
    let mut decoder = Decoder::new(limit);
    let mut events = Vec::new();
    let mut result = Ok(());
    'chunks: for chunk in chunks {
        let mut input = *chunk;
        loop {
            match decoder.next(&mut input) {
                Ok(Some(event)) => {
                    events.push((event.name.into(), event.data.into(), event.last_event_id.into()));
                }
                Ok(None) => break,
                Err(error) => {
                    result = Err(error);
                    break 'chunks;
                }
            }
        }
        assert!(input.is_empty());
    }
    let last_event_id = result.map(|()| decoder.last_event_id().to_owned());
    Decoded { events, last_event_id, retry: decoder.retry() }
}

/// Another decoder: its events, or why it gave up.
pub(crate) type Other = fn(&[&[u8]]) -> Result<Events, String>;

pub(crate) fn sse_core(chunks: &[&[u8]]) -> Result<Events, String> {
    let mut decoder = sse_core::SseDecoder::with_limit(NonZeroUsize::MAX);
    let mut events = Vec::new();
    for chunk in chunks {
        let mut buffer = *chunk;
        while let Some(event) = decoder.next(&mut buffer) {
            if let sse_core::SseEvent::Message(message) = event.map_err(|error| error.to_string())? {
                let id = message.last_event_id.map_or(String::new(), |id| id.to_string());
                events.push((message.event.into(), message.data, id));
            }
        }
    }
    Ok(events)
}

pub(crate) fn eventsource_stream(chunks: &[&[u8]]) -> Result<Events, String> {
    use eventsource_stream::Eventsource;
    let chunks: Vec<Result<Vec<u8>, std::io::Error>> =
        chunks.iter().map(|chunk| Ok(chunk.to_vec())).collect();
    let events = stream::iter(chunks)
        .eventsource()
        .map(|event| {
            event.map(|event| (event.event, event.data, event.id)).map_err(|error| error.to_string())
        })
        .collect::<Vec<_>>();
    events.now_or_never().expect("everything is there").into_iter().collect()
}

/// Cuts `body` at places that are taken modulo its length.
pub(crate) fn cut<'a>(body: &'a [u8], places: &[usize]) -> Vec<&'a [u8]> {
    let mut places: Vec<usize> = places.iter().map(|place| place % (body.len() + 1)).collect();
    places.extend([0, body.len()]);
    places.sort_unstable();
    places.windows(2).map(|pair| &body[pair[0]..pair[1]]).collect()
}

/// The body whole, one byte at a time, and cut in two at every place, also with an empty chunk between.
pub(crate) fn simple_cuts(body: &[u8]) -> impl Iterator<Item = Vec<&[u8]>> {
    let halves = (0..=body.len()).flat_map(|place| [cut(body, &[place]), cut(body, &[place, place])]);
    [vec![body], body.chunks(1).collect()].into_iter().chain(halves)
}

/// The body cut in three at every pair of places.
pub(crate) fn pairs_of_cuts(body: &[u8]) -> impl Iterator<Item = Vec<&[u8]>> {
    (0..=body.len())
        .flat_map(move |first| (first..=body.len()).map(move |second| cut(body, &[first, second])))
}
