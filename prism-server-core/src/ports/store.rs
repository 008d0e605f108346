//! The store: everything that must survive.
//!
//! # Writing
//! There is one way to write: [`Store::commit`] carries out a list of [`Write`]s in one transaction, all or
//! none. The list is decided beforehand, from what was read; what was read is guarded by revisions. So the
//! store needs no business rule, and three of them (embedded, in memory, PostgreSQL) can be the same by test.
//!
//! * An insert of something that exists is a [`StoreError::Conflict`].
//! * An update names the revision that was read, in the record itself. Another revision in the store is a
//!   [`StoreError::Conflict`], no record at all is [`StoreError::Missing`]: missing is not stale. The store
//!   writes the record with its revision raised by one. An update never changes whom a record belongs to,
//!   when it was created, or what a tenant has used.
//! * Metering ([`Write::Meter`]) is never a conflict: it adds to what is there, whatever the revision. It
//!   raises the revision, so that an update that was decided on former credits is a conflict.
//! * What belongs to something is inserted after it: without its deployment, thread or run an insert is
//!   [`StoreError::Missing`]; so are versions, services and jobs without a deployment of a program. So nothing half-existing is left when a deployment is purged meanwhile. Tenants
//!   are never removed and are not looked for.
//! * An instant of an automation has one entry in its history at most: a second insert is a conflict.
//! * At most one unfinished run exists per thread: a second insert is a conflict.
//! * A commit that was acknowledged survives a crash and a loss of power.
//!
//! # The event log
//! [`Write::Append`] gives an event the next sequence number of its deployment's log: from 1, dense, in commit
//! order. After the commit and before it is acknowledged, the [`AppendListener`] is told, in order; it is told
//! even when the caller of `commit` has gone away in the meantime.
//!
//! # Webhooks
//! [`Write::Append`] also queues a delivery for every webhook of the deployment's tenant that is enabled and
//! [wants](crate::domain::webhook::wants) the event. It is done here, in the commit of the event, because only here is it
//! certain which webhooks there are in that moment: none is told what happened before it was there, and none misses
//! what happened since. Deliveries of a webhook have the numbers 1, 2, 3 and so on, in commit order; their data is kept
//! with them and outlives the deployment.
//!
//! # Reading
//! A read sees every commit that was acknowledged before it began.

use std::sync::Arc;

use prism_types::{
    ApiKeyId, ApprovalId, AuditEntryId, AutomationId, AutomationRunId, DeploymentId, DreamId, InstanceId,
    MemoryId, RunId, SecretRef, SkillId, SnapshotId, TenantId, ThreadId, Timestamp, UploadId, VersionId,
    WebhookId,
};

use super::{BoxFuture, MachineStore, ProgramStore, UploadStore};
use crate::domain::{
    approval::{Approval, Resolution},
    audit::AuditEntry,
    automation::{Automation, AutomationRun},
    deployment::{AgentSpec, Deployment, DeploymentState},
    dream::{Dream, Quiet},
    event::{LoggedEvent, NewEvent},
    idempotency::{IdempotencyKey, KeptReply},
    instance::Instance,
    machine::{
        Machine,
        snapshot::MachineSnapshot,
        upload::{Upload, UploadRoom},
    },
    memory::{Memory, MemorySet},
    message::Message,
    program::{ProgramDeployment, job::Job, service::Service, version::Version},
    run::Run,
    secret::SealedSecret,
    skill::SkillRecord,
    snapshot::Snapshot,
    tenant::{ApiKey, Metered, Tenant},
    thread::{ForgottenThread, Thread},
    webhook::{
        Webhook,
        delivery::{Delivery, DeliveryState},
    },
};

/// The result of an operation of the store.
pub type StoreResult<T> = Result<T, StoreError>;

/// Why the store did not do it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The thing exists already, or was changed since it was read. Read again and decide again.
    #[error("{0} was changed by somebody else at the same time")]
    Conflict(&'static str),
    /// The thing to update does not exist.
    #[error("{0} does not exist")]
    Missing(&'static str),
    /// There are as many of them as there may be.
    #[error("there are as many {0} as there may be")]
    Full(&'static str),
    /// The store is closed, busy or out of reach. Nothing was written; the same call may work later.
    #[error("the store is not available: {0}")]
    Unavailable(String),
    /// The store is broken: a failed disk, a damaged file, a row that cannot be read.
    #[error("the store failed: {0}")]
    Failed(String),
}

impl StoreError {
    /// Whether the same call may work later without a change.
    pub fn retryable(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}

/// One change of a [`Commit`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Write {
    /// A new tenant; its name must be unique.
    InsertTenant(Tenant),
    /// A changed tenant, guarded by its revision.
    UpdateTenant(Tenant),
    /// Adds to what a tenant has used and takes its price from the credits, which end at 0 and stay unlimited
    /// when they are. Whatever the revision is; it is raised. Sums and prices end at 2^63 - 1.
    Meter(TenantId, Metered),
    /// A new API key; its id and hash must be unique.
    InsertApiKey(ApiKey),
    /// Revokes an API key of a tenant. Revoking a revoked key keeps its first date.
    RevokeApiKey(TenantId, ApiKeyId, Timestamp),
    /// A secret, new or replaced.
    PutSecret(SealedSecret),
    /// Removes a secret; [`StoreError::Missing`] when there is none.
    DeleteSecret(TenantId, SecretRef),
    /// A new deployment.
    InsertDeployment(Deployment),
    /// A changed deployment, guarded by its revision.
    UpdateDeployment(Deployment),
    /// A new version of a deployment's specification.
    InsertSpec(DeploymentId, u32, AgentSpec),
    /// Replaces all skills of a deployment, in this order. Their ids must be unique, and their names in the
    /// deployment.
    ReplaceSkills(DeploymentId, Vec<SkillRecord>),
    /// A new skill of a deployment, the last of its order. Its id must be unique, and its name in the deployment.
    InsertSkill(SkillRecord),
    /// A changed skill, guarded by its revision; its place in the order stays.
    UpdateSkill(SkillRecord),
    /// Removes a skill of a deployment; [`StoreError::Missing`] when there is none.
    RemoveSkill(DeploymentId, SkillId),
    /// A new instance.
    InsertInstance(Instance),
    /// A changed instance, guarded by its revision.
    UpdateInstance(Instance),
    /// A new deployment of a program, with a log of its own. Another one of its tenant that has its name and is not deleted is
    /// a conflict, as is any deployment with its id.
    InsertProgram(ProgramDeployment),
    /// A changed deployment of a program, guarded by its revision; the name as with [`Write::InsertProgram`].
    UpdateProgram(ProgramDeployment),
    /// A new version of a program; its number is unique in its deployment.
    InsertVersion(Version),
    /// The whole manifest of a version of a deployment, as JSON; the last one wins.
    PutManifest(DeploymentId, VersionId, String),
    /// A changed version, guarded by its revision; its number stays.
    UpdateVersion(Version),
    /// A new service, while its deployment has fewer than so many that have not ended.
    InsertService(Service, u32),
    /// A changed service, guarded by its revision.
    UpdateService(Service),
    /// A new job, while its deployment has fewer than so many that have not ended. No other has its sandbox.
    InsertJob(Job, u32),
    /// A changed job, guarded by its revision; its sandbox stays.
    UpdateJob(Job),
    /// A new machine, while its tenant has fewer than so many that are not destroyed.
    InsertMachine(Machine, u32),
    /// A changed machine, guarded by its revision.
    UpdateMachine(Machine),
    /// Removes a machine with its uploads. Removing what is not there is no error.
    DeleteMachine(InstanceId),
    /// A new snapshot of a machine, while its tenant has fewer than so many. No other is kept in its sandbox.
    InsertMachineSnapshot(MachineSnapshot, u32),
    /// Removes a snapshot of a machine. Removing what is not there is no error.
    DeleteMachineSnapshot(SnapshotId),
    /// A new upload to a machine that is there and not destroyed, while there is [room](UploadRoom) for it.
    InsertUpload(Upload, UploadRoom),
    /// A changed upload, guarded by its revision.
    UpdateUpload(Upload),
    /// Removes an upload. Removing what is not there is no error.
    DeleteUpload(UploadId),
    /// A new snapshot, while the tenant has fewer than so many.
    InsertSnapshot(Snapshot, u32),
    /// A changed snapshot, guarded by its revision. Only its state and when it goes can change.
    UpdateSnapshot(Snapshot),
    /// Removes a snapshot. Removing what is not there is no error.
    DeleteSnapshot(SnapshotId),
    /// A new thread. The store sets its message count to 0 and its last activity to its creation.
    InsertThread(Thread),
    /// Sets or, with `None`, removes a thread's title. The last one wins.
    SetThreadTitle(ThreadId, Option<String>),
    /// Removes a thread with its messages, runs and approvals; its events stay. While a run of it is unfinished it is a
    /// conflict.
    DeleteThread(ThreadId),
    /// The agent of a deployment is to forget a thread.
    InsertForgottenThread(ForgottenThread),
    /// The agent has forgotten a thread. Removing what is not there is no error.
    DeleteForgottenThread(ThreadId),
    /// A new message. The store sets its position to the next of its thread, and the thread's message count
    /// and last activity.
    InsertMessage(Message),
    /// A new run.
    InsertRun(Run),
    /// A changed run, guarded by its revision.
    UpdateRun(Run),
    /// Raises the revision of a run in state `running`, whatever the revision is, so that whoever has read the
    /// run before finds it changed. In another state it is a conflict.
    TouchRun(RunId),
    /// Says that a run in state `running` is to end, and raises its revision, whatever the revision is. In another
    /// state it is a conflict.
    CancelRun(RunId),
    /// A new approval.
    InsertApproval(Approval),
    /// Ends an open approval. One that was ended is a conflict.
    ResolveApproval(ApprovalId, Resolution, Timestamp),
    /// The memories of a deployment as a whole, guarded by its revision: new when that is 0. Every change of memories has
    /// one of these in its commit, so that whoever has read the memories before finds them changed.
    PutMemorySet(MemorySet),
    /// A memory, new or replaced. Its deployment and when it was made stay.
    PutMemory(Memory),
    /// Removes a memory of a deployment. Removing what is not there is no error.
    DeleteMemory(DeploymentId, MemoryId),
    /// A new dream. While another one of the deployment is in state `running` it is a conflict.
    InsertDream(Dream),
    /// A changed dream, guarded by its revision.
    UpdateDream(Dream),
    /// Removes the dreams of a deployment but so many, the newest. One in state `running` stays.
    TrimDreams(DeploymentId, u32),
    /// A deployment is quiet since a run ended; the last one wins.
    PutQuiet(Quiet),
    /// A deployment is not quiet since that run any more. When it was not, or is since another one, it is a conflict.
    DeleteQuiet(DeploymentId, RunId),
    /// Keeps the answer to a change under its idempotency key. A key that is taken is a conflict, unless what it was
    /// taken for has expired when this one was given: then it is replaced.
    KeepReply(KeptReply),
    /// A new entry of the audit log.
    InsertAuditEntry(AuditEntry),
    /// Removes at most so many records of a kind that were made before an instant, oldest first. Removing what is
    /// not there is no error.
    Expire(Expiring, Timestamp, u32),
    /// A new automation, unless its deployment has so many already: then it is [`StoreError::Full`].
    InsertAutomation(Automation, u32),
    /// A changed automation, guarded by its revision.
    UpdateAutomation(Automation),
    /// Removes an automation with its history; [`StoreError::Missing`] when there is none.
    DeleteAutomation(AutomationId),
    /// A new entry in the history of an automation.
    InsertAutomationRun(AutomationRun),
    /// Removes the oldest entries of an automation's history until so many are left.
    TrimAutomationRuns(AutomationId, u32),
    /// Appends an event to its deployment's log, and queues it for the webhooks that want it.
    Append(NewEvent),
    /// Removes at most so many events of a deployment, oldest first, without changing the sequence of later
    /// ones. Removing what is not there is no error.
    TrimEvents(DeploymentId, u32),
    /// Removes the oldest events of an instance until their data had so many bytes together, or until there are none.
    /// Like `TrimEvents` otherwise.
    TrimInstanceEvents(InstanceId, u64),
    /// Removes a deployment and everything that belongs to it. Removing what is not there is no error.
    PurgeDeployment(DeploymentId),
    /// A new webhook, with an empty queue. A tenant that has [`WEBHOOKS`] that are not deleted gets no other: a
    /// conflict.
    ///
    /// [`WEBHOOKS`]: crate::domain::limits::WEBHOOKS
    InsertWebhook(Webhook),
    /// A changed webhook, guarded by its revision.
    UpdateWebhook(Webhook),
    /// Queues a delivery, with its data, for one webhook, in whatever state that is. It has the next number of its
    /// webhook: another one is a conflict.
    InsertDelivery(Delivery, String),
    /// A changed delivery, guarded by its revision. What it tells never changes.
    UpdateDelivery(Delivery),
    /// Removes at most so many deliveries of a webhook, oldest first. Removing what is not there is no error.
    TrimWebhook(WebhookId, u32),
    /// Removes a webhook with its queue and its deliveries. Removing what is not there is no error.
    PurgeWebhook(WebhookId),
}

/// Records that are kept for a time and then removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_enums, reason = "a store has to know every kind")]
pub enum Expiring {
    /// Answers that are kept under idempotency keys.
    Replies,
    /// Entries of the audit log.
    AuditEntries,
    /// Deliveries to webhooks that are over; they count from when they ended.
    Deliveries,
}

/// Changes that are written together or not at all, in this order.
#[derive(Debug, Clone, Default)]
pub struct Commit {
    writes: Vec<Write>,
}

impl Commit {
    /// An empty commit.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a change.
    #[must_use]
    pub fn with(mut self, write: Write) -> Self {
        self.writes.push(write);
        self
    }

    /// Adds changes.
    #[must_use]
    pub fn with_all(mut self, writes: impl IntoIterator<Item = Write>) -> Self {
        self.writes.extend(writes);
        self
    }

    /// The changes.
    pub fn writes(&self) -> &[Write] {
        &self.writes
    }

    /// The changes, taken out.
    pub fn into_writes(self) -> Vec<Write> {
        self.writes
    }
}

/// Is told of every event after its commit.
pub trait AppendListener: Send + Sync + 'static {
    /// These events of one commit were written. Calls for one deployment come in the order of its log.
    ///
    /// Called on the store's own thread: it must be quick and must not call the store.
    fn appended(&self, events: &[LoggedEvent]);

    /// Deliveries of one commit were queued for these webhooks. Called as [`AppendListener::appended`], after it.
    /// Default: nothing.
    fn queued(&self, webhooks: &[WebhookId]) {
        let _ = webhooks;
    }
}

/// A page to read: items below `before`, greatest id first.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "a parameter of port methods: services build it")]
pub struct ListQuery<Id> {
    /// Only items whose id is smaller; `None`: from the newest.
    pub before: Option<Id>,
    /// How many at most.
    pub limit: u32,
}

/// Which deployments to list. Deleted ones are never listed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "a parameter of port methods: services build it")]
pub struct DeploymentFilter {
    /// Only those of this customer.
    pub customer_id: Option<String>,
    /// Only those in this state.
    pub state: Option<DeploymentState>,
}

/// A page of deliveries to read: those of smaller numbers than `before`, greatest first.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "a parameter of port methods: services build it")]
pub struct DeliveryQuery {
    /// Only those in this state.
    pub state: Option<DeliveryState>,
    /// Only those with a smaller number; `None`: from the newest.
    pub before: Option<u64>,
    /// How many at most.
    pub limit: u32,
}

/// How much waits for a webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "a record: stores build it from its columns")]
pub struct WebhookQueue {
    /// The webhook.
    pub webhook_id: WebhookId,
    /// The number of the delivery that was queued last, 0 when there was none.
    pub last_sequence: u64,
    /// When the latest delivery was queued; earlier ones were queued then or before.
    pub last_at: Option<Timestamp>,
    /// How many deliveries are pending.
    pub pending: u64,
    /// When there is something to send: the earliest time of a pending delivery, or the end of the webhook's pause where
    /// that is later. `None`: nothing is pending, or the webhook is not enabled.
    pub due_at: Option<Timestamp>,
}

/// Keeps everything that must survive. See the module's documentation for the contract.
pub trait Store: ProgramStore + MachineStore + UploadStore + 'static {
    /// Carries out all changes in one transaction, or none.
    ///
    /// # Errors
    /// See [`Write`] and [`StoreError`].
    fn commit(&self, commit: Commit) -> BoxFuture<'_, StoreResult<()>>;

    /// Sets who is told of appended events. Called once, before the first commit.
    fn set_append_listener(&self, listener: Arc<dyn AppendListener>);

    /// Reads something small; for health checks.
    fn ping(&self) -> BoxFuture<'_, StoreResult<()>>;

    /// A tenant by its id.
    fn tenant<'a>(&'a self, id: &'a TenantId) -> BoxFuture<'a, StoreResult<Option<Tenant>>>;

    /// Tenants, newest first.
    fn tenants(&self, query: ListQuery<TenantId>) -> BoxFuture<'_, StoreResult<Vec<Tenant>>>;

    /// A tenant by its name.
    fn tenant_by_name<'a>(&'a self, name: &'a str) -> BoxFuture<'a, StoreResult<Option<Tenant>>>;

    /// An API key, revoked or not, by the SHA-256 of the whole key.
    fn api_key_by_hash<'a>(&'a self, hash: &'a [u8; 32]) -> BoxFuture<'a, StoreResult<Option<ApiKey>>>;

    /// The API keys of a tenant, revoked ones too, newest first, at most 1,000.
    fn api_keys<'a>(&'a self, tenant: &'a TenantId) -> BoxFuture<'a, StoreResult<Vec<ApiKey>>>;

    /// A secret of a tenant.
    fn secret<'a>(
        &'a self,
        tenant: &'a TenantId,
        reference: &'a SecretRef,
    ) -> BoxFuture<'a, StoreResult<Option<SealedSecret>>>;

    /// The secrets of a tenant, by reference, at most 10,000.
    fn secrets<'a>(&'a self, tenant: &'a TenantId) -> BoxFuture<'a, StoreResult<Vec<SealedSecret>>>;

    /// A deployment, deleted or not, whoever owns it.
    fn deployment<'a>(&'a self, id: &'a DeploymentId) -> BoxFuture<'a, StoreResult<Option<Deployment>>>;

    /// The deployments of a tenant, newest first.
    fn deployments<'a>(
        &'a self,
        tenant: &'a TenantId,
        filter: &'a DeploymentFilter,
        query: ListQuery<DeploymentId>,
    ) -> BoxFuture<'a, StoreResult<Vec<Deployment>>>;

    /// Deployments of all tenants in this state, oldest first, after `after`; for the engine.
    fn deployments_in_state<'a>(
        &'a self,
        state: DeploymentState,
        after: Option<&'a DeploymentId>,
        limit: u32,
    ) -> BoxFuture<'a, StoreResult<Vec<Deployment>>>;

    /// A version of a deployment's specification.
    fn spec<'a>(
        &'a self,
        deployment: &'a DeploymentId,
        version: u32,
    ) -> BoxFuture<'a, StoreResult<Option<AgentSpec>>>;

    /// The skills of a deployment, in their order.
    fn skills<'a>(&'a self, deployment: &'a DeploymentId) -> BoxFuture<'a, StoreResult<Vec<SkillRecord>>>;

    /// An instance.
    fn instance<'a>(&'a self, id: &'a InstanceId) -> BoxFuture<'a, StoreResult<Option<Instance>>>;

    /// A thread.
    fn thread<'a>(&'a self, id: &'a ThreadId) -> BoxFuture<'a, StoreResult<Option<Thread>>>;

    /// The threads of a deployment, newest first.
    fn threads<'a>(
        &'a self,
        deployment: &'a DeploymentId,
        query: ListQuery<ThreadId>,
    ) -> BoxFuture<'a, StoreResult<Vec<Thread>>>;

    /// The messages of a thread at positions greater than `after`, in order, at most `limit`.
    fn messages<'a>(
        &'a self,
        thread: &'a ThreadId,
        after: u64,
        limit: u32,
    ) -> BoxFuture<'a, StoreResult<Vec<Message>>>;

    /// A run.
    fn run<'a>(&'a self, id: &'a RunId) -> BoxFuture<'a, StoreResult<Option<Run>>>;

    /// The runs of a deployment, newest first.
    fn runs<'a>(
        &'a self,
        deployment: &'a DeploymentId,
        query: ListQuery<RunId>,
    ) -> BoxFuture<'a, StoreResult<Vec<Run>>>;

    /// The unfinished run of a thread.
    fn unfinished_run<'a>(&'a self, thread: &'a ThreadId) -> BoxFuture<'a, StoreResult<Option<Run>>>;

    /// Runs of all tenants in state `running`, oldest first, after `after`; for the engine.
    fn running_runs<'a>(
        &'a self,
        after: Option<&'a RunId>,
        limit: u32,
    ) -> BoxFuture<'a, StoreResult<Vec<Run>>>;

    /// The approval that a run waits on; of several open ones, the newest.
    fn open_approval<'a>(&'a self, run: &'a RunId) -> BoxFuture<'a, StoreResult<Option<Approval>>>;

    /// An approval.
    fn approval<'a>(&'a self, id: &'a ApprovalId) -> BoxFuture<'a, StoreResult<Option<Approval>>>;

    /// The approvals of a deployment, newest first; `pending`: only those that wait for an answer.
    fn approvals<'a>(
        &'a self,
        deployment: &'a DeploymentId,
        pending: bool,
        query: ListQuery<ApprovalId>,
    ) -> BoxFuture<'a, StoreResult<Vec<Approval>>>;

    /// Approvals of all tenants that wait for an answer, oldest first, after `after`; for the engine.
    fn pending_approvals<'a>(
        &'a self,
        after: Option<&'a ApprovalId>,
        limit: u32,
    ) -> BoxFuture<'a, StoreResult<Vec<Approval>>>;

    /// A snapshot, also one that is to go.
    fn snapshot<'a>(&'a self, id: &'a SnapshotId) -> BoxFuture<'a, StoreResult<Option<Snapshot>>>;

    /// The snapshot of a deployment's workspace.
    fn snapshot_of<'a>(
        &'a self,
        deployment: &'a DeploymentId,
    ) -> BoxFuture<'a, StoreResult<Option<Snapshot>>>;

    /// The snapshot that is kept in a sandbox.
    fn snapshot_in<'a>(&'a self, instance: &'a InstanceId) -> BoxFuture<'a, StoreResult<Option<Snapshot>>>;

    /// The snapshots of a tenant that do not go before `now` or then, newest first.
    fn snapshots<'a>(
        &'a self,
        tenant: &'a TenantId,
        now: Timestamp,
        query: ListQuery<SnapshotId>,
    ) -> BoxFuture<'a, StoreResult<Vec<Snapshot>>>;

    /// Snapshots of all tenants that go at `now` or went before, those that went first before the others; for the engine.
    fn expired_snapshots(&self, now: Timestamp, limit: u32) -> BoxFuture<'_, StoreResult<Vec<Snapshot>>>;

    /// Whether a run of a deployment is unfinished.
    fn has_unfinished_run<'a>(&'a self, deployment: &'a DeploymentId) -> BoxFuture<'a, StoreResult<bool>>;

    /// Threads that the agents of all tenants are to forget, oldest first, after `after`; for the engine.
    fn forgotten_threads<'a>(
        &'a self,
        after: Option<&'a ThreadId>,
        limit: u32,
    ) -> BoxFuture<'a, StoreResult<Vec<ForgottenThread>>>;

    /// Threads that the agent of a deployment is to forget, oldest first.
    fn forgotten_threads_of<'a>(
        &'a self,
        deployment: &'a DeploymentId,
        limit: u32,
    ) -> BoxFuture<'a, StoreResult<Vec<ForgottenThread>>>;

    /// The memories of a deployment as a whole; `None` when it never had one.
    fn memory_set<'a>(
        &'a self,
        deployment: &'a DeploymentId,
    ) -> BoxFuture<'a, StoreResult<Option<MemorySet>>>;

    /// Sets of memories of all tenants that are not in step, by deployment, after `after`; for the engine.
    fn memory_sets_out_of_step<'a>(
        &'a self,
        after: Option<&'a DeploymentId>,
        limit: u32,
    ) -> BoxFuture<'a, StoreResult<Vec<MemorySet>>>;

    /// All memories of a deployment, also those that its agent has yet to forget, oldest first. Their number and
    /// length are bounded by whoever writes them.
    fn memories<'a>(&'a self, deployment: &'a DeploymentId) -> BoxFuture<'a, StoreResult<Vec<Memory>>>;

    /// A memory.
    fn memory<'a>(&'a self, id: &'a MemoryId) -> BoxFuture<'a, StoreResult<Option<Memory>>>;

    /// A dream.
    fn dream<'a>(&'a self, id: &'a DreamId) -> BoxFuture<'a, StoreResult<Option<Dream>>>;

    /// The dreams of a deployment, newest first.
    fn dreams<'a>(
        &'a self,
        deployment: &'a DeploymentId,
        query: ListQuery<DreamId>,
    ) -> BoxFuture<'a, StoreResult<Vec<Dream>>>;

    /// The dream of a deployment in state `running`.
    fn running_dream<'a>(&'a self, deployment: &'a DeploymentId)
    -> BoxFuture<'a, StoreResult<Option<Dream>>>;

    /// Dreams of all tenants in state `running`, oldest first, after `after`; for the engine.
    fn running_dreams<'a>(
        &'a self,
        after: Option<&'a DreamId>,
        limit: u32,
    ) -> BoxFuture<'a, StoreResult<Vec<Dream>>>;

    /// Deployments that are quiet since `until` or longer, by deployment, after `after`; for the engine.
    fn quiet_deployments<'a>(
        &'a self,
        until: Timestamp,
        after: Option<&'a DeploymentId>,
        limit: u32,
    ) -> BoxFuture<'a, StoreResult<Vec<Quiet>>>;

    /// The answer that is kept under a key, expired or not.
    fn kept_reply<'a>(
        &'a self,
        tenant: &'a TenantId,
        key: &'a IdempotencyKey,
    ) -> BoxFuture<'a, StoreResult<Option<KeptReply>>>;

    /// The audit log of a tenant, newest first; with a deployment, only what belongs to that.
    fn audit_entries<'a>(
        &'a self,
        tenant: &'a TenantId,
        deployment: Option<&'a DeploymentId>,
        query: ListQuery<AuditEntryId>,
    ) -> BoxFuture<'a, StoreResult<Vec<AuditEntry>>>;

    /// Whether there are records of a kind that were made before an instant.
    fn has_before(&self, records: Expiring, before: Timestamp) -> BoxFuture<'_, StoreResult<bool>>;

    /// An automation.
    fn automation<'a>(&'a self, id: &'a AutomationId) -> BoxFuture<'a, StoreResult<Option<Automation>>>;

    /// The automations of a deployment, newest first.
    fn automations<'a>(
        &'a self,
        deployment: &'a DeploymentId,
        query: ListQuery<AutomationId>,
    ) -> BoxFuture<'a, StoreResult<Vec<Automation>>>;

    /// Automations of all tenants whose `next_run_at` is not after `until`, by that and their id, after `after`; for
    /// the engine.
    fn due_automations<'a>(
        &'a self,
        until: Timestamp,
        after: Option<(Timestamp, &'a AutomationId)>,
        limit: u32,
    ) -> BoxFuture<'a, StoreResult<Vec<Automation>>>;

    /// The history of an automation, newest first.
    fn automation_runs<'a>(
        &'a self,
        automation: &'a AutomationId,
        query: ListQuery<AutomationRunId>,
    ) -> BoxFuture<'a, StoreResult<Vec<AutomationRun>>>;

    /// The newest entry in the history of an automation.
    fn last_automation_run<'a>(
        &'a self,
        automation: &'a AutomationId,
    ) -> BoxFuture<'a, StoreResult<Option<AutomationRun>>>;

    /// The entry of an instant in the history of an automation.
    fn automation_run_at<'a>(
        &'a self,
        automation: &'a AutomationId,
        scheduled_at: Timestamp,
    ) -> BoxFuture<'a, StoreResult<Option<AutomationRun>>>;

    /// Approvals of all tenants that wait for an answer and whose own limit of time has come, those first that are
    /// overdue the longest; for the engine.
    fn overdue_approvals(&self, now: Timestamp, limit: u32) -> BoxFuture<'_, StoreResult<Vec<Approval>>>;

    /// The sequence number of the last event of a deployment's log, 0 when there is none.
    fn last_sequence<'a>(&'a self, deployment: &'a DeploymentId) -> BoxFuture<'a, StoreResult<u64>>;

    /// The events of a deployment's log after a sequence number, in order, at most `limit`.
    ///
    /// The page ends early with the event that makes its payloads longer than [`EVENT_PAGE`] together, so that
    /// large events cannot fill the memory. It is empty only when there is none.
    ///
    /// [`EVENT_PAGE`]: crate::domain::limits::EVENT_PAGE
    fn events<'a>(
        &'a self,
        deployment: &'a DeploymentId,
        after: u64,
        limit: u32,
    ) -> BoxFuture<'a, StoreResult<Vec<LoggedEvent>>>;

    /// The events of one run, in order, after a sequence number, at most `limit`; ends early as
    /// [`Store::events`].
    fn run_events<'a>(
        &'a self,
        run: &'a RunId,
        deployment: &'a DeploymentId,
        after: u64,
        limit: u32,
    ) -> BoxFuture<'a, StoreResult<Vec<LoggedEvent>>>;

    /// A webhook, deleted or not, whoever owns it.
    fn webhook<'a>(&'a self, id: &'a WebhookId) -> BoxFuture<'a, StoreResult<Option<Webhook>>>;

    /// The webhooks of a tenant, without deleted ones, newest first.
    fn webhooks<'a>(
        &'a self,
        tenant: &'a TenantId,
        query: ListQuery<WebhookId>,
    ) -> BoxFuture<'a, StoreResult<Vec<Webhook>>>;

    /// Deleted webhooks of all tenants, oldest first, at most `limit`; for the engine.
    fn deleted_webhooks(&self, limit: u32) -> BoxFuture<'_, StoreResult<Vec<Webhook>>>;

    /// How much waits for a webhook.
    fn webhook_queue<'a>(&'a self, id: &'a WebhookId) -> BoxFuture<'a, StoreResult<Option<WebhookQueue>>>;

    /// The queues in which something is, or will be, due, by that time and then by id, after a time and an id; for the
    /// engine.
    fn due_queues<'a>(
        &'a self,
        after: Option<(Timestamp, &'a WebhookId)>,
        limit: u32,
    ) -> BoxFuture<'a, StoreResult<Vec<WebhookQueue>>>;

    /// A delivery of a webhook.
    fn delivery<'a>(
        &'a self,
        webhook: &'a WebhookId,
        sequence: u64,
    ) -> BoxFuture<'a, StoreResult<Option<Delivery>>>;

    /// The data of a delivery.
    fn delivery_data<'a>(
        &'a self,
        webhook: &'a WebhookId,
        sequence: u64,
    ) -> BoxFuture<'a, StoreResult<Option<String>>>;

    /// The deliveries of a webhook, newest first.
    fn deliveries<'a>(
        &'a self,
        webhook: &'a WebhookId,
        query: DeliveryQuery,
    ) -> BoxFuture<'a, StoreResult<Vec<Delivery>>>;

    /// The pending deliveries of a webhook that are due at an instant, those that have been due for longest first, at
    /// most `limit`.
    fn due_deliveries<'a>(
        &'a self,
        webhook: &'a WebhookId,
        now: Timestamp,
        limit: u32,
    ) -> BoxFuture<'a, StoreResult<Vec<Delivery>>>;
}
