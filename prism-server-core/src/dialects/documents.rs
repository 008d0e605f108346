//! The OpenAPI documents of the dialects, for whoever asks: no key is needed.

use std::sync::LazyLock;

use axum::{Router, response::IntoResponse, routing::get};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use serde_json::Value;

/// A document as it is sent, made when it is first asked for.
type Text = LazyLock<Bytes>;

static NATIVE: Text = Text::new(|| text(&super::prism::openapi()));
#[cfg(feature = "nullspace")]
static NULLSPACE: Text = Text::new(|| text(&super::nullspace::openapi()));

/// The documents as a router.
pub(crate) fn router() -> Router {
    let router = Router::new().route("/openapi.json", get(async || answer(&NATIVE)));
    #[cfg(feature = "nullspace")]
    let router = router.route("/openapi/nullspace.json", get(async || answer(&NULLSPACE)));
    router
}

fn text(document: &Value) -> Bytes {
    document.to_string().into()
}

fn answer(text: &Text) -> impl IntoResponse + use<> {
    ([(CONTENT_TYPE, "application/json")], Bytes::clone(text))
}
