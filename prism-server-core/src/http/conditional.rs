//! Conditional requests and ranges (RFC 9110, sections 13 and 14).

use std::ops::Range;

use http::{HeaderMap, HeaderName, header};
use prism_types::Problem;

use crate::error::{Error, Result};

/// Most entity tags that a header may have.
const TAGS: usize = 100;

/// `If-Match` and `If-None-Match`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Conditions {
    matches: Option<Tags>,
    none_matches: Option<Tags>,
}

/// The condition that does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Broken {
    IfMatch,
    IfNoneMatch,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Tags {
    /// `*`: there is something.
    Any,
    These(Vec<Tag>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Tag {
    weak: bool,
    opaque: String,
}

impl Conditions {
    /// Reads the headers of a request.
    ///
    /// # Errors
    /// When one of them is no list of entity tags.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self> {
        let mut problems = Vec::new();
        let mut read = |name: HeaderName| {
            tags(headers, &name).unwrap_or_else(|()| {
                let message = format!("must be `*` or at most {TAGS} entity tags such as \"5f3a\"");
                problems.push(Problem::new(format!("header.{name}"), message));
                None
            })
        };
        let conditions =
            Self { matches: read(header::IF_MATCH), none_matches: read(header::IF_NONE_MATCH) };
        if problems.is_empty() { Ok(conditions) } else { Err(Error::invalid(problems)) }
    }

    /// The first that does not hold for something with this version, or for nothing.
    pub(crate) fn broken_by(&self, current: Option<&str>) -> Option<Broken> {
        let strong = |tag: &Tag| !tag.weak && Some(tag.opaque.as_str()) == current;
        let weak = |tag: &Tag| Some(tag.opaque.as_str()) == current;
        let holds = |tags: &Tags, is_same: &dyn Fn(&Tag) -> bool| match tags {
            Tags::Any => current.is_some(),
            Tags::These(tags) => tags.iter().any(is_same),
        };
        if self.matches.as_ref().is_some_and(|tags| !holds(tags, &strong)) {
            return Some(Broken::IfMatch);
        }
        self.none_matches.as_ref().is_some_and(|tags| holds(tags, &weak)).then_some(Broken::IfNoneMatch)
    }
}

/// The strong entity tag of a version.
pub(crate) fn entity_tag(version: &str) -> String {
    format!("\"{version}\"")
}

/// The tags of all headers of this name; `None` when there are none.
fn tags(headers: &HeaderMap, name: &HeaderName) -> Result<Option<Tags>, ()> {
    let mut all: Option<Vec<Tag>> = None;
    for value in headers.get_all(name) {
        let text = value.to_str().map_err(|_| ())?;
        if text.trim() == "*" {
            return if all.is_none() { Ok(Some(Tags::Any)) } else { Err(()) };
        }
        let all = all.get_or_insert_default();
        let mut rest = text.trim_start();
        while !rest.is_empty() {
            let (weak, quoted) = rest.strip_prefix("W/").map_or((false, rest), |rest| (true, rest));
            let (opaque, after) = quoted.strip_prefix('"').and_then(|rest| rest.split_once('"')).ok_or(())?;
            all.push(Tag { weak, opaque: opaque.to_owned() });
            rest = after.trim_start();
            rest = match rest.strip_prefix(',') {
                Some(next) => next.trim_start_matches([',', ' ', '\t']),
                None if rest.is_empty() => rest,
                None => return Err(()),
            };
        }
        if all.is_empty() || all.len() > TAGS {
            return Err(());
        }
    }
    Ok(all.map(Tags::These))
}

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
pub(crate) fn wanted(headers: &HeaderMap, size: u64, version: &str) -> Wanted {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let is_for_another =
        headers.contains_key(header::IF_RANGE) && text(header::IF_RANGE) != Some(&entity_tag(version));
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
    use http::HeaderValue;
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
    fn conditions_hold_or_do_not() {
        use header::{IF_MATCH, IF_NONE_MATCH};
        for (name, value, current, broken) in [
            (IF_MATCH, "*", None, Some(Broken::IfMatch)),
            (IF_MATCH, "*", Some("a"), None),
            (IF_MATCH, "\"a\"", Some("a"), None),
            (IF_MATCH, "\"b\" ,, \"a\"", Some("a"), None),
            (IF_MATCH, "\"a\"", Some("b"), Some(Broken::IfMatch)),
            (IF_MATCH, "\"a\"", None, Some(Broken::IfMatch)),
            (IF_MATCH, "W/\"a\"", Some("a"), Some(Broken::IfMatch)),
            (IF_NONE_MATCH, "*", None, None),
            (IF_NONE_MATCH, "*", Some("a"), Some(Broken::IfNoneMatch)),
            (IF_NONE_MATCH, "W/\"a\"", Some("a"), Some(Broken::IfNoneMatch)),
            (IF_NONE_MATCH, "\"x,y\", \"a\"", Some("a"), Some(Broken::IfNoneMatch)),
            (IF_NONE_MATCH, "\"b\"", Some("a"), None),
        ] {
            let conditions = Conditions::of(&headers(&[(name.clone(), value)])).unwrap();
            assert_eq!(conditions.broken_by(current), broken, "{name}: {value} for {current:?}");
        }
        assert_eq!(Conditions::of(&HeaderMap::new()).unwrap(), Conditions::default());
    }

    #[test]
    fn headers_that_are_no_tags_are_refused() {
        for value in ["", "a", "\"a", "\"a\" \"b\"", "*, \"a\"", "W/a", &"\"a\",".repeat(101)] {
            let refused = Conditions::of(&headers(&[(header::IF_MATCH, value)])).unwrap_err();
            assert_eq!(refused.problems()[0].path, "header.if-match", "{value}");
        }
        assert!(Conditions::of(&headers(&[(header::IF_MATCH, &"\"a\",".repeat(100))])).is_ok());
        let twice = [(header::IF_MATCH, "\"a\""), (header::IF_MATCH, "\"b\"")];
        assert_eq!(Conditions::of(&headers(&twice)).unwrap().broken_by(Some("b")), None);
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
            assert_eq!(wanted(&headers, size, "v"), expected, "{range} of {size}");
        }
    }

    #[test]
    fn a_range_of_another_version_is_the_whole() {
        for (tag, expected) in
            [("\"v\"", Wanted::Part(1..2)), ("\"w\"", Wanted::Whole), ("W/\"v\"", Wanted::Whole)]
        {
            let headers = headers(&[(header::RANGE, "bytes=1-1"), (header::IF_RANGE, tag)]);
            assert_eq!(wanted(&headers, 10, "v"), expected, "{tag}");
        }
    }

    proptest! {
        #[test]
        fn a_part_lies_within_and_is_not_empty(range in "bytes=[0-9]{0,3}-[0-9]{0,3}|\\PC{0,20}", size in 0_u64..300) {
            let mut headers = HeaderMap::new();
            if let Ok(value) = HeaderValue::from_str(&range) {
                headers.insert(header::RANGE, value);
            }
            if let Wanted::Part(part) = wanted(&headers, size, "v") {
                prop_assert!(part.start < part.end && part.end <= size, "{range}: {part:?} of {size}");
            }
        }

        #[test]
        fn no_header_panics(value in "[W/\"a, *]{0,20}") {
            let _ = Conditions::of(&headers(&[(header::IF_NONE_MATCH, &value)]));
        }
    }
}
