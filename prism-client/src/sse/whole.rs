//! The way that most events take: the whole block lies in the chunk and has one `data` line.
//!
//! It knows nothing of what came before, keeps nothing, and gives up at whatever is out of the ordinary; then
//! the decoder reads the block line by line. It never looks beyond the block, so that a byte is looked at twice
//! at most.

use memchr::{memchr, memchr2};

/// A block that was read at once.
pub(super) struct Whole<'a> {
    pub(super) name: &'a str,
    pub(super) data: &'a str,
    /// Its own id, if it has one that is valid.
    pub(super) id: Option<&'a str>,
    /// How many bytes it takes, with the blank line.
    pub(super) length: usize,
}

/// Reads the block at the start of `bytes`, if it is of the usual form, valid UTF-8, and not longer than
/// `limit`.
pub(super) fn read(bytes: &[u8], limit: usize) -> Option<Whole<'_>> {
    let (mut name, mut id, mut data) = (0..0, None, None);
    let mut line = 0;
    let length = loop {
        let rest = &bytes[line..];
        match rest {
            [b'\n', ..] => break line + 1,
            [b'\r', b'\n', ..] => break line + 2,
            _ => {}
        }
        let end = line + memchr2(b'\n', b'\r', rest)?;
        if rest.starts_with(b"data: ") && data.is_none() {
            data = Some(line + 6..end);
        } else if rest.starts_with(b"event: ") {
            name = line + 7..end;
        } else if rest.starts_with(b"id: ") {
            id = Some(line + 4..end);
        } else if rest[0] != b':' {
            return None;
        }
        line = match bytes[end..] {
            [b'\n', ..] => end + 1,
            [b'\r', b'\n', ..] => end + 2,
            _ => return None,
        };
    };
    if length > limit {
        return None;
    }
    // One check of the whole block is cheaper than one of each field.
    let text = std::str::from_utf8(&bytes[..length]).ok()?;
    let id = id.map(|range| &text[range]);
    if id.is_some_and(|id| memchr(0, id.as_bytes()).is_some()) {
        return None;
    }
    Some(Whole { name: &text[name], data: &text[data?], id, length })
}
