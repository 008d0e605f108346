//! Event streams: a log followed over a response body.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{body::Body, response::Response};
use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use http::{
    HeaderValue,
    header::{CACHE_CONTROL, CONTENT_TYPE},
};
use prism_types::DeploymentId;
use tokio::time::{Instant, sleep_until};

use super::sse;
use crate::{
    core::Core,
    domain::event::event_id,
    event_log::{Subscription, frames},
};

/// A response that follows a subscription until the client goes away, the log is closed or the server shuts
/// down.
///
/// It opens with a block that has an id and no data: a client that loses the connection before the first event
/// resumes from there, and loses nothing.
pub(crate) fn response(core: Arc<Core>, deployment_id: DeploymentId, subscription: Subscription) -> Response {
    let opening = sse::position(&event_id(&deployment_id, subscription.position()));
    let opening = stream::once(std::future::ready(opening));
    let follower = Follower { core, subscription };
    let live = stream::unfold(Some(follower), |follower| async {
        let mut follower = follower?;
        Some(match follower.next().await {
            Next::Frames(frames) => (frames, Some(follower)),
            Next::Silence => (sse::HEARTBEAT, Some(follower)),
            Next::End => (sse::GOODBYE, None),
        })
    });
    let body = opening.chain(Boxed(Box::pin(live))).map(Ok::<_, Infallible>);
    let mut response = Response::new(Body::from_stream(body));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform"));
    // Asks nginx, and proxies that learnt it from nginx, not to hold events back.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

struct Follower {
    core: Arc<Core>,
    subscription: Subscription,
}

enum Next {
    Frames(Bytes),
    Silence,
    End,
}

impl Follower {
    async fn next(&mut self) -> Next {
        let silence = Instant::now() + self.core.settings.heartbeat;
        tokio::select! {
            biased;
            () = self.core.shutdown.cancelled() => Next::End,
            events = self.subscription.next() => match events {
                Some(Ok(entries)) => Next::Frames(frames(&entries)),
                Some(Err(error)) => {
                    // The client comes back with its position, so nothing is lost.
                    tracing::warn!(%error, "an event stream was ended");
                    Next::End
                }
                None => Next::End,
            },
            () = sleep_until(silence) => Next::Silence,
        }
    }
}

/// Keeps the large state of a live stream in one allocation.
struct Boxed(Pin<Box<dyn Stream<Item = Bytes> + Send>>);

impl Stream for Boxed {
    type Item = Bytes;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        self.0.as_mut().poll_next(context)
    }
}
