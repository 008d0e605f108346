//! Files as bytes.

use std::fmt;

use bytes::Bytes;

use super::{Answer, Refusal, Reply, Request, reply::Raw};

/// The bytes of a file. A range that the request asks for is cut out of them when the status is left as it is.
///
/// `Debug` does not show them.
#[derive(Clone, PartialEq, Eq)]
pub struct Content(Bytes);

impl Content {
    /// All bytes of the file.
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        Self(bytes.into())
    }

    /// The bytes.
    pub fn bytes(&self) -> &Bytes {
        &self.0
    }

    /// What the request asks for: all of it, or the range.
    pub(super) fn part(reply: Reply<Self>, request: &Request) -> Answer<Raw> {
        let bytes = reply.value.0.clone();
        let reply = reply.header("accept-ranges", "bytes");
        let tag = reply.headers.iter().find(|(name, _)| name == "etag").map(|(_, tag)| tag.clone());
        let is_same = request.header("if-range").is_none_or(|wanted| Some(wanted) == tag.as_deref());
        let wanted =
            request.header("range").filter(|_| reply.status.is_none() && is_same).and_then(Range::parse);
        let length = bytes.len();
        let body = |bytes| Raw::bytes("application/octet-stream", bytes);
        let Some(range) = wanted else { return Ok(reply.with(body(bytes))) };
        let Some((first, end)) = range.within(length) else {
            let past = Refusal::of_status(416).header("content-range", format!("bytes */{length}"));
            return Err(past.after(reply.delay));
        };
        let told = reply.status(206).header("content-range", format!("bytes {first}-{}/{length}", end - 1));
        Ok(told.with(body(bytes.slice(first..end))))
    }
}

impl<T: Into<Bytes>> From<T> for Content {
    fn from(bytes: T) -> Self {
        Self::new(bytes)
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Content").field("bytes", &self.0.len()).finish()
    }
}

/// One range of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Range {
    From(usize),
    Between(usize, usize),
    Last(usize),
}

impl Range {
    /// `None`: it is no single range of bytes, and counts for nothing.
    fn parse(header: &str) -> Option<Self> {
        let (first, last) = header.strip_prefix("bytes=")?.split_once('-')?;
        match (first, last) {
            ("", last) => Some(Self::Last(last.parse().ok()?)),
            (first, "") => Some(Self::From(first.parse().ok()?)),
            (first, last) => Some(Self::Between(first.parse().ok()?, last.parse().ok()?)),
        }
    }

    /// The first byte and the one after the last, in so many bytes; `None`: there is none.
    fn within(self, length: usize) -> Option<(usize, usize)> {
        let (first, end) = match self {
            Self::From(first) => (first, length),
            Self::Between(first, last) => (first, last.saturating_add(1).min(length)),
            Self::Last(bytes) => (length.saturating_sub(bytes), length),
        };
        (first < end).then_some((first, end))
    }
}

#[cfg(test)]
mod tests {
    use super::Range;

    #[test]
    fn ranges_are_cut_to_the_file() {
        for (header, expected) in [
            ("bytes=0-3", Some((0, 4))),
            ("bytes=8-99", Some((8, 10))),
            ("bytes=4-", Some((4, 10))),
            ("bytes=-3", Some((7, 10))),
            ("bytes=-99", Some((0, 10))),
            ("bytes=10-", None),
            ("bytes=5-4", None),
        ] {
            assert_eq!(Range::parse(header).unwrap().within(10), expected, "{header}");
        }
        for header in ["bytes=0-1,3-4", "lines=0-1", "bytes=x-"] {
            assert_eq!(Range::parse(header), None, "{header}");
        }
    }
}
