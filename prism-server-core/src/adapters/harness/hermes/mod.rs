//! stub
pub mod release;
pub use release::*;
/// stub
pub struct HermesHarness;
impl HermesHarness {
    /// stub
    pub fn new(_: std::path::PathBuf) -> crate::adapters::harness::UnavailableHarness { crate::adapters::harness::UnavailableHarness::new(prism_types::Runtime::Hermes, "x", "y") }
}
