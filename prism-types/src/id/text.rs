//! The text of an id, in place while it is short.

use std::{
    cmp::Ordering,
    hash::{Hash, Hasher},
};

use super::MAX_SUFFIX;
use crate::scan;

/// The longest text that is kept in place, in bytes. The ids that Prism makes have 30 or 31, those of events 31
/// and as many as their number has digits.
const SHORT: usize = 40;

/// The text of an id. Every event has three ids, and most are read once and dropped: they should not cost an
/// allocation each.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum IdText {
    /// Text of at most [`SHORT`] bytes, followed by zeros.
    Short { length: u8, place: Place },
    /// Longer text; shorter text never has this form, so that equal texts have equal forms.
    Long(Box<str>),
}

/// Aligned, so that moving it is a matter of words and not of odd bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(align(8))]
pub(super) struct Place([u8; SHORT]);

impl IdText {
    /// Whether the text is `prefix` and a suffix of the form of an id.
    pub(super) fn fits(text: &str, prefix: &str) -> bool {
        text.len() > prefix.len()
            && text.len() - prefix.len() <= MAX_SUFFIX
            && text.starts_with(prefix)
            && scan::all(text.as_bytes(), is_allowed)
    }

    /// Keeps a text that [fits](Self::fits).
    #[inline]
    pub(super) fn keep(text: &str) -> Self {
        if text.len() > SHORT {
            return Self::Long(text.into());
        }
        let mut place = Place([0; SHORT]);
        place.0[..text.len()].copy_from_slice(text.as_bytes());
        Self::Short { length: text.len() as u8, place }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Short { length, place } => &place.0[..usize::from(*length)],
            Self::Long(text) => text.as_bytes(),
        }
    }

    pub(super) fn as_str(&self) -> &str {
        match self {
            // What has the form of an id is ASCII.
            Self::Short { .. } => std::str::from_utf8(self.as_bytes()).unwrap_or_default(),
            Self::Long(text) => text,
        }
    }
}

impl PartialOrd for IdText {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for IdText {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl Hash for IdText {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

fn is_allowed(byte: u8) -> bool {
    let letter = (byte | 0x20).wrapping_sub(b'a') < 26;
    let digit = byte.wrapping_sub(b'0') < 10;
    letter | digit | (byte == b'_') | (byte == b'-')
}

#[cfg(test)]
mod tests {
    use std::hash::BuildHasher;

    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Option<IdText> {
        IdText::fits(text, "x_").then(|| IdText::keep(text))
    }

    #[test]
    fn every_byte_is_judged_alike_at_every_place() {
        for byte in 0_u8..128 {
            let allowed = byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
            for length in [1, 2, SHORT - 3, SHORT - 2, SHORT - 1, MAX_SUFFIX] {
                for place in 0..length {
                    let mut suffix = vec![b'a'; length];
                    suffix[place] = byte;
                    let text = format!("x_{}", String::from_utf8(suffix).unwrap());
                    assert_eq!(parse(&text).is_some(), allowed, "{text:?}");
                }
            }
        }
    }

    #[test]
    fn only_long_text_is_allocated() {
        assert!(matches!(parse(&"x_a".repeat(SHORT)[..SHORT]), Some(IdText::Short { .. })));
        assert!(matches!(parse(&"x_a".repeat(SHORT)[..=SHORT]), Some(IdText::Long(_))));
    }

    proptest! {
        #[test]
        fn it_orders_and_hashes_as_its_text(a in "x_[A-Za-z0-9_-]{1,60}", b in "x_[A-Za-z0-9_-]{1,60}") {
            let (left, right) = (parse(&a).unwrap(), parse(&b).unwrap());
            prop_assert_eq!((left.as_str(), right.as_str()), (&*a, &*b));
            prop_assert_eq!(left.cmp(&right), a.cmp(&b));
            prop_assert_eq!(left == right, a == b);
            let hashes = std::hash::RandomState::new();
            prop_assert_eq!(hashes.hash_one(&left), hashes.hash_one(left.clone()));
        }
    }
}
