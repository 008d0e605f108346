//! Sandboxes.

#[cfg(feature = "docker")]
pub mod docker;
pub mod memory;

#[cfg(feature = "docker")]
pub use docker::DockerSandbox;
pub use memory::MemorySandbox;
