//! Harnesses.

mod answers;
pub mod hermes;
pub mod scripted;
mod unavailable;

pub use hermes::HermesHarness;
pub use scripted::ScriptedHarness;
pub use unavailable::UnavailableHarness;
