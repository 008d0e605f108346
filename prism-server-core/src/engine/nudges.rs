//! Nudges: where the engine is to look first.

use std::sync::Arc;

use prism_types::{DeploymentId, InstanceId, RunId, WebhookId};
use tokio::sync::{Notify, mpsc};

use crate::ports::SandboxListener;

/// Nudges that wait; one more makes the engine look everywhere instead.
const WAITING: usize = 1024;

/// The sending side, held by the use cases.
#[derive(Clone)]
pub(crate) struct Nudges {
    deployments: mpsc::Sender<DeploymentId>,
    instances: mpsc::Sender<InstanceId>,
    runs: mpsc::Sender<RunId>,
    upkeep: mpsc::Sender<DeploymentId>,
    automations: Arc<Notify>,
    webhooks: mpsc::Sender<WebhookId>,
    hosted: mpsc::Sender<InstanceId>,
    programs: Arc<Notify>,
    overflow: Arc<Notify>,
}

/// The receiving side, held by the engine.
pub(crate) struct Receivers {
    pub(super) deployments: mpsc::Receiver<DeploymentId>,
    pub(super) instances: mpsc::Receiver<InstanceId>,
    pub(super) runs: mpsc::Receiver<RunId>,
    pub(super) upkeep: mpsc::Receiver<DeploymentId>,
    pub(super) automations: Arc<Notify>,
    pub(super) webhooks: mpsc::Receiver<WebhookId>,
    pub(super) hosted: mpsc::Receiver<InstanceId>,
    pub(super) programs: Arc<Notify>,
    pub(super) overflow: Arc<Notify>,
}

impl Nudges {
    /// Both sides.
    pub(crate) fn new() -> (Self, Receivers) {
        let (deployments, deployment_receiver) = mpsc::channel(WAITING);
        let (instances, instance_receiver) = mpsc::channel(WAITING);
        let (runs, run_receiver) = mpsc::channel(WAITING);
        let (upkeep, upkeep_receiver) = mpsc::channel(WAITING);
        let [automations, programs, overflow] = [(); 3].map(|()| Arc::new(Notify::new()));
        let (webhooks, webhook_receiver) = mpsc::channel(WAITING);
        let (hosted, hosted_receiver) = mpsc::channel(WAITING);
        let receivers = Receivers {
            deployments: deployment_receiver,
            instances: instance_receiver,
            runs: run_receiver,
            upkeep: upkeep_receiver,
            automations: automations.clone(),
            webhooks: webhook_receiver,
            hosted: hosted_receiver,
            programs: programs.clone(),
            overflow: overflow.clone(),
        };
        let nudges =
            Self { deployments, instances, runs, upkeep, automations, webhooks, hosted, programs, overflow };
        (nudges, receivers)
    }

    /// Something of a deployment is to be done.
    pub(crate) fn deployment(&self, id: DeploymentId) {
        if self.deployments.try_send(id).is_err() {
            self.overflow.notify_one();
        }
    }

    /// An agent is to forget or to remember something, or a dream is over.
    pub(crate) fn upkeep(&self, id: DeploymentId) {
        if self.upkeep.try_send(id).is_err() {
            self.overflow.notify_one();
        }
    }

    /// A run has something to do.
    pub(crate) fn run(&self, id: RunId) {
        if self.runs.try_send(id).is_err() {
            self.overflow.notify_one();
        }
    }

    /// When something is due may have changed.
    pub(crate) fn automations(&self) {
        self.automations.notify_one();
    }

    /// Something of the job or the service of this sandbox is to be done.
    pub(crate) fn hosted(&self, id: InstanceId) {
        if self.hosted.try_send(id).is_err() {
            self.overflow.notify_one();
        }
    }

    /// A version is to be built, or a deployment of a program is to be removed.
    pub(crate) fn programs(&self) {
        self.programs.notify_one();
    }

    /// Something is to be sent to a webhook, or it was changed.
    pub(crate) fn webhook(&self, id: WebhookId) {
        if self.webhooks.try_send(id).is_err() {
            self.overflow.notify_one();
        }
    }
}

/// A sandbox died: its deployment is looked at. Where so many die that the nudge is lost, the next message for
/// the agent finds it out.
impl SandboxListener for Nudges {
    fn died(&self, id: &InstanceId) {
        if self.instances.try_send(id.clone()).is_err() {
            tracing::warn!(instance = %id, "too many sandboxes died at once");
        }
    }
}
