//! Tests of the stores together.

use std::sync::Arc;

use super::MemoryStore;
use crate::{ports::Store, testkit};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_store_in_memory_conforms() {
    testkit::store::conformance(|| async { Arc::new(MemoryStore::new()) as Arc<dyn Store> }).await;
}

#[cfg(feature = "sqlite")]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_embedded_store_conforms() {
    let directory = tempfile::tempdir().unwrap();
    let number = std::sync::atomic::AtomicU32::new(0);
    testkit::store::conformance(|| async {
        let number = number.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let path = directory.path().join(format!("{number}.db"));
        Arc::new(super::SqliteStore::open(path).unwrap()) as Arc<dyn Store>
    })
    .await;
}

/// Random histories have the same results and leave the same records in both stores.
#[cfg(feature = "sqlite")]
mod equivalence {
    use prism_types::{Failure, Usage};
    use proptest::prelude::*;

    use super::*;
    use crate::{
        adapters::store::SqliteStore,
        domain::{
            approval::{Approval, ApprovalState, Resolution},
            audit::AuditEntry,
            automation::{Automation, AutomationRun, Outcome},
            deployment::{Deployment, DeploymentState},
            dream::{Dream, DreamState},
            event::NewEvent,
            idempotency::KeptReply,
            instance::{Instance, InstanceState},
            machine::{
                Machine, MachineState,
                snapshot::MachineSnapshot,
                upload::{Upload, UploadRoom, UploadState},
            },
            memory::{Memory, MemorySet},
            program::{
                Mode, ProgramDeployment, ProgramState,
                hosted::{Hosted, Stage},
                job::{Job, JobState},
                service::{Service, ServiceState},
                version::{BuildState, Version, VersionState},
            },
            run::{Run, RunState},
            skill::SkillRecord,
            snapshot::{Snapshot, SnapshotState},
            tenant::{ApiKey, Metered, Tenant},
            webhook::{
                PreviousSecret, Webhook, WebhookState,
                delivery::{Delivery, DeliveryState},
            },
        },
        ports::{
            DeliveryQuery, DeploymentFilter, Expiring, HostedFilter, ListQuery, LogPlace, ProgramFilter,
            Write,
        },
        testkit::store::{Recorder, commit, records::*},
    };

    /// How many different ids of a kind there are: few, so that writes meet.
    const IDS: u32 = 3;

    /// The number of the first deployment of a program. The last one of an agent has it, too, so that they meet.
    const PROGRAMS: u32 = IDS - 1;

    /// A write of each kind, made of small numbers.
    fn write() -> impl Strategy<Value = Write> {
        // A purge takes away what the others work on, so it is rare.
        let kind = prop_oneof![60 => 0..65_u32, 1 => Just(65)];
        (kind, 0..IDS, 0..IDS, 0..4_u32, any::<bool>()).prop_map(|(kind, a, b, number, flag)| {
            let revision = u64::from(number % 2);
            let text = flag.then(|| format!("text {number}"));
            let failure = flag.then(|| Failure::new("code", "message"));
            let large = if flag { u64::MAX } else { revision };
            let tenant = Tenant { name: format!("tenant {b}"), credits: Some(large), revision, ..tenant(a) };
            let state = DeploymentState::ALL[number as usize];
            let customer_id = format!("cus_{b}");
            let deployment =
                Deployment { state, customer_id, error: failure.clone(), revision, ..deployment(b, a) };
            let state = InstanceState::ALL[number as usize];
            let restores = flag.then(|| id("snap_", b));
            let instance = Instance { state, restarts: number, restores, revision, ..instance(b, a) };
            let state = RunState::ALL[number as usize];
            let usage = Usage::default().input_tokens(large);
            let (checkpoint, error) = (text.clone(), failure.clone());
            let run = Run { state, usage, checkpoint, error, revision, ..run(b, b, a) };
            let resolved_at = flag.then(|| at(number));
            let approval = Approval { resolved_at, ..approval(b, b, a) };
            let next_run_at = (number > 0).then(|| at(number));
            let automation = Automation { next_run_at, enabled: flag, revision, ..automation(b, b, a) };
            let outcome = match &failure {
                Some(reason) if number > 1 => Outcome::Failed(reason.clone()),
                Some(reason) => Outcome::Skipped(reason.clone()),
                None => Outcome::Started(id("run_", b)),
            };
            let scheduled_at = (number > 0).then(|| at(a));
            let entry =
                AutomationRun { id: id("arun_", number), scheduled_at, outcome, ..automation_run(b, b, a) };
            let skill = SkillRecord { error: failure, content: text.clone(), ..skill(b, a) };
            let run_id = flag.then(|| id("run_", b));
            let dream_state = DreamState::ALL[number as usize % DreamState::ALL.len()];
            let webhook = Webhook {
                state: WebhookState::ALL[number as usize % 3],
                deployment_id: flag.then(|| id("dep_", b)),
                paused_until: flag.then(|| at(number)),
                previous_secret: flag.then(|| PreviousSecret { sealed: vec![1], expires_at: at(a) }),
                revision,
                ..webhook(b, a)
            };
            let state = DeliveryState::ALL[number as usize % 3];
            let pending = state == DeliveryState::Pending;
            let delivery = Delivery {
                state,
                next_at: pending.then(|| at(number)),
                finished_at: (!pending).then(|| at(number)),
                revision,
                ..Delivery::new(id("whe_", a), b.into(), "ping".to_owned(), None, at(a))
            };
            let machine = Machine {
                state: MachineState::ALL[number as usize],
                failure: text.clone(),
                expires_at: at(number),
                revision,
                ..machine(b, a)
            };
            let upload = Upload {
                state: UploadState::ALL[number as usize],
                size: number.into(),
                expires_at: at(number),
                revision,
                ..upload(b, b, a)
            };
            let room = UploadRoom { of_machine: 1, of_tenant: 2, machine_bytes: 4, tenant_bytes: 5 };
            let owner = PROGRAMS + b;
            let program = ProgramDeployment {
                name: format!("program {number}"),
                mode: Mode::ALL[number as usize % 2],
                state: ProgramState::ALL[a as usize],
                deleted_at: flag.then(|| at(number)),
                revision,
                ..program(number, owner)
            };
            let version = Version {
                number: number % 3,
                state: VersionState::ALL[number as usize],
                build: flag.then(|| build(b, BuildState::ALL[number as usize])),
                revision,
                ..version(owner, a)
            };
            let hosted = Hosted {
                version_id: id("ver_", number % 2),
                stage: Stage::ALL[b as usize],
                kept_until: flag.then(|| at(number)),
                ..Hosted::new(id("ins_", a), id("dep_", owner), id("ver_", 0))
            };
            let service = Service {
                hosted: hosted.clone(),
                state: ServiceState::ALL[(number * 2 + b) as usize % 6],
                revision,
                ..service(owner, a)
            };
            let job = Job {
                hosted: Hosted { instance_id: id("ins_", number), ..hosted },
                state: JobState::ALL[(number * 3 + b) as usize % 8],
                revision,
                ..job(owner, a)
            };
            match kind {
                0 => Write::InsertTenant(tenant),
                1 => Write::UpdateTenant(tenant),
                2 => Write::InsertApiKey(ApiKey { id: id("key_", b), ..api_key(number, a) }),
                3 => Write::RevokeApiKey(id("ten_", number), id("key_", b), at(a)),
                4 => Write::PutSecret(secret(a, b)),
                5 => Write::DeleteSecret(id("ten_", a), id("sec_", b)),
                6 => Write::InsertDeployment(deployment),
                7 => Write::UpdateDeployment(deployment),
                8 => Write::InsertSpec(id("dep_", a), number, spec()),
                9 => Write::ReplaceSkills(id("dep_", b), vec![skill; number as usize % 3]),
                10 => Write::UpdateSkill(skill),
                11 => Write::InsertInstance(instance),
                12 => Write::UpdateInstance(instance),
                13 => Write::InsertThread(thread(b, a)),
                14 => Write::SetThreadTitle(id("thr_", a), text),
                15 => Write::InsertMessage(message(a, "Hello")),
                16 => Write::InsertRun(run),
                17 => Write::UpdateRun(run),
                18 => Write::InsertApproval(approval),
                19 => Write::ResolveApproval(
                    id("apr_", a),
                    Resolution { state: ApprovalState::ALL[number as usize], answer: text },
                    at(number),
                ),
                20 => {
                    let name = if number < 2 { "token" } else { "run_status" }.to_owned();
                    Write::Append(NewEvent { run_id, name, ..event(a, "{}") })
                }
                21 if flag => Write::TrimInstanceEvents(id("ins_", a), number.into()),
                21 => Write::TrimEvents(id("dep_", a + b), number),
                22 if flag => Write::CancelRun(id("run_", a)),
                22 => Write::TouchRun(id("run_", a)),
                23 => Write::Meter(
                    id("ten_", a),
                    Metered { input_tokens: large, output_tokens: 3, credits: large / 3 },
                ),
                24 => Write::KeepReply(KeptReply {
                    sealed: vec![number as u8],
                    created_at: at(number * 40_000),
                    ..reply(a, b)
                }),
                25 => Write::InsertAuditEntry(AuditEntry {
                    deployment_id: flag.then(|| id("dep_", b)),
                    ..audit_entry(a, b, number)
                }),
                26 if flag => Write::Expire(Expiring::Replies, at(number * 20_000), b),
                26 if number == 0 => Write::Expire(Expiring::Deliveries, at(a), b),
                26 => Write::Expire(Expiring::AuditEntries, at(number), b),
                27 => Write::InsertAutomation(automation, 2),
                28 => Write::UpdateAutomation(automation),
                29 => Write::DeleteAutomation(id("auto_", a)),
                30 => Write::InsertAutomationRun(entry),
                31 => Write::TrimAutomationRuns(id("auto_", b), number),
                32 => Write::InsertWebhook(webhook),
                33 => Write::UpdateWebhook(webhook),
                34 => ping(a, u64::from(b) + 1, number),
                35 => Write::UpdateDelivery(delivery),
                36 if flag => Write::PurgeWebhook(id("whe_", a)),
                36 => Write::TrimWebhook(id("whe_", a), number),
                37 => Write::DeleteThread(id("thr_", a)),
                38 => Write::InsertForgottenThread(forgotten_thread(b, a)),
                39 => Write::DeleteForgottenThread(id("thr_", a)),
                40 => Write::PutMemorySet(MemorySet { home: text, in_step: flag, revision, ..memory_set(b) }),
                41 => Write::PutMemory(Memory { synced: text, forgotten: flag, ..memory(b, a) }),
                42 => Write::DeleteMemory(id("dep_", b), id("mem_", a)),
                43 => Write::InsertDream(Dream { state: dream_state, revision, ..dream(b, b, a) }),
                44 => Write::UpdateDream(Dream { state: dream_state, revision, ..dream(b, b, a) }),
                45 if flag => Write::TrimDreams(id("dep_", b), number % 3),
                45 => Write::PutQuiet(quiet(b, a)),
                46 => Write::DeleteQuiet(id("dep_", b), id("run_", a)),
                47 => Write::InsertSnapshot(
                    Snapshot { instance_id: id("ins_", b), expires_at: at(number), ..snapshot(b, a) },
                    2,
                ),
                48 => Write::UpdateSnapshot(Snapshot {
                    state: SnapshotState::ALL[number as usize % 2],
                    expires_at: at(b),
                    revision,
                    ..snapshot(b, a)
                }),
                49 => Write::DeleteSnapshot(id("snap_", a)),
                50 => Write::InsertProgram(program),
                51 => Write::UpdateProgram(program),
                52 => Write::InsertVersion(version),
                53 => Write::UpdateVersion(version),
                54 => Write::InsertService(service, 2),
                55 => Write::UpdateService(service),
                56 => Write::InsertJob(job, 2),
                57 => Write::UpdateJob(job),
                58 => Write::Append(NewEvent {
                    name: "log".to_owned(),
                    instance_id: Some(id("ins_", owner)),
                    ..event(owner, "{}")
                }),
                59 => Write::InsertMachine(machine, 2),
                60 => Write::UpdateMachine(machine),
                61 if flag => Write::DeleteMachine(id("ins_", a)),
                61 => Write::DeleteMachineSnapshot(id("snap_", a)),
                62 => Write::InsertMachineSnapshot(
                    MachineSnapshot { instance_id: id("ins_", number), ..machine_snapshot(b, a) },
                    2,
                ),
                63 if flag => Write::DeleteUpload(id("upl_", a)),
                63 => Write::UpdateUpload(upload),
                64 => Write::InsertUpload(upload, room),
                _ => Write::PurgeDeployment(id("dep_", a + b)),
            }
        })
    }

    /// The writes of a commit, mostly one, because a refused one takes the others with it.
    fn writes() -> impl Strategy<Value = Vec<Write>> {
        prop_oneof![4 => prop::collection::vec(write(), 1), 1 => prop::collection::vec(write(), 2..4)]
    }

    /// What can be read of programs with a number, as text.
    async fn everything_of_programs(store: &dyn Store, number: u32, text: &mut String) {
        macro_rules! note {
            ($($read:expr),* $(,)?) => { $(text.push_str(&format!("{:?}\n", $read.await.unwrap()));)* };
        }
        fn page<Id>() -> ListQuery<Id> {
            ListQuery { before: None, limit: 2 }
        }
        let (deployment, instance) = (id("dep_", number), id("ins_", number));
        for mode in [None, Some(Mode::Service)] {
            for state in [None, Some(ProgramState::Paused)] {
                note!(store.programs(&id("ten_", number), ProgramFilter { mode, state }, page()));
            }
        }
        for version in [None, Some(id("ver_", 1))] {
            for state in ServiceState::ALL.iter().copied().map(Some).chain([None]) {
                let filter = HostedFilter { state, version: version.clone() };
                note!(store.services(&deployment, filter, page()));
            }
            for state in JobState::ALL.iter().copied().map(Some).chain([None]) {
                let filter = HostedFilter { state, version: version.clone() };
                note!(store.jobs(&deployment, filter, page()));
            }
        }
        note!(
            store.program(&deployment),
            store.version(&id("ver_", number)),
            store.versions(&deployment, None, page()),
            store.versions(&deployment, Some(VersionState::Ready), page()),
            store.service(&instance),
            store.job(&id("run_", number)),
            store.job_in(&instance),
            store.last_sequence(&deployment),
            store.events(&deployment, 0, 9),
            store.instance_events(&instance, LogPlace::After(2), 2),
            store.instance_events(&instance, LogPlace::Offset(1), 2),
            store.instance_events(&instance, LogPlace::Tail(2), 9),
            store.instance_event_bytes(&instance),
        );
    }

    /// Everything that can be read, as text.
    async fn everything(store: &dyn Store) -> String {
        let mut text = String::new();
        macro_rules! note {
            ($($read:expr),* $(,)?) => { $(text.push_str(&format!("{:?}\n", $read.await.unwrap()));)* };
        }
        for number in 0..IDS + 1 {
            let (tenant, deployment) = (id("ten_", number), id("dep_", number));
            let (thread, run) = (id("thr_", number), id("run_", number));
            let states = DeploymentState::ALL.iter().copied();
            for state in states.map(Some).chain([None]) {
                for customer_id in [None, Some("cus_1".to_owned())] {
                    let filter = DeploymentFilter { customer_id, state };
                    let query = ListQuery { before: None, limit: 2 };
                    note!(store.deployments(&tenant, &filter, query));
                }
            }
            note!(
                store.tenant(&tenant),
                store.tenant_by_name(&format!("tenant {number}")),
                store.api_key_by_hash(&api_key(0, number).hash),
                store.api_keys(&tenant),
                store.secret(&tenant, &id("sec_", 1)),
                store.secrets(&tenant),
                store.deployment(&deployment),
                store.spec(&deployment, 1),
                store.skills(&deployment),
                store.instance(&id("ins_", number)),
                store.snapshot(&id("snap_", number)),
                store.snapshot_of(&deployment),
                store.snapshot_in(&id("ins_", number)),
                store.snapshots(&tenant, at(1), ListQuery { before: None, limit: 2 }),
                store.expired_snapshots(at(number), 2),
                store.machine(&id("ins_", number)),
                store.machines(&tenant),
                store.machines_to_mind(at(number), None, 2),
                store.machine_snapshot(&id("snap_", number)),
                store.machine_snapshot_in(&id("ins_", number)),
                store.machine_snapshots(&tenant),
                store.upload(&id("upl_", number)),
                store.open_uploads(&id("ins_", number)),
                store.uploads_to_mind(at(number), None, 2),
                store.thread(&thread),
                store.threads(&deployment, ListQuery { before: Some(id("thr_", 2)), limit: 9 }),
                store.messages(&thread, 1, 9),
                store.run(&run),
                store.runs(&deployment, ListQuery { before: None, limit: 9 }),
                store.unfinished_run(&thread),
                store.open_approval(&run),
                store.approvals(&deployment, false, ListQuery { before: None, limit: 9 }),
                store.approvals(&deployment, true, ListQuery { before: Some(id("apr_", 2)), limit: 9 }),
                store.approval(&id("apr_", number)),
                store.has_unfinished_run(&deployment),
                store.forgotten_threads_of(&deployment, 9),
                store.memory_set(&deployment),
                store.memories(&deployment),
                store.memory(&id("mem_", number)),
                store.dream(&id("drm_", number)),
                store.dreams(&deployment, ListQuery { before: Some(id("drm_", 2)), limit: 9 }),
                store.running_dream(&deployment),
                store.kept_reply(&tenant, &reply(0, 1).key),
                store.audit_entries(&tenant, None, ListQuery { before: None, limit: 9 }),
                store.audit_entries(&tenant, Some(&deployment), ListQuery { before: None, limit: 2 }),
                store.has_before(Expiring::Replies, at(number * 40_000)),
                store.has_before(Expiring::AuditEntries, at(number)),
                store.automation(&id("auto_", number)),
                store.automations(&deployment, ListQuery { before: Some(id("auto_", 2)), limit: 9 }),
                store.automation_runs(&id("auto_", number), ListQuery { before: None, limit: 2 }),
                store.last_automation_run(&id("auto_", number)),
                store.automation_run_at(&id("auto_", number), at(1)),
                store.has_before(Expiring::Deliveries, at(number)),
                store.last_sequence(&deployment),
                store.events(&deployment, 0, 99),
                store.run_events(&run, &deployment, 1, 9),
            );
            let webhook = id("whe_", number);
            note!(
                store.webhook(&webhook),
                store.webhook_queue(&webhook),
                store.webhooks(&tenant, ListQuery { before: None, limit: 9 }),
                store.deliveries(&webhook, DeliveryQuery { state: None, before: Some(9), limit: 9 }),
                store.due_deliveries(&webhook, at(2), 3),
                store.delivery(&webhook, 1),
                store.delivery_data(&webhook, 2),
                store.due_queues(Some((at(1), &webhook)), 9),
            );
            for state in DeliveryState::ALL {
                let query = DeliveryQuery { state: Some(*state), before: None, limit: 2 };
                note!(store.deliveries(&webhook, query));
            }
        }
        for number in 0..PROGRAMS + IDS {
            everything_of_programs(store, number, &mut text).await;
        }
        note!(
            store.deleted_programs(None, 2),
            store.building_versions(Some(&id("ver_", 0)), 9),
            store.services_to_mind(at(1), None, 2),
            store.jobs_to_mind(at(2), Some(&id("run_", 0)), 9),
        );
        note!(store.tenants(ListQuery { before: None, limit: 9 }), store.running_runs(None, 9));
        note!(store.deleted_webhooks(9), store.due_queues(None, 2));
        note!(store.pending_approvals(None, 2), store.pending_approvals(Some(&id("apr_", 1)), 9));
        note!(store.forgotten_threads(Some(&id("thr_", 0)), 9), store.memory_sets_out_of_step(None, 2));
        note!(store.running_dreams(None, 9), store.quiet_deployments(at(1), None, 9));
        note!(
            store.due_automations(at(2), None, 9),
            store.due_automations(at(9), Some((at(1), &id("auto_", 1))), 2)
        );
        for state in DeploymentState::ALL {
            note!(store.deployments_in_state(*state, Some(&id("dep_", 0)), 9));
        }
        text
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn random_histories_are_equal(
            begun in prop::bool::weighted(0.8),
            commits in prop::collection::vec(writes(), 1..120),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                let directory = tempfile::tempdir().unwrap();
                let memory = MemoryStore::new();
                let sqlite = SqliteStore::open(directory.path().join("prism.db")).unwrap();
                sqlite.with_writer(|writer| writer.execute_batch("PRAGMA synchronous = OFF").unwrap()).await;
                let (told, told_too) = (Recorder::of(&memory), Recorder::of(&sqlite));
                // Most histories start with something to work on.
                let programs = (IDS..IDS + 2).flat_map(|number| {
                    [Write::InsertProgram(program(1, number)), Write::InsertVersion(version(number, number))]
                });
                let all = (0..IDS).flat_map(whole_deployment).chain(programs);
                let start = if begun { all.collect() } else { Vec::new() };
                for (number, writes) in [start].into_iter().chain(commits).enumerate() {
                    let result = format!("{:?}", commit(&memory, writes.clone()).await);
                    let result_too = format!("{:?}", commit(&sqlite, writes.clone()).await);
                    prop_assert_eq!(result, result_too, "{:?}", writes);
                    if number % 10 == 0 {
                        prop_assert_eq!(everything(&memory).await, everything(&sqlite).await);
                    }
                }
                prop_assert_eq!(everything(&memory).await, everything(&sqlite).await);
                prop_assert_eq!(told.told(), told_too.told());
                prop_assert_eq!(told.queued(), told_too.queued());
                // The shared data of deliveries goes with the last of them.
                sqlite
                    .with_writer(|writer| {
                        let wrong = "SELECT 1 FROM webhook_data WHERE deliveries <>
                            (SELECT count(*) FROM webhook_deliveries WHERE data_id = webhook_data.id)";
                        assert!(!writer.prepare(wrong).unwrap().exists([]).unwrap());
                    })
                    .await;
                Ok(())
            })?;
        }
    }
}
