//! What is known of the block that is being read: the lines between two blank lines.

use std::{ops::Range, time::Duration};

/// The fields of a block so far.
///
/// Every place is an offset from the start of the block, so that it stays true when the bytes move from the
/// caller's chunk to the decoder's own buffer.
#[derive(Debug, Default)]
pub(super) struct Block {
    /// Where the line begins that is being read.
    pub(super) line: usize,
    /// Sum of the lengths of the lines that matter, without their ends.
    pub(super) size: usize,
    pub(super) name: Range<usize>,
    pub(super) id: Option<Range<usize>>,
    pub(super) data: Data,
}

/// The `data` lines of a block.
#[derive(Debug, Default)]
pub(super) enum Data {
    #[default]
    None,
    /// One line, which stays where it is.
    One(Range<usize>),
    /// More than one line, put together with LF in a buffer of its own.
    Joined,
}

/// What a line was.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// The end of the block.
    Blank,
    /// A field whose bytes must be kept until the end of the block.
    Kept,
    /// A comment or a field without effect.
    Ignored,
    /// A valid `retry` field, which takes effect at once.
    Retry(Duration),
}

impl Block {
    /// Whether nothing of the block must be kept.
    pub(super) fn is_empty(&self) -> bool {
        self.size == 0
    }

    /// Takes in the line `self.line..end` of `bytes`, which begin where the block begins.
    pub(super) fn read_line(&mut self, bytes: &[u8], end: usize, joined: &mut Vec<u8>) -> Line {
        let line = &bytes[self.line..end];
        match line.first() {
            None => return Line::Blank,
            Some(b'd') => match value(line, b"data") {
                Some(start) => self.push_data(bytes, self.line + start..end, joined),
                None => return Line::Ignored,
            },
            Some(b'e') => match value(line, b"event") {
                Some(start) => self.name = self.line + start..end,
                None => return Line::Ignored,
            },
            Some(b'i') => match value(line, b"id") {
                Some(start) if memchr::memchr(0, &line[start..]).is_none() => {
                    self.id = Some(self.line + start..end);
                }
                _ => return Line::Ignored,
            },
            Some(b'r') => {
                let retry = value(line, b"retry").and_then(|start| milliseconds(&line[start..]));
                return retry.map_or(Line::Ignored, Line::Retry);
            }
            Some(_) => return Line::Ignored,
        }
        self.size += line.len();
        Line::Kept
    }

    fn push_data(&mut self, bytes: &[u8], value: Range<usize>, joined: &mut Vec<u8>) {
        self.data = match &self.data {
            Data::None => Data::One(value),
            Data::One(first) => {
                joined.clear();
                joined.extend_from_slice(&bytes[first.clone()]);
                joined.push(b'\n');
                joined.extend_from_slice(&bytes[value]);
                Data::Joined
            }
            Data::Joined => {
                joined.push(b'\n');
                joined.extend_from_slice(&bytes[value]);
                Data::Joined
            }
        };
    }
}

/// Where the value of `line` starts if the line is a field of this name. A name without a colon has an empty
/// value; one space after the colon does not count.
fn value(line: &[u8], name: &[u8]) -> Option<usize> {
    let rest = line.strip_prefix(name)?;
    match rest {
        [] => Some(line.len()),
        [b':', b' ', ..] => Some(name.len() + 2),
        [b':', ..] => Some(name.len() + 1),
        _ => None,
    }
}

/// The value of a `retry` field: ASCII digits only, otherwise the field is ignored. A number that is too
/// large stands for the largest one.
fn milliseconds(value: &[u8]) -> Option<Duration> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = value
        .iter()
        .fold(0u64, |number, digit| number.saturating_mul(10).saturating_add(u64::from(digit - b'0')));
    Some(Duration::from_millis(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_must_fit_whole() {
        assert_eq!(value(b"data", b"data"), Some(4));
        assert_eq!(value(b"data:", b"data"), Some(5));
        assert_eq!(value(b"data: x", b"data"), Some(6));
        assert_eq!(value(b"data:  x", b"data"), Some(6));
        assert_eq!(value(b"database: x", b"data"), None);
        assert_eq!(value(b"data : x", b"data"), None);
    }

    #[test]
    fn only_digits_are_a_time() {
        assert_eq!(milliseconds(b"0250"), Some(Duration::from_millis(250)));
        assert_eq!(milliseconds(b"99999999999999999999999"), Some(Duration::from_millis(u64::MAX)));
        for bad in [&b""[..], b"+1", b"-1", b"1.5", b"1e3", b" 1", "\u{661}".as_bytes()] {
            assert_eq!(milliseconds(bad), None, "{bad:?}");
        }
    }
}
