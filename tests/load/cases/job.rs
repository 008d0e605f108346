//! Running a job that does nothing, from the request that makes it until it has succeeded, beside a request that starts the
//! same line of the shell and makes one row durable when it has ended.
//!
//! A job of Prism's is more than that: a copy of the files in a sandbox of its own, which is removed afterwards, and the
//! steps of its life, each durable before the next one.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use prism_types::nullspace::AgentConfig;
use serde_json::json;

use super::{
    Setting,
    work::{Turn, in_words},
};
use crate::{
    Result,
    client::{Connection, get, post, post_once},
    ground::empty_database,
    machine::Syncs,
    process::start_baseline,
    programs::Programs,
    report::Row,
    statistics::median,
};

/// How often a job is looked at when it is the only one, and when there are many: a look is work for the server.
const LOOKS: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(25));
/// Jobs at a time when there are many.
const AT_A_TIME: usize = 32;
/// Sandboxes when nothing runs: that of the version.
const AT_REST: usize = 1;

pub(super) async fn measure(setting: &mut Setting<'_>) -> Result<()> {
    let place = setting.place("job")?;
    let prism = setting.prism.serve_programs(&place)?;
    let baseline = start_baseline(Some(&empty_database(&setting.place("job-baseline")?)?))?;
    let programs = Programs::of(&prism, &place)?;
    let deployment = programs.deploy(&AgentConfig::job("job", "true")).await?;
    let jobs =
        Jobs { path: format!("/v1/agent-deployments/{}/runs", deployment.id()), made: AtomicU32::new(0) };

    let mut syncs = vec![setting.probe_disk()?];
    for (at_a_time, look) in [(1, LOOKS.0), (AT_A_TIME, LOOKS.1)] {
        let (mut ours, mut floors) = (Vec::new(), Vec::new());
        for _ in 0..setting.options.pairs {
            let turn =
                Turn::of(&prism, at_a_time, setting.options.turn(), async |connection: &mut Connection| {
                    jobs.run(connection, look).await
                });
            let mut turn = turn.await?;
            programs.settled(AT_REST).await?;
            turn.end(&prism);
            ours.push(turn);
            let start = post("/jobs", &json!({}));
            let floor = Turn::of(
                &baseline,
                at_a_time,
                setting.options.turn(),
                async |connection: &mut Connection| connection.exchange(&start).await?.json(200).map(drop),
            );
            let mut floor = floor.await?;
            floor.end(&baseline);
            floors.push(floor);
            syncs.push(setting.probe_disk()?);
        }
        let ratios: Vec<_> =
            ours.iter().zip(&floors).map(|(ours, floor)| ours.times.p50() / floor.times.p50()).collect();
        let row = Row::new(format!("a job that does nothing, {at_a_time} at a time"), in_words(&ours));
        let row = row.baseline(format!("`sh -c true` and a row: {}", in_words(&floors))).ratios(&ratios);
        let p50 = median(ours.iter().map(|turn| turn.times.p50()));
        let rate = median(ours.iter().map(Turn::rate));
        setting.report.row(match at_a_time {
            1 => row.goal("p50 ≤ 50 ms", p50 <= 50.0),
            _ => row.goal("≥ 50/s", rate >= 50.0),
        });
    }
    setting.report.remark(format!(
        "`job`: {}; the ratio is of the medians, so more is slower; the CPU time is that of the server, of which the looks \
         at the jobs are a part, and with that of the processes which it started.",
        Syncs::in_words(&syncs)
    ));
    programs.remove(deployment, true).await
}

/// The jobs of a deployment.
struct Jobs {
    path: String,
    made: AtomicU32,
}

impl Jobs {
    /// Runs a job to its end.
    async fn run(&self, connection: &mut Connection, look: Duration) -> Result<()> {
        let key = format!("load-{}", self.made.fetch_add(1, Ordering::Relaxed));
        let made = connection.exchange(&post_once(&self.path, &json!({}), &key)).await?.json(201)?;
        let read = get(&format!("{}/{}", self.path, made["id"].as_str().ok_or("a run without an id")?));
        loop {
            let run = connection.exchange(&read).await?.json(200)?;
            match run["status"].as_str() {
                Some("succeeded") => return Ok(()),
                Some("queued" | "starting" | "installing" | "running") => tokio::time::sleep(look).await,
                _ => return Err(format!("a run did not succeed: {run}").into()),
            }
        }
    }
}
