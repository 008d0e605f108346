//! Sandboxes.

pub mod memory;

pub use memory::MemorySandbox;
