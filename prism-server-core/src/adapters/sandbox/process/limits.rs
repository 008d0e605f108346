//! Limits of a program's resources.

use std::ffi::OsString;

use rustix::process::{Resource, getrlimit};

/// Limits of the programs of a [`super::ProcessSandbox`], each for one process or file. None is above what the
/// gateway itself may use. Core dumps are never written.
///
/// A gateway that runs as root starts programs as root: for them the number of processes is not limited, and
/// they can raise the other limits.
#[derive(Debug, Clone)]
pub struct ProcessLimits {
    open_files: u64,
    file_size: u64,
    processes: u64,
}

impl Default for ProcessLimits {
    fn default() -> Self {
        Self { open_files: 4096, file_size: 1024 * 1024 * 1024, processes: 4096 }
    }
}

impl ProcessLimits {
    /// Most files that a process has open at a time. Default: 4,096.
    #[must_use]
    pub fn open_files(mut self, most: u64) -> Self {
        self.open_files = most;
        self
    }

    /// Largest file that a process can write, in bytes. Default: 1 GiB. A process that goes on writing is ended
    /// by a signal, unless it ignores that and minds the error, as Python does.
    #[must_use]
    pub fn file_size(mut self, bytes: u64) -> Self {
        self.file_size = bytes;
        self
    }

    /// Most processes and threads, counted over all that the user runs on the machine, the gateway among them.
    /// Default: 4,096. Without effect for root.
    #[must_use]
    pub fn processes(mut self, most: u64) -> Self {
        self.processes = most;
        self
    }

    pub(super) fn longest_file(&self) -> u64 {
        self.file_size
    }

    /// The arguments for `prlimit`.
    pub(super) fn arguments(&self) -> Vec<OsString> {
        let limits = [
            ("nofile", Resource::Nofile, self.open_files),
            ("fsize", Resource::Fsize, self.file_size),
            ("nproc", Resource::Nproc, self.processes),
            ("core", Resource::Core, 0),
        ];
        let argument = |(name, resource, wanted): (&str, _, u64)| {
            // Nobody but root may raise what the gateway itself was given.
            let most = getrlimit(resource).maximum.unwrap_or(u64::MAX);
            format!("--{name}={}", wanted.min(most)).into()
        };
        limits.map(argument).into()
    }
}
