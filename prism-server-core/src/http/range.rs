//! Ranges of files (RFC 9110, section 14).

use std::ops::Range;

use http::{HeaderMap, header};

/// What a request wants of something of this size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// All of it.
    Whole,
    /// These bytes, at least one.
    Part(Range<u64>),
    /// Bytes that are past its end.
    PastTheEnd,
}

/// Reads `Range` and `If-Range`. Anything but one range of bytes is not understood, and so counts for nothing.
pub(crate) fn wanted(headers: &HeaderMap, size: u64, etag: &str) -> Wanted {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let is_for_another = headers.contains_key(header::IF_RANGE) && text(header::IF_RANGE) != Some(etag);
    match text(header::RANGE).filter(|_| !is_for_another).and_then(bounds) {
        None => Wanted::Whole,
        // The last bytes, so many of them.
        Some((None, length)) => match length.unwrap_or_default().min(size) {
            0 => Wanted::PastTheEnd,
            length => Wanted::Part(size - length..size),
        },
        Some((Some(first), _)) if first >= size => Wanted::PastTheEnd,
        Some((Some(first), last)) => {
            let end = last.map_or(size, |last| last.saturating_add(1).min(size));
            Wanted::Part(first..end)
        }
    }
}

/// The first and the last byte of `bytes=first-last`; without the first, the last is a number of bytes.
fn bounds(range: &str) -> Option<(Option<u64>, Option<u64>)> {
    let (unit, range) = range.split_once('=')?;
    let (first, last) = range.trim().split_once('-')?;
    let number = |text: &str| match text {
        "" => Some(None),
        text if text.bytes().all(|byte| byte.is_ascii_digit()) => {
            // What is larger than any file is past its end.
            Some(Some(text.parse().unwrap_or(u64::MAX)))
        }
        _ => None,
    };
    let (first, last) = (number(first)?, number(last)?);
    let is_range = match (first, last) {
        (None, None) => false,
        (Some(first), Some(last)) => first <= last,
        _ => true,
    };
    (unit.trim().eq_ignore_ascii_case("bytes") && is_range).then_some((first, last))
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};
    use proptest::prelude::*;

    use super::*;

    fn headers(all: &[(HeaderName, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in all {
            headers.append(name.clone(), HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn one_range_of_bytes_is_understood() {
        for (range, size, expected) in [
            ("bytes=0-0", 10, Wanted::Part(0..1)),
            ("bytes=2-5", 10, Wanted::Part(2..6)),
            ("Bytes = 2-", 10, Wanted::Part(2..10)),
            ("bytes=9-99999999999999999999999", 10, Wanted::Part(9..10)),
            ("bytes=-3", 10, Wanted::Part(7..10)),
            ("bytes=-30", 10, Wanted::Part(0..10)),
            ("bytes=10-", 10, Wanted::PastTheEnd),
            ("bytes=99999999999999999999999-", 10, Wanted::PastTheEnd),
            ("bytes=-0", 10, Wanted::PastTheEnd),
            ("bytes=0-", 0, Wanted::PastTheEnd),
            ("bytes=-1", 0, Wanted::PastTheEnd),
            ("bytes=5-2", 10, Wanted::Whole),
            ("bytes=0-1,3-4", 10, Wanted::Whole),
            ("bytes=-", 10, Wanted::Whole),
            ("bytes=+1-2", 10, Wanted::Whole),
            ("lines=0-1", 10, Wanted::Whole),
            ("0-1", 10, Wanted::Whole),
        ] {
            let headers = headers(&[(header::RANGE, range)]);
            assert_eq!(wanted(&headers, size, "\"v\""), expected, "{range} of {size}");
        }
    }

    #[test]
    fn a_range_of_another_version_is_the_whole() {
        for (tag, expected) in
            [("\"v\"", Wanted::Part(1..2)), ("\"w\"", Wanted::Whole), ("W/\"v\"", Wanted::Whole)]
        {
            let headers = headers(&[(header::RANGE, "bytes=1-1"), (header::IF_RANGE, tag)]);
            assert_eq!(wanted(&headers, 10, "\"v\""), expected, "{tag}");
        }
    }

    proptest! {
        #[test]
        fn a_part_lies_within_and_is_not_empty(range in "bytes=[0-9]{0,3}-[0-9]{0,3}|\\PC{0,20}", size in 0_u64..300) {
            let mut headers = HeaderMap::new();
            if let Ok(value) = HeaderValue::from_str(&range) {
                headers.insert(header::RANGE, value);
            }
            if let Wanted::Part(part) = wanted(&headers, size, "\"v\"") {
                prop_assert!(part.start < part.end && part.end <= size, "{range}: {part:?} of {size}");
            }
        }
    }
}
