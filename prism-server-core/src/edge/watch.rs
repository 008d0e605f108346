//! When what is open is cut off.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use prism_types::InstanceId;
use tokio::time::{Instant, sleep, sleep_until};

use super::{Edge, token::Claims};

/// When something last moved, in whatever direction.
#[derive(Debug)]
pub(super) struct Activity {
    began: Instant,
    /// Milliseconds from then.
    last: AtomicU64,
    /// Whether what the client sends is waited for.
    waits_for_client: AtomicBool,
    /// Whether nothing more will come of the client.
    is_sent: AtomicBool,
}

impl Activity {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            began: Instant::now(),
            last: AtomicU64::new(0),
            waits_for_client: AtomicBool::new(false),
            is_sent: AtomicBool::new(false),
        })
    }

    /// Something moves.
    pub(super) fn moved(&self) {
        self.last.store(u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX), Relaxed);
    }

    fn last(&self) -> Instant {
        self.began + Duration::from_millis(self.last.load(Relaxed))
    }

    pub(super) fn client_is_waited_for(&self, is_waited_for: bool) {
        self.waits_for_client.store(is_waited_for, Relaxed);
    }

    pub(super) fn waits_for_client(&self) -> bool {
        self.waits_for_client.load(Relaxed)
    }

    /// The request is sent, or given up.
    pub(super) fn sent(&self) {
        self.is_sent.store(true, Relaxed);
    }

    pub(super) fn is_sent(&self) -> bool {
        self.is_sent.load(Relaxed)
    }

    /// Returns when nothing has moved for so long.
    pub(super) async fn silent_for(&self, limit: Duration) {
        loop {
            let due = self.last() + limit;
            sleep_until(due).await;
            if self.last() + limit <= due {
                return;
            }
        }
    }
}

/// Why something was cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    Idle,
    /// Who let it pass would no longer do so.
    Revoked,
    Shutdown,
}

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Idle => "nothing moved for too long",
            Self::Revoked => "the service was started again, or has no public URL any more",
            Self::Shutdown => "the server is stopping",
        })
    }
}

impl std::error::Error for Cut {}

/// What is open.
pub(super) struct Watched {
    pub(super) edge: Arc<Edge>,
    pub(super) instance: InstanceId,
    pub(super) port: u16,
    pub(super) claims: Claims,
    pub(super) activity: Arc<Activity>,
    /// Whether it has no end of its own, so that a shutdown need not wait for it.
    pub(super) is_endless: bool,
}

impl Watched {
    /// Returns when it has to be cut off.
    pub(super) async fn cut(self) -> Cut {
        let limits = &self.edge.limits;
        tokio::select! {
            biased;
            () = self.edge.shutdown.cancelled() => {
                if !self.is_endless {
                    sleep(limits.drain).await;
                }
                Cut::Shutdown
            }
            () = self.activity.silent_for(limits.idle) => Cut::Idle,
            () = self.revoked() => Cut::Revoked,
        }
    }

    async fn revoked(&self) {
        loop {
            sleep(self.edge.limits.recheck).await;
            if !self.edge.may_go_on(&self.claims, &self.instance, self.port).await {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn silence_is_counted_from_what_last_moved() {
        let (activity, began) = (Activity::new(), Instant::now());
        let silent = {
            let activity = activity.clone();
            tokio::spawn(async move { activity.silent_for(Duration::from_secs(10)).await })
        };
        for _ in 0..3 {
            tokio::time::advance(Duration::from_secs(9)).await;
            activity.moved();
        }
        silent.await.unwrap();
        assert_eq!(began.elapsed().as_secs(), 37);
    }
}
