//! The maps of the store in memory, and how a commit changes them.
//!
//! Every change goes through [`Change::put`] or [`Change::remove`], which note how to undo it. When a write is
//! refused, what the commit did before is undone in reverse order.

use std::collections::BTreeMap;

use prism_types::{
    ApiKeyId, ApprovalId, AuditEntryId, AutomationId, AutomationRunId, DeploymentId, DreamId, InstanceId,
    MemoryId, RunId, SecretRef, SkillId, SnapshotId, TenantId, ThreadId, Timestamp, UploadId, VersionId,
    WebhookId,
};

use super::{
    super::{News, storable},
    webhooks::{Queue, Queued},
};
use crate::{
    domain::{
        approval::{Approval, Resolution},
        audit::AuditEntry,
        automation::{Automation, AutomationRun},
        deployment::{AgentSpec, Deployment},
        dream::{Dream, DreamState, Quiet},
        event::{LoggedEvent, NewEvent},
        idempotency::{IdempotencyKey, KeptReply},
        instance::Instance,
        machine::{Machine, snapshot::MachineSnapshot, upload::Upload},
        memory::{Memory, MemorySet},
        message::Message,
        program::{ProgramDeployment, job::Job, service::Service, version::Version},
        run::{Run, RunState},
        secret::SealedSecret,
        skill::SkillRecord,
        snapshot::Snapshot,
        tenant::{ApiKey, Metered, Tenant},
        thread::{ForgottenThread, Thread},
        webhook::Webhook,
    },
    ports::{Commit, Expiring, StoreError, StoreResult, Write},
};

/// Everything that is kept.
#[derive(Default)]
pub(super) struct State {
    pub(super) tenants: BTreeMap<TenantId, Tenant>,
    pub(super) api_keys: BTreeMap<ApiKeyId, ApiKey>,
    pub(super) secrets: BTreeMap<(TenantId, SecretRef), SealedSecret>,
    pub(super) deployments: BTreeMap<DeploymentId, Deployment>,
    /// The last sequence of each deployment's log, of an agent or a program; kept apart from the events, which may be
    /// trimmed.
    pub(super) last_sequences: BTreeMap<DeploymentId, u64>,
    pub(super) specs: BTreeMap<(DeploymentId, u32), AgentSpec>,
    /// By deployment and place in its order.
    pub(super) skills: BTreeMap<(DeploymentId, usize), SkillRecord>,
    pub(super) instances: BTreeMap<InstanceId, Instance>,
    pub(super) snapshots: BTreeMap<SnapshotId, Snapshot>,
    pub(super) programs: BTreeMap<DeploymentId, ProgramDeployment>,
    pub(super) versions: BTreeMap<VersionId, Version>,
    pub(super) manifests: BTreeMap<VersionId, (DeploymentId, String)>,
    pub(super) services: BTreeMap<InstanceId, Service>,
    pub(super) jobs: BTreeMap<RunId, Job>,
    pub(super) machines: BTreeMap<InstanceId, Machine>,
    pub(super) machine_snapshots: BTreeMap<SnapshotId, MachineSnapshot>,
    pub(super) uploads: BTreeMap<UploadId, Upload>,
    pub(super) threads: BTreeMap<ThreadId, Thread>,
    pub(super) messages: BTreeMap<(ThreadId, u64), Message>,
    pub(super) runs: BTreeMap<RunId, Run>,
    pub(super) approvals: BTreeMap<ApprovalId, Approval>,
    pub(super) memory_sets: BTreeMap<DeploymentId, MemorySet>,
    pub(super) memories: BTreeMap<MemoryId, Memory>,
    pub(super) forgotten_threads: BTreeMap<ThreadId, ForgottenThread>,
    pub(super) dreams: BTreeMap<DreamId, Dream>,
    pub(super) quiet: BTreeMap<DeploymentId, Quiet>,
    pub(super) replies: BTreeMap<(TenantId, IdempotencyKey), KeptReply>,
    pub(super) audit_entries: BTreeMap<(TenantId, AuditEntryId), AuditEntry>,
    pub(super) automations: BTreeMap<AutomationId, Automation>,
    pub(super) automation_runs: BTreeMap<AutomationRunId, AutomationRun>,
    pub(super) events: BTreeMap<(DeploymentId, u64), LoggedEvent>,
    pub(super) webhooks: BTreeMap<WebhookId, Webhook>,
    pub(super) queues: BTreeMap<WebhookId, Queue>,
    pub(super) deliveries: BTreeMap<(WebhookId, u64), Queued>,
}

impl State {
    /// Carries out all changes or none; returns what the listener is to be told.
    pub(super) fn commit(&mut self, commit: Commit) -> StoreResult<News> {
        let mut change = Change { state: self, undo: Vec::new(), news: News::default() };
        for write in commit.into_writes() {
            if let Err(error) = change.apply(write) {
                change.roll_back();
                return Err(error);
            }
        }
        Ok(change.news)
    }

    pub(super) fn unfinished_run(&self, thread: &ThreadId) -> Option<&Run> {
        self.runs.values().find(|run| run.thread_id == *thread && !run.state.is_terminal())
    }

    pub(super) fn running_dream(&self, deployment: &DeploymentId) -> Option<&Dream> {
        let running =
            |dream: &&Dream| dream.deployment_id == *deployment && dream.state == DreamState::Running;
        self.dreams.values().find(running)
    }

    pub(super) fn events_after(
        &self,
        deployment: &DeploymentId,
        after: u64,
    ) -> impl Iterator<Item = &LoggedEvent> {
        let range = (deployment.clone(), after)..=(deployment.clone(), u64::MAX);
        self.events.range(range).map(|(_, event)| event).filter(move |event| event.sequence > after)
    }
}

/// A map of the state.
pub(super) type Table<K, V> = fn(&mut State) -> &mut BTreeMap<K, V>;

type Undo = Box<dyn FnOnce(&mut State)>;

/// A commit under way.
pub(super) struct Change<'a> {
    pub(super) state: &'a mut State,
    undo: Vec<Undo>,
    pub(super) news: News,
}

impl Change<'_> {
    pub(super) fn put<K: Ord + Clone + 'static, V: 'static>(&mut self, table: Table<K, V>, key: K, value: V) {
        let before = table(self.state).insert(key.clone(), value);
        self.undo.push(Box::new(move |state| {
            match before {
                Some(before) => table(state).insert(key, before),
                None => table(state).remove(&key),
            };
        }));
    }

    pub(super) fn remove<K: Ord + Clone + 'static, V: 'static>(
        &mut self,
        table: Table<K, V>,
        key: &K,
    ) -> bool {
        let Some(before) = table(self.state).remove(key) else { return false };
        let key = key.clone();
        self.undo.push(Box::new(move |state| {
            table(state).insert(key, before);
        }));
        true
    }

    pub(super) fn remove_where<K: Ord + Clone + 'static, V: 'static>(
        &mut self,
        table: Table<K, V>,
        doomed: impl Fn(&K, &V) -> bool,
    ) {
        let entries = table(self.state).iter();
        let keys: Vec<K> =
            entries.filter(|(key, value)| doomed(key, value)).map(|(key, _)| key.clone()).collect();
        for key in &keys {
            self.remove(table, key);
        }
    }

    /// Puts something new.
    pub(super) fn insert<K: Ord + Clone + 'static, V: 'static>(
        &mut self,
        noun: &'static str,
        table: Table<K, V>,
        key: K,
        value: V,
    ) -> StoreResult<()> {
        if table(self.state).contains_key(&key) {
            return Err(StoreError::Conflict(noun));
        }
        self.put(table, key, value);
        Ok(())
    }

    fn roll_back(self) {
        for undo in self.undo.into_iter().rev() {
            undo(self.state);
        }
    }

    fn apply(&mut self, write: Write) -> StoreResult<()> {
        match write {
            Write::InsertTenant(tenant) => self.insert_tenant(tenant),
            Write::UpdateTenant(tenant) => self.update_tenant(tenant),
            Write::Meter(tenant, metered) => self.meter(&tenant, &metered),
            Write::InsertApiKey(key) => self.insert_api_key(key),
            Write::RevokeApiKey(tenant, key, at) => self.revoke_api_key(&tenant, &key, at),
            Write::PutSecret(secret) => {
                let key = (secret.tenant_id.clone(), secret.reference.clone());
                self.put(|state| &mut state.secrets, key, secret);
                Ok(())
            }
            Write::DeleteSecret(tenant, reference) => {
                existed("secret", self.remove(|state| &mut state.secrets, &(tenant, reference)))
            }
            Write::InsertDeployment(deployment) => self.insert_deployment(deployment),
            Write::UpdateDeployment(deployment) => self.update_deployment(deployment),
            Write::InsertSpec(deployment, version, spec) => {
                self.need_deployment(&deployment)?;
                self.insert("specification", |state| &mut state.specs, (deployment, version), spec)
            }
            Write::ReplaceSkills(deployment, skills) => self.replace_skills(&deployment, skills),
            Write::InsertSkill(skill) => self.insert_skill(skill),
            Write::UpdateSkill(skill) => self.update_skill(skill),
            Write::RemoveSkill(deployment, id) => self.remove_skill(&deployment, &id),
            Write::InsertInstance(instance) => {
                storable(instance.revision, "instances.revision")?;
                self.need_deployment(&instance.deployment_id)?;
                self.insert("instance", |state| &mut state.instances, instance.id.clone(), instance)
            }
            Write::UpdateInstance(instance) => self.update_instance(instance),
            Write::InsertProgram(program) => self.insert_program(program),
            Write::UpdateProgram(program) => self.update_program(program),
            Write::PutManifest(deployment, version, manifest) => {
                self.need_deployment(&deployment)?;
                self.put(|state| &mut state.manifests, version, (deployment, manifest));
                Ok(())
            }
            Write::InsertVersion(version) => self.insert_version(version),
            Write::UpdateVersion(version) => self.update_version(version),
            Write::InsertService(service, most) => self.insert_service(service, most),
            Write::UpdateService(service) => self.update_service(service),
            Write::InsertJob(job, most) => self.insert_job(job, most),
            Write::UpdateJob(job) => self.update_job(job),
            Write::InsertMachine(machine, most) => self.insert_machine(machine, most),
            Write::UpdateMachine(machine) => self.update_machine(machine),
            Write::DeleteMachine(id) => {
                self.remove(|state| &mut state.machines, &id);
                self.remove_where(|state| &mut state.uploads, |_, upload| upload.machine_id == id);
                Ok(())
            }
            Write::InsertMachineSnapshot(snapshot, most) => self.insert_machine_snapshot(snapshot, most),
            Write::DeleteMachineSnapshot(id) => {
                self.remove(|state| &mut state.machine_snapshots, &id);
                Ok(())
            }
            Write::InsertUpload(upload, room) => self.insert_upload(upload, room),
            Write::UpdateUpload(upload) => self.update_upload(upload),
            Write::DeleteUpload(id) => {
                self.remove(|state| &mut state.uploads, &id);
                Ok(())
            }
            Write::InsertThread(thread) => {
                self.need_deployment(&thread.deployment_id)?;
                let last_activity_at = thread.created_at;
                let thread = Thread { message_count: 0, last_activity_at, ..thread };
                self.insert("thread", |state| &mut state.threads, thread.id.clone(), thread)
            }
            Write::SetThreadTitle(id, title) => {
                let thread = self.thread(&id)?;
                self.put(|state| &mut state.threads, id, Thread { title, ..thread });
                Ok(())
            }
            Write::InsertSnapshot(snapshot, most) => self.insert_snapshot(snapshot, most),
            Write::UpdateSnapshot(snapshot) => self.update_snapshot(snapshot),
            Write::DeleteSnapshot(id) => {
                self.remove(|state| &mut state.snapshots, &id);
                Ok(())
            }
            Write::DeleteThread(id) => self.delete_thread(&id),
            Write::InsertForgottenThread(thread) => {
                self.need_deployment(&thread.deployment_id)?;
                let table: Table<_, _> = |state| &mut state.forgotten_threads;
                self.insert("forgotten thread", table, thread.thread_id.clone(), thread)
            }
            Write::DeleteForgottenThread(id) => {
                self.remove(|state| &mut state.forgotten_threads, &id);
                Ok(())
            }
            Write::PutMemorySet(set) => self.put_memory_set(set),
            Write::PutMemory(memory) => self.put_memory(memory),
            Write::DeleteMemory(deployment, id) => {
                if self.state.memories.get(&id).is_some_and(|memory| memory.deployment_id == deployment) {
                    self.remove(|state| &mut state.memories, &id);
                }
                Ok(())
            }
            Write::InsertDream(dream) => self.insert_dream(dream),
            Write::UpdateDream(dream) => self.update_dream(dream),
            Write::TrimDreams(deployment, keep) => {
                self.trim_dreams(&deployment, keep);
                Ok(())
            }
            Write::PutQuiet(quiet) => {
                self.need_deployment(&quiet.deployment_id)?;
                self.put(|state| &mut state.quiet, quiet.deployment_id.clone(), quiet);
                Ok(())
            }
            Write::DeleteQuiet(deployment, run) => {
                let is_it = self.state.quiet.get(&deployment).is_some_and(|quiet| quiet.run_id == run);
                if !is_it {
                    return Err(StoreError::Conflict("quiet"));
                }
                self.remove(|state| &mut state.quiet, &deployment);
                Ok(())
            }
            Write::InsertMessage(message) => self.insert_message(message),
            Write::InsertRun(run) => self.insert_run(run),
            Write::UpdateRun(run) => self.update_run(run),
            Write::TouchRun(id) => self.touch_run(&id),
            Write::InsertApproval(approval) => {
                self.need_deployment(&approval.deployment_id)?;
                let run = self.state.runs.get(&approval.run_id);
                existed("run", run.is_some_and(|run| run.deployment_id == approval.deployment_id))?;
                self.insert("approval", |state| &mut state.approvals, approval.id.clone(), approval)
            }
            Write::CancelRun(id) => self.cancel_run(&id),
            Write::ResolveApproval(id, resolution, at) => self.resolve_approval(id, resolution, at),
            Write::KeepReply(reply) => self.keep_reply(reply),
            Write::InsertAuditEntry(entry) => {
                let key = (entry.tenant_id.clone(), entry.id.clone());
                self.insert("audit entry", |state| &mut state.audit_entries, key, entry)
            }
            Write::Expire(records, before, count) => {
                self.expire(records, before, count as usize);
                Ok(())
            }
            Write::InsertAutomation(automation, most) => self.insert_automation(automation, most),
            Write::UpdateAutomation(automation) => self.update_automation(automation),
            Write::DeleteAutomation(id) => self.delete_automation(&id),
            Write::InsertAutomationRun(run) => self.insert_automation_run(run),
            Write::TrimAutomationRuns(id, keep) => {
                self.trim_automation_runs(&id, keep);
                Ok(())
            }
            Write::Append(event) => self.append(event),
            Write::TrimEvents(deployment, count) => {
                let oldest = self.state.events_after(&deployment, 0).take(count as usize);
                let keys: Vec<_> =
                    oldest.map(|logged| (logged.event.deployment_id.clone(), logged.sequence)).collect();
                for key in &keys {
                    self.remove(|state| &mut state.events, key);
                }
                Ok(())
            }
            Write::TrimInstanceEvents(instance, bytes) => {
                self.trim_instance_events(&instance, bytes);
                Ok(())
            }
            Write::PurgeDeployment(deployment) => {
                self.purge(&deployment);
                Ok(())
            }
            Write::InsertWebhook(webhook) => self.insert_webhook(webhook),
            Write::UpdateWebhook(webhook) => self.update_webhook(webhook),
            Write::InsertDelivery(delivery, data) => self.insert_delivery(delivery, data.as_str().into()),
            Write::UpdateDelivery(delivery) => self.update_delivery(delivery),
            Write::TrimWebhook(id, limit) => {
                self.trim_webhook(&id, limit);
                Ok(())
            }
            Write::PurgeWebhook(id) => {
                self.purge_webhook(&id);
                Ok(())
            }
        }
    }

    fn insert_tenant(&mut self, tenant: Tenant) -> StoreResult<()> {
        check_tenant(&tenant)?;
        if self.state.tenants.values().any(|other| other.name == tenant.name) {
            return Err(StoreError::Conflict("tenant"));
        }
        self.insert("tenant", |state| &mut state.tenants, tenant.id.clone(), tenant)
    }

    fn update_tenant(&mut self, tenant: Tenant) -> StoreResult<()> {
        check_tenant(&tenant)?;
        let before = current("tenant", self.state.tenants.get(&tenant.id), tenant.revision, |t| t.revision)?;
        if self.state.tenants.values().any(|other| other.name == tenant.name && other.id != tenant.id) {
            return Err(StoreError::Conflict("tenant"));
        }
        let (used, created_at) = (before.used.clone(), before.created_at);
        let tenant = Tenant { used, created_at, revision: tenant.revision + 1, ..tenant };
        self.put(|state| &mut state.tenants, tenant.id.clone(), tenant);
        Ok(())
    }

    fn meter(&mut self, id: &TenantId, metered: &Metered) -> StoreResult<()> {
        let mut tenant = self.state.tenants.get(id).cloned().ok_or(StoreError::Missing("tenant"))?;
        tenant.meter(metered, i64::MAX.unsigned_abs());
        tenant.revision += 1;
        self.put(|state| &mut state.tenants, id.clone(), tenant);
        Ok(())
    }

    fn insert_api_key(&mut self, key: ApiKey) -> StoreResult<()> {
        if self.state.api_keys.values().any(|other| other.hash == key.hash) {
            return Err(StoreError::Conflict("api key"));
        }
        self.insert("api key", |state| &mut state.api_keys, key.id.clone(), key)
    }

    fn revoke_api_key(&mut self, tenant: &TenantId, id: &ApiKeyId, at: Timestamp) -> StoreResult<()> {
        let key = self.state.api_keys.get(id).filter(|key| key.tenant_id == *tenant).cloned();
        let key = key.ok_or(StoreError::Missing("api key"))?;
        let revoked_at = key.revoked_at.or(Some(at));
        self.put(|state| &mut state.api_keys, id.clone(), ApiKey { revoked_at, ..key });
        Ok(())
    }

    fn insert_deployment(&mut self, deployment: Deployment) -> StoreResult<()> {
        storable(deployment.revision, "deployments.revision")?;
        let id = deployment.id.clone();
        self.insert("deployment", |state| &mut state.deployments, id.clone(), deployment)?;
        self.insert("deployment", |state| &mut state.last_sequences, id, 0)
    }

    fn update_deployment(&mut self, deployment: Deployment) -> StoreResult<()> {
        storable(deployment.revision, "deployments.revision")?;
        let before = self.state.deployments.get(&deployment.id);
        let before = current("deployment", before, deployment.revision, |d| d.revision)?;
        let deployment = Deployment {
            tenant_id: before.tenant_id.clone(),
            created_at: before.created_at,
            revision: deployment.revision + 1,
            ..deployment
        };
        self.put(|state| &mut state.deployments, deployment.id.clone(), deployment);
        Ok(())
    }

    fn replace_skills(&mut self, deployment: &DeploymentId, skills: Vec<SkillRecord>) -> StoreResult<()> {
        self.need_deployment(deployment)?;
        self.remove_where(|state| &mut state.skills, |(owner, _), _| owner == deployment);
        for skill in skills {
            self.insert_skill(SkillRecord { deployment_id: deployment.clone(), ..skill })?;
        }
        Ok(())
    }

    fn insert_skill(&mut self, skill: SkillRecord) -> StoreResult<()> {
        storable(skill.revision, "skills.revision")?;
        self.need_deployment(&skill.deployment_id)?;
        let is_same = |other: &SkillRecord| {
            other.id == skill.id || (other.deployment_id == skill.deployment_id && other.name == skill.name)
        };
        if self.state.skills.values().any(is_same) {
            return Err(StoreError::Conflict("skill"));
        }
        let of_deployment = self.state.skills.keys().filter(|(owner, _)| *owner == skill.deployment_id);
        let place = of_deployment.map(|(_, place)| place + 1).max().unwrap_or(0);
        self.put(|state| &mut state.skills, (skill.deployment_id.clone(), place), skill);
        Ok(())
    }

    fn update_skill(&mut self, skill: SkillRecord) -> StoreResult<()> {
        storable(skill.revision, "skills.revision")?;
        let mut others =
            self.state.skills.iter().filter(|(_, other)| other.deployment_id == skill.deployment_id);
        let named = others.clone().find(|(_, other)| other.name == skill.name && other.id != skill.id);
        let found = others.find(|(_, other)| other.id == skill.id);
        let before = current("skill", found.map(|(_, before)| before), skill.revision, |s| s.revision)?;
        if named.is_some() {
            return Err(StoreError::Conflict("skill"));
        }
        let (created_at, revision) = (before.created_at, skill.revision + 1);
        if let Some(key) = found.map(|(key, _)| key.clone()) {
            self.put(|state| &mut state.skills, key, SkillRecord { created_at, revision, ..skill });
        }
        Ok(())
    }

    fn remove_skill(&mut self, deployment: &DeploymentId, id: &SkillId) -> StoreResult<()> {
        let mut all = self.state.skills.iter();
        let found = all.find(|((owner, _), skill)| owner == deployment && skill.id == *id);
        let key = found.map(|(key, _)| key.clone()).ok_or(StoreError::Missing("skill"))?;
        self.remove(|state| &mut state.skills, &key);
        Ok(())
    }

    fn update_instance(&mut self, instance: Instance) -> StoreResult<()> {
        storable(instance.revision, "instances.revision")?;
        let before = self.state.instances.get(&instance.id);
        let before = current("instance", before, instance.revision, |i| i.revision)?;
        let deployment_id = before.deployment_id.clone();
        let instance = Instance { deployment_id, revision: instance.revision + 1, ..instance };
        self.put(|state| &mut state.instances, instance.id.clone(), instance);
        Ok(())
    }

    fn insert_message(&mut self, message: Message) -> StoreResult<()> {
        let thread = self.thread(&message.thread_id)?;
        let position = thread.message_count + 1;
        let thread = Thread { message_count: position, last_activity_at: message.created_at, ..thread };
        self.put(|state| &mut state.threads, thread.id.clone(), thread);
        let key = (message.thread_id.clone(), position);
        self.insert("message", |state| &mut state.messages, key, Message { position, ..message })
    }

    fn insert_run(&mut self, run: Run) -> StoreResult<()> {
        check_run(&run)?;
        self.need_deployment(&run.deployment_id)?;
        self.need_thread(&run.deployment_id, &run.thread_id)?;
        if !run.state.is_terminal() && self.state.unfinished_run(&run.thread_id).is_some() {
            return Err(StoreError::Conflict("run"));
        }
        self.insert("run", |state| &mut state.runs, run.id.clone(), run)
    }

    fn update_run(&mut self, run: Run) -> StoreResult<()> {
        check_run(&run)?;
        let before = current("run", self.state.runs.get(&run.id), run.revision, |r| r.revision)?;
        let run = Run {
            deployment_id: before.deployment_id.clone(),
            thread_id: before.thread_id.clone(),
            kind: before.kind.clone(),
            created_at: before.created_at,
            cancelled: before.cancelled,
            revision: run.revision + 1,
            ..run
        };
        let unfinished = self.state.unfinished_run(&run.thread_id);
        if !run.state.is_terminal() && unfinished.is_some_and(|other| other.id != run.id) {
            return Err(StoreError::Conflict("run"));
        }
        self.put(|state| &mut state.runs, run.id.clone(), run);
        Ok(())
    }

    fn touch_run(&mut self, id: &RunId) -> StoreResult<()> {
        let run = self.state.runs.get(id).cloned().ok_or(StoreError::Missing("run"))?;
        if run.state != RunState::Running {
            return Err(StoreError::Conflict("run"));
        }
        let revision = run.revision + 1;
        self.put(|state| &mut state.runs, id.clone(), Run { revision, ..run });
        Ok(())
    }

    fn cancel_run(&mut self, id: &RunId) -> StoreResult<()> {
        self.touch_run(id)?;
        let run = self.state.runs.get(id).cloned().ok_or(StoreError::Missing("run"))?;
        self.put(|state| &mut state.runs, id.clone(), Run { cancelled: true, ..run });
        Ok(())
    }

    fn resolve_approval(&mut self, id: ApprovalId, resolution: Resolution, at: Timestamp) -> StoreResult<()> {
        let approval = self.state.approvals.get(&id).cloned().ok_or(StoreError::Missing("approval"))?;
        if approval.resolved_at.is_some() {
            return Err(StoreError::Conflict("approval"));
        }
        let Resolution { state, answer } = resolution;
        let approval = Approval { state, answer, resolved_at: Some(at), ..approval };
        self.put(|state| &mut state.approvals, id, approval);
        Ok(())
    }

    fn keep_reply(&mut self, reply: KeptReply) -> StoreResult<()> {
        let key = (reply.tenant_id.clone(), reply.key.clone());
        let before = self.state.replies.get(&key);
        if before.is_some_and(|before| !before.has_expired(reply.created_at)) {
            return Err(StoreError::Conflict("reply"));
        }
        self.put(|state| &mut state.replies, key, reply);
        Ok(())
    }

    fn expire(&mut self, records: Expiring, before: Timestamp, count: usize) {
        match records {
            Expiring::Replies => {
                let keys = oldest(&self.state.replies, |reply| reply.created_at, before, count);
                for key in &keys {
                    self.remove(|state| &mut state.replies, key);
                }
            }
            Expiring::AuditEntries => {
                let keys = oldest(&self.state.audit_entries, |entry| entry.created_at, before, count);
                for key in &keys {
                    self.remove(|state| &mut state.audit_entries, key);
                }
            }
            Expiring::Deliveries => {
                let queued = self.state.deliveries.iter();
                let mut ended: Vec<_> =
                    queued.filter_map(|(key, queued)| Some((queued.delivery.finished_at?, key))).collect();
                ended.retain(|(finished_at, _)| *finished_at < before);
                ended.sort();
                let keys: Vec<_> = ended.into_iter().take(count).map(|(_, key)| key.clone()).collect();
                for key in &keys {
                    self.remove(|state| &mut state.deliveries, key);
                }
            }
        }
    }

    fn append(&mut self, event: NewEvent) -> StoreResult<()> {
        let deployment = event.deployment_id.clone();
        let last = self.state.last_sequences.get(&deployment).copied();
        let sequence = last.ok_or(StoreError::Missing("deployment"))? + 1;
        self.put(|state| &mut state.last_sequences, deployment.clone(), sequence);
        let logged = LoggedEvent { sequence, event };
        self.news.events.push(logged.clone());
        self.queue_event(&logged)?;
        self.put(|state| &mut state.events, (deployment, sequence), logged);
        Ok(())
    }

    fn delete_thread(&mut self, id: &ThreadId) -> StoreResult<()> {
        if self.state.unfinished_run(id).is_some() {
            return Err(StoreError::Conflict("thread"));
        }
        let of_thread = |run: &&Run| run.thread_id == *id;
        let runs: Vec<_> = self.state.runs.values().filter(of_thread).map(|run| run.id.clone()).collect();
        self.remove_where(|state| &mut state.approvals, |_, approval| runs.contains(&approval.run_id));
        self.remove_where(|state| &mut state.runs, |run, _| runs.contains(run));
        self.remove_where(|state| &mut state.messages, |(thread, _), _| thread == id);
        existed("thread", self.remove(|state| &mut state.threads, id))
    }

    fn put_memory_set(&mut self, set: MemorySet) -> StoreResult<()> {
        storable(set.revision, "memory_sets.revision")?;
        let set = MemorySet { revision: set.revision + 1, ..set };
        if set.revision == 1 {
            self.need_deployment(&set.deployment_id)?;
            return self.insert("memories", |state| &mut state.memory_sets, set.deployment_id.clone(), set);
        }
        let before = self.state.memory_sets.get(&set.deployment_id);
        current("memories", before, set.revision - 1, |before| before.revision)?;
        self.put(|state| &mut state.memory_sets, set.deployment_id.clone(), set);
        Ok(())
    }

    fn put_memory(&mut self, memory: Memory) -> StoreResult<()> {
        self.need_deployment(&memory.deployment_id)?;
        let memory = match self.state.memories.get(&memory.id) {
            Some(before) => {
                let (deployment_id, created_at) = (before.deployment_id.clone(), before.created_at);
                Memory { deployment_id, created_at, ..memory }
            }
            None => memory,
        };
        self.put(|state| &mut state.memories, memory.id.clone(), memory);
        Ok(())
    }

    fn insert_dream(&mut self, dream: Dream) -> StoreResult<()> {
        storable(dream.revision, "dreams.revision")?;
        self.need_deployment(&dream.deployment_id)?;
        let run = self.state.runs.get(&dream.run_id);
        existed("run", run.is_some_and(|run| run.deployment_id == dream.deployment_id))?;
        if dream.state == DreamState::Running && self.state.running_dream(&dream.deployment_id).is_some() {
            return Err(StoreError::Conflict("dream"));
        }
        self.insert("dream", |state| &mut state.dreams, dream.id.clone(), dream)
    }

    fn update_dream(&mut self, dream: Dream) -> StoreResult<()> {
        storable(dream.revision, "dreams.revision")?;
        let before = current("dream", self.state.dreams.get(&dream.id), dream.revision, |d| d.revision)?;
        let Dream { state, report, error, ended_at, reverted_at, revision, .. } = dream;
        let revision = revision + 1;
        let dream = Dream { state, report, error, ended_at, reverted_at, revision, ..before.clone() };
        self.put(|state| &mut state.dreams, dream.id.clone(), dream);
        Ok(())
    }

    fn trim_dreams(&mut self, deployment: &DeploymentId, keep: u32) {
        let newest_first = self.state.dreams.values().rev();
        let of_deployment = newest_first.filter(|dream| dream.deployment_id == *deployment);
        let old = of_deployment.skip(keep as usize).filter(|dream| dream.state != DreamState::Running);
        let old: Vec<_> = old.map(|dream| dream.id.clone()).collect();
        self.remove_where(|state| &mut state.dreams, |dream, _| old.contains(dream));
    }

    fn purge(&mut self, id: &DeploymentId) {
        let of_deployment = |thread: &Thread| thread.deployment_id == *id;
        let threads: Vec<_> =
            self.state.threads.values().filter(|t| of_deployment(t)).map(|t| t.id.clone()).collect();
        self.remove_where(|state| &mut state.messages, |(thread, _), _| threads.contains(thread));
        self.remove_where(|state| &mut state.threads, |_, thread| of_deployment(thread));
        self.remove_where(|state| &mut state.specs, |(owner, _), _| owner == id);
        self.remove_where(|state| &mut state.skills, |(owner, _), _| owner == id);
        self.remove_where(|state| &mut state.instances, |_, instance| instance.deployment_id == *id);
        self.remove_where(|state| &mut state.runs, |_, run| run.deployment_id == *id);
        self.remove_where(|state| &mut state.approvals, |_, approval| approval.deployment_id == *id);
        self.remove_where(|state| &mut state.memories, |_, memory| memory.deployment_id == *id);
        self.remove_where(|state| &mut state.forgotten_threads, |_, thread| thread.deployment_id == *id);
        self.remove_where(|state| &mut state.dreams, |_, dream| dream.deployment_id == *id);
        self.remove(|state| &mut state.memory_sets, id);
        self.remove(|state| &mut state.quiet, id);
        self.remove_where(|state| &mut state.automations, |_, automation| automation.deployment_id == *id);
        self.remove_where(|state| &mut state.automation_runs, |_, run| run.deployment_id == *id);
        self.remove_where(|state| &mut state.events, |(owner, _), _| owner == id);
        self.remove(|state| &mut state.last_sequences, id);
        self.remove(|state| &mut state.deployments, id);
        self.purge_program(id);
    }

    /// A deployment of an agent or a program.
    pub(super) fn need_deployment(&self, id: &DeploymentId) -> StoreResult<()> {
        existed("deployment", self.state.last_sequences.contains_key(id))
    }

    /// A thread of a deployment.
    pub(super) fn need_thread(&self, deployment: &DeploymentId, id: &ThreadId) -> StoreResult<()> {
        let thread = self.state.threads.get(id);
        existed("thread", thread.is_some_and(|thread| thread.deployment_id == *deployment))
    }

    fn thread(&self, id: &ThreadId) -> StoreResult<Thread> {
        self.state.threads.get(id).cloned().ok_or(StoreError::Missing("thread"))
    }
}

/// The keys of the oldest records that were made before an instant.
fn oldest<K: Ord + Clone, V>(
    table: &BTreeMap<K, V>,
    created_at: impl Fn(&V) -> Timestamp,
    before: Timestamp,
    count: usize,
) -> Vec<K> {
    let outdated = table.iter().map(|(key, value)| (created_at(value), key));
    let mut outdated: Vec<_> = outdated.filter(|(created_at, _)| *created_at < before).collect();
    outdated.sort();
    outdated.into_iter().take(count).map(|(_, key)| key.clone()).collect()
}

/// The record to update, when it exists and has the revision that was read.
pub(super) fn current<'a, T>(
    noun: &'static str,
    record: Option<&'a T>,
    read: u64,
    revision: impl Fn(&T) -> u64,
) -> StoreResult<&'a T> {
    let record = record.ok_or(StoreError::Missing(noun))?;
    if revision(record) == read { Ok(record) } else { Err(StoreError::Conflict(noun)) }
}

pub(super) fn existed(noun: &'static str, exists: bool) -> StoreResult<()> {
    if exists { Ok(()) } else { Err(StoreError::Missing(noun)) }
}

fn check_tenant(tenant: &Tenant) -> StoreResult<()> {
    storable(tenant.revision, "tenants.revision")?;
    storable(tenant.credits.unwrap_or(0), "tenants.credits")?;
    storable(tenant.used.input_tokens, "tenants.input_tokens")?;
    storable(tenant.used.output_tokens, "tenants.output_tokens")?;
    Ok(())
}

fn check_run(run: &Run) -> StoreResult<()> {
    storable(run.revision, "runs.revision")?;
    storable(run.read_position, "runs.read_position")?;
    storable(run.usage.input_tokens, "runs.input_tokens")?;
    storable(run.usage.output_tokens, "runs.output_tokens")?;
    Ok(())
}
