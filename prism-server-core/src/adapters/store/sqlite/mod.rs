//! The embedded store: one SQLite file, for a single node.
//!
//! # Writing
//! One thread owns the only writing connection of the process. It takes whatever commits have come in
//! meanwhile, carries them out in one transaction and syncs the file once for all of them ("group commit"):
//! with `synchronous = FULL` the sync is nearly the whole price of a commit, and an acknowledged commit
//! survives a loss of power. Within the group each commit has a savepoint, so that a refused one goes alone.
//!
//! Other processes may write to the file too, such as a command line tool that revokes a key. Nothing of the
//! tables is kept in memory, so their changes are seen by the next read. The listener hears only of what this
//! process appended: a tool may change records, but one gateway runs the deployments of a file.
//!
//! # Reading
//! Reads have connections of their own; in WAL mode they neither wait for the writer nor hold it up. No
//! connection keeps a transaction open between two calls, so the log can always be checkpointed.
//!
//! * A *point read*, of one record by its key, runs on the calling thread and returns a ready future. It takes
//!   some microseconds from the page cache; handing it to another thread and back would cost more than the
//!   read, and would add that to every request.
//! * A *scan*, of a list, a log or a conversation, can take as long as its page is large, so it runs on
//!   tokio's blocking threads, at most [`readers::SCANS`] at a time. It must be called within a runtime.
//!
//! # Where things are
//! `connection` opens the file, `migrations` makes the schema, `writer` is the thread, `write` the statements
//! that change something, `readers` the pool, `queries` the statements that read, `rows` the way from columns
//! to records, `programs` what is read of programs, `errors` the way from SQLite's errors to the port's.

mod connection;
mod errors;
mod machines;
mod migrations;
mod programs;
mod queries;
mod readers;
mod rows;
#[cfg(test)]
mod tests;
mod uploads;
mod write;
mod writer;

use std::{path::Path, sync::Arc};

use futures::FutureExt as _;
use prism_types::{
    ApprovalId, AuditEntryId, AutomationId, AutomationRunId, DeploymentId, DreamId, InstanceId, MemoryId,
    RunId, SecretRef, SnapshotId, TenantId, ThreadId, Timestamp, WebhookId,
};
use rusqlite::params;

use self::{readers::Readers, writer::Writer};
use super::Listener;
use crate::{
    domain::{
        approval::Approval,
        audit::AuditEntry,
        automation::{Automation, AutomationRun},
        deployment::{AgentSpec, Deployment, DeploymentState},
        dream::{Dream, Quiet},
        event::LoggedEvent,
        idempotency::{IdempotencyKey, KeptReply},
        instance::Instance,
        memory::{Memory, MemorySet},
        message::Message,
        run::Run,
        secret::SealedSecret,
        skill::SkillRecord,
        snapshot::Snapshot,
        tenant::{ApiKey, Tenant},
        thread::{ForgottenThread, Thread},
        webhook::{
            Webhook,
            delivery::{Delivery, DeliveryState},
        },
    },
    ports::{
        AppendListener, BoxFuture, Commit, DeliveryQuery, DeploymentFilter, Expiring, ListQuery, Store,
        StoreResult, WebhookQueue,
    },
};

/// A store in one SQLite file. Dropping it answers the last commits and closes the file.
pub struct SqliteStore {
    // Dropped in this order: the connection that closes last, the writer's, tidies the file up.
    readers: Arc<Readers>,
    writer: Writer,
    listener: Listener,
}

impl SqliteStore {
    /// Opens the file, which is created, readable by its owner only, when it does not exist, and brings its
    /// schema up to date. Blocks for as long as that takes.
    ///
    /// # Errors
    /// [`StoreError::Failed`](crate::ports::StoreError::Failed) when the file cannot be opened, is no database of this program, or was written
    /// by a newer version of it. [`StoreError::Unavailable`](crate::ports::StoreError::Unavailable) when another process keeps it locked.
    pub fn open(path: impl AsRef<Path>) -> StoreResult<Self> {
        let path = path.as_ref();
        let mut connection = connection::open_writer(path)?;
        migrations::run(&mut connection)?;
        let listener = Listener::default();
        let writer = Writer::start(connection, listener.clone())?;
        Ok(Self { readers: Arc::new(Readers::new(path)), writer, listener })
    }

    /// A point read; see the module's documentation.
    fn point<T: Send + 'static>(
        &self,
        read: impl FnOnce(&rusqlite::Connection) -> StoreResult<T>,
    ) -> BoxFuture<'static, StoreResult<T>> {
        futures::future::ready(self.readers.read(read)).boxed()
    }

    /// A scan; see the module's documentation.
    fn scan<T: Send + 'static>(
        &self,
        read: impl FnOnce(&rusqlite::Connection) -> StoreResult<T> + Send + 'static,
    ) -> BoxFuture<'static, StoreResult<T>> {
        Arc::clone(&self.readers).scan(read).boxed()
    }
}

impl std::fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteStore").field("path", &self.readers.path()).finish_non_exhaustive()
    }
}

impl Store for SqliteStore {
    fn commit(&self, commit: Commit) -> BoxFuture<'_, StoreResult<()>> {
        self.writer.commit(commit).boxed()
    }

    fn set_append_listener(&self, listener: Arc<dyn AppendListener>) {
        self.listener.set(listener);
    }

    fn ping(&self) -> BoxFuture<'_, StoreResult<()>> {
        if !self.writer.is_alive() {
            return futures::future::ready(Err(writer::closed())).boxed();
        }
        self.point(|connection| migrations::version(connection).map(|_| ()))
    }

    fn tenant<'a>(&'a self, id: &'a TenantId) -> BoxFuture<'a, StoreResult<Option<Tenant>>> {
        self.point(|connection| rows::one(connection, queries::TENANT, params![id.as_str()]))
    }

    fn tenants(&self, query: ListQuery<TenantId>) -> BoxFuture<'_, StoreResult<Vec<Tenant>>> {
        self.scan(move |connection| {
            rows::all(connection, queries::TENANTS, params![upper(&query), query.limit])
        })
    }

    fn tenant_by_name<'a>(&'a self, name: &'a str) -> BoxFuture<'a, StoreResult<Option<Tenant>>> {
        self.point(|connection| rows::one(connection, queries::TENANT_BY_NAME, params![name]))
    }

    fn api_key_by_hash<'a>(&'a self, hash: &'a [u8; 32]) -> BoxFuture<'a, StoreResult<Option<ApiKey>>> {
        self.point(|connection| rows::one(connection, queries::API_KEY_BY_HASH, params![hash]))
    }

    fn api_keys<'a>(&'a self, tenant: &'a TenantId) -> BoxFuture<'a, StoreResult<Vec<ApiKey>>> {
        let tenant = tenant.clone();
        self.scan(move |connection| rows::all(connection, queries::API_KEYS, params![tenant.as_str()]))
    }

    fn secret<'a>(
        &'a self,
        tenant: &'a TenantId,
        reference: &'a SecretRef,
    ) -> BoxFuture<'a, StoreResult<Option<SealedSecret>>> {
        let key = params![tenant.as_str(), reference.as_str()];
        self.point(|connection| rows::one(connection, queries::SECRET, key))
    }

    fn secrets<'a>(&'a self, tenant: &'a TenantId) -> BoxFuture<'a, StoreResult<Vec<SealedSecret>>> {
        let tenant = tenant.clone();
        self.scan(move |connection| rows::all(connection, queries::SECRETS, params![tenant.as_str()]))
    }

    fn deployment<'a>(&'a self, id: &'a DeploymentId) -> BoxFuture<'a, StoreResult<Option<Deployment>>> {
        self.point(|connection| rows::one(connection, queries::DEPLOYMENT, params![id.as_str()]))
    }

    fn deployments<'a>(
        &'a self,
        tenant: &'a TenantId,
        filter: &'a DeploymentFilter,
        query: ListQuery<DeploymentId>,
    ) -> BoxFuture<'a, StoreResult<Vec<Deployment>>> {
        let (tenant, filter) = (tenant.clone(), filter.clone());
        self.scan(move |connection| {
            let (tenant, before, limit) = (tenant.as_str(), upper(&query), query.limit);
            match (filter.customer_id, filter.state.map(DeploymentState::as_str)) {
                (None, None) => rows::all(connection, queries::DEPLOYMENTS, params![tenant, before, limit]),
                (Some(customer), None) => rows::all(
                    connection,
                    queries::DEPLOYMENTS_OF_CUSTOMER,
                    params![tenant, before, limit, customer],
                ),
                (None, Some(state)) => rows::all(
                    connection,
                    queries::DEPLOYMENTS_OF_TENANT_IN_STATE,
                    params![tenant, before, limit, state],
                ),
                (Some(customer), Some(state)) => rows::all(
                    connection,
                    queries::DEPLOYMENTS_OF_CUSTOMER_IN_STATE,
                    params![tenant, before, limit, customer, state],
                ),
            }
        })
    }

    fn deployments_in_state<'a>(
        &'a self,
        state: DeploymentState,
        after: Option<&'a DeploymentId>,
        limit: u32,
    ) -> BoxFuture<'a, StoreResult<Vec<Deployment>>> {
        let after = lower(after);
        self.scan(move |connection| {
            rows::all(connection, queries::DEPLOYMENTS_IN_STATE, params![state.as_str(), after, limit])
        })
    }

    fn spec<'a>(
        &'a self,
        deployment: &'a DeploymentId,
        version: u32,
    ) -> BoxFuture<'a, StoreResult<Option<AgentSpec>>> {
        let key = params![deployment.as_str(), version];
        self.point(|connection| rows::one(connection, queries::SPEC, key))
    }

    fn skills<'a>(&'a self, deployment: &'a DeploymentId) -> BoxFuture<'a, StoreResult<Vec<SkillRecord>>> {
        // Most deployments have none, and to find that out is less work than to hand it to another thread.
        let first = self.readers.read(|connection| {
            rows::one::<SkillRecord>(connection, queries::FIRST_SKILL, params![deployment.as_str()])
        });
        match first {
            Ok(None) => return futures::future::ready(Ok(Vec::new())).boxed(),
            Ok(Some(_)) => {}
            Err(error) => return futures::future::ready(Err(error)).boxed(),
        }
        let deployment = deployment.clone();
        self.scan(move |connection| rows::all(connection, queries::SKILLS, params![deployment.as_str()]))
    }

    fn instance<'a>(&'a self, id: &'a InstanceId) -> BoxFuture<'a, StoreResult<Option<Instance>>> {
        self.point(|connection| rows::one(connection, queries::INSTANCE, params![id.as_str()]))
    }

    fn snapshot<'a>(&'a self, id: &'a SnapshotId) -> BoxFuture<'a, StoreResult<Option<Snapshot>>> {
        self.point(|connection| rows::one(connection, queries::SNAPSHOT, params![id.as_str()]))
    }

    fn snapshot_of<'a>(
        &'a self,
        deployment: &'a DeploymentId,
    ) -> BoxFuture<'a, StoreResult<Option<Snapshot>>> {
        self.point(|connection| rows::one(connection, queries::SNAPSHOT_OF, params![deployment.as_str()]))
    }

    fn snapshot_in<'a>(&'a self, instance: &'a InstanceId) -> BoxFuture<'a, StoreResult<Option<Snapshot>>> {
        self.point(|connection| rows::one(connection, queries::SNAPSHOT_IN, params![instance.as_str()]))
    }

    fn snapshots<'a>(
        &'a self,
        tenant: &'a TenantId,
        now: Timestamp,
        query: ListQuery<SnapshotId>,
    ) -> BoxFuture<'a, StoreResult<Vec<Snapshot>>> {
        let tenant = tenant.clone();
        self.scan(move |connection| {
            let page = params![tenant.as_str(), upper(&query), query.limit, now.as_millis()];
            rows::all(connection, queries::SNAPSHOTS, page)
        })
    }

    fn expired_snapshots(&self, now: Timestamp, limit: u32) -> BoxFuture<'_, StoreResult<Vec<Snapshot>>> {
        self.scan(move |connection| {
            rows::all(connection, queries::EXPIRED_SNAPSHOTS, params![now.as_millis(), limit])
        })
    }

    fn thread<'a>(&'a self, id: &'a ThreadId) -> BoxFuture<'a, StoreResult<Option<Thread>>> {
        self.point(|connection| rows::one(connection, queries::THREAD, params![id.as_str()]))
    }

    fn threads<'a>(
        &'a self,
        deployment: &'a DeploymentId,
        query: ListQuery<ThreadId>,
    ) -> BoxFuture<'a, StoreResult<Vec<Thread>>> {
        let deployment = deployment.clone();
        self.scan(move |connection| {
            let page = params![deployment.as_str(), upper(&query), query.limit];
            rows::all(connection, queries::THREADS, page)
        })
    }

    fn messages<'a>(
        &'a self,
        thread: &'a ThreadId,
        after: u64,
        limit: u32,
    ) -> BoxFuture<'a, StoreResult<Vec<Message>>> {
        let thread = thread.clone();
        self.scan(move |connection| {
            rows::all(connection, queries::MESSAGES, params![thread.as_str(), position(after), limit])
        })
    }

    fn run<'a>(&'a self, id: &'a RunId) -> BoxFuture<'a, StoreResult<Option<Run>>> {
        self.point(|connection| rows::one(connection, queries::RUN, params![id.as_str()]))
    }

    fn runs<'a>(
        &'a self,
        deployment: &'a DeploymentId,
        query: ListQuery<RunId>,
    ) -> BoxFuture<'a, StoreResult<Vec<Run>>> {
        let deployment = deployment.clone();
        self.scan(move |connection| {
            let page = params![deployment.as_str(), upper(&query), query.limit];
            rows::all(connection, queries::RUNS, page)
        })
    }

    fn unfinished_run<'a>(&'a self, thread: &'a ThreadId) -> BoxFuture<'a, StoreResult<Option<Run>>> {
        self.point(|connection| rows::one(connection, queries::UNFINISHED_RUN, params![thread.as_str()]))
    }

    fn running_runs<'a>(
        &'a self,
        after: Option<&'a RunId>,
        limit: u32,
    ) -> BoxFuture<'a, StoreResult<Vec<Run>>> {
        let after = lower(after);
        self.scan(move |connection| rows::all(connection, queries::RUNNING_RUNS, params![after, limit]))
    }

    fn open_approval<'a>(&'a self, run: &'a RunId) -> BoxFuture<'a, StoreResult<Option<Approval>>> {
        self.point(|connection| rows::one(connection, queries::OPEN_APPROVAL, params![run.as_str()]))
    }

    fn approval<'a>(&'a self, id: &'a ApprovalId) -> BoxFuture<'a, StoreResult<Option<Approval>>> {
        self.point(|connection| rows::one(connection, queries::APPROVAL, params![id.as_str()]))
    }

    fn approvals<'a>(
        &'a self,
        deployment: &'a DeploymentId,
        pending: bool,
        query: ListQuery<ApprovalId>,
    ) -> BoxFuture<'a, StoreResult<Vec<Approval>>> {
        let deployment = deployment.clone();
        let sql = if pending { queries::PENDING_APPROVALS } else { queries::APPROVALS };
        self.scan(move |connection| {
            rows::all(connection, sql, params![deployment.as_str(), upper(&query), query.limit])
        })
    }

    fn pending_approvals<'a>(
        &'a self,
        after: Option<&'a ApprovalId>,
        limit: u32,
    ) -> BoxFuture<'a, StoreResult<Vec<Approval>>> {
        let after = lower(after);
        self.scan(move |connection| {
            rows::all(connection, queries::ALL_PENDING_APPROVALS, params![after, limit])
        })
    }

    fn has_unfinished_run<'a>(&'a self, deployment: &'a DeploymentId) -> BoxFuture<'a, StoreResult<bool>> {
        self.point(|connection| {
            let found: Option<Run> =
                rows::one(connection, queries::UNFINISHED_RUN_OF_DEPLOYMENT, params![deployment.as_str()])?;
            Ok(found.is_some())
        })
    }

    fn forgotten_threads<'a>(
        &'a self,
        after: Option<&'a ThreadId>,
        limit: u32,
    ) -> BoxFuture<'a, StoreResult<Vec<ForgottenThread>>> {
        let after = lower(after);
        self.scan(move |connection| rows::all(connection, queries::FORGOTTEN_THREADS, params![after, limit]))
    }

    fn forgotten_threads_of<'a>(
        &'a self,
        deployment: &'a DeploymentId,
        limit: u32,
    ) -> BoxFuture<'a, StoreResult<Vec<ForgottenThread>>> {
        let deployment = deployment.clone();
        self.scan(move |connection| {
            rows::all(connection, queries::FORGOTTEN_THREADS_OF, params![deployment.as_str(), limit])
        })
    }

    fn memory_set<'a>(
        &'a self,
        deployment: &'a DeploymentId,
    ) -> BoxFuture<'a, StoreResult<Option<MemorySet>>> {
        self.point(|connection| rows::one(connection, queries::MEMORY_SET, params![deployment.as_str()]))
    }

    fn memory_sets_out_of_step<'a>(
        &'a self,
        after: Option<&'a DeploymentId>,
        limit: u32,
    ) -> BoxFuture<'a, StoreResult<Vec<MemorySet>>> {
        let after = lower(after);
        self.scan(move |connection| {
            rows::all(connection, queries::MEMORY_SETS_OUT_OF_STEP, params![after, limit])
        })
    }

    fn memories<'a>(&'a self, deployment: &'a DeploymentId) -> BoxFuture<'a, StoreResult<Vec<Memory>>> {
        let deployment = deployment.clone();
        self.scan(move |connection| rows::all(connection, queries::MEMORIES, params![deployment.as_str()]))
    }

    fn memory<'a>(&'a self, id: &'a MemoryId) -> BoxFuture<'a, StoreResult<Option<Memory>>> {
        self.point(|connection| rows::one(connection, queries::MEMORY, params![id.as_str()]))
    }

    fn dream<'a>(&'a self, id: &'a DreamId) -> BoxFuture<'a, StoreResult<Option<Dream>>> {
        self.point(|connection| rows::one(connection, queries::DREAM, params![id.as_str()]))
    }

    fn dreams<'a>(
        &'a self,
        deployment: &'a DeploymentId,
        query: ListQuery<DreamId>,
    ) -> BoxFuture<'a, StoreResult<Vec<Dream>>> {
        let deployment = deployment.clone();
        self.scan(move |connection| {
            let page = params![deployment.as_str(), upper(&query), query.limit];
            rows::all(connection, queries::DREAMS, page)
        })
    }

    fn running_dream<'a>(
        &'a self,
        deployment: &'a DeploymentId,
    ) -> BoxFuture<'a, StoreResult<Option<Dream>>> {
        self.point(|connection| rows::one(connection, queries::RUNNING_DREAM, params![deployment.as_str()]))
    }

    fn running_dreams<'a>(
        &'a self,
        after: Option<&'a DreamId>,
        limit: u32,
    ) -> BoxFuture<'a, StoreResult<Vec<Dream>>> {
        let after = lower(after);
        self.scan(move |connection| rows::all(connection, queries::RUNNING_DREAMS, params![after, limit]))
    }

    fn quiet_deployments<'a>(
        &'a self,
        until: Timestamp,
        after: Option<&'a DeploymentId>,
        limit: u32,
    ) -> BoxFuture<'a, StoreResult<Vec<Quiet>>> {
        let after = lower(after);
        self.scan(move |connection| {
            rows::all(connection, queries::QUIET_DEPLOYMENTS, params![until.as_millis(), after, limit])
        })
    }

    fn kept_reply<'a>(
        &'a self,
        tenant: &'a TenantId,
        key: &'a IdempotencyKey,
    ) -> BoxFuture<'a, StoreResult<Option<KeptReply>>> {
        let key = params![tenant.as_str(), key.as_str()];
        self.point(|connection| rows::one(connection, queries::KEPT_REPLY, key))
    }

    fn audit_entries<'a>(
        &'a self,
        tenant: &'a TenantId,
        deployment: Option<&'a DeploymentId>,
        query: ListQuery<AuditEntryId>,
    ) -> BoxFuture<'a, StoreResult<Vec<AuditEntry>>> {
        let (tenant, deployment) = (tenant.clone(), deployment.cloned());
        self.scan(move |connection| {
            let (tenant, before, limit) = (tenant.as_str(), upper(&query), query.limit);
            match deployment {
                None => rows::all(connection, queries::AUDIT_ENTRIES, params![tenant, before, limit]),
                Some(deployment) => rows::all(
                    connection,
                    queries::AUDIT_ENTRIES_OF_DEPLOYMENT,
                    params![tenant, before, limit, deployment.as_str()],
                ),
            }
        })
    }

    fn has_before(&self, records: Expiring, before: Timestamp) -> BoxFuture<'_, StoreResult<bool>> {
        let before = params![before.as_millis()];
        self.point(|connection| match records {
            Expiring::Replies => {
                Ok(rows::one::<KeptReply>(connection, queries::OLD_REPLY, before)?.is_some())
            }
            Expiring::AuditEntries => {
                Ok(rows::one::<AuditEntry>(connection, queries::OLD_AUDIT_ENTRY, before)?.is_some())
            }
            Expiring::Deliveries => {
                Ok(rows::one::<Delivery>(connection, queries::OLD_DELIVERY, before)?.is_some())
            }
        })
    }

    fn automation<'a>(&'a self, id: &'a AutomationId) -> BoxFuture<'a, StoreResult<Option<Automation>>> {
        self.point(|connection| rows::one(connection, queries::AUTOMATION, params![id.as_str()]))
    }

    fn automations<'a>(
        &'a self,
        deployment: &'a DeploymentId,
        query: ListQuery<AutomationId>,
    ) -> BoxFuture<'a, StoreResult<Vec<Automation>>> {
        let deployment = deployment.clone();
        self.scan(move |connection| {
            let page = params![deployment.as_str(), upper(&query), query.limit];
            rows::all(connection, queries::AUTOMATIONS, page)
        })
    }

    fn due_automations<'a>(
        &'a self,
        until: Timestamp,
        after: Option<(Timestamp, &'a AutomationId)>,
        limit: u32,
    ) -> BoxFuture<'a, StoreResult<Vec<Automation>>> {
        let (instant, id) = after.unzip();
        let (instant, id) = (instant.map_or(i64::MIN, Timestamp::as_millis), lower(id));
        self.scan(move |connection| {
            let page = params![until.as_millis(), instant, id, limit];
            rows::all(connection, queries::DUE_AUTOMATIONS, page)
        })
    }

    fn automation_runs<'a>(
        &'a self,
        automation: &'a AutomationId,
        query: ListQuery<AutomationRunId>,
    ) -> BoxFuture<'a, StoreResult<Vec<AutomationRun>>> {
        let automation = automation.clone();
        self.scan(move |connection| {
            let page = params![automation.as_str(), upper(&query), query.limit];
            rows::all(connection, queries::AUTOMATION_RUNS, page)
        })
    }

    fn last_automation_run<'a>(
        &'a self,
        automation: &'a AutomationId,
    ) -> BoxFuture<'a, StoreResult<Option<AutomationRun>>> {
        let key = params![automation.as_str()];
        self.point(|connection| rows::one(connection, queries::LAST_AUTOMATION_RUN, key))
    }

    fn automation_run_at<'a>(
        &'a self,
        automation: &'a AutomationId,
        scheduled_at: Timestamp,
    ) -> BoxFuture<'a, StoreResult<Option<AutomationRun>>> {
        let key = params![automation.as_str(), scheduled_at.as_millis()];
        self.point(|connection| rows::one(connection, queries::AUTOMATION_RUN_AT, key))
    }

    fn overdue_approvals(&self, now: Timestamp, limit: u32) -> BoxFuture<'_, StoreResult<Vec<Approval>>> {
        self.scan(move |connection| {
            rows::all(connection, queries::OVERDUE_APPROVALS, params![now.as_millis(), limit])
        })
    }

    fn last_sequence<'a>(&'a self, deployment: &'a DeploymentId) -> BoxFuture<'a, StoreResult<u64>> {
        self.point(|connection| {
            let head: Option<rows::Head> =
                rows::one(connection, queries::LAST_SEQUENCE, params![deployment.as_str()])?;
            Ok(head.map_or(0, |head| head.0))
        })
    }

    fn events<'a>(
        &'a self,
        deployment: &'a DeploymentId,
        after: u64,
        limit: u32,
    ) -> BoxFuture<'a, StoreResult<Vec<LoggedEvent>>> {
        let deployment = deployment.clone();
        self.scan(move |connection| {
            rows::events(connection, queries::EVENTS, params![deployment.as_str(), position(after), limit])
        })
    }

    fn run_events<'a>(
        &'a self,
        run: &'a RunId,
        deployment: &'a DeploymentId,
        after: u64,
        limit: u32,
    ) -> BoxFuture<'a, StoreResult<Vec<LoggedEvent>>> {
        let (run, deployment) = (run.clone(), deployment.clone());
        self.scan(move |connection| {
            let page = params![deployment.as_str(), position(after), limit, run.as_str()];
            rows::events(connection, queries::RUN_EVENTS, page)
        })
    }

    fn webhook<'a>(&'a self, id: &'a WebhookId) -> BoxFuture<'a, StoreResult<Option<Webhook>>> {
        self.point(|connection| rows::one(connection, queries::WEBHOOK, params![id.as_str()]))
    }

    fn webhooks<'a>(
        &'a self,
        tenant: &'a TenantId,
        query: ListQuery<WebhookId>,
    ) -> BoxFuture<'a, StoreResult<Vec<Webhook>>> {
        let tenant = tenant.clone();
        self.scan(move |connection| {
            rows::all(connection, queries::WEBHOOKS, params![tenant.as_str(), upper(&query), query.limit])
        })
    }

    fn deleted_webhooks(&self, limit: u32) -> BoxFuture<'_, StoreResult<Vec<Webhook>>> {
        self.scan(move |connection| rows::all(connection, queries::DELETED_WEBHOOKS, params![limit]))
    }

    fn webhook_queue<'a>(&'a self, id: &'a WebhookId) -> BoxFuture<'a, StoreResult<Option<WebhookQueue>>> {
        self.point(|connection| rows::one(connection, queries::WEBHOOK_QUEUE, params![id.as_str()]))
    }

    fn due_queues<'a>(
        &'a self,
        after: Option<(Timestamp, &'a WebhookId)>,
        limit: u32,
    ) -> BoxFuture<'a, StoreResult<Vec<WebhookQueue>>> {
        let at = after.map_or(i64::MIN, |(at, _)| at.as_millis());
        let id = lower(after.map(|(_, id)| id));
        self.scan(move |connection| rows::all(connection, queries::DUE_QUEUES, params![at, id, limit]))
    }

    fn delivery<'a>(
        &'a self,
        webhook: &'a WebhookId,
        sequence: u64,
    ) -> BoxFuture<'a, StoreResult<Option<Delivery>>> {
        let key = params![webhook.as_str(), position(sequence)];
        self.point(|connection| rows::one(connection, queries::DELIVERY, key))
    }

    fn delivery_data<'a>(
        &'a self,
        webhook: &'a WebhookId,
        sequence: u64,
    ) -> BoxFuture<'a, StoreResult<Option<String>>> {
        let key = params![webhook.as_str(), position(sequence)];
        self.point(|connection| {
            let data: Option<rows::DeliveryData> = rows::one(connection, queries::DELIVERY_DATA, key)?;
            Ok(data.map(|data| data.0))
        })
    }

    fn deliveries<'a>(
        &'a self,
        webhook: &'a WebhookId,
        query: DeliveryQuery,
    ) -> BoxFuture<'a, StoreResult<Vec<Delivery>>> {
        let webhook = webhook.clone();
        let before = query.before.map_or(i64::MAX, position);
        self.scan(move |connection| {
            let webhook = webhook.as_str();
            match query.state.map(DeliveryState::as_str) {
                None => rows::all(connection, queries::DELIVERIES, params![webhook, before, query.limit]),
                Some(state) => rows::all(
                    connection,
                    queries::DELIVERIES_IN_STATE,
                    params![webhook, before, query.limit, state],
                ),
            }
        })
    }

    fn due_deliveries<'a>(
        &'a self,
        webhook: &'a WebhookId,
        now: Timestamp,
        limit: u32,
    ) -> BoxFuture<'a, StoreResult<Vec<Delivery>>> {
        let webhook = webhook.clone();
        self.scan(move |connection| {
            let due = params![webhook.as_str(), now.as_millis(), limit];
            rows::all(connection, queries::DUE_DELIVERIES, due)
        })
    }
}

/// What the ids of a page are below. `~` is greater than every id, which is ASCII and starts with a letter.
fn upper<Id: AsRef<str>>(query: &ListQuery<Id>) -> &str {
    query.before.as_ref().map_or("~", AsRef::as_ref)
}

/// What the ids of a page are above; the empty text is less than every id.
fn lower<Id: AsRef<str>>(after: Option<&Id>) -> String {
    after.map_or_else(String::new, |id| id.as_ref().to_owned())
}

/// A place in a log as a parameter. Nothing is behind the greatest that can be stored.
fn position(after: u64) -> i64 {
    i64::try_from(after).unwrap_or(i64::MAX)
}
