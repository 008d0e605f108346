//! `/v1/sandboxes`: sandboxes that are made by themselves, and those of runs and services, as far as they are looked into.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
};
use http::StatusCode;
use prism_types::nullspace::{
    AccessToken, DestroyedSandbox, ProgramResult, Sandbox, SandboxConfig, SandboxProcess, SandboxProcessLogs,
    SandboxSnapshot, SandboxStatus,
};
use serde_json::{Value, json};

use super::{Shared, convert, error::Answer, sandbox_bodies as bodies};
use crate::{
    core::Core,
    domain::{
        idempotency::Reply,
        limits,
        machine::{Machine, MachineState, Origin, snapshot::MachineSnapshot},
    },
    error::{Error, ErrorKind, Result},
    http::{change::Change, cursor, gate::Call, query::Query},
    service::{
        machines::{self, ports, processes, snapshots},
        programs::sandboxes,
    },
};

pub(super) async fn create(State(core): Shared, mut change: Change) -> Result<Reply, Answer> {
    let new = bodies::create(&change.json().await?)?;
    let teller = core.clone();
    let created = change.carry_out(&core, move |core, author| async move {
        let tell = |machine| Reply::json(StatusCode::CREATED, &told(&teller, &machine)?);
        machines::create(&core, &author, new, tell).await
    });
    Ok(created.await?)
}

/// All of them, or a page of them when a query asks for one.
pub(super) async fn list(State(core): Shared, call: Call) -> Result<Json<Value>, Answer> {
    let mut query = Query::parse(call.request.uri().query());
    let states = query.read("state", states);
    let template = query.text("template");
    let metadata = query.read("metadata", |text| {
        let read = serde_json::from_str::<serde_json::Map<String, Value>>(text);
        read.map_err(|_| "must be a JSON object".to_owned())
    });
    let limit = query.read("limit", |text| {
        let most = limits::PROGRAM_PAGE.0;
        let limit = text.parse().ok().filter(|limit| (1..=most).contains(limit));
        limit.ok_or_else(|| format!("must be a whole number from 1 to {most}"))
    });
    let before = query.read("next_token", |text| {
        cursor::decode(text).ok_or_else(|| "must be the `next_token` of a page of sandboxes".to_owned())
    });
    let fields = query.text("fields");
    query.finish()?;
    let mut all = machines::list(&core, &call.principal).await?;
    all.retain(|machine| {
        let has = |wanted: &serde_json::Map<String, Value>| {
            let own: Value = serde_json::from_str(&machine.metadata).unwrap_or_default();
            wanted.iter().all(|(name, value)| own.get(name) == Some(value))
        };
        states.as_ref().is_none_or(|states| states.contains(&status(machine.state)))
            && template.as_ref().is_none_or(|template| machine.model.template == *template)
            && metadata.as_ref().is_none_or(has)
            && before.as_ref().is_none_or(|before| machine.id < *before)
    });
    let Some(limit) = limit else {
        let all = all.iter().map(|machine| part(&listed(machine)?, fields.as_deref()));
        return Ok(Json(all.collect::<Result<_>>()?));
    };
    let has_next = all.len() > limit as usize;
    all.truncate(limit as usize);
    let next = all.last().filter(|_| has_next).map(|machine| cursor::encode(&machine.id));
    let items = all.iter().map(|machine| part(&listed(machine)?, fields.as_deref()));
    let items = items.collect::<Result<Vec<_>>>()?;
    Ok(Json(json!({ "items": items, "next_token": next, "has_next": has_next })))
}

pub(super) async fn get(
    State(core): Shared,
    Path(id): Path<String>,
    call: Call,
) -> Result<Json<Value>, Answer> {
    let id = convert::sandbox_instance(&id)?;
    let mut query = Query::parse(call.request.uri().query());
    let fields = query.text("fields");
    query.finish()?;
    if core.store.machine(&id).await.map_err(Error::from)?.is_some() {
        let machine = machines::get(&core, &call.principal, &id).await?;
        return Ok(Json(part(&told(&core, &machine)?, fields.as_deref())?));
    }
    let backing = sandboxes::get(&core, &call.principal, &id).await?;
    let resources = &backing.config.resources;
    let config = SandboxConfig::new(resources.vcpus.unwrap_or(1), resources.memory_mb.unwrap_or(256));
    let sandbox = Sandbox::new(convert::machine_id(&id)?, config, backing.created_at)
        // Also while nothing runs in it: its files are there, and there is nothing to resume.
        .status(SandboxStatus::Running)
        .template(backing.config.template)
        .cwd(backing.config.workdir.as_str().to_owned())
        .expires_at(backing.hosted.kept_until)
        .traffic_access_token(backing.traffic_token.map(|token| AccessToken::new(token.expose())));
    Ok(Json(part(&sandbox, fields.as_deref())?))
}

pub(super) async fn destroy(
    State(core): Shared,
    Path(id): Path<String>,
    change: Change,
) -> Result<Json<DestroyedSandbox>, Answer> {
    let id = convert::sandbox_instance(&id)?;
    let destroyed = change.carry_out(&core, |core, author| async move {
        let machine = machines::destroy(&core, &author, &id).await?;
        Ok(DestroyedSandbox::new(convert::machine_id(&machine.id)?))
    });
    Ok(Json(destroyed.await?))
}

pub(super) async fn set_timeout(
    State(core): Shared,
    Path(id): Path<String>,
    mut change: Change,
) -> Result<Json<Sandbox>, Answer> {
    let id = convert::sandbox_instance(&id)?;
    let life = bodies::timeout(&change.json().await?)?;
    let prolonged = change.carry_out(&core, move |core, author| async move {
        let machine = machines::prolong(&core, &author, &id, life).await?;
        told(&core, &machine)
    });
    Ok(Json(prolonged.await?))
}

pub(super) async fn execute(
    State(core): Shared,
    Path(id): Path<String>,
    mut change: Change,
) -> Result<Json<ProgramResult>, Answer> {
    let id = convert::sandbox_instance(&id)?;
    let (new, is_background) = bodies::execute(&change.json().await?)?;
    let executed = change.carry_out(&core, move |core, author| async move {
        if is_background {
            return Ok(ProgramResult::started(processes::start(&core, &author, &id, new).await?));
        }
        let finished = machines::executions::execute(&core, &author, &id, new).await?;
        Ok(ProgramResult::ended(finished.code, text(finished.out), text(finished.errors)))
    });
    Ok(Json(executed.await?))
}

pub(super) async fn processes(
    State(core): Shared,
    Path(id): Path<String>,
    call: Call,
) -> Result<Json<Vec<SandboxProcess>>, Answer> {
    let id = convert::sandbox_instance(&id)?;
    let all = processes::list(&core, &call.principal, &id).await?;
    let told =
        all.into_iter().map(|process| SandboxProcess::new(process.pid, process.command, process.is_running));
    Ok(Json(told.collect()))
}

pub(super) async fn kill(
    State(core): Shared,
    Path((id, pid)): Path<(String, String)>,
    change: Change,
) -> Result<StatusCode, Answer> {
    let (id, pid) = (convert::sandbox_instance(&id)?, process(&pid)?);
    let killed = change
        .carry_out(&core, move |core, author| async move { processes::kill(&core, &author, &id, pid).await });
    killed.await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn write_process(
    State(core): Shared,
    Path((id, pid)): Path<(String, String)>,
    mut change: Change,
) -> Result<StatusCode, Answer> {
    let (id, pid) = (convert::sandbox_instance(&id)?, process(&pid)?);
    let input = bodies::process_input(&change.json().await?)?;
    let written = change.carry_out(&core, move |core, author| async move {
        processes::write(&core, &author, &id, pid, input).await
    });
    written.await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn process_logs(
    State(core): Shared,
    Path((id, pid)): Path<(String, String)>,
    call: Call,
) -> Result<Json<SandboxProcessLogs>, Answer> {
    let (id, pid) = (convert::sandbox_instance(&id)?, process(&pid)?);
    let logs = processes::logs(&core, &call.principal, &id, pid).await?;
    Ok(Json(SandboxProcessLogs::new(text(logs.out), text(logs.errors), logs.code)))
}

pub(super) async fn fork(
    State(core): Shared,
    Path(id): Path<String>,
    change: Change,
) -> Result<Reply, Answer> {
    let id = convert::sandbox_instance(&id)?;
    let teller = core.clone();
    let forked = change.carry_out(&core, move |core, author| async move {
        let tell = |machine| Reply::json(StatusCode::CREATED, &told(&teller, &machine)?);
        snapshots::fork(&core, &author, &id, tell).await
    });
    Ok(forked.await?)
}

pub(super) async fn create_snapshot(
    State(core): Shared,
    Path(id): Path<String>,
    change: Change,
) -> Result<Reply, Answer> {
    let id = convert::sandbox_instance(&id)?;
    let created = change.carry_out(&core, move |core, author| async move {
        let tell = |snapshot| Reply::json(StatusCode::CREATED, &snapshot_told(&snapshot)?);
        snapshots::create(&core, &author, &id, tell).await
    });
    Ok(created.await?)
}

pub(super) async fn list_snapshots(
    State(core): Shared,
    call: Call,
) -> Result<Json<Vec<SandboxSnapshot>>, Answer> {
    let mut query = Query::parse(call.request.uri().query());
    let of = query.read("sandbox_id", |text| {
        convert::sandbox_instance(text).map_err(|_| "must be the id of a sandbox, such as `sb_x`".to_owned())
    });
    // Snapshots have no metadata.
    let is_empty = query.text("metadata").is_none_or(|metadata| metadata == "{}");
    query.finish()?;
    let mut all = snapshots::list(&core, &call.principal).await?;
    all.retain(|snapshot| is_empty && of.as_ref().is_none_or(|of| snapshot.machine_id == *of));
    Ok(Json(all.iter().map(snapshot_told).collect::<Result<_>>()?))
}

pub(super) async fn get_snapshot(
    State(core): Shared,
    Path(id): Path<String>,
    call: Call,
) -> Result<Json<SandboxSnapshot>, Answer> {
    let snapshot = snapshots::get(&core, &call.principal, &convert::snapshot_id(&id)?).await?;
    Ok(Json(snapshot_told(&snapshot)?))
}

pub(super) async fn delete_snapshot(
    State(core): Shared,
    Path(id): Path<String>,
    change: Change,
) -> Result<StatusCode, Answer> {
    let id = convert::snapshot_id(&id)?;
    let deleted =
        change.carry_out(&core, |core, author| async move { snapshots::delete(&core, &author, &id).await });
    deleted.await?;
    Ok(StatusCode::NO_CONTENT)
}

/// For what the vendor's sandboxes can do, and these cannot.
pub(super) async fn unsupported(_: State<Arc<Core>>) -> Answer {
    let message = "The sandboxes of this server cannot do this: memory and processes are not kept, and there are no \
                   terminals. Make a snapshot, and create another sandbox with its files.";
    Answer(Error::new(ErrorKind::Unsupported, message))
}

/// A sandbox with its token.
fn told(core: &Core, machine: &Machine) -> Result<Sandbox> {
    let token = ports::traffic_token(core, machine)?;
    let token = token.map(|token| AccessToken::new(token.expose()));
    Ok(listed(machine)?.traffic_access_token(token))
}

/// A sandbox among others.
fn listed(machine: &Machine) -> Result<Sandbox> {
    let model = &machine.model;
    let config = SandboxConfig::new(model.vcpus, model.memory_mb);
    let directory = model.directory.as_deref().map(|path| format!("/workspace/{path}"));
    let snapshot = match &machine.origin {
        Origin::Snapshot(id) => Some(id.clone()),
        Origin::Nothing | Origin::Machine(_) => None,
    };
    Ok(Sandbox::new(convert::machine_id(&machine.id)?, config, machine.created_at)
        .status(status(machine.state))
        .template(model.template.clone())
        .cwd(directory.unwrap_or_else(|| "/workspace".to_owned()))
        .metadata(convert::object(&machine.metadata)?)
        .started_at(machine.started_at)
        .timeout_ms(machine.life)
        .timeout_at(machine.expires_at)
        .expires_at(machine.expires_at)
        .timeout_action("destroy".to_owned())
        .snapshot_id(snapshot)
        .failure_reason(machine.failure.clone()))
}

/// A sandbox as it is told, or those of its fields that are asked for, with commas between.
fn part(sandbox: &Sandbox, fields: Option<&str>) -> Result<Value> {
    let mut told = serde_json::to_value(sandbox).map_err(Error::internal)?;
    if let (Some(fields), Some(whole)) = (fields, told.as_object_mut()) {
        whole.retain(|name, _| fields.split(',').any(|field| field.trim() == name));
    }
    Ok(told)
}

fn snapshot_told(snapshot: &MachineSnapshot) -> Result<SandboxSnapshot> {
    let sandbox = convert::machine_id(&snapshot.machine_id)?;
    Ok(SandboxSnapshot::new(snapshot.id.clone(), sandbox, snapshot.size, snapshot.created_at))
}

fn status(state: MachineState) -> SandboxStatus {
    match state {
        MachineState::Creating => SandboxStatus::Creating,
        MachineState::Running => SandboxStatus::Running,
        MachineState::Failed => SandboxStatus::Error,
        MachineState::Destroyed => SandboxStatus::Destroyed,
    }
}

fn states(text: &str) -> Result<Vec<SandboxStatus>, String> {
    let all: Vec<_> = text.split(',').map(SandboxStatus::from).collect();
    let known = SandboxStatus::KNOWN.join("`, `");
    if all.iter().all(SandboxStatus::is_known) {
        Ok(all)
    } else {
        Err(format!("must be some of `{known}`, with commas between"))
    }
}

fn process(text: &str) -> Result<u32> {
    text.parse().map_err(|_| Error::not_found("Process"))
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}
