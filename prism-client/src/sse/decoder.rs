//! The decoder: finds the lines and hands out the events.

use std::{borrow::Cow, mem, time::Duration};

use memchr::memchr2;

use super::{
    block::{Block, Data, Line},
    whole,
};

const BYTE_ORDER_MARK: [u8; 3] = [0xEF, 0xBB, 0xBF];

/// Turns the chunks of a `text/event-stream` body into events; see the [module](crate::sse).
#[derive(Debug)]
pub struct Decoder {
    limit: usize,
    last_event_id: String,
    retry: Option<Duration>,
    block: Block,
    /// The block's bytes so far, when it began in an earlier chunk; empty when it began in this one.
    carry: Vec<u8>,
    /// The data of a block that has more than one `data` line.
    joined: Vec<u8>,
    /// The carried block was handed out and is to be forgotten on the next call.
    carry_is_spent: bool,
    /// How much of a byte order mark was seen at the start of the body; `None` after the start.
    mark: Option<usize>,
    /// The last byte was a CR, so that an LF that follows belongs to it.
    after_cr: bool,
    failed: bool,
}

/// An event, borrowed from the chunk or from the decoder.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Event<'a> {
    /// The `event` field; `message` when there was none. Owned only when it was not valid UTF-8.
    pub name: Cow<'a, str>,
    /// The `data` lines, put together with LF. Owned only when they were not valid UTF-8.
    pub data: Cow<'a, str>,
    /// The last event id as of this event; empty when there never was one.
    pub last_event_id: &'a str,
    /// Whether the event has an `id` field of its own, rather than one from before.
    pub has_id: bool,
}

/// An event is larger than the decoder's limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event is larger than {limit} bytes")]
#[non_exhaustive]
pub struct TooLarge {
    /// The limit in bytes.
    pub limit: usize,
}

/// Where a complete block lies.
enum Place<'a> {
    Chunk(&'a [u8]),
    Carry,
}

impl Decoder {
    /// A decoder at the start of a body, for events of at most `limit` bytes.
    ///
    /// What counts are the lines with `event`, `data` and `id` fields, without their line ends; besides, no
    /// single line, whatever it is, may be longer than the limit.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            last_event_id: String::new(),
            retry: None,
            block: Block::default(),
            carry: Vec::new(),
            joined: Vec::new(),
            carry_is_spent: false,
            mark: Some(0),
            after_cr: false,
            failed: false,
        }
    }

    /// The next event that is complete, taking what it needs from the front of `input`.
    ///
    /// `None` says that all of `input` was taken and that more is needed. Call until then, or else hand in
    /// what is left of `input` again.
    ///
    /// # Errors
    /// [`TooLarge`], and from then on always, since what follows cannot be told from the rest of that event.
    pub fn next<'a, 'input: 'a>(
        &'a mut self,
        input: &mut &'input [u8],
    ) -> Result<Option<Event<'a>>, TooLarge> {
        let whole = if self.is_between_blocks() { whole::read(input, self.limit) } else { None };
        if let Some(whole) = whole {
            *input = &input[whole.length..];
            if let Some(id) = whole.id {
                self.last_event_id.clear();
                self.last_event_id.push_str(id);
            }
            let name = if whole.name.is_empty() { "message" } else { whole.name };
            let has_id = whole.id.is_some();
            let (name, data) = (Cow::Borrowed(name), Cow::Borrowed(whole.data));
            return Ok(Some(Event { name, data, last_event_id: &self.last_event_id, has_id }));
        }
        let Some(place) = self.find(input)? else { return Ok(None) };
        let bytes = match place {
            Place::Chunk(bytes) => bytes,
            Place::Carry => {
                self.carry_is_spent = true;
                &self.carry
            }
        };
        let block = mem::take(&mut self.block);
        let data = match block.data {
            Data::One(range) => text(&bytes[range]),
            _ => text(&self.joined),
        };
        let name = if block.name.is_empty() { Cow::Borrowed("message") } else { text(&bytes[block.name]) };
        let has_id = block.id.is_some();
        Ok(Some(Event { name, data, last_event_id: &self.last_event_id, has_id }))
    }

    /// The last event id: what a `Last-Event-ID` header resumes after. Empty when there is none.
    ///
    /// A block with nothing but an `id` field changes it although it makes no event.
    pub fn last_event_id(&self) -> &str {
        &self.last_event_id
    }

    /// The reconnection time that the last valid `retry` field asked for.
    pub fn retry(&self) -> Option<Duration> {
        self.retry
    }

    /// Whether the next byte is the first of a block, and nothing is left of what came before.
    fn is_between_blocks(&self) -> bool {
        (self.carry.is_empty() || self.carry_is_spent)
            && self.block.line == 0
            && self.block.is_empty()
            && self.mark.is_none()
            && !self.after_cr
            && !self.failed
    }

    /// Finds the end of the next block that makes an event. The id of every block on the way takes effect.
    fn find<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<Place<'a>>, TooLarge> {
        if self.failed {
            return Err(TooLarge { limit: self.limit });
        }
        if mem::take(&mut self.carry_is_spent) {
            self.carry.clear();
        }
        self.skip_mark(input);
        loop {
            self.skip_line_feed(input);
            let found = if self.carry.is_empty() { self.find_in(input)? } else { self.find_carried(input)? };
            match found {
                None => return Ok(None),
                Some(place) if matches!(self.block.data, Data::None) => {
                    self.block = Block::default();
                    if let Place::Carry = place {
                        self.carry.clear();
                    }
                }
                some => return Ok(some),
            }
        }
    }

    /// The block begins in `input`: nothing is copied unless its end is missing.
    fn find_in<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<Place<'a>>, TooLarge> {
        let mut bytes = *input;
        loop {
            let Some(length) = memchr2(b'\n', b'\r', &bytes[self.block.line..]) else {
                self.check(bytes.len() - self.block.line)?;
                self.carry.extend_from_slice(bytes);
                *input = &[];
                return Ok(None);
            };
            self.check(length)?;
            let end = self.block.line + length;
            let line = self.block.read_line(bytes, end, &mut self.joined);
            let next = end + self.line_end(&bytes[end..]);
            match line {
                Line::Blank => {
                    *input = &bytes[next..];
                    commit_id(&mut self.last_event_id, &self.block, bytes);
                    return Ok(Some(Place::Chunk(&bytes[..end])));
                }
                Line::Kept | Line::Ignored => {}
                Line::Retry(time) => self.retry = Some(time),
            }
            if self.block.is_empty() {
                // Nothing to keep yet, so the block may as well begin after this line.
                bytes = &bytes[next..];
            } else {
                self.block.line = next;
            }
            if self.block.line == bytes.len() {
                self.carry.extend_from_slice(bytes);
                *input = &[];
                return Ok(None);
            }
        }
    }

    /// The block began in an earlier chunk: its lines are appended to what was carried.
    fn find_carried<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<Place<'a>>, TooLarge> {
        loop {
            let begun = self.carry.len() - self.block.line;
            let Some(length) = memchr2(b'\n', b'\r', input) else {
                self.check(begun + input.len())?;
                self.carry.extend_from_slice(input);
                *input = &[];
                return Ok(None);
            };
            self.check(begun + length)?;
            self.carry.extend_from_slice(&input[..length]);
            let end = self.carry.len();
            let line = self.block.read_line(&self.carry, end, &mut self.joined);
            *input = &input[length + self.line_end(&input[length..])..];
            match line {
                Line::Blank => {
                    commit_id(&mut self.last_event_id, &self.block, &self.carry);
                    return Ok(Some(Place::Carry));
                }
                Line::Kept => self.block.line = end,
                Line::Ignored => self.carry.truncate(self.block.line),
                Line::Retry(time) => {
                    self.retry = Some(time);
                    self.carry.truncate(self.block.line);
                }
            }
            if self.carry.is_empty() {
                return self.find_in_rest(input);
            }
        }
    }

    /// Nothing is carried any more: goes on without copying.
    fn find_in_rest<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<Place<'a>>, TooLarge> {
        self.skip_line_feed(input);
        self.find_in(input)
    }

    /// The length of the line end at the start of `bytes`; a CR at the very end waits for its LF.
    fn line_end(&mut self, bytes: &[u8]) -> usize {
        match bytes {
            [b'\r', b'\n', ..] => 2,
            [b'\r'] => {
                self.after_cr = true;
                1
            }
            _ => 1,
        }
    }

    fn skip_line_feed(&mut self, input: &mut &[u8]) {
        if self.after_cr && !input.is_empty() {
            self.after_cr = false;
            if let [b'\n', rest @ ..] = *input {
                *input = rest;
            }
        }
    }

    /// Skips the byte order mark at the start of the body, even when it is cut.
    fn skip_mark(&mut self, input: &mut &[u8]) {
        while let Some(seen) = self.mark {
            let Some((first, rest)) = input.split_first() else { return };
            if *first == BYTE_ORDER_MARK[seen] {
                *input = rest;
                self.mark = (seen + 1 < BYTE_ORDER_MARK.len()).then_some(seen + 1);
            } else {
                self.carry.extend_from_slice(&BYTE_ORDER_MARK[..seen]);
                self.mark = None;
            }
        }
    }

    /// Fails when the block would be too large with a line of this length.
    fn check(&mut self, line: usize) -> Result<(), TooLarge> {
        if self.block.size.saturating_add(line) > self.limit {
            self.failed = true;
            self.carry = Vec::new();
            self.joined = Vec::new();
            return Err(TooLarge { limit: self.limit });
        }
        Ok(())
    }
}

/// Lets the id of a complete block take effect.
fn commit_id(last_event_id: &mut String, block: &Block, bytes: &[u8]) {
    if let Some(range) = block.id.clone() {
        last_event_id.clear();
        last_event_id.push_str(&text(&bytes[range]));
    }
}

/// UTF-8 with replacement. The check is tried first, because it is several times faster than the
/// replacement, which is hardly ever needed.
fn text(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => String::from_utf8_lossy(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_within_a_chunk_is_lent_from_it() {
        let chunk = b"event: token\nid: evt_1\ndata: hello\n\n".as_slice();
        let mut decoder = Decoder::new(1024);
        let mut input = chunk;
        let event = decoder.next(&mut input).unwrap().unwrap();
        assert!(matches!((&event.name, &event.data), (Cow::Borrowed(_), Cow::Borrowed(_))));
        assert!(chunk.as_ptr_range().contains(&event.data.as_ptr()));
        assert!(decoder.carry.capacity() == 0 && decoder.joined.capacity() == 0);
    }

    #[test]
    fn comments_alone_are_never_kept() {
        let mut decoder = Decoder::new(16);
        for _ in 0..100 {
            for chunk in [&b": hear"[..], b"tbeat\n"] {
                let mut input = chunk;
                assert_eq!(decoder.next(&mut input), Ok(None));
            }
            assert!(decoder.carry.is_empty());
        }
    }

    #[test]
    fn the_lines_of_an_event_count_together() {
        let line = b"data: 1\n";
        for (lines, fits) in [(2, true), (3, false)] {
            let body = [line.repeat(lines), b"\n".to_vec()].concat();
            assert_eq!(Decoder::new(14).next(&mut &body[..]).is_ok(), fits, "{lines}");
            let mut decoder = Decoder::new(14);
            let result = body.chunks(1).try_for_each(|mut chunk| decoder.next(&mut chunk).map(drop));
            assert_eq!(result.is_ok(), fits, "{lines}");
        }
    }

    #[test]
    fn after_an_event_that_is_too_large_nothing_is_decoded() {
        let mut decoder = Decoder::new(8);
        assert_eq!(decoder.next(&mut &b"data: 12\n\n"[..]).unwrap().unwrap().data, "12");
        for chunk in [&b"data: 123"[..], b"data: 1\n\n"] {
            assert_eq!(decoder.next(&mut &*chunk), Err(TooLarge { limit: 8 }));
        }
        assert_eq!(decoder.carry.capacity(), 0);
    }
}
