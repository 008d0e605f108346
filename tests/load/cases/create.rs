//! Creating deployments, each durable before it is answered, against a handler that inserts the same rows
//! through a writer with group commit.
//!
//! Prism also makes every deployment's agent ready, in the background: two more rows of two tables are
//! written in a second commit. It does so while it takes requests, and a turn ends only when it is done, so that it
//! does not disturb the baseline's turn; its CPU time is counted.

use std::{sync::Arc, time::Duration};

use serde_json::json;

use super::{
    Setting,
    turns::{Turns, connections_in_words},
};
use crate::{
    Result,
    client::{Connection, closed_loop, closed_loop::Load, get, post},
    ground::empty_database,
    machine::Syncs,
    process::{Server, start_baseline},
    report::Row,
};

/// How often it is asked whether every deployment is ready, and how many times.
const ASK: (Duration, u32) = (Duration::from_millis(20), 3000);

pub(super) async fn measure(setting: &mut Setting<'_>) -> Result<()> {
    let prism = setting.prism.serve(&setting.place("create")?)?;
    let baseline = start_baseline(Some(&empty_database(&setting.place("create-baseline")?)?))?;
    let body = json!({"customer_id": "customer_1", "name": "Load", "runtime": "scripted",
        "system_prompt": "You are an agent."});
    let requests = Arc::new(vec![post("/v1/deployments", &body)]);

    let mut syncs = vec![setting.probe_disk()?];
    for (connections, many) in [(setting.options.connections, true), (1, false)] {
        let load =
            Load { requests: requests.clone(), status: 201, connections, duration: setting.options.turn() };
        let mut turns = Turns::default();
        for _ in 0..setting.options.pairs {
            let a = closed_loop::run(&prism, &load, all_ready(&prism)).await?;
            turns.push(a, closed_loop::run(&baseline, &load, std::future::ready(Ok(()))).await?);
            syncs.push(setting.probe_disk()?);
        }
        let what = format!("POST deployment, durable, {}", connections_in_words(connections));
        let row = Row::new(what, turns.prism_rate()).baseline(turns.baseline_rate()).ratios(&turns.ratios());
        setting.report.row(if many {
            row.goal("ratio ≥ 0.35", turns.ratio() >= 0.35)
        } else {
            row.goal("p50 ≤ 1 ms", turns.prism(|turn| turn.latencies.p50()) <= 1.0)
        });
    }
    setting.report.remark(format!("`create`: {}.", Syncs::in_words(&syncs)));
    Ok(())
}

/// Waits until no deployment is being provisioned.
async fn all_ready(server: &Server) -> Result<()> {
    let mut connection = Connection::open(server.address).await?;
    let request = get("/v1/deployments?status=provisioning&limit=1");
    for _ in 0..ASK.1 {
        let page = connection.exchange(&request).await?.json(200)?;
        if page["data"].as_array().is_some_and(Vec::is_empty) {
            return Ok(());
        }
        tokio::time::sleep(ASK.0).await;
    }
    Err("deployments stay provisioning".into())
}
