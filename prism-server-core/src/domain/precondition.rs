//! Preconditions: a change that is made only to what its caller has seen (RFC 9110, section 13).
//!
//! The entity tag of a record is its revision, `"r7"`. Tags are strong: they differ whenever the record does.

/// The entity tag of a record.
pub(crate) fn etag(revision: u64) -> String {
    format!("\"r{revision}\"")
}

/// Which entity tags a header names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Tags {
    /// `*`: whatever there is.
    Any,
    /// One of these.
    Among(Vec<String>),
}

impl Tags {
    /// Reads the value of `If-Match` or `If-None-Match`; `None` when it has not the form of either.
    ///
    /// A tag that no record can have is kept: it matches nothing.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if text == "*" {
            return Some(Self::Any);
        }
        let (mut tags, mut rest) = (Vec::new(), text);
        loop {
            let weak = rest.strip_prefix("W/");
            let quoted = weak.unwrap_or(rest).strip_prefix('"')?;
            let (tag, after) = quoted.split_once('"')?;
            let prefix = if weak.is_some() { "W/" } else { "" };
            tags.push(format!("{prefix}\"{tag}\""));
            rest = after.trim_start();
            if rest.is_empty() {
                return Some(Self::Among(tags));
            }
            rest = rest.strip_prefix(',')?.trim_start();
        }
    }

    /// Whether the tag is named, by the strong comparison: weak tags are never equal.
    pub(crate) fn name(&self, etag: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Among(tags) => tags.iter().any(|tag| tag == etag),
        }
    }

    /// Whether the tag is named, by the weak comparison, as `If-None-Match` wants it.
    pub(crate) fn name_weakly(&self, etag: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Among(tags) => tags.iter().any(|tag| tag.strip_prefix("W/").unwrap_or(tag) == etag),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lists_of_tags_are_read() {
        for (text, named) in [
            ("*", true),
            (r#""r7""#, true),
            (r#" "r1" ,"r7""#, true),
            (r#""a,b", "r7""#, true),
            (r#""r1""#, false),
            (r#""""#, false),
            (r#"W/"r7""#, false),
        ] {
            assert_eq!(Tags::parse(text).unwrap().name(&etag(7)), named, "{text}");
        }
        assert!(Tags::parse(r#"W/"r7""#).unwrap().name_weakly(&etag(7)));
        for text in ["", "r7", r#""r7"#, r#""r7" "r8""#, r#""r7","#, "w/\"r7\""] {
            assert_eq!(Tags::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics_and_a_tag_names_itself(text in any::<String>(), revision in any::<u64>()) {
            let _ = Tags::parse(&text);
            prop_assert!(Tags::parse(&etag(revision)).unwrap().name(&etag(revision)));
        }
    }
}
