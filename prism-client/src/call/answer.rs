//! Reading answers.

use bytes::{Bytes, BytesMut};
use http_body::Body as _;
use prism_types::ErrorBody;
use reqwest::{StatusCode, header::HeaderMap};
use serde::de::DeserializeOwned;

use super::retry_after::retry_after;
use crate::{
    Error, Response,
    error::{Kind, Misfit},
    transport::Body,
};

/// Longest body of an answer that is read. The server's longest, a thread with all its messages, has 4 MiB.
const MAX_BODY: usize = 64 << 20;
/// Longest body of an error that is read.
const MAX_ERROR_BODY: usize = 1 << 20;

/// Reads an answer of JSON.
pub(super) async fn parse<T: DeserializeOwned>(answer: http::Response<Body>) -> Result<Response<T>, Error> {
    let (head, body) = answer.into_parts();
    let name_answer = |error: Error| error.answered(head.status.as_u16(), request_id(&head.headers));
    let body = read(body, MAX_BODY).await.map_err(name_answer)?;
    let is_nothing = head.status == StatusCode::NO_CONTENT && body.is_empty();
    let body = if is_nothing { Bytes::from_static(b"null") } else { body };
    let value = decode(&body).map_err(name_answer)?;
    Ok(Response::new(value, head.status, head.headers))
}

/// The error that an answer of another status than 2xx is, from this path.
pub(super) async fn refusal(path: &str, answer: http::Response<Body>) -> Error {
    let (head, body) = answer.into_parts();
    // A body that cannot be read says as little as one of another form; the status says enough.
    let body = read(body, MAX_ERROR_BODY).await.unwrap_or_default();
    let error = match serde_json::from_slice::<ErrorBody>(&body) {
        Ok(body) => Error::new(Kind::Refused(Some(body))),
        Err(_) => of_another_form(path, &body),
    };
    error.answered(head.status.as_u16(), request_id(&head.headers)).hinted(retry_after(&head.headers))
}

/// The error of a body that does not have the form of the native API.
#[cfg(feature = "nullspace")]
fn of_another_form(path: &str, body: &[u8]) -> Error {
    match serde_json::from_slice(body) {
        Ok(body) if crate::nullspace::owns(path) => Error::refused_by_nullspace(body),
        _ => Error::new(Kind::Refused(None)),
    }
}

/// The error of a body that does not have the form of the native API.
#[cfg(not(feature = "nullspace"))]
fn of_another_form(_: &str, _: &[u8]) -> Error {
    Error::new(Kind::Refused(None))
}

/// A header that is visible ASCII.
pub(crate) fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn request_id(headers: &HeaderMap) -> Option<&str> {
    header(headers, "x-request-id")
}

/// The whole body, without a copy if it comes in one piece.
async fn read(mut body: Body, limit: usize) -> Result<Bytes, Error> {
    if body.size_hint().lower() > limit as u64 {
        return Err(Error::new(Kind::TooLarge(limit)));
    }
    let mut first = Bytes::new();
    let mut whole = BytesMut::new();
    while let Some(chunk) = body.chunk().await {
        let chunk = chunk?;
        if first.len() + whole.len() + chunk.len() > limit {
            return Err(Error::new(Kind::TooLarge(limit)));
        }
        if first.is_empty() && whole.is_empty() {
            first = chunk;
        } else {
            whole.extend_from_slice(&std::mem::take(&mut first));
            whole.extend_from_slice(&chunk);
        }
    }
    Ok(if whole.is_empty() { first } else { whole.freeze() })
}

fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, Error> {
    let misfit = |path: Option<&str>, error: &serde_json::Error| {
        Error::new(Kind::Decode(Misfit::json("the answer", path, error)))
    };
    // Most answers fit, and looking for the place of what does not is work.
    if let Ok(value) = serde_json::from_slice(body) {
        return Ok(value);
    }
    let mut json = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut json)
        .map_err(|error| misfit(Some(&error.path().to_string()), error.inner()))?;
    json.end().map_err(|error| misfit(None, &error))?;
    Ok(value)
}
