//! Properties of programs: their deployments and versions, and the services and jobs that run these.

use std::sync::Arc;

use prism_types::{DeploymentId, InstanceId, RunId, TenantId, Timestamp, VersionId};
use tokio::task::JoinSet;

use super::{
    commit, is_conflict, is_full, is_missing,
    records::{
        at, build, deployment, event, id, instance, job, program, service, spec, version, whole_deployment,
    },
};
use crate::{
    domain::{
        event::NewEvent,
        program::{
            Mode, ProgramDeployment, ProgramState,
            hosted::{Hosted, Stage},
            job::{Job, JobState, Output, OutputFound},
            service::{Readiness, Service, ServiceState},
            version::{Build, BuildState, CachePolicy, Version, VersionState},
        },
    },
    ports::{HostedFilter, ListQuery, LogPlace, ProgramFilter, Store, StoreError, Write},
};

/// A page of as many as there are.
fn all<Id>() -> ListQuery<Id> {
    ListQuery { before: None, limit: 99 }
}

/// Every job or service of a deployment.
fn any<State>() -> HostedFilter<State> {
    HostedFilter { state: None, version: None }
}

/// An update needs the revision that is stored and raises it. A name is there once among those of a tenant that are not
/// deleted.
pub async fn programs_are_guarded_and_named_once(store: Arc<dyn Store>) {
    let store = store.as_ref();
    let insert = |program| commit(store, [Write::InsertProgram(program)]);
    let update = |program| commit(store, [Write::UpdateProgram(program)]);
    insert(program(1, 1)).await.unwrap();
    assert_eq!(store.program(&id("dep_", 1)).await.unwrap(), Some(program(1, 1)));
    assert_eq!(store.program(&id("dep_", 9)).await.unwrap(), None);
    is_conflict(insert(ProgramDeployment { name: "Other".to_owned(), ..program(1, 1) }).await, "deployment");

    let changed = ProgramDeployment {
        name: "Changed".to_owned(),
        mode: Mode::Service,
        description: None,
        metadata: "{}".to_owned(),
        state: ProgramState::Paused,
        active_version: None,
        last_version: u32::MAX,
        updated_at: at(98),
        ..program(1, 1)
    };
    let careless = ProgramDeployment { tenant_id: id("ten_", 9), created_at: at(99), ..changed.clone() };
    update(careless.clone()).await.unwrap();
    let kept = ProgramDeployment { revision: 1, ..changed };
    assert_eq!(store.program(&kept.id).await.unwrap(), Some(kept.clone()));
    is_conflict(update(careless).await, "deployment");
    is_conflict(update(ProgramDeployment { revision: 2, ..kept.clone() }).await, "deployment");
    is_missing(update(program(1, 9)).await, "deployment");

    let named = |tenant, number| ProgramDeployment { name: "Changed".to_owned(), ..program(tenant, number) };
    is_conflict(insert(named(1, 2)).await, "deployment");
    insert(named(2, 2)).await.unwrap();
    insert(program(1, 3)).await.unwrap();
    is_conflict(update(named(1, 3)).await, "deployment");
    // Its own name does not stand in its way, and its former one is free.
    update(ProgramDeployment { description: Some("Same name".to_owned()), ..kept.clone() }).await.unwrap();
    insert(ProgramDeployment { name: program(1, 1).name, ..program(1, 4) }).await.unwrap();
    // A deleted one gives its name back, and cannot take it again while another one has it.
    let deleted = ProgramDeployment {
        state: ProgramState::Deleted,
        deleted_at: Some(at(100)),
        revision: 2,
        ..kept.clone()
    };
    update(deleted.clone()).await.unwrap();
    insert(named(1, 5)).await.unwrap();
    is_conflict(update(ProgramDeployment { revision: 3, ..kept }).await, "deployment");
    let deleted = ProgramDeployment { revision: 3, ..deleted };
    assert_eq!(store.program(&deleted.id).await.unwrap(), Some(deleted.clone()));
    // What is deleted may change whatever its name is.
    update(deleted).await.unwrap();
    insert(ProgramDeployment { state: ProgramState::Deleted, ..named(1, 6) }).await.unwrap();
}

/// Lists are of one tenant, newest first, filtered, and never show a deleted deployment.
pub async fn programs_are_listed_by_mode_and_state(store: Arc<dyn Store>) {
    let store = store.as_ref();
    let programs: Vec<_> = (0..24)
        .map(|number| ProgramDeployment {
            mode: Mode::ALL[number as usize % 2],
            state: ProgramState::ALL[number as usize / 2 % 3],
            ..program(number / 12, number)
        })
        .collect();
    commit(store, programs.iter().cloned().map(Write::InsertProgram)).await.unwrap();
    // Agents are not among them.
    commit(store, [Write::InsertDeployment(deployment(0, 50))]).await.unwrap();
    for mode in Mode::ALL.iter().copied().map(Some).chain([None]) {
        for state in ProgramState::ALL.iter().copied().map(Some).chain([None]) {
            for (before, limit) in [(None, 99), (None, 2), (Some(9), 2), (Some(9), 0), (Some(0), 99)] {
                let expected = programs.iter().rev().filter(|program| {
                    program.tenant_id == id::<TenantId>("ten_", 0)
                        && program.state != ProgramState::Deleted
                        && mode.is_none_or(|mode| mode == program.mode)
                        && state.is_none_or(|state| state == program.state)
                        && before.is_none_or(|before| program.id < id("dep_", before))
                });
                let expected: Vec<_> = expected.take(limit as usize).cloned().collect();
                let query = ListQuery { before: before.map(|number| id("dep_", number)), limit };
                let filter = ProgramFilter { mode, state };
                let listed = store.programs(&id("ten_", 0), filter, query).await.unwrap();
                assert_eq!(listed, expected, "{filter:?} before {before:?} limit {limit}");
            }
        }
    }
}

/// The engine's list is of the deleted ones of all tenants, oldest first.
pub async fn the_engine_finds_deleted_programs(store: Arc<dyn Store>) {
    let store = store.as_ref();
    let deleted = |number| ProgramDeployment { state: ProgramState::Deleted, ..program(number % 3, number) };
    let programs = [deleted(1), program(1, 2), deleted(3), deleted(4)];
    commit(store, programs.map(Write::InsertProgram)).await.unwrap();
    let one: DeploymentId = id("dep_", 1);
    assert_eq!(store.deleted_programs(None, 2).await.unwrap(), [deleted(1), deleted(3)]);
    assert_eq!(store.deleted_programs(Some(&one), 9).await.unwrap(), [deleted(3), deleted(4)]);
    assert_eq!(store.deleted_programs(Some(&id("dep_", 4)), 9).await.unwrap(), []);
}

/// An id is of an agent or of a program; both have logs and instances. What belongs to the other kind is not found.
pub async fn a_program_shares_ids_logs_and_instances_with_agents(store: Arc<dyn Store>) {
    let store = store.as_ref();
    let append = |number| commit(store, [Write::Append(event(number, "{}"))]);
    is_missing(append(1).await, "deployment");
    is_missing(commit(store, [Write::InsertInstance(instance(1, 1))]).await, "deployment");
    commit(store, [Write::InsertProgram(program(1, 1))]).await.unwrap();
    commit(store, whole_deployment(2)).await.unwrap();
    commit(store, [Write::InsertInstance(instance(1, 1))]).await.unwrap();
    append(1).await.unwrap();
    append(1).await.unwrap();
    assert_eq!(store.last_sequence(&id("dep_", 1)).await.unwrap(), 2);
    assert_eq!(store.instance(&id("ins_", 1)).await.unwrap(), Some(instance(1, 1)));

    is_conflict(commit(store, [Write::InsertDeployment(deployment(1, 1))]).await, "deployment");
    is_conflict(commit(store, [Write::InsertProgram(program(1, 2))]).await, "deployment");
    assert_eq!(store.deployment(&id("dep_", 1)).await.unwrap(), None);
    assert_eq!(store.program(&id("dep_", 2)).await.unwrap(), None);
    assert_eq!(store.last_sequence(&id("dep_", 1)).await.unwrap(), 2, "its log is as it was");
    is_missing(commit(store, [Write::UpdateDeployment(deployment(1, 1))]).await, "deployment");
    is_missing(commit(store, [Write::UpdateProgram(program(1, 2))]).await, "deployment");
    for write in [
        Write::InsertVersion(version(2, 1)),
        Write::InsertService(service(2, 3), 9),
        Write::InsertJob(job(2, 3), 9),
    ] {
        is_missing(commit(store, [write]).await, "deployment");
    }
}

/// An update needs the revision that is stored and raises it; a number is there once in a deployment.
pub async fn versions_are_guarded_and_numbered_once(store: Arc<dyn Store>) {
    let store = store.as_ref();
    let insert = |version| commit(store, [Write::InsertVersion(version)]);
    let update = |version| commit(store, [Write::UpdateVersion(version)]);
    is_missing(insert(version(1, 1)).await, "deployment");
    commit(store, [program(1, 1), program(1, 2)].map(Write::InsertProgram)).await.unwrap();
    insert(version(1, 1)).await.unwrap();
    assert_eq!(store.version(&id("ver_", 1)).await.unwrap(), Some(version(1, 1)));
    assert_eq!(store.version(&id("ver_", 9)).await.unwrap(), None);
    is_conflict(insert(Version { number: 7, ..version(1, 1) }).await, "version");
    is_conflict(insert(Version { number: 1, ..version(1, 2) }).await, "version");
    insert(Version { number: 1, ..version(2, 2) }).await.unwrap();

    let changed = Version {
        cache: CachePolicy::Rebuild,
        state: VersionState::Ready,
        instance_id: id("ins_", 7),
        build: Some(Build {
            failure: Some("no".to_owned()),
            started_at: Some(at(5)),
            ended_at: Some(at(6)),
            ..build(8, BuildState::Failed)
        }),
        failure: Some("why".to_owned()),
        ready_at: Some(at(4)),
        ..version(1, 1)
    };
    let careless = Version { deployment_id: id("dep_", 2), number: 9, created_at: at(99), ..changed.clone() };
    update(careless.clone()).await.unwrap();
    let kept = Version { revision: 1, ..changed };
    assert_eq!(store.version(&kept.id).await.unwrap(), Some(kept.clone()));
    is_conflict(update(careless).await, "version");
    is_conflict(update(Version { revision: 2, ..kept }).await, "version");
    is_missing(update(version(1, 9)).await, "version");
    insert(Version { number: 9, ..version(1, 3) }).await.unwrap();
}

/// Lists are of one deployment, newest first, and of one state when that is asked for.
pub async fn versions_are_listed_by_state(store: Arc<dyn Store>) {
    let store = store.as_ref();
    commit(store, [program(1, 0), program(1, 1)].map(Write::InsertProgram)).await.unwrap();
    let versions: Vec<_> = (0..16)
        .map(|number| Version {
            state: VersionState::ALL[number as usize / 2 % 4],
            ..version(number % 2, number)
        })
        .collect();
    commit(store, versions.iter().cloned().map(Write::InsertVersion)).await.unwrap();
    for state in VersionState::ALL.iter().copied().map(Some).chain([None]) {
        for (before, limit) in [(None, 99), (None, 2), (Some(8), 2), (Some(8), 0), (Some(0), 99)] {
            let expected = versions.iter().rev().filter(|version| {
                version.deployment_id == id::<DeploymentId>("dep_", 0)
                    && state.is_none_or(|state| state == version.state)
                    && before.is_none_or(|before| version.id < id("ver_", before))
            });
            let expected: Vec<_> = expected.take(limit as usize).cloned().collect();
            let query = ListQuery { before: before.map(|number| id("ver_", number)), limit };
            let listed = store.versions(&id("dep_", 0), state, query).await.unwrap();
            assert_eq!(listed, expected, "{state:?} before {before:?} limit {limit}");
        }
    }
}

/// The engine finds the versions of all tenants whose builds are not over, oldest first.
pub async fn versions_are_found_while_they_are_built(store: Arc<dyn Store>) {
    let store = store.as_ref();
    commit(store, [program(1, 1), program(2, 2)].map(Write::InsertProgram)).await.unwrap();
    let built =
        |number: u32, state| Version { build: Some(build(number, state)), ..version(number % 2 + 1, number) };
    let versions = [
        version(1, 1),
        built(2, BuildState::Queued),
        built(3, BuildState::Building),
        built(4, BuildState::Ready),
        built(5, BuildState::Failed),
        built(6, BuildState::Queued),
    ];
    commit(store, versions.map(Write::InsertVersion)).await.unwrap();
    let numbers = async |after: Option<VersionId>, limit| {
        let found = store.building_versions(after.as_ref(), limit).await.unwrap();
        found.into_iter().map(|version| version.number).collect::<Vec<_>>()
    };
    assert_eq!(numbers(None, 9).await, [2, 3, 6]);
    assert_eq!(numbers(None, 1).await, [2]);
    assert_eq!(numbers(Some(id("ver_", 2)), 9).await, [3, 6]);
    assert_eq!(numbers(Some(id("ver_", 6)), 9).await, [0; 0]);
    let changes = [built(2, BuildState::Building), built(3, BuildState::Ready), built(4, BuildState::Queued)];
    commit(store, changes.map(Write::UpdateVersion)).await.unwrap();
    assert_eq!(numbers(None, 9).await, [2, 4, 6]);
}

/// An update needs the revision that is stored and raises it. A deployment has no more services that have not ended than
/// it may.
pub async fn services_are_guarded_and_limited(store: Arc<dyn Store>) {
    let store = store.as_ref();
    let insert = |service, most| commit(store, [Write::InsertService(service, most)]);
    let update = |service| commit(store, [Write::UpdateService(service)]);
    is_missing(insert(service(1, 1), 9).await, "deployment");
    commit(store, [program(1, 1), program(1, 2)].map(Write::InsertProgram)).await.unwrap();
    is_full(insert(service(1, 1), 0).await, "services");
    insert(service(1, 1), 1).await.unwrap();
    assert_eq!(store.service(&id("ins_", 1)).await.unwrap(), Some(service(1, 1)));
    assert_eq!(store.service(&id("ins_", 9)).await.unwrap(), None);
    is_conflict(insert(service(1, 1), 9).await, "service");

    let changed = Service {
        hosted: Hosted {
            version_id: id("ver_", 7),
            stage: Stage::Installed,
            starts: 3,
            has_environment: true,
            failure: Some("why".to_owned()),
            kept_until: Some(at(70)),
            ..service(1, 1).hosted
        },
        state: ServiceState::Unhealthy,
        port: u16::MAX,
        readiness: Some(Readiness { is_ready: false, message: "502".to_owned(), since: at(60) }),
        keeps_sandbox: true,
        started_at: Some(at(50)),
        stopped_at: Some(at(61)),
        updated_at: at(62),
        ..service(1, 1)
    };
    let mut careless = Service { created_at: at(99), ..changed.clone() };
    careless.hosted.deployment_id = id("dep_", 2);
    update(careless.clone()).await.unwrap();
    let kept = Service { revision: 1, ..changed };
    assert_eq!(store.service(kept.id()).await.unwrap(), Some(kept.clone()));
    is_conflict(update(careless).await, "service");
    is_conflict(update(Service { revision: 2, ..kept.clone() }).await, "service");
    is_missing(update(service(1, 9)).await, "service");

    // Those of another deployment and those that have ended take no room.
    insert(service(2, 2), 1).await.unwrap();
    insert(service(1, 3), 2).await.unwrap();
    is_full(insert(service(1, 4), 2).await, "services");
    for state in ServiceState::ALL.iter().copied().filter(|state| !state.is_terminal()) {
        let revision = store.service(kept.id()).await.unwrap().unwrap().revision;
        update(Service { state, revision, ..kept.clone() }).await.unwrap();
        is_full(insert(service(1, 4), 2).await, "services");
    }
    for (number, state) in [(4, ServiceState::Stopped), (5, ServiceState::Failed)] {
        let revision = store.service(kept.id()).await.unwrap().unwrap().revision;
        update(Service { state, revision, ..kept.clone() }).await.unwrap();
        insert(Service { state, ..service(1, number) }, 2).await.unwrap();
    }
    insert(service(1, 6), 2).await.unwrap();
    is_full(insert(service(1, 7), 2).await, "services");
}

/// Lists are of one deployment, newest first, and of one state, one version or both when that is asked for.
pub async fn services_are_listed_by_state_and_version(store: Arc<dyn Store>) {
    let store = store.as_ref();
    commit(store, [program(1, 0), program(1, 1)].map(Write::InsertProgram)).await.unwrap();
    let versions = [0, 1, 2].map(|number| id::<VersionId>("ver_", number));
    let services: Vec<_> = (0..48)
        .map(|number: u32| {
            let hosted = Hosted {
                version_id: versions[number as usize / 2 % 2].clone(),
                ..service(number % 2, number).hosted
            };
            let state = ServiceState::ALL[number as usize / 4 % 6];
            Service { hosted, state, ..service(number % 2, number) }
        })
        .collect();
    commit(store, services.iter().cloned().map(|service| Write::InsertService(service, 99))).await.unwrap();
    for version in versions.iter().map(Some).chain([None]) {
        for state in ServiceState::ALL.iter().copied().map(Some).chain([None]) {
            for (before, limit) in [(None, 99), (None, 2), (Some(24), 2), (Some(24), 0), (Some(0), 99)] {
                let expected = services.iter().rev().filter(|service| {
                    service.hosted.deployment_id == id::<DeploymentId>("dep_", 0)
                        && version.is_none_or(|version| *version == service.hosted.version_id)
                        && state.is_none_or(|state| state == service.state)
                        && before.is_none_or(|before| *service.id() < id("ins_", before))
                });
                let expected: Vec<_> = expected.take(limit as usize).cloned().collect();
                let query = ListQuery { before: before.map(|number| id("ins_", number)), limit };
                let filter = HostedFilter { state, version: version.cloned() };
                let listed = store.services(&id("dep_", 0), filter.clone(), query).await.unwrap();
                assert_eq!(listed, expected, "{filter:?} before {before:?} limit {limit}");
            }
        }
    }
    // A change of state moves it from one list to another.
    let stopped = Service { state: ServiceState::Stopped, ..services[0].clone() };
    commit(store, [Write::UpdateService(stopped)]).await.unwrap();
    let listed = async |state| {
        let filter = HostedFilter { state: Some(state), version: Some(versions[0].clone()) };
        let services = store.services(&id("dep_", 0), filter, all()).await.unwrap();
        services.into_iter().map(|service| service.hosted.instance_id).collect::<Vec<_>>()
    };
    let first = services[0].id();
    assert!(!listed(services[0].state).await.contains(first));
    assert!(listed(ServiceState::Stopped).await.contains(first));
}

/// The engine finds the services of all tenants that have not ended, and those that have a sandbox which is kept no longer.
pub async fn services_to_mind_are_found(store: Arc<dyn Store>) {
    let store = store.as_ref();
    commit(store, [program(1, 1), program(2, 2)].map(Write::InsertProgram)).await.unwrap();
    let mut services = Vec::new();
    for (place, hosted) in hosted_cases().into_iter().enumerate() {
        for state in ServiceState::ALL {
            let number = u32::try_from(services.len()).unwrap();
            let new = service(number % 2 + 1, number);
            let Hosted { instance_id, deployment_id, version_id, .. } = new.hosted.clone();
            let hosted = Hosted { instance_id, deployment_id, version_id, ..hosted.clone() };
            services.push(Service { state: *state, hosted, port: place as u16, ..new });
        }
    }
    // By insert and by update.
    let (inserted, updated) = services.split_at(services.len() / 2);
    let inserted = inserted.iter().cloned().map(|service| Write::InsertService(service, 99));
    let before = updated.iter().map(|updated| Service {
        hosted: Hosted { kept_until: Some(at(1)), stage: Stage::Filled, ..updated.hosted.clone() },
        state: ServiceState::Failed,
        ..updated.clone()
    });
    commit(store, inserted.chain(before.map(|service| Write::InsertService(service, 99)))).await.unwrap();
    commit(store, updated.iter().cloned().map(Write::UpdateService)).await.unwrap();

    for now in instants() {
        let expected = services
            .iter()
            .filter(|service| !service.state.is_terminal() || service.hosted.is_to_be_removed(now));
        let expected: Vec<_> = expected.map(|service| service.id().clone()).collect();
        let mut found: Vec<InstanceId> = Vec::new();
        loop {
            let page = store.services_to_mind(now, found.last(), 5).await.unwrap();
            assert!(page.len() <= 5);
            if page.is_empty() {
                break;
            }
            found.extend(page.into_iter().map(|service| service.hosted.instance_id));
        }
        assert_eq!(found, expected, "{now}");
    }
    let first = store.services_to_mind(at(0), None, 1).await.unwrap();
    assert_eq!(first, services[..1], "whole records");
}

/// An update needs the revision that is stored and raises it. A deployment has no more jobs that have not ended than it may,
/// and each has a sandbox of its own.
pub async fn jobs_are_guarded_and_limited(store: Arc<dyn Store>) {
    let store = store.as_ref();
    let insert = |job, most| commit(store, [Write::InsertJob(job, most)]);
    let update = |job| commit(store, [Write::UpdateJob(job)]);
    is_missing(insert(job(1, 1), 9).await, "deployment");
    commit(store, [program(1, 1), program(1, 2)].map(Write::InsertProgram)).await.unwrap();
    is_full(insert(job(1, 1), 0).await, "runs");
    insert(job(1, 1), 1).await.unwrap();
    assert_eq!(store.job(&id("run_", 1)).await.unwrap(), Some(job(1, 1)));
    assert_eq!(store.job(&id("run_", 9)).await.unwrap(), None);
    is_conflict(insert(Job { hosted: job(1, 9).hosted, ..job(1, 1) }, 9).await, "run");
    is_conflict(insert(Job { hosted: job(1, 1).hosted, ..job(1, 9) }, 9).await, "run");
    assert_eq!(store.job_in(&id("ins_", 1)).await.unwrap(), Some(job(1, 1)));
    assert_eq!(store.job_in(&id("ins_", 9)).await.unwrap(), None);

    let found = Some(OutputFound { is_directory: false, size: u64::MAX });
    let output = |found| Output {
        configured_path: "out/*.mp4 \u{1f980}".to_owned(),
        path: "out/a.mp4".to_owned(),
        found,
    };
    let changed = Job {
        hosted: Hosted {
            version_id: id("ver_", 7),
            stage: Stage::Installed,
            starts: 2,
            has_environment: true,
            failure: Some("why".to_owned()),
            kept_until: Some(at(70)),
            ..job(1, 1).hosted
        },
        state: JobState::Running,
        input: "{}".to_owned(),
        retain_on_failure: Some(true),
        retention_seconds: None,
        exit_code: Some(i32::MIN),
        outputs: vec![output(found), output(None)],
        started_at: Some(at(50)),
        ended_at: Some(at(61)),
        updated_at: at(62),
        ..job(1, 1)
    };
    let mut careless = Job { created_at: at(99), ..changed.clone() };
    (careless.hosted.deployment_id, careless.hosted.instance_id) = (id("dep_", 2), id("ins_", 9));
    update(careless.clone()).await.unwrap();
    let kept = Job { revision: 1, ..changed };
    assert_eq!(store.job(&kept.id).await.unwrap(), Some(kept.clone()));
    assert_eq!(store.job_in(&id("ins_", 1)).await.unwrap(), Some(kept.clone()));
    assert_eq!(store.job_in(&id("ins_", 9)).await.unwrap(), None);
    is_conflict(update(careless).await, "run");
    is_conflict(update(Job { revision: 2, ..kept.clone() }).await, "run");
    is_missing(update(job(1, 9)).await, "run");

    // Those of another deployment and those that have ended take no room.
    insert(job(2, 2), 1).await.unwrap();
    insert(job(1, 3), 2).await.unwrap();
    is_full(insert(job(1, 4), 2).await, "runs");
    let mut number = 4;
    for state in JobState::ALL {
        let revision = store.job(&kept.id).await.unwrap().unwrap().revision;
        update(Job { state: *state, revision, ..kept.clone() }).await.unwrap();
        if state.is_terminal() {
            insert(Job { state: *state, ..job(1, number) }, 2).await.unwrap();
            number += 1;
        } else {
            is_full(insert(job(1, number), 2).await, "runs");
        }
    }
    insert(job(1, number), 2).await.unwrap();
    is_full(insert(job(1, number + 1), 2).await, "runs");
}

/// Lists are of one deployment, newest first, and of one state, one version or both when that is asked for.
pub async fn jobs_are_listed_by_state_and_version(store: Arc<dyn Store>) {
    let store = store.as_ref();
    commit(store, [program(1, 0), program(1, 1)].map(Write::InsertProgram)).await.unwrap();
    let versions = [0, 1, 2].map(|number| id::<VersionId>("ver_", number));
    let jobs: Vec<_> = (0..64)
        .map(|number: u32| {
            let hosted = Hosted {
                version_id: versions[number as usize / 2 % 2].clone(),
                ..job(number % 2, number).hosted
            };
            Job { hosted, state: JobState::ALL[number as usize / 4 % 8], ..job(number % 2, number) }
        })
        .collect();
    commit(store, jobs.iter().cloned().map(|job| Write::InsertJob(job, 99))).await.unwrap();
    for version in versions.iter().map(Some).chain([None]) {
        for state in JobState::ALL.iter().copied().map(Some).chain([None]) {
            for (before, limit) in [(None, 99), (None, 2), (Some(32), 2), (Some(32), 0), (Some(0), 99)] {
                let expected = jobs.iter().rev().filter(|job| {
                    job.hosted.deployment_id == id::<DeploymentId>("dep_", 0)
                        && version.is_none_or(|version| *version == job.hosted.version_id)
                        && state.is_none_or(|state| state == job.state)
                        && before.is_none_or(|before| job.id < id("run_", before))
                });
                let expected: Vec<_> = expected.take(limit as usize).cloned().collect();
                let query = ListQuery { before: before.map(|number| id("run_", number)), limit };
                let filter = HostedFilter { state, version: version.cloned() };
                let listed = store.jobs(&id("dep_", 0), filter.clone(), query).await.unwrap();
                assert_eq!(listed, expected, "{filter:?} before {before:?} limit {limit}");
            }
        }
    }
    // A change of state moves it from one list to another.
    let failed = Job { state: JobState::Failed, ..jobs[0].clone() };
    commit(store, [Write::UpdateJob(failed)]).await.unwrap();
    let listed = async |state| {
        let filter = HostedFilter { state: Some(state), version: Some(versions[0].clone()) };
        let jobs = store.jobs(&id("dep_", 0), filter, all()).await.unwrap();
        jobs.into_iter().map(|job| job.id).collect::<Vec<_>>()
    };
    assert!(!listed(jobs[0].state).await.contains(&jobs[0].id));
    assert!(listed(JobState::Failed).await.contains(&jobs[0].id));
}

/// The engine finds the jobs of all tenants that have not ended, and those that have a sandbox which is kept no longer.
pub async fn jobs_to_mind_are_found(store: Arc<dyn Store>) {
    let store = store.as_ref();
    commit(store, [program(1, 1), program(2, 2)].map(Write::InsertProgram)).await.unwrap();
    let mut jobs = Vec::new();
    for hosted in hosted_cases() {
        for state in JobState::ALL {
            let number = u32::try_from(jobs.len()).unwrap();
            let new = job(number % 2 + 1, number);
            let Hosted { instance_id, deployment_id, version_id, .. } = new.hosted.clone();
            let hosted = Hosted { instance_id, deployment_id, version_id, ..hosted.clone() };
            jobs.push(Job { state: *state, hosted, ..new });
        }
    }
    // By insert and by update.
    let (inserted, updated) = jobs.split_at(jobs.len() / 2);
    let inserted = inserted.iter().cloned().map(|job| Write::InsertJob(job, 99));
    let before = updated.iter().map(|updated| Job {
        hosted: Hosted { kept_until: Some(at(1)), stage: Stage::Filled, ..updated.hosted.clone() },
        state: JobState::Failed,
        ..updated.clone()
    });
    commit(store, inserted.chain(before.map(|job| Write::InsertJob(job, 99)))).await.unwrap();
    commit(store, updated.iter().cloned().map(Write::UpdateJob)).await.unwrap();

    for now in instants() {
        let expected = jobs.iter().filter(|job| !job.state.is_terminal() || job.hosted.is_to_be_removed(now));
        let expected: Vec<_> = expected.map(|job| job.id.clone()).collect();
        let mut found: Vec<RunId> = Vec::new();
        loop {
            let page = store.jobs_to_mind(now, found.last(), 5).await.unwrap();
            assert!(page.len() <= 5);
            if page.is_empty() {
                break;
            }
            found.extend(page.into_iter().map(|job| job.id));
        }
        assert_eq!(found, expected, "{now}");
    }
    let first = store.jobs_to_mind(at(0), None, 1).await.unwrap();
    assert_eq!(first, jobs[..1], "whole records");
}

/// What there is in a sandbox, and until when it is kept: at an instant, a millisecond before and after it, and at none.
fn hosted_cases() -> Vec<Hosted> {
    let instants = [at(10).as_millis() - 1, at(10).as_millis(), at(10).as_millis() + 1, i64::MAX];
    let kept = instants.map(|millis| Some(Timestamp::from_millis(millis)));
    let kept: Vec<_> = kept.into_iter().chain([None]).collect();
    let of_stage = |stage: &Stage| {
        let hosted = Hosted { stage: *stage, ..job(1, 1).hosted };
        kept.iter()
            .map(move |kept_until| Hosted { kept_until: *kept_until, ..hosted.clone() })
            .collect::<Vec<_>>()
    };
    Stage::ALL.iter().flat_map(of_stage).collect()
}

fn instants() -> impl Iterator<Item = Timestamp> {
    let ten = at(10).as_millis();
    [i64::MIN, 0, ten - 2, ten - 1, ten, ten + 1, i64::MAX].into_iter().map(Timestamp::from_millis)
}

/// Of many that create jobs at once, as many succeed as there may be.
pub async fn of_many_jobs_as_many_are_made_as_there_may_be(store: Arc<dyn Store>) {
    commit(store.as_ref(), [Write::InsertProgram(program(1, 1))]).await.unwrap();
    let mut callers = JoinSet::new();
    for number in 0..32 {
        let store = Arc::clone(&store);
        callers.spawn(async move {
            match commit(store.as_ref(), [Write::InsertJob(job(1, number), 10)]).await {
                Ok(()) => 1,
                Err(StoreError::Full("runs")) => 0,
                Err(error) => panic!("{error}"),
            }
        });
    }
    assert_eq!(callers.join_all().await.into_iter().sum::<u32>(), 10);
    assert_eq!(store.jobs(&id("dep_", 1), any(), all()).await.unwrap().len(), 10);
}

/// Of many that create a deployment of one name at once, one succeeds.
pub async fn one_of_many_programs_gets_a_name(store: Arc<dyn Store>) {
    let mut callers = JoinSet::new();
    for number in 0..32 {
        let store = Arc::clone(&store);
        callers.spawn(async move {
            let named = ProgramDeployment { name: "name".to_owned(), ..program(1, number) };
            match commit(store.as_ref(), [Write::InsertProgram(named)]).await {
                Ok(()) => 1,
                Err(StoreError::Conflict("deployment")) => 0,
                Err(error) => panic!("{error}"),
            }
        });
    }
    assert_eq!(callers.join_all().await.into_iter().sum::<u32>(), 1);
}

/// A purge removes everything of one deployment of a program and nothing of another, nothing can be added afterwards, and
/// its id and name are free.
pub async fn a_purged_program_leaves_nothing(store: Arc<dyn Store>) {
    let store = store.as_ref();
    let everything = |number: u32| {
        let built = Version { build: Some(build(number, BuildState::Queued)), ..version(number, number) };
        let deleted = ProgramDeployment { state: ProgramState::Deleted, ..program(1, number) };
        let line = NewEvent { instance_id: Some(id("ins_", number)), ..event(number, "{}") };
        [
            Write::InsertProgram(deleted),
            Write::InsertVersion(built),
            Write::InsertService(service(number, number), 9),
            Write::InsertJob(job(number, number), 9),
            Write::InsertInstance(instance(number, number)),
            Write::Append(line),
        ]
    };
    commit(store, everything(1).into_iter().chain(everything(2))).await.unwrap();
    for _ in 0..2 {
        commit(store, [Write::PurgeDeployment(id("dep_", 1))]).await.unwrap();
    }
    for (number, there) in [(1, false), (2, true)] {
        let (deployment, instance): (DeploymentId, InstanceId) = (id("dep_", number), id("ins_", number));
        assert_eq!(store.program(&deployment).await.unwrap().is_some(), there);
        assert_eq!(store.version(&id("ver_", number)).await.unwrap().is_some(), there);
        assert_eq!(store.versions(&deployment, None, all()).await.unwrap().len(), usize::from(there));
        assert_eq!(store.service(&instance).await.unwrap().is_some(), there);
        let services = store.services(&deployment, any(), all()).await.unwrap();
        assert_eq!(services.len(), usize::from(there));
        assert_eq!(store.job(&id("run_", number)).await.unwrap().is_some(), there);
        assert_eq!(store.job_in(&instance).await.unwrap().is_some(), there);
        let jobs = store.jobs(&deployment, any(), all()).await.unwrap();
        assert_eq!(jobs.len(), usize::from(there));
        assert_eq!(store.instance(&instance).await.unwrap().is_some(), there);
        assert_eq!(store.last_sequence(&deployment).await.unwrap(), u64::from(there));
        let events = store.instance_events(&instance, LogPlace::After(0), 9).await.unwrap();
        assert_eq!(events.len(), usize::from(there));
    }
    assert_eq!(store.deleted_programs(None, 9).await.unwrap().len(), 1);
    assert_eq!(store.building_versions(None, 9).await.unwrap().len(), 1);
    assert_eq!(store.services_to_mind(at(99), None, 9).await.unwrap(), [service(2, 2)]);
    assert_eq!(store.jobs_to_mind(at(99), None, 9).await.unwrap(), [job(2, 2)]);

    for (write, noun) in [
        (Write::Append(event(1, "{}")), "deployment"),
        (Write::InsertInstance(instance(1, 7)), "deployment"),
        (Write::InsertSpec(id("dep_", 1), 1, spec()), "deployment"),
        (Write::InsertVersion(version(1, 7)), "deployment"),
        (Write::InsertService(service(1, 7), 9), "deployment"),
        (Write::InsertJob(job(1, 7), 9), "deployment"),
        (Write::UpdateProgram(program(1, 1)), "deployment"),
        (Write::UpdateVersion(version(1, 1)), "version"),
        (Write::UpdateService(service(1, 1)), "service"),
        (Write::UpdateJob(job(1, 1)), "run"),
    ] {
        is_missing(commit(store, [write]).await, noun);
    }
    commit(store, everything(1)).await.unwrap();
    assert_eq!(store.last_sequence(&id("dep_", 1)).await.unwrap(), 1);
}
