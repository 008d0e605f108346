//! The headers `If-Match` and `If-None-Match`.

use http::{HeaderMap, HeaderName, header::IF_MATCH, header::IF_NONE_MATCH};
use prism_types::Problem;

use crate::{
    domain::precondition::Tags,
    error::{Error, Result},
};

/// What `If-Match` names, if the request has it.
///
/// # Errors
/// When it has not its form.
pub(crate) fn if_match(headers: &HeaderMap) -> Result<Option<Tags>> {
    tags(headers, &IF_MATCH)
}

/// What `If-None-Match` names, if the request has it.
///
/// # Errors
/// When it has not its form.
pub(crate) fn if_none_match(headers: &HeaderMap) -> Result<Option<Tags>> {
    tags(headers, &IF_NONE_MATCH)
}

fn tags(headers: &HeaderMap, name: &HeaderName) -> Result<Option<Tags>> {
    let lines: Vec<_> = headers.get_all(name).iter().map(|line| line.to_str().unwrap_or_default()).collect();
    if lines.is_empty() {
        return Ok(None);
    }
    let tags = Tags::parse(&lines.join(", "));
    tags.map(Some).ok_or_else(|| {
        let rule = "must be `*` or entity tags in quotes, such as `\"r7\"`, with commas between them";
        Error::invalid(vec![Problem::new(format!("header.{name}"), rule)])
    })
}
