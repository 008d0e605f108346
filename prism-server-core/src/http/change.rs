//! A request that changes something.

use std::{
    future::Future,
    sync::{Arc, Mutex},
};

use axum::{
    body::{Body, HttpBody as _},
    extract::Request,
};
use http::{HeaderMap, request::Parts};
use serde_json::Value;

use super::{body::read_json, detach::detached, idempotency::Turn};
use crate::{core::Core, domain::tenant::Principal, error::Result, service::author::Author};

/// A request that changes something, let in.
pub(crate) struct Change {
    admitted: Admitted,
    pub(crate) parts: Parts,
    body: Body,
}

/// What the gate leaves in the extensions of a request that it lets in, to be taken once.
#[derive(Clone)]
pub(crate) struct Admission(Arc<Mutex<Option<Admitted>>>);

struct Admitted {
    author: Author,
    turn: Option<Turn>,
    largest_body: usize,
}

impl Admission {
    pub(crate) fn new(author: Author, turn: Option<Turn>, largest_body: usize) -> Self {
        Self(Arc::new(Mutex::new(Some(Admitted { author, turn, largest_body }))))
    }
}

impl Change {
    /// The request, if the gate has let it in.
    pub(crate) fn of(mut request: Request) -> Option<Self> {
        let admission = request.extensions_mut().remove::<Admission>();
        let admitted = admission.and_then(|admission| admission.0.lock().ok()?.take())?;
        let (parts, body) = request.into_parts();
        Some(Self { admitted, parts, body })
    }

    pub(crate) fn principal(&self) -> &Principal {
        &self.admitted.author.principal
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.parts.headers
    }

    /// The body, as JSON. It can be read once.
    ///
    /// # Errors
    /// See [`read_json`].
    pub(crate) async fn json(&mut self) -> Result<Value> {
        let body = self.take_body();
        let body = read_json(&self.parts.headers, body, self.admitted.largest_body).await?;
        self.admitted.author.set_fields(&body);
        Ok(body)
    }

    /// As [`Change::json`], of a body that may be left out: an empty object then.
    ///
    /// # Errors
    /// See [`read_json`].
    pub(crate) async fn json_if_any(&mut self) -> Result<Value> {
        if self.body.is_end_stream() { Ok(Value::Object(Default::default())) } else { self.json().await }
    }

    /// The body as it comes. It can be taken once.
    pub(crate) fn take_body(&mut self) -> Body {
        std::mem::take(&mut self.body)
    }

    /// Makes the change, in a task of its own.
    ///
    /// # Errors
    /// The work's.
    pub(crate) async fn carry_out<T, Work>(
        self,
        core: &Arc<Core>,
        work: impl FnOnce(Arc<Core>, Author) -> Work + Send + 'static,
    ) -> Result<T>
    where
        T: Send + 'static,
        Work: Future<Output = Result<T>> + Send + 'static,
    {
        let Admitted { author, turn, .. } = self.admitted;
        let work = work(core.clone(), author);
        detached(core, async move {
            let done = work.await;
            // Whoever waits with the same key finds the answer now.
            drop(turn);
            done
        })
        .await
    }
}
