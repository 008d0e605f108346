//! Programs: their deployments and versions, and the services and jobs that run these.
//!
//! A record is written whole, as JSON, beside the columns that are made of it. So an update reads what is stored first, and
//! takes from there what never changes.

use prism_types::{DeploymentId, Timestamp, VersionId};
use rusqlite::{Connection, Params, params};

use super::{
    super::{super::storable, queries, rows},
    deployments::insert_head,
    execute, existed, found, insert as run_insert, json, refused,
};
use crate::{
    domain::program::{
        ProgramDeployment,
        hosted::{Hosted, Stage},
        job::Job,
        service::Service,
        version::Version,
    },
    ports::{StoreError, StoreResult},
};

pub(super) fn insert(connection: &Connection, program: &ProgramDeployment) -> StoreResult<()> {
    run_insert(
        connection,
        "deployment",
        "INSERT INTO programs (id, tenant_id, name, mode, state, revision, record)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            program.id.as_str(),
            program.tenant_id.as_str(),
            program.name,
            program.mode.as_str(),
            program.state.as_str(),
            storable(program.revision, "programs.revision")?,
            json(program, "programs.record")?,
        ],
    )?;
    insert_head(connection, &program.id)
}

pub(super) fn update(connection: &Connection, program: ProgramDeployment) -> StoreResult<()> {
    storable(program.revision, "programs.revision")?;
    let before: Option<ProgramDeployment> =
        rows::one(connection, queries::PROGRAM, params![program.id.as_str()])?;
    let before = current("deployment", before, program.revision, |p| p.revision)?;
    let program = ProgramDeployment {
        tenant_id: before.tenant_id,
        created_at: before.created_at,
        revision: program.revision + 1,
        ..program
    };
    replace(
        connection,
        "deployment",
        "UPDATE programs SET name = ?2, mode = ?3, state = ?4, revision = ?5, record = ?6 WHERE id = ?1",
        params![
            program.id.as_str(),
            program.name,
            program.mode.as_str(),
            program.state.as_str(),
            storable(program.revision, "programs.revision")?,
            json(&program, "programs.record")?,
        ],
    )
}

pub(super) fn put_manifest(
    connection: &Connection,
    deployment: &DeploymentId,
    version: &VersionId,
    manifest: &str,
) -> StoreResult<()> {
    need_program(connection, deployment)?;
    run_insert(
        connection,
        "manifest",
        "INSERT OR REPLACE INTO program_manifests (version_id, deployment_id, manifest) VALUES (?1, ?2, ?3)",
        params![version.as_str(), deployment.as_str(), manifest],
    )
    .map(drop)
}

pub(super) fn insert_version(connection: &Connection, version: &Version) -> StoreResult<()> {
    need_program(connection, &version.deployment_id)?;
    run_insert(
        connection,
        "version",
        "INSERT INTO program_versions (id, deployment_id, number, state, building, revision, record)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            version.id.as_str(),
            version.deployment_id.as_str(),
            version.number,
            version.state.as_str(),
            is_building(version),
            storable(version.revision, "program_versions.revision")?,
            json(version, "program_versions.record")?,
        ],
    )
    .map(drop)
}

pub(super) fn update_version(connection: &Connection, version: Version) -> StoreResult<()> {
    storable(version.revision, "program_versions.revision")?;
    let before: Option<Version> = rows::one(connection, queries::VERSION, params![version.id.as_str()])?;
    let before = current("version", before, version.revision, |v| v.revision)?;
    let version = Version {
        deployment_id: before.deployment_id,
        number: before.number,
        created_at: before.created_at,
        revision: version.revision + 1,
        ..version
    };
    replace(
        connection,
        "version",
        "UPDATE program_versions SET state = ?2, building = ?3, revision = ?4, record = ?5 WHERE id = ?1",
        params![
            version.id.as_str(),
            version.state.as_str(),
            is_building(&version),
            storable(version.revision, "program_versions.revision")?,
            json(&version, "program_versions.record")?,
        ],
    )
}

pub(super) fn insert_service(connection: &Connection, service: &Service, most: u32) -> StoreResult<()> {
    let (hosted, live) = (&service.hosted, !service.state.is_terminal());
    need_program(connection, &hosted.deployment_id)?;
    let inserted = run_insert(
        connection,
        "service",
        "INSERT INTO services (id, deployment_id, version_id, state, live, due_at, revision, record)
         SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8
         WHERE (SELECT count(*) FROM services WHERE deployment_id = ?2 AND live = 1) < ?9",
        params![
            service.id().as_str(),
            hosted.deployment_id.as_str(),
            hosted.version_id.as_str(),
            service.state.as_str(),
            live,
            due_at(hosted, live),
            storable(service.revision, "services.revision")?,
            json(service, "services.record")?,
            most,
        ],
    )?;
    if inserted { Ok(()) } else { Err(StoreError::Full("services")) }
}

pub(super) fn update_service(connection: &Connection, service: Service) -> StoreResult<()> {
    storable(service.revision, "services.revision")?;
    let before: Option<Service> = rows::one(connection, queries::SERVICE, params![service.id().as_str()])?;
    let before = current("service", before, service.revision, |s| s.revision)?;
    let service = Service {
        hosted: Hosted { deployment_id: before.hosted.deployment_id, ..service.hosted },
        created_at: before.created_at,
        revision: service.revision + 1,
        ..service
    };
    let live = !service.state.is_terminal();
    replace(
        connection,
        "service",
        "UPDATE services SET version_id = ?2, state = ?3, live = ?4, due_at = ?5, revision = ?6, record = ?7
         WHERE id = ?1",
        params![
            service.id().as_str(),
            service.hosted.version_id.as_str(),
            service.state.as_str(),
            live,
            due_at(&service.hosted, live),
            storable(service.revision, "services.revision")?,
            json(&service, "services.record")?,
        ],
    )
}

pub(super) fn insert_job(connection: &Connection, job: &Job, most: u32) -> StoreResult<()> {
    let (hosted, live) = (&job.hosted, !job.state.is_terminal());
    need_program(connection, &hosted.deployment_id)?;
    let inserted = run_insert(
        connection,
        "run",
        "INSERT INTO jobs (id, deployment_id, version_id, instance_id, state, live, due_at, revision, record)
         SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9
         WHERE (SELECT count(*) FROM jobs WHERE deployment_id = ?2 AND live = 1) < ?10",
        params![
            job.id.as_str(),
            hosted.deployment_id.as_str(),
            hosted.version_id.as_str(),
            hosted.instance_id.as_str(),
            job.state.as_str(),
            live,
            due_at(hosted, live),
            storable(job.revision, "jobs.revision")?,
            json(job, "jobs.record")?,
            most,
        ],
    )?;
    if inserted { Ok(()) } else { Err(StoreError::Full("runs")) }
}

pub(super) fn update_job(connection: &Connection, job: Job) -> StoreResult<()> {
    storable(job.revision, "jobs.revision")?;
    let before: Option<Job> = rows::one(connection, queries::JOB, params![job.id.as_str()])?;
    let before = current("run", before, job.revision, |j| j.revision)?;
    let Hosted { instance_id, deployment_id, .. } = before.hosted;
    let job = Job {
        hosted: Hosted { instance_id, deployment_id, ..job.hosted },
        created_at: before.created_at,
        revision: job.revision + 1,
        ..job
    };
    let live = !job.state.is_terminal();
    replace(
        connection,
        "run",
        "UPDATE jobs SET version_id = ?2, state = ?3, live = ?4, due_at = ?5, revision = ?6, record = ?7
         WHERE id = ?1",
        params![
            job.id.as_str(),
            job.hosted.version_id.as_str(),
            job.state.as_str(),
            live,
            due_at(&job.hosted, live),
            storable(job.revision, "jobs.revision")?,
            json(&job, "jobs.record")?,
        ],
    )
}

fn need_program(connection: &Connection, id: &DeploymentId) -> StoreResult<()> {
    let there = found(connection, "SELECT 1 FROM programs WHERE id = ?1", params![id.as_str()])?;
    existed("deployment", there)
}

/// The record to update, when it exists and has the revision that was read.
pub(super) fn current<T>(
    noun: &'static str,
    record: Option<T>,
    read: u64,
    revision: impl Fn(&T) -> u64,
) -> StoreResult<T> {
    let record = record.ok_or(StoreError::Missing(noun))?;
    if revision(&record) == read { Ok(record) } else { Err(StoreError::Conflict(noun)) }
}

/// Runs an update of a record that [`current`] has found in the same transaction.
pub(super) fn replace(
    connection: &Connection,
    noun: &'static str,
    sql: &str,
    params: impl Params,
) -> StoreResult<()> {
    execute(connection, sql, params).map(drop).map_err(refused(noun))
}

fn is_building(version: &Version) -> bool {
    version.build.as_ref().is_some_and(|build| !build.state.is_terminal())
}

/// The column `due_at` of a job or a service.
fn due_at(hosted: &Hosted, live: bool) -> Option<i64> {
    let at_any_time = live || (hosted.stage != Stage::Empty && hosted.kept_until.is_none());
    let kept_until = hosted.kept_until.filter(|_| hosted.stage != Stage::Empty);
    if at_any_time { Some(i64::MIN) } else { kept_until.map(Timestamp::as_millis) }
}
