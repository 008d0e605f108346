//! What is checked of requests: the obvious.

use std::collections::BTreeSet;

use prism_types::ErrorCode;

use crate::mock::{Refusal, Request};

pub(super) fn not_empty(path: &str, text: &str) -> Result<(), Refusal> {
    if text.is_empty() { Err(Refusal::invalid(path, "must not be empty")) } else { Ok(()) }
}

pub(super) fn distinct<'a>(path: &str, names: impl Iterator<Item = &'a str>) -> Result<(), Refusal> {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(Refusal::invalid(path, format!("must not have the name `{name}` twice")));
        }
    }
    Ok(())
}

pub(super) fn url(path: &str, url: &str) -> Result<(), Refusal> {
    let is_http = reqwest::Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
    if is_http { Ok(()) } else { Err(Refusal::invalid(path, "must be an absolute http or https URL")) }
}

/// Whether a header such as `If-Match` names a tag.
pub(super) fn names(header: &str, tag: &str) -> bool {
    header.split(',').map(str::trim).any(|named| named == "*" || named == tag)
}

/// `If-Match` of a change of what has this tag.
pub(super) fn is_what_was_read(call: &Request, tag: &str) -> Result<(), Refusal> {
    match call.header("if-match") {
        Some(header) if !names(header, tag) => Err(changed()),
        _ => Ok(()),
    }
}

/// 412: it is not what the request says.
pub(super) fn changed() -> Refusal {
    Refusal::new(412, ErrorCode::PreconditionFailed, "It is not what the request says: read it again")
}
