//! `prism runtime`: the software that agents are made of, for agents that run as processes of this machine.
//!
//! A runtime is a Python virtual environment in the data directory, `runtimes/NAME-VERSION`, with a release that
//! is pinned: the protocol between the gateway and the agent carries no version. The image that agents in
//! containers run from has the same release.

mod hermes;
mod python;

use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};

pub(crate) use hermes::Hermes;
pub(crate) use python::{Interpreter, find as find_python};

use crate::{config::Place, data_dir::DataDir, failure::Failure, output};

/// Install the software that agents run on.
///
/// Only agents that run as processes of this machine need it; agents in containers bring their own, in their
/// image. `prism doctor` says what this machine has and lacks.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Install a runtime into the data directory, from the Python package index that pip is set up for.
    ///
    /// It takes about half a minute and 250 MB. Installing what is installed does nothing.
    Install {
        /// The runtime.
        #[arg(value_enum)]
        name: Name,
        /// The Python to make it with, 3.11 to 3.13. [default: the newest such `python3` of the PATH]
        #[arg(long, value_name = "PROGRAM", env = "PRISM_PYTHON", hide_env_values = true)]
        python: Option<PathBuf>,
        #[command(flatten)]
        place: Place,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Name {
    /// The Hermes agent.
    Hermes,
}

/// Does what the command says.
pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    match arguments.command {
        Command::Install { name: Name::Hermes, python, place } => {
            let data = DataDir::create(&place.data_dir()?)?;
            let hermes = Hermes::of(&data);
            if hermes.is_installed() {
                return output::line(&format!("{hermes} is installed in {}", hermes.directory().display()));
            }
            let python = python::find(python)?;
            output::note(&format!("installing {hermes} with {python} into {}", hermes.directory().display()));
            hermes.install(&python)?;
            output::line(&format!("{hermes} is installed in {}", hermes.directory().display()))
        }
    }
}
