//! How long `prism serve` takes until it is ready, and how much memory it has while nothing happens, against
//! an axum server that does nothing.

use std::{path::PathBuf, time::Duration};

use super::Setting;
use crate::{
    Result,
    process::{Server, start_baseline},
    report::Row,
    statistics::median,
};

/// How long a server is left alone before its memory is looked at.
const IDLE: Duration = Duration::from_millis(500);

/// A start is short, so there are more of them than turns of other cases.
const STARTS_PER_PAIR: u32 = 2;

pub(super) async fn measure(setting: &mut Setting<'_>) -> Result<()> {
    let large = setting.large()?.directory.clone();
    let (mut first, mut again, mut bare) = (Starts::default(), Starts::default(), Starts::default());
    for number in 0..setting.options.pairs * STARTS_PER_PAIR {
        let empty: PathBuf = setting.place(&format!("footprint-{number}"))?;
        first.add(setting.prism.serve(&empty)?).await;
        bare.add(start_baseline(None)?).await;
        again.add(setting.prism.serve(&large)?).await;
    }
    let large = setting.options.large;
    for (where_, starts) in
        [("a new data directory".to_owned(), &first), (format!("{large} deployments"), &again)]
    {
        let row = Row::new(format!("start to ready, {where_}"), format!("{:.0} ms", starts.ready()));
        let row = row.baseline(format!("{:.0} ms", bare.ready())).ratio(starts.ready() / bare.ready());
        setting.report.row(row.goal("≤ 300 ms", starts.ready() <= 300.0));
        let row = Row::new(format!("idle memory, {where_}"), format!("{:.1} MB", starts.resident()));
        let row =
            row.baseline(format!("{:.1} MB", bare.resident())).ratio(starts.resident() / bare.resident());
        setting.report.row(row.goal("≤ 30 MB", starts.resident() <= 30.0));
    }
    setting.report.remark("`footprint`: ratios above 1 are slower or larger than the bare server.");
    Ok(())
}

/// What several starts of a server took.
#[derive(Default)]
struct Starts {
    ready: Vec<f64>,
    resident: Vec<f64>,
}

impl Starts {
    async fn add(&mut self, server: Server) {
        tokio::time::sleep(IDLE).await;
        self.ready.push(server.ready_after.as_secs_f64() * 1e3);
        self.resident.push(server.resident() / 1e6);
    }

    /// In milliseconds.
    fn ready(&self) -> f64 {
        median(self.ready.iter().copied())
    }

    /// In megabytes.
    fn resident(&self) -> f64 {
        median(self.resident.iter().copied())
    }
}
