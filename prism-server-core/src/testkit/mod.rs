//! Conformance suites: tests that any implementation of a port can run, ours and an embedder's.

pub mod harness;
pub mod sandbox;
pub mod store;
