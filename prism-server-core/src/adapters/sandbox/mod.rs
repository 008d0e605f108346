//! Sandboxes.

mod memory;

pub use memory::MemorySandbox;
