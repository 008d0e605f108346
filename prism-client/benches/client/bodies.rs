//! The event streams that are read.

use bytes::Bytes;

/// A body that came in chunks, and what is in it.
pub(crate) struct Body {
    pub(crate) name: &'static str,
    pub(crate) chunks: Vec<Bytes>,
    pub(crate) expected: Tally,
    /// The length of all chunks together.
    pub(crate) size: usize,
}

/// What was read: every reader of a body has to come to the same.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) events: usize,
    /// The sum of the lengths of all `data` fields.
    pub(crate) data: usize,
}

impl Body {
    /// `token` events of 200 bytes as the server writes them, in chunks of a network packet.
    pub(crate) fn tokens() -> Self {
        Self::of("200 B events, 1400 B chunks", 50_000, &text(38), 1400)
    }

    /// The same with a line end and quotes in every piece of text, which JSON has to escape.
    pub(crate) fn escaped_tokens() -> Self {
        let delta = format!(r#"\n\"{}\""#, text(32));
        Self::of("200 B events with escapes, 1400 B chunks", 50_000, &delta, 1400)
    }

    /// The bodies that decoders are compared with.
    pub(crate) fn all() -> [Self; 4] {
        [
            Self::tokens(),
            Self::of("4 KB events, 1400 B chunks", 2_500, &text(3_934), 1400),
            Self::of("4 KB events, 16 KiB chunks", 2_500, &text(3_934), 16 << 10),
            Self::of("1 MiB events, 16 KiB chunks", 4, &text((1 << 20) - 162), 16 << 10),
        ]
    }

    /// Events with this JSON text; the rest of an event is 162 bytes.
    fn of(name: &'static str, events: usize, delta: &str, chunk: usize) -> Self {
        let data = format!(
            r#"{{"run_id":"run_01jxk3v9qpf8r2m4t6w8y0a1b2","thread_id":"thr_01jxk3v9qpf8r2m4t6w8y0a1b3","delta":"{delta}"}}"#
        );
        let body: String = (0..events)
            .map(|number| {
                let number = 100_000 + number;
                format!("event: token\nid: evt_01jxk3v9qpf8r2m4t6w8y0a1b4_{number}\ndata: {data}\n\n")
            })
            .collect();
        let expected = Tally { events, data: events * data.len() };
        let body = Bytes::from(body);
        let size = body.len();
        let chunks =
            (0..size).step_by(chunk).map(|start| body.slice(start..size.min(start + chunk))).collect();
        Self { name, chunks, expected, size }
    }
}

fn text(length: usize) -> String {
    "The quick brown fox jumps over the lazy dog. ".chars().cycle().take(length).collect()
}

impl Tally {
    pub(crate) fn add(&mut self, data: &str) {
        self.events += 1;
        self.data += data.len();
    }
}
