//! Many automations that are due in the same minute: how late each starts its run, and how long the last one waits.
//!
//! The database is filled beforehand, 100 automations for each deployment, and the server waits for the minute. How
//! late one is comes from its entry in the history, whose time the server took before it committed; when the last
//! one was durable is seen from outside, in the file. The agents say one sentence and take no time.

use std::{
    path::Path,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use prism_server_core::{
    adapters::store::SqliteStore,
    domain::{automation::Automation, thread::Thread},
    ports::{Commit, Store, Write},
};
use prism_types::{AutomationId, DeploymentId, ThreadId, Timestamp};
use rusqlite::Connection;

use super::Setting;
use crate::{
    Result,
    ground::{DATABASE, Ground},
    report::Row,
    statistics::Latencies,
};

/// Automations of one deployment: as many as it may have.
const PER_DEPLOYMENT: u32 = 100;
/// The least time from the start of the server to the minute.
const LEAD: i64 = 5_000;
/// The longest time that all of it may take.
const PATIENCE: Duration = Duration::from_secs(180);

pub(super) async fn measure(setting: &mut Setting<'_>) -> Result<()> {
    let count = setting.options.automations;
    let directory = setting.place("automations")?.join("data");
    let ground = Ground::fill(&setting.prism, directory.clone(), count.div_ceil(PER_DEPLOYMENT)).await?;
    let store = SqliteStore::open(directory.join(DATABASE))?;
    let due = next_minute(now() + LEAD);
    for (number, deployment) in ground.deployments.iter().enumerate() {
        let first = u32::try_from(number)? * PER_DEPLOYMENT;
        let writes = automations(&deployment.parse()?, first..count.min(first + PER_DEPLOYMENT), due)?;
        store.commit(Commit::new().with_all(writes)).await?;
    }
    drop(store);

    let server = setting.prism.serve(&directory)?;
    let before = server.cpu();
    let wait = u64::try_from(due.as_millis() - now()).map_err(|_| "filling took longer than the lead")?;
    tokio::time::sleep(Duration::from_millis(wait)).await;
    let minute = Instant::now();
    until(&directory, "SELECT count(*) FROM automation_runs", count).await?;
    let durable = minute.elapsed();
    until(&directory, "SELECT count(*) FROM runs WHERE state = 'completed'", count).await?;
    let (ended, cpu) = (minute.elapsed(), server.cpu() - before);

    let late = lateness(&directory)?;
    let (p50, p99, last) = (late.p50(), late.p99(), late.percentile(1.0));
    let what = format!("{count} automations due in one minute: how late they start");
    let figures = format!("p50 {p50:.0} ms, p99 {p99:.0} ms, the last {last:.0} ms");
    setting.report.row(Row::new(what, figures).goal("all once", true));
    let micros = cpu.as_secs_f64() * 1e6 / f64::from(count);
    setting.report.row(Row::new(
        "the same: all started, durably; all runs ended",
        format!("{:.2} s; {:.2} s; {micros:.0} µs CPU for one", durable.as_secs_f64(), ended.as_secs_f64()),
    ));
    Ok(())
}

/// Automations of a deployment, each on a thread of its own, that are due then.
fn automations(
    deployment: &DeploymentId,
    numbers: std::ops::Range<u32>,
    due: Timestamp,
) -> Result<Vec<Write>> {
    let mut writes = Vec::new();
    for number in numbers {
        let suffix = format!("a{number:025}");
        let thread_id = ThreadId::from_suffix(&suffix)?;
        writes.push(Write::InsertThread(Thread::new(thread_id.clone(), deployment.clone(), None, due)));
        let automation = Automation {
            id: AutomationId::from_suffix(&suffix)?,
            deployment_id: deployment.clone(),
            name: "Load".to_owned(),
            schedule: "@yearly".to_owned(),
            cron: once_a_year(due)?,
            timezone: "UTC".to_owned(),
            instructions: "Go.".to_owned(),
            thread_id,
            enabled: true,
            next_run_at: Some(due),
            created_at: due,
            revision: 0,
        };
        writes.push(Write::InsertAutomation(automation, PER_DEPLOYMENT));
    }
    Ok(writes)
}

/// The expression of this minute, which does not come again while it is measured.
fn once_a_year(minute: Timestamp) -> Result<String> {
    let text = minute.to_string();
    let part = |range: std::ops::Range<usize>| text[range].parse::<u32>();
    Ok(format!("{} {} {} {} *", part(14..16)?, part(11..13)?, part(8..10)?, part(5..7)?))
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

fn next_minute(millis: i64) -> Timestamp {
    Timestamp::from_millis((millis.div_euclid(60_000) + 1) * 60_000)
}

/// Waits until a query counts so many. It looks rarely, so that it takes little from the server.
async fn until(directory: &Path, sql: &str, count: u32) -> Result<()> {
    let database = Connection::open(directory.join(DATABASE))?;
    database.busy_timeout(Duration::from_secs(10))?;
    let started = Instant::now();
    while started.elapsed() < PATIENCE {
        let counted: u32 = database.query_row(sql, [], |row| row.get(0))?;
        if counted > count {
            return Err(format!("{counted} instead of {count}: {sql}").into());
        }
        if counted == count {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Err(format!("not all came within {} s: {sql}", PATIENCE.as_secs()).into())
}

/// How late every one was; each has one entry and one run, which the columns' own uniqueness is not asked for.
fn lateness(directory: &Path) -> Result<Latencies> {
    let database = Connection::open(directory.join(DATABASE))?;
    let mut entries = database.prepare(
        "SELECT min(created_at - scheduled_at), count(*), count(DISTINCT run_id) FROM automation_runs
         GROUP BY automation_id",
    )?;
    let rows = entries.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let mut late = Vec::new();
    for row in rows {
        let (millis, entries, runs): (i64, u32, u32) = row?;
        if (entries, runs) != (1, 1) {
            return Err(format!("an automation has {entries} entries and {runs} runs").into());
        }
        late.push(Duration::from_millis(u64::try_from(millis)?));
    }
    Ok(late.into_iter().collect())
}
