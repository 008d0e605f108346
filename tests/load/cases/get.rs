//! Reading a deployment, against a handler that reads the same row and tells the same JSON.

use std::{future::ready, sync::Arc};

use serde_json::Value;

use super::{
    Setting,
    turns::{Turns, connections_in_words},
};
use crate::{
    Result,
    client::{Connection, closed_loop, closed_loop::Load, get},
    process::{Server, start_baseline},
    report::Row,
};

pub(super) async fn measure(setting: &mut Setting<'_>) -> Result<()> {
    let database = setting.small.copy_database(&setting.place("get-baseline")?)?;
    let prism = setting.prism.serve(&setting.small.directory)?;
    let baseline = start_baseline(Some(&database))?;
    let paths = setting.small.deployments.iter().map(|id| get(&format!("/v1/deployments/{id}")));
    let requests: Arc<Vec<_>> = Arc::new(paths.collect());
    if told(&prism, &requests[0]).await? != told(&baseline, &requests[0]).await? {
        return Err("the baseline tells a deployment differently".into());
    }

    for (connections, has_goal) in [(setting.options.connections, true), (1, false)] {
        let load =
            Load { requests: requests.clone(), status: 200, connections, duration: setting.options.turn() };
        let mut turns = Turns::default();
        for _ in 0..setting.options.pairs {
            let a = closed_loop::run(&prism, &load, ready(Ok(()))).await?;
            turns.push(a, closed_loop::run(&baseline, &load, ready(Ok(()))).await?);
        }
        let what = format!("GET deployment, {}", connections_in_words(connections));
        let row = Row::new(what, turns.prism_rate()).baseline(turns.baseline_rate()).ratios(&turns.ratios());
        let (ratio, cpu) = (turns.ratio(), turns.prism(|turn| turn.cpu));
        let met = ratio >= 0.5 && cpu <= 60.0;
        setting.report.row(if has_goal { row.goal("ratio ≥ 0.5, CPU ≤ 60 µs", met) } else { row });
    }
    Ok(())
}

async fn told(server: &Server, request: &[u8]) -> Result<Value> {
    Connection::open(server.address).await?.exchange(request).await?.json(200)
}
