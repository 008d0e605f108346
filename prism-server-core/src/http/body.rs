//! Request bodies: bounded, JSON.

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, header::CONTENT_TYPE};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use prism_types::Problem;
use serde_json::Value;

use crate::{
    domain::limits,
    error::{Error, ErrorKind, Result},
};

/// Reads a whole body as JSON.
///
/// # Errors
/// When it is declared as something else than JSON, longer than `most` bytes, not there whole within
/// [`limits::BODY_TIME`], broken off, or not JSON: not UTF-8, not well-formed, or nested more than 127 levels deep.
pub(crate) async fn read_json(headers: &HeaderMap, body: Body, most: usize) -> Result<Value> {
    require_json(headers)?;
    let bytes = read_bytes(body, most).await?;
    if bytes.is_empty() {
        return Err(problem("a JSON object is required, but the body is empty".to_owned()));
    }
    serde_json::from_slice(&bytes).map_err(|error| problem(format!("not valid JSON: {error}")))
}

/// Reads a whole body.
///
/// # Errors
/// When it is longer than `most` bytes, not there whole within [`limits::BODY_TIME`], or broken off.
pub(crate) async fn read_bytes(body: Body, most: usize) -> Result<Bytes> {
    let whole = tokio::time::timeout(limits::BODY_TIME, Limited::new(body, most).collect());
    let Ok(whole) = whole.await else { return Err(too_slow()) };
    let body = whole.map_err(|error| {
        if error.is::<LengthLimitError>() {
            too_large(most)
        } else {
            Error::new(ErrorKind::Invalid, "The request body was broken off.")
        }
    })?;
    Ok(body.to_bytes())
}

/// Whether a body is declared as JSON, or as nothing.
pub(crate) fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(CONTENT_TYPE) else { return true };
    let essence = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
        || (essence.len() > 5 && essence[essence.len() - 5..].eq_ignore_ascii_case("+json"))
}

fn require_json(headers: &HeaderMap) -> Result<()> {
    if is_json(headers) {
        return Ok(());
    }
    let message = "must be application/json; send the header `Content-Type: application/json`";
    Err(Error::invalid(vec![Problem::new("header.content-type", message)]))
}

fn too_large(most: usize) -> Error {
    let message = format!("The request body is longer than {most} bytes, which is the most.");
    Error::new(ErrorKind::TooLarge, message)
}

fn too_slow() -> Error {
    let seconds = limits::BODY_TIME.as_secs();
    let message = format!("The request body did not arrive within {seconds} seconds, which is the most.");
    Error::new(ErrorKind::Invalid, message)
}

fn problem(message: String) -> Error {
    Error::invalid(vec![Problem::new("$", message)])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(value: &str) -> Result<()> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, value.parse().unwrap());
        require_json(&headers)
    }

    #[test]
    fn json_by_any_of_its_names_is_taken() {
        for value in ["application/json", "Application/JSON; charset=utf-8", "application/merge-patch+json"] {
            assert!(typed(value).is_ok(), "{value}");
        }
        for value in ["text/plain", "application/x-www-form-urlencoded", "json", ""] {
            assert!(typed(value).is_err(), "{value}");
        }
        assert!(require_json(&HeaderMap::new()).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_never_ends_is_given_up() {
        let begun = tokio::time::Instant::now();
        let endless = Body::from_stream(futures::stream::pending::<Result<bytes::Bytes, std::io::Error>>());
        let error = read_json(&HeaderMap::new(), endless, limits::BODY).await.unwrap_err();
        assert!(error.message().contains("within 30 seconds"));
        assert_eq!(begun.elapsed().as_secs(), limits::BODY_TIME.as_secs());
    }

    #[tokio::test]
    async fn the_limit_is_four_mebibytes() {
        let json = |len: usize| Body::from(format!("\"{}\"", "x".repeat(len - 2)));
        assert!(read_json(&HeaderMap::new(), json(limits::BODY), limits::BODY).await.is_ok());
        let error = read_json(&HeaderMap::new(), json(limits::BODY + 1), limits::BODY).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooLarge);
    }
}
