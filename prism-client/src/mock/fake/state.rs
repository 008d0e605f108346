//! All that a fake server holds.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    str::FromStr,
    sync::{Arc, Weak},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use prism_types::{
    Approval, ApprovalStatus, AuditEntry, CreateDeployment, Deployment, DeploymentId, DeploymentStatus,
    Event, EventId, EventPayload, Failure, Memory, RunId, RunStatus, SkillDetails, Thread, Timestamp,
};
use tokio::time::Instant;

use super::{
    Script, Shared,
    automations::Timetable,
    collection::{Collection, Item},
    dreams::Dreaming,
    gate::Gate,
    runs::Work,
    snapshots::Kept,
    webhooks::Hook,
};
use crate::mock::Refusal;

pub(super) struct State {
    pub(super) fresh: Fresh,
    pub(super) gate: Gate,
    pub(super) agents: Collection<Agent>,
    pub(super) snapshots: Collection<Kept>,
    pub(super) webhooks: Collection<Hook>,
    pub(super) audit: Collection<AuditEntry>,
    /// What agents do about the next messages.
    pub(super) scripts: VecDeque<Script>,
    /// What they do about a message when there is no script.
    pub(super) otherwise: Arc<dyn Fn(&str) -> Script + Send + Sync>,
    pub(super) provisioning: Provisioning,
    /// What webhooks answer.
    pub(super) webhook_status: u16,
    /// How often all streams were cut.
    pub(super) cuts: u64,
    pub(super) shared: Weak<Shared>,
}

/// When a deployment that is created becomes ready.
#[derive(Debug, Clone)]
pub(super) enum Provisioning {
    After(Duration),
    AfterReads(u32),
    Fails(Failure),
}

impl State {
    pub(super) fn new(shared: Weak<Shared>) -> Self {
        Self {
            fresh: Fresh::new(),
            gate: Gate::default(),
            agents: Collection::default(),
            snapshots: Collection::default(),
            webhooks: Collection::default(),
            audit: Collection::default(),
            scripts: VecDeque::new(),
            otherwise: Arc::new(|_| "You said: {{message}}".into()),
            provisioning: Provisioning::After(Duration::ZERO),
            webhook_status: 200,
            cuts: 0,
            shared,
        }
    }

    /// What the next run does about this message.
    pub(super) fn script(&mut self, message: &str) -> Script {
        self.scripts.pop_front().unwrap_or_else(|| (self.otherwise)(message))
    }

    /// Does all that is due by now.
    pub(super) fn catch_up(&mut self) {
        let now = self.fresh.instant();
        for agent in self.agents.iter_mut() {
            if matches!(agent.readiness, Readiness::At(due) if due <= now) {
                agent.become_ready();
            }
            agent.play(&mut self.fresh);
            agent.close_expired(&mut self.fresh);
            agent.settle_dreams(&mut self.fresh);
        }
        self.tell_webhooks();
    }

    /// When the next thing is due; `None`: nothing is.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.agents.iter().filter_map(|agent| agent.next_due(&self.fresh)).min()
    }
}

/// Where new ids and the time come from.
#[derive(Debug)]
pub(super) struct Fresh {
    last: u64,
    began: Instant,
    origin: i64,
}

impl Fresh {
    fn new() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { last: 0, began: Instant::now(), origin: i64::try_from(since.as_millis()).unwrap_or_default() }
    }

    /// The next id: the prefix and a number, which are the form of any id.
    pub(super) fn id<T: FromStr>(&mut self, prefix: &str) -> T {
        self.last += 1;
        let id = format!("{prefix}{:06}", self.last).parse();
        id.unwrap_or_else(|_| unreachable!("a prefix and a number are an id"))
    }

    /// A number that was not there before.
    pub(super) fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    pub(super) fn instant(&self) -> Instant {
        Instant::now()
    }

    /// The time of day, which goes as tokio's time does.
    pub(super) fn now(&self) -> Timestamp {
        let passed = Instant::now().saturating_duration_since(self.began);
        Timestamp::from_millis(
            self.origin.saturating_add(i64::try_from(passed.as_millis()).unwrap_or(i64::MAX)),
        )
    }

    /// The instant of a time of day.
    pub(super) fn instant_of(&self, time: Timestamp) -> Instant {
        let passed = u64::try_from(time.as_millis().saturating_sub(self.origin)).unwrap_or_default();
        self.began + Duration::from_millis(passed)
    }
}

/// A deployment with all that belongs to it.
pub(super) struct Agent {
    pub(super) deployment: Deployment,
    pub(super) spec: CreateDeployment,
    /// Grows with each change; the number of the entity tag.
    pub(super) revision: u64,
    pub(super) readiness: Readiness,
    pub(super) log: Vec<Event>,
    /// How many events of the log webhooks were told of.
    pub(super) told: usize,
    /// When the log grew last.
    pub(super) active: Instant,
    pub(super) threads: Collection<Thread>,
    pub(super) runs: Collection<Work>,
    pub(super) approvals: Collection<Approval>,
    pub(super) memories: Collection<Memory>,
    pub(super) dreams: Collection<Dreaming>,
    pub(super) automations: Collection<Timetable>,
    pub(super) skills: Vec<SkillDetails>,
    /// Tools that are switched off, by origin and name.
    pub(super) tools_off: BTreeSet<(String, String)>,
    pub(super) files: BTreeMap<String, File>,
}

#[derive(Debug)]
pub(super) enum Readiness {
    At(Instant),
    AfterReads(u32),
    Done,
}

#[derive(Debug, Clone)]
pub(super) struct File {
    pub(super) bytes: Bytes,
    pub(super) version: u64,
    pub(super) modified_at: Timestamp,
}

impl Agent {
    pub(super) fn id(&self) -> DeploymentId {
        self.deployment.deployment_id.clone()
    }

    pub(super) fn become_ready(&mut self) {
        self.readiness = Readiness::Done;
        self.deployment.status = DeploymentStatus::Ready;
        self.revision += 1;
    }

    /// That it takes messages and has files.
    pub(super) fn is_ready(&self) -> Result<(), Refusal> {
        if self.deployment.status == DeploymentStatus::Ready {
            return Ok(());
        }
        let message = format!("The deployment is in status `{}`", self.deployment.status);
        Err(Refusal::new(409, prism_types::ErrorCode::DeploymentNotReady, message))
    }

    /// The id of an event of the log, by its number; 0 is the place before the first.
    pub(super) fn event_id(&self, number: usize) -> EventId {
        let id = EventId::from_suffix(&format!("{}_{number}", self.deployment.deployment_id.suffix()));
        id.unwrap_or_else(|_| unreachable!("the suffix of an id and a number are an id"))
    }

    /// Writes an event into the log.
    pub(super) fn tell(&mut self, payload: EventPayload) {
        self.active = Instant::now();
        self.log.push(Event::new(self.event_id(self.log.len() + 1), payload));
    }

    /// When the next step of a run is due, or a question expires, or the deployment is ready.
    fn next_due(&self, fresh: &Fresh) -> Option<Instant> {
        let ready = match self.readiness {
            Readiness::At(due) => Some(due),
            _ => None,
        };
        let working = self.runs.iter().filter(|work| work.run.status == RunStatus::Running);
        let waiting = self.approvals.iter().filter(|approval| approval.status == ApprovalStatus::Pending);
        let expiring = waiting.filter_map(|approval| approval.expires_at).map(|time| fresh.instant_of(time));
        working.map(|work| work.due).chain(expiring).chain(ready).min()
    }

    /// The unfinished run of a thread.
    pub(super) fn unfinished(&self, thread: &impl AsRef<str>) -> Option<&Work> {
        let thread = thread.as_ref();
        self.runs.iter().find(|work| work.run.thread_id == *thread && !work.run.status.is_terminal())
    }

    pub(super) fn status_of_run(&self, run: &RunId) -> Option<RunStatus> {
        self.runs.get(run).ok().map(|work| work.run.status.clone())
    }
}

impl Item for Agent {
    const NOUN: &'static str = "Deployment";

    fn id(&self) -> &str {
        self.deployment.deployment_id.as_str()
    }
}

macro_rules! items {
    ($($type:ident $noun:literal $id:ident;)+) => { $(
        impl Item for prism_types::$type {
            const NOUN: &'static str = $noun;

            fn id(&self) -> &str {
                self.$id.as_str()
            }
        }
    )+ };
}

items! {
    Thread "Thread" thread_id;
    Approval "Approval" approval_id;
    Memory "Memory" memory_id;
    AuditEntry "Audit entry" entry_id;
    AutomationRun "Automation run" automation_run_id;
    WebhookDelivery "Delivery" delivery_id;
}
