//! Waiting for a deployment.

use std::{pin::Pin, time::Duration};

use prism_types::{Deployment, DeploymentId, DeploymentStatus};
use tokio::time::{Instant, sleep, timeout_at};

use super::Deployments;
use crate::{
    Error, RetryPolicy,
    backoff::{Backoff, deadline, random},
    error::Kind,
};

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5 * 60);
/// The first and the longest pause between two looks.
const PAUSES: Backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(2));

/// Waits until a deployment is `ready`; from
/// [`DeploymentHandle::wait_until_ready`](super::DeploymentHandle::wait_until_ready).
///
/// It reads the deployment again and again, with pauses that grow from 50 ms to 2 s, each shortened by up to
/// half at random so that many waiting clients spread. What may pass is tolerated until the time limit: no
/// connection, a connection that breaks, 429 (whose `retry-after` is honoured), 5xx.
///
/// Nothing is sent before [`wait`](Self::wait) or `.await`.
#[derive(Debug, Clone)]
#[must_use = "nothing is sent before `wait` or `.await`"]
pub struct WaitUntilReady {
    deployments: Deployments,
    id: DeploymentId,
    timeout: Duration,
}

impl WaitUntilReady {
    pub(super) fn new(deployments: Deployments, id: DeploymentId) -> Self {
        Self { deployments, id, timeout: DEFAULT_TIMEOUT }
    }

    /// Sets how long to wait altogether. Default: 5 minutes.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Waits, and returns the deployment that is ready.
    ///
    /// # Errors
    /// * [`Error::is_deployment_failed`] when the status becomes `error`; [`Error::failure`] says why.
    /// * [`Error::is_timeout`] when the time is up; its source is the last failure to read the status, if
    ///   the last try failed.
    /// * At once, every error that does not pass by waiting, such as [`Error::is_not_found`].
    pub async fn wait(self) -> Result<Deployment, Error> {
        let deadline = deadline(self.timeout);
        let mut last = Last::default();
        let result = timeout_at(deadline, self.poll(deadline, &mut last)).await;
        result.unwrap_or_else(|_| Err(self.late(last)))
    }

    async fn poll(&self, deadline: Instant, last: &mut Last) -> Result<Deployment, Error> {
        for attempt in 0.. {
            let mut pause = PAUSES.at_least_half(attempt, random());
            // Waiting is trying again.
            match self.deployments.get(&self.id).retries(RetryPolicy::none()).await {
                Ok(answer) if answer.status == DeploymentStatus::Ready => return Ok(answer.into_inner()),
                Ok(answer) if answer.status == DeploymentStatus::Error => {
                    return Err(Error::new(Kind::DeploymentFailed(answer.into_inner().error)));
                }
                Ok(answer) => *last = Last { status: Some(answer.into_inner().status), error: None },
                Err(error) if error.is_retryable() => {
                    pause = pause.max(error.retry_after().unwrap_or_default());
                    last.error = Some(error);
                    if pause > deadline.saturating_duration_since(Instant::now()) {
                        break;
                    }
                }
                Err(error) => return Err(error),
            }
            sleep(pause).await;
        }
        Err(self.late(std::mem::take(last)))
    }

    fn late(&self, last: Last) -> Error {
        let kind = Kind::NotReadyInTime { limit: self.timeout, last: last.status };
        let error = Error::new(kind).during(&format!("waiting for {}", self.id));
        match last.error {
            Some(cause) => error.hinted(cause.retry_after()).caused_by(cause),
            None => error,
        }
    }
}

impl IntoFuture for WaitUntilReady {
    type Output = Result<Deployment, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.wait())
    }
}

/// What the last look showed.
#[derive(Default)]
struct Last {
    status: Option<DeploymentStatus>,
    error: Option<Error>,
}
