//! The load program: what the control plane costs, each figure beside a baseline of the same run.
//!
//! ```text
//! cargo run --release -p prism-tests --bin load
//! ```
//!
//! runs all cases in about four minutes and prints a Markdown table. `docs/performance.md` says how it
//! measures and what the figures mean.
//!
//! | module | what lives there |
//! |---|---|
//! | `options` | the command line |
//! | `cases` | what is measured, one file per case |
//! | `client` | a cheap HTTP/1.1 client, the closed loop, a reader of event streams |
//! | `baseline` | the servers that Prism is compared to |
//! | `programs` | jobs and services of `prism serve`, for the cases about them |
//! | `stamped` | the control plane with a harness that stamps its tokens with the time |
//! | `ground` | data directories that are filled beforehand |
//! | `process` | servers as child processes: start, CPU, memory, end |
//! | `machine` | what the machine is and how noisy |
//! | `report` | the table |
//! | `statistics` | medians and percentiles |

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a program that measures fails by panicking")]

mod baseline;
mod cases;
mod client;
mod ground;
mod machine;
mod options;
mod process;
mod programs;
mod report;
mod stamped;
mod statistics;

use clap::Parser;

use crate::options::{Options, Role};

/// What every part fails with.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> Result<()> {
    let options = Options::parse();
    machine::raise_open_files()?;
    match &options.role {
        Some(Role::Stamped(role)) => multi_threaded(stamped::serve(role)),
        Some(Role::Baseline(role)) => multi_threaded(baseline::serve(role)),
        None => single_threaded(measure(&options)),
    }
}

/// Runs the cases until they are done or somebody ends the program; the children end either way.
async fn measure(options: &Options) -> Result<()> {
    let mut terminated = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        done = cases::run(options) => done,
        _ = tokio::signal::ctrl_c() => Err("interrupted".into()),
        _ = terminated.recv() => Err("terminated".into()),
    }
}

/// Servers use as many threads as there are cores, as `prism serve` does.
fn multi_threaded(work: impl Future<Output = Result<()>>) -> Result<()> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(work)
}

/// Whoever makes the load uses one thread, to leave the machine to the servers.
fn single_threaded(work: impl Future<Output = Result<()>>) -> Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}
