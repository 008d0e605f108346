//! Implementations of the ports. Nothing outside this folder, `lib.rs` and the tests names one of them.

pub mod egress;
pub mod harness;
pub mod sandbox;
pub mod secret_box;
pub mod skill_fetcher;
pub mod staging;
pub mod store;
