//! A decoder of server-sent events that lends instead of copying.
//!
//! [`Decoder`] turns the bytes of a `text/event-stream` body, cut anywhere, into [`Event`]s, by the rules of
//! the [WHATWG HTML standard, section 9.2](https://html.spec.whatwg.org/multipage/server-sent-events.html):
//! a byte order mark is skipped, lines end with LF, CR or CR LF, invalid UTF-8 becomes U+FFFD, the last event
//! id survives until it is replaced, and an event that is incomplete at the end of the body is dropped.
//!
//! It does no I/O and knows no clock; [`EventStream`](crate::EventStream) is built on it. Three properties
//! are deliberate:
//!
//! * **It lends.** An event that lies within one chunk borrows from that chunk. One that was cut borrows from
//!   a buffer that is reused, so that a steady stream allocates nothing.
//! * **It is linear.** What was searched for a line end is not searched again when the next chunk comes, so
//!   that a line of megabytes in small chunks costs no more than the same bytes in short lines.
//! * **It is bounded.** An event larger than the limit is an error before it is in memory.
//!
//! ```
//! use prism_client::sse::Decoder;
//!
//! let mut decoder = Decoder::new(64 * 1024);
//! let mut deltas = Vec::new();
//! for chunk in ["id: evt_1\neve", "nt: token\ndata: {\"delta\"", ":\"Hi\"}\n\n"] {
//!     let mut input = chunk.as_bytes();
//!     while let Some(event) = decoder.next(&mut input)? {
//!         deltas.push((event.name.into_owned(), event.data.into_owned()));
//!     }
//! }
//! assert_eq!(deltas, [("token".to_owned(), r#"{"delta":"Hi"}"#.to_owned())]);
//! assert_eq!(decoder.last_event_id(), "evt_1");
//! # Ok::<(), prism_client::sse::TooLarge>(())
//! ```

mod block;
mod decoder;
mod whole;

pub use decoder::{Decoder, Event, TooLarge};
