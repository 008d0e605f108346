//! The Hermes agent. Its harness is not there yet: a control plane answers the runtime `hermes` with
//! `runtime_unavailable`. What is here is the release that sandboxes and images have.

mod release;

pub use release::{CONSTRAINTS, REQUIREMENT, VERSION};
