//! Listing 50 deployments of a large database, against a small one: both Prism.

use std::{future::ready, sync::Arc};

use super::{SMALL, Setting, turns::Turns};
use crate::{
    Result,
    client::{Connection, closed_loop, closed_loop::Load, get},
    process::Server,
    report::Row,
};

/// How many pages are read in turn.
const PAGES: usize = 20;

pub(super) async fn measure(setting: &mut Setting<'_>) -> Result<()> {
    let large_server = setting.prism.serve(&setting.large()?.directory)?;
    let small_server = setting.prism.serve(&setting.small.directory)?;
    let (large, small) = (load(setting, &large_server).await?, load(setting, &small_server).await?);
    let mut turns = Turns::default();
    for _ in 0..setting.options.pairs {
        let a = closed_loop::run(&large_server, &large, ready(Ok(()))).await?;
        turns.push(a, closed_loop::run(&small_server, &small, ready(Ok(()))).await?);
    }
    let what = format!(
        "LIST limit=50 of {} deployments; baseline: Prism with {SMALL}; {} connections",
        setting.options.large, setting.options.connections
    );
    let row = Row::new(what, turns.prism_rate()).baseline(turns.baseline_rate()).ratios(&turns.ratios());
    setting.report.row(row.goal("flat within 1.5x: ratio ≥ 0.67", turns.ratio() >= 1.0 / 1.5));
    Ok(())
}

/// The first pages of a server, each by the cursor of the one before.
async fn load(setting: &Setting<'_>, server: &Server) -> Result<Load> {
    let mut connection = Connection::open(server.address).await?;
    let mut requests = vec![get("/v1/deployments?limit=50")];
    while requests.len() < PAGES {
        let page = connection.exchange(&requests[requests.len() - 1]).await?.json(200)?;
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        requests.push(get(&format!("/v1/deployments?limit=50&cursor={cursor}")));
    }
    let (connections, duration) = (setting.options.connections, setting.options.turn());
    Ok(Load { requests: Arc::new(requests), status: 200, connections, duration })
}
