//! Work that ends when its deployment is deleted, however long it would have waited.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use prism_types::DeploymentId;
use tokio_util::sync::CancellationToken;

/// The deployments that somebody works for.
#[derive(Default)]
pub(crate) struct Cancellations {
    deployments: Mutex<HashMap<DeploymentId, Workplace>>,
}

#[derive(Default)]
struct Workplace {
    workers: usize,
    token: CancellationToken,
}

/// Somebody works for a deployment, as long as this lives.
pub(super) struct Work {
    cancellations: Arc<Cancellations>,
    deployment_id: DeploymentId,
    /// Cancelled when the deployment is deleted.
    pub(super) token: CancellationToken,
}

impl Cancellations {
    /// Begins to work for a deployment. Whether it was deleted already is to be looked up after this.
    pub(super) fn begin(self: &Arc<Self>, deployment_id: &DeploymentId) -> Work {
        let mut deployments = self.deployments();
        let workplace = deployments.entry(deployment_id.clone()).or_default();
        workplace.workers += 1;
        let token = workplace.token.clone();
        Work { cancellations: self.clone(), deployment_id: deployment_id.clone(), token }
    }

    /// Ends all work for a deployment that was deleted.
    pub(super) fn cancel(&self, deployment_id: &DeploymentId) {
        if let Some(workplace) = self.deployments().get(deployment_id) {
            workplace.token.cancel();
        }
    }

    fn deployments(&self) -> MutexGuard<'_, HashMap<DeploymentId, Workplace>> {
        self.deployments.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        let mut deployments = self.cancellations.deployments();
        if let Some(workplace) = deployments.get_mut(&self.deployment_id) {
            workplace.workers -= 1;
            if workplace.workers == 0 {
                deployments.remove(&self.deployment_id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cancelling_reaches_all_work_of_the_deployment_and_nothing_is_left_behind() {
        let cancellations = Arc::new(Cancellations::default());
        let (one, other) = ("dep_1".parse().unwrap(), "dep_2".parse().unwrap());
        let works = [cancellations.begin(&one), cancellations.begin(&one)];
        let elsewhere = cancellations.begin(&other);
        cancellations.cancel(&one);
        assert!(works.iter().all(|work| work.token.is_cancelled()));
        assert!(!elsewhere.token.is_cancelled());
        drop((works, elsewhere));
        assert!(cancellations.deployments().is_empty());
    }
}
