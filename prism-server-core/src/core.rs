//! What every use case and reconciler works with.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use prism_types::{Failure, Runtime, SandboxType};
use tokio::sync::{Mutex, Semaphore};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    domain::{
        deployment::{AgentSpec, Deployment},
        limits,
        program::manifest::BundleLimits,
    },
    edge::{EdgeDomain, Urls},
    engine::{Cancellations, Nudges},
    event_log::EventLog,
    http::{health::Pulse, idempotency::Turns},
    outbound::Outbounds,
    ports::{Clock, Egress, Harness, Outbound, Sandbox, SecretBox, SkillFetcher, Staging, Store},
    service::{
        files::FileDesks, known_keys::KnownKeys, machines::Machines, programs::environments::Environments,
    },
};

/// The parts of a control plane.
pub(crate) struct Core {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) secret_box: Arc<dyn SecretBox>,
    pub(crate) skill_fetcher: Arc<dyn SkillFetcher>,
    pub(crate) harnesses: BTreeMap<String, Arc<dyn Harness>>,
    pub(crate) sandboxes: BTreeMap<String, Arc<dyn Sandbox>>,
    pub(crate) settings: Settings,
    pub(crate) event_log: Arc<EventLog>,
    pub(crate) nudges: Nudges,
    pub(crate) cancellations: Arc<Cancellations>,
    /// Cancelled when the control plane shuts down: streams end, reconcilers stop.
    pub(crate) shutdown: CancellationToken,
    /// Every task that must end before a shutdown is complete.
    pub(crate) tasks: TaskTracker,
    pub(crate) known_keys: Arc<KnownKeys>,
    pub(crate) outbounds: Outbounds,
    /// Whose turn it is with which idempotency key.
    pub(crate) turns: Arc<Turns>,
    pub(crate) egress: Arc<dyn Egress>,
    pub(crate) file_desks: FileDesks,
    /// What jobs and services are given to start with, until they have it.
    pub(crate) environments: Environments,
    /// What becomes of machines while somebody waits for it.
    pub(crate) machines: Machines,
    /// Where parts of uploads wait.
    pub(crate) staging: Arc<dyn Staging>,
    /// Whoever has it unpacks a bundle.
    pub(crate) uploads: Mutex<()>,
    /// Those who send bodies that are longer than others may be.
    pub(crate) large_bodies: Semaphore,
    /// Makes the URLs of services.
    pub(crate) urls: Arc<Urls>,
    /// When the engine was last at work.
    pub(crate) pulse: Pulse,
}

impl Core {
    /// The harness of a runtime, if this control plane has one.
    pub(crate) fn harness(&self, runtime: &Runtime) -> Option<&Arc<dyn Harness>> {
        self.harnesses.get(runtime.as_str())
    }

    /// The model that a specification stands for.
    pub(crate) fn resolved_model(&self, spec: &AgentSpec) -> String {
        spec.model.clone().unwrap_or_else(|| self.settings.default_model.clone())
    }

    /// What an agent may reach outside its sandbox. Cheap: what lasts is kept per deployment.
    ///
    /// # Errors
    /// When the secrets of the deployment cannot be read; without them nothing can be scrubbed.
    pub(crate) async fn outbound(
        &self,
        deployment: &Deployment,
        spec: &Arc<AgentSpec>,
    ) -> Result<Arc<dyn Outbound>, Failure> {
        self.outbounds.make(deployment, spec, self.resolved_model(spec)).await
    }

    /// The sandboxes of a kind, if this control plane has them.
    pub(crate) fn sandbox(&self, kind: &SandboxType) -> Option<&Arc<dyn Sandbox>> {
        self.sandboxes.get(kind.as_str())
    }
}

/// What an operator may change.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Settings {
    /// Where the API is reached from outside, such as `https://agents.example.com`. `None`: the `Host` header
    /// of each request, with `http`.
    pub public_url: Option<String>,
    /// The model of deployments that name none. Default: `anthropic/claude-sonnet-4.5`.
    pub default_model: String,
    /// The type of sandbox of deployments that name none. Default: `docker`.
    pub default_sandbox: SandboxType,
    /// How often a silent stream carries a comment. Default: 10 s.
    pub heartbeat: Duration,
    /// Most open event streams of one deployment; one more is 429. Default: 10,000.
    pub streams_per_deployment: usize,
    /// Largest file that can be uploaded, in bytes. Default: 536,870,912 (512 MiB).
    pub largest_file: u64,
    /// Most requests a second of one API key, with bursts as large; `None`: no limit. Default: `None`.
    pub requests_per_second: Option<u32>,
    /// Most runs that work at the same time; more wait. Default: 1,000.
    pub concurrent_runs: usize,
    /// Most agents that are made ready at the same time; more wait. Default: 64.
    pub concurrent_provisioning: usize,
    /// Most tries to deliver to webhooks that are under way at the same time; more wait. Default: 128.
    pub concurrent_webhooks: usize,
    /// Most jobs, services, builds and removals of programs that are minded at the same time; more wait. Default: 1,000.
    pub concurrent_programs: usize,
    /// How large a bundle of a program may be. Default: 8 GiB and 100,000 files.
    pub bundle_limits: BundleLimits,
    /// How long a job of a program may take that does not say so itself. Default: 1 hour.
    pub job_timeout: Duration,
    /// How much of the log of a job or a service is kept, in bytes; the oldest lines go first. It can be a sixteenth more
    /// for a while. Default: 64 MiB.
    pub program_log: u64,
    /// How much of the disk a job, a service, a build or a machine may have, in bytes. It is measured with each sweep; one
    /// that has more is ended. Default: 10 GiB.
    pub program_disk: u64,
    /// How long an agent may take to become ready. Default: 5 minutes.
    pub provisioning_timeout: Duration,
    /// How long a question may wait for an answer; then it is denied, at the next sweep. `None`: for ever. Default: `None`.
    pub approval_timeout: Option<Duration>,
    /// How long a deployment with the feature `dreaming` is quiet before it dreams. Default: 30 minutes.
    pub dream_after: Duration,
    /// How long entries of the audit log are kept. Default: 400 days.
    pub audit_retention: Duration,
    /// How late an automation may run that could not run when it was due; later than that it is passed over.
    /// At least 1 minute. Default: 1 hour.
    pub automation_grace: Duration,
    /// How often the reconcilers look for work that no nudge told them of. Default: 5 s.
    pub sweep: Duration,
    /// The domain whose names are hosted services, so that each has an origin of its own. `None`: they are reached below
    /// the path `/edge/`, and share the origin of the API. Default: `None`.
    pub edge_domain: Option<EdgeDomain>,
    /// How long the edge token of a public URL is good. Default: 15 minutes.
    pub edge_token_life: Duration,
    /// Most requests and open streams of one hosted service at a time; one more is 429. Default: 512.
    pub connections_per_service: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            public_url: None,
            default_model: "anthropic/claude-sonnet-4.5".to_owned(),
            default_sandbox: SandboxType::default(),
            heartbeat: Duration::from_secs(10),
            streams_per_deployment: 10_000,
            largest_file: limits::FILE,
            requests_per_second: None,
            concurrent_runs: 1000,
            concurrent_provisioning: 64,
            concurrent_webhooks: 128,
            concurrent_programs: 1000,
            bundle_limits: BundleLimits::default(),
            job_timeout: Duration::from_secs(3600),
            program_log: limits::PROGRAM_LOG,
            program_disk: limits::PROGRAM_DISK_DEFAULT,
            provisioning_timeout: Duration::from_secs(300),
            approval_timeout: None,
            dream_after: Duration::from_secs(30 * 60),
            audit_retention: Duration::from_secs(400 * 24 * 60 * 60),
            automation_grace: Duration::from_secs(3600),
            sweep: Duration::from_secs(5),
            edge_domain: None,
            edge_token_life: Duration::from_secs(15 * 60),
            connections_per_service: 512,
        }
    }
}
