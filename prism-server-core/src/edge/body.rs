//! Bodies as they come: nothing of them is kept, so that whoever reads slowly slows down whoever writes.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use axum::body::Body;
use bytes::Bytes;
use futures::{FutureExt as _, future::BoxFuture};
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};

use super::{
    services::{Connection, UnderWay},
    watch::{Activity, Cut},
};

/// The body of a request on its way to a service.
pub(super) struct Sent {
    body: Body,
    activity: Arc<Activity>,
}

impl Sent {
    pub(super) fn new(body: Body, activity: Arc<Activity>) -> Self {
        Self { body, activity }
    }
}

impl HttpBody for Sent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        self.activity.client_is_waited_for(polled.is_pending());
        let frame = ready!(polled);
        self.activity.moved();
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Sent {
    fn drop(&mut self) {
        self.activity.client_is_waited_for(false);
        self.activity.sent();
    }
}

/// What an answer is made by.
pub(super) struct Lease {
    pub(super) connection: Connection,
    pub(super) under_way: UnderWay,
    pub(super) activity: Arc<Activity>,
}

impl Lease {
    /// The answer is whole. The connection waits for another request, if all of this one was sent.
    pub(super) fn finish(self) {
        if self.activity.is_sent() {
            self.under_way.keep(self.connection);
        }
    }
}

/// The body of an answer on its way to a client. Dropped early, it ends the connection.
pub(super) struct Passed {
    answer: Incoming,
    cut: BoxFuture<'static, Cut>,
    /// `None` when it has ended.
    lease: Option<Lease>,
}

impl Passed {
    pub(super) fn new(answer: Incoming, lease: Lease, cut: BoxFuture<'static, Cut>) -> Self {
        Self { answer, cut, lease: Some(lease) }
    }
}

impl HttpBody for Passed {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let Self { answer, cut, lease: kept } = &mut *self;
        let Some(lease) = kept else { return Poll::Ready(None) };
        let instance = lease.under_way.instance();
        if let Poll::Ready(cut) = cut.poll_unpin(context) {
            tracing::debug!(%instance, %cut, "an answer of a service was cut off");
            *kept = None;
            return Poll::Ready(Some(Err(io::Error::other(cut))));
        }
        Poll::Ready(match ready!(Pin::new(answer).poll_frame(context)) {
            Some(Ok(frame)) => {
                lease.activity.moved();
                Some(Ok(frame))
            }
            Some(Err(error)) => {
                tracing::debug!(%instance, %error, "a service broke its answer off");
                *kept = None;
                Some(Err(io::Error::other("the service broke its answer off")))
            }
            None => {
                if let Some(lease) = kept.take() {
                    lease.finish();
                }
                None
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.lease.is_none() || self.answer.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.answer.size_hint()
    }
}

impl Drop for Passed {
    fn drop(&mut self) {
        // Of an answer with a length nobody asks for more than that.
        if let Some(lease) = self.lease.take().filter(|_| self.answer.is_end_stream()) {
            lease.finish();
        }
    }
}
