//! The use cases: one file per noun.
//!
//! A use case reads, decides with the state machines of [`crate::domain`], and writes everything in one
//! commit. When somebody else was faster, the commit is a conflict and the use case starts over from the
//! reading; after [`TRIES`] such defeats the caller is told to try again.
//!
//! Callers have been authenticated, and the scope of the endpoint was checked; what is checked here is that a
//! tenant sees its own only.

pub(crate) mod api_keys;
pub(crate) mod approvals;
pub(crate) mod audit;
pub(crate) mod author;
pub(crate) mod automations;
pub(crate) mod deployments;
pub(crate) mod dreams;
pub(crate) mod events;
pub(crate) mod files;
pub(crate) mod known_keys;
pub(crate) mod machines;
pub(crate) mod mcp_servers;
pub(crate) mod memories;
pub(crate) mod messages;
pub(crate) mod programs;
pub(crate) mod runs;
pub(crate) mod secrets;
pub(crate) mod skills;
pub(crate) mod snapshots;
pub(crate) mod tenants;
pub(crate) mod threads;
pub(crate) mod tools;
pub(crate) mod webhooks;

use std::future::Future;

use crate::{
    domain::{Refused, idempotency::Reply, precondition, precondition::Tags},
    error::{Error, ErrorKind, Result},
    ports::StoreError,
};

/// How often a use case starts over after a conflict.
const TRIES: usize = 8;

/// How a dialect answers what came of a change. It is asked before the commit, so that the answer can be kept in it.
pub(crate) trait Tell<T>: Fn(T) -> Result<Reply> + Send + Sync {}

impl<T, F: Fn(T) -> Result<Reply> + Send + Sync> Tell<T> for F {}

/// Refuses a change to something else than the caller has seen.
fn require_match(seen: Option<&Tags>, revision: u64) -> Result<()> {
    let etag = precondition::etag(revision);
    if seen.is_none_or(|seen| seen.name(&etag)) {
        return Ok(());
    }
    let message = format!("It is not what `If-Match` says, but {etag}. Read it again and decide again.");
    Err(Error::new(ErrorKind::PreconditionFailed, message))
}

/// A page of a list.
#[derive(Debug, Clone)]
pub(crate) struct Listed<T, Id> {
    pub(crate) items: Vec<T>,
    /// The last id of the page when there are more items.
    pub(crate) next: Option<Id>,
}

impl<T, Id> Listed<T, Id> {
    /// Makes a page of `limit` from the answer to a query for one more.
    pub(crate) fn from_one_more(mut items: Vec<T>, limit: u32, id: impl Fn(&T) -> Id) -> Self {
        let more = items.len() > limit as usize;
        items.truncate(limit as usize);
        let next = if more { items.last().map(id) } else { None };
        Self { items, next }
    }
}

/// Carries out a use case, and again while its commit is a conflict.
async fn with_retries<T, Fut>(attempt: impl Fn() -> Fut) -> Result<T>
where
    Fut: Future<Output = Result<T, Attempt>>,
{
    for _ in 1..TRIES {
        match attempt().await {
            Err(Attempt::Conflict) => {}
            Err(Attempt::Failed(error)) => return Err(error),
            Ok(value) => return Ok(value),
        }
    }
    match attempt().await {
        Ok(value) => Ok(value),
        Err(Attempt::Failed(error)) => Err(error),
        Err(Attempt::Conflict) => Err(StoreError::Conflict("it").into()),
    }
}

/// Why one attempt of a use case ended.
enum Attempt {
    /// Somebody else was faster.
    Conflict,
    /// Trying again is of no use.
    Failed(Error),
}

impl From<StoreError> for Attempt {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict(_) => Self::Conflict,
            other => Self::Failed(other.into()),
        }
    }
}

impl From<Error> for Attempt {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<Refused> for Attempt {
    fn from(refused: Refused) -> Self {
        Self::Failed(refused.into())
    }
}
