//! What Prism is compared to: the least that an axum server could do for the same result.
//!
//! It checks no key, decides nothing and follows nothing up; it reads the same row, writes the same rows with
//! the same durability, and sends the same bytes.

mod broadcast;
pub(crate) mod hosted;
mod read;
mod write;

use std::sync::Arc;

use axum::{
    Router,
    routing::{get, post},
    serve::ListenerExt,
};
use tokio::net::TcpListener;

use crate::{Result, options::BaselineRole, process::LISTENING};

/// Serves until the process is killed.
pub(crate) async fn serve(role: &BaselineRole) -> Result<()> {
    let mut router =
        Router::new().route("/", get(|| async { "ok" })).merge(broadcast::router()).merge(hosted::router());
    if let Some(database) = &role.database {
        let writer = Arc::new(write::Writer::start(database)?);
        router = router
            .route("/v1/deployments/{id}", get(read::deployment).with_state(Arc::new(database.clone())))
            .route("/v1/deployments", post(write::create).with_state(writer.clone()))
            .route("/messages", post(write::message).with_state(writer.clone()))
            .route("/jobs", post(hosted::job).with_state(writer));
    }
    let listener = TcpListener::bind(("127.0.0.1", role.port)).await?;
    println!("baseline{LISTENING}{}", listener.local_addr()?);
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    Ok(axum::serve(listener, router).await?)
}
