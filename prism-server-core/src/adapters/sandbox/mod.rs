//! Sandboxes.

pub mod memory;
#[cfg(target_os = "linux")]
pub mod process;

pub use memory::MemorySandbox;
#[cfg(target_os = "linux")]
pub use process::{ProcessLimits, ProcessSandbox};
