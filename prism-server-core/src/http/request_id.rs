//! Request ids: every answer names its request in `x-request-id`.

use axum::{extract::Request, middleware::Next, response::Response};
use http::{HeaderName, HeaderValue};
use prism_types::RequestId;
use tracing::Instrument as _;

use crate::ids::NewId;

/// The header.
pub(crate) const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// Takes the caller's id, 1 to 128 visible ASCII characters, or makes one.
pub(crate) async fn layer(mut request: Request, next: Next) -> Response {
    let given = request.headers().get(&HEADER).filter(|id| is_fit(id)).cloned();
    let id = given.unwrap_or_else(new_id);
    request.headers_mut().insert(HEADER, id.clone());
    let span = tracing::info_span!("request", id = %shown(&id), method = %request.method());
    let mut response = next.run(request).instrument(span).await;
    response.headers_mut().insert(HEADER, id);
    response
}

/// A fit id is visible ASCII.
fn shown(id: &HeaderValue) -> &str {
    id.to_str().unwrap_or_default()
}

fn is_fit(id: &HeaderValue) -> bool {
    (1..=128).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic)
}

fn new_id() -> HeaderValue {
    // An id is visible ASCII, which every header can hold.
    HeaderValue::from_str(RequestId::generate().as_str()).unwrap_or(HeaderValue::from_static("req_0"))
}
