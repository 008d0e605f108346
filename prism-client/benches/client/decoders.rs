//! The decoders, each behind one function: every one reads the same stream of chunks through its public
//! interface.

use std::{convert::Infallible, hint::black_box, num::NonZeroUsize};

use bytes::Bytes;
use eventsource_stream::Eventsource;
use futures::{FutureExt, Stream, StreamExt, stream};
use prism_client::{
    sse::Decoder,
    types::{Event, EventId, EventPayload},
};

use crate::bodies::Tally;

/// The largest event that a decoder with a limit has to take, in bytes.
const LIMIT: usize = 8 << 20;

/// The chunks as they come from a connection that is always ready.
fn arriving(chunks: &[Bytes]) -> impl Stream<Item = Result<Bytes, Infallible>> + Unpin {
    stream::iter(chunks.iter().cloned().map(Ok))
}

fn at_once<T>(work: impl Future<Output = T>) -> T {
    work.now_or_never().expect("everything is there")
}

/// Prism's, in its lending form.
pub(crate) fn prism(chunks: &[Bytes]) -> Tally {
    at_once(async {
        let (mut decoder, mut stream, mut tally) = (Decoder::new(LIMIT), arriving(chunks), Tally::default());
        while let Some(Ok(chunk)) = stream.next().await {
            let mut input = &chunk[..];
            while let Some(event) = decoder.next(&mut input).unwrap() {
                tally.add(&black_box(event).data);
            }
        }
        tally
    })
}

/// Prism's, with every event read into its type, as `EventStream` does.
pub(crate) fn prism_typed(chunks: &[Bytes]) -> Tally {
    at_once(async {
        let (mut decoder, mut stream, mut tally) = (Decoder::new(LIMIT), arriving(chunks), Tally::default());
        while let Some(Ok(chunk)) = stream.next().await {
            let mut input = &chunk[..];
            while let Some(event) = decoder.next(&mut input).unwrap() {
                let id: EventId = event.last_event_id.parse().unwrap();
                let payload = EventPayload::decode(&event.name, &event.data).unwrap();
                tally.add(&event.data);
                black_box(Event::new(id, payload));
            }
        }
        tally
    })
}

pub(crate) fn eventsource_stream(chunks: &[Bytes]) -> Tally {
    at_once(async {
        let (mut stream, mut tally) = (arriving(chunks).eventsource(), Tally::default());
        while let Some(event) = stream.next().await {
            tally.add(&black_box(event.unwrap()).data);
        }
        tally
    })
}

pub(crate) fn sse_stream(chunks: &[Bytes]) -> Tally {
    at_once(async {
        let (mut stream, mut tally) =
            (sse_stream_0_3::SseByteStream::new(arriving(chunks)), Tally::default());
        while let Some(event) = stream.next().await {
            tally.add(black_box(event.unwrap()).data.as_deref().unwrap());
        }
        tally
    })
}

pub(crate) fn sse_core(chunks: &[Bytes]) -> Tally {
    at_once(async {
        let limit = NonZeroUsize::new(LIMIT).unwrap();
        let mut decoder = sse_core::SseDecoder::with_limit(limit);
        let (mut stream, mut tally) = (arriving(chunks), Tally::default());
        while let Some(Ok(mut chunk)) = stream.next().await {
            while let Some(event) = decoder.next(&mut chunk) {
                if let sse_core::SseEvent::Message(message) = black_box(event.unwrap()) {
                    tally.add(&message.data);
                }
            }
        }
        tally
    })
}

/// A bound: every line end is found, and nothing is done with it.
pub(crate) fn line_ends(chunks: &[Bytes]) {
    for chunk in chunks {
        black_box(memchr::memchr2_iter(b'\n', b'\r', black_box(chunk)).fold(0, |sum, place| sum ^ place));
    }
}

/// A bound: every chunk is checked to be UTF-8, and nothing is done with it.
pub(crate) fn utf_8(chunks: &[Bytes]) {
    for chunk in chunks {
        black_box(std::str::from_utf8(black_box(chunk)).unwrap());
    }
}
