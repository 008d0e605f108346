//! Idempotency keys: a `POST` with a key is carried out once, however often it is sent.
//!
//! The answer is in the commit of the change (see [`crate::service::author`]), which makes a second change under the
//! same key impossible. What is here spares the second request the work: requests with the same key wait for each other.
//! A turn goes with the change, so that it lasts until that is committed, also when the caller hangs up.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use http::{HeaderMap, HeaderName, request::Parts};
use prism_types::{Problem, TenantId};
use sha2::{Digest, Sha256};
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

use crate::{
    domain::idempotency::IdempotencyKey,
    error::{Error, Result},
};

/// The header with the key.
pub(crate) const HEADER: HeaderName = HeaderName::from_static("idempotency-key");
/// The header that marks an answer that was given before.
pub(crate) const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// The key of a request, if it has one.
///
/// # Errors
/// When there are several, or one that is not 1 to 255 visible ASCII characters.
pub(crate) fn key(headers: &HeaderMap) -> Result<Option<IdempotencyKey>> {
    let problem = |rule: String| Error::invalid(vec![Problem::new("header.idempotency-key", rule)]);
    let mut values = headers.get_all(HEADER).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(problem("is given more than once".to_owned()));
    }
    let key = value.to_str().unwrap_or_default().parse();
    key.map(Some).map_err(|error: crate::domain::idempotency::InvalidKey| problem(error.to_string()))
}

/// What tells requests under one key apart: the method, the path with its query, and the body, byte by byte.
pub(crate) fn fingerprint(request: &Parts, body: &[u8]) -> [u8; 32] {
    let path = request.uri.path_and_query().map_or("", http::uri::PathAndQuery::as_str);
    let mut hash = Sha256::new();
    for part in [request.method.as_str().as_bytes(), path.as_bytes()] {
        hash.update(part);
        hash.update([0]);
    }
    hash.update(body);
    hash.finalize().into()
}

type Name = (TenantId, IdempotencyKey);
type Queue = Arc<AsyncMutex<()>>;

/// Whose turn it is with a key.
#[derive(Default)]
pub(crate) struct Turns {
    queues: Mutex<HashMap<Name, Queue>>,
}

/// The right to carry out the request of a key; it ends when this is dropped.
pub(crate) struct Turn {
    turns: Arc<Turns>,
    name: Name,
    /// Held before the guard, so that nobody removes the queue while this one waits.
    queue: Option<Queue>,
    guard: Option<OwnedMutexGuard<()>>,
}

impl Turns {
    /// Waits until nobody else carries out a request of this key.
    pub(crate) async fn take(self: &Arc<Self>, tenant: &TenantId, key: &IdempotencyKey) -> Turn {
        let name = (tenant.clone(), key.clone());
        let queue = self.queues().entry(name.clone()).or_default().clone();
        let mut turn = Turn { turns: self.clone(), name, queue: Some(queue.clone()), guard: None };
        turn.guard = Some(queue.lock_owned().await);
        turn
    }

    fn queues(&self) -> std::sync::MutexGuard<'_, HashMap<Name, Queue>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.guard = None;
        let mut queues = self.turns.queues();
        self.queue = None;
        // Queues are shared under this lock only: one that only the map has is nobody's.
        if queues.get(&self.name).is_some_and(|queue| Arc::strong_count(queue) == 1) {
            queues.remove(&self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt as _, poll};

    use super::*;

    #[tokio::test]
    async fn requests_of_one_key_take_turns_and_leave_nothing_behind() {
        let turns = Arc::new(Turns::default());
        let tenant = TenantId::from_suffix("a").unwrap();
        let key: IdempotencyKey = "k".parse().unwrap();
        let first = turns.take(&tenant, &key).await;
        let other = turns.take(&TenantId::from_suffix("b").unwrap(), &key).now_or_never();
        assert!(other.is_some(), "another tenant's key is another key");
        drop(other);
        let mut second = Box::pin(turns.take(&tenant, &key));
        let mut third = Box::pin(turns.take(&tenant, &key));
        assert!(poll!(&mut second).is_pending());
        assert!(poll!(&mut third).is_pending());
        drop(first);
        // The second gives up at the moment when it is its turn.
        drop(second);
        drop(third.await);
        assert!(turns.queues().is_empty());
    }

    #[test]
    fn a_key_is_given_once_and_has_a_form() {
        let mut headers = HeaderMap::new();
        assert_eq!(key(&headers).unwrap(), None);
        headers.append(HEADER, "a b".parse().unwrap());
        assert!(key(&headers).unwrap_err().message().contains("visible ASCII"));
        headers.insert(HEADER, "ab".parse().unwrap());
        assert_eq!(key(&headers).unwrap().unwrap().as_str(), "ab");
        headers.append(HEADER, "ab".parse().unwrap());
        assert!(key(&headers).unwrap_err().message().contains("more than once"));
    }

    #[test]
    fn method_path_query_and_body_tell_requests_apart() {
        let of = |method: &str, uri: &str, body: &str| {
            let request = http::Request::builder().method(method).uri(uri).body(()).unwrap();
            fingerprint(&request.into_parts().0, body.as_bytes())
        };
        let all = [
            of("POST", "/a", "x"),
            of("PUT", "/a", "x"),
            of("POST", "/b", "x"),
            of("POST", "/a?b", "x"),
            of("POST", "/a", "y"),
        ];
        assert!((1..all.len()).all(|at| !all[..at].contains(&all[at])));
        assert_eq!(all[0], of("POST", "/a", "x"));
    }
}
