//! The 22 cases: what the WHATWG standard asks of a decoder, one rule each.

use std::time::Duration;

use super::{Decoded, Events, Other, eventsource_stream, sse_core};

/// A body and what it means.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) body: &'static [u8],
    /// Name, data and last event id of each event.
    events: &'static [(&'static str, &'static str, &'static str)],
    last_event_id: &'static str,
    /// In milliseconds.
    retry: Option<u64>,
    /// Which of the other decoders does otherwise, and how.
    pub(crate) wrong: &'static [(&'static str, Wrong)],
}

/// How another decoder does not follow the standard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// It panics, so that it cannot be asked.
    Panics,
    /// It gives up with an error.
    Fails,
    /// It yields other events.
    Differs,
}

/// The other decoders, by name.
pub(crate) const OTHERS: [(&str, Other); 2] =
    [("eventsource-stream", eventsource_stream), ("sse-core", sse_core)];

impl Case {
    pub(crate) fn events(&self) -> Events {
        let owned = |(name, data, id): &(&str, &str, &str)| ((*name).into(), (*data).into(), (*id).into());
        self.events.iter().map(owned).collect()
    }

    pub(crate) fn expected(&self) -> Decoded {
        Decoded {
            events: self.events(),
            last_event_id: Ok(self.last_event_id.into()),
            retry: self.retry.map(Duration::from_millis),
        }
    }

    /// How a decoder is wrong about this case, if it is.
    pub(crate) fn wrong(&self, other: &str) -> Option<Wrong> {
        self.wrong.iter().find(|(name, _)| *name == other).map(|(_, wrong)| *wrong)
    }
}

const PANICS: (&str, Wrong) = ("eventsource-stream", Wrong::Panics);
const FAILS: (&str, Wrong) = ("eventsource-stream", Wrong::Fails);
const DIFFERS: (&str, Wrong) = ("eventsource-stream", Wrong::Differs);

pub(crate) const CASES: [Case; 22] = [
    Case {
        name: "leading byte order mark",
        body: "\u{feff}data: a\n\n\u{feff}data: b\n\ndata: c\n\n".as_bytes(),
        events: &[("message", "a", ""), ("message", "c", "")],
        last_event_id: "",
        retry: None,
        wrong: &[PANICS],
    },
    Case {
        name: "byte order mark in several chunks",
        body: "\u{feff}id: 1\ndata: a\n\n".as_bytes(),
        events: &[("message", "a", "1")],
        last_event_id: "1",
        retry: None,
        wrong: &[PANICS],
    },
    Case {
        name: "carriage returns end lines",
        body: b"event: e\rid: 1\rdata: a\rdata: b\r\rdata: c\r\r",
        events: &[("e", "a\nb", "1"), ("message", "c", "1")],
        last_event_id: "1",
        retry: None,
        wrong: &[DIFFERS],
    },
    Case {
        name: "carriage return and line feed in two chunks are one end",
        body: b"data: a\r\ndata: b\r\n\r\ndata: c\r\n\r\n",
        events: &[("message", "a\nb", ""), ("message", "c", "")],
        last_event_id: "",
        retry: None,
        wrong: &[],
    },
    Case {
        name: "comments make no event",
        body: b": one\n:\n\n:two\n\ndata: a\n: between\n\n",
        events: &[("message", "a", "")],
        last_event_id: "",
        retry: None,
        wrong: &[],
    },
    Case {
        name: "a field without colon has an empty value",
        body: b"data\n\ndata\ndata\n\n",
        events: &[("message", "", ""), ("message", "\n", "")],
        last_event_id: "",
        retry: None,
        wrong: &[],
    },
    Case {
        name: "an empty data line dispatches",
        body: b"data:\n\ndata: \n\n",
        events: &[("message", "", ""), ("message", "", "")],
        last_event_id: "",
        retry: None,
        wrong: &[],
    },
    Case {
        name: "unknown fields are ignored",
        body: b"foo: 1\ndatax: 2\ndata : 3\nDATA: 4\n data: 5\ndata: a\nids: 6\n\n",
        events: &[("message", "a", "")],
        last_event_id: "",
        retry: None,
        wrong: &[],
    },
    Case {
        name: "the last event field wins",
        body: b"event: a\nevent: b\ndata: x\n\nevent: c\nevent\ndata: y\n\n",
        events: &[("b", "x", ""), ("message", "y", "")],
        last_event_id: "",
        retry: None,
        wrong: &[],
    },
    Case {
        name: "the last id field wins",
        body: b"id: 1\ndata: x\nid: 2\n\n",
        events: &[("message", "x", "2")],
        last_event_id: "2",
        retry: None,
        wrong: &[],
    },
    Case {
        name: "an id persists",
        body: b"id: 1\ndata: x\n\ndata: y\n\n",
        events: &[("message", "x", "1"), ("message", "y", "1")],
        last_event_id: "1",
        retry: None,
        wrong: &[],
    },
    Case {
        name: "a block with only an id persists",
        body: b"id: 7\n\ndata: y\n\nid: 8\n\n",
        events: &[("message", "y", "7")],
        last_event_id: "8",
        retry: None,
        wrong: &[],
    },
    Case {
        name: "an empty id resets",
        body: b"id: 1\ndata: x\n\nid\ndata: y\n\nid: 2\n\nid:\n\n",
        events: &[("message", "x", "1"), ("message", "y", "")],
        last_event_id: "",
        retry: None,
        wrong: &[],
    },
    Case {
        name: "an id with NUL is ignored",
        body: b"id: 1\ndata: x\n\nid: 2\0\ndata: y\n\n",
        events: &[("message", "x", "1"), ("message", "y", "1")],
        last_event_id: "1",
        retry: None,
        wrong: &[],
    },
    Case {
        name: "a bad retry is ignored",
        body: b"retry: 250\nretry: 1s\nretry: -1\nretry:\nretry\ndata: x\n\n",
        events: &[("message", "x", "")],
        last_event_id: "",
        retry: Some(250),
        wrong: &[],
    },
    Case {
        name: "an event without data is dropped with its name",
        body: b"event: lost\n\ndata: x\n\n",
        events: &[("message", "x", "")],
        last_event_id: "",
        retry: None,
        wrong: &[],
    },
    Case {
        name: "only one leading space is stripped",
        body: b"data:a\ndata: b\ndata:  c\ndata:\td\ndata: e \n\n",
        events: &[("message", "a\nb\n c\n\td\ne ", "")],
        last_event_id: "",
        retry: None,
        wrong: &[],
    },
    Case {
        name: "data lines are joined",
        body: b"data: a\ndata\ndata: b\ndata:\n\n",
        events: &[("message", "a\n\nb\n", "")],
        last_event_id: "",
        retry: None,
        wrong: &[],
    },
    Case {
        name: "characters in several chunks",
        body: "event: gr\u{fc}n\nid: \u{e9}vt\ndata: \u{65e5}\u{672c} \u{1f980}\n\n".as_bytes(),
        events: &[("gr\u{fc}n", "\u{65e5}\u{672c} \u{1f980}", "\u{e9}vt")],
        last_event_id: "\u{e9}vt",
        retry: None,
        wrong: &[],
    },
    Case {
        name: "invalid UTF-8 is replaced and the stream goes on",
        body: b"event: a\xFFb\nid: \xC3\ndata: x\xF0\x9F\ndata: \xED\xA0\x80\n\ndata: y\n\n",
        events: &[
            ("a\u{fffd}b", "x\u{fffd}\n\u{fffd}\u{fffd}\u{fffd}", "\u{fffd}"),
            ("message", "y", "\u{fffd}"),
        ],
        last_event_id: "\u{fffd}",
        retry: None,
        wrong: &[FAILS],
    },
    Case {
        name: "an incomplete last event is dropped",
        body: b"id: 1\ndata: x\n\nid: 2\ndata: y\n",
        events: &[("message", "x", "1")],
        last_event_id: "1",
        retry: None,
        wrong: &[],
    },
    Case {
        name: "one byte at a time",
        body: b"event: e\nid: 1\nretry: 7\ndata: {\"a\":1}\n: c\n\ndata: b\ndata: c\n\nid: 2\n\n",
        events: &[("e", "{\"a\":1}", "1"), ("message", "b\nc", "1")],
        last_event_id: "2",
        retry: Some(7),
        wrong: &[],
    },
];
