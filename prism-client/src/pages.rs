//! Lists as streams: of their pages, or of their items.

use std::{
    collections::VecDeque,
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_util::{Stream, StreamExt, stream::FusedStream};
use prism_types::{Cursor, Page};
use serde::de::DeserializeOwned;

use crate::{
    Error, Response,
    call::Call,
    error::{Kind, Misfit},
};

/// The parameter of a query that says where to go on.
const CURSOR: &str = "cursor";

type Sending<T> = Pin<Box<dyn Future<Output = Result<Response<Page<T>>, Error>> + Send>>;

/// The pages of a list, one after the other; from `pages` of a call that lists.
///
/// Each page is asked for when it is polled for, with the limits and the retries of the call. An empty page is not the
/// end, while it names a next one. After an error the stream ends; [`cursor`](Self::cursor) is still the place of the page
/// that failed.
///
/// ```no_run
/// # async fn example(client: prism_client::Client) -> Result<(), prism_client::Error> {
/// let mut pages = client.deployments().list().limit(100).pages();
/// while let Some(page) = pages.next().await.transpose()? {
///     println!("{} deployments", page.data.len());
///     // Kept in a file, this is where another process goes on: `list().cursor(..)`.
///     let place = serde_json::to_string(&pages.cursor()).expect("a cursor is JSON");
/// }
/// # Ok(())
/// # }
/// ```
#[must_use = "a stream does nothing unless it is polled"]
pub struct Pages<T> {
    call: Call,
    /// Sends the call for a page.
    send: fn(Call) -> Sending<T>,
    cursor: Option<Cursor>,
    state: State<T>,
}

enum State<T> {
    /// The next page was not asked for yet.
    Idle,
    Sending(Sending<T>),
    Ended,
}

impl<T: Send + 'static> Pages<T> {
    /// The pages of a list, which are answered as `A`.
    pub(crate) fn new<A: DeserializeOwned + Into<Page<T>> + Send + 'static>(call: Call) -> Self {
        let cursor = call.query(CURSOR).and_then(|cursor| cursor.parse().ok());
        let send =
            |call: Call| -> Sending<T> { Box::pin(async { Ok(call.send::<A>().await?.map(Into::into)) }) };
        Self { call, send, cursor, state: State::Idle }
    }

    /// The next page; `None` after the last. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Result<Response<Page<T>>, Error>> {
        StreamExt::next(self).await
    }

    /// Where the next page begins: what `cursor` of the call takes to go on there, in another process too. `None` before
    /// the first page and after the last.
    pub fn cursor(&self) -> Option<&Cursor> {
        self.cursor.as_ref()
    }

    /// Notes where the next page begins.
    fn turn(&mut self, next: Option<&Cursor>) -> Result<(), Error> {
        if next.is_some() && next == self.cursor.as_ref() {
            let misfit = Misfit::new("the answer", "its `next_cursor` is that of the page before");
            return Err(Error::new(Kind::Decode(misfit)).during(&self.call.name()));
        }
        self.cursor = next.cloned();
        self.state = if next.is_some() { State::Idle } else { State::Ended };
        Ok(())
    }
}

impl<T: Send + 'static> Stream for Pages<T> {
    type Item = Result<Response<Page<T>>, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            match &mut self.state {
                State::Ended => return Poll::Ready(None),
                State::Idle => {
                    let mut call = self.call.clone();
                    if let Some(cursor) = &self.cursor {
                        call.set_query(CURSOR, cursor);
                    }
                    self.state = State::Sending((self.send)(call));
                }
                State::Sending(sending) => {
                    let answer = ready!(sending.as_mut().poll(cx));
                    self.state = State::Ended;
                    let page = answer.and_then(|page| {
                        self.turn(page.next_cursor.as_ref())?;
                        Ok(page)
                    });
                    return Poll::Ready(Some(page));
                }
            }
        }
    }
}

impl<T: Send + 'static> FusedStream for Pages<T> {
    fn is_terminated(&self) -> bool {
        matches!(self.state, State::Ended)
    }
}

impl<T> fmt::Debug for Pages<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pages").field("call", &self.call).finish_non_exhaustive()
    }
}

/// The items of a list, one after the other, across all its pages; from `items` of a call that lists.
///
/// One page is held at a time. After an error the stream ends.
///
/// ```no_run
/// # async fn example(client: prism_client::Client) -> Result<(), prism_client::Error> {
/// let mut deployments = client.deployments().list().customer_id("cus_123").items();
/// while let Some(deployment) = deployments.next().await.transpose()? {
///     println!("{} is {}", deployment.deployment_id, deployment.status);
/// }
/// # Ok(())
/// # }
/// ```
#[must_use = "a stream does nothing unless it is polled"]
pub struct Items<T> {
    pages: Pages<T>,
    page: VecDeque<T>,
    /// Where the page began that is being read.
    place: Option<Cursor>,
}

impl<T: Send + Unpin + 'static> Items<T> {
    pub(crate) fn new(pages: Pages<T>) -> Self {
        Self { pages, page: VecDeque::new(), place: None }
    }

    /// The next item; `None` after the last. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Result<T, Error>> {
        StreamExt::next(self).await
    }

    /// Where to go on, in another process too, so that no item is missed: where the page begins whose items are not all
    /// read yet. Those of them that were read come again. `None`: at the beginning of the list, or there is nothing more.
    pub fn cursor(&self) -> Option<&Cursor> {
        if self.page.is_empty() { self.pages.cursor() } else { self.place.as_ref() }
    }

    /// All items that are left, in memory.
    ///
    /// # Errors
    /// As the page that failed.
    pub async fn all(mut self) -> Result<Vec<T>, Error> {
        let mut items = Vec::new();
        while let Some(item) = self.next().await {
            items.push(item?);
        }
        Ok(items)
    }
}

impl<T: Send + Unpin + 'static> Stream for Items<T> {
    type Item = Result<T, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(item) = self.page.pop_front() {
                return Poll::Ready(Some(Ok(item)));
            }
            let place = self.pages.cursor().cloned();
            match ready!(self.pages.poll_next_unpin(cx)) {
                None => return Poll::Ready(None),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                Some(Ok(page)) => {
                    self.place = place;
                    self.page = page.into_inner().data.into();
                }
            }
        }
    }
}

impl<T: Send + Unpin + 'static> FusedStream for Items<T> {
    fn is_terminated(&self) -> bool {
        self.page.is_empty() && self.pages.is_terminated()
    }
}

impl<T> fmt::Debug for Items<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Items")
            .field("call", &self.pages.call)
            .field("held", &self.page.len())
            .finish_non_exhaustive()
    }
}
