//! Whether a control plane lives and can work, for load balancers and supervisors.
//!
//! | path | 200 means | else |
//! |---|---|---|
//! | `/healthz` | the process answers; a supervisor need not start it again | |
//! | `/readyz` | requests are answered and the work behind them is done; a load balancer may send them | 503, with the problems |
//!
//! Both need no key and tell nothing of what is stored.

use std::{
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Json, Router,
    extract::State,
    response::{IntoResponse, Response},
    routing::get,
};
use http::{
    StatusCode,
    header::{CACHE_CONTROL, RETRY_AFTER},
};
use serde_json::json;
use tokio::time::{Instant, timeout};

use crate::{core::Core, ports::StoreError};

/// How long the store may take to answer.
const STORE: Duration = Duration::from_secs(2);
/// How late the engine may be, besides a few of its sweeps.
const LATE: Duration = Duration::from_secs(5);

/// When the engine was last seen at work.
#[derive(Debug, Default)]
pub(crate) struct Pulse(Mutex<Option<Instant>>);

impl Pulse {
    /// The engine is at work.
    pub(crate) fn beat(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Whether the engine was seen within a time.
    fn within(&self, time: Duration) -> bool {
        let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.is_some_and(|last| last.elapsed() <= time)
    }
}

pub(crate) fn router(core: Arc<Core>) -> Router {
    Router::new()
        .route("/healthz", get(async || answer(StatusCode::OK, &json!({ "status": "ok" }))))
        .route("/readyz", get(ready))
        .with_state(core)
}

async fn ready(State(core): State<Arc<Core>>) -> Response {
    let runs = core.pulse.within(core.settings.sweep.saturating_mul(3).saturating_add(LATE));
    let problems = problems(core.store.ping(), runs, core.shutdown.is_cancelled()).await;
    if problems.is_empty() {
        return answer(StatusCode::OK, &json!({ "status": "ready" }));
    }
    let body = json!({ "status": "not_ready", "problems": problems });
    ([(RETRY_AFTER, "1")], answer(StatusCode::SERVICE_UNAVAILABLE, &body)).into_response()
}

/// Why requests should go elsewhere, for the operator. The cause of a failing store is in the log only.
async fn problems(
    ping: impl Future<Output = Result<(), StoreError>>,
    engine_runs: bool,
    stopping: bool,
) -> Vec<&'static str> {
    let store_works = match timeout(STORE, ping).await {
        Ok(Ok(())) => true,
        Ok(Err(error)) => {
            tracing::warn!(%error, "the store is not ready");
            false
        }
        Err(_) => false,
    };
    let all = [
        (!store_works, "the store does not answer"),
        (!engine_runs, "the engine does not run"),
        (stopping, "the server is stopping"),
    ];
    all.into_iter().filter_map(|(is_so, problem)| is_so.then_some(problem)).collect()
}

fn answer(status: StatusCode, body: &serde_json::Value) -> Response {
    (status, [(CACHE_CONTROL, "no-store")], Json(body)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn every_problem_is_told() {
        assert!(problems(async { Ok(()) }, true, false).await.is_empty());
        let failing = async { Err(StoreError::Failed("the disk is on fire".to_owned())) };
        assert_eq!(problems(failing, true, false).await, ["the store does not answer"]);
        assert_eq!(problems(std::future::pending(), true, false).await, ["the store does not answer"]);
        let both = ["the engine does not run", "the server is stopping"];
        assert_eq!(problems(async { Ok(()) }, false, true).await, both);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pulse_is_seen_for_a_while() {
        let pulse = Pulse::default();
        assert!(!pulse.within(Duration::MAX));
        pulse.beat();
        tokio::time::advance(Duration::from_secs(20)).await;
        assert!(pulse.within(Duration::from_secs(20)));
        assert!(!pulse.within(Duration::from_secs(19)));
    }
}
