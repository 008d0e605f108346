//! Sandboxes.

#[cfg(any(feature = "docker", target_os = "linux"))]
mod bundle;
#[cfg(feature = "docker")]
pub mod docker;
pub mod memory;
#[cfg(target_os = "linux")]
pub mod process;

#[cfg(target_os = "linux")]
mod usage;

#[cfg(feature = "docker")]
pub use docker::DockerSandbox;
pub use memory::MemorySandbox;
#[cfg(target_os = "linux")]
pub use process::{ProcessLimits, ProcessSandbox};
