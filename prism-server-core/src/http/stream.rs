//! Event streams: a log followed over a response body.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{body::Body, response::Response};
use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use http::{
    HeaderValue,
    header::{CACHE_CONTROL, CONTENT_TYPE},
};
use prism_types::DeploymentId;
use tokio::time::{Instant, Sleep, sleep};
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::sse;
use crate::{
    core::Core,
    domain::event::event_id,
    event_log::{Entry, Subscription, frames},
    ports::StoreResult,
    telemetry::Lasting,
};

/// A response that follows a subscription until the client goes away, the log is closed or the server shuts
/// down.
///
/// It opens with a block that has an id and no data: a client that loses the connection before the first event
/// resumes from there, and loses nothing.
pub(crate) fn response(core: Arc<Core>, deployment_id: DeploymentId, subscription: Subscription) -> Response {
    let opening = sse::position(&event_id(&deployment_id, subscription.position()));
    let body = stream::once(std::future::ready(opening)).chain(Boxed(Box::pin(follow(core, subscription))));
    let mut response = Response::new(Body::from_stream(body.map(Ok::<_, Infallible>)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform"));
    // Asks nginx, and proxies that learnt it from nginx, not to hold events back.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// What comes after the opening.
fn follow(core: Arc<Core>, subscription: Subscription) -> impl Stream<Item = Bytes> + Send {
    let heartbeat = core.settings.heartbeat;
    let follower = Follower {
        subscription,
        heartbeat,
        shutdown: Box::pin(core.shutdown.clone().cancelled_owned()),
        timer: Box::pin(sleep(heartbeat)),
        last_sent: Instant::now(),
        _counted: Lasting::stream(),
    };
    stream::unfold(Some(follower), |follower| async {
        let mut follower = follower?;
        Some(match follower.next().await {
            Some(frames) => (frames, Some(follower)),
            None => (sse::GOODBYE, None),
        })
    })
}

/// A subscription and what else can happen while it is followed.
///
/// The shutdown and the timer are waited for as long as the stream lives, and are not set up anew for each
/// event: with a thousand streams that would cost more than sending. So the timer may go off early, and is then
/// set to when the silence will have lasted.
struct Follower {
    subscription: Subscription,
    heartbeat: Duration,
    shutdown: Pin<Box<WaitForCancellationFutureOwned>>,
    timer: Pin<Box<Sleep>>,
    last_sent: Instant,
    _counted: Lasting,
}

impl Follower {
    /// What to send next; `None` at the end.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            tokio::select! {
                biased;
                () = &mut self.shutdown => return None,
                events = self.subscription.next() => {
                    self.last_sent = Instant::now();
                    return sendable(events);
                }
                () = &mut self.timer => {
                    let now = Instant::now();
                    let silent_until = self.last_sent + self.heartbeat;
                    if now < silent_until {
                        self.timer.as_mut().reset(silent_until);
                        continue;
                    }
                    self.last_sent = now;
                    self.timer.as_mut().reset(now + self.heartbeat);
                    return Some(sse::HEARTBEAT);
                }
            }
        }
    }
}

/// The frames of what a subscription tells.
fn sendable(events: Option<StoreResult<Vec<Arc<Entry>>>>) -> Option<Bytes> {
    match events? {
        Ok(entries) => Some(frames(&entries)),
        Err(error) => {
            // The client comes back with its position, so nothing is lost.
            tracing::warn!(%error, "an event stream was ended");
            None
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
