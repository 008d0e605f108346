//! Changes go on when the caller hangs up: a request that was taken is carried out whole, never half.

use std::future::Future;

use tracing::Instrument as _;

use crate::{
    core::Core,
    error::{Error, Result},
};

/// Carries out `work` in a task of its own, which a shutdown waits for.
pub(crate) async fn detached<T: Send + 'static>(
    core: &Core,
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    core.tasks.spawn(work.in_current_span()).await.unwrap_or_else(|error| Err(Error::internal(error)))
}
