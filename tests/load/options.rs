//! The command line.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Measures Prism and a baseline in the same run and prints a Markdown table.
#[derive(Debug, Parser)]
#[command(name = "load")]
pub(crate) struct Options {
    /// Only these cases, separated by commas.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Case::ALL)]
    pub(crate) cases: Vec<Case>,
    /// How often Prism and the baseline take turns.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=50))]
    pub(crate) pairs: u32,
    /// How long each turn of a closed loop lasts, in seconds.
    #[arg(long, default_value_t = 2.0)]
    pub(crate) seconds: f64,
    /// How many connections a closed loop has.
    #[arg(long, default_value_t = 32)]
    pub(crate) connections: usize,
    /// How many messages are sent one after the other, in all.
    #[arg(long, default_value_t = 510)]
    pub(crate) messages: u32,
    /// How many streams follow one deployment.
    #[arg(long, default_value_t = 1000)]
    pub(crate) watchers: usize,
    /// How many events each of them gets, 50 a second.
    #[arg(long, default_value_t = 500)]
    pub(crate) events: u32,
    /// How many deployments the large database has.
    #[arg(long, default_value_t = 100_000)]
    pub(crate) large: u32,
    /// How many automations are due in the same minute.
    #[arg(long, default_value_t = 10_000)]
    pub(crate) automations: u32,
    /// How many services are kept.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) services: u32,
    /// Where the data directories are made and removed; its disk is what durable figures depend on. Default:
    /// beside this program.
    #[arg(long)]
    pub(crate) directory: Option<PathBuf>,
    /// The binary `prism` to measure. Default: the one beside this program, built first under `cargo run`.
    #[arg(long)]
    pub(crate) prism: Option<PathBuf>,
    /// What this process is, when it is not the one that measures.
    #[command(subcommand)]
    pub(crate) role: Option<Role>,
}

impl Options {
    /// How long each turn of a closed loop lasts.
    pub(crate) fn turn(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }

    /// Messages of one turn.
    pub(crate) fn messages_per_turn(&self) -> u32 {
        self.messages.div_ceil(self.pairs)
    }
}

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Case {
    /// Reading a deployment.
    Get,
    /// Creating deployments durably.
    Create,
    /// Listing deployments of a small and a large database.
    List,
    /// From a message to the first event on the stream.
    Message,
    /// One deployment's events to many streams.
    FanOut,
    /// Time to be ready, and memory.
    Footprint,
    /// Automations that are due in the same minute. Not by default, for it waits for that minute.
    Automations,
    /// Requests to a service, through the edge and beside it. Not by default; with nginx where that is installed.
    Edge,
    /// Running a job. Not by default.
    Job,
    /// Sandboxes, and what is executed in them. Not by default.
    Sandbox,
    /// Starting a service, and keeping many. Not by default.
    Service,
    /// Real agents; needs a Docker Engine with their image, and PRISM_HERMES_PYTHON. Not by default.
    Agents,
}

impl Case {
    /// What is measured when nothing is named.
    const ALL: [Self; 6] =
        [Self::Get, Self::Create, Self::List, Self::Message, Self::FanOut, Self::Footprint];
}

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.to_possible_value().unwrap().get_name())
    }
}

/// What a child process is.
#[derive(Debug, Subcommand)]
pub(crate) enum Role {
    /// Serves the control plane with a harness that stamps its tokens.
    #[command(hide = true)]
    Stamped(ServerRole),
    /// Serves what Prism is compared to.
    #[command(hide = true)]
    Baseline(BaselineRole),
}

/// The control plane with a harness that stamps its tokens, as a process.
#[derive(Debug, Args)]
pub(crate) struct ServerRole {
    /// Where the database is.
    #[arg(long)]
    pub(crate) data_dir: PathBuf,
}

/// A baseline as a process.
#[derive(Debug, Args)]
pub(crate) struct BaselineRole {
    /// The database; without one, only what needs none is served.
    #[arg(long)]
    pub(crate) database: Option<PathBuf>,
    /// Where it listens; any free port when it is left out.
    #[arg(long, default_value_t = 0)]
    pub(crate) port: u16,
}
