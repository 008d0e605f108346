//! What a container may take of the machine.

/// What one container may take of the machine. What a program writes to its workspace and its home is not
/// bounded here: that takes a quota of the file system below the engine's volumes.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct DockerLimits {
    /// Memory, in bytes, the temporary files included; there is no swap. Default: 1 GiB.
    pub memory: u64,
    /// Processor time, in processors. Default: 2.
    pub cpus: f64,
    /// Processes and threads. Default: 512.
    pub processes: u32,
    /// Temporary files, which are in memory, in bytes. Default: 256 MiB.
    pub temporary: u64,
    /// Open files of each process. Default: 4,096.
    pub open_files: u32,
}

impl Default for DockerLimits {
    fn default() -> Self {
        Self { memory: 1 << 30, cpus: 2.0, processes: 512, temporary: 256 << 20, open_files: 4096 }
    }
}

impl DockerLimits {
    /// Sets the memory, in bytes. The engine refuses less than 6 MiB.
    #[must_use]
    pub fn memory(mut self, bytes: u64) -> Self {
        self.memory = bytes;
        self
    }

    /// Sets the processor time, in processors. The engine refuses more than the machine has.
    #[must_use]
    pub fn cpus(mut self, cpus: f64) -> Self {
        self.cpus = cpus;
        self
    }

    /// Sets the number of processes and threads.
    #[must_use]
    pub fn processes(mut self, processes: u32) -> Self {
        self.processes = processes;
        self
    }

    /// Sets how much all temporary files may take, in bytes.
    #[must_use]
    pub fn temporary(mut self, bytes: u64) -> Self {
        self.temporary = bytes;
        self
    }

    /// Sets the number of open files of each process.
    #[must_use]
    pub fn open_files(mut self, files: u32) -> Self {
        self.open_files = files;
        self
    }
}
