//! The runtime of the Hermes agent.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use prism_server_core::adapters::harness::hermes;

use super::Interpreter;
use crate::{data_dir::DataDir, failure::Failure};

/// Written last: without it an installation was cut off.
const MARKER: &str = "installed";

/// The Hermes agent in a virtual environment of its own.
#[derive(Debug)]
pub(crate) struct Hermes {
    directory: PathBuf,
}

impl Hermes {
    /// The one of a data directory, installed or not.
    pub(crate) fn of(data: &DataDir) -> Self {
        Self { directory: data.runtimes().join(format!("hermes-{}", hermes::VERSION)) }
    }

    /// Where it is installed.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Its Python.
    pub(crate) fn python(&self) -> PathBuf {
        self.directory.join("bin").join("python")
    }

    /// Whether it was installed to the end.
    pub(crate) fn is_installed(&self) -> bool {
        self.directory.join(MARKER).is_file() && self.python().exists()
    }

    /// Installs it; an installation that was cut off is begun anew.
    ///
    /// # Errors
    /// When a step fails; what it printed is on standard error.
    pub(crate) fn install(&self, python: &Interpreter) -> Result<(), Failure> {
        if self.directory.exists() {
            fs::remove_dir_all(&self.directory).map_err(|error| self.failed(&error))?;
        }
        let mut make = Command::new(&python.program);
        step(make.args(["-m", "venv"]).arg(&self.directory), "making the virtual environment")?;
        let constraints = self.directory.join("constraints.txt");
        fs::write(&constraints, hermes::CONSTRAINTS).map_err(|error| self.failed(&error))?;
        let mut install = Command::new(self.python());
        install.args(["-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"]);
        install.arg("--constraint").arg(&constraints).arg(hermes::REQUIREMENT);
        step(&mut install, "installing the packages")?;
        let mut check = Command::new(self.python());
        step(check.args(["-c", "import tui_gateway.entry"]), "starting the agent")?;
        fs::write(self.directory.join(MARKER), hermes::REQUIREMENT).map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &std::io::Error) -> Failure {
        Failure::new(format!("{} cannot be changed: {error}", self.directory.display()))
    }
}

impl fmt::Display for Hermes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "hermes-agent {}", hermes::VERSION)
    }
}

/// Runs a program to its end; what it prints goes to standard error.
fn step(command: &mut Command, what: &str) -> Result<(), Failure> {
    let status = command.stdin(Stdio::null()).stdout(std::io::stderr()).status();
    let status = status.map_err(|error| Failure::new(format!("{what} failed: {error}")))?;
    if status.success() {
        return Ok(());
    }
    Err(Failure::new(format!("{what} failed: {status}"))
        .advice("What it printed is above. pip's own settings (PIP_INDEX_URL, PIP_CERT, ...) apply."))
}
