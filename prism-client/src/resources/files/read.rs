//! Reading a file.

use std::{
    ops::{Bound, RangeBounds},
    pin::Pin,
    time::Duration,
};

use super::{
    content::{FileContent, Part},
    progress::{Listener, Progress},
};
use crate::{
    Error, RetryPolicy,
    call::{Call, headed},
    retry::tried,
};

/// `GET /v1/deployments/{deployment_id}/files/content`, from [`Files::read`](super::Files::read). Needs the scope `deployments:read`.
///
/// Nothing is sent before [`send`](Self::send) or `.await`.
#[derive(Debug, Clone)]
#[must_use = "nothing is sent before `send` or `.await`"]
pub struct ReadFileCall {
    call: Call,
    part: Part,
    listener: Listener,
}

impl ReadFileCall {
    pub(super) fn new(call: Call) -> Self {
        Self { call, part: Part::WHOLE, listener: Listener::default() }
    }

    /// Reads a part: some bytes of the file, from 0. Default: all of them. A part that begins past the end is
    /// [`is_validation`](Error::is_validation), one without a byte [`is_configuration`](Error::is_configuration).
    pub fn range(mut self, range: impl RangeBounds<u64>) -> Self {
        let first = match range.start_bound() {
            Bound::Included(first) => *first,
            Bound::Excluded(before) => before.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(last) => last.saturating_add(1),
            Bound::Excluded(end) => *end,
            Bound::Unbounded => u64::MAX,
        };
        if first >= end {
            self.call.refuse("a range without a byte cannot be read");
            return self;
        }
        self.part = Part { first, end };
        self.part.ask(&mut self.call);
        self
    }

    /// Reads only another file than the one with this `ETag`; the same is
    /// [`is_not_modified`](Error::is_not_modified).
    pub fn if_none_match(mut self, etag: &str) -> Self {
        self.call.set_header("if-none-match", etag);
        self
    }

    /// Tells how much has come, after each piece.
    ///
    /// ```
    /// # use prism_client::resources::Files;
    /// # async fn example(files: Files) -> Result<(), prism_client::Error> {
    /// let film = files.read("film.mp4").on_progress(|at| println!("{} of {:?} bytes", at.bytes, at.total));
    /// let bytes = film.await?.bytes().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn on_progress(mut self, listen: impl Fn(Progress) + Send + Sync + 'static) -> Self {
        self.listener = Listener::new(listen);
        self
    }

    /// Sets how long to wait for the answer to begin, with all attempts, and then for each of its pieces. Default: the
    /// client's [`timeout`](crate::ClientBuilder::timeout). The whole may take as long as it takes.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.call.set_timeout(Some(timeout));
        self
    }

    /// Sets the time limit of each attempt, until the answer begins. Default: the client's
    /// [`attempt_timeout`](crate::ClientBuilder::attempt_timeout).
    pub fn attempt_timeout(mut self, timeout: Duration) -> Self {
        self.call.set_attempt_timeout(timeout);
        self
    }

    /// Sets how this call is tried again. Default: the client's [`retries`](crate::ClientBuilder::retries). When the
    /// connection breaks in the middle, the rest of the same version of the file is asked for, as often as this says
    /// without a byte in between.
    pub fn retries(mut self, policy: RetryPolicy) -> Self {
        self.call.set_retry_policy(policy);
        self
    }

    /// Sends the request, again if need be, and waits for the answer to begin.
    ///
    /// # Errors
    /// See [`Error`] for what there is to ask it.
    pub async fn send(self) -> Result<FileContent, Error> {
        let Self { call, part, listener } = self;
        let answer = tried(call.clone(), Call::exchange).await?;
        Ok(FileContent::new((call, part), answer, &listener))
    }
}

headed!(ReadFileCall);

impl IntoFuture for ReadFileCall {
    type Output = Result<FileContent, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}
