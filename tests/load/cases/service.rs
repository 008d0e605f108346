//! Starting a service, from the request until it is ready, beside the same program started by hand and asked until it
//! answers; and what many services cost that do nothing.

use std::{
    process::Child,
    time::{Duration, Instant},
};

use prism_client::nullspace::AgentDeploymentHandle;
use prism_types::nullspace::{AgentConfig, CreateService, ReadinessProbe, ServiceStatus};
use serde_json::json;

use super::Setting;
use crate::{
    Result,
    client::{Connection, get, get_openly, post, post_once},
    process::{Server, start_hosted},
    programs::{Programs, free_port, static_server},
    report::Row,
    statistics::Latencies,
};

/// How often it is looked whether a service is ready.
const LOOK: Duration = Duration::from_millis(1);
/// How long that may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// A start is short, so there are more of them than turns of other cases.
const STARTS_PER_PAIR: u32 = 4;
/// Services that are there before memory is looked at, so that what the first ones need alone is not counted.
const FIRST: u32 = 20;
/// How long services are left alone before it is looked at, and how long their CPU time is counted.
const IDLE: Duration = Duration::from_secs(5);

pub(super) async fn measure(setting: &mut Setting<'_>) -> Result<()> {
    starts(setting).await?;
    idle(setting).await
}

async fn starts(setting: &mut Setting<'_>) -> Result<()> {
    let place = setting.place("service")?;
    let prism = setting.prism.serve_programs(&place)?;
    let programs = Programs::of(&prism, &place)?;
    let port = free_port()?;
    let deployment = programs.deploy(&static_server(port)?).await?;
    let path = format!("/v1/agent-deployments/{}/services", deployment.id());
    let mut connection = Connection::open(prism.address).await?;
    let (mut ours, mut floors, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..setting.options.pairs * STARTS_PER_PAIR {
        let ready = start(&mut connection, &path, number).await?;
        programs.settled(1).await?;
        let floor = by_hand(port).await?;
        ratios.push(ready.as_secs_f64() / floor.as_secs_f64());
        ours.push(ready);
        floors.push(floor);
    }
    let (ours, floors): (Latencies, Latencies) = (ours.into_iter().collect(), floors.into_iter().collect());
    let in_words = |times: &Latencies| format!("p50 {:.1} ms, p99 {:.1} ms", times.p50(), times.p99());
    let row = Row::new(format!("a service is ready, {} starts", ours.count()), in_words(&ours));
    let row = row.baseline(format!("started by hand: {}", in_words(&floors))).ratios(&ratios);
    setting.report.row(row.goal("p50 ≤ 100 ms", ours.p50() <= 100.0));
    programs.remove(deployment, true).await
}

/// Starts a service, and stops it once it is ready; how long that took.
async fn start(connection: &mut Connection, path: &str, number: u32) -> Result<Duration> {
    let begun = Instant::now();
    let made =
        connection.exchange(&post_once(path, &json!({}), &format!("load-{number}"))).await?.json(201)?;
    let path = format!("{path}/{}", made["id"].as_str().ok_or("a service without an id")?);
    let read = get(&path);
    while connection.exchange(&read).await?.json(200)?["status"] != "ready" {
        if begun.elapsed() > PATIENCE {
            return Err("a service does not become ready".into());
        }
        tokio::time::sleep(LOOK).await;
    }
    let ready = begun.elapsed();
    connection.exchange(&post(&format!("{path}/stop"), &json!({}))).await?.json(200)?;
    Ok(ready)
}

/// The same program as a child of this process; how long it took until it answered.
async fn by_hand(port: u16) -> Result<Duration> {
    /// Ended whatever happens.
    struct Ended(Child);
    impl Drop for Ended {
        fn drop(&mut self) {
            // `timeout` passes no signal on that it cannot catch.
            if let Some(pid) = i32::try_from(self.0.id()).ok().and_then(rustix::process::Pid::from_raw) {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
            }
            let _ = self.0.wait();
        }
    }
    let begun = Instant::now();
    let _program = Ended(start_hosted(port)?);
    let address = ([127, 0, 0, 1], port).into();
    loop {
        if let Ok(mut connection) = Connection::open(address).await {
            let answer = connection.exchange(&get_openly("/small")).await?;
            return if answer.status == 200 { Ok(begun.elapsed()) } else { Err("it answers wrongly".into()) };
        }
        if begun.elapsed() > PATIENCE {
            return Err("the program does not listen".into());
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn idle(setting: &mut Setting<'_>) -> Result<()> {
    let place = setting.place("idle")?;
    let prism = setting.prism.serve_programs(&place)?;
    let programs = Programs::of(&prism, &place)?;
    let many = setting.options.services;
    let first = sleepers(&programs, "first", FIRST).await?;
    let [before, busy] = at_rest(&prism).await;
    let rest = sleepers(&programs, "rest", many).await?;
    let [after, busier] = at_rest(&prism).await;
    let each = |more: f64| more / f64::from(many);
    let (memory, cpu) = (each(after - before) / 1024.0, each(busier - busy));
    let what = format!("{many} services that do nothing, each");
    let row = Row::new(what, format!("{memory:.1} KB, {cpu:.0} µs CPU a second"));
    setting.report.row(row.goal("≤ 64 KB, ≤ 200 µs", memory <= 64.0 && cpu <= 200.0));
    programs.remove(first, false).await?;
    programs.remove(rest, true).await
}

/// So many services that sleep, for no longer than this case takes, all of them ready.
async fn sleepers(programs: &Programs, name: &str, count: u32) -> Result<AgentDeploymentHandle> {
    let config = AgentConfig::service(name, "exec sleep 300", 1).readiness(ReadinessProbe::after(1));
    let deployment = programs.deploy(&config).await?;
    let mut ids = Vec::new();
    for _ in 0..count {
        ids.push(deployment.services().create(CreateService::new()).await?.into_inner().id);
    }
    for id in ids {
        while deployment.services().get(&id).await?.status != ServiceStatus::Ready {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    Ok(deployment)
}

/// The memory of a server that is left alone, in bytes, and its CPU time, in microseconds a second.
async fn at_rest(server: &Server) -> [f64; 2] {
    tokio::time::sleep(IDLE).await;
    let (begun, cpu) = (Instant::now(), server.cpu());
    tokio::time::sleep(IDLE).await;
    let cpu = (server.cpu() - cpu).as_secs_f64() * 1e6 / begun.elapsed().as_secs_f64();
    [server.resident(), cpu]
}
