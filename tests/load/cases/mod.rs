//! What is measured, one file per case.

mod agents;
mod automations;
mod create;
mod edge;
mod fan_out;
mod footprint;
mod get;
mod job;
mod list;
mod message;
mod sandbox;
mod service;
mod turns;
mod work;

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::{
    Result,
    ground::Ground,
    machine::{self, Noise, Syncs},
    options::{Case, Options},
    process::Prism,
    report::Report,
};

/// How many deployments the small database has.
const SMALL: u32 = 1000;

/// What every case works with.
struct Setting<'a> {
    options: &'a Options,
    prism: Prism,
    directory: TempDir,
    small: Ground,
    /// Only for the cases that ask for it.
    large: Option<Ground>,
    report: Report,
}

/// Runs the cases and prints the table.
pub(crate) async fn run(options: &Options) -> Result<()> {
    if cfg!(debug_assertions) {
        eprintln!("this is a debug build: its figures mean nothing");
    }
    let mut setting = Setting::prepare(options).await?;
    for case in &options.cases {
        eprintln!("measuring {case} ...");
        let noise = Noise::begin();
        match case {
            Case::Get => get::measure(&mut setting).await?,
            Case::Create => create::measure(&mut setting).await?,
            Case::List => list::measure(&mut setting).await?,
            Case::Message => message::measure(&mut setting).await?,
            Case::FanOut => fan_out::measure(&mut setting).await?,
            Case::Footprint => footprint::measure(&mut setting).await?,
            Case::Automations => automations::measure(&mut setting).await?,
            Case::Edge => edge::measure(&mut setting).await?,
            Case::Job => job::measure(&mut setting).await?,
            Case::Sandbox => sandbox::measure(&mut setting).await?,
            Case::Service => service::measure(&mut setting).await?,
            Case::Agents => agents::measure(&mut setting).await?,
        }
        setting.report.remark(format!("`{case}`: {}.", noise.end()));
    }
    println!("{}.\n\n{}", machine::description(), setting.report);
    Ok(())
}

impl<'a> Setting<'a> {
    async fn prepare(options: &'a Options) -> Result<Self> {
        let prism = Prism::find(options)?;
        let directory = match &options.directory {
            Some(directory) => TempDir::with_prefix_in("load-", directory)?,
            // Not the directory for temporary files, which is often memory.
            None => {
                TempDir::with_prefix_in("load-", std::env::current_exe()?.parent().unwrap_or(Path::new(".")))?
            }
        };
        let small = Ground::fill(&prism, directory.path().join("small"), SMALL).await?;
        let large = if options.cases.iter().any(|case| matches!(case, Case::List | Case::Footprint)) {
            eprintln!("filling a database with {} deployments ...", options.large);
            Some(Ground::fill(&prism, directory.path().join("large"), options.large).await?)
        } else {
            None
        };
        Ok(Self { options, prism, directory, small, large, report: Report::default() })
    }

    /// A directory that nobody uses yet.
    fn place(&self, name: &str) -> Result<PathBuf> {
        let place = self.directory.path().join(name);
        std::fs::create_dir(&place)?;
        Ok(place)
    }

    fn large(&self) -> Result<&Ground> {
        self.large.as_ref().ok_or_else(|| "the large database was not filled".into())
    }

    fn probe_disk(&self) -> Result<Syncs> {
        Syncs::probe(self.directory.path())
    }
}
