//! Executing a program that does nothing in a sandbox, beside a request that starts the same line of the shell and makes one
//! row durable when it has ended; and how long it takes from a sandbox, a copy or a snapshot of one to its first program.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::{
    Setting,
    work::{Turn, in_words},
};
use crate::{
    Result,
    client::{Connection, delete, post, post_once},
    ground::empty_database,
    machine::Syncs,
    process::start_baseline,
    programs::Programs,
    report::Row,
    statistics::{Latencies, median},
};

/// Programs at a time when there are many: what one server executes at once for those who wait.
const AT_A_TIME: usize = 32;
/// How often sandboxes are made, for each pair of turns.
const MADE_PER_PAIR: u32 = 4;

pub(super) async fn measure(setting: &mut Setting<'_>) -> Result<()> {
    let place = setting.place("sandbox")?;
    let prism = setting.prism.serve_programs(&place)?;
    let baseline = start_baseline(Some(&empty_database(&setting.place("sandbox-baseline")?)?))?;
    let programs = Programs::of(&prism, &place)?;
    let sandboxes = Sandboxes::default();
    let long = json!({ "timeout_ms": 3_600_000 });
    let first = sandboxes.create(&mut Connection::open(prism.address).await?, &long).await?;

    let mut syncs = vec![setting.probe_disk()?];
    let (execute, start) = (execution(&first), post("/jobs", &json!({})));
    for at_a_time in [1, AT_A_TIME] {
        let (mut ours, mut floors) = (Vec::new(), Vec::new());
        for _ in 0..setting.options.pairs {
            for (server, request, turns) in [(&prism, &execute, &mut ours), (&baseline, &start, &mut floors)]
            {
                let turn = Turn::of(
                    server,
                    at_a_time,
                    setting.options.turn(),
                    async |connection: &mut Connection| {
                        connection.exchange(request).await?.json(200).map(drop)
                    },
                );
                let mut turn = turn.await?;
                turn.end(server);
                turns.push(turn);
            }
            syncs.push(setting.probe_disk()?);
        }
        let ratios: Vec<_> =
            ours.iter().zip(&floors).map(|(ours, floor)| ours.times.p50() / floor.times.p50()).collect();
        let what = format!("a program that does nothing in a sandbox, {at_a_time} at a time");
        let row = Row::new(what, in_words(&ours));
        let row = row.baseline(format!("`sh -c true` and a row: {}", in_words(&floors))).ratios(&ratios);
        let p50 = median(ours.iter().map(|turn| turn.times.p50()));
        let rate = median(ours.iter().map(Turn::rate));
        setting.report.row(match at_a_time {
            1 => row.goal("p50 ≤ 10 ms", p50 <= 10.0),
            _ => row.goal("≥ 150/s", rate >= 150.0),
        });
    }

    // One that was idle for all of that would be closed.
    let mut connection = Connection::open(prism.address).await?;
    let count = setting.options.pairs * MADE_PER_PAIR;
    let (mut made, mut forked, mut kept, mut restored) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..count {
        made.push(sandboxes.first_program(&mut connection, "/v1/sandboxes", &json!({})).await?);
        let fork = format!("/v1/sandboxes/{first}/fork");
        forked.push(sandboxes.first_program(&mut connection, &fork, &json!({})).await?);
        let begun = Instant::now();
        let snapshot =
            sandboxes.make(&mut connection, &format!("/v1/sandboxes/{first}/snapshots"), &json!({})).await?;
        kept.push(begun.elapsed());
        let of = json!({ "snapshot_id": snapshot });
        restored.push(sandboxes.first_program(&mut connection, "/v1/sandboxes", &of).await?);
        let gone = delete(&format!("/nullspace/v1/snapshots/{snapshot}"));
        connection.exchange_empty(&gone, 204).await?;
    }
    for (what, times) in [
        ("a sandbox and its first program", made),
        ("a fork of one and its first program", forked),
        ("a snapshot of one", kept),
        ("a sandbox with the files of a snapshot, and its first program", restored),
    ] {
        let times: Latencies = times.into_iter().collect();
        let figure = format!("p50 {:.1} ms, p99 {:.1} ms", times.p50(), times.p99());
        let goal = times.p50() <= 100.0;
        setting.report.row(Row::new(format!("{what}, {count} times"), figure).goal("p50 ≤ 100 ms", goal));
    }
    setting.report.remark(format!(
        "`sandbox`: {}; the ratio is of the medians, so more is slower; the CPU time is that of the server, and with that of \
         the processes which it started.",
        Syncs::in_words(&syncs)
    ));
    connection.exchange(&delete(&format!("/v1/sandboxes/{first}"))).await?.json(200)?;
    programs.settled(0).await
}

/// Those that are made, each under a key of its own.
#[derive(Default)]
struct Sandboxes {
    made: AtomicU32,
}

impl Sandboxes {
    /// Makes something; its id.
    async fn make(&self, connection: &mut Connection, path: &str, body: &Value) -> Result<String> {
        let key = format!("load-{}", self.made.fetch_add(1, Ordering::Relaxed));
        let made = connection.exchange(&post_once(path, body, &key)).await?.json(201)?;
        Ok(made["id"].as_str().ok_or("something without an id")?.to_owned())
    }

    async fn create(&self, connection: &mut Connection, body: &Value) -> Result<String> {
        self.make(connection, "/v1/sandboxes", body).await
    }

    /// How long it takes until a sandbox is made and has executed a program. It is destroyed afterwards.
    async fn first_program(&self, connection: &mut Connection, path: &str, body: &Value) -> Result<Duration> {
        let begun = Instant::now();
        let id = self.make(connection, path, body).await?;
        connection.exchange(&execution(&id)).await?.json(200)?;
        let took = begun.elapsed();
        connection.exchange(&delete(&format!("/v1/sandboxes/{id}"))).await?.json(200)?;
        Ok(took)
    }
}

fn execution(id: &str) -> Vec<u8> {
    post(&format!("/v1/sandboxes/{id}/exec"), &json!({ "command": "true" }))
}
