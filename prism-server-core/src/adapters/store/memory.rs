//! The store in memory: the model of what a store does.
//!
//! One lock around plain maps. It is written to be obviously right: a read goes through the whole map where
//! that is the shortest way to say it. Use it for tests, for demonstrations and as the reference of the
//! conformance suite; nothing survives the process.

mod automations;
mod machines;
mod programs;
mod snapshots;
mod state;
mod uploads;
mod webhooks;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::FutureExt as _;
use prism_types::{
    ApprovalId, AuditEntryId, AutomationId, AutomationRunId, DeploymentId, DreamId, InstanceId, MemoryId,
    RunId, SecretRef, SnapshotId, TenantId, ThreadId, Timestamp, WebhookId,
};

use self::state::State;
use super::{EventPage, Listener};
use crate::{
    domain::{
        approval::Approval,
        audit::AuditEntry,
        automation::{Automation, AutomationRun},
        deployment::{AgentSpec, Deployment, DeploymentState},
        dream::{Dream, DreamState, Quiet},
        event::LoggedEvent,
        idempotency::{IdempotencyKey, KeptReply},
        instance::Instance,
        memory::{Memory, MemorySet},
        message::Message,
        run::{Run, RunState},
        secret::SealedSecret,
        skill::SkillRecord,
        snapshot::Snapshot,
        tenant::{ApiKey, Tenant},
        thread::{ForgottenThread, Thread},
        webhook::{Webhook, WebhookState, delivery::Delivery},
    },
    ports::{
        AppendListener, BoxFuture, Commit, DeliveryQuery, DeploymentFilter, Expiring, ListQuery, Store,
        StoreResult, WebhookQueue,
    },
};

/// A store that forgets everything when it is dropped.
#[derive(Default)]
pub struct MemoryStore {
    state: Mutex<State>,
    listener: Listener,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A commit that panics half way has a bug anyhow; the other callers should still get their answers.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read<T: Send + 'static>(&self, read: impl FnOnce(&State) -> T) -> BoxFuture<'static, StoreResult<T>> {
        futures::future::ready(Ok(read(&self.state()))).boxed()
    }
}

impl std::fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryStore").finish_non_exhaustive()
    }
}

impl Store for MemoryStore {
    fn commit(&self, commit: Commit) -> BoxFuture<'_, StoreResult<()>> {
        async move {
            // The listener is told under the lock, so that it hears of events in the order of the log.
            let mut state = self.state();
            let news = state.commit(commit)?;
            self.listener.tell(&news);
            Ok(())
        }
        .boxed()
    }

    fn set_append_listener(&self, listener: Arc<dyn AppendListener>) {
        self.listener.set(listener);
    }

    fn ping(&self) -> BoxFuture<'_, StoreResult<()>> {
        self.read(|_| ())
    }

    fn tenant<'a>(&'a self, id: &'a TenantId) -> BoxFuture<'a, StoreResult<Option<Tenant>>> {
        self.read(|state| state.tenants.get(id).cloned())
    }

    fn tenants(&self, query: ListQuery<TenantId>) -> BoxFuture<'_, StoreResult<Vec<Tenant>>> {
        self.read(|state| page(state.tenants.values(), |tenant| &tenant.id, &query))
    }

    fn tenant_by_name<'a>(&'a self, name: &'a str) -> BoxFuture<'a, StoreResult<Option<Tenant>>> {
        self.read(|state| state.tenants.values().find(|tenant| tenant.name == name).cloned())
    }

    fn api_key_by_hash<'a>(&'a self, hash: &'a [u8; 32]) -> BoxFuture<'a, StoreResult<Option<ApiKey>>> {
        self.read(|state| state.api_keys.values().find(|key| key.hash == *hash).cloned())
    }

    fn api_keys<'a>(&'a self, tenant: &'a TenantId) -> BoxFuture<'a, StoreResult<Vec<ApiKey>>> {
        self.read(|state| {
            let keys = state.api_keys.values().filter(|key| key.tenant_id == *tenant);
            page(keys, |key| &key.id, &ListQuery { before: None, limit: 1000 })
        })
    }

    fn secret<'a>(
        &'a self,
        tenant: &'a TenantId,
        reference: &'a SecretRef,
    ) -> BoxFuture<'a, StoreResult<Option<SealedSecret>>> {
        self.read(|state| state.secrets.get(&(tenant.clone(), reference.clone())).cloned())
    }

    fn secrets<'a>(&'a self, tenant: &'a TenantId) -> BoxFuture<'a, StoreResult<Vec<SealedSecret>>> {
        self.read(|state| {
            let secrets = state.secrets.values().filter(|secret| secret.tenant_id == *tenant);
            secrets.take(10_000).cloned().collect()
        })
    }

    fn deployment<'a>(&'a self, id: &'a DeploymentId) -> BoxFuture<'a, StoreResult<Option<Deployment>>> {
        self.read(|state| state.deployments.get(id).cloned())
    }

    fn deployments<'a>(
        &'a self,
        tenant: &'a TenantId,
        filter: &'a DeploymentFilter,
        query: ListQuery<DeploymentId>,
    ) -> BoxFuture<'a, StoreResult<Vec<Deployment>>> {
        self.read(|state| {
            let deployments = state.deployments.values().filter(|deployment| {
                deployment.tenant_id == *tenant
                    && deployment.state != DeploymentState::Deleted
                    && filter.customer_id.as_ref().is_none_or(|customer| deployment.customer_id == *customer)
                    && filter.state.is_none_or(|state| deployment.state == state)
            });
            page(deployments, |deployment| &deployment.id, &query)
        })
    }

    fn deployments_in_state<'a>(
        &'a self,
        state: DeploymentState,
        after: Option<&'a DeploymentId>,
        limit: u32,
    ) -> BoxFuture<'a, StoreResult<Vec<Deployment>>> {
        self.read(|tables| {
            let deployments = tables.deployments.values().filter(|deployment| deployment.state == state);
            let later = deployments.filter(|deployment| after.is_none_or(|after| deployment.id > *after));
            later.take(limit as usize).cloned().collect()
        })
    }

    fn spec<'a>(
        &'a self,
        deployment: &'a DeploymentId,
        version: u32,
    ) -> BoxFuture<'a, StoreResult<Option<AgentSpec>>> {
        self.read(|state| state.specs.get(&(deployment.clone(), version)).cloned())
    }

    fn skills<'a>(&'a self, deployment: &'a DeploymentId) -> BoxFuture<'a, StoreResult<Vec<SkillRecord>>> {
        self.read(|state| {
            state.skills.values().filter(|skill| skill.deployment_id == *deployment).cloned().collect()
        })
    }

    fn instance<'a>(&'a self, id: &'a InstanceId) -> BoxFuture<'a, StoreResult<Option<Instance>>> {
        self.read(|state| state.instances.get(id).cloned())
    }

    fn snapshot<'a>(&'a self, id: &'a SnapshotId) -> BoxFuture<'a, StoreResult<Option<Snapshot>>> {
        self.read(|state| state.snapshots.get(id).cloned())
    }

    fn snapshot_of<'a>(
        &'a self,
        deployment: &'a DeploymentId,
    ) -> BoxFuture<'a, StoreResult<Option<Snapshot>>> {
        self.read(|state| {
            state.snapshots.values().find(|snapshot| snapshot.deployment_id == *deployment).cloned()
        })
    }

    fn snapshot_in<'a>(&'a self, instance: &'a InstanceId) -> BoxFuture<'a, StoreResult<Option<Snapshot>>> {
        self.read(|state| {
            state.snapshots.values().find(|snapshot| snapshot.instance_id == *instance).cloned()
        })
    }

    fn snapshots<'a>(
        &'a self,
        tenant: &'a TenantId,
        now: Timestamp,
        query: ListQuery<SnapshotId>,
    ) -> BoxFuture<'a, StoreResult<Vec<Snapshot>>> {
        self.read(|state| {
            let snapshots = state.snapshots.values();
            let shown =
                snapshots.filter(|snapshot| snapshot.tenant_id == *tenant && snapshot.expires_at > now);
            page(shown, |snapshot| &snapshot.id, &query)
        })
    }

    fn expired_snapshots(&self, now: Timestamp, limit: u32) -> BoxFuture<'_, StoreResult<Vec<Snapshot>>> {
        self.read(|state| state.expired_snapshots(now, limit))
    }

    fn thread<'a>(&'a self, id: &'a ThreadId) -> BoxFuture<'a, StoreResult<Option<Thread>>> {
        self.read(|state| state.threads.get(id).cloned())
    }

    fn threads<'a>(
        &'a self,
        deployment: &'a DeploymentId,
        query: ListQuery<ThreadId>,
    ) -> BoxFuture<'a, StoreResult<Vec<Thread>>> {
        self.read(|state| {
            let threads = state.threads.values().filter(|thread| thread.deployment_id == *deployment);
            page(threads, |thread| &thread.id, &query)
        })
    }

    fn messages<'a>(
        &'a self,
        thread: &'a ThreadId,
        after: u64,
        limit: u32,
    ) -> BoxFuture<'a, StoreResult<Vec<Message>>> {
        self.read(|state| {
            let messages = state.messages.range((thread.clone(), after)..=(thread.clone(), u64::MAX));
            let later = messages.map(|(_, message)| message).filter(|message| message.position > after);
            later.take(limit as usize).cloned().collect()
        })
    }

    fn run<'a>(&'a self, id: &'a RunId) -> BoxFuture<'a, StoreResult<Option<Run>>> {
        self.read(|state| state.runs.get(id).cloned())
    }

    fn runs<'a>(
        &'a self,
        deployment: &'a DeploymentId,
        query: ListQuery<RunId>,
    ) -> BoxFuture<'a, StoreResult<Vec<Run>>> {
        self.read(|state| {
            let runs = state.runs.values().filter(|run| run.deployment_id == *deployment);
            page(runs, |run| &run.id, &query)
        })
    }

    fn unfinished_run<'a>(&'a self, thread: &'a ThreadId) -> BoxFuture<'a, StoreResult<Option<Run>>> {
        self.read(|state| state.unfinished_run(thread).cloned())
    }

    fn running_runs<'a>(
        &'a self,
        after: Option<&'a RunId>,
        limit: u32,
    ) -> BoxFuture<'a, StoreResult<Vec<Run>>> {
        self.read(|state| {
            let running = state.runs.values().filter(|run| run.state == RunState::Running);
            let later = running.filter(|run| after.is_none_or(|after| run.id > *after));
            later.take(limit as usize).cloned().collect()
        })
    }

    fn open_approval<'a>(&'a self, run: &'a RunId) -> BoxFuture<'a, StoreResult<Option<Approval>>> {
        self.read(|state| {
            let newest_first = state.approvals.values().rev();
            let mut open =
                newest_first.filter(|approval| approval.run_id == *run && approval.resolved_at.is_none());
            open.next().cloned()
        })
    }

    fn approval<'a>(&'a self, id: &'a ApprovalId) -> BoxFuture<'a, StoreResult<Option<Approval>>> {
        self.read(|state| state.approvals.get(id).cloned())
    }

    fn approvals<'a>(
        &'a self,
        deployment: &'a DeploymentId,
        pending: bool,
        query: ListQuery<ApprovalId>,
    ) -> BoxFuture<'a, StoreResult<Vec<Approval>>> {
        self.read(move |state| {
            let of_deployment = state.approvals.values().rev().filter(|approval| {
                approval.deployment_id == *deployment && (!pending || approval.resolved_at.is_none())
            });
            let page = of_deployment
                .filter(|approval| query.before.as_ref().is_none_or(|before| approval.id < *before));
            page.take(query.limit as usize).cloned().collect()
        })
    }

    fn pending_approvals<'a>(
        &'a self,
        after: Option<&'a ApprovalId>,
        limit: u32,
    ) -> BoxFuture<'a, StoreResult<Vec<Approval>>> {
        self.read(|state| {
            let pending = state.approvals.values().filter(|approval| approval.resolved_at.is_none());
            let later = pending.filter(|approval| after.is_none_or(|after| approval.id > *after));
            later.take(limit as usize).cloned().collect()
        })
    }

    fn has_unfinished_run<'a>(&'a self, deployment: &'a DeploymentId) -> BoxFuture<'a, StoreResult<bool>> {
        self.read(|state| {
            let mut runs = state.runs.values();
            runs.any(|run| run.deployment_id == *deployment && !run.state.is_terminal())
        })
    }

    fn forgotten_threads<'a>(
        &'a self,
        after: Option<&'a ThreadId>,
        limit: u32,
    ) -> BoxFuture<'a, StoreResult<Vec<ForgottenThread>>> {
        self.read(|state| {
            let threads = state.forgotten_threads.values();
            let later = threads.filter(|thread| after.is_none_or(|after| thread.thread_id > *after));
            later.take(limit as usize).cloned().collect()
        })
    }

    fn forgotten_threads_of<'a>(
        &'a self,
        deployment: &'a DeploymentId,
        limit: u32,
    ) -> BoxFuture<'a, StoreResult<Vec<ForgottenThread>>> {
        self.read(|state| {
            let threads = state.forgotten_threads.values();
            let of_deployment = threads.filter(|thread| thread.deployment_id == *deployment);
            of_deployment.take(limit as usize).cloned().collect()
        })
    }

    fn memory_set<'a>(
        &'a self,
        deployment: &'a DeploymentId,
    ) -> BoxFuture<'a, StoreResult<Option<MemorySet>>> {
        self.read(|state| state.memory_sets.get(deployment).cloned())
    }

    fn memory_sets_out_of_step<'a>(
        &'a self,
        after: Option<&'a DeploymentId>,
        limit: u32,
    ) -> BoxFuture<'a, StoreResult<Vec<MemorySet>>> {
        self.read(|state| {
            let sets = state.memory_sets.values().filter(|set| !set.in_step);
            let later = sets.filter(|set| after.is_none_or(|after| set.deployment_id > *after));
            later.take(limit as usize).cloned().collect()
        })
    }

    fn memories<'a>(&'a self, deployment: &'a DeploymentId) -> BoxFuture<'a, StoreResult<Vec<Memory>>> {
        self.read(|state| {
            let memories = state.memories.values();
            memories.filter(|memory| memory.deployment_id == *deployment).cloned().collect()
        })
    }

    fn memory<'a>(&'a self, id: &'a MemoryId) -> BoxFuture<'a, StoreResult<Option<Memory>>> {
        self.read(|state| state.memories.get(id).cloned())
    }

    fn dream<'a>(&'a self, id: &'a DreamId) -> BoxFuture<'a, StoreResult<Option<Dream>>> {
        self.read(|state| state.dreams.get(id).cloned())
    }

    fn dreams<'a>(
        &'a self,
        deployment: &'a DeploymentId,
        query: ListQuery<DreamId>,
    ) -> BoxFuture<'a, StoreResult<Vec<Dream>>> {
        self.read(|state| {
            let dreams = state.dreams.values().filter(|dream| dream.deployment_id == *deployment);
            page(dreams, |dream| &dream.id, &query)
        })
    }

    fn running_dream<'a>(
        &'a self,
        deployment: &'a DeploymentId,
    ) -> BoxFuture<'a, StoreResult<Option<Dream>>> {
        self.read(|state| state.running_dream(deployment).cloned())
    }

    fn running_dreams<'a>(
        &'a self,
        after: Option<&'a DreamId>,
        limit: u32,
    ) -> BoxFuture<'a, StoreResult<Vec<Dream>>> {
        self.read(|state| {
            let running = state.dreams.values().filter(|dream| dream.state == DreamState::Running);
            let later = running.filter(|dream| after.is_none_or(|after| dream.id > *after));
            later.take(limit as usize).cloned().collect()
        })
    }

    fn quiet_deployments<'a>(
        &'a self,
        until: Timestamp,
        after: Option<&'a DeploymentId>,
        limit: u32,
    ) -> BoxFuture<'a, StoreResult<Vec<Quiet>>> {
        self.read(|state| {
            let quiet = state.quiet.values().filter(|quiet| quiet.since <= until);
            let later = quiet.filter(|quiet| after.is_none_or(|after| quiet.deployment_id > *after));
            later.take(limit as usize).cloned().collect()
        })
    }

    fn kept_reply<'a>(
        &'a self,
        tenant: &'a TenantId,
        key: &'a IdempotencyKey,
    ) -> BoxFuture<'a, StoreResult<Option<KeptReply>>> {
        self.read(|state| state.replies.get(&(tenant.clone(), key.clone())).cloned())
    }

    fn audit_entries<'a>(
        &'a self,
        tenant: &'a TenantId,
        deployment: Option<&'a DeploymentId>,
        query: ListQuery<AuditEntryId>,
    ) -> BoxFuture<'a, StoreResult<Vec<AuditEntry>>> {
        self.read(|state| {
            let entries = state.audit_entries.values().filter(|entry| {
                entry.tenant_id == *tenant
                    && deployment.is_none_or(|deployment| entry.deployment_id.as_ref() == Some(deployment))
            });
            page(entries, |entry| &entry.id, &query)
        })
    }

    fn has_before(&self, records: Expiring, before: Timestamp) -> BoxFuture<'_, StoreResult<bool>> {
        self.read(|state| match records {
            Expiring::Replies => state.replies.values().any(|reply| reply.created_at < before),
            Expiring::AuditEntries => state.audit_entries.values().any(|entry| entry.created_at < before),
            Expiring::Deliveries => {
                let mut ends = state.deliveries.values().filter_map(|queued| queued.delivery.finished_at);
                ends.any(|finished_at| finished_at < before)
            }
        })
    }

    fn automation<'a>(&'a self, id: &'a AutomationId) -> BoxFuture<'a, StoreResult<Option<Automation>>> {
        self.read(|state| state.automations.get(id).cloned())
    }

    fn automations<'a>(
        &'a self,
        deployment: &'a DeploymentId,
        query: ListQuery<AutomationId>,
    ) -> BoxFuture<'a, StoreResult<Vec<Automation>>> {
        self.read(|state| {
            let automations = state.automations.values().filter(|a| a.deployment_id == *deployment);
            page(automations, |automation| &automation.id, &query)
        })
    }

    fn due_automations<'a>(
        &'a self,
        until: Timestamp,
        after: Option<(Timestamp, &'a AutomationId)>,
        limit: u32,
    ) -> BoxFuture<'a, StoreResult<Vec<Automation>>> {
        self.read(|state| state.due_automations(until, after, limit))
    }

    fn automation_runs<'a>(
        &'a self,
        automation: &'a AutomationId,
        query: ListQuery<AutomationRunId>,
    ) -> BoxFuture<'a, StoreResult<Vec<AutomationRun>>> {
        self.read(|state| {
            let runs = state.automation_runs.values().filter(|run| run.automation_id == *automation);
            page(runs, |run| &run.id, &query)
        })
    }

    fn last_automation_run<'a>(
        &'a self,
        automation: &'a AutomationId,
    ) -> BoxFuture<'a, StoreResult<Option<AutomationRun>>> {
        self.read(|state| {
            state.automation_runs.values().rev().find(|run| run.automation_id == *automation).cloned()
        })
    }

    fn automation_run_at<'a>(
        &'a self,
        automation: &'a AutomationId,
        scheduled_at: Timestamp,
    ) -> BoxFuture<'a, StoreResult<Option<AutomationRun>>> {
        self.read(|state| {
            let mut runs = state.automation_runs.values().filter(|run| run.automation_id == *automation);
            runs.find(|run| run.scheduled_at == Some(scheduled_at)).cloned()
        })
    }

    fn overdue_approvals(&self, now: Timestamp, limit: u32) -> BoxFuture<'_, StoreResult<Vec<Approval>>> {
        self.read(|state| {
            let pending = state.approvals.values().filter(|approval| approval.resolved_at.is_none());
            let overdue = pending.filter(|approval| approval.expires_at.is_some_and(|due| due <= now));
            let mut overdue: Vec<_> = overdue.cloned().collect();
            overdue.sort_by_key(|approval| approval.expires_at);
            overdue.truncate(limit as usize);
            overdue
        })
    }

    fn last_sequence<'a>(&'a self, deployment: &'a DeploymentId) -> BoxFuture<'a, StoreResult<u64>> {
        self.read(|state| state.last_sequences.get(deployment).copied().unwrap_or(0))
    }

    fn events<'a>(
        &'a self,
        deployment: &'a DeploymentId,
        after: u64,
        limit: u32,
    ) -> BoxFuture<'a, StoreResult<Vec<LoggedEvent>>> {
        self.read(|state| EventPage::of(state.events_after(deployment, after).take(limit as usize)))
    }

    fn run_events<'a>(
        &'a self,
        run: &'a RunId,
        deployment: &'a DeploymentId,
        after: u64,
        limit: u32,
    ) -> BoxFuture<'a, StoreResult<Vec<LoggedEvent>>> {
        self.read(|state| {
            let events = state.events_after(deployment, after);
            let of_run = events.filter(|logged| logged.event.run_id.as_ref() == Some(run));
            EventPage::of(of_run.take(limit as usize))
        })
    }

    fn webhook<'a>(&'a self, id: &'a WebhookId) -> BoxFuture<'a, StoreResult<Option<Webhook>>> {
        self.read(|state| state.webhooks.get(id).cloned())
    }

    fn webhooks<'a>(
        &'a self,
        tenant: &'a TenantId,
        query: ListQuery<WebhookId>,
    ) -> BoxFuture<'a, StoreResult<Vec<Webhook>>> {
        self.read(|state| page(state.webhooks_of(tenant), |webhook| &webhook.id, &query))
    }

    fn deleted_webhooks(&self, limit: u32) -> BoxFuture<'_, StoreResult<Vec<Webhook>>> {
        self.read(|state| {
            let deleted = state.webhooks.values().filter(|webhook| webhook.state == WebhookState::Deleted);
            deleted.take(limit as usize).cloned().collect()
        })
    }

    fn webhook_queue<'a>(&'a self, id: &'a WebhookId) -> BoxFuture<'a, StoreResult<Option<WebhookQueue>>> {
        self.read(|state| state.webhook_queue(id))
    }

    fn due_queues<'a>(
        &'a self,
        after: Option<(Timestamp, &'a WebhookId)>,
        limit: u32,
    ) -> BoxFuture<'a, StoreResult<Vec<WebhookQueue>>> {
        self.read(|state| state.due_queues(after, limit))
    }

    fn delivery<'a>(
        &'a self,
        webhook: &'a WebhookId,
        sequence: u64,
    ) -> BoxFuture<'a, StoreResult<Option<Delivery>>> {
        let key = (webhook.clone(), sequence);
        self.read(|state| state.deliveries.get(&key).map(|queued| queued.delivery.clone()))
    }

    fn delivery_data<'a>(
        &'a self,
        webhook: &'a WebhookId,
        sequence: u64,
    ) -> BoxFuture<'a, StoreResult<Option<String>>> {
        let key = (webhook.clone(), sequence);
        self.read(|state| state.deliveries.get(&key).map(|queued| queued.data.to_string()))
    }

    fn deliveries<'a>(
        &'a self,
        webhook: &'a WebhookId,
        query: DeliveryQuery,
    ) -> BoxFuture<'a, StoreResult<Vec<Delivery>>> {
        self.read(|state| {
            let newest_first = state.deliveries_of(webhook).rev().filter(|delivery| {
                query.state.is_none_or(|state| delivery.state == state)
                    && query.before.is_none_or(|before| delivery.sequence < before)
            });
            newest_first.take(query.limit as usize).cloned().collect()
        })
    }

    fn due_deliveries<'a>(
        &'a self,
        webhook: &'a WebhookId,
        now: Timestamp,
        limit: u32,
    ) -> BoxFuture<'a, StoreResult<Vec<Delivery>>> {
        self.read(|state| {
            let due = |delivery: &&Delivery| delivery.next_at.is_some_and(|next| next <= now);
            let mut due: Vec<_> = state.deliveries_of(webhook).filter(due).cloned().collect();
            due.sort_by_key(|delivery| (delivery.next_at, delivery.sequence));
            due.truncate(limit as usize);
            due
        })
    }
}

/// The page of `records`, which are in ascending order of their ids.
fn page<'a, T: Clone + 'a, Id: Ord>(
    records: impl DoubleEndedIterator<Item = &'a T>,
    id: impl Fn(&T) -> &Id,
    query: &ListQuery<Id>,
) -> Vec<T> {
    let older = records.rev().filter(|record| query.before.as_ref().is_none_or(|before| id(record) < before));
    older.take(query.limit as usize).cloned().collect()
}
