//! Events from memory to everybody who listens, in the form that Prism's have.

use axum::{
    Json, Router,
    body::Body,
    extract::State,
    http::header::CONTENT_TYPE,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use bytes::Bytes;
use futures::{StreamExt, stream};
use serde::{Deserialize, Serialize};
use tokio::{
    sync::broadcast::{Receiver, Sender, error::RecvError},
    time::interval,
};

use crate::stamped::{EVERY, stamped_text};

/// As long as a generated id is.
const SUFFIX: &str = "00000000000000000000000000";

/// Events that a slow listener may be behind; more are lost to it.
const BEHIND: usize = 1024;

pub(super) fn router() -> Router {
    Router::new()
        .route("/v1/deployments/{id}/events", get(follow))
        .route("/publish", post(publish))
        .with_state(Sender::new(BEHIND))
}

/// The body of `POST /publish`.
#[derive(Deserialize, Serialize)]
struct Publish {
    events: u32,
}

/// Starts to publish so many events.
async fn publish(State(sender): State<Sender<Bytes>>, Json(publish): Json<Publish>) -> Json<Publish> {
    let events = publish.events;
    tokio::spawn(async move {
        let mut ticks = interval(EVERY);
        for sequence in 1..=events {
            ticks.tick().await;
            let _ = sender.send(frame("token", sequence, &format!(r#""delta":"{}""#, stamped_text())));
        }
        let _ = sender.send(frame("run_status", events + 1, r#""status":"completed""#));
    });
    Json(publish)
}

async fn follow(State(sender): State<Sender<Bytes>>) -> Response {
    let opening = stream::iter([Bytes::from(format!("id: evt_{SUFFIX}_0\n\n"))]);
    let live = stream::unfold(sender.subscribe(), |mut receiver| async {
        Some((receive(&mut receiver).await?, receiver))
    });
    let body = Body::from_stream(opening.chain(live).map(Ok::<_, std::convert::Infallible>));
    ([(CONTENT_TYPE, "text/event-stream")], body).into_response()
}

async fn receive(receiver: &mut Receiver<Bytes>) -> Option<Bytes> {
    loop {
        match receiver.recv().await {
            Ok(frame) => return Some(frame),
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return None,
        }
    }
}

fn frame(event: &str, sequence: u32, field: &str) -> Bytes {
    let data = format!(r#"{{"run_id":"run_{SUFFIX}","thread_id":"thr_{SUFFIX}",{field}}}"#);
    Bytes::from(format!("event: {event}\nid: evt_{SUFFIX}_{sequence}\ndata: {data}\n\n"))
}
