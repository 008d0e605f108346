//! What is hosted, as fast as a server of this kind can be, and the least that running a job can be.

use std::{process::Stdio, sync::Arc};

use axum::{Router, extract::State, http::StatusCode, routing::get};
use bytes::Bytes;
use tokio::process::Command;

use super::write::Writer;

/// The bodies that are served, in bytes.
pub(crate) const SMALL: usize = 100;
/// See [`SMALL`].
pub(crate) const LARGE: usize = 1 << 20;

/// Bodies of two sizes, and which process this is.
pub(super) fn router() -> Router {
    let body = |length: usize| {
        let bytes = Bytes::from(vec![b'x'; length]);
        get(async move || bytes.clone())
    };
    Router::new()
        .route("/small", body(SMALL))
        .route("/large", body(LARGE))
        .route("/process", get(async || std::process::id().to_string()))
}

/// `POST /jobs`: a process that does nothing, and one durable row once it has ended.
pub(super) async fn job(State(writer): State<Arc<Writer>>) -> Result<&'static str, StatusCode> {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", "true"]).stdin(Stdio::null()).stdout(Stdio::null());
    let status = shell.status().await.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    if !status.success() {
        return Err(StatusCode::INTERNAL_SERVER_ERROR);
    }
    writer.note("true").await?;
    Ok("\"succeeded\"")
}
